//! Servers written by hand, each of which does one thing wrong or right.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;

const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(5),
    exchange: Duration::from_secs(5),
    answer: 16,
};

fn post() -> Request<Bytes> {
    let request = Request::post("/hook?x=1").header("x-test", "1");
    request.body(Bytes::from_static(b"hello")).unwrap()
}

/// Reads one request, to the end of its five bytes.
async fn take(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\nhello") {
        let byte = stream.read_u8().await.unwrap();
        read.push(byte);
    }
    String::from_utf8(read).unwrap()
}

async fn listen() -> (TcpListener, Uri) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    (listener, base)
}

/// What becomes of a request that is answered like this; the connection is then closed, or not.
async fn against(answer: &'static str, close: bool, bounds: Bounds) -> Result<Answer, ClientError> {
    let (listener, base) = listen().await;
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        take(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        if !close {
            std::future::pending::<()>().await;
        }
    });
    let answered = Client::new(base, None, bounds).send(post()).await;
    server.abort();
    answered
}

#[tokio::test]
async fn an_answer_is_whole_or_it_is_said_why_not() {
    let whole = against(
        "HTTP/1.1 201 Created\r\ncontent-length: 2\r\nx-a: b\r\n\r\nok",
        true,
        BOUNDS,
    );
    let whole = whole.await.unwrap();
    assert_eq!(
        (whole.status, whole.body.unwrap()),
        (StatusCode::CREATED, Bytes::from_static(b"ok"))
    );
    assert_eq!(whole.headers.get("x-a").unwrap(), "b");
    let soon = Bounds {
        exchange: Duration::from_millis(50),
        ..BOUNDS
    };
    for (answer, close, bounds, status, expected) in [
        ("", true, BOUNDS, None, "the connection broke off"),
        ("", false, soon, None, "no answer within 50 ms"),
        ("SSH-2.0-x\r\n\r\n", true, BOUNDS, None, "the connection broke off"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n12345678901234567",
            true,
            BOUNDS,
            Some(200),
            "longer than 16 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123",
            true,
            BOUNDS,
            Some(200),
            "the connection broke off",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123",
            false,
            soon,
            Some(200),
            "no answer within 50 ms",
        ),
    ] {
        let (found, error) = match against(answer, close, bounds).await {
            Ok(answer) => (Some(answer.status.as_u16()), answer.body.unwrap_err()),
            Err(error) => (None, error),
        };
        assert_eq!(found, status, "{answer}");
        assert!(error.to_string().contains(expected), "{answer}: {error}");
    }
    // A redirect is an answer like any other.
    let moved = against(
        "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
        true,
        BOUNDS,
    );
    assert_eq!(moved.await.unwrap().status, StatusCode::FOUND);
}

#[tokio::test]
async fn nobody_there_is_told() {
    let (listener, base) = listen().await;
    drop(listener);
    let error = Client::new(base, None, BOUNDS).send(post()).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect(_)), "{error}");
}

#[tokio::test]
async fn a_connection_is_used_again_and_replaced_when_it_was_closed() {
    let (listener, base) = listen().await;
    let (closed, was_closed) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let mut requests = Vec::new();
        // Two on the first connection, then it is closed; one on the second.
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..2 {
            requests.push(take(&mut stream).await);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
        drop(stream);
        closed.send(()).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        requests.push(take(&mut stream).await);
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        requests
    });
    let client = Client::new(base.clone(), None, BOUNDS);
    for _ in 0..2 {
        assert_eq!(client.send(post()).await.unwrap().status, StatusCode::NO_CONTENT);
    }
    was_closed.await.unwrap();
    // Until the client's end of the connection has heard of it, if it had not when it would have been kept.
    let is_open = || matches!(&*client.lock(), Some((_, kept)) if !kept.sender.is_closed());
    let gone = async {
        while is_open() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
    assert_eq!(client.send(post()).await.unwrap().status, StatusCode::NO_CONTENT);
    let requests = server.await.unwrap();
    let host = format!("host: {}\r\n", base.authority().unwrap());
    assert!(
        requests
            .iter()
            .all(|request| request.starts_with("POST /hook?x=1 HTTP/1.1\r\n"))
    );
    assert!(requests.iter().all(|request| request.contains(&host)), "{requests:?}");
}
