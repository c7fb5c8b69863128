//! What of a tenant's rules can be checked only when all of them are known, and its agents.

mod known;

use std::collections::{BTreeMap, BTreeSet};

use control::{AgentSpec, PepSpec, TenantGovernance};
use ledger::{
    BreakerSpec, BudgetSpec, Label, MAX_BREAKERS, MAX_BUDGETS_PER_HOLD, Measure, Overlap, RateProblem, RateSpec,
    Selector, check_overlap, check_rates,
};
use model::{LimitName, TenantName};

use self::known::Known;

use crate::{
    manifest::{Declared, Document},
    node::Placed,
    problem::{Problem, Problems},
    suggest::shown,
};

/// The most pairs of rate limits that are told of, of which neither is more specific.
const MAX_TIES: usize = 50;

/// Something and the file it stands in, as a person would type it.
#[derive(Debug)]
pub(super) struct In<T> {
    file: String,
    is: T,
}

/// All that the manifests of a tenant declare.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    agents: Vec<In<Placed<AgentSpec>>>,
    budgets: Vec<In<Declared<BudgetSpec>>>,
    limits: Vec<In<Declared<RateSpec>>>,
    breakers: Vec<In<Declared<BreakerSpec>>>,
    peps: Vec<In<Placed<PepSpec>>>,
}

impl Declarations {
    pub(super) fn add(&mut self, file: &str, document: Document) {
        let file = file.to_owned();
        match document {
            Document::Agent(is) => self.agents.push(In { file, is }),
            Document::Budget(is) => self.budgets.push(In { file, is }),
            Document::RateLimit(is) => self.limits.push(In { file, is }),
            Document::Breaker(is) => self.breakers.push(In { file, is }),
            Document::Pep(is) => self.peps.push(In { file, is }),
        }
    }

    /// Checks what can be: names, and whether an allowance can be used at all.
    pub(super) fn check(&self, spooling: bool, problems: &mut Problems) {
        let mut names = Names::default();
        for agent in &self.agents {
            let name = agent.is.value.name.as_str();
            names.take(["agent", "budget"], name, agent.place(), problems);
            if agent.is.value.allowance.is_some() && !spooling {
                let message = format!("the agent `{name}` has an allowance, but there is no spool to record its use");
                let help = "set `spool` in [audit] of bailiwick.toml to a directory on another disk than `data_dir`";
                problems.push(agent.place().problem(message, help));
            }
        }
        for budget in &self.budgets {
            names.take(["budget"], budget.is.spec.name.as_str(), budget.place(), problems);
        }
        for limit in &self.limits {
            names.take(["rate limit"], limit.is.spec.name.as_str(), limit.place(), problems);
        }
        for breaker in &self.breakers {
            names.take(["breaker"], breaker.is.spec.name.as_str(), breaker.place(), problems);
        }
        let mut certificates = BTreeMap::new();
        for pep in &self.peps {
            let PepSpec {
                name,
                certificates: own,
                ..
            } = &pep.is.value;
            names.take(["enforcement point"], name.as_str(), pep.place(), problems);
            for certificate in own {
                if let Some(other) = certificates.insert(*certificate, name)
                    && other != name
                {
                    let message = format!("the enforcement point `{name}` has a certificate of `{other}`");
                    let help = "a certificate says who somebody is: give each enforcement point its own";
                    problems.push(pep.place().problem(message, help));
                }
            }
        }
        if let Some(one_more) = self.breakers.get(MAX_BREAKERS) {
            let message = format!("there are {} breakers, more than {MAX_BREAKERS}", self.breakers.len());
            problems.push(
                one_more
                    .place()
                    .problem(message, "let one select more: it counts for each run, agent or team"),
            );
        }
        self.check_overlap(problems);
        self.check_limits(problems);
    }

