//! Case 4 of the public failures of other gateways: a store that was rolled back to an older copy, and with it what was
//! spent (BerriAI/litellm PR #30684, #34238). Here under a running server, into the very file that it has open, as a
//! restore into a database does. Under a stopped server: `crates/bailiwick/tests/it/rollback.rs`.

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::world::{World, ended, patiently, request, tenant};
use crate::{DataDir, HoldAnswer, db::faults::Fate::Fails};

/// Another process that works on the database.
struct Shell(SqliteConnection);

impl Shell {
    async fn open(world: &World) -> Self {
        let options = SqliteConnectOptions::new().filename(DataDir::database(world.dir.path()));
        Self(options.connect().await.unwrap())
    }

    async fn run(&mut self, statements: &[&'static str]) {
        for &statement in statements {
            sqlx::query(statement).execute(&mut self.0).await.unwrap();
        }
    }

    /// Rolls the tenant's log back to its first batch, and keeps what it takes away.
    async fn roll_back(&mut self) {
        self.run(&[
            "CREATE TABLE newer AS SELECT * FROM batch WHERE tenant = 'default' AND first_index > 0",
            "DELETE FROM batch WHERE tenant = 'default' AND first_index > 0",
        ])
        .await;
    }

    /// Puts it back.
    async fn restore(mut self) {
        self.run(&["INSERT INTO batch SELECT * FROM newer", "DROP TABLE newer"])
            .await;
        self.0.close().await.unwrap();
    }
}

/// The whole budget is spent.
async fn spent() -> World {
    let world = World::new().await;
    let mut hold = world.held(1, 1_000).await;
    hold.begin();
    hold.settle(ended(1_000));
    world.open_is(0).await;
    world
}

async fn is_refused(world: &World, number: u32) {
    let epoch = world.view().await.epoch;
    let answer = world.handle.hold(request(number, 1, epoch)).await;
    assert!(matches!(answer, HoldAnswer::Refused(..)), "{answer:?}");
}

/// It goes on by what it knows, and the log shows at the next start that something is missing.
#[tokio::test]
async fn case_04_rolled_back_under_a_running_server_nothing_is_spent_twice() {
    let world = spent().await;
    let mut shell = Shell::open(&world).await;
    shell.roll_back().await;
    let epoch = world.view().await.epoch;
    for number in 2..5 {
        let answer = world.handle.hold(request(number, 1, epoch)).await;
        assert!(matches!(answer, HoldAnswer::Refused(..)), "{answer:?}");
    }
    let clock = world.clock.clone();
    let dir = world.stop().await;
    let Err((dir, error)) = World::open(dir, clock.clone(), &[]).await else {
        panic!("a log with a gap is taken")
    };
    assert!(error.to_string().contains("should come next"), "{error}");
    shell.restore().await;
    let Ok(world) = World::open(dir, clock, &[]).await else {
        panic!("the log is whole again")
    };
    is_refused(&world, 9).await;
    world.log().await;
}

/// A server that reads its log again after a failed write does not take an older one for its own.
#[tokio::test]
async fn case_04_a_recovery_does_not_forget_what_was_acknowledged() {
    let world = spent().await;
    let heads = world.handle.heads();
    let known = heads.borrow()[&tenant()];
    let epoch = world.view().await.epoch;
    let mut shell = Shell::open(&world).await;
    shell.roll_back().await;
    world.faults.appends(&[Fails]);
    for number in 2..10 {
        let answer = world.handle.hold(request(number, 1, epoch)).await;
        assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
    }
    troubled(&world, "an older copy").await;
    assert_eq!(heads.borrow()[&tenant()], known, "nothing shorter is signed");
    // With its newer entries back it resumes by itself, and nothing was forgotten.
    shell.restore().await;
    world.healthy().await;
    is_refused(&world, 10).await;
    world.log().await;
    let world = world.restart().await;
    is_refused(&world, 11).await;
}

/// Waits until the trouble is this one.
async fn troubled(world: &World, why: &str) {
    let mut health = world.handle.health();
    let told = health.wait_for(|health| health.trouble.as_ref().is_some_and(|found| found.contains(why)));
    patiently(told).await.unwrap();
}

/// So with a log that is as long and says something else, and with one that is gone.
#[tokio::test]
async fn case_04_a_recovery_takes_no_other_history() {
    let other = World::new().await;
    let mut hold = other.held(1, 10).await;
    hold.begin();
    hold.settle(ended(10));
    other.open_is(0).await;
    for number in 2..9 {
        drop(other.held(number, 10).await);
        other.open_is(0).await;
    }
    let theirs = DataDir::database(other.dir.path()).display().to_string();
    for (copied, told) in [(true, "another history"), (false, "an older copy")] {
        let world = spent().await;
        let epoch = world.view().await.epoch;
        let mut shell = Shell::open(&world).await;
        shell
            .run(&[
                "CREATE TABLE newer AS SELECT * FROM batch WHERE tenant = 'default'",
                "DELETE FROM batch WHERE tenant = 'default'",
            ])
            .await;
        if copied {
            sqlx::query("ATTACH $1 AS other")
                .bind(&theirs)
                .execute(&mut shell.0)
                .await
                .unwrap();
            shell
                .run(&["INSERT INTO batch SELECT * FROM other.batch WHERE tenant = 'default'"])
                .await;
        }
        world.faults.appends(&[Fails]);
        let answer = world.handle.hold(request(2, 1, epoch)).await;
        assert!(matches!(answer, HoldAnswer::Unavailable), "{answer:?}");
        troubled(&world, told).await;
        shell.run(&["DELETE FROM batch WHERE tenant = 'default'"]).await;
        shell.restore().await;
        world.healthy().await;
        is_refused(&world, 3).await;
    }
}
