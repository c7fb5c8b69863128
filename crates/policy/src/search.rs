//! Searches: who may do this, with what may it be done, what may be done.
//!
//! A search gives what asking about each candidate by itself would give (the property test in `tests/searching.rs`). It is
//! faster because policies that look at nothing of the candidate are evaluated once.

use cedar_policy::Effect;

use crate::{
    Bundle, Code, Party, Properties, Query, Verdict,
    compiled::{Compiled, Said},
    decide::Tally,
    evaluate::{Placed, Prepared, applies, given},
    index::Index,
    schema::Deed,
};

/// Who may do this?
#[derive(Clone, Copy, Debug)]
pub struct SubjectSearch<'a> {
    /// The type of the subjects that are looked for.
    pub kind: &'a str,
    /// What the caller says of each of them.
    pub properties: Option<&'a Properties>,
    /// What they would do.
    pub action: &'a str,
    /// What the caller says of the action.
    pub action_properties: Option<&'a Properties>,
    /// With what.
    pub resource: Party<'a>,
    /// Everything else the caller says.
    pub context: Option<&'a Properties>,
}

/// With what may this subject do this?
#[derive(Clone, Copy, Debug)]
pub struct ResourceSearch<'a> {
    /// Who.
    pub subject: Party<'a>,
    /// What they would do.
    pub action: &'a str,
    /// What the caller says of the action.
    pub action_properties: Option<&'a Properties>,
    /// The type of the resources that are looked for.
    pub kind: &'a str,
    /// What the caller says of each of them.
    pub properties: Option<&'a Properties>,
    /// Everything else the caller says.
    pub context: Option<&'a Properties>,
}

/// What may this subject do with this resource?
#[derive(Clone, Copy, Debug)]
pub struct ActionSearch<'a> {
    /// Who.
    pub subject: Party<'a>,
    /// With what.
    pub resource: Party<'a>,
    /// Everything else the caller says.
    pub context: Option<&'a Properties>,
}

/// Which part of a search's results is wanted. Results are in the order of their names.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Those behind this one; all if `None`.
    pub after: Option<&'a str>,
    /// How many at most.
    pub limit: usize,
    /// How many candidates are looked at for it at most, so that one question cannot take all day.
    pub candidates: usize,
}

/// Results of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The ids, or the actions' names, sorted.
    pub names: Vec<String>,
    /// Where to go on: the last candidate that was looked at, if there are more.
    pub next: Option<String>,
    /// For the operator: as with a [`Verdict`].
    pub notes: Vec<String>,
}

/// Which side of the question the candidates are on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Subject,
    Resource,
}

impl Bundle {
    /// The stored entities of a type that may do this.
    pub fn search_subject(&self, search: &SubjectSearch<'_>, page: Page<'_>) -> Found {
        let query = Query {
            subject: Party {
                kind: search.kind,
                id: "",
                properties: search.properties,
            },
            action: search.action,
            action_properties: search.action_properties,
            resource: search.resource,
            context: search.context,
            approved: false,
        };
        self.search(Side::Subject, &query, page)
    }

    /// The stored entities of a type with which this may be done.
    pub fn search_resource(&self, search: &ResourceSearch<'_>, page: Page<'_>) -> Found {
        let query = Query {
            subject: search.subject,
            action: search.action,
            action_properties: search.action_properties,
            resource: Party {
                kind: search.kind,
                id: "",
                properties: search.properties,
            },
            context: search.context,
            approved: false,
        };
        self.search(Side::Resource, &query, page)
    }

    /// The actions that may be done, asked without properties of the action.
    pub fn search_action(&self, search: &ActionSearch<'_>, page: Page<'_>) -> Found {
        let mut found = Found::default();
        let (Ok(subject), Ok(resource)) = (self.kind(search.subject.kind), self.kind(search.resource.kind)) else {
            return found;
        };
        let mut names: Vec<&str> = self
            .terms
            .actions
            .values()
            .map(|deed| &**deed)
            .filter(|deed| applies(deed, subject, resource).is_ok())
            .map(Deed::name)
            .filter(|name| page.after.is_none_or(|after| *name > after))
            .collect();
        names.sort_unstable();
        let ask = |action: &str| {
            self.evaluate(&Query {
                subject: search.subject,
                action,
                action_properties: None,
                resource: search.resource,
                context: search.context,
                approved: false,
            })
        };
        collect(&mut found, names.into_iter(), page, |name| ask(name).is_permit());
        found
    }

