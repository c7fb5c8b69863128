//! The form of what is sent: the entry itself, or a CloudEvent around it.

use control::{Fed, SinkFormat, rfc3339};
use data_encoding::BASE64;
use model::TenantName;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::filter::Seen;

/// The type of an event is this and the kind of its entry.
pub(crate) const TYPE_PREFIX: &str = "dev.bailiwick.";

/// A CloudEvent (CloudEvents 1.0.2, JSON format 1.0.2). Extension attributes are lower-case letters and digits; numbers that
/// may pass 31 bits are text, since its integers are of 32 bits.
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    kind: String,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    datacontenttype: &'static str,
    tenant: &'a str,
    leafindex: String,
    leafhash: String,
    data: &'a RawValue,
}

/// How the entries of one parcel stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    /// Each on a line of its own.
    Lines,
    /// As one JSON array.
    Array,
}

/// The bytes of a parcel, as they grow.
#[derive(Debug)]
pub(crate) struct Writer {
    together: Together,
    format: SinkFormat,
    out: Vec<u8>,
    count: u64,
}

impl Writer {
    pub(crate) fn new(format: SinkFormat, together: Together) -> Self {
        let out = Vec::new();
        Self {
            together,
            format,
            out,
            count: 0,
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    /// Adds an entry of the log with this origin. `seen` is what was read of it.
    pub(crate) fn add(
        &mut self,
        origin: &str,
        tenant: &TenantName,
        fed: &Fed,
        seen: Option<&Seen<'_>>,
    ) -> Result<(), serde_json::Error> {
        if self.together == Together::Array {
            self.out.push(if self.count == 0 { b'[' } else { b',' });
        }
        match (self.format, seen) {
            (SinkFormat::CloudEvents, Some(seen)) => {
                let event = CloudEvent {
                    specversion: "1.0",
                    id: format!("{tenant}/{}", fed.index),
                    source: origin,
                    kind: format!("{TYPE_PREFIX}{}", seen.kind),
                    time: rfc3339(seen.time),
                    subject: seen.action.as_deref(),
                    datacontenttype: "application/json",
                    tenant: tenant.as_str(),
                    leafindex: fed.index.to_string(),
                    leafhash: BASE64.encode(&fed.leaf.0),
                    data: serde_json::from_slice(&fed.bytes)?,
                };
                serde_json::to_writer(&mut self.out, &event)?;
            }
            _ => self.out.extend_from_slice(&fed.bytes),
        }
        if self.together == Together::Lines {
            self.out.push(b'\n');
        }
        self.count += 1;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        if self.together == Together::Array {
            self.out.push(b']');
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ENTRY: &str = r#"{"v":4,"tenant":"default","index":7,"time":1789992000000000,"event":{"outcome":{"action":"01a0c3d65a0071018101010101010101","attempt":0,"intent":6}}}"#;

    fn fed() -> Fed {
        Fed {
            index: 7,
            leaf: tlog::leaf_hash(ENTRY.as_bytes()),
            bytes: ENTRY.as_bytes().to_vec(),
        }
    }

    fn written(format: SinkFormat, together: Together, times: usize) -> String {
        let mut writer = Writer::new(format, together);
        let seen = Seen::read(ENTRY.as_bytes()).unwrap();
        for _ in 0..times {
            let tenant = TenantName::default_tenant();
            writer
                .add("acme.example/default", &tenant, &fed(), Some(&seen))
                .unwrap();
        }
        String::from_utf8(writer.finish()).unwrap()
    }

    #[test]
    fn json_is_the_entry_itself() {
        assert_eq!(
            written(SinkFormat::Json, Together::Lines, 2),
            format!("{ENTRY}\n{ENTRY}\n")
        );
    }

    #[test]
    fn a_cloud_event_holds_the_entry() {
        let line = written(SinkFormat::CloudEvents, Together::Lines, 1);
        let expected = json!({
            "specversion": "1.0",
            "id": "default/7",
            "source": "acme.example/default",
            "type": "dev.bailiwick.outcome",
            "time": "2026-09-21T12:00:00.000000Z",
            "subject": "01a0c3d65a0071018101010101010101",
            "datacontenttype": "application/json",
            "tenant": "default",
            "leafindex": "7",
            "leafhash": BASE64.encode(&fed().leaf.0),
            "data": serde_json::from_str::<Value>(ENTRY).unwrap(),
        });
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
        // Its bytes stand in it, so that its leaf can be computed from what was received.
        assert!(line.ends_with(&format!("\"data\":{ENTRY}}}\n")), "{line}");
        let array: Vec<Value> = serde_json::from_str(&written(SinkFormat::CloudEvents, Together::Array, 3)).unwrap();
        assert_eq!(array, vec![expected; 3]);
    }

    /// CloudEvents 1.0.2, section 3: what every attribute has to be, and how extensions are named.
    #[test]
    fn its_attributes_are_what_they_have_to_be() {
        let event: Value = serde_json::from_str(&written(SinkFormat::CloudEvents, Together::Lines, 1)).unwrap();
        let attributes = event.as_object().unwrap();
        for required in ["id", "source", "specversion", "type"] {
            assert!(
                attributes[required].as_str().is_some_and(|value| !value.is_empty()),
                "{required}"
            );
        }
        for (name, value) in attributes.iter().filter(|(name, _)| *name != "data") {
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()),
                "{name}"
            );
            assert!(name.len() <= 20 && value.is_string(), "{name}");
        }
        assert_eq!(event["specversion"], "1.0");
        // A URI reference (RFC 3986, section 4.1): names of logs have nothing that would have to be encoded.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
        assert!(event["source"].as_str().unwrap().bytes().all(plain));
        assert!(event["data"].is_object());
    }
}
