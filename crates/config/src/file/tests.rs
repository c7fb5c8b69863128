use std::time::Duration;

use control::{Cause, Fallback, ModelPattern, Places, Retention, Retry, Rotation, SinkFormat, SinkStart, SinkTarget};
use llm::Dialect;
use model::UpstreamName;
use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;
use crate::testing::{Home, check_table, env, nowhere};

fn parse(text: &str) -> Result<Settings, Problems> {
    Settings::parse(text, "bailiwick.toml", nowhere())
}

/// With the one key that must be there, in the first line.
fn named(text: &str) -> String {
    format!("trust_domain = \"agents.acme.example\"\n{text}")
}

#[test]
fn what_is_left_out_has_defaults() {
    let settings = Settings::parse(&named(""), "conf/bailiwick.toml", Path::new("conf")).unwrap();
    let expected = Settings {
        file: "conf/bailiwick.toml".to_owned(),
        trust_domain: "agents.acme.example".to_owned(),
        data_dir: "conf/data".into(),
        governance_dir: "conf/governance".into(),
        listen_agents: "127.0.0.1:7400".parse().unwrap(),
        listen_admin: "127.0.0.1:7401".parse().unwrap(),
        agents_tls: None,
        admin_tls: None,
        log: LogSettings {
            format: LogFormat::Auto,
            level: LogLevel::Info,
        },
        limits: Limits::default(),
        audit: Audit {
            checkpoint_guard: None,
            reserve: 64 << 20,
            spool: None,
            public_log: false,
            heartbeat: Some(Duration::from_secs(900)),
            witnesses: Vec::new(),
            quorum: 0,
            witness_timeout: Duration::from_secs(30),
        },
        retention: Retention::new(),
        authzen: AuthzenSettings::default(),
        upstreams: Vec::new(),
        routes: Vec::new(),
        prices: Vec::new(),
        sinks: Vec::new(),
        warnings: Problems::default(),
    };
    assert_eq!(format!("{settings:?}"), format!("{expected:?}"));
}