    fn search(&self, side: Side, query: &Query<'_>, page: Page<'_>) -> Found {
        let mut found = Found::default();
        if let Err(verdict) = self.search_into(side, query, page, &mut found) {
            // What is not known here has no results.
            found.notes.extend(verdict.notes);
        }
        found
    }

    fn search_into(&self, side: Side, query: &Query<'_>, page: Page<'_>, found: &mut Found) -> Result<(), Verdict> {
        let (subject, resource) = (self.kind(query.subject.kind)?, self.kind(query.resource.kind)?);
        let deed = self.deed(query.action)?;
        applies(deed, subject, resource)?;
        let kind = if side == Side::Subject { subject } else { resource };
        let behind = |id: &&str| page.after.is_none_or(|after| *id > after);
        let stored = self.store.of_kind(&kind.name).map(|uid| uid.id().unescaped());
        let candidates = stored.filter(behind);
        // What an agent's manifest says is in the context of our own actions, so that differs between candidates.
        if side == Side::Subject && deed.builtin {
            collect(found, candidates, page, |id| {
                self.evaluate(&with(side, query, id)).is_permit()
            });
            return Ok(());
        }
        let mut notes = Vec::new();
        let (fixed, sought) = match side {
            Side::Subject => ((resource, &query.resource, "resource"), query.subject.properties),
            Side::Resource => ((subject, &query.subject, "subject"), query.resource.properties),
        };
        let (of, party, role) = fixed;
        let known = given(of, party.properties, role, &mut notes)?;
        let fixed = self.place_with(of, party.id, &known)?;
        // The same for each candidate.
        let said = given(kind, sought, "candidate", &mut notes)?;
        let (subject, resource) = match side {
            Side::Subject => (Placed::anyone(subject), fixed),
            Side::Resource => (fixed, Placed::anyone(resource)),
        };
        let mut prepared = self.prepare(query, deed, subject, resource, notes)?;
        found.notes.append(&mut prepared.notes);
        let Some(index) = self.indexes.get(&deed.uid) else {
            return Ok(());
        };
        let shared = match Shared::new(self, side, index, &prepared, !said.is_empty()) {
            Ok(Some(shared)) => shared,
            Ok(None) => return Ok(()),
            Err(error) => return Err(Verdict::refused(Code::EvaluationError, error)),
        };
        collect(found, candidates, page, |id| {
            let candidate = with(side, query, id);
            // What is subject and resource at once is one entity, of which the request speaks twice.
            if (candidate.subject.kind, candidate.subject.id) == (candidate.resource.kind, candidate.resource.id) {
                return self.evaluate(&candidate).is_permit();
            }
            let Ok(placed) = self.place_with(kind, id, &said) else {
                return false;
            };
            match side {
                Side::Subject => prepared.subject = placed,
                Side::Resource => prepared.resource = placed,
            }
            shared.permits(self, index, &prepared).unwrap_or(false)
        });
        Ok(())
    }
}

/// The question about one candidate.
fn with<'a>(side: Side, query: &Query<'a>, id: &'a str) -> Query<'a> {
    let mut query = *query;
    match side {
        Side::Subject => query.subject.id = id,
        Side::Resource => query.resource.id = id,
    }
    query
}

/// What is the same for every candidate.
struct Shared<'a> {
    side: Side,
    /// Whether a policy that looks at nothing of the candidate permits.
    permitted: bool,
    /// The policies that can apply to every candidate and look at it, those that permit first.
    looking: Vec<&'a Compiled>,
}

