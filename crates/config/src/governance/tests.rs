use super::*;
use crate::{
    load,
    testing::{Home, env},
};

const SETTINGS: (&str, &str) = ("bailiwick.toml", "trust_domain = \"agents.acme.example\"\n");

fn agent(name: &str) -> String {
    format!(
        "kind: Agent\nname: {name}\nowner: o@acme.example\nteam: t\nproduct: p\nenvironment: e\npurpose: x\nbudget: {{ limit: 5 \
         USD, per: day }}\n"
    )
}

fn permit(id: &str, agent: &str) -> String {
    format!("@id(\"{id}\")\npermit (principal == Agent::\"{agent}\", action, resource);\n")
}

fn home(files: &[(&str, &str)]) -> Home {
    let mut all = vec![SETTINGS, ("governance/agents/README.md", "For people.")];
    all.extend_from_slice(files);
    Home::new(all)
}

fn load_all(home: &Home) -> Result<Loaded, Problems> {
    let settings = load(&home.path("bailiwick.toml"))?;
    load_governance(&settings, &env(&[]))
}

fn problems(files: &[(&str, &str)]) -> String {
    let home = home(files);
    match load_all(&home) {
        Err(problems) => home.relative(problems),
        Ok(loaded) => panic!("nothing is wrong; warnings: {}", loaded.warnings),
    }
}

#[test]
fn the_whole_directory_is_read() {
    let two = format!("{}---\n{}", agent("a"), agent("b"));
    let (first, second, acme) = (permit("one", "a"), permit("two", "c"), permit("one", "a"));
    let home = home(&[
        ("governance/agents/two.yaml", &two),
        ("governance/agents/one.yaml", &agent("c")),
        ("governance/agents/.two.yaml.swp", "\u{0}"),
        ("governance/policies/z.cedar", &first),
        ("governance/policies/a.cedar", &second),
        ("governance/policies/README", "For people."),
        ("governance/schemas/docs.cedarschema", "entity Doc;"),
        (
            "governance/entities/teams.json",
            r#"[{"uid": {"type": "Doc", "id": "d"}, "attrs": {}, "parents": []}]"#,
        ),
        ("governance/tenants/README.md", "For people."),
        ("governance/tenants/acme/agents/a.yaml", &agent("a")),
        ("governance/tenants/acme/policies/a.cedar", &acme),
        ("governance/tenants/empty/README.md", "Nobody yet."),
        ("governance/.git/config", ""),
        ("governance/README.md", "For people."),
    ]);
    let loaded = load_all(&home).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let shown: Vec<String> = loaded
        .governance
        .tenants
        .iter()
        .map(|(name, tenant)| {
            let agents: Vec<&str> = tenant.agents.iter().map(|agent| agent.name.as_str()).collect();
            let policy::Sources {
                schemas,
                policies,
                entities,
            } = &tenant.sources;
            let sources = schemas.iter().chain(policies).chain(entities);
            let files: Vec<&str> = sources.map(|source| source.file.as_str()).collect();
            format!("{name}: {agents:?} {files:?}")
        })
        .collect();
    let expected = [
        r#"acme: ["a"] ["tenants/acme/policies/a.cedar"]"#,
        r#"default: ["c", "a", "b"] ["schemas/docs.cedarschema", "policies/a.cedar", "policies/z.cedar", "entities/teams.json"]"#,
        "empty: [] []",
    ];
    assert_eq!(shown, expected);
    let default = &loaded.governance.tenants["default"];
    assert_eq!(default.sources.policies[0].text, second);
}

#[test]
fn everything_wrong_is_found_in_one_go() {
    let text =
        "[upstreams.openai]\nkind = \"openai\"\nbase_url = \"https://api.openai.com\"\napi_key = { env = \"KEY\" }\n";
    let found = problems(&[
        ("bailiwick.toml", &format!("{}{text}", SETTINGS.1)),
        (
            "governance/agents/a.yaml",
            "kind: Agent\nname: a\nowner: o\nteam: t\nproduct: p\nenvironment: e\npurpose: x\n",
        ),
        ("governance/agents/b.yaml", "kind: [\n"),
        (
            "governance/policies/a.cedar",
            "\npermit (principal, action, resource);\n",
        ),
        (
            "governance/policies/b.cedar",
            "@id(\"b\")\npermit (principal, action, resource)\nwhen { context.streem };\n",
        ),
        ("governance/entities/a.json", "{}"),
        ("governance/tenants/acme/policies/a.cedar", "permit (principal, action"),
    ]);
    insta::assert_snapshot!(found);
}

