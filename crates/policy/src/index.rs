//! The index over scopes: which policies can apply to a principal, an action and a resource at all.
//!
//! A policy's scope (`principal == ..., action in ..., resource in ...`) is a conjunction that cannot fail, so a policy
//! whose scope does not match is neither satisfied nor in error: leaving it out changes nothing. Under each action its
//! scope covers, a policy stands in exactly one shard, by what its scope asks of the principal and of the resource; a
//! decision evaluates the shards of its action that the principal's and the resource's own names and ancestors select.
//! Evaluating by shards is exact too: a request is denied if any shard has a satisfied `forbid`, else allowed if any has
//! a satisfied `permit`.
//!
//! A key may select a policy whose scope does not match after all (`principal == Team::"a"` for somebody in that team):
//! evaluating the scope says so. It never leaves one out.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cedar_policy::{
    ActionConstraint, EntityTypeName, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint,
};

use crate::{literals, memo::Reads, parse::Rule, schema::Deed};

/// What a scope asks of the principal or the resource.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    /// Nothing that not every one of the action's has.
    Any,
    /// To be of this type.
    Kind(EntityTypeName),
    /// To be, or be in, what has this name. Asking to *be* it stands here too: evaluating the scope tells them apart.
    Named(EntityUid),
}

/// The policies that ask the same of the principal, by what they ask of the resource.
#[derive(Default)]
pub(crate) struct Group {
    /// Those for every resource.
    any: Option<PolicySet>,
    /// Those for resources of a type, where the action has several.
    of_kind: HashMap<EntityTypeName, PolicySet>,
    /// Those for a resource that has this name, or is in what has this name.
    named: HashMap<EntityUid, PolicySet>,
    /// The entities these policies look into by name.
    pub(crate) literals: HashSet<EntityUid>,
    /// The parts of the context they look at.
    pub(crate) reads: Reads,
    /// How often they follow a reference from entity to entity at most.
    pub(crate) depth: usize,
}

impl Group {
    /// The shards that can apply to a resource of this type with these names: its own and its ancestors'.
    pub(crate) fn shards<'a, 'b: 'a>(
        &'a self,
        kind: &'b EntityTypeName,
        names: impl Iterator<Item = &'b EntityUid> + 'a,
    ) -> impl Iterator<Item = &'a PolicySet> {
        self.any.iter().chain(self.of_kind.get(kind)).chain(self.named(names))
    }

    /// Those of them that a resource has because of its names.
    pub(crate) fn named<'a, 'b: 'a>(
        &'a self,
        names: impl Iterator<Item = &'b EntityUid> + 'a,
    ) -> impl Iterator<Item = &'a PolicySet> {
        names.filter_map(|name| self.named.get(name))
    }

    fn new(members: &[Member], rules: &[Rule<'_>]) -> Result<Self, String> {
        let mut group = Self::default();
        for member in members {
            let Some(rule) = rules.get(member.rule) else { continue };
            group.literals.extend(literals::read_by(&rule.policy));
            group.reads = group.reads.and(Reads::of(&rule.policy));
            group.depth = group.depth.max(literals::depth(&rule.policy));
            let shard = match &member.resource {
                Key::Any => group.any.get_or_insert_default(),
                Key::Kind(kind) => group.of_kind.entry(kind.clone()).or_default(),
                Key::Named(name) => group.named.entry(name.clone()).or_default(),
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
    pub(crate) fn of_actions<'a>(
        actions: impl Iterator<Item = &'a Deed>,
        rules: &[Rule<'_>],
    ) -> Result<HashMap<EntityUid, Arc<Self>>, String> {
        let mut made: HashMap<Vec<Member>, Arc<Group>> = HashMap::new();
        let mut indexes = HashMap::new();
        for action in actions {
            let mut index = Self::default();
            for (principal, members) in members(rules, action) {
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
            indexes.insert(action.uid.clone(), Arc::new(index));
        }
        Ok(indexes)
    }

    /// The groups that can apply to a principal of this type with these names: its own and its ancestors'.
    pub(crate) fn of_principal<'a>(
        &'a self,
        kind: &EntityTypeName,
        names: impl Iterator<Item = &'a EntityUid> + 'a,
    ) -> impl Iterator<Item = &'a Arc<Group>> {
        let common = [Key::Any, Key::Kind(kind.clone())];
        let common = common.into_iter().filter_map(|key| self.groups.get(&key));
        common.chain(self.named(names))
    }

    /// Those of them that a principal has because of its names.
    pub(crate) fn named<'a>(
        &'a self,
        names: impl Iterator<Item = &'a EntityUid> + 'a,
    ) -> impl Iterator<Item = &'a Arc<Group>> {
        names.filter_map(|name| self.groups.get(&Key::Named(name.clone())))
    }
}

/// The policies that can apply to the action, by what they ask of the principal, in the order of the rules.
fn members(rules: &[Rule<'_>], action: &Deed) -> HashMap<Key, Vec<Member>> {
    let mut members: HashMap<Key, Vec<Member>> = HashMap::new();
    for (rule, Rule { policy, .. }) in rules.iter().enumerate() {
        let principal = Asked::of_principal(policy).key(&action.principals);
        let resource = Asked::of_resource(policy).key(&action.resources);
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

    /// The key of the scope for an action of these types; `None` where it matches none of them.
    fn key(self, of: &HashSet<EntityTypeName>) -> Option<Key> {
        match self {
            Self::Any => Some(Key::Any),
            Self::Is(kind) if !of.contains(&kind) => None,
            Self::Is(_) if of.len() == 1 => Some(Key::Any),
            Self::Is(kind) => Some(Key::Kind(kind)),
            Self::Equal(uid) => of.contains(uid.type_name()).then_some(Key::Named(uid)),
            Self::In(uid) => Some(Key::Named(uid)),
            Self::IsIn(kind, uid) => of.contains(&kind).then_some(Key::Named(uid)),
        }
    }
}

/// Whether the action scope matches the action.
fn covers(scope: &ActionConstraint, action: &Deed) -> bool {
    match scope {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == &action.uid,
        ActionConstraint::In(uids) => uids.iter().any(|uid| action.lineage.contains(uid)),
    }
}
