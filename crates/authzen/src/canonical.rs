//! A text that is the same for requests that are the same: members in the order of their names.

use serde_json::Value;

use crate::{Action, Entity, PageRequest, Properties, Search, Target};

impl Search {
    /// What must not change from page to page: everything but the page's token and its limit, whose place is beside it
    /// (section 8.2.2).
    pub fn canonical(&self) -> String {
        let mut out = String::with_capacity(256);
        match &self.target {
            Target::Subject {
                kind,
                properties,
                action,
                resource,
            } => {
                out.push_str("subject");
                sought(kind, properties.as_ref(), &mut out);
                action_to(action, &mut out);
                entity(resource, &mut out);
            }
            Target::Resource {
                kind,
                properties,
                subject,
                action,
            } => {
                out.push_str("resource");
                sought(kind, properties.as_ref(), &mut out);
                entity(subject, &mut out);
                action_to(action, &mut out);
            }
            Target::Action { subject, resource } => {
                out.push_str("action");
                entity(subject, &mut out);
                entity(resource, &mut out);
            }
        }
        object(self.context.as_deref(), &mut out);
        let page = self.page.as_ref();
        object(page.and_then(|page: &PageRequest| page.properties.as_ref()), &mut out);
        out
    }
}

fn sought(kind: &str, properties: Option<&Properties>, out: &mut String) {
    text(kind, out);
    object(properties, out);
}

fn entity(entity: &Entity, out: &mut String) {
    text(&entity.kind, out);
    text(&entity.id, out);
    object(entity.properties.as_ref(), out);
}

fn action_to(action: &Action, out: &mut String) {
    text(&action.name, out);
    object(action.properties.as_ref(), out);
}

fn text(text: &str, out: &mut String) {
    value(&Value::from(text), out);
}

fn object(members: Option<&Properties>, out: &mut String) {
    match members {
        Some(found) => members_to(found, out),
        None => out.push('-'),
    }
}

fn members_to(members: &Properties, out: &mut String) {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by_key(|(name, _)| *name);
    out.push('{');
    for (name, member) in sorted {
        text(name, out);
        value(member, out);
    }
    out.push('}');
}

fn value(given: &Value, out: &mut String) {
    match given {
        Value::Object(members) => members_to(members, out),
        Value::Array(items) => {
            out.push('[');
            for item in items {
                value(item, out);
                out.push(',');
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}
