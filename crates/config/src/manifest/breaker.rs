//! `kind: Breaker`.

mod rules;

use ledger::{BreakerProblem, BreakerSpec, Scope, StepKind};
use model::BreakerName;
use schemars::JsonSchema;
use serde::Deserialize;

use self::rules::{COOLDOWNS, RawErrors, RawLoops, RawNoProgress, RawSpend, RawSurge, Rules};
use super::{
    Declared,
    check::Check,
    kind::BreakerKind,
    select::{RawSelect, Selected},
};
use crate::{
    file::within,
    node::{Field, Placed},
    problem::Findings,
    quantity::Span,
};

/// How long a breaker that tripped stays open.
const COOLDOWN_S: u32 = BreakerSpec::COOLDOWN_S;

/// A circuit breaker: it stops a run, an agent or a team that behaves as nothing healthy does.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Breaker", extend("required" = ["kind", "name", "scope"]))]
pub(crate) struct RawBreaker {
    /// What the document declares.
    kind: Field<BreakerKind>,
    /// The breaker's name, unique in its tenant: lower-case letters, digits, '-', '_' and '.'.
    name: Field<String>,
    /// Which requests it is about; all of the tenant's if absent.
    select: Field<RawSelect>,
    /// What it stops when it trips.
    scope: Field<RawScope>,
    /// Trips when more than an amount is spent within a time.
    spend: Field<RawSpend>,
    /// Trips when what is spent within a time is a multiple of what usually is.
    surge: Field<RawSurge>,
    /// Trips when the same step is taken again and again. `true` for the defaults.
    loops: Field<RawLoops>,
    /// What makes two steps the same, for `loops` and `no_progress`.
    #[schemars(extend("default" = "calls"))]
    steps: Field<RawSteps>,
    /// Trips when too many calls fail.
    errors: Field<RawErrors>,
    /// Trips when many calls take only few different steps.
    no_progress: Field<RawNoProgress>,
    /// How long it stays open before one call may probe.
    #[schemars(extend("default" = "10 minutes"))]
    cooldown: Field<Span>,
}

/// What is stopped together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum RawScope {
    /// One run of an agent.
    Run,
    /// One agent.
    Agent,
    /// All agents of a team.
    Team,
}

/// What makes two steps the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum RawSteps {
    /// The same prompt, or the same tool calls with the same arguments.
    Calls,
    /// The same, and the tools answered the same.
    Results,
}

impl TryFrom<Placed<RawBreaker>> for Declared<BreakerSpec> {
    type Error = Findings;

    fn try_from(Placed { mark, value: raw }: Placed<RawBreaker>) -> Result<Self, Findings> {
        let mut check = Check::of("breaker", mark, &raw.name);
        check.required(
            "kind",
            raw.kind,
            "every document says what it declares: `kind: Breaker`",
        );
        let help = "every breaker needs a name: refusals, reports and the log call it by that";
        let name = check.name(raw.name, BreakerName::new, help);
        let help = "say what it stops when it trips: `run`, `agent` or `team`";
        let scope = check.required("scope", raw.scope, help);
        let scope = scope.map(|scope| match scope.value {
            RawScope::Run => Scope::Run,
            RawScope::Agent => Scope::Agent,
            RawScope::Team => Scope::Team,
        });
        let select = raw.select.value().unwrap_or_default();
        let Selected { selector, values } = Selected::read(select, false, &mut check.findings);
        let given = raw.spend.is_present()
            || raw.surge.is_present()
            || raw.loops.is_present()
            || raw.errors.is_present()
            || raw.no_progress.is_present();
        if !given {
            let message = format!("nothing trips {}", check.subject);
            let help = "say what does: `spend`, `surge`, `loops`, `errors` or `no_progress`";
            check.findings.add_with_help(mark, message, help);
        }
        let mut rules = Rules(&mut check.findings);
        let spend = rules.spend(raw.spend);
        let surge = rules.surge(raw.surge);
        let loops = rules.loops(raw.loops);
        let errors = rules.errors(raw.errors);
        let no_progress = rules.no_progress(raw.no_progress);
        let steps = match raw.steps.value() {
            Some(RawSteps::Results) => StepKind::Results,
            Some(RawSteps::Calls) | None => StepKind::Calls,
        };
        let cooldown = match raw.cooldown {
            Field::Absent => Some(Span(COOLDOWN_S)),
            cooldown => within(cooldown, COOLDOWNS, &mut check.findings),
        };
        let breaker = || {
            Some(BreakerSpec {
                name: name?,
                select: selector,
                scope: scope?,
                spend,
                surge,
                loops,
                steps,
                errors,
                no_progress,
                cooldown_s: cooldown?.0,
            })
        };
        let breaker = breaker();
        // What was checked above has its place; this is whatever else the ledger would refuse. A rule that was reported is
        // missing here.
        if check.findings.is_empty()
            && let Some(Err(problem)) = breaker.as_ref().map(BreakerSpec::check)
            && problem != BreakerProblem::NoRule
        {
            check.findings.add(mark, problem.to_string());
        }
        check.recorded(breaker.as_ref());
        let declared = breaker.map(|spec| Self { mark, spec, values });
        check.findings.conclude(declared)
    }
}
