//! Least-privilege starters: an agent with its policies, the types they need, examples of entities, and tests.

/// A starter.
#[derive(Debug)]
pub struct Template {
    /// Its name, which is also its agent's.
    pub name: &'static str,
    /// What its agent does and may not do, in a line.
    pub about: &'static str,
    /// Files below the governance directory, and their texts.
    pub(super) files: [(&'static str, &'static str); 5],
}

/// The files of one template: each part of the governance directory has one, by the template's name.
macro_rules! template {
    ($name:literal, $about:literal) => {
        Template {
            name: $name,
            about: $about,
            files: [
                (
                    concat!("agents/", $name, ".yaml"),
                    include_str!(concat!("../templates/", $name, "/agent.yaml")),
                ),
                (
                    concat!("schemas/", $name, ".cedarschema"),
                    include_str!(concat!("../templates/", $name, "/schema.cedarschema")),
                ),
                (
                    concat!("policies/", $name, ".cedar"),
                    include_str!(concat!("../templates/", $name, "/policies.cedar")),
                ),
                (
                    concat!("entities/", $name, ".json"),
                    include_str!(concat!("../templates/", $name, "/entities.json")),
                ),
                (
                    concat!("tests/", $name, ".yaml"),
                    include_str!(concat!("../templates/", $name, "/tests.yaml")),
                ),
            ],
        }
    };
}

