//! `bailiwick policy test`

use std::{
    fs,
    path::{Path, PathBuf},
};

use config::{PolicyTest, TenantPolicies, TestRequest};
use model::TenantName;
use policy::{Breadth, Bundle, Coverage, Explanation};
use serde_json::{Value, json};

use super::{
    super::{
        Common, Failure,
        output::{BAD, DOUBTFUL, GOOD, Output},
        table::{clean, clean_lines},
    },
    Place,
    coverage::{self, Covered},
    junit, shown,
};

/// Run the tests that stand beside the policies
///
/// A test is a request and what should be answered. Tests stand in governance/tests/*.yaml; those that fail are shown with
/// an explanation of the answer. A policy is covered if it decides a test, a clause if it is seen true and false.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if all tests pass and cover enough, 1 if not, 64 if the files are wrong.

A test, as a document or as an item of a list:
  name: a stranger may not read the plan
  request:
    subject: { type: User, id: mallory }
    action: read
    resource: { type: Doc, id: plan }
  expect: deny
  policies: []

Examples:
  bailiwick policy test
  bailiwick policy test governance/tests/docs.yaml --filter stranger
  bailiwick policy test --coverage --min-coverage 100 --junit results.xml")]
pub(in crate::cli) struct Args {
    /// Only the tests of these files [default: all in governance/tests]
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Show which policies and clauses the tests cover
    #[arg(long)]
    coverage: bool,
    /// Fail if less of the policies decide a test, in percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_coverage: Option<u8>,
    /// Write the results as JUnit XML, for CI
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

/// A test that was run.
struct Ran<'a> {
    test: &'a PolicyTest,
    tenant: &'a TenantName,
    /// What is otherwise than expected, in sentences.
    wrong: Vec<String>,
    /// None if the test's own entities do not fit.
    explanation: Option<Explanation>,
}

pub(super) fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let all = args.place.load(common)?;
    let mut covered = Covered::new();
    let mut ran = Vec::new();
    for (tenant, policies) in &all {
        let mut coverage = Coverage::new(&policies.bundle);
        for test in policies.tests.iter().filter(|test| args.wants(test)) {
            let done = run_one(test, tenant, policies);
            if let Some(explanation) = &done.explanation {
                coverage.add(explanation);
            }
            ran.push(done);
        }
        covered.insert(tenant, (coverage, policies.root.as_path()));
    }
    if ran.is_empty() {
        return Err(args.nothing_to_run(all.values()));
    }
    if let Some(file) = &args.junit {
        let cases: Vec<junit::Case<'_>> = ran.iter().map(Ran::case).collect();
        fs::write(file, junit::document(&cases))
            .map_err(|error| Failure::failed(format!("{}: cannot be written: {error}", file.display())))?;
    }
    let too_little = args
        .min_coverage
        .filter(|least| coverage::shares(&covered)[0].percent() < *least);
    out.show(&report(&ran, &covered, too_little.is_none()), |out| {
        for done in ran.iter().filter(|done| !done.wrong.is_empty()) {
            done.print(out)?;
        }
        if args.coverage {
            coverage::print(&covered, out)?;
        } else if too_little.is_some() {
            coverage::print_missing(&covered, out)?;
        }
        if args.coverage || args.min_coverage.is_some() {
            let style = if too_little.is_some() { DOUBTFUL } else { GOOD };
            let sentence = coverage::sentence(coverage::shares(&covered));
            out.line(format_args!("{style}coverage:{style:#} {sentence}"))?;
        }
        if let Some(least) = too_little {
            out.line(format_args!(
                "{BAD}error:{BAD:#} that is less than the {least} % of policies that were asked for"
            ))?;
        }
        let failed = ran.iter().filter(|done| !done.wrong.is_empty()).count();
        let passed = ran.len() - failed;
        match failed {
            0 => out.line(format_args!("{GOOD}ok:{GOOD:#} {passed} passed")),
            _ => out.line(format_args!("{BAD}failed:{BAD:#} {failed} failed, {passed} passed")),
        }
    })?;
    match too_little.is_none() && ran.iter().all(|done| done.wrong.is_empty()) {
        true => Ok(()),
        false => Err(Failure::Said),
    }
}

impl Args {
    fn wants(&self, test: &PolicyTest) -> bool {
        let same = |file: &PathBuf| {
            let real = |path: &Path| fs::canonicalize(path).ok();
            real(file).is_some_and(|file| real(Path::new(&test.file)) == Some(file))
        };
        let of_file = self.files.is_empty() || self.files.iter().any(same);
        of_file && self.filter.as_ref().is_none_or(|text| test.name.contains(text))
    }

