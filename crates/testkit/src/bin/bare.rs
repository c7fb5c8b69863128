//! A pass-through of a few dozen lines: what hyper costs before anything is governed.

use std::net::SocketAddr;

use clap::Parser;
use http::{Request, Response, Uri};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpListener;

/// Forwards everything to one upstream, unread.
#[derive(Parser)]
struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to forward to, such as http://127.0.0.1:9000.
    #[arg(long)]
    upstream: String,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind(args.listen).await?;
    let listening = [("bare", listener.local_addr()?)].into();
    println!("{}", serde_json::to_string(&testkit::Ready { listening })?);
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(tcp);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (client, upstream) = (client.clone(), args.upstream.clone());
        let forward = service_fn(move |request| forward(client.clone(), upstream.clone(), request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), forward));
    }
}

async fn forward(
    client: Client<HttpConnector, Incoming>,
    upstream: String,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    // The gateway's first path segment names its upstream; this one has only one.
    let path = path.strip_prefix("/openai").unwrap_or(path);
    if let Ok(uri) = Uri::try_from(format!("{upstream}{path}")) {
        *request.uri_mut() = uri;
    }
    request.headers_mut().remove(http::header::HOST);
    client.request(request).await
}
