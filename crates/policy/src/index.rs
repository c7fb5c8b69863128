//! The index over scopes: which policies can apply to a principal and a resource at all.
//!
//! A policy's scope (`principal == ..., resource in ...`) is a conjunction that cannot fail, so a policy whose scope
//! does not match is neither satisfied nor in error: leaving it out changes nothing. Each policy stands in exactly one
//! shard, by what its scope asks of the principal and of the resource; a decision evaluates the shards that the
//! principal's and the resource's own names and ancestors select. Evaluating by shards is exact too: a request is denied
//! if any shard has a satisfied `forbid`, else allowed if any has a satisfied `permit`.
//!
//! Nothing is ever inside an agent or a model (the schema says so), hence `principal in Agent::"a"` means the same as
//! `principal == Agent::"a"`, and one key serves both.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cedar_policy::{
    ActionConstraint, EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint,
};

use crate::{literals, parse::Rule, vocabulary::Vocabulary};

/// The policies that ask the same of the principal, by what they ask of the resource.
#[derive(Default)]
pub(crate) struct Group {
    /// Those for every resource.
    any: Option<PolicySet>,
    /// Those for a resource that has this name, or is in what has this name.
    named: HashMap<EntityUid, PolicySet>,
    /// The entities these policies look into by name.
    pub(crate) literals: HashSet<EntityUid>,
}

impl Group {
    /// The shards that can apply to a model of an upstream.
    pub(crate) fn shards<'a>(&'a self, model: &EntityUid, upstream: &EntityUid) -> impl Iterator<Item = &'a PolicySet> {
        let named = [upstream, model].map(|name| self.named.get(name));
        self.any.iter().chain(named.into_iter().flatten())
    }

    fn add(&mut self, resource: Option<EntityUid>, policy: &Policy) -> Result<(), String> {
        self.literals.extend(literals::read_by(policy));
        let shard = match resource {
            None => self.any.get_or_insert_default(),
            Some(name) => self.named.entry(name).or_default(),
        };
        shard.add(policy.clone()).map_err(|error| error.to_string())
    }
}

/// All groups of one action.
#[derive(Default)]
pub(crate) struct Index {
    groups: HashMap<Option<EntityUid>, Arc<Group>>,
}

impl Index {
    /// Indexes the policies that can apply to `llm:generate`.
    pub(crate) fn new(vocabulary: &Vocabulary, rules: &[Rule<'_>]) -> Result<Self, String> {
        let mut groups: HashMap<Option<EntityUid>, Group> = HashMap::new();
        for policy in rules.iter().map(|rule| &rule.policy) {
            let principal = Asked::of_principal(policy).key(&vocabulary.agent);
            let resource = Asked::of_resource(policy).key(&vocabulary.model);
            let (Some(principal), Some(resource)) = (principal, resource) else {
                continue;
            };
            if covers(&policy.action_constraint(), &vocabulary.generate) {
                groups.entry(principal).or_default().add(resource, policy)?;
            }
        }
        let groups = groups.into_iter().map(|(key, group)| (key, Arc::new(group)));
        Ok(Self {
            groups: groups.collect(),
        })
    }

    /// The groups that can apply to a principal with these ancestors.
    pub(crate) fn of_principal<'a>(
        &self,
        principal: &'a EntityUid,
        ancestors: impl Iterator<Item = &'a EntityUid>,
    ) -> Vec<Arc<Group>> {
        let names = std::iter::once(principal).chain(ancestors).cloned().map(Some);
        std::iter::once(None)
            .chain(names)
            .filter_map(|key| self.groups.get(&key).cloned())
            .collect()
    }
}

/// What a scope asks of the principal or the resource.
enum Asked {
    Any,
    Is(EntityTypeName),
    Equal(EntityUid),
    In(EntityUid),
    IsIn(EntityTypeName, EntityUid),
}

impl Asked {
    fn of_principal(policy: &Policy) -> Self {
        match policy.principal_constraint() {
            PrincipalConstraint::Any => Self::Any,
            PrincipalConstraint::Is(kind) => Self::Is(kind),
            PrincipalConstraint::Eq(uid) => Self::Equal(uid),
            PrincipalConstraint::In(uid) => Self::In(uid),
            PrincipalConstraint::IsIn(kind, uid) => Self::IsIn(kind, uid),
        }
    }

    fn of_resource(policy: &Policy) -> Self {
        match policy.resource_constraint() {
            ResourceConstraint::Any => Self::Any,
            ResourceConstraint::Is(kind) => Self::Is(kind),
            ResourceConstraint::Eq(uid) => Self::Equal(uid),
            ResourceConstraint::In(uid) => Self::In(uid),
            ResourceConstraint::IsIn(kind, uid) => Self::IsIn(kind, uid),
        }
    }

    /// The key of the scope for entities of one type: `Some(None)` matches all of them, `Some(Some(uid))` can match only
    /// one that has `uid` for its own name or an ancestor's, and `None` matches none.
    fn key(self, of: &EntityTypeName) -> Option<Option<EntityUid>> {
        match self {
            Self::Any => Some(None),
            Self::Is(kind) => (&kind == of).then_some(None),
            Self::Equal(uid) => (uid.type_name() == of).then_some(Some(uid)),
            Self::In(uid) => Some(Some(uid)),
            Self::IsIn(kind, uid) => (&kind == of).then_some(Some(uid)),
        }
    }
}

/// Whether the action scope matches the action. The schema has no action groups, so `in` is a list to look in.
fn covers(scope: &ActionConstraint, action: &EntityUid) -> bool {
    match scope {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == action,
        ActionConstraint::In(uids) => uids.contains(action),
    }
}
