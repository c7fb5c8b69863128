//! What a request asks to be done next: bounded, and the same however the request is written.

use std::collections::BTreeSet;

use llm::{Call, Endpoint, Sameness};
use serde_json::value::RawValue;

use crate::calls::Members;

/// A body in JSON, read by every endpoint.
pub fn step(data: &[u8]) {
    // What has a step is JSON, and not too deep to go through it level by level.
    let readable = llm::step(Endpoint::Completions, None, data, Sameness::Calls).is_some();
    let other = std::str::from_utf8(data).ok().filter(|_| readable).and_then(rewritten);
    let sameness = [Sameness::Calls, Sameness::Results];
    let all = Endpoint::ALL.into_iter();
    for (endpoint, sameness) in all.flat_map(|endpoint| sameness.map(|sameness| (endpoint, sameness))) {
        let step = llm::step(endpoint, None, data, sameness);
        if let Some(step) = &step {
            assert!(endpoint.has_output_limit(), "{endpoint:?} takes a step");
            assert!(
                step.len() <= 4 * data.len() + 64,
                "a step of {} bytes from {}",
                step.len(),
                data.len()
            );
        }
        if endpoint.has_output_limit() && Call::parse(endpoint, data).is_ok() {
            assert!(step.is_some(), "{endpoint:?} was accepted and takes no step");
        }
        if let Some(other) = &other {
            let again = llm::step(endpoint, None, other.as_bytes(), sameness);
            assert_eq!(again, step, "{endpoint:?} takes another step for {other}");
        }
    }
}

/// The same request with the members of every object from the last to the first, and other white space. `None` if it is
/// no JSON, has a key twice, whose order has a meaning, or has one that `serde_json` does not decode.
fn rewritten(text: &str) -> Option<String> {
    let mut out = String::with_capacity(2 * text.len());
    rewrite(text.trim_ascii(), &mut out)?;
    Some(out)
}

fn rewrite(text: &str, out: &mut String) -> Option<()> {
    match text.as_bytes().first()? {
        b'{' => {
            let Members(members) = serde_json::from_str(text).ok()?;
            let names: BTreeSet<_> = members.iter().map(|(name, _)| name).collect();
            if names.len() < members.len() {
                return None;
            }
            out.push_str("{\n");
            for (index, (name, value)) in members.iter().rev().enumerate() {
                out.push_str(if index == 0 { "" } else { " ,\t" });
                out.push_str(&serde_json::to_string(name).ok()?);
                out.push_str(" : ");
                rewrite(value.get(), out)?;
            }
            out.push_str(" }");
        }
        b'[' => {
            let values: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            out.push_str("[ ");
            for (index, value) in values.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "\r\n, " });
                rewrite(value.get(), out)?;
            }
            out.push(']');
        }
        _ => out.push_str(text),
    }
    Some(())
}
