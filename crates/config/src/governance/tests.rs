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
        ("governance/entities/teams.json", "[]"),
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
            let sources = tenant.policies.iter().chain(&tenant.entities);
            let files: Vec<&str> = sources.map(|source| source.file.as_str()).collect();
            format!("{name}: {agents:?} {files:?}")
        })
        .collect();
    let expected = [
        r#"acme: ["a"] ["tenants/acme/policies/a.cedar"]"#,
        r#"default: ["c", "a", "b"] ["policies/a.cedar", "policies/z.cedar", "entities/teams.json"]"#,
        "empty: [] []",
    ];
    assert_eq!(shown, expected);
    let default = &loaded.governance.tenants["default"];
    assert_eq!(default.policies[0].text, second);
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
  help: known directories: `agents`, `policies`, `entities`, `tenants`
governance/tenants/Acme: `Acme` cannot be the name of a tenant: a name starts with a lower-case letter, a digit or '_' and \
goes on with those, '-' and '.'; found 'A'
governance/tenants/_system: `_system` cannot be the name of a tenant: names that begin with '_' are Bailiwick's own
governance/tenants/acme/tenants: nothing here is read
  help: known directories: `agents`, `policies`, `entities`
governance/tenants/default: the tenant `default` is declared at the top of the governance directory
  help: move its agents, policies and entities there
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
        ("governance/entities/a.json", &comment(12 * 1024 + 1)),
        ("governance/policies/a.cedar", &comment(12 * 1024 + 1)),
        // Short enough as it is, but not once its quotes are escaped in the entry.
        ("governance/policies/b.cedar", &format!("//{}\n", "\"".repeat(8 * 1024))),
    ]);
    let expected = "\
governance/agents/a.yaml: the file is longer than 1024 KiB
  help: split it into several files
governance/entities/a.json: the file is longer than 12 KiB
  help: the audit log carries entity files whole: split it into several files
governance/policies/a.cedar: the file is longer than 12 KiB
  help: the audit log carries policy files whole: split it into several files
governance/policies/b.cedar: the file is longer than 12 KiB with its quotes and line breaks escaped
  help: the audit log carries policy files whole: split it into several files";
    assert_eq!(found, expected);
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