#[test]
fn everything_can_be_said() {
    let text = r#"
        data_dir = "/var/lib/bailiwick"
        governance = "./policy/governance"
        [listen]
        agents = "[::1]:0"
        admin = "10.0.0.1:7401"
        admin_public = true
        [log]
        format = "json"
        level = "debug"
        [limits]
        request_size = "1MiB"
        bodies_size = "3MiB"
        reply_size = "0B"
        replay_size = "2MiB"
        output_limit = 1000
        in_flight = 5
        [timeouts]
        head = "2s"
        request = "1s"
        connect = "250ms"
        first_byte = "2m"
        idle = "3s"
        total = "1h"
        shutdown = "0s"
        [audit]
        checkpoint_guard = "../guard"
        reserve = "1GiB"
        spool = "/mnt/second/spool"
        public_log = true
        heartbeat = "1m"
        quorum = 1
        witness_timeout = "2m"
        [[audit.witnesses]]
        vkey = "w1.example+89d3dde6+BIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
        url = "https://w1.example/prefix/"
        ca = "w1.pem"
        [[audit.witnesses]]
        vkey = "w2.example+c56c0ee5+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"
        url = "http://localhost:7480"
        [authzen]
        public_url = "https://pdp.acme.example:8443/"
        record = "buffered"
        allow_unauthenticated = true
        max_evaluations = 5
        page_size = 7
        request_size = "64KiB"
        [upstreams.local]
        kind = "openai"
        base_url = "http://localhost:8000/openai/"
        api_key = { file = "secrets/local.key" }
        prices = "local"
        legacy_output_limit = true
        honours_output_limit = false
        stream_usage_option = false
        private_network = true
        path = "/{model}/{operation}"
        paths = { models = "/list" }
        query = "a=1&b=%20"
        headers = { "X-Team" = "agents", "x-key" = "Token {api_key}" }
        models = { small = "org/small-1" }
        [upstreams.anthropic]
        kind = "anthropic"
        base_url = "https://api.anthropic.com"
        [routes.quick]
        upstream = "local"
        models = ["qwen3", "llama*"]
        tries = 3
        retry_on = ["connect", 429, "503"]
        backoff = "50ms"
        longest_backoff = "2s"
        fallback = [{ upstream = "local", model = "qwen2" }]
        connect_timeout = "1s"
        first_byte_timeout = "10s"
        idle_timeout = "5s"
        total_timeout = "1m"
        request_size = "64KiB"
        in_flight = 8
        queue = 16
        queue_timeout = "3s"
        [[prices]]
        provider = "local"
        model = "qwen3"
        input = "0.15"
        output = 3
        cache_read = "0.01"
        max_output_tokens = 8192
    "#;
    let settings = Settings::parse(&named(text), "bailiwick.toml", Path::new("etc")).unwrap();
    assert!(settings.warnings.is_empty(), "{}", settings.warnings);
    assert_eq!(settings.data_dir, Path::new("/var/lib/bailiwick"));
    assert_eq!(settings.governance_dir, Path::new("etc/policy/governance"));
    assert_eq!(
        settings.audit,
        Audit {
            checkpoint_guard: Some("etc/../guard".into()),
            reserve: 1 << 30,
            spool: Some("/mnt/second/spool".into()),
            public_log: true,
            heartbeat: Some(Duration::from_secs(60)),
            witnesses: settings.audit.witnesses.clone(),
            quorum: 1,
            witness_timeout: Duration::from_secs(120),
        }
    );
    let mut missing = Missing::of("bailiwick.toml");
    let witnesses: Vec<_> = settings
        .audit
        .witnesses
        .iter()
        .map(|w| w.resolve(&mut missing))
        .collect();
    let shown: Vec<_> = witnesses.iter().map(|w| (w.key.name(), w.url.as_str())).collect();
    let expected = [
        ("w1.example", "https://w1.example/prefix"),
        ("w2.example", "http://localhost:7480"),
    ];
    assert_eq!(shown, expected);
    assert!(missing.absent.to_string().contains("etc/w1.pem"), "{}", missing.absent);
    let authzen = AuthzenSettings {
        public_url: Some("https://pdp.acme.example:8443".to_owned()),
        record: control::Recording::Buffered,
        allow_unauthenticated: true,
        max_evaluations: 5,
        page_size: 7,
        request_bytes: 64 << 10,
    };
    assert_eq!(settings.authzen, authzen);
    assert_eq!(settings.listen_agents, "[::1]:0".parse().unwrap());
    assert_eq!(settings.listen_admin, "10.0.0.1:7401".parse().unwrap());
    assert_eq!(
        (settings.log.format, settings.log.level.as_str()),
        (LogFormat::Json, "debug")
    );
    let expected = Limits {
        request_bytes: 1 << 20,
        reply_bytes: 0,
        bodies_bytes: 3 << 20,
        replay_bytes: 2 << 20,
        output_limit: 1_000,
        in_flight: 5,
        head_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_millis(250),
        first_byte_timeout: Duration::from_secs(120),
        idle_timeout: Duration::from_secs(3),
        total_timeout: Duration::from_secs(3_600),
        shutdown_timeout: Duration::ZERO,
    };
    assert_eq!(settings.limits, expected);
    let [anthropic, local] = settings.upstreams.as_slice() else {
        panic!("two upstreams")
    };
    let key = local.key.as_ref().unwrap().value.clone();
    assert_eq!(key, KeyReference::File("etc/secrets/local.key".into()));
    assert!(anthropic.key.is_none());
    let (local, anthropic) = (local.spec(None), anthropic.spec(None));
    assert_eq!(
        (local.name.as_str(), local.kind, local.legacy_output_limit),
        ("local", Dialect::OpenAi, true)
    );
    assert_eq!((local.stream_usage_option, local.private_network), (false, true));
    assert_eq!(
        serde_json::to_string(&local.record()).unwrap(),
        concat!(
            r#"{"name":"local","kind":"openai","base_url":"http://localhost:8000/openai","prices":"local","#,
            r#""honours_output_limit":false,"path":"/{model}/{operation}","paths":{"models":"/list"},"query":"a=1&b=%20","#,
            r#""headers":{"x-key":"Token {api_key}","x-team":"agents"},"models":{"small":"org/small-1"},"#,
            r#""private_network":true}"#
        )
    );
    assert_eq!(
        (anthropic.kind, anthropic.prices.as_str(), anthropic.legacy_output_limit),
        (Dialect::Anthropic, "anthropic", false)
    );
    assert_eq!(settings.routes, [quick_route()]);
    assert_eq!(
        (local.honours_output_limit, anthropic.honours_output_limit),
        (false, true)
    );
    let [price] = settings.prices.as_slice() else {
        panic!("one price")
    };
    assert_eq!(
        (price.input, price.output),
        ("0.15".parse().unwrap(), "3".parse().unwrap())
    );
    assert_eq!((price.cache_write, price.max_output_tokens), (None, Some(8_192)));
}