    /// A request must be held in every budget that selects it, and in its agent's own.
    fn check_overlap(&self, problems: &mut Problems) {
        let specs: Vec<&BudgetSpec> = self.budgets.iter().map(|budget| &budget.is.spec).collect();
        let Err(error) = check_overlap(1, &specs) else { return };
        let (names, message, help) = match error {
            Overlap::TooMany {
                request,
                count,
                budgets,
                ..
            } => {
                let message = format!(
                    "{count} budgets could select one request ({}), besides the one of its agent, and {MAX_BUDGETS_PER_HOLD} \
                     are the most in all",
                    shown(&request.to_string())
                );
                let listed: Vec<String> = budgets
                    .iter()
                    .take(MAX_BUDGETS_PER_HOLD)
                    .map(ToString::to_string)
                    .collect();
                let help = format!(
                    "narrow what some of them select, or remove some, of {}",
                    listed.join(", ")
                );
                (budgets, message, help)
            }
            Overlap::TooTangled { labels } => {
                let labels: Vec<&str> = labels.iter().map(|label| label.as_str()).collect();
                let message = format!(
                    "the budgets overlap in too many ways to find out whether more than {MAX_BUDGETS_PER_HOLD} could select \
                     one request"
                );
                let help = format!(
                    "name fewer values and patterns of {}, or let one budget with `each` take the place of many",
                    labels.join(", ")
                );
                (Vec::new(), message, help)
            }
        };
        // The last one is the one too many.
        let last = self.budgets.iter().rev();
        let last = last
            .clone()
            .find(|budget| names.contains(&budget.is.spec.name))
            .or(last.clone().next());
        if let Some(last) = last {
            problems.push(last.place().problem(message, &help));
        }
    }

    /// What rate limits must keep to together. Names were checked.
    fn check_limits(&self, problems: &mut Problems) {
        let mut limits: BTreeMap<&LimitName, &In<Declared<RateSpec>>> = BTreeMap::new();
        for limit in &self.limits {
            limits.entry(&limit.is.spec.name).or_insert(limit);
        }
        // The check tells one problem at a time.
        for _ in 0..MAX_TIES {
            let specs: Vec<RateSpec> = limits.values().map(|limit| limit.is.spec.clone()).collect();
            let Err(error) = check_rates(&specs) else { return };
            let RateProblem::SameRank { first, second } = &error else {
                let place = limits.values().next_back().map(|limit| limit.place());
                let text = error.to_string();
                let (message, help) = text.split_once(": ").unwrap_or((&text, "change it"));
                problems.extend(
                    place
                        .map(|place| place.problem(message.to_owned(), help))
                        .into_iter()
                        .collect(),
                );
                return;
            };
            let (Some(first), Some(second)) = (limits.get(first).copied(), limits.remove(second)) else {
                return;
            };
            let (one, other) = (&first.is.spec.name, &second.is.spec.name);
            let message = format!(
                "the rate limits `{one}` and `{other}` can be about the same request, and neither is more specific"
            );
            let help = format!(
                "`{one}` is at {}; let one name a label more, or put them into different groups (`group`), where both count",
                first.place().shown()
            );
            problems.push(second.place().problem(message, &help));
        }
    }

    /// What is legal but looks like a mistake.
    pub(super) fn warn(&self, tenant: &TenantName, upstreams: &[&str], warnings: &mut Problems) {
        let known = Known::of(tenant, &self.agents, upstreams);
        for In { file, is } in &self.budgets {
            known.check(&format!("the budget `{}`", is.spec.name), file, &is.values, warnings);
        }
        for In { file, is } in &self.limits {
            known.check(
                &format!("the rate limit `{}`", is.spec.name),
                file,
                &is.values,
                warnings,
            );
        }
        for In { file, is } in &self.breakers {
            known.check(&format!("the breaker `{}`", is.spec.name), file, &is.values, warnings);
        }
        self.warn_of_idle_allowances(tenant, warnings);
    }

    /// An allowance is spent while nothing can be recorded: only pots of money that the agent alone decides are known then.
    fn warn_of_idle_allowances(&self, tenant: &TenantName, warnings: &mut Problems) {
        let with_allowance = self.agents.iter().filter(|agent| agent.is.value.allowance.is_some());
        let agents: BTreeMap<&str, _> = with_allowance
            .map(|agent| (agent.is.value.name.as_str(), agent))
            .collect();
        let mut told = BTreeSet::new();
        for budget in &self.budgets {
            let spec = &budget.is.spec;
            let Some(why) = undecided(spec) else { continue };
            let selector = spec.select.as_ref();
            let named: Option<Vec<&str>> = selector
                .and_then(|selector| selector.get(Label::Agent))
                .filter(|names| !names.iter().any(|name| name.ends_with('*')))
                .map(|names| names.iter().collect());
            let candidates: Vec<&In<Placed<AgentSpec>>> = match named {
                Some(names) => names.iter().filter_map(|name| agents.get(name).copied()).collect(),
                None => agents.values().copied().collect(),
            };
            for agent in candidates {
                let AgentSpec { name, .. } = &agent.is.value;
                let selected = selector.is_some_and(|selector| may_select(selector, tenant, &agent.is.value));
                if selected && told.insert(name) {
                    let message = format!(
                        "the agent `{name}` has no use of its allowance: the budget `{}` {why}",
                        spec.name
                    );
                    let help = format!(
                        "that is not known while the log cannot be written, so the agent is refused then; leave `allowance` out, \
                         or the agent out of the budget at {}",
                        budget.place().shown()
                    );
                    warnings.push(agent.place().problem(message, &help));
                }
            }
        }
    }

