//! What a caller says, as values of the types that the schema declares.
//!
//! A caller may send any JSON. What the schema declares counts, converted to its type; everything else counts for
//! nothing, and a note says so. Values are built, never parsed: no key of the caller's JSON can make an entity or an
//! extension value of what the schema declares as something else.

use cedar_policy::{Context, EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use serde_json::{Map, Number, Value};

use crate::{
    Properties, names,
    shape::{Attribute, Extension, Shape, Type},
};

/// The most values of one object, counting every element of every set.
const MAX_VALUES: usize = 10_000;
/// The longest text, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// The longest note, in bytes, but for its last name.
const MAX_NOTE: usize = 160;
/// How much of a name a note shows, in characters.
const MAX_NAME: usize = 40;

/// The values of what the shape declares. What is left out stands in at most three short notes.
///
/// # Errors
/// There is more than can be taken: then nothing counts, and the question is refused.
pub(crate) fn project(
    shape: &Shape,
    given: &Properties,
    notes: &mut Vec<String>,
) -> Result<Vec<(String, RestrictedExpression)>, String> {
    let mut projection = Projection::default();
    let values = projection.record(shape, given, "");
    if projection.exceeded {
        return Err(format!(
            "there are more than {MAX_VALUES} values, or texts of more than {MAX_TEXT} bytes"
        ));
    }
    let Projection {
        undeclared,
        reserved,
        unfit,
        ..
    } = projection;
    for (what, names) in [
        ("not declared in the schema", undeclared),
        ("only the store says", reserved),
        ("not of the declared type", unfit),
    ] {
        notes.extend(note(what, &names));
    }
    Ok(values)
}

/// `WHAT: NAME, NAME and N more`.
fn note(what: &str, names: &Names) -> Option<String> {
    if names.count == 0 {
        return None;
    }
    let more = match names.count - names.listed {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("{what}: {}{more}", names.text))
}

/// Names for a note, as many as fit.
#[derive(Default)]
struct Names {
    text: String,
    listed: usize,
    count: usize,
}

impl Names {
    fn add(&mut self, path: &str, name: &str, of: Option<&Type>) {
        self.count += 1;
        if self.text.len() > MAX_NOTE {
            return;
        }
        self.listed += 1;
        if !self.text.is_empty() {
            self.text.push_str(", ");
        }
        let full = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        let mut shown: String = full.chars().take(MAX_NAME).flat_map(char::escape_debug).collect();
        if full.chars().count() > MAX_NAME {
            shown.push_str("...");
        }
        self.text.push_str(&shown);
        if let Some(of) = of {
            let of: String = of.to_string().chars().take(MAX_NAME).collect();
            self.text.push_str(&format!(" ({of})"));
        }
    }
}

#[derive(Default)]
struct Projection {
    values: usize,
    /// Something declared is too much to be taken. To leave it out would let a caller's data push out what forbids.
    exceeded: bool,
    undeclared: Names,
    reserved: Names,
    unfit: Names,
}

impl Projection {
    fn record(&mut self, shape: &Shape, given: &Properties, path: &str) -> Vec<(String, RestrictedExpression)> {
        let mut values = Vec::new();
        for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            match shape.get(name) {
                None => self.undeclared.add(path, name, None),
                Some(attribute) if attribute.authoritative || attribute.of.is_reserved() => {
                    self.reserved.add(path, name, None);
                }
                Some(Attribute { of, .. }) => {
                    let below = match (path, of) {
                        (_, Type::Bool | Type::Long | Type::String) => String::new(),
                        ("", _) => name.clone(),
                        _ => format!("{path}.{name}"),
                    };
                    match self.value(of, value, &below) {
                        Some(value) => values.push((name.clone(), value)),
                        None => self.unfit.add(path, name, Some(of)),
                    }
                }
            }
        }
        values
    }

    fn value(&mut self, of: &Type, value: &Value, path: &str) -> Option<RestrictedExpression> {
        self.values += 1;
        let long = value.as_str().is_some_and(|text| text.len() > MAX_TEXT);
        if self.values > MAX_VALUES || long {
            self.exceeded = true;
            return None;
        }
        match (of, value) {
            (Type::Bool, Value::Bool(value)) => Some(RestrictedExpression::new_bool(*value)),
            (Type::Long, Value::Number(number)) => Some(RestrictedExpression::new_long(whole(number)?)),
            (Type::String, _) => Some(RestrictedExpression::new_string(text(value)?)),
            (Type::Set(of), Value::Array(items)) => {
                // An element that does not fit spoils the set: without it, `containsAll` would say yes too easily.
                let items = items.iter().filter(|item| !item.is_null());
                let items: Option<Vec<_>> = items.map(|item| self.value(of, item, path)).collect();
                Some(RestrictedExpression::new_set(items?))
            }
            (Type::Record(shape), Value::Object(members)) => {
                let values = self.record(shape, members, path);
                let has = |name: &String| values.iter().any(|(found, _)| found == name);
                let whole = shape.0.iter().all(|(name, attribute)| !attribute.required || has(name));
                whole.then(|| RestrictedExpression::new_record(values).ok()).flatten()
            }
            (Type::Entity(kind), _) => Some(RestrictedExpression::new_entity_uid(entity(kind, value)?)),
            (Type::Extension(extension), _) => of_extension(*extension, value),
            _ => None,
        }
    }
}