/// The route that says everything.
fn quick_route() -> RouteSpec {
    let upstream = UpstreamName::new("local").unwrap();
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    RouteSpec {
        name: "quick".to_owned(),
        upstream: upstream.clone(),
        models: vec![ModelPattern::new("qwen3"), ModelPattern::new("llama*")],
        retry: Retry {
            tries: 3,
            on: vec![Cause::Connect, Cause::Status(429), Cause::Status(503)],
            backoff: Duration::from_millis(50),
            longest: Duration::from_secs(2),
        },
        fallback: vec![Fallback {
            upstream,
            model: Some("qwen2".to_owned()),
        }],
        connect: seconds(1),
        first_byte: seconds(10),
        idle: seconds(5),
        total: seconds(60),
        request_bytes: Some(64 << 10),
        places: Some(Places {
            running: 8,
            waiting: 16,
            patience: Duration::from_secs(3),
        }),
    }
}

#[test]
fn mistakes_are_explained() {
    check_table(include_str!("mistakes.txt"), |text| match parse(&named(text)) {
        Err(problems) => problems.to_string(),
        Ok(_) => "nothing is wrong".to_owned(),
    });
}

#[test]
fn the_trust_domain_must_be_there_and_be_one() {
    let missing = "bailiwick.toml: `trust_domain` is missing\n  help: it names this deployment in every audit log, such as \
                   trust_domain = \"agents.acme.example\"";
    assert_eq!(parse("").unwrap_err().to_string(), missing);
    for bad in ["", "Acme.example", "acme.example/agents", "a b", &"a".repeat(256)] {
        let problems = parse(&format!("trust_domain = {bad:?}")).unwrap_err().to_string();
        assert!(
            problems.starts_with("bailiwick.toml:1:16: `trust_domain` is not a trust domain"),
            "{problems}"
        );
    }
}

#[test]
fn what_looks_like_a_mistake_is_a_warning() {
    check_table(include_str!("warnings.txt"), |text| match parse(&named(text)) {
        Err(problems) => format!("{problems}\nwhich is not a warning"),
        Ok(settings) => settings.warnings.to_string(),
    });
}

#[test]
fn there_is_room_for_so_many() {
    let upstreams = |count: usize| -> String {
        let upstream = |n| format!("[upstreams.u{n}]\nkind = \"openai\"\nbase_url = \"https://example.com\"\n");
        (0..count).map(upstream).collect()
    };
    assert!(parse(&named(&upstreams(MAX_UPSTREAMS))).is_ok());
    let problems = parse(&named(&upstreams(MAX_UPSTREAMS + 1))).unwrap_err().to_string();
    assert_eq!(
        problems,
        "bailiwick.toml:2:2: there are 33 upstreams, more than 32\n  help: one audit entry carries them all"
    );
    let prices = |count: usize| -> String {
        let price = |n| format!("[[prices]]\nprovider = \"p\"\nmodel = \"m{n}\"\ninput = 1\noutput = 1\n");
        (0..count).map(price).collect()
    };
    assert!(parse(&named(&prices(MAX_PRICES))).is_ok());
    let problems = parse(&named(&prices(MAX_PRICES + 1))).unwrap_err().to_string();
    assert_eq!(
        problems,
        "bailiwick.toml:2:1: there are 65 prices, more than 64\n  help: one audit entry carries them all"
    );
}

#[test]
fn the_audit_log_has_room_for_all_upstreams() {
    let long = |count: usize| -> String {
        let models: String = (0..10).map(|n| format!("m{n} = \"{}\"\n", "x".repeat(150))).collect();
        let upstream = |n| {
            format!("[upstreams.u{n}]\npreset = \"vllm\"\nbase_url = \"http://10.0.0.1\"\nmodels = {{}}\n")
                .replace("models = {}", &format!("[upstreams.u{n}.models]\n{models}"))
        };
        (0..count).map(upstream).collect()
    };
    assert!(parse(&named(&long(5))).is_ok());
    let problems = parse(&named(&long(12))).unwrap_err().to_string();
    assert!(
        problems.contains("bytes in the audit log, more than 15360"),
        "{problems}"
    );
}

