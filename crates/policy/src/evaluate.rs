//! From an enforcement point's question to a verdict.
//!
//! What the caller says is first fitted to the schema ([`crate::project`]): what is not declared, or of another type,
//! does not count and is noted. Then the same policies decide by the same index as for the gateway, over a slice of the
//! entities.

use std::sync::Arc;

use cedar_policy::{Context, Entities, Entity, EntityUid, Request, RestrictedExpression};

use model::{AgentName, UpstreamName};

use crate::{
    Bundle, Code, Outcome, Party, Properties, Query, Verdict,
    compiled::Compiled,
    decide::{Tally, model_entity},
    index::Index,
    project::project,
    schema::{Deed, Kind},
    shape::{Shape, Type},
    store::{named_in, referred},
};

/// What of the context is ours to say. A caller's own is passed over.
pub(crate) const ACTION: &str = "action";
pub(crate) const APPROVAL: &str = "approval_ok";

/// A question fitted to the schema, ready to be evaluated.
pub(crate) struct Prepared<'b> {
    pub(crate) deed: &'b Deed,
    pub(crate) subject: Placed<'b>,
    pub(crate) resource: Placed<'b>,
    pub(crate) context: Context,
    /// The entities that the context names: policies can look into these, and ask what they are in.
    named: Vec<EntityUid>,
    pub(crate) notes: Vec<String>,
}

/// A subject or resource with everything known of it.
pub(crate) struct Placed<'b> {
    pub(crate) kind: &'b Kind,
    pub(crate) entity: Entity,
    /// Its own name and those of all it is in.
    pub(crate) lineage: Arc<[EntityUid]>,
}

impl<'b> Placed<'b> {
    /// What stands for any candidate of a search where nothing depends on which it is.
    pub(crate) fn anyone(kind: &'b Kind) -> Self {
        let uid = kind.uid("");
        Self {
            kind,
            entity: Entity::with_uid(uid.clone()),
            lineage: [uid].into(),
        }
    }

    pub(crate) fn uid(&self) -> EntityUid {
        self.entity.uid()
    }
}

impl Bundle {
    /// Answers an enforcement point: permitted only if a policy permits it, no policy forbids it, and every `forbid` that
    /// might could be evaluated. Whatever the question names that is not known here is refused, never an error.
    pub fn evaluate(&self, query: &Query<'_>) -> Verdict {
        match self.prepare_query(query) {
            Ok(prepared) => {
                let tally = self.tally(&prepared);
                self.conclude(tally, prepared.notes)
            }
            Err(verdict) => verdict,
        }
    }

