//! The world: everything a test needs, and what is checked when it is over.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use fake::{Calls, Provider};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    Done, PATIENCE, Process, Reply, UPSTREAM_KEY,
    command::{bailiwick, steady},
    http::Http,
};

/// An agent's manifest, complete.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) name: &'static str,
    pub(crate) limit: &'static str,
    pub(crate) per: &'static str,
}

impl Agent {
    /// An agent that may spend so much, ever.
    pub(crate) fn new(name: &'static str, limit: &'static str) -> Self {
        Self {
            name,
            limit,
            per: "total",
        }
    }

    /// The manifest as a file.
    pub(crate) fn manifest(&self) -> String {
        let Self { name, limit, per } = self;
        format!(
            "kind: Agent\nname: {name}\nowner: tests@acme.example\nteam: tests\nproduct: bailiwick\nenvironment: test\n\
             purpose: Runs tests\nbudget: {{ limit: {limit}, per: {per} }}\n"
        )
    }
}

/// What a world is to be like.
#[derive(Debug)]
pub(crate) struct Builder {
    agents: Vec<Agent>,
    policies: String,
    configuration: String,
    provider: fake::Config,
}

impl Builder {
    /// Another agent; with none at all there is `worker` with a dollar.
    pub(crate) fn agent(mut self, agent: Agent) -> Self {
        self.agents.push(agent);
        self
    }

    /// Cedar text in place of the policy that permits everything.
    pub(crate) fn policies(mut self, cedar: &str) -> Self {
        cedar.clone_into(&mut self.policies);
        self
    }

    /// More lines of bailiwick.toml.
    pub(crate) fn configuration(mut self, toml: &str) -> Self {
        self.configuration.push_str(toml);
        self
    }

    /// How the provider behaves.
    pub(crate) fn provider(mut self, change: impl FnOnce(&mut fake::Config)) -> Self {
        change(&mut self.provider);
        self
    }

    /// Writes the files and starts the provider. The server is not started yet.
    pub(crate) async fn build(self) -> World {
        let dir = tempfile::Builder::new().prefix("bailiwick-it-").tempdir().unwrap();
        let provider = Provider::start(self.provider).await.unwrap();
        let url = provider.url();
        let toml = format!(
            "trust_domain = \"it.example\"\n[listen]\nagents = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
             [upstreams.openai]\nkind = \"openai\"\nbase_url = \"{url}\"\napi_key = {{ env = \"OPENAI_API_KEY\" }}\n\
             [upstreams.anthropic]\nkind = \"anthropic\"\nbase_url = \"{url}\"\n\
             api_key = {{ env = \"ANTHROPIC_API_KEY\" }}\n{}",
            self.configuration
        );
        let world = World {
            provider: Some(provider),
            http: Http::new(),
            server: None,
            agents: String::new(),
            admin: String::new(),
            expects_evidence: true,
            dir,
        };
        world.write("bailiwick.toml", &toml);
        let agents = match self.agents.is_empty() {
            true => vec![Agent::new("worker", "1 USD")],
            false => self.agents,
        };
        for agent in agents {
            world.write(&format!("governance/agents/{}.yaml", agent.name), &agent.manifest());
        }
        world.write("governance/policies/policies.cedar", &self.policies);
        world
    }

    /// The same, with the server started.
    pub(crate) async fn start(self) -> World {
        let mut world = self.build().await;
        world.start();
        world
    }
}

/// A directory with a configuration, a provider, and usually a server.
#[derive(Debug)]
pub(crate) struct World {
    provider: Option<Provider>,
    http: Http,
    server: Option<Process>,
    agents: String,
    admin: String,
    expects_evidence: bool,
    dir: TempDir,
}

impl World {
    /// A world with the agent `worker`, a dollar, and a policy that permits everything, unless told otherwise.
    pub(crate) fn builder() -> Builder {
        let provider = fake::Config {
            expect_key: Some(UPSTREAM_KEY.to_owned()),
            ..fake::Config::default()
        };
        Builder {
            agents: Vec::new(),
            policies: "@id(\"everything\")\npermit (principal, action == Action::\"llm:generate\", resource);\n"
                .to_owned(),
            configuration: String::new(),
            provider,
        }
    }

    /// The default world, started.
    pub(crate) async fn start_default() -> Self {
        Self::builder().start().await
    }

