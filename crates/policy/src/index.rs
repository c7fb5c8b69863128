//! The index over scopes: which policies can apply to a principal, an action and a resource at all.
//!
//! A policy's scope (`principal == ..., action in ..., resource in ...`) is a conjunction that cannot fail, so a policy
//! whose scope does not match is neither satisfied nor in error: leaving it out changes nothing. Under each action its
//! scope covers, a policy stands in exactly one shard, by what its scope asks of the principal and of the resource; a
//! decision evaluates the shards of its action that the principal's and the resource's own names and ancestors select.
//!
//! A key may select a policy whose scope does not match after all (`principal == Team::"a"` for somebody in that team):
//! evaluating the scope says so. It never leaves one out.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid};

use crate::{
    compiled::{Compiled, Key},
    literals,
    memo::Reads,
    parse::Rule,
    schema::Deed,
};

/// Policies that ask the same of principal and resource.
type Shard = Vec<Arc<Compiled>>;

/// The policies that ask the same of the principal, by what they ask of the resource.
#[derive(Default)]
pub(crate) struct Group {
    /// Those for every resource.
    any: Shard,
    /// Those for resources of a type, where the action has several.
    of_kind: HashMap<EntityTypeName, Shard>,
    /// Those for a resource that has this name, or is in what has this name.
    named: HashMap<EntityUid, Shard>,
    /// The entities these policies look into by name.
    pub(crate) literals: HashSet<EntityUid>,
    /// The parts of the context they look at.
    pub(crate) reads: Reads,
    /// How often they follow a reference from entity to entity at most.
    pub(crate) depth: usize,
}

impl Group {
    /// The shards that can apply to a resource of this type with these names: its own and its ancestors'.
    pub(crate) fn shards<'a, 'b>(
        &'a self,
        kind: &EntityTypeName,
        names: impl Iterator<Item = &'b EntityUid>,
    ) -> impl Iterator<Item = &'a Arc<Compiled>> {
        let of_kind = self.of_kind.get(kind).into_iter().flatten();
        self.any.iter().chain(of_kind).chain(self.named(names))
    }

    /// Those of them that a resource has because of its names.
    pub(crate) fn named<'a, 'b>(
        &'a self,
        names: impl Iterator<Item = &'b EntityUid>,
    ) -> impl Iterator<Item = &'a Arc<Compiled>> {
        names.filter_map(|name| self.named.get(name)).flatten()
    }

    fn new(members: &[Member], rules: &[Rule<'_>], compiled: &[Arc<Compiled>]) -> Self {
        let mut group = Self::default();
        for member in members {
            let Some(rule) = rules.get(member.rule) else { continue };
            group.literals.extend(literals::read_by(&rule.policy));
            group.reads = group.reads.and(Reads::of(&rule.policy));
            group.depth = group.depth.max(literals::depth(&rule.policy));
            let shard = match &member.resource {
                Key::Any => &mut group.any,
                Key::Kind(kind) => group.of_kind.entry(kind.clone()).or_default(),
                Key::Named(name) => group.named.entry(name.clone()).or_default(),
            };
            let made = compiled.get(member.rule).cloned();
            shard.extend(made);
        }
        group
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
        let compiled = rules
            .iter()
            .map(|rule| Compiled::new(rule.id.clone(), &rule.policy).map(Arc::new));
        let compiled: Vec<Arc<Compiled>> = compiled.collect::<Result<_, _>>()?;
        let mut made: HashMap<Vec<Member>, Arc<Group>> = HashMap::new();
        let mut indexes = HashMap::new();
        for action in actions {
            let mut index = Self::default();
            for (principal, members) in members(rules, &compiled, action) {
                let group = match made.get(&members) {
                    Some(group) => group.clone(),
                    None => {
                        let group = Arc::new(Group::new(&members, rules, &compiled));
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
    pub(crate) fn of_principal<'a, 'b>(
        &'a self,
        kind: &EntityTypeName,
        names: impl Iterator<Item = &'b EntityUid>,
    ) -> impl Iterator<Item = &'a Arc<Group>> {
        let common = [Key::Any, Key::Kind(kind.clone())];
        let common = common.into_iter().filter_map(|key| self.groups.get(&key));
        common.chain(self.named(names))
    }

    /// Those of them that a principal has because of its names.
    pub(crate) fn named<'a, 'b>(
        &'a self,
        names: impl Iterator<Item = &'b EntityUid>,
    ) -> impl Iterator<Item = &'a Arc<Group>> {
        names.filter_map(|name| self.groups.get(&Key::Named(name.clone())))
    }
}

/// The policies that can apply to the action, by what they ask of the principal, in the order of the rules.
fn members(rules: &[Rule<'_>], compiled: &[Arc<Compiled>], action: &Deed) -> HashMap<Key, Vec<Member>> {
    let mut members: HashMap<Key, Vec<Member>> = HashMap::new();
    for (rule, (Rule { policy, .. }, compiled)) in rules.iter().zip(compiled).enumerate() {
        let principal = compiled.principal.key(&action.principals);
        let resource = compiled.resource.key(&action.resources);
        let (Some(principal), Some(resource)) = (principal, resource) else {
            continue;
        };
        if covers(&policy.action_constraint(), action) {
            members.entry(principal).or_default().push(Member { rule, resource });
        }
    }
    members
}

/// Whether the action scope matches the action.
fn covers(scope: &ActionConstraint, action: &Deed) -> bool {
    match scope {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == &action.uid,
        ActionConstraint::In(uids) => uids.iter().any(|uid| action.lineage.contains(uid)),
    }
}
