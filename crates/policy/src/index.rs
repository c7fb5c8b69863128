//! The index over scopes: which policies can apply to a principal, an action and a resource at all.
//!
//! A policy's scope (`principal == ..., action in ..., resource in ...`) is a conjunction that cannot fail, so a policy
//! whose scope does not match is neither satisfied nor in error: leaving it out changes nothing. Under each action its
//! scope covers, a policy stands in exactly one shard, by what its scope asks of the principal and of the resource; a
//! decision evaluates the shards of its action that the principal's and the resource's own names and ancestors select.
//! Evaluating by shards is exact too: a request is denied if any shard has a satisfied `forbid`, else allowed if any has
//! a satisfied `permit`.
//!
//! Nothing is ever inside an agent or a model (the schema says so), hence `principal in Agent::"a"` means the same as
//! `principal == Agent::"a"`, and one key serves both. What is inside an upstream is a model, so for an action on
//! upstreams the same holds of `resource in Upstream::"u"`.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cedar_policy::{
    ActionConstraint, EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint,
};

use crate::{
    action::PerAction,
    literals,
    memo::Reads,
    parse::Rule,
    question::Named,
    vocabulary::{About, Declared, Vocabulary},
};

/// What a scope asks of the principal or the resource: nothing, or to be or be in what has this name.
type Key = Option<EntityUid>;

/// The policies that ask the same of the principal, by what they ask of the resource.
#[derive(Default)]
pub(crate) struct Group {
    /// Those for every resource.
    any: Option<PolicySet>,
    /// Those for a resource that has this name, or is in what has this name.
    named: HashMap<EntityUid, PolicySet>,
    /// The entities these policies look into by name.
    pub(crate) literals: HashSet<EntityUid>,
    /// The parts of the context they look at.
    pub(crate) reads: Reads,
    /// How many attributes that name entities they follow one after another, at most.
    pub(crate) depth: usize,
}

impl Group {
    /// The shards that can apply to a resource.
    pub(crate) fn shards<'a>(&'a self, resource: &Named) -> impl Iterator<Item = &'a PolicySet> {
        let named = resource.lineage().filter_map(|name| self.named.get(name));
        self.any.iter().chain(named)
    }

    fn new(members: &[Member], rules: &[Rule<'_>]) -> Result<Self, String> {
        let mut group = Self::default();
        for member in members {
            let Some(rule) = rules.get(member.rule) else { continue };
            group.literals.extend(literals::read_by(&rule.policy));
            group.depth = group.depth.max(literals::depth(&rule.policy));
            group.reads = group.reads.and(Reads::of(&rule.policy));
            let shard = match &member.resource {
                None => group.any.get_or_insert_default(),
                Some(name) => group.named.entry(name.clone()).or_default(),
            };
            shard.add(rule.policy.clone()).map_err(|error| error.to_string())?;
        }
        Ok(group)
    }
}

/// A policy of a group.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Member {
    /// Its place among the rules.
    rule: usize,
    resource: Key,
}

/// All groups of one action.
#[derive(Default)]
pub(crate) struct Index {
    groups: HashMap<Key, Arc<Group>>,
}

impl Index {
    /// Indexes the policies under each action that they can apply to. Most policies cover many actions, so groups that
    /// turn out the same are kept once.
    pub(crate) fn of_actions(vocabulary: &Vocabulary, rules: &[Rule<'_>]) -> Result<PerAction<Self>, String> {
        let mut made: HashMap<Vec<Member>, Arc<Group>> = HashMap::new();
        PerAction::try_new(|action| {
            let mut index = Self::default();
            for (principal, members) in members(vocabulary, rules, vocabulary.actions.get(action)) {
                let group = match made.get(&members) {
                    Some(group) => group.clone(),
                    None => {
                        let group = Arc::new(Group::new(&members, rules)?);
                        made.insert(members, group.clone());
                        group
                    }
                };
                index.groups.insert(principal, group);
            }
            Ok(index)
        })
    }

    /// The groups that can apply to a principal with these names: its own and its ancestors'.
    pub(crate) fn of_principal(&self, names: &[EntityUid]) -> Vec<Arc<Group>> {
        let names = names.iter().cloned().map(Some);
        std::iter::once(None)
            .chain(names)
            .filter_map(|key| self.groups.get(&key).cloned())
            .collect()
    }
}

/// The policies that can apply to the action, by what they ask of the principal, in the order of the rules.
fn members(vocabulary: &Vocabulary, rules: &[Rule<'_>], action: &Declared) -> HashMap<Key, Vec<Member>> {
    let about = match action.about {
        About::Model => &vocabulary.model,
        About::Upstream => &vocabulary.upstream,
    };
    let mut members: HashMap<Key, Vec<Member>> = HashMap::new();
    for (rule, Rule { policy, .. }) in rules.iter().enumerate() {
        let principal = Asked::of_principal(policy).key(&vocabulary.agent);
        let resource = Asked::of_resource(policy).key(about);
        let (Some(principal), Some(resource)) = (principal, resource) else {
            continue;
        };
        if covers(&policy.action_constraint(), action) {
            members.entry(principal).or_default().push(Member { rule, resource });
        }
    }
    members
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
    fn key(self, of: &EntityTypeName) -> Option<Key> {
        match self {
            Self::Any => Some(None),
            Self::Is(kind) => (&kind == of).then_some(None),
            Self::Equal(uid) => (uid.type_name() == of).then_some(Some(uid)),
            Self::In(uid) => Some(Some(uid)),
            Self::IsIn(kind, uid) => (&kind == of).then_some(Some(uid)),
        }
    }
}

/// Whether the action scope matches the action.
fn covers(scope: &ActionConstraint, action: &Declared) -> bool {
    match scope {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == &action.uid,
        ActionConstraint::In(uids) => uids.iter().any(|uid| action.lineage.contains(uid)),
    }
}