impl Template {
    /// Every template, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        template!(
            "read-only-crawler",
            "reads the websites of an audit, changes nothing, sees no personal data"
        ),
        template!(
            "code-reviewer",
            "comments on pull requests, never pushes, approves only with a person"
        ),
        template!(
            "fraud-analyst",
            "reads flagged accounts of its open case, freezes them only with a person"
        ),
        template!(
            "support-assistant",
            "serves one customer on their behalf, refunds large sums only with a person"
        ),
        template!(
            "nightly-batch",
            "reads the warehouse at night, writes one report, publishes only with a person"
        ),
    ];

    /// The template of this name.
    ///
    /// # Errors
    /// There is none; the message names the one that was probably meant, or all.
    pub fn find(name: &str) -> Result<&'static Self, String> {
        let found = Self::ALL.iter().find(|template| template.name == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|template| template.name).collect();
            let help = crate::suggest::help(name, "templates", &known);
            format!("there is no template `{}`: {help}", crate::suggest::shown(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use policy::{Breadth, Coverage};

    use super::*;
    use crate::{PolicyPlace, TenantPolicies, TestRequest, check, init, init_from, load, load_policies};

    fn written(templates: &[&'static Template]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        init_from(dir.path(), templates).unwrap_or_else(|problems| panic!("{problems}"));
        dir
    }

    fn policies(dir: &tempfile::TempDir) -> TenantPolicies {
        let place = dir.path().join("governance");
        let (mut all, warnings) =
            load_policies(PolicyPlace::Directory(&place)).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(warnings.is_empty(), "{warnings}");
        let (_, policies) = all.pop_first().unwrap();
        assert_eq!(policies.bundle.lints(), [], "a template is above reproach");
        policies
    }

    /// Every test passes, every policy decides one, and every clause is seen true and false where it can be.
    fn passes_its_tests(policies: &TenantPolicies) {
        let mut coverage = Coverage::new(&policies.bundle);
        for test in &policies.tests {
            let changed = policies
                .bundle
                .with_entities(&test.entities)
                .unwrap_or_else(|problems| panic!("{problems:?}"));
            let explanation = match &test.request {
                TestRequest::Query(query) => changed.explain(&query.query(), Breadth::Concerned),
                TestRequest::Call(call) => changed.explain_question(&call.question(), Breadth::Concerned),
            };
            let verdict = &explanation.verdict;
            let decided: Vec<&str> = verdict.policies.iter().map(AsRef::as_ref).collect();
            let expected = test.policies.as_ref().is_none_or(|expected| *expected == decided);
            let expected = expected && test.code.is_none_or(|code| code == verdict.code);
            assert!(
                expected && verdict.outcome == test.expect,
                "{}\n{explanation}",
                test.name
            );
            coverage.add(&explanation);
        }
        assert_eq!(coverage.of_policies().percent(), 100, "{:?}", coverage.undecided());
        let unseen: Vec<String> = coverage
            .policies()
            .iter()
            .flat_map(|policy| &policy.clauses)
            // Bailiwick sets it to true, or not at all.
            .filter(|clause| clause.text != "context.approval_ok")
            .filter(|clause| !clause.seen_true || !clause.seen_false)
            .map(|clause| format!("{clause:?}"))
            .collect();
        assert!(unseen.is_empty(), "{}", unseen.join("\n"));
    }

    #[test]
    fn each_loads_and_passes_its_tests() {
        for template in Template::ALL {
            let dir = written(&[template]);
            let checked = check(
                &dir.path().join("bailiwick.toml"),
                &|_| None,
                std::time::SystemTime::UNIX_EPOCH,
            );
            let checked = checked.unwrap_or_else(|problems| panic!("{problems}"));
            assert_eq!((checked.agents, checked.policy_files), (1, 1), "{}", template.name);
            // The two credentials that are not here.
            assert_eq!(checked.warnings.iter().count(), 2, "{}", checked.warnings);
            passes_its_tests(&policies(&dir));
        }
    }

    #[test]
    fn all_of_them_stand_beside_the_ordinary_files() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path()).unwrap();
        let before = fs::read_to_string(dir.path().join("bailiwick.toml")).unwrap();
        let all: Vec<&'static Template> = Template::ALL.iter().collect();
        let written = init_from(dir.path(), &all).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(written.len(), 5 * all.len());
        assert_eq!(fs::read_to_string(dir.path().join("bailiwick.toml")).unwrap(), before);
        passes_its_tests(&policies(&dir));
        // A second time nothing is written over.
        let problems = init_from(dir.path(), &all).unwrap_err();
        assert_eq!(problems.iter().count(), written.len());
    }

    #[test]
    fn they_stand_where_the_configuration_says() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("bailiwick.toml"),
            "trust_domain = \"a.example\"\ngovernance = \"./rules-of-ours\"\n",
        )
        .unwrap();
        init_from(dir.path(), &[&Template::ALL[0]]).unwrap();
        assert!(dir.path().join("rules-of-ours/agents/read-only-crawler.yaml").is_file());
        let settings = load(&dir.path().join("bailiwick.toml")).unwrap();
        assert!(settings.governance_dir.ends_with("rules-of-ours"));
    }

    /// Each shows what the documentation says a template shows.
    #[test]
    fn each_shows_approvals_groups_reasons_and_attributes() {
        for template in Template::ALL {
            let text = |part: &str| -> &str {
                let (_, text) = template.files.iter().find(|(file, _)| file.starts_with(part)).unwrap();
                text
            };
            let cedar = text("policies/");
            assert!(
                cedar.contains("@approval(") && cedar.contains("approval_ok"),
                "{}",
                template.name
            );
            assert!(
                text("entities/").contains("\"parents\": [{") && text("schemas/").contains("@authoritative(\"store\")")
            );
            let forbids = cedar.matches("\nforbid (").count();
            assert!(forbids >= 3, "{}", template.name);
            assert_eq!(cedar.matches("@reason_user(").count(), forbids, "{}", template.name);
            assert_eq!(cedar.matches("@reason_admin(").count(), forbids, "{}", template.name);
            // Whatever is permitted is permitted to this agent alone.
            let scopes = cedar.matches("permit (").count() + forbids;
            assert_eq!(
                cedar
                    .matches(&format!("principal == Agent::\"{}\"", template.name))
                    .count(),
                scopes
            );
            let tests: BTreeSet<&str> = text("tests/")
                .lines()
                .filter_map(|line| line.trim().strip_prefix("expect: "))
                .collect();
            assert_eq!(tests.len(), 3, "{}: {tests:?}", template.name);
        }
    }

    #[test]
    fn a_misspelt_name_is_told() {
        let error = Template::find("fraud-analist").unwrap_err();
        assert_eq!(
            error,
            "there is no template `fraud-analist`: did you mean `fraud-analyst`?"
        );
        assert!(
            Template::find("x")
                .unwrap_err()
                .contains("known templates: `read-only-crawler`, ")
        );
    }
}
