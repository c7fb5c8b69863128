use super::{
    testing::{Home, env},
    *,
};

#[test]
fn paths_are_relative_to_the_file() {
    let home = Home::new([(
        "conf/bailiwick.toml",
        "trust_domain = \"a\"\n[audit]\ncheckpoint_guard = \"guard\"\n",
    )]);
    let settings = load(&home.path("conf/./bailiwick.toml")).unwrap();
    assert_eq!(home.relative(&settings.file), "conf/bailiwick.toml");
    assert_eq!(settings.data_dir, home.path("conf/data"));
    assert_eq!(settings.governance_dir, home.path("conf/governance"));
    assert_eq!(settings.audit.checkpoint_guard, Some(home.path("conf/guard")));
    for (written, plainly) in [
        ("./bailiwick.toml", "bailiwick.toml"),
        ("./conf/../bailiwick.toml", "conf/../bailiwick.toml"),
        ("/etc/bailiwick.toml", "/etc/bailiwick.toml"),
        (".", ""),
    ] {
        assert_eq!(plain(Path::new(written)), Path::new(plainly), "{written}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_explained() {
    let home = Home::new([
        ("broken.toml", b"a = 1\nb = \"\xff\"\n".as_slice()),
        ("long.toml", &[b'#'; 1024 * 1024 + 1]),
    ]);
    let help = "  help: `bailiwick init DIR` writes a configuration to start from; `-c FILE` says where it is";
    for (file, expected) in [
        (
            "bailiwick.toml",
            format!("bailiwick.toml: cannot be read: No such file or directory (os error 2)\n{help}"),
        ),
        ("", format!(".: cannot be read: it is not a regular file\n{help}")),
        ("broken.toml", "broken.toml:2: the line is not UTF-8 text".to_owned()),
        ("long.toml", "long.toml: the file is longer than 1024 KiB".to_owned()),
    ] {
        let path = match file {
            "" => home.path("x").parent().unwrap().to_owned(),
            file => home.path(file),
        };
        assert_eq!(home.relative(load(&path).unwrap_err()), expected, "{file}");
    }
}

#[test]
fn problems_are_json_too() {
    let problems = Settings::parse("trust_domain = \"a\"\nlistn = 1\n", "bailiwick.toml", Path::new("")).unwrap_err();
    let json = serde_json::to_string(&problems).unwrap();
    let expected = r#"[{"file":"bailiwick.toml","line":2,"column":1,"message":"unknown key `listn`","help":"did you mean `listen`?"}]"#;
    assert_eq!(json, expected);
}

#[test]
fn a_check_needs_no_secrets_and_a_server_does() {
    let dir = tempfile::tempdir().unwrap();
    init(dir.path()).unwrap();
    let file = dir.path().join("bailiwick.toml");
    let no_env = env(&[]);
    let checked = check(&file, &no_env, SystemTime::UNIX_EPOCH).unwrap();
    let missing: Vec<&str> = checked
        .warnings
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    let expected = [
        "the environment variable OPENAI_API_KEY is not set",
        "the environment variable ANTHROPIC_API_KEY is not set",
    ];
    assert_eq!(missing, expected);
    let problems = load_governance(&load(&file).unwrap(), &no_env).unwrap_err();
    assert_eq!(problems.iter().count(), 2, "{problems}");
}

/// What is not there is a warning of a check; what is there and wrong is what a server would refuse.
#[test]
fn a_check_knows_what_is_wrong_from_what_is_not_there() {
    let pem = "[listen.agents_tls]\ncertificate = \"a.pem\"\nkey = \"a.key\"\n";
    let up = "[upstreams.up]\nkind = \"openai\"\nbase_url = \"https://up.example\"\n";
    let proxy = format!("{up}proxy = \"http://p:1\"\nproxy_auth = {{ env = \"AUTH\" }}\n");
    let key = format!("{up}api_key = {{ file = \"up.key\" }}\n");
    let ca = format!("{up}tls = {{ ca = \"up.pem\" }}\n");
    let junk = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    for (text, files, auth, wrong) in [
        (pem, &[][..], None, None),
        (pem, &[("a.pem", junk)][..], None, None),
        (
            pem,
            &[("a.pem", junk), ("a.key", junk)],
            None,
            Some("the certificate is not there"),
        ),
        (&proxy, &[], None, None),
        (&proxy, &[], Some(""), None),
        (
            &proxy,
            &[],
            Some("useronly"),
            Some("the proxy's credential has no password"),
        ),
        (&key, &[], None, None),
        (&key, &[("up.key", "a b")], None, Some("something that is not a key")),
        (&ca, &[], None, None),
        (
            &ca,
            &[("up.pem", junk)],
            None,
            Some("the certificate authority is not there"),
        ),
    ] {
        let written = format!("trust_domain = \"a\"\n{text}");
        let files = files.iter().copied();
        let home = Home::new(files.chain([("bailiwick.toml", written.as_str()), ("governance/agents/.keep", "")]));
        let variables: Vec<_> = auth.map(|auth| ("AUTH", auth)).into_iter().collect();
        let checked = check(&home.path("bailiwick.toml"), &env(&variables), SystemTime::UNIX_EPOCH);
        match (checked, wrong) {
            (Ok(checked), None) => assert!(!checked.warnings.is_empty(), "{text}"),
            (Err(problems), Some(wrong)) => assert!(problems.to_string().contains(wrong), "{text}: {problems}"),
            (checked, _) => panic!("{text}: {checked:?}"),
        }
    }
}

/// For who asks what a budget would have done, from a file or as JSON.
#[test]
fn budgets_are_read_alone() {
    let yaml =
        "kind: Budget\nname: month\nlimit: 500 USD\nper: month\nselect: { team: data, user: ann@acme.example }\n";
    let json = r#"{
        "kind": "Budget", "name": "month", "limit": "500 USD", "per": "month",
        "select": { "team": ["data"], "user": "ann@acme.example" }
    }"#
    .replace("    ", "\t");
    let budgets = parse_budgets("b.yaml", yaml.into()).unwrap();
    assert_eq!(parse_budgets("b.json", json.into()).unwrap(), budgets);
    let shown: Vec<String> = budgets
        .iter()
        .map(|budget| budget.select.as_ref().unwrap().to_string())
        .collect();
    assert_eq!(shown, ["team data, user ann@acme.example"]);
    let all = format!(
        "{{ kind: Agent, name: a, owner: o, team: t, product: p, environment: e, purpose: x, budget: {{ limit: 5 USD, per: day }} \
         }}\n---\n{{ kind: Breaker, name: b, scope: run, loops: true }}\n---\n{yaml}"
    );
    let home = Home::new([
        ("all.yaml", all.as_str()),
        ("wrong.yaml", "kind: Budget\nname: a\nlimit: 5\nper: day\n"),
    ]);
    let of_file = load_budgets(&home.path("all.yaml")).unwrap();
    let shown: Vec<String> = of_file
        .iter()
        .map(|budget| format!("{}: {}", budget.name, budget.select.as_ref().unwrap()))
        .collect();
    assert_eq!(shown, ["a: agent a", "month: team data, user ann@acme.example"]);
    let wrong = home.relative(load_budgets(&home.path("wrong.yaml")).unwrap_err());
    let expected =
        "wrong.yaml:3:8: expected an amount such as `500 USD`, `2M tokens` or `5000 calls`, found the number 5";
    assert_eq!(wrong, expected);
    let absent = home.relative(load_budgets(&home.path("absent.yaml")).unwrap_err());
    assert_eq!(
        absent,
        "absent.yaml: cannot be read: No such file or directory (os error 2)"
    );
}