impl<'a> Shared<'a> {
    /// `None` where a policy that looks at nothing of the candidate forbids. Where the request says something of the
    /// candidate (`told`), any policy may look at it: by its name, or by way of what names it.
    fn new(
        bundle: &Bundle,
        side: Side,
        index: &'a Index,
        template: &Prepared<'_>,
        told: bool,
    ) -> Result<Option<Self>, String> {
        let (request, entities) = (template.request()?, bundle.entities_for(template, index)?);
        let names = (&*template.subject.lineage, &*template.resource.lineage);
        let mut tally = Tally::default();
        let mut looking = Vec::new();
        for policy in common(side, index, template) {
            let mentions = match side {
                Side::Subject => policy.mentions.principal,
                Side::Resource => policy.mentions.resource,
            };
            let looks = told || mentions;
            if looks {
                looking.push(policy);
            } else {
                tally.add(policy, policy.evaluate(names, &request, &entities));
            }
        }
        looking.sort_by_key(|policy| policy.effect == Effect::Forbid);
        Ok(tally.speaks_not_against().then_some(Self {
            side,
            permitted: tally.permits_alone(),
            looking,
        }))
    }

    /// Whether the candidate that stands in the question is permitted. Looks no further than it must: one permit is enough,
    /// without one nothing else matters, and one `forbid` that is satisfied or fails settles it.
    fn permits(&self, bundle: &Bundle, index: &Index, prepared: &Prepared<'_>) -> Result<bool, String> {
        let own = own(self.side, index, prepared);
        let of = |effect| {
            self.looking
                .iter()
                .chain(&own)
                .filter(move |policy| policy.effect == effect)
        };
        if !self.permitted && of(Effect::Permit).next().is_none() {
            return Ok(false);
        }
        let (request, entities) = (prepared.request()?, bundle.entities_for(prepared, index)?);
        let names = (&*prepared.subject.lineage, &*prepared.resource.lineage);
        let says = |policy: &&&Compiled| policy.evaluate(names, &request, &entities);
        let permitted = self.permitted || of(Effect::Permit).any(|policy| matches!(says(&policy), Said::Satisfied));
        Ok(permitted && of(Effect::Forbid).all(|policy| matches!(says(&policy), Said::Unsatisfied)))
    }
}

/// The policies that can apply to every candidate.
fn common<'a>(side: Side, index: &'a Index, prepared: &Prepared<'_>) -> Vec<&'a Compiled> {
    let (subject, resource) = (&prepared.subject, &prepared.resource);
    let (none, kind) = (std::iter::empty, &resource.kind.name);
    let mut found = Vec::new();
    match side {
        Side::Resource => {
            for group in index.of_principal(&subject.kind.name, subject.lineage.iter()) {
                found.extend(group.shards(kind, none()).map(|policy| &**policy));
            }
        }
        Side::Subject => {
            for group in index.of_principal(&subject.kind.name, none()) {
                found.extend(group.shards(kind, resource.lineage.iter()).map(|policy| &**policy));
            }
        }
    }
    found
}

/// The policies that can apply to the candidate because of its names.
fn own<'a>(side: Side, index: &'a Index, prepared: &Prepared<'_>) -> Vec<&'a Compiled> {
    let (subject, resource) = (&prepared.subject, &prepared.resource);
    let mut found = Vec::new();
    match side {
        Side::Resource => {
            for group in index.of_principal(&subject.kind.name, subject.lineage.iter()) {
                found.extend(group.named(resource.lineage.iter()).map(|policy| &**policy));
            }
        }
        Side::Subject => {
            for group in index.named(subject.lineage.iter()) {
                let shards = group.shards(&resource.kind.name, resource.lineage.iter());
                found.extend(shards.map(|policy| &**policy));
            }
        }
    }
    found
}

/// Goes through the candidates behind the page's beginning until the page is full or enough of them were looked at.
fn collect<'a>(
    found: &mut Found,
    candidates: impl Iterator<Item = &'a str>,
    page: Page<'_>,
    mut holds: impl FnMut(&str) -> bool,
) {
    let mut last = None;
    for (looked_at, name) in candidates.enumerate() {
        if found.names.len() >= page.limit || looked_at >= page.candidates {
            found.next = last.map(str::to_owned);
            return;
        }
        last = Some(name);
        if holds(name) {
            found.names.push(name.to_owned());
        }
    }
}