/// Three lines are enough for each kind of server, and every key that is given wins.
#[test]
fn presets_are_defaults() {
    let spec = |text: &str| {
        let settings =
            parse(&named(&format!("[upstreams.up]\n{text}"))).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert!(settings.warnings.is_empty(), "{}", settings.warnings);
        settings.upstreams[0].spec(None)
    };
    let key = "api_key = { env = \"KEY\" }";
    for preset in control::Preset::ALL {
        let base = match preset.base_url() {
            Some(_) => String::new(),
            None => "base_url = \"https://models.example\"\n".to_owned(),
        };
        let found = spec(&format!("preset = \"{}\"\n{base}{key}", preset.name()));
        let expected = preset.spec(
            found.name.clone(),
            preset.base_url().unwrap_or("https://models.example"),
        );
        assert_eq!(format!("{found:?}"), format!("{:?}", expected.unwrap()));
    }
    let azure = format!("preset = \"azure\"\nbase_url = \"https://a.openai.azure.com\"\n{key}\n");
    let headers = |spec: &UpstreamSpec| -> Vec<String> {
        spec.headers
            .iter()
            .map(|header| format!("{}: {}", header.name(), header.as_str()))
            .collect()
    };
    let found = spec(&format!(
        "{azure}kind = \"openai\"\nprices = \"openai\"\nlegacy_output_limit = true\nstream_usage_option = false\n\
         private_network = true\nquery = \"api-version=2025-04-01-preview\"\npaths = {{ responses = \"/r\" }}\n\
         headers = {{ \"Authorization\" = \"Bearer {{api_key}}\", \"x-team\" = \"a\" }}"
    ));
    // Elsewhere than in the preset's header, the credential is not in that as well.
    assert_eq!(headers(&found), ["authorization: Bearer {api_key}", "x-team: a"]);
    let found = (
        found.prices.as_str(),
        found.legacy_output_limit,
        found.stream_usage_option,
        found.private_network,
        found.query.as_str(),
        found.address(llm::Endpoint::Responses, "m").unwrap(),
    );
    let address = "https://a.openai.azure.com/r".to_owned();
    assert_eq!(
        found,
        ("openai", true, false, true, "api-version=2025-04-01-preview", address)
    );
    let found = spec(&format!(
        "{azure}headers = {{ x-team = \"a\" }}\npath = \"/x/{{operation}}\""
    ));
    assert_eq!(headers(&found), ["api-key: {api_key}", "x-team: a"]);
    assert_eq!(
        found.address(llm::Endpoint::Responses, "m").unwrap(),
        "https://a.openai.azure.com/x/responses"
    );
    assert!(
        !spec("preset = \"ollama\"\nbase_url = \"http://localhost:11434\"\nprivate_network = false").private_network
    );
}

/// Hosts that lead to a machine's or a cloud's own settings, in whatever spelling.
#[test]
fn hosts_inside_the_network() {
    let with = |host: &str, more: &str| {
        let text = format!("[upstreams.a]\nkind = \"openai\"\nbase_url = \"http://{host}/x\"\n{more}");
        parse(&named(&text))
            .map(|settings| settings.warnings.to_string())
            .map_err(|problems| problems.to_string())
    };
    for host in [
        "169.254.169.254",
        "169.254.0.1:8080",
        "[fe80::1]",
        "[febf::1]:80",
        "[fd00:ec2::254]",
        "[FD00:0EC2::0254]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "169.254.169.254.",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "metadata",
    ] {
        let error = with(host, "").unwrap_err();
        assert!(
            error.contains("the base URL leads to a ") && error.contains("private_network = true"),
            "{host}: {error}"
        );
        assert_eq!(with(host, "private_network = true").as_deref(), Ok(""), "{host}");
    }
    // A preset's word is not the operator's.
    let preset = "[upstreams.a]\npreset = \"ollama\"\nbase_url = \"http://169.254.169.254\"";
    assert!(parse(&named(preset)).is_err());
    for host in [
        "2852039166",
        "0xa9fea9fe",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "10.1",
        "1.2.3.4.5",
    ] {
        for more in ["", "private_network = true"] {
            let error = with(host, more).unwrap_err();
            assert!(
                error.contains("is a number that some systems take for an address"),
                "{host}: {error}"
            );
        }
    }
    for host in [
        "10.0.0.5:8000",
        "127.0.0.1",
        "[::1]",
        "localhost:8000",
        "192.168.1.1",
        "[fd00::1]",
        "api.openai.com",
    ] {
        assert_eq!(with(host, "").as_deref(), Ok(""), "{host}");
    }
    for host in ["ollama", "vllm.models.svc", "gpu.internal", "box.local."] {
        assert!(
            with(host, "").unwrap().contains("looks like one inside the network"),
            "{host}"
        );
        assert_eq!(with(host, "private_network = true").as_deref(), Ok(""), "{host}");
    }
}

