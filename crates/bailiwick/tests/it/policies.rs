//! `bailiwick policy` and the templates, as people see them.

use std::{fs, path::Path, process::Stdio};

use tempfile::TempDir;

use crate::harness::{Done, bailiwick};

/// A directory with a template's files.
struct Starter(TempDir);

impl Starter {
    fn new(template: &str) -> Self {
        let starter = Self(tempfile::Builder::new().prefix("bailiwick-it-").tempdir().unwrap());
        starter.run(&["init", "--template", template, "."]).exits(0);
        starter
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, arguments: &[&str]) -> Done {
        Done::of(bailiwick(self.path()).args(arguments))
    }

    fn story(&self, arguments: &[&str]) -> String {
        self.run(arguments).story(self.path())
    }

    #[track_caller]
    fn edit(&self, name: &str, from: &str, to: &str) {
        let path = self.path().join("governance").join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name} does not have {from:?}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }
}

#[test]
fn templates_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| Done::of(bailiwick(dir.path()).args(arguments)).story(dir.path());
    insta::assert_snapshot!("templates", run(&["init", "--template", "list"]));
    insta::assert_snapshot!("mistake_template", run(&["init", "--template", "fraud", "."]));
    insta::assert_snapshot!(
        "mistake_template_nowhere",
        run(&["init", "--template", "fraud-analyst"])
    );
}

#[test]
fn a_template_is_written_checked_and_tested() {
    let starter = Starter::new("fraud-analyst");
    insta::assert_snapshot!("template_check", starter.story(&["check"]));
    insta::assert_snapshot!("policy_check", starter.story(&["policy", "check"]));
    insta::assert_snapshot!(
        "policy_check_directory",
        starter.story(&["policy", "check", "governance"])
    );
    insta::assert_snapshot!("policy_test", starter.story(&["policy", "test"]));
    insta::assert_snapshot!(
        "policy_test_coverage",
        starter.story(&["policy", "test", "--coverage", "--min-coverage", "100"])
    );
    insta::assert_snapshot!(
        "template_twice",
        starter.story(&["init", "--template", "fraud-analyst", "."])
    );
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let starter = Starter::new("fraud-analyst");
    starter.edit(
        "policies/fraud-analyst.cedar",
        "resource.flagged };",
        "resource.flaged };",
    );
    starter.edit("tests/fraud-analyst.yaml", "expect: permit", "expects: permit");
    insta::assert_snapshot!("policy_check_mistakes", starter.story(&["policy", "check"]));
    let json = starter.run(&["policy", "check", "--json"]).exits(64).json();
    assert_eq!(
        (&json["ok"], json["problems"].as_array().unwrap().len()),
        (&false.into(), 3),
        "{json}"
    );
    // Whatever needs the policies says the same, and does nothing.
    assert!(starter.run(&["policy", "test"]).exits(64).stderr.contains("flaged"));
    // A schema that cannot be read, and a policy that is too wide.
    let starter = Starter::new("nightly-batch");
    starter.edit(
        "schemas/nightly-batch.cedarschema",
        "entity Report;",
        "entity Report in [Shelf];",
    );
    insta::assert_snapshot!("policy_check_schema", starter.story(&["policy", "check"]));
    let starter = Starter::new("nightly-batch");
    starter.edit(
        "policies/nightly-batch.cedar",
        "@id(\"batch-changes-no-data\")",
        "@id(\"wide\") forbid (principal, action, resource is Model) when { resource.name like \"*\" };\n\
         @id(\"all\") forbid (principal, action, resource);\n@id(\"batch-changes-no-data\")",
    );
    insta::assert_snapshot!("policy_check_lints", starter.story(&["policy", "check"]));
}

