use http::Uri;
use tlog::cosignature::{CosigningKey, cosignatures};
use transport::{Bounds, Client};

use super::*;
use crate::{AddCheckpoint, SIZE_TYPE, State, checkpoint_path, testing::World};

struct Running {
    _dir: tempfile::TempDir,
    witness: Arc<Witness>,
    _server: Server,
    client: Client,
}

async fn running() -> Running {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    State::create(&state).unwrap();
    let key = CosigningKey::from_seed("witness.example/w1", &[8; 32]).unwrap();
    let witness = Witness::open(key, vec![World::new().log()], State::open(&state).unwrap()).unwrap();
    let witness = Arc::new(witness);
    let server = Server::bind(witness.clone(), "127.0.0.1:0".parse().unwrap(), None)
        .await
        .unwrap();
    let base: Uri = format!("http://{}", server.addr()).parse().unwrap();
    let bounds = Bounds {
        connect: Duration::from_secs(5),
        exchange: Duration::from_secs(30),
        answer: MAX_REQUEST_BYTES,
    };
    Running {
        _dir: dir,
        witness,
        _server: server,
        client: Client::new(base, None, bounds),
    }
}

impl Running {
    async fn send(&self, method: &str, path: &str, body: String) -> (u16, String, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Bytes::from(body))
            .unwrap();
        let answer = self.client.send(request).await.unwrap();
        let kind = answer
            .headers
            .get(header::CONTENT_TYPE)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let body = String::from_utf8(answer.body.unwrap().to_vec()).unwrap();
        (answer.status.as_u16(), kind, body)
    }

    async fn ask(&self, request: &AddCheckpoint) -> Answer {
        let (status, kind, body) = self.send("POST", ADD_CHECKPOINT_PATH, request.to_string()).await;
        let status = StatusCode::from_u16(status).unwrap();
        Answer::read(status, Some(&kind), body.as_bytes(), request.old).unwrap()
    }
}

#[tokio::test]
async fn a_dialogue_over_http() {
    let (running, world) = (running().await, World::new());
    let path = checkpoint_path(&world.origin());
    assert_eq!(running.send("GET", &path, String::new()).await.0, 404);
    let Answer::Cosigned(signatures) = running.ask(&world.request(0, 5)).await else {
        panic!("not cosigned");
    };
    let note = world.note(5).with(signatures).unwrap();
    let known = [running.witness.cosigner().clone()];
    assert_eq!(cosignatures(&note, &known).unwrap().len(), 1);
    assert_eq!(running.send("GET", &path, String::new()).await.2, note.to_string());
    assert_eq!(
        running.ask(&world.request(3, 7)).await,
        Answer::Refused(Refusal::OtherSize(5))
    );
    let sent = running
        .send("POST", ADD_CHECKPOINT_PATH, world.request(3, 7).to_string())
        .await;
    assert_eq!(sent, (409, SIZE_TYPE.to_owned(), "5\n".to_owned()));
    let fork = World::forked_at(2);
    let refused = running.ask(&fork.request(5, 5)).await;
    assert!(
        matches!(refused, Answer::Refused(Refusal::Unproved { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_else_is_asked() {
    let running = running().await;
    for (method, path, body, expected) in [
        ("GET", "/healthz", String::new(), 200),
        ("GET", "/", String::new(), 404),
        ("GET", "/add-checkpoint", String::new(), 405),
        ("PUT", "/add-checkpoint", "old 0\n".to_owned(), 405),
        ("POST", "/healthz", String::new(), 405),
        ("GET", "/../checkpoint", String::new(), 404),
        ("GET", "/x/y/checkpoint", String::new(), 404),
        ("POST", "/add-checkpoint", String::new(), 400),
        ("POST", "/add-checkpoint", "x".repeat(MAX_REQUEST_BYTES + 1), 400),
    ] {
        let (status, _, text) = running.send(method, path, body).await;
        assert_eq!(status, expected, "{method} {path}: {text}");
        assert!(text.ends_with('\n'), "{text:?}");
    }
}