const KEYS: &str = r#"
[upstreams.from-env]
kind = "openai"
base_url = "https://api.openai.com"
api_key = { env = "OPENAI_API_KEY" }
[upstreams.from-file]
kind = "anthropic"
base_url = "https://api.anthropic.com"
api_key = { file = "secrets/anthropic.key" }
[upstreams.none]
kind = "openai"
base_url = "http://127.0.0.1:8000"
"#;

fn with_key_file(content: &str) -> (Home, Settings) {
    let home = Home::new([("secrets/anthropic.key", content)]);
    let settings = Settings::parse(&named(KEYS), "bailiwick.toml", &home.path("")).unwrap();
    (home, settings)
}

#[test]
fn credentials_are_fetched() {
    let (_home, settings) = with_key_file("sk-ant-canary\n");
    let upstreams = settings
        .resolve_secrets(&env(&[("OPENAI_API_KEY", "sk-canary")]))
        .unwrap();
    let found: Vec<_> = upstreams
        .iter()
        .map(|upstream| {
            (
                upstream.name.as_str(),
                upstream.credential.as_ref().map(|key| key.expose_secret()),
            )
        })
        .collect();
    let expected = [
        ("from-env", Some("sk-canary")),
        ("from-file", Some("sk-ant-canary")),
        ("none", None),
    ];
    assert_eq!(found, expected);
    assert!(!format!("{settings:?} {upstreams:?}").contains("canary"));
}

#[test]
fn credentials_that_are_not_there_are_named_and_never_shown() {
    for (variables, content, messages) in [
        (
            &[][..],
            "",
            [
                "bailiwick.toml:6:1: the environment variable OPENAI_API_KEY is not set\n  help: set it before starting the \
                 server",
                "bailiwick.toml:10:1: the key file secrets/anthropic.key is empty",
            ],
        ),
        (
            &[("OPENAI_API_KEY", " ")][..],
            "canary\ncanary\n",
            [
                "bailiwick.toml:6:1: the environment variable OPENAI_API_KEY is empty",
                "bailiwick.toml:10:1: the key file secrets/anthropic.key holds something that is not a key: a key is one \
                 word of ASCII characters",
            ],
        ),
        (
            &[("OPENAI_API_KEY", "canary\u{e9}")][..],
            &"canary".repeat(4_000),
            [
                "bailiwick.toml:6:1: the environment variable OPENAI_API_KEY holds something that is not a key: a key is \
                 one word of ASCII characters",
                "bailiwick.toml:10:1: the key file secrets/anthropic.key holds something too long to be a key",
            ],
        ),
    ] {
        let (home, settings) = with_key_file(content);
        let problems = settings.resolve_secrets(&env(variables)).unwrap_err().all();
        assert_eq!(home.relative(problems), messages.join("\n"));
    }
    let (home, settings) = with_key_file("");
    std::fs::remove_dir_all(home.path("secrets")).unwrap();
    let problems = settings.resolve_secrets(&env(&[("OPENAI_API_KEY", "k")]));
    let problems = problems.unwrap_err().all();
    assert_eq!(
        home.relative(problems),
        "bailiwick.toml:10:1: cannot read the key file secrets/anthropic.key: No such file or directory (os error 2)"
    );
}

/// Where a credential is most likely to be pasted by mistake.
#[test]
fn a_misplaced_credential_is_never_shown() {
    const CANARY: &str = "sk-canary";
    for line in [
        "api_key = \"CANARY\"",
        "api_key = 'CANARY",
        "api_key = CANARY",
        "api_key = [\"CANARY\"]",
        "api_key = { env = \"CANARY\" }",
        "api_key = { env = \"CANARY\", file = \"CANARY\" }",
        "api_key = { key = \"CANARY\" }",
        "apikey = \"CANARY\"",
        "authorization = \"Bearer CANARY\"",
        "base_url = \"https://CANARY@example.com\"",
        "base_url = \"https://example.com/?key=CANARY\"",
        "base_url = \"CANARY\"",
        "prices = \"CANARY!\"",
        "path = \"/CANARY?\"",
        "paths = { responses = \"CANARY\" }",
        "query = \"key=CANARY\"",
        "query = \"CANARY\"",
        "headers = { Authorization = \"Bearer CANARY\" }",
        "headers = { x-team = \"CANARY \" }",
        "headers = { x-team = [\"CANARY\"] }",
        "models = { a = \"-CANARY\" }",
    ] {
        let line = line.replace("CANARY", CANARY);
        let text = format!("[upstreams.openai]\nkind = \"openai\"\n{line}\n");
        let problems = parse(&named(&text)).unwrap_err();
        assert!(!problems.to_string().contains("canary"), "{line}: {problems}");
        assert!(!serde_json::to_string(&problems).unwrap().contains("canary"), "{line}");
    }
}