    /// The directory of the configuration.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes a file below the directory.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Changes a file below the directory.
    #[track_caller]
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path().join(name)).unwrap();
        assert!(text.contains(from), "{name} does not have {from:?}:\n{text}");
        self.write(name, &text.replace(from, to));
    }

    // ---- Commands ----

    /// A command of the binary, in the directory of the configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bailiwick(self.path());
        command.args(arguments);
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        Done::of(&mut self.command(arguments))
    }

    /// Runs a command that must end well, with `--json`, and returns what it printed.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).exits(0).json()
    }

    /// Issues a credential.
    #[track_caller]
    pub(crate) fn key(&self, agent: &str) -> String {
        let done = self.run(&["key", "issue", agent]).exits(0);
        done.stdout.trim().to_owned()
    }

    /// A text of the server without what differs from run to run.
    pub(crate) fn steady(&self, text: &str) -> String {
        steady(text, self.path())
    }

    // ---- The server ----

    /// Starts the server and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        let server = self.spawn();
        let listening = server.listening();
        self.agents = format!("http://{}", listening["agents"].as_str().unwrap());
        self.admin = format!("http://{}", listening["admin"].as_str().unwrap());
        self.server = Some(server);
    }

    /// Starts a server that need not get ready.
    pub(crate) fn spawn(&self) -> Process {
        Process::start(&mut self.command(&["serve"]), &self.path().join("server.log"))
    }

    /// The running server.
    #[track_caller]
    pub(crate) fn server(&mut self) -> &mut Process {
        self.server.as_mut().expect("no server runs")
    }

    /// The running server's process id.
    #[track_caller]
    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().expect("no server runs").pid()
    }

    /// The server has ended already.
    pub(crate) fn forget_server(&mut self) {
        self.server = None;
    }

    /// Stops the server as an operator would.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        let mut server = self.server.take().expect("no server runs");
        server.signal("TERM");
        assert_eq!(server.wait(), 0, "its log:\n{}", server.log());
    }

    /// Kills the server as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
    }

    /// Stops the server and starts it again.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Where agents reach the server.
    pub(crate) fn agents_url(&self) -> &str {
        &self.agents
    }

    /// Where administrators reach the server.
    pub(crate) fn admin_url(&self) -> &str {
        &self.admin
    }

    // ---- Calls ----

    /// What the provider saw.
    pub(crate) fn calls(&self) -> Calls {
        self.provider.as_ref().expect("no provider runs").calls()
    }

    /// Stops the provider at once.
    pub(crate) async fn stop_provider(&mut self) {
        if let Some(provider) = self.provider.take() {
            provider.shutdown().await;
        }
    }

    /// A client for requests of any kind.
    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// A chat completion through the gateway.
    pub(crate) async fn chat(&self, key: &str, body: &Value) -> Reply {
        self.scripted(key, "", body).await
    }

    /// A chat completion with a script for the provider.
    pub(crate) async fn scripted(&self, key: &str, script: &str, body: &Value) -> Reply {
        self.try_chat(key, script, body).await.unwrap()
    }

    /// A chat completion whose connection may break.
    pub(crate) async fn try_chat(&self, key: &str, script: &str, body: &Value) -> Result<Reply, String> {
        let url = format!("{}/openai/v1/chat/completions", self.agents);
        self.http.post(&url, key, script, body).await
    }

    /// An Anthropic message through the gateway.
    pub(crate) async fn message(&self, key: &str, body: &Value) -> Reply {
        let url = format!("{}/anthropic/v1/messages", self.agents);
        self.http.post(&url, key, "", body).await.unwrap()
    }

    // ---- Evidence ----

    /// Waits until every hold has ended: a reply does not wait for the entry of its outcome.
    pub(crate) async fn settled(&self) {
        let url = format!("{}/metrics", self.admin);
        let started = Instant::now();
        while !self
            .http
            .get(&url)
            .await
            .unwrap()
            .text()
            .contains("\nbailiwick_open_holds 0\n")
        {
            assert!(started.elapsed() < PATIENCE, "holds do not end");
            tokio::task::yield_now().await;
        }
    }

    /// The entries of a tenant's log, read from the running server.
    #[track_caller]
    pub(crate) fn entries(&self, tenant: &str) -> Vec<entry::Entry> {
        let listed = self.json(&["audit", "list", "--from", "0", "--limit", "100000", "--tenant", tenant]);
        let listed: api::wire::Entries = serde_json::from_value(listed).unwrap();
        listed.entries.into_iter().map(|report| report.entry).collect()
    }

    /// What `audit verify` says about the files.
    pub(crate) fn verify(&self) -> Done {
        self.run(&[
            "audit",
            "verify",
            "--data",
            &self.data().display().to_string(),
            "--json",
        ])
    }

    /// The test destroyed the data on purpose.
    pub(crate) fn expects_no_evidence(&mut self) {
        self.expects_evidence = false;
    }

    fn check_evidence(&self) {
        let verified = self.verify().exits(0).json();
        for tenant in verified["tenants"].as_array().unwrap() {
            let open = tenant["holds_open"].as_u64().unwrap();
            assert!(open == 0, "{open} holds are open: {tenant}");
        }
        // There is none if no server was started this way.
        let log = fs::read_to_string(self.path().join("server.log")).unwrap_or_default();
        assert!(!log.contains(UPSTREAM_KEY), "the log shows the upstream's credential");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Ok(log) = fs::read_to_string(self.path().join("server.log")) {
                let last = log.char_indices().rev().nth(4_000).map_or(0, |(at, _)| at);
                eprintln!("--- the server's log ends:\n{}", &log[last..]);
            }
            return;
        }
        if self.server.is_some() {
            self.stop();
        }
        if self.expects_evidence && self.data().join("bailiwick.db").exists() {
            self.check_evidence();
        }
    }
}

/// A chat completion of one short message.
pub(crate) fn chat(model: &str) -> Value {
    json!({ "model": model, "max_tokens": 50, "messages": [{ "role": "user", "content": "Say hello." }] })
}