    /// What is loaded.
    pub(super) fn into(self, tenant: &mut TenantGovernance) {
        let mut taken = BTreeSet::new();
        let agents = self.agents.into_iter().map(|agent| agent.is.value);
        // A second one of a name was reported; its policies need not be complained of as well.
        tenant.agents = agents.filter(|agent| taken.insert(agent.name.clone())).collect();
        tenant.budgets = self.budgets.into_iter().map(|budget| budget.is.spec).collect();
        tenant.limits = self.limits.into_iter().map(|limit| limit.is.spec).collect();
        tenant.breakers = self.breakers.into_iter().map(|breaker| breaker.is.spec).collect();
        tenant.peps = self.peps.into_iter().map(|pep| pep.is.value).collect();
    }
}

impl<T> In<Placed<T>> {
    fn place(&self) -> Place<'_> {
        Place {
            file: &self.file,
            line: self.is.mark.line,
            column: self.is.mark.column,
        }
    }
}

impl<T> In<Declared<T>> {
    fn place(&self) -> Place<'_> {
        Place {
            file: &self.file,
            line: self.is.mark.line,
            column: self.is.mark.column,
        }
    }
}

#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    line: u32,
    column: u32,
}

impl Place<'_> {
    fn shown(self) -> String {
        format!("{}:{}:{}", self.file, self.line, self.column)
    }

    fn problem(self, message: String, help: &str) -> Problem {
        Problem {
            file: self.file.to_owned(),
            line: Some(self.line),
            column: Some(self.column),
            message,
            help: Some(help.to_owned()),
        }
    }
}

/// Names that are taken, by what they are names of.
#[derive(Default)]
struct Names<'a>(BTreeMap<(&'static str, &'a str), (&'static str, Place<'a>)>);

impl<'a> Names<'a> {
    /// Takes a name for something that is all of `what`: an agent's own budget has the agent's name.
    fn take<const N: usize>(
        &mut self,
        what: [&'static str; N],
        name: &'a str,
        place: Place<'a>,
        problems: &mut Problems,
    ) {
        let Some(&is) = what.first() else { return };
        for key in what.map(|what| (what, name)) {
            match self.0.get(&key) {
                Some((other, first)) if *other == is => {
                    let message = format!("there are two {is}s of the name `{name}`");
                    let help = format!("the other one is at {}; give one of them another name", first.shown());
                    problems.push(place.problem(message, &help));
                    return;
                }
                Some((other, first)) => {
                    let message = format!("the {is} `{name}` has the name of an {other}, whose own budget bears it");
                    let help = format!("the {other} is at {}; give the {is} another name", first.shown());
                    problems.push(place.problem(message, &help));
                }
                None => {
                    self.0.insert(key, (is, place));
                }
            }
        }
    }
}

/// Why it is not known from an agent alone what its requests take from a budget, and from which pot.
fn undecided(spec: &BudgetSpec) -> Option<String> {
    if spec.unit != Measure::Money {
        return Some(format!("counts {}", spec.unit.unit()));
    }
    let selected = spec
        .select
        .iter()
        .flat_map(Selector::labels)
        .find(|label| !label.is_fixed());
    let kept_apart = spec.each.iter().find(|label| !label.is_fixed());
    match (selected, kept_apart) {
        (Some(label), _) => Some(format!("selects by {label}")),
        (None, Some(label)) => Some(format!("keeps a pot for each {label}")),
        (None, None) => None,
    }
}

/// Whether it selects some request of the agent.
fn may_select(selector: &Selector, tenant: &TenantName, agent: &AgentSpec) -> bool {
    selector.may_select(&ledger::Labels {
        tenant: tenant.as_str(),
        environment: &agent.environment,
        product: &agent.product,
        team: &agent.team,
        agent: agent.name.as_str(),
        ..ledger::Labels::default()
    })
}
