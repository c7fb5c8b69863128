//! Connections.

use std::time::Duration;

use axum::body::Body;
use http::{Request, Version, header};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::world::World;
use crate::Api;

const PATIENCE: Duration = Duration::from_secs(20);

async fn bound(world: &World) -> Api {
    Api::bind(world.control.clone(), "127.0.0.1:0".parse().unwrap())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_drain_answers_what_waits_and_closes_the_port() {
    let world = World::new().await;
    let api = bound(&world).await;
    let addr = api.addr();
    let mut waiting = TcpStream::connect(addr).await.unwrap();
    let credential = &world.credentials[&entry::Role::Owner];
    let request = format!(
        "GET /api/v1/audit/wait?after=1000 HTTP/1.1\r\nhost: {addr}\r\nauthorization: Bearer {credential}\r\n\r\n"
    );
    waiting.write_all(request.as_bytes()).await.unwrap();
    // The answer to a second connection shows that the first one was accepted.
    let mut other = TcpStream::connect(addr).await.unwrap();
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    other.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    other.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert!(api.drain(PATIENCE).await);
    let mut text = String::new();
    waiting.read_to_string(&mut text).await.unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200 OK") && text.ends_with("\"entries\":[]}"),
        "{text}"
    );
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_port_in_use_is_an_error() {
    let world = World::new().await;
    let api = bound(&world).await;
    let error = Api::bind(world.control.clone(), api.addr()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn http_2_names_the_host_in_its_authority() {
    let world = World::new().await;
    let api = bound(&world).await;
    let addr = api.addr();
    let tcp = TcpStream::connect(addr).await.unwrap();
    let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await;
    let (mut sender, connection) = shaken.unwrap();
    let connection = tokio::spawn(connection);
    let local = addr.to_string();
    for (authority, host, status) in [
        (local.as_str(), None, 200),
        ("localhost:7401", None, 200),
        (&local, Some(local.as_str()), 200),
        ("rebound.example:7401", None, 421),
        ("rebound.example:7401", Some(&local), 421),
        (&local, Some("rebound.example:7401"), 421),
    ] {
        let request = Request::builder()
            .version(Version::HTTP_2)
            .uri(format!("http://{authority}/healthz"));
        let request = match host {
            Some(host) => request.header(header::HOST, host),
            None => request,
        };
        let answer = sender.send_request(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status, "{authority} {host:?}");
    }
    connection.abort();
}
