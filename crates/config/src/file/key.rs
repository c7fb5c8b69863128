//! `api_key`: a reference to an upstream's credential, and the credential it refers to.
//!
//! The credential itself never stands in a file of ours, and nothing here ever puts one into a message.

use std::{borrow::Cow, fs::File, io::Read as _, path::Path, path::PathBuf};

use control::Secret;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use zeroize::Zeroizing;

/// Where a credential is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyReference {
    /// In an environment variable of this name.
    Env(String),
    /// In a file, relative to the configuration file until it is resolved.
    File(PathBuf),
}

/// Why there is no credential.
#[derive(Debug)]
pub(crate) struct NoSecret {
    /// What is wrong; the help in a second line.
    pub(crate) text: String,
    /// Whether it is not there, which is right where a configuration is only checked.
    pub(crate) absent: bool,
}

/// Whether a file is not there for us, and not: there and wrong.
pub(super) fn is_absence(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied
    )
}

/// Longer files hold something else.
const MAX_KEY_BYTES: u64 = 16 * 1024;

const HELP: &str = "refer to it: { env = \"OPENAI_API_KEY\" } or { file = \"secrets/openai.key\" }";

impl KeyReference {
    /// The credential. The error says what is wrong with the reference or with what is there, never what is there.
    pub(crate) fn resolve(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Secret, NoSecret> {
        match self {
            Self::Env(name) => {
                let found = env(name).ok_or_else(|| {
                    let text = format!("the environment variable {name} is not set\nset it before starting the server");
                    NoSecret { text, absent: true }
                })?;
                // Where no secrets are given, build servers set their variables to nothing.
                let absent = found.trim().is_empty();
                credential(Zeroizing::new(found)).map_err(|what| NoSecret {
                    text: format!("the environment variable {name} {what}"),
                    absent,
                })
            }
            Self::File(path) => {
                let shown = path.display();
                let found = read(path).map_err(|error| NoSecret {
                    text: format!("cannot read the key file {shown}: {error}"),
                    absent: is_absence(&error),
                })?;
                credential(found).map_err(|what| NoSecret {
                    text: format!("the key file {shown} {what}"),
                    absent: false,
                })
            }
        }
    }

    /// The same reference, a file's path taken relative to `dir`.
    pub(crate) fn below(self, dir: &Path) -> Self {
        match self {
            Self::Env(name) => Self::Env(name),
            Self::File(path) => Self::File(dir.join(path)),
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, std::io::Error> {
    let mut text = Zeroizing::new(String::new());
    File::open(path)?.take(MAX_KEY_BYTES + 1).read_to_string(&mut text)?;
    Ok(text)
}

/// Editors and `echo` end a file with a line break; nothing else may stand in a header (RFC 9110, section 5.5).
fn credential(found: Zeroizing<String>) -> Result<Secret, &'static str> {
    let found = found.trim();
    if found.is_empty() {
        return Err("is empty");
    }
    if u64::try_from(found.len()).map_or(true, |length| length > MAX_KEY_BYTES) {
        return Err("holds something too long to be a key");
    }
    if !found.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("holds something that is not a key: a key is one word of ASCII characters");
    }
    Ok(Secret::from(found))
}

/// The table form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawReference {
    env: Option<String>,
    file: Option<PathBuf>,
}

impl<'de> Deserialize<'de> for KeyReference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ReferenceVisitor;

        impl<'de> Visitor<'de> for ReferenceVisitor {
            type Value = KeyReference;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a reference such as { env = \"OPENAI_API_KEY\" }")
            }

            /// The most likely mistake, and the one that must not be repeated on the screen.
            fn visit_str<E: de::Error>(self, _: &str) -> Result<KeyReference, E> {
                Err(E::custom(format!(
                    "a key must not stand in the configuration itself\n{HELP}; if this one was real, replace it"
                )))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KeyReference, A::Error> {
                let raw = RawReference::deserialize(MapAccessDeserializer::new(map))?;
                match (raw.env, raw.file) {
                    (Some(name), None) if is_variable(&name) => Ok(KeyReference::Env(name)),
                    // It may be the key: it is not shown.
                    (Some(_), None) => Err(de::Error::custom(
                        "`env` is not the name of an environment variable\na name has only letters, digits and '_', \
                         such as OPENAI_API_KEY",
                    )),
                    (None, Some(path)) if !path.as_os_str().is_empty() => Ok(KeyReference::File(path)),
                    (None, Some(_)) => Err(de::Error::custom(format!("`file` is empty\n{HELP}"))),
                    (Some(_), Some(_)) => Err(de::Error::custom("give either `env` or `file`, not both")),
                    (None, None) => Err(de::Error::custom(format!("the reference is empty\n{HELP}"))),
                }
            }
        }

        deserializer.deserialize_any(ReferenceVisitor)
    }
}

fn is_variable(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.len() <= 128 && name.chars().all(plain) && name.starts_with(|c: char| !c.is_ascii_digit())
}

impl JsonSchema for KeyReference {
    fn schema_name() -> Cow<'static, str> {
        "KeyReference".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Where a credential is. The credential itself never stands in a file of the configuration.",
            "type": "object",
            "properties": {
                "env": {
                    "description": "The name of an environment variable.",
                    "type": "string",
                    "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
                },
                "file": { "description": "The path of a file, relative to this one.", "type": "string" },
            },
            "additionalProperties": false,
            "minProperties": 1,
            "maxProperties": 1,
        })
    }
}