/// Texts that come closer to being a configuration than random characters do.
fn almost_toml() -> impl Strategy<Value = String> {
    let words = [
        "trust_domain",
        "data_dir",
        "listen",
        "agents",
        "admin",
        "upstreams",
        "kind",
        "base_url",
        "api_key",
        "env",
        "prices",
        "limits",
        "in_flight",
        "timeouts",
        "total",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\n",
        "\n",
        "\"",
        "'",
        "\"a\"",
        "\"32MiB\"",
        "\"https://[::1]:7\"",
        "0",
        "-1",
        "1e400",
        "nan",
        "0x_f",
        "1979-05-27",
        "true",
        "\u{feff}",
        "é",
        "\"\"\"",
        "\\u0000",
        "#",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(random in ".{0,200}", almost in almost_toml()) {
        for text in [named(&random), named(&almost), random, almost] {
            if let Err(problems) = parse(&text) {
                prop_assert!(!problems.is_empty());
            }
        }
    }
}

#[test]
fn sinks_are_read_with_their_secrets() {
    let text = r#"
        [[sinks]]
        name = "siem"
        kind = "webhook"
        format = "cloudevents"
        url = "https://siem.acme.example/hook"
        secret = { env = "SIEM" }
        batch = 7
        timeout = "3s"
        tenants = ["default", "_system"]
        kinds = ["denial", "outcome"]
        agents = ["reader"]
        from = "beginning"
        [[sinks]]
        name = "archive"
        kind = "file"
        path = "./archive/entries.jsonl"
        rotate_size = "1MiB"
        rotate_keep = 9
        [[sinks]]
        name = "out"
        kind = "stdout"
    "#;
    let settings = Settings::parse(&named(text), "conf/bailiwick.toml", Path::new("conf")).unwrap();
    assert_eq!(settings.sinks.iter().filter(|sink| sink.is_stdout()).count(), 1);
    let good = format!("whsec_{}", "A".repeat(32));
    let specs = settings.resolve_sinks(&env(&[("SIEM", &good)])).unwrap();
    let shown = format!("{specs:?}");
    assert!(!shown.contains("AAAA"), "{shown}");
    let SinkTarget::Webhook(webhook) = &specs[0].target else {
        panic!("{shown}")
    };
    assert_eq!((webhook.batch, webhook.timeout.as_secs()), (7, 3));
    assert_eq!(webhook.secret.as_ref().unwrap().expose_secret(), "A".repeat(32));
    assert_eq!(
        (specs[0].format, specs[0].start),
        (SinkFormat::CloudEvents, SinkStart::Beginning)
    );
    assert_eq!(
        (specs[0].kinds.len(), specs[0].tenants.len(), specs[0].agents.len()),
        (2, 2, 1)
    );
    let SinkTarget::File { path, rotation } = &specs[1].target else {
        panic!("{shown}")
    };
    assert_eq!(path, Path::new("conf/archive/entries.jsonl"));
    assert_eq!(*rotation, Some(Rotation { size: 1 << 20, keep: 9 }));
    assert_eq!((specs[1].format, specs[1].start), (SinkFormat::Json, SinkStart::Now));
    for (secret, expected) in [
        (None, "the environment variable SIEM is not set"),
        (Some("canary"), "is not one of Standard Webhooks"),
        (Some("whsec_canary"), "is not one of Standard Webhooks"),
        (Some("whsec_AAAA"), "is not one of Standard Webhooks"),
    ] {
        let variables: Vec<_> = secret.map(|secret| ("SIEM", secret)).into_iter().collect();
        let problems = settings.resolve_sinks(&env(&variables)).unwrap_err().all().to_string();
        assert!(
            problems.contains(expected) && !problems.contains("canary"),
            "{problems}"
        );
        assert!(problems.starts_with("conf/bailiwick.toml:8:9"), "{problems}");
    }
}
