//! The agents at work, and everything they tell on its way to the viewer.

use std::{
    io,
    time::{Duration, Instant},
};

use model::NanoUsd;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
    time::MissedTickBehavior,
};

use super::{admin::Admin, agents, board::Board, caller::Pace, cast::Agent, event::Event, show::Show, stage::Stage};

/// Between two drawings: often enough for the eye.
const FRAME: Duration = Duration::from_millis(80);
/// Between two looks at the budgets.
const LOOK: Duration = Duration::from_millis(160);
/// How long the last calls may take to be booked.
const SETTLING: Duration = Duration::from_secs(5);

/// Has all agents work, and shows it. Returns how it stands once they are done and all of their calls are booked.
pub(crate) async fn play(stage: &Stage, pace: Pace, show: &mut Show) -> anyhow::Result<Board> {
    let (events, mut told) = mpsc::unbounded_channel();
    let mut board = Board::new();
    let started = Instant::now();
    look(&stage.admin, &events).await?;
    let mut working = JoinSet::new();
    for caller in stage.callers(pace, &events) {
        working.spawn(agents::work(caller));
    }
    let mut looking = JoinSet::new();
    looking.spawn(keep_looking(stage.admin.clone(), events));
    let mut frames = tokio::time::interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut resized = signal(SignalKind::window_change())?;
    loop {
        tokio::select! {
            Some(event) = told.recv() => hear(&event, started.elapsed(), &mut board, show)?,
            done = working.join_next() => match done {
                Some(done) => done?,
                None => break,
            },
            _ = frames.tick() => {
                board.elapsed = started.elapsed();
                show.draw(&board)?;
            }
            _ = resized.recv() => show.resized(),
        }
    }
    settle(&stage.admin).await;
    looking.shutdown().await;
    while let Some(event) = told.recv().await {
        hear(&event, started.elapsed(), &mut board, show)?;
    }
    for balance in balances(&stage.admin).await? {
        board.take(&balance.event(), started.elapsed());
    }
    Ok(board)
}

fn hear(event: &Event, at: Duration, board: &mut Board, show: &mut Show) -> io::Result<()> {
    board.take(event, at);
    show.event(event, at)
}

/// Waits until nothing is held any more, or too long: then the verification has more to say about it.
async fn settle(admin: &Admin) {
    let waiting = async {
        loop {
            let open = balances(admin).await;
            if open.is_ok_and(|open| open.iter().all(|balance| balance.held == NanoUsd::ZERO)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    drop(tokio::time::timeout(SETTLING, waiting).await);
}

/// What a budget says.
struct Balance {
    agent: Agent,
    spent: NanoUsd,
    held: NanoUsd,
    limit: NanoUsd,
}

impl Balance {
    fn event(&self) -> Event {
        Event::Balance {
            agent: self.agent,
            spent: self.spent,
            limit: self.limit,
        }
    }
}

async fn balances(admin: &Admin) -> anyhow::Result<Vec<Balance>> {
    let usd = |text: &str| -> anyhow::Result<NanoUsd> { Ok(format!("{text} USD").parse()?) };
    let mut balances = Vec::new();
    for budget in admin.budgets().await? {
        let Some(agent) = Agent::named(&budget.name) else {
            continue;
        };
        balances.push(Balance {
            agent,
            spent: usd(&budget.spent)?,
            held: usd(&budget.held)?,
            limit: usd(&budget.limit)?,
        });
    }
    Ok(balances)
}

async fn look(admin: &Admin, events: &mpsc::UnboundedSender<Event>) -> anyhow::Result<()> {
    for balance in balances(admin).await? {
        events.send(balance.event())?;
    }
    Ok(())
}

/// Looks at the budgets until nobody wants to know. What fails here fails again where it matters.
async fn keep_looking(admin: Admin, events: mpsc::UnboundedSender<Event>) {
    while look(&admin, &events).await.is_ok() {
        tokio::time::sleep(LOOK).await;
    }
}
