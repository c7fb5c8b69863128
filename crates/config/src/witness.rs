//! `witness.toml`: a witness of other deployments' logs.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::ServerConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use tlog::{checkpoint::Origin, cosignature::CosigningKey, note::VerifierKey};

use crate::{
    file::{LogSettings, RawLog, RawServerTls, ServerFiles, below, server_files},
    governance::MAX_FILE_BYTES,
    init,
    node::{Field, Format, Placed, decode, parse_toml},
    plain,
    problem::{self, Findings, Mark, Problems},
    quantity::Address,
    read,
    suggest::shown,
};

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7480);
/// Each has a file, and what is in memory of it is small.
const MAX_LOGS: usize = 1_024;
/// While a key is exchanged there are two.
const MAX_KEYS: usize = 16;
const TEMPLATE: &str = include_str!("templates/witness.toml");
/// What stands in the template in the place of the witness's name.
const NAME: &str = "WITNESS_NAME";

/// Settings of a witness.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "witness.toml", extend("required" = ["name"]))]
pub(crate) struct RawWitnessFile {
    /// The name of the witness's key, such as `witness.auditor.example/w1`. It stands under everything it cosigns, so choose
    /// it once.
    name: Field<String>,
    /// The address. Port 0 lets the system choose one.
    #[schemars(extend("default" = "127.0.0.1:7480"))]
    listen: Field<Address>,
    /// TLS of the listener. It speaks plain HTTP if absent.
    tls: Field<RawServerTls>,
    /// The directory in which it remembers what it has cosigned, relative to this file. Never put an older copy in its place.
    #[schemars(extend("default" = "./state"))]
    state: Field<String>,
    /// The file of its private key (an Ed25519 seed in hexadecimal), relative to this file.
    #[schemars(extend("default" = "./witness.seed"))]
    key: Field<String>,
    /// The operator's log, on standard error.
    log: Field<RawLog>,
    /// The logs that it cosigns for.
    logs: Field<Vec<Field<RawWitnessed>>>,
}

/// A log that a witness cosigns for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "WitnessedLog", extend("required" = ["origin", "vkeys"]))]
struct RawWitnessed {
    /// Its name: the first line of its checkpoints, such as `agents.acme.example/default`.
    origin: Field<String>,
    /// The public keys of which each may sign for it, `NAME+ID+BASE64`: the content of `keys/log.TENANT.vkey` of its data
    /// directory. While its key is exchanged, both.
    vkeys: Field<Vec<Field<String>>>,
}

/// What `witness.toml` says.
#[derive(Clone, Debug)]
pub struct WitnessSettings {
    /// The file, as a person would type it.
    pub file: String,
    /// The name of its key.
    pub name: String,
    /// Its address.
    pub listen: SocketAddr,
    /// The TLS of its listener.
    pub tls: Option<ServerFiles>,
    /// The directory in which it remembers.
    pub state: PathBuf,
    /// The file of its private key.
    pub key: PathBuf,
    /// The operator's log.
    pub log: LogSettings,
    /// The logs that it cosigns for, each with its keys.
    pub logs: Vec<(Origin, Vec<VerifierKey>)>,
}

impl WitnessSettings {
    /// Reads the text of a file: `file` is how messages name it, `dir` what its paths are relative to.
    ///
    /// # Errors
    /// All that is wrong with it.
    fn parse(text: &str, file: &str, dir: &Path) -> Result<Self, Problems> {
        let read = || {
            let tree = parse_toml(text)?;
            let (raw, mut findings) = decode::<RawWitnessFile>(&tree, Format::Toml);
            let checked = raw.and_then(|raw| checked(raw, file, dir, &mut findings));
            findings.conclude(checked)
        };
        read().map_err(|findings: Findings| findings.of_file(file).sorted())
    }

    /// The TLS of its listener, of what the files hold now.
    ///
    /// # Errors
    /// The files that cannot be read or used.
    pub fn server_tls(&self) -> Result<Option<Arc<ServerConfig>>, Problems> {
        let config = |files: &ServerFiles| files.config(&files.read()?);
        self.tls.as_ref().map(config).transpose()
    }
}

