//! `[[audit.witnesses]]`: who cosigns the checkpoints of this deployment's logs.

use std::path::Path;

use control::WitnessSpec;
use http::Uri;
use schemars::JsonSchema;
use serde::Deserialize;
use tlog::{
    cosignature::{CosignerKey, Quorum, QuorumError},
    note::KeyError,
};

use super::{
    secrets::Missing,
    tls::{ClientFiles, RawClientTls, client_files},
    upstream::is_loopback,
};
use crate::{
    node::{Field, Placed},
    problem::{Findings, Mark},
};

/// One entry names all that are missing.
pub(super) const MAX_WITNESSES: usize = 32;
const MAX_URL: usize = 2_048;

/// A witness.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Witness", extend("required" = ["vkey", "url"]))]
pub(crate) struct RawWitness {
    /// Its public key, `NAME+ID+BASE64`, as its operator gives it to you (`bailiwick witness init` prints it). The name in it
    /// is how the witness is called.
    vkey: Field<String>,
    /// Its address, below which `add-checkpoint` is.
    url: Field<String>,
    /// The file of the authorities that its certificate must come from, instead of the public ones; PEM, relative to this
    /// file.
    ca: Field<String>,
}

/// A witness, its certificates as references.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    key: CosignerKey,
    url: String,
    ca: Option<ClientFiles>,
}

impl Witness {
    /// With what files hold. What is missing is noted.
    pub(super) fn resolve(&self, missing: &mut Missing<'_>) -> WitnessSpec {
        let ca = self.ca.as_ref().and_then(|files| missing.files(files.load()));
        WitnessSpec {
            key: self.key.clone(),
            url: self.url.clone(),
            ca: ca.and_then(|(ca, _)| ca),
        }
    }
}

/// All witnesses, and how many of them are enough: all, unless it is said.
pub(super) fn witnesses(
    field: Field<Vec<Field<RawWitness>>>,
    quorum: Option<Placed<u64>>,
    dir: &Path,
    findings: &mut Findings,
) -> (Vec<Witness>, usize) {
    let mark = field.mark();
    let tables = field.value().unwrap_or_default();
    let count = tables.len();
    if count > MAX_WITNESSES {
        let message = format!("there are {count} witnesses, more than {MAX_WITNESSES}");
        findings.add_with_help(mark, message, "one audit entry names all that are missing");
    }
    let mut witnesses: Vec<(Mark, Witness)> = Vec::new();
    for Placed { mark, value: raw } in tables.into_iter().filter_map(Field::given) {
        let Some(witness) = witness(mark, raw, dir, findings) else {
            continue;
        };
        let all = witnesses.iter().map(|(_, witness)| witness.key.clone());
        match Quorum::new(all.chain([witness.key.clone()]).collect(), 0) {
            Ok(_) => witnesses.push((mark, witness)),
            Err(error @ QuorumError::SameKey(..)) => {
                let help = "leave one of them out: asking the same one twice proves no more";
                findings.add_with_help(mark, error.to_string(), help);
            }
            Err(error) => findings.add(mark, error.to_string()),
        }
    }
    let needed = match quorum {
        None => witnesses.len(),
        Some(Placed { mark, .. }) if count == 0 => {
            let help = "declare them under [[audit.witnesses]], or leave `quorum` out";
            findings.add_with_help(mark, "there are no witnesses of whom a quorum could sign", help);
            0
        }
        Some(Placed { mark, value }) => {
            let needed = usize::try_from(value).unwrap_or(usize::MAX);
            if needed > count {
                let message = format!("{needed} witnesses are to sign, of {count} that are declared");
                findings.add_with_help(mark, message, "no checkpoint would ever have enough signatures");
            }
            needed
        }
    };
    (witnesses.into_iter().map(|(_, witness)| witness).collect(), needed)
}

fn witness(mark: Mark, raw: RawWitness, dir: &Path, findings: &mut Findings) -> Option<Witness> {
    let help = "its operator gives it to you: it looks like NAME+8 hexadecimal digits+base64";
    let key = raw
        .vkey
        .required(Some(mark), "the witness has no `vkey`", help, findings);
    let key = key.and_then(|key| match key.value.trim().parse::<CosignerKey>() {
        Ok(key) => Some(key),
        Err(error) => {
            let help = match error {
                KeyError::CosignerType(1) => "a witness has a key of its own, which `bailiwick witness init` prints",
                _ => help,
            };
            findings.add_with_help(key.mark, error.to_string(), help);
            None
        }
    });
    let help = "say where it is, such as url = \"https://witness.auditor.example\"";
    let url = raw.url.required(Some(mark), "the witness has no `url`", help, findings);
    let url = url.and_then(|url| address(&url, findings));
    let ca = raw.ca.given().map(|ca| {
        let mark = ca.mark;
        if url.as_ref().is_some_and(|url| url.starts_with("http:")) {
            let help = "write `url` with https://, or remove `ca`";
            findings.add_with_help(mark, "there is an authority for a witness without TLS", help);
        }
        client_files(RawClientTls::with_ca(ca), mark, dir, findings)
    });
    Some(Witness {
        key: key?,
        url: url?,
        ca,
    })
}

fn address(url: &Placed<String>, findings: &mut Findings) -> Option<String> {
    let example = "it is https:// and where the witness is, such as \"https://witness.auditor.example\"";
    let text = url.value.trim_end_matches('/');
    let parsed = text.parse::<Uri>().ok();
    let host = parsed.as_ref().and_then(Uri::host).unwrap_or_default();
    let authority = parsed.as_ref().and_then(Uri::authority);
    let authority = authority.map(http::uri::Authority::as_str).unwrap_or_default();
    let port = authority.strip_prefix(host).unwrap_or_default();
    let port_is_odd = !port.is_empty() && parsed.as_ref().and_then(Uri::port_u16).is_none();
    let odd = host.is_empty() || port_is_odd || text.len() > MAX_URL || text.contains(['#', '?', '@']);
    let (message, help) = match parsed.as_ref().and_then(Uri::scheme_str) {
        Some("https" | "http") if odd => ("this is not the address of a witness", example),
        Some("https") => return Some(text.to_owned()),
        Some("http") if is_loopback(host) => return Some(text.to_owned()),
        Some("http") => (
            "the witness would be reached without TLS",
            "whoever is on the way could keep its signatures away: write `https://`; `http://` is for a loopback address",
        ),
        _ => ("this is not the address of a witness", example),
    };
    findings.add_with_help(url.mark, message, help);
    None
}