    /// Fits a question to the schema, or says why it is refused unseen.
    pub(crate) fn prepare_query(&self, query: &Query<'_>) -> Result<Prepared<'_>, Verdict> {
        let (subject, resource) = (self.kind(query.subject.kind)?, self.kind(query.resource.kind)?);
        let joined = joined(query)?;
        let query = &joined.as_ref().map_or(*query, |both| with_both(query, both));
        let deed = self.deed(query.action)?;
        applies(deed, subject, resource)?;
        let mut notes = Vec::new();
        let subject = self.place(subject, &query.subject, "subject", &mut notes)?;
        let resource = self.place(resource, &query.resource, "resource", &mut notes)?;
        self.prepare(query, deed, subject, resource, notes)
    }

    /// Puts a question together whose subject and resource were looked up.
    pub(crate) fn prepare<'b>(
        &'b self,
        query: &Query<'_>,
        deed: &'b Deed,
        subject: Placed<'b>,
        resource: Placed<'b>,
        mut notes: Vec<String>,
    ) -> Result<Prepared<'b>, Verdict> {
        let context = self.context(deed, query, &mut notes)?;
        Ok(Prepared {
            named: named_by(&context, deed),
            deed,
            subject,
            resource,
            context,
            notes,
        })
    }

    pub(crate) fn kind(&self, name: &str) -> Result<&Kind, Verdict> {
        let unknown = || Verdict::refused(Code::UnknownType, format!("the schema has no type {}", shown(name)));
        self.terms.kind(name).ok_or_else(unknown)
    }

    pub(crate) fn deed(&self, name: &str) -> Result<&Deed, Verdict> {
        let unknown = || Verdict::refused(Code::UnknownAction, format!("the schema has no action {}", shown(name)));
        self.terms.action(name).ok_or_else(unknown)
    }

    /// A subject or resource as it is stored, with what the caller says of it.
    fn place<'b>(
        &'b self,
        kind: &'b Kind,
        party: &Party<'_>,
        role: &str,
        notes: &mut Vec<String>,
    ) -> Result<Placed<'b>, Verdict> {
        let given = given(kind, party.properties, role, notes)?;
        self.place_with(kind, party.id, &given)
    }

    /// The same once what the caller says is fitted to the schema.
    pub(crate) fn place_with<'b>(&'b self, kind: &'b Kind, id: &str, given: &[Value]) -> Result<Placed<'b>, Verdict> {
        if kind.ids.as_ref().is_some_and(|ids| !ids.contains(id)) {
            let note = format!("{} is not one of the type {}", shown(id), kind.name);
            return Err(Verdict::refused(Code::UnknownType, note));
        }
        let uid = kind.uid(id);
        let stored = self.store.get(&uid);
        if stored.is_none() && kind.name == self.vocabulary.agent {
            let note = format!("no manifest declares the agent {}", shown(id));
            return Err(Verdict::refused(Code::UnknownAgent, note));
        }
        // Models are known by their names alone.
        if kind.name == self.vocabulary.model
            && let Some((upstream, name)) = id.split_once('/')
            && let Ok(upstream) = UpstreamName::new(upstream)
        {
            let inside = self.vocabulary.upstream(&upstream);
            let lineage = [uid.clone(), inside.clone()].into();
            let entity = model_entity(uid, upstream.as_str(), name, inside).map_err(unevaluated)?;
            return Ok(Placed { kind, entity, lineage });
        }
        let ready = self.store.ready(&uid).map_err(unevaluated)?;
        if let (Some(ready), []) = (&ready, given) {
            let (entity, lineage) = (ready.entity.clone(), ready.lineage.clone());
            return Ok(Placed { kind, entity, lineage });
        }
        let known = stored.into_iter().flat_map(|stored| &stored.attributes);
        let attributes = known.chain(given).cloned().collect();
        let lineage = ready.map_or_else(|| Arc::from([uid.clone()]), |ready| ready.lineage.clone());
        let parents = lineage.iter().skip(1).cloned().collect();
        let entity = Entity::new(uid, attributes, parents).map_err(unevaluated)?;
        Ok(Placed { kind, entity, lineage })
    }

    /// The context as policies see it.
    fn context(&self, deed: &Deed, query: &Query<'_>, notes: &mut Vec<String>) -> Result<Context, Verdict> {
        let nothing = Properties::new();
        let mut pairs = project(&deed.context, query.context.unwrap_or(&nothing), notes).map_err(unevaluated)?;
        let before = pairs.len();
        pairs.retain(|(name, _)| name != ACTION && name != APPROVAL);
        if pairs.len() != before {
            notes.push(format!(
                "context.{ACTION} and context.{APPROVAL} are not the caller's to say"
            ));
        }
        if let (Some(Type::Record(shape)), Some(given)) =
            (deed.context.get(ACTION).map(|found| &found.of), query.action_properties)
        {
            pairs.push((ACTION.to_owned(), self.record(shape, given, notes)?));
        }
        if query.approved && deed.context.get(APPROVAL).is_some_and(|found| found.of == Type::Bool) {
            pairs.push((APPROVAL.to_owned(), RestrictedExpression::new_bool(true)));
        }
        // What a manifest says is not the caller's to say.
        if deed.builtin
            && let Ok(agent) = AgentName::new(query.subject.id)
            && let Some(known) = self.agents.get(&agent)
        {
            pairs.retain(|(name, _)| name != "environment");
            let environment = RestrictedExpression::new_string(known.environment.clone());
            pairs.push(("environment".to_owned(), environment));
        }
        Context::from_pairs(pairs).map_err(unevaluated)
    }

    fn record(
        &self,
        shape: &Shape,
        given: &Properties,
        notes: &mut Vec<String>,
    ) -> Result<RestrictedExpression, Verdict> {
        let values = project(shape, given, notes).map_err(unevaluated)?;
        RestrictedExpression::new_record(values).map_err(unevaluated)
    }

    /// Evaluates every policy that can apply.
    fn tally(&self, prepared: &Prepared<'_>) -> Result<Tally, String> {
        let Some(index) = self.indexes.get(&prepared.deed.uid) else {
            return Ok(Tally::default());
        };
        let request = prepared.request()?;
        let entities = self.entities_for(prepared, index)?;
        let mut tally = Tally::default();
        let names = (&*prepared.subject.lineage, &*prepared.resource.lineage);
        for policy in applicable(index, prepared) {
            tally.add(policy, policy.evaluate(names, &request, &entities));
        }
        Ok(tally.sorted())
    }

    /// The entities that the decision can look at: the subject and the resource as they stand in the question, and what is
    /// stored of all that matters besides.
    pub(crate) fn entities_for(&self, prepared: &Prepared<'_>, index: &Index) -> Result<Entities, String> {
        let groups = index.of_principal(&prepared.subject.kind.name, prepared.subject.lineage.iter());
        let (mut roots, mut depth) = (Vec::new(), 0);
        for group in groups {
            roots.extend(group.literals.iter().cloned());
            depth = depth.max(group.depth);
        }
        self.entities_around(prepared, roots, depth)
    }

    /// The same for policies that look into `roots` by name, and follow references `depth` times at most.
    pub(crate) fn entities_around(
        &self,
        prepared: &Prepared<'_>,
        mut roots: Vec<EntityUid>,
        mut depth: usize,
    ) -> Result<Entities, String> {
        let given = [&prepared.subject, &prepared.resource];
        let named = &prepared.named;
        if depth > 0 {
            // What these name has been followed to once already.
            depth -= usize::from(roots.is_empty() && named.is_empty());
            roots.extend(given.iter().flat_map(|placed| referred(&placed.entity)));
        }
        roots.extend(named.iter().cloned());
        let mut slice = self.store.read(roots, depth)?;
        slice.retain(|entity| given.iter().all(|placed| placed.entity.uid() != entity.uid()));
        slice.push(prepared.subject.entity.clone());
        if prepared.subject.uid() != prepared.resource.uid() {
            slice.push(prepared.resource.entity.clone());
        }
        slice.push(prepared.deed.entity.clone());
        Entities::from_entities(slice, None).map_err(|error| error.to_string())
    }

    /// What the policies' answers come to.
    pub(crate) fn conclude(&self, tally: Result<Tally, String>, mut notes: Vec<String>) -> Verdict {
        let tally = match tally {
            Ok(tally) => tally,
            Err(error) => {
                notes.push(error);
                return Verdict {
                    outcome: Outcome::Deny,
                    code: Code::EvaluationError,
                    policies: Vec::new(),
                    notes,
                };
            }
        };
        notes.extend(tally.notes);
        let approvable = |id| self.annotations(id).is_some_and(|found| found.approval.is_some());
        let (outcome, code, policies) = if !tally.forbids.is_empty() {
            let on_approval = tally.failed_forbids.is_empty()
                && !tally.permits.is_empty()
                && tally.forbids.iter().all(|id| approvable(id));
            match on_approval {
                true => (Outcome::ApprovalRequired, Code::ApprovalRequired, tally.forbids),
                false => (Outcome::Deny, Code::Forbidden, tally.forbids),
            }
        } else if !tally.failed_forbids.is_empty() {
            (Outcome::Deny, Code::EvaluationError, tally.failed_forbids)
        } else if tally.permits.is_empty() {
            (Outcome::Deny, Code::NoPermit, Vec::new())
        } else {
            (Outcome::Permit, Code::Permitted, tally.permits)
        };
        Verdict {
            outcome,
            code,
            policies,
            notes,
        }
    }
}