/// Reads `witness.toml`.
///
/// # Errors
/// That it cannot be read, or all that is wrong with it.
pub fn load_witness(path: &Path) -> Result<WitnessSettings, Problems> {
    let shown = plain(path).display().to_string();
    let dir = plain(path.parent().unwrap_or(Path::new("")));
    match read::read(path, MAX_FILE_BYTES) {
        Ok(Some(bytes)) => {
            let text = read::text(bytes).map_err(|problem| problem.of_file(shown.clone()))?;
            WitnessSettings::parse(&text, &shown, &dir)
        }
        Ok(None) => Err(problem::of_file(shown, "the file is longer than 1024 KiB").into()),
        Err(error) => {
            let help = "`bailiwick witness init DIR --name NAME` writes one to start from; `-c FILE` says where it is";
            Err(problem::of_file_with_help(shown, format!("cannot be read: {error}"), help).into())
        }
    }
}

/// Writes a `witness.toml` for a witness of this name into a directory, which is made if it is not there.
///
/// # Errors
/// That the name is none, that the file is there already, or why it cannot be written.
pub fn init_witness(dir: &Path, name: &str) -> Result<PathBuf, Problems> {
    let path = dir.join("witness.toml");
    if !is_key_name(name) {
        return Err(problem::of_file_with_help(path.display().to_string(), NO_NAME.0, NO_NAME.1).into());
    }
    init::write_all(vec![(path.clone(), &TEMPLATE.replace(NAME, name))])?;
    Ok(path)
}

const NO_NAME: (&str, &str) = (
    "this is not the name of a witness",
    "it is not empty and has no spaces, quotes, '+' or control characters, such as \"witness.auditor.example/w1\"",
);

/// A name that makes a key, and that stands in a TOML text as it is.
fn is_key_name(name: &str) -> bool {
    let quoted = |c: char| matches!(c, '"' | '\\');
    name.len() <= 255 && !name.contains(quoted) && CosigningKey::from_seed(name, &[0; 32]).is_ok()
}

fn checked(raw: RawWitnessFile, file: &str, dir: &Path, findings: &mut Findings) -> Option<WitnessSettings> {
    let help = "it names the key, such as name = \"witness.auditor.example/w1\"";
    let name = raw.name.required(None, "`name` is missing", help, findings);
    let name = name.and_then(|name| match is_key_name(&name.value) {
        true => Some(name.value),
        false => {
            findings.add_with_help(name.mark, NO_NAME.0, NO_NAME.1);
            None
        }
    });
    let path = |field: Field<String>, usual: &str, findings: &mut Findings| match field {
        Field::Absent => Some(dir.join(usual)),
        field => field.given().and_then(|path| below(dir, path, findings)),
    };
    let state = path(raw.state, "state", findings);
    let key = path(raw.key, "witness.seed", findings);
    let tls = server_files("tls", raw.tls, dir, findings);
    let logs = logs(raw.logs, findings);
    Some(WitnessSettings {
        file: file.to_owned(),
        name: name?,
        listen: raw.listen.value().map_or(LISTEN, |address| address.0),
        tls,
        state: state?,
        key: key?,
        log: raw.log.value().unwrap_or_default().into(),
        logs,
    })
}

fn logs(field: Field<Vec<Field<RawWitnessed>>>, findings: &mut Findings) -> Vec<(Origin, Vec<VerifierKey>)> {
    let Some(Placed { mark, value: tables }) = field.given() else {
        return Vec::new();
    };
    if tables.len() > MAX_LOGS {
        findings.add(mark, format!("there are {} logs, more than {MAX_LOGS}", tables.len()));
    }
    let mut logs: Vec<(Origin, Vec<VerifierKey>)> = Vec::new();
    for Placed { mark, value: raw } in tables.into_iter().filter_map(Field::given) {
        let Some((origin, keys)) = log(mark, raw, findings) else {
            continue;
        };
        match logs.iter().any(|(other, _)| *other == origin) {
            true => findings.add_with_help(
                mark,
                format!("the log `{origin}` is declared already"),
                "write all its keys into the one `vkeys`",
            ),
            false => logs.push((origin, keys)),
        }
    }
    logs
}

