//! What the log keeps of a question, and how it is asked again.

use serde_json::Value;

use crate::{
    Bundle, Party, Properties, Query,
    evaluate::{ACTION, APPROVAL},
    project::retain,
};

/// A question as the log keeps it: what the schema declares and nothing else, with pseudonyms in place of people. It is
/// enough to decide again (decision inputs; by the bundle and the entities of the time).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The subject's type.
    pub subject_kind: String,
    /// Its id; a pseudonym where the type is personal.
    pub subject_id: String,
    /// What the caller said of it.
    pub subject_properties: Properties,
    /// The action.
    pub action: String,
    /// What the caller said of it.
    pub action_properties: Properties,
    /// The resource's type.
    pub resource_kind: String,
    /// Its id; a pseudonym where the type is personal.
    pub resource_id: String,
    /// What the caller said of it.
    pub resource_properties: Properties,
    /// Everything else the caller said.
    pub context: Properties,
    /// Whether somebody had approved it.
    pub approved: bool,
}

impl Recorded {
    /// The question, to be asked of a bundle that knows people by their pseudonyms ([`Bundle::pseudonymised`]).
    pub fn query(&self) -> Query<'_> {
        Query {
            subject: Party {
                kind: &self.subject_kind,
                id: &self.subject_id,
                properties: Some(&self.subject_properties),
            },
            action: &self.action,
            action_properties: Some(&self.action_properties),
            resource: Party {
                kind: &self.resource_kind,
                id: &self.resource_id,
                properties: Some(&self.resource_properties),
            },
            context: Some(&self.context),
            approved: self.approved,
        }
    }
}

impl Bundle {
    /// What the log is to keep of a question. Of a type that is not known here the id is kept as a pseudonym: it might be
    /// a person's.
    pub fn recorded(&self, query: &Query<'_>, pseudonym: &dyn Fn(&str) -> String) -> Recorded {
        let deed = self.terms.action(query.action);
        let of_context = |given: Option<&Properties>| match (deed, given) {
            (Some(deed), Some(given)) => retain(&deed.context, given, pseudonym),
            _ => Properties::new(),
        };
        let action_properties = query.action_properties.map(|given| {
            let wrapped = Properties::from_iter([(ACTION.to_owned(), Value::Object(given.clone()))]);
            match of_context(Some(&wrapped)).remove(ACTION) {
                Some(Value::Object(kept)) => kept,
                _ => Properties::new(),
            }
        });
        let mut context = of_context(query.context);
        context.remove(ACTION);
        context.remove(APPROVAL);
        let (subject_id, subject_properties) = self.recorded_party(&query.subject, pseudonym);
        let (resource_id, resource_properties) = self.recorded_party(&query.resource, pseudonym);
        Recorded {
            subject_kind: query.subject.kind.to_owned(),
            subject_id,
            subject_properties,
            action: query.action.to_owned(),
            action_properties: action_properties.unwrap_or_default(),
            resource_kind: query.resource.kind.to_owned(),
            resource_id,
            resource_properties,
            context,
            approved: query.approved,
        }
    }

    fn recorded_party(&self, party: &Party<'_>, pseudonym: &dyn Fn(&str) -> String) -> (String, Properties) {
        let Some(kind) = self.terms.kind(party.kind) else {
            return (pseudonym(party.id), Properties::new());
        };
        let id = if kind.personal {
            pseudonym(party.id)
        } else {
            party.id.to_owned()
        };
        let given = party.properties.filter(|_| !kind.builtin);
        let properties = given.map(|given| retain(&kind.shape, given, pseudonym));
        (id, properties.unwrap_or_default())
    }
}