#[test]
fn a_test_that_fails_is_explained() {
    let starter = Starter::new("fraud-analyst");
    starter.edit("entities/fraud-analyst.json", "\"flagged\": true", "\"flagged\": false");
    let arguments = [
        "policy",
        "test",
        "--filter",
        "open case may be read",
        "--junit",
        "out.xml",
    ];
    insta::assert_snapshot!("policy_test_failed", starter.story(&arguments));
    let xml = fs::read_to_string(starter.path().join("out.xml")).unwrap();
    assert!(
        xml.contains("tests=\"1\" failures=\"1\"") && xml.contains("expected permit, got deny"),
        "{xml}"
    );
    let json = starter.run(&["policy", "test", "--json"]).exits(1).json();
    assert_eq!(json["ok"], false);
    assert!(json["tests"][0]["explanation"]["policies"].is_array());
    assert!(json["tests"][1]["explanation"].is_null(), "one that passes needs none");
    // Too little is covered: exit code 1, and what is missing.
    let arguments = ["policy", "test", "--filter", "never exported", "--min-coverage", "50"];
    insta::assert_snapshot!("policy_test_uncovered", starter.story(&arguments));
    insta::assert_snapshot!(
        "mistake_filter",
        starter.story(&["policy", "test", "--filter", "nothing of that name"])
    );
    insta::assert_snapshot!("mistake_file", starter.story(&["policy", "test", "tests/fraud.yaml"]));
    let one = starter
        .run(&[
            "policy",
            "test",
            "governance/tests/fraud-analyst.yaml",
            "--filter",
            "exported",
        ])
        .exits(0);
    assert_eq!(one.stdout, "ok: 1 passed\n");
    // A test may not stand elsewhere, nor twice.
    starter.edit(
        "tests/fraud-analyst.yaml",
        "transactions are never exported",
        "a closed case takes no proposal",
    );
    insta::assert_snapshot!("mistake_same_name", starter.story(&["policy", "test"]));
}

#[test]
fn requests_are_explained() {
    let starter = Starter::new("support-assistant");
    let ask = |more: &[&str]| {
        let all = [
            "policy",
            "explain",
            "--subject",
            "Agent:support-assistant",
            "--context",
            "on_behalf_of=example-ann",
        ];
        starter.story(&[&all, more].concat())
    };
    let own = ["--action", "order:read", "--resource", "Support::Order:example-1001"];
    insta::assert_snapshot!("explain_permit", ask(&own));
    let another = ["--action", "order:read", "--resource", "Support::Order:example-1002"];
    insta::assert_snapshot!("explain_forbidden", ask(&another));
    let refund = [
        "--action",
        "order:refund",
        "--resource",
        "Support::Order:example-1001",
        "--action-property",
    ];
    insta::assert_snapshot!("explain_approval", ask(&[&refund[..], &["cents=9000"]].concat()));
    insta::assert_snapshot!("explain_nothing_permits", ask(&[&refund[..], &["cents=0"]].concat()));
    insta::assert_snapshot!(
        "explain_type",
        ask(&["--action", "order:read", "--resource", "Suport::Order:example-1001"])
    );
    insta::assert_snapshot!(
        "explain_action",
        ask(&["--action", "order:raed", "--resource", "Support::Order:example-1001"])
    );
    let call = [
        "policy",
        "explain",
        "--agent",
        "support-assistant",
        "--model",
        "openai/gpt-4o-mini",
        "--cost",
        "0.01 USD",
    ];
    insta::assert_snapshot!("explain_call", starter.story(&call));
    insta::assert_snapshot!(
        "mistake_incomplete",
        starter.story(&["policy", "explain", "--subject", "User:alice"])
    );
    insta::assert_snapshot!(
        "mistake_party",
        starter.story(&["policy", "explain", "--subject", "alice"])
    );
    let mistaken = [
        "policy",
        "explain",
        "--agent",
        "support-assistant",
        "--model",
        "gpt-4o-mini",
    ];
    insta::assert_snapshot!("mistake_model", starter.story(&mistaken));
    let all = [
        &[
            "policy",
            "explain",
            "--all",
            "--json",
            "--subject",
            "Agent:support-assistant",
        ][..],
        &own,
    ]
    .concat();
    let json = starter.run(&all).exits(0).json();
    assert_eq!(
        (json["policies"].as_array().unwrap().len(), &json["left_out"]),
        (8, &0.into())
    );
}

#[test]
fn a_request_is_read_from_standard_input() {
    use std::io::Write as _;
    let starter = Starter::new("support-assistant");
    let request = r#"{"subject": {"type": "Agent", "id": "support-assistant"}, "action": {"name": "ticket:reply"},
        "resource": {"type": "Support::Ticket", "id": "example-2"},
        "context": {"on_behalf_of": {"type": "Support::Customer", "id": "example-ann"}}}"#;
    let mut command = bailiwick(starter.path());
    command.args(["policy", "explain", "--request", "-"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && said.starts_with("deny (forbidden): "),
        "{said}"
    );
    assert!(said.contains("resource.escalated is true"), "{said}");
}
