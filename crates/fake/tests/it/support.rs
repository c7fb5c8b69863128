//! A provider with a client that speaks to it.

use std::time::Duration;

use bytes::Bytes;
use fake::{Calls, Config, Finished, Provider, SCRIPT_HEADER, SeenCall};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const MESSAGES: &str = "/v1/messages";

pub(crate) struct Bench {
    pub(crate) provider: Provider,
    pub(crate) calls: Calls,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer read to its end, which can be a broken connection.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) whole: bool,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let provider = Provider::start(config).await.unwrap();
        let calls = provider.calls();
        Self {
            provider,
            calls,
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
        }
    }

    /// Sends a request and gives the response with its body unread.
    pub(crate) async fn open(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.client.request(request).await.unwrap()
    }

    pub(crate) fn post(&self, path: &str, script: &str, body: &Value) -> Request<Full<Bytes>> {
        let builder = Request::post(self.provider.url() + path).header("content-type", "application/json");
        builder
            .header(SCRIPT_HEADER, script)
            .body(Full::from(body.to_string()))
            .unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        let (parts, mut incoming) = self.open(request).await.into_parts();
        let mut reply = Reply {
            status: parts.status,
            headers: parts.headers,
            body: Vec::new(),
            whole: true,
        };
        while let Some(frame) = incoming.frame().await {
            match frame {
                Ok(frame) => reply.body.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => reply.whole = false,
            }
        }
        reply
    }

    pub(crate) async fn ask(&self, path: &str, script: &str, body: &Value) -> Reply {
        self.send(self.post(path, script, body)).await
    }

    /// Sends a form with these fields and one file.
    pub(crate) async fn form(&self, path: &str, script: &str, fields: &[(&str, &str)], file: (&str, &str)) -> Reply {
        let head = "--b0\r\nContent-Disposition: form-data; name=";
        let part = |(name, text): &(&str, &str)| format!("{head}\"{name}\"\r\n\r\n{text}\r\n");
        let fields: String = fields.iter().map(part).collect();
        let (name, content) = file;
        let body = format!("{fields}{head}\"{name}\"; filename=\"a\"\r\n\r\n{content}\r\n--b0--\r\n");
        let request = Request::post(self.provider.url() + path)
            .header("content-type", "multipart/form-data; boundary=b0")
            .header(SCRIPT_HEADER, script)
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        self.send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(self.provider.url() + path).body(Full::default()).unwrap())
            .await
    }

    /// The last call, once it has ended.
    pub(crate) async fn last(&self) -> SeenCall {
        let count = self.calls.count();
        self.calls.wait_finished(count.received).await;
        let call = self.calls.call(count.received).unwrap();
        assert_ne!(call.finished, Finished::Open);
        call
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        assert!(self.whole);
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The events of a stream: the name (empty if it has none) and the data.
    pub(crate) fn events(&self) -> Vec<(String, String)> {
        let text = str::from_utf8(&self.body).unwrap();
        assert!(text.is_empty() || text.ends_with("\n\n"));
        let event = |lines: &str| {
            let (name, data) = match lines.strip_prefix("event: ") {
                Some(rest) => rest.split_once('\n').unwrap(),
                None => ("", lines),
            };
            (name.to_owned(), data.strip_prefix("data: ").unwrap().to_owned())
        };
        text.split("\n\n")
            .filter(|lines| !lines.is_empty())
            .map(event)
            .collect()
    }

    /// The data of the events, parsed; OpenAI's `[DONE]` is checked to be last and left out.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let mut events = self.events();
        if self.whole && events.iter().all(|(name, _)| name.is_empty()) {
            assert_eq!(events.pop().unwrap().1, "[DONE]");
        }
        events
            .iter()
            .map(|(_, data)| serde_json::from_str(data).unwrap())
            .collect()
    }
}

/// A request that both dialects understand.
pub(crate) fn hello(stream: bool) -> Value {
    json!({
        "model": "some-model", "max_tokens": 100, "stream": stream,
        "messages": [{"role": "user", "content": "Say hello to whoever reads this test, please."}],
    })
}

/// `base` with the members of `more`.
pub(crate) fn with(mut base: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

/// Whatever is awaited comes long before this; it only keeps a broken test from hanging.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}
