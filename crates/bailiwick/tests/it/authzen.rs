//! The decision point, over HTTP and with the binary: the vectors of the interop events and of the certification scenario,
//! and what they do not ask for.

mod certificates;
mod counted;
mod obliging;
mod pages;
mod peps;
mod refused;
mod stored;
mod vectors;

use std::path::Path;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;

use crate::harness::{Reply, World};

/// Where the fixtures are.
fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/authzen"))
}

fn vectors(name: &str) -> Value {
    let text = std::fs::read(fixtures().join("vectors").join(name)).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// A world whose tenants are the scenarios, each with an enforcement point `suite` that may ask everything.
struct Pdp {
    world: World,
    keys: [String; 3],
}

const TENANTS: [&str; 3] = ["default", "todo", "gateway"];

impl Pdp {
    async fn start() -> Self {
        Self::with("", "").await
    }

    /// With more lines of bailiwick.toml, and of the manifest of `suite`.
    async fn with(configuration: &str, manifest: &str) -> Self {
        Self::with_files(configuration, manifest, &[]).await
    }

    /// With more files, or others.
    async fn with_files(configuration: &str, manifest: &str, files: &[(&str, &str)]) -> Self {
        let mut world = World::builder().configuration(configuration).build().await;
        for (tenant, scenario) in [
            ("", "certification"),
            ("tenants/todo/", "todo"),
            ("tenants/gateway/", "gateway"),
        ] {
            for part in ["schemas", "policies", "entities"] {
                for file in std::fs::read_dir(fixtures().join(scenario).join(part)).unwrap() {
                    let file = file.unwrap();
                    let text = std::fs::read_to_string(file.path()).unwrap();
                    let name = file.file_name().into_string().unwrap();
                    world.write(&format!("governance/{tenant}{part}/{name}"), &text);
                }
            }
            let pep = format!(
                "kind: Pep\nname: suite\nowner: tests@acme.example\npurpose: Asks\nmay: [evaluate, search]\n{manifest}"
            );
            world.write(&format!("governance/{tenant}rules/suite.yaml"), &pep);
        }
        for (name, text) in files {
            world.write(name, text);
        }
        world.start();
        let keys = TENANTS.map(|tenant| {
            let done = world
                .run(&["key", "issue", "--pep", "suite", "--tenant", tenant])
                .exits(0);
            done.stdout.trim().to_owned()
        });
        Self { world, keys }
    }

    /// The credential in a tenant.
    fn key(&self, tenant: &str) -> &str {
        let at = TENANTS.iter().position(|name| *name == tenant).unwrap();
        &self.keys[at]
    }

    /// A request to an endpoint, with everything that it usually has.
    fn request(&self, tenant: &str, endpoint: &str) -> http::request::Builder {
        Request::post(format!("{}/access/v1/{endpoint}", self.world.agents_url()))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.key(tenant)))
    }

    async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Reply {
        let request = request.body(Full::new(body.into())).unwrap();
        self.world.http().send(request).await.unwrap()
    }

    async fn ask(&self, tenant: &str, endpoint: &str, body: &Value) -> Reply {
        self.send(self.request(tenant, endpoint), body.to_string()).await
    }

    /// What the log has of calls of the tenant `default`.
    #[track_caller]
    fn decided(&self) -> Vec<entry::Decided> {
        let entries = self.world.entries("default").into_iter();
        let decided = entries.filter_map(|entry| match entry.event {
            entry::Event::Decided(decided) => Some(decided),
            _ => None,
        });
        decided.collect()
    }

    /// The server's metrics.
    async fn metrics(&self) -> String {
        let url = format!("{}/metrics", self.world.admin_url());
        self.world.http().get(&url).await.unwrap().is(200).text().to_owned()
    }

    async fn get(&self, path: &str) -> Reply {
        let url = format!("{}{path}", self.world.agents_url());
        self.world.http().get(&url).await.unwrap()
    }

    /// A request to the administration listener by its owner.
    async fn admin(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let owner = std::fs::read_to_string(self.world.data().join("owner.credential")).unwrap();
        let url = format!("{}{path}", self.world.admin_url());
        let mut request = Request::builder().method(method).uri(url);
        request = request.header("authorization", format!("Bearer {}", owner.trim()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request, body.to_owned()).await
    }
}