/// A text; or a whole number that is too large for a Cedar `Long`, in digits.
fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.as_i64().is_none() && number.is_u64() => number.to_string(),
        _ => return None,
    };
    (text.len() <= MAX_TEXT).then_some(text)
}

/// A whole number. To JSON `3.0` is the same number as `3`, and some callers' encoders write it so.
fn whole(number: &Number) -> Option<i64> {
    /// Beyond this a `double` has no fractions left, and need not be what the caller meant.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let value = number.as_f64().filter(|_| number.is_f64())?;
        let exact = value.fract() == 0.0 && value.abs() <= EXACT;
        exact.then(|| format!("{value:.0}").parse().ok()).flatten()
    })
}

/// An entity of the declared type: by its id alone, or as callers name entities everywhere.
fn entity(kind: &EntityTypeName, value: &Value) -> Option<EntityUid> {
    let id = match value {
        Value::String(id) => id,
        Value::Object(members) => {
            let named = members.get("type")?.as_str()?;
            if &names::to_cedar_type(named).ok()? != kind {
                return None;
            }
            members.get("id")?.as_str()?
        }
        _ => return None,
    };
    (id.len() <= MAX_TEXT).then(|| EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id)))
}

fn of_extension(extension: Extension, value: &Value) -> Option<RestrictedExpression> {
    let text = match (extension, value) {
        (_, Value::String(text)) => text.clone(),
        (Extension::Decimal, Value::Number(number)) => decimal(number)?,
        _ => return None,
    };
    let value = match extension {
        Extension::Decimal => RestrictedExpression::new_decimal(text),
        Extension::IpAddr => RestrictedExpression::new_ip(text),
        Extension::Datetime => RestrictedExpression::new_datetime(text),
        Extension::Duration => RestrictedExpression::new_duration(text),
    };
    // Only evaluating it tells whether the text is one.
    let sound = Context::from_pairs([(String::new(), value.clone())]).is_ok();
    sound.then_some(value)
}

/// A number with one to four decimal places; `None` where it has more.
fn decimal(number: &Number) -> Option<String> {
    let text = match number.as_f64().filter(|_| number.is_f64()) {
        // The shortest text that reads back as the same number, never with an exponent.
        Some(value) => format!("{value}"),
        None => number.to_string(),
    };
    match text.split_once('.') {
        None => Some(format!("{text}.0")),
        Some((_, places)) if places.len() <= 4 => Some(text),
        Some(_) => None,
    }
}

/// What the log keeps of what a caller says: what the shape declares and what can be of its type, as given, but for
/// texts of personal attributes, which become pseudonyms.
pub(crate) fn retain(shape: &Shape, given: &Properties, pseudonym: &dyn Fn(&str) -> String) -> Properties {
    retained(shape, given, false, pseudonym)
}

fn retained(shape: &Shape, given: &Properties, personal: bool, pseudonym: &dyn Fn(&str) -> String) -> Properties {
    let kept = given.iter().filter_map(|(name, value)| {
        let attribute = shape.get(name)?;
        let value = kept(&attribute.of, value, personal || attribute.personal, pseudonym)?;
        Some((name.clone(), value))
    });
    kept.collect()
}

fn kept(of: &Type, value: &Value, personal: bool, pseudonym: &dyn Fn(&str) -> String) -> Option<Value> {
    let shown = |text: &str| Value::String(if personal { pseudonym(text) } else { text.to_owned() });
    match (of, value) {
        (Type::Bool, Value::Bool(_)) | (Type::Long, Value::Number(_)) => Some(value.clone()),
        (Type::Extension(_), Value::String(_) | Value::Number(_)) => Some(value.clone()),
        (Type::String, _) => text(value).map(|text| if personal { shown(&text) } else { value.clone() }),
        (Type::Entity(_), Value::String(id)) => Some(shown(id)),
        (Type::Entity(_), Value::Object(members)) => {
            let (kind, id) = (members.get("type")?.as_str()?, members.get("id")?.as_str()?);
            let named = [("type", Value::from(kind)), ("id", shown(id))];
            let named: Map<String, Value> = named
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect();
            Some(Value::Object(named))
        }
        (Type::Set(of), Value::Array(items)) => {
            let items = items.iter().filter(|item| !item.is_null());
            let items: Option<Vec<Value>> = items.map(|item| kept(of, item, personal, pseudonym)).collect();
            items.map(Value::Array)
        }
        (Type::Record(shape), Value::Object(members)) => {
            Some(Value::Object(retained(shape, members, personal, pseudonym)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