    /// No test at all is more often a mistake than meant.
    fn nothing_to_run<'a>(&self, mut all: impl Iterator<Item = &'a TenantPolicies>) -> Failure {
        let missing = self.files.iter().find(|file| !file.exists());
        Failure::failed(match (missing, &self.filter) {
            (Some(file), _) => format!("{}: there is no such file", file.display()),
            (None, Some(text)) => format!("no test has a name with {text:?} in it"),
            (None, None) if all.any(|policies| !policies.tests.is_empty()) => {
                "none of the files is among those of governance/tests; tests belong to the policies beside them"
                    .to_owned()
            }
            (None, None) => {
                "there are no tests; write them in governance/tests/*.yaml, as `bailiwick policy test --help` \
                             shows"
                    .to_owned()
            }
        })
    }
}

fn run_one<'a>(test: &'a PolicyTest, tenant: &'a TenantName, policies: &TenantPolicies) -> Ran<'a> {
    let changed = match test.entities.as_slice() {
        [] => Ok(None),
        changes => policies.bundle.with_entities(changes).map(Some),
    };
    let (wrong, explanation) = match changed {
        Ok(changed) => {
            let explanation = explain(&test.request, changed.as_ref().unwrap_or(&policies.bundle));
            (wrong(test, &explanation), Some(shown(explanation, &policies.root)))
        }
        Err(problems) => (problems.iter().map(ToString::to_string).collect(), None),
    };
    Ran {
        test,
        tenant,
        wrong,
        explanation,
    }
}

/// Why the request is answered as it is.
pub(super) fn explain(request: &TestRequest, bundle: &Bundle) -> Explanation {
    match request {
        TestRequest::Query(query) => bundle.explain(&query.query(), Breadth::Concerned),
        TestRequest::Call(call) => bundle.explain_question(&call.question(), Breadth::Concerned),
    }
}

fn wrong(test: &PolicyTest, explanation: &Explanation) -> Vec<String> {
    let verdict = &explanation.verdict;
    let mut wrong = Vec::new();
    if verdict.outcome != test.expect {
        let (expected, got) = (test.expect.as_str(), verdict.outcome.as_str());
        wrong.push(format!("expected {expected}, got {got}"));
    }
    if let Some(code) = test.code.filter(|code| *code != verdict.code) {
        wrong.push(format!("expected the code {code}, got {}", verdict.code));
    }
    let decided: Vec<&str> = verdict.policies.iter().map(AsRef::as_ref).collect();
    if let Some(expected) = test.policies.as_ref().filter(|expected| **expected != decided) {
        let list = |ids: &[&str]| {
            if ids.is_empty() {
                "no policy".to_owned()
            } else {
                ids.join(", ")
            }
        };
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        wrong.push(format!(
            "expected {} to decide, got {}",
            list(&expected),
            list(&decided)
        ));
    }
    wrong
}

impl Ran<'_> {
    fn print(&self, out: &mut Output) -> std::io::Result<()> {
        let PolicyTest { name, file, line, .. } = self.test;
        out.line(format_args!(
            "{BAD}failed:{BAD:#} {}",
            clean(&format!("{file}:{line}: {name}"))
        ))?;
        for wrong in &self.wrong {
            out.line(format_args!("  {}", clean_lines(wrong)))?;
        }
        for line in self.explanation.iter().flat_map(indented) {
            out.line(clean(&line))?;
        }
        out.line("")
    }

    fn case(&self) -> junit::Case<'_> {
        let text = || self.explanation.as_ref().map(ToString::to_string).unwrap_or_default();
        junit::Case {
            file: &self.test.file,
            line: self.test.line,
            name: &self.test.name,
            failure: (!self.wrong.is_empty()).then(|| (self.wrong.join("; "), text())),
        }
    }

    fn json(&self) -> Value {
        let failed = !self.wrong.is_empty();
        json!({
            "name": self.test.name,
            "file": self.test.file,
            "line": self.test.line,
            "tenant": self.tenant,
            "passed": !failed,
            "wrong": self.wrong,
            "explanation": self.explanation.as_ref().filter(|_| failed).map(Explanation::to_json),
        })
    }
}

fn indented(explanation: &Explanation) -> Vec<String> {
    let lines = explanation.to_string();
    lines
        .lines()
        .map(|line| format!("  {line}").trim_end().to_owned())
        .collect()
}

fn report(ran: &[Ran<'_>], covered: &Covered<'_>, enough: bool) -> Value {
    let failed = ran.iter().filter(|done| !done.wrong.is_empty()).count();
    json!({
        "ok": failed == 0 && enough,
        "passed": ran.len() - failed,
        "failed": failed,
        "tests": ran.iter().map(Ran::json).collect::<Vec<_>>(),
        "coverage": coverage::json(covered),
    })
}