#[test]
fn two_agents_of_one_name_are_refused_with_both_places() {
    let two = format!("{}---\n{}", agent("b"), agent("a"));
    let found = problems(&[
        ("governance/agents/1.yaml", &agent("a")),
        ("governance/agents/2.yaml", &two),
    ]);
    let expected = "governance/agents/2.yaml:10:1: there are two agents of the name `a`\n  help: the other one is at \
                    governance/agents/1.yaml:1:1; give one of them another name";
    assert_eq!(found, expected);
}

#[test]
fn nothing_is_passed_over_in_silence() {
    let found = problems(&[
        ("governance/agent/a.yaml", ""),
        ("governance/stray.yaml", ""),
        ("governance/agents/a.yml", ""),
        ("governance/agents/team/a.yaml", ""),
        ("governance/policies/forbid.cedar.txt", ""),
        ("governance/entities/teams.yaml", ""),
        ("governance/tenants/notes.txt", ""),
        ("governance/tenants/Acme/agents/a.yaml", ""),
        ("governance/tenants/_system/agents/a.yaml", ""),
        ("governance/tenants/default/agents/a.yaml", ""),
        ("governance/tenants/acme/tenants/deep/agents/a.yaml", ""),
        ("governance/policies/a\u{1b}[2J.cedar", ""),
    ]);
    let expected = "\
governance/agent: nothing here is read
  help: did you mean `agents`?
governance/agents/a.yml: this file is not read
  help: manifests end in .yaml
governance/agents/team: nothing here is read
  help: manifests stand side by side in one directory
governance/entities/teams.yaml: this file is not read
  help: entity files end in .json
governance/policies/a\\u{1b}[2J.cedar: the file's name holds control characters
governance/policies/forbid.cedar.txt: this file is not read
  help: policy files end in .cedar
governance/stray.yaml: nothing here is read
  help: known directories: `agents`, `rules`, `schemas`, `policies`, `entities`, `tests`, `tenants`
governance/tenants/Acme: `Acme` cannot be the name of a tenant: a name starts with a lower-case letter, a digit or '_' and \
goes on with those, '-' and '.'; found 'A'
governance/tenants/_system: `_system` cannot be the name of a tenant: names that begin with '_' are Bailiwick's own
governance/tenants/acme/tenants: nothing here is read
  help: known directories: `agents`, `rules`, `schemas`, `policies`, `entities`, `tests`
governance/tenants/default: the tenant `default` is declared at the top of the governance directory
  help: move its agents, rules, schemas, policies, entities and tests there
governance/tenants/notes.txt: nothing here is read
  help: tenants are directories";
    assert_eq!(found, expected);
}

#[test]
fn files_have_bounds() {
    let comment = |bytes: usize| format!("//{}\n", "x".repeat(bytes - 3));
    let fits = comment(12 * 1024);
    assert!(load_all(&home(&[("governance/policies/a.cedar", &fits)])).is_ok());
    let manifest = format!("#{}\n", "x".repeat(1024 * 1024));
    let found = problems(&[
        ("governance/agents/a.yaml", &manifest),
        ("governance/schemas/a.cedarschema", &comment(12 * 1024 + 1)),
        ("governance/policies/a.cedar", &comment(12 * 1024 + 1)),
        // Short enough as it is, but not once its quotes are escaped in the entry.
        ("governance/policies/b.cedar", &format!("//{}\n", "\"".repeat(8 * 1024))),
    ]);
    let expected = "\
governance/agents/a.yaml: the file is longer than 1024 KiB
  help: split it into several files
governance/policies/a.cedar: the file is longer than 12 KiB
  help: the audit log carries policy files whole: split it into several files
governance/policies/b.cedar: the file is longer than 12 KiB with its quotes and line breaks escaped
  help: the audit log carries policy files whole: split it into several files
governance/schemas/a.cedarschema: the file is longer than 12 KiB
  help: the audit log carries schema files whole: split it into several files";
    assert_eq!(found, expected);
    // Entity files are not in the log.
    let blanks = format!("[]{}", " ".repeat(1024 * 1024));
    assert!(load_all(&home(&[("governance/entities/a.json", &blanks)])).is_ok());
    let names: Vec<String> = (0..101)
        .map(|n| format!("governance/schemas/{n}.cedarschema"))
        .collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let expected = "governance/schemas: there are 101 schema files, more than 100\n  help: put several into one file of at most \
                    12 KiB";
    assert_eq!(problems(&many), expected);
    let names: Vec<String> = (0..501).map(|n| format!("governance/agents/{n}.yaml")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let expected = "governance/agents: there are 501 manifests, more than 500\n  help: put several into one file of at most 1024 \
                    KiB";
    assert_eq!(problems(&many), expected);
}

#[test]
fn files_are_text() {
    let home = Home::new([
        (SETTINGS.0, SETTINGS.1.as_bytes()),
        ("governance/agents/a.yaml", b"kind: Agent\nname: \xff\n".as_slice()),
    ]);
    let found = home.relative(load_all(&home).unwrap_err());
    assert_eq!(found, "governance/agents/a.yaml:2: the line is not UTF-8 text");
    let marked = home_with_mark();
    assert_eq!(load_all(&marked).unwrap().governance.tenants["default"].agents.len(), 1);
}

fn home_with_mark() -> Home {
    let marked = format!("\u{feff}{}", agent("a"));
    home(&[("governance/agents/a.yaml", &marked)])
}

/// The way Kubernetes mounts a ConfigMap.
#[cfg(unix)]
#[test]
fn links_are_followed() {
    let home = home(&[("governance/agents/..data/a.yaml", &agent("a"))]);
    std::os::unix::fs::symlink("..data/a.yaml", home.path("governance/agents/a.yaml")).unwrap();
    assert_eq!(load_all(&home).unwrap().governance.tenants["default"].agents.len(), 1);
    std::fs::remove_file(home.path("governance/agents/..data/a.yaml")).unwrap();
    let found = home.relative(load_all(&home).unwrap_err());
    assert_eq!(
        found,
        "governance/agents/a.yaml: cannot be read: No such file or directory (os error 2)"
    );
}

#[test]
fn a_missing_directory_is_explained() {
    let home = Home::new([SETTINGS]);
    let expected = "governance: there is no such directory\n  help: `bailiwick init` writes one; `governance` in bailiwick.toml \
                    says where it is";
    assert_eq!(home.relative(load_all(&home).unwrap_err()), expected);
}

#[test]
fn policies_about_nobody_are_warned_of() {
    let home = home(&[
        ("governance/agents/a.yaml", &agent("a")),
        ("governance/policies/a.cedar", &permit("one", "b")),
    ]);
    let loaded = load_all(&home).unwrap();
    let expected = "governance/policies/a.cedar:1:1: for policy `one`, no manifest declares the agent `Agent::\"b\"`";
    assert_eq!(home.relative(loaded.warnings), expected);
}

fn rules(rules: &str) -> String {
    let agents = agent("a").replace("team: t", "team: data") + "---\n" + &agent("b").replace("team: t", "team: ops");
    let settings = format!(
        "{}[upstreams.openai]\nkind = \"openai\"\nbase_url = \"https://api.openai.com\"\n",
        SETTINGS.1
    );
    let home = home(&[
        ("bailiwick.toml", &settings),
        ("governance/agents/a.yaml", &agents),
        ("governance/rules/r.yaml", rules),
    ]);
    match load_all(&home) {
        Err(problems) => home.relative(problems),
        Ok(loaded) => home.relative(loaded.warnings),
    }
}

/// What is wrong, or looks like a mistake, only beside everything else that is declared.
#[test]
fn rules_are_checked_together() {
    crate::testing::check_table(include_str!("rules.txt"), rules);
}

#[test]
fn rules_may_stand_beside_agents_and_apart() {
    let budget = |name: &str| format!("---\n{{ kind: Budget, name: {name}, limit: 5 USD, per: day, each: [user] }}\n");
    let limit = "---\n{ kind: RateLimit, name: a, requests: 1 per second, select: { user: ann@acme.example } }\n";
    let breaker = "{ kind: Breaker, name: a, scope: run, loops: true }\n";
    let home = home(&[
        ("governance/agents/a.yaml", &(agent("a") + &budget("b") + limit)),
        ("governance/rules/all.yaml", &(breaker.to_owned() + &budget("c"))),
        ("governance/tenants/acme/rules/r.yaml", &budget("a")),
    ]);
    let loaded = load_all(&home).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let shown: Vec<String> = loaded
        .governance
        .tenants
        .iter()
        .map(|(name, tenant)| {
            let budgets: Vec<&str> = tenant.budgets.iter().map(|budget| budget.name.as_str()).collect();
            let limits: Vec<&str> = tenant.limits.iter().map(|limit| limit.name.as_str()).collect();
            let breakers: Vec<&str> = tenant.breakers.iter().map(|breaker| breaker.name.as_str()).collect();
            format!(
                "{name}: {} agents {budgets:?} {limits:?} {breakers:?}",
                tenant.agents.len()
            )
        })
        .collect();
    let expected = [
        r#"acme: 0 agents ["a"] [] []"#,
        r#"default: 1 agents ["b", "c"] ["a"] ["a"]"#,
    ];
    assert_eq!(shown, expected);
    // The log knows the user by a pseudonym; the files do not.
    let selected = &loaded.governance.tenants["default"].limits[0].select;
    assert_eq!(selected.to_string(), "user ann@acme.example");
}

#[test]
fn allowances_that_nobody_can_use_are_warned_of() {
    let settings = format!("{}[audit]\nspool = \"spool\"\n", SETTINGS.1);
    let found = |rules: &str| {
        let home = home(&[
            ("bailiwick.toml", &settings),
            (
                "governance/agents/a.yaml",
                &(agent("a") + "allowance: 1 USD\n---\n" + &agent("b")),
            ),
            ("governance/rules/r.yaml", rules),
        ]);
        match load_all(&home) {
            Err(problems) => home.relative(problems),
            Ok(loaded) => home.relative(loaded.warnings),
        }
    };
    for fine in [
        "{ kind: Budget, name: x, limit: 5 USD, per: day, select: { team: t, agent: a }, each: [team] }",
        "{ kind: Budget, name: x, limit: 5 calls, per: day, select: { agent: b } }",
        "{ kind: Budget, name: x, limit: 5 calls, per: day, select: { agent: [a, b], environment: [f*] } }",
        "{ kind: RateLimit, name: x, requests: 5 per hour, select: { user: ann } }",
    ] {
        let warnings = found(fine).replace("governance/rules/r.yaml", "");
        assert!(!warnings.contains("allowance"), "{fine}: {warnings}");
    }
    for (idle, why) in [
        ("limit: 5 calls, per: day", "counts calls"),
        (
            "limit: 5 USD, per: day, select: { agent: a, model: m }",
            "selects by model",
        ),
        (
            "limit: 5 USD, per: day, select: { team: t* }, each: [user]",
            "keeps a pot for each user",
        ),
        (
            "limit: 5 USD, per: day, select: { agent: \"a*\", tier: api }",
            "selects by tier",
        ),
    ] {
        let expected = format!(
            "governance/agents/a.yaml:1:1: the agent `a` has no use of its allowance: the budget `x` {why}\n  help: that is not \
             known while the log cannot be written, so the agent is refused then; leave `allowance` out, or the agent out of \
             the budget at governance/rules/r.yaml:1:1"
        );
        assert_eq!(found(&format!("{{ kind: Budget, name: x, {idle} }}")), expected);
    }
}

#[test]
fn rules_have_bounds() {
    let many = |of: &str, count: usize| -> String {
        let documents = (0..count).map(|n| format!("{{ name: r{n}, {of} }}\n"));
        rules(&documents.collect::<Vec<_>>().join("---\n"))
    };
    let expected = "governance/rules/r.yaml:513:1: there are 257 breakers, more than 256\n  help: let one select more: it counts \
                    for each run, agent or team";
    assert_eq!(many("kind: Breaker, scope: run, loops: true", 257), expected);
    assert!(many("kind: Breaker, scope: run, loops: true", 256).is_empty());
    let found = many("kind: RateLimit, requests: 1 per hour", 1_001);
    assert!(
        found.contains("there are 1001 rate limits, the most is 1000\n  help: "),
        "{found}"
    );
    // Of limits that all say the same, each but the first is told of, up to a bound.
    let found = many("kind: RateLimit, requests: 1 per hour", 100);
    assert_eq!(found.matches("neither is more specific").count(), 50);
}

#[test]
fn a_request_is_not_selected_by_too_many_budgets() {
    let budgets = |count: usize, select: &str| -> String {
        let of_all = (0..count)
            .map(|n| format!("{{ kind: Budget, name: r{n:02}, limit: 5 USD, per: day, select: {{ {select} }} }}\n"));
        let other = "{ kind: Budget, name: other, limit: 5 USD, per: day, select: { team: ops } }\n".to_owned();
        rules(&of_all.chain([other]).collect::<Vec<_>>().join("---\n"))
    };
    assert_eq!(budgets(15, "team: data"), "");
    let expected = "governance/rules/r.yaml:31:1: 16 budgets could select one request (team data), besides the one of its \
                    agent, and 16 are the most in all\n  help: narrow what some of them select, or remove some, of r00, r01, \
                    r02, r03, r04, r05, r06, r07, r08, r09, r10, r11, r12, r13, r14, r15";
    assert_eq!(budgets(16, "team: data"), expected);
}

#[test]
fn policies_come_with_their_tests() {
    let test = |name: &str| format!("- name: {name}\n  request: {{ agent: a, model: openai/x }}\n  expect: deny\n");
    let home = home(&[
        ("governance/agents/a.yaml", &agent("a")),
        ("governance/policies/a.cedar", &permit("one", "a")),
        ("governance/tests/a.yaml", &test("first")),
        ("governance/tests/b.yaml", &test("second")),
        ("governance/tenants/acme/tests/a.yaml", &test("first")),
    ]);
    let root = home.path("governance");
    for place in [
        PolicyPlace::Directory(&root),
        PolicyPlace::Settings(&home.path("bailiwick.toml")),
    ] {
        let (all, warnings) = load_policies(place).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(warnings.is_empty(), "{warnings}");
        let found: Vec<String> = all
            .iter()
            .map(|(tenant, policies)| {
                let tests = policies.tests.iter();
                let tests = tests.map(|test| format!("{} at {}:{}", test.name, home.relative(&test.file), test.line));
                format!(
                    "{tenant}: {:?}, {}",
                    policies.bundle.policy_ids(),
                    tests.collect::<Vec<_>>().join(", ")
                )
            })
            .collect();
        let expected = [
            "acme: [], first at governance/tenants/acme/tests/a.yaml:1",
            "default: [\"one\"], first at governance/tests/a.yaml:1, second at governance/tests/b.yaml:1",
        ];
        assert_eq!(found, expected);
    }
}

#[test]
fn mistakes_in_tests_are_found_by_a_check() {
    let test = "- name: t\n  request: { agent: a, model: openai/x }\n  expect: deny\n";
    let found = problems(&[
        ("governance/tests/a.yaml", test),
        ("governance/tests/b.yaml", test),
        ("governance/tests/c.yml", test),
    ]);
    let expected = "governance/tests/b.yaml:1: there is another test `t`\n  help: the first is at \
                    governance/tests/a.yaml:1; give one of them another name\n\
                    governance/tests/c.yml: this file is not read\n  help: policy tests end in .yaml";
    assert_eq!(found, expected);
}