fn log(mark: Mark, raw: RawWitnessed, findings: &mut Findings) -> Option<(Origin, Vec<VerifierKey>)> {
    let help = "it is the first line of the log's checkpoints, such as \"agents.acme.example/default\"";
    let origin = raw
        .origin
        .required(Some(mark), "the log has no `origin`", help, findings)?;
    let Ok(name) = Origin::new(origin.value.as_str()) else {
        findings.add_with_help(origin.mark, "this is not the name of a log", help);
        return None;
    };
    let help = "its operator gives them to you: the content of keys/log.TENANT.vkey";
    let keys = raw
        .vkeys
        .required(Some(mark), "the log has no `vkeys`", help, findings)?;
    if keys.value.is_empty() {
        findings.add_with_help(keys.mark, "the log has no key", help);
    }
    if keys.value.len() > MAX_KEYS {
        let message = format!("the log has {} keys, more than {MAX_KEYS}", keys.value.len());
        findings.add_with_help(keys.mark, message, "leave out those that were retired");
    }
    let mut known = Vec::new();
    for Placed { mark, value } in keys.value.into_iter().filter_map(Field::given) {
        match value.trim().parse::<VerifierKey>() {
            Ok(key) if key.name() == name.as_str() => known.push(key),
            Ok(key) => findings.add_with_help(
                mark,
                format!("this is the key of the log `{}`", shown(key.name())),
                format!("a log's key bears the log's name, here `{name}`"),
            ),
            Err(error) => findings.add_with_help(mark, error.to_string(), help),
        }
    }
    Some((name, known))
}

#[cfg(test)]
mod tests {
    use tlog::note::SigningKey;

    use super::*;
    use crate::testing::{check_table, nowhere};

    fn vkey(name: &str) -> String {
        SigningKey::from_seed(name, &[1; 32]).unwrap().verifier().to_string()
    }

    #[test]
    fn what_init_writes_loads() {
        let dir = tempfile::tempdir().unwrap();
        let path = init_witness(&dir.path().join("new"), "w.example/w1").unwrap();
        let settings = load_witness(&path).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!((settings.name.as_str(), settings.listen), ("w.example/w1", LISTEN));
        assert_eq!(settings.state, dir.path().join("new/state"));
        assert_eq!(settings.key, dir.path().join("new/witness.seed"));
        assert!(settings.logs.is_empty() && settings.tls.is_none());
        assert!(
            init_witness(&dir.path().join("new"), "w.example/w1").is_err(),
            "nothing is overwritten"
        );
        for bad in ["", "a b", "a+b", "a\"b", "a\nb", &"a".repeat(256)] {
            assert!(init_witness(&dir.path().join("other"), bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn everything_can_be_said() {
        let (a, b) = ("a.example/default", "b.example/default");
        let text = format!(
            "name = \"w\"\nlisten = \"[::]:0\"\nstate = \"/s\"\nkey = \"k\"\n[tls]\ncertificate = \"c\"\nkey = \"d\"\n\
             [log]\nlevel = \"debug\"\n[[logs]]\norigin = \"{a}\"\nvkeys = [\"{}\"]\n[[logs]]\norigin = \"{b}\"\nvkeys = \
             [\"{}\"]\n",
            vkey(a),
            vkey(b)
        );
        let settings =
            WitnessSettings::parse(&text, "witness.toml", Path::new("dir")).unwrap_or_else(|p| panic!("{p}"));
        assert_eq!((settings.state, settings.key), ("/s".into(), "dir/k".into()));
        let names: Vec<_> = settings
            .logs
            .iter()
            .map(|(origin, keys)| (origin.as_str(), keys.len()))
            .collect();
        assert_eq!(names, [(a, 1), (b, 1)]);
        assert!(settings.tls.is_some());
    }

    #[test]
    fn mistakes_are_explained() {
        let replace = |text: &str| text.replace("VKEY_A", &vkey("a.example/default"));
        check_table(
            include_str!("witness_mistakes.txt"),
            |text| match WitnessSettings::parse(&replace(text), "witness.toml", nowhere()) {
                Err(problems) => problems.to_string(),
                Ok(_) => "nothing is wrong".to_owned(),
            },
        );
    }
}