impl Prepared<'_> {
    /// Cedar's request. Its context was fitted to the schema already.
    pub(crate) fn request(&self) -> Result<Request, String> {
        let (principal, resource) = (self.subject.uid(), self.resource.uid());
        Request::new(principal, self.deed.uid.clone(), resource, self.context.clone(), None).map_err(|e| e.to_string())
    }
}

/// An attribute with its value.
pub(crate) type Value = (String, RestrictedExpression);

/// What the caller says of a subject or resource, fitted to the schema. What our own types have comes from manifests and
/// files alone.
pub(crate) fn given(
    kind: &Kind,
    properties: Option<&Properties>,
    role: &str,
    notes: &mut Vec<String>,
) -> Result<Vec<Value>, Verdict> {
    let Some(properties) = properties.filter(|given| !given.is_empty() && !kind.builtin) else {
        return Ok(Vec::new());
    };
    let before = notes.len();
    let given = project(&kind.shape, properties, notes).map_err(unevaluated)?;
    for note in notes.iter_mut().skip(before) {
        note.insert_str(0, &format!("{role}: "));
    }
    Ok(given)
}

fn named_by(context: &Context, deed: &Deed) -> Vec<EntityUid> {
    let mut named = Vec::new();
    let attributes = deed
        .context
        .0
        .iter()
        .filter(|(_, attribute)| attribute.of.holds_names());
    for value in attributes.filter_map(|(name, _)| context.get(name)) {
        named_in(&value, &mut named);
    }
    named
}

