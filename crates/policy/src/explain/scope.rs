//! Why the scope of a policy does not match.

use std::collections::HashSet;

use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, Policy, PrincipalConstraint, ResourceConstraint};

use super::{Mismatch, Part};

/// How many of the groups that something is in are named.
const MAX_GROUPS: usize = 8;

/// Principal, action or resource of a question: its name and those of all it is in.
pub(crate) struct Side {
    pub(crate) uid: EntityUid,
    /// Its own name is among them.
    pub(crate) lineage: HashSet<EntityUid>,
}

impl Side {
    pub(crate) fn new(uid: EntityUid, lineage: impl IntoIterator<Item = EntityUid>) -> Self {
        let lineage = lineage.into_iter().chain([uid.clone()]).collect();
        Self { uid, lineage }
    }

    /// What it is in, sorted, and no more than a line of it.
    pub(super) fn groups(&self) -> String {
        let mut groups: Vec<String> = self.lineage.iter().filter(|uid| **uid != self.uid).map(shown).collect();
        groups.sort();
        let more = groups.len().saturating_sub(MAX_GROUPS);
        groups.truncate(MAX_GROUPS);
        let groups = groups.join(", ");
        match (groups.as_str(), more) {
            ("", _) => "nothing".to_owned(),
            (_, 0) => groups,
            (_, more) => format!("{groups} and {more} more"),
        }
    }
}

/// Who would do what, with what.
pub(crate) struct Sides {
    pub(crate) principal: Side,
    pub(crate) action: Side,
    pub(crate) resource: Side,
}

/// What a scope asks of the principal or of the resource.
enum Asked {
    Any,
    Is(EntityTypeName),
    Equal(EntityUid),
    In(EntityUid),
    IsIn(EntityTypeName, EntityUid),
}

/// The parts of the scope that do not match, in their order.
pub(super) fn mismatches(policy: &Policy, sides: &Sides) -> Vec<Mismatch> {
    let principal = match policy.principal_constraint() {
        PrincipalConstraint::Any => Asked::Any,
        PrincipalConstraint::Is(kind) => Asked::Is(kind),
        PrincipalConstraint::Eq(uid) => Asked::Equal(uid),
        PrincipalConstraint::In(uid) => Asked::In(uid),
        PrincipalConstraint::IsIn(kind, uid) => Asked::IsIn(kind, uid),
    };
    let resource = match policy.resource_constraint() {
        ResourceConstraint::Any => Asked::Any,
        ResourceConstraint::Is(kind) => Asked::Is(kind),
        ResourceConstraint::Eq(uid) => Asked::Equal(uid),
        ResourceConstraint::In(uid) => Asked::In(uid),
        ResourceConstraint::IsIn(kind, uid) => Asked::IsIn(kind, uid),
    };
    let parts = [
        principal.against(Part::Principal, &sides.principal),
        of_action(&policy.action_constraint(), &sides.action),
        resource.against(Part::Resource, &sides.resource),
    ];
    parts.into_iter().flatten().collect()
}

impl Asked {
    fn against(self, part: Part, side: &Side) -> Option<Mismatch> {
        let name = part.as_str();
        let is_not = |kind: &EntityTypeName| side.uid.type_name() != kind;
        let of_kind = || format!("{} is of the type {}", shown(&side.uid), side.uid.type_name());
        let is_out = |uid: &EntityUid| !side.lineage.contains(uid);
        let of_groups = || format!("{} is in {}", shown(&side.uid), side.groups());
        let (asks, why) = match self {
            Self::Any => return None,
            Self::Is(kind) => is_not(&kind).then(|| (format!("{name} is {kind}"), of_kind())),
            Self::Equal(uid) => (uid != side.uid).then(|| (format!("{name} == {}", shown(&uid)), it_is(side))),
            Self::In(uid) => is_out(&uid).then(|| (format!("{name} in {}", shown(&uid)), of_groups())),
            Self::IsIn(kind, uid) => match (is_not(&kind), is_out(&uid)) {
                (false, false) => None,
                (wrong_kind, _) => Some((
                    format!("{name} is {kind} in {}", shown(&uid)),
                    if wrong_kind { of_kind() } else { of_groups() },
                )),
            },
        }?;
        Some(Mismatch { part, asks, why })
    }
}

fn of_action(constraint: &ActionConstraint, side: &Side) -> Option<Mismatch> {
    let (asks, matches) = match constraint {
        ActionConstraint::Any => return None,
        ActionConstraint::Eq(uid) => (format!("action == {}", shown(uid)), *uid == side.uid),
        ActionConstraint::In(uids) => {
            let names: Vec<String> = uids.iter().take(MAX_GROUPS).map(shown).collect();
            let more = if uids.len() > MAX_GROUPS { ", ..." } else { "" };
            (
                format!("action in [{}{more}]", names.join(", ")),
                uids.iter().any(|uid| side.lineage.contains(uid)),
            )
        }
    };
    (!matches).then(|| Mismatch {
        part: Part::Action,
        asks,
        why: it_is(side),
    })
}

fn it_is(side: &Side) -> String {
    format!("it is {}", shown(&side.uid))
}

/// A name as policies have it, and no more than a line of it.
pub(super) fn shown(uid: &EntityUid) -> String {
    super::clauses::shortened(&uid.to_string())
}