/// The policies that can apply.
fn applicable<'a>(index: &'a Index, prepared: &'a Prepared<'_>) -> impl Iterator<Item = &'a Arc<Compiled>> {
    let (subject, resource) = (&prepared.subject, &prepared.resource);
    index
        .of_principal(&subject.kind.name, subject.lineage.iter())
        .flat_map(|group| group.shards(&resource.kind.name, resource.lineage.iter()))
}

/// What the caller says of an entity that is subject and resource at once: both. `None` where they are two.
fn joined(query: &Query<'_>) -> Result<Option<Properties>, Verdict> {
    let (subject, resource) = (&query.subject, &query.resource);
    if (subject.kind, subject.id) != (resource.kind, resource.id) {
        return Ok(None);
    }
    let mut both = subject.properties.cloned().unwrap_or_default();
    for (name, value) in resource.properties.into_iter().flatten() {
        if both
            .insert(name.clone(), value.clone())
            .is_some_and(|before| before != *value)
        {
            let note = format!(
                "the subject is the resource, and {} is said of it in two ways",
                shown(name)
            );
            return Err(Verdict::refused(Code::EvaluationError, note));
        }
    }
    Ok(Some(both))
}

fn with_both<'a>(query: &Query<'a>, both: &'a Properties) -> Query<'a> {
    let mut query = *query;
    query.subject.properties = Some(both);
    query.resource.properties = Some(both);
    query
}

/// Whether the action is one of such a subject on such a resource.
pub(crate) fn applies(deed: &Deed, subject: &Kind, resource: &Kind) -> Result<(), Verdict> {
    if deed.principals.contains(&subject.name) && deed.resources.contains(&resource.name) {
        return Ok(());
    }
    let note = format!(
        "{} does not apply to a subject of type {} and a resource of type {}",
        deed.uid, subject.name, resource.name
    );
    Err(Verdict::refused(Code::NotApplicable, note))
}

fn unevaluated(error: impl std::fmt::Display) -> Verdict {
    Verdict::refused(Code::EvaluationError, error.to_string())
}

/// A name of the caller's, quoted and of bounded length.
fn shown(name: &str) -> String {
    const MOST: usize = 100;
    match name.char_indices().nth(MOST) {
        None => format!("{name:?}"),
        Some((end, _)) => format!("{:?}...", name.get(..end).unwrap_or_default()),
    }
}
