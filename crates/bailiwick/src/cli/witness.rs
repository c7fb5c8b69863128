//! `bailiwick witness`

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use config::WitnessSettings;
use data_encoding::HEXLOWER;
use serde::Serialize;
use tlog::cosignature::CosigningKey;
use transport::ServerTls;
use witness::{KnownLog, Server, State, StateError, Witness};
use zeroize::Zeroizing;

use super::{
    Common, Failure,
    output::{Output, hint},
    serve::Stop,
};
use crate::logging;

/// The file that is looked for where none is named.
const FILE: &str = "witness.toml";
/// Beside it, the names that `witness.toml` has as defaults.
const SEED: &str = "witness.seed";
const STATE: &str = "state";
/// A seed is 64 digits.
const SEED_MAX: u64 = 1024;
/// How long requests that are being answered may take when it stops.
const DRAIN: Duration = Duration::from_secs(15);

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a witness: its key, its memory, and a commented configuration
    ///
    /// Prints the public key, which those whose logs it is to watch write into their configuration. Nothing is overwritten.
    #[command(after_help = "\
Examples:
  bailiwick witness init witness --name witness.auditor.example/w1
  bailiwick witness run -c witness/witness.toml")]
    Init {
        /// Where to; the directory is made if it is not there
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The name of its key, which stands under everything it cosigns
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// Print the public key of a witness
    #[command(after_help = "\
Examples:
  bailiwick witness key -c witness/witness.toml")]
    Key,
    /// Run a witness
    ///
    /// Prints one line of JSON with its address when it is ready. SIGTERM and SIGINT stop it. The configuration is read at
    /// the start only. The file is ./witness.toml unless -c names another.
    #[command(after_help = "\
Environment:
  BAILIWICK_LOG  what to log, such as debug or info,witness=trace [default: as configured]

Examples:
  bailiwick witness run -c witness/witness.toml")]
    Run,
}

#[derive(Serialize)]
struct Made {
    file: PathBuf,
    vkey: String,
}

/// The line that says that the witness is ready.
#[derive(Serialize)]
struct Listening {
    listening: Addresses,
}

#[derive(Serialize)]
struct Addresses {
    witness: SocketAddr,
}

pub(super) fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Init { dir, name } => init(dir, name, out),
        Command::Key => {
            let settings = config::load_witness(&common.file_or(FILE))?;
            let vkey = key(&settings)?.cosigner().to_string();
            out.show(&vkey, |out| out.line(&vkey))
        }
        Command::Run => start(&config::load_witness(&common.file_or(FILE))?),
    }
}

fn init(dir: &Path, name: &str, out: &mut Output) -> Result<(), Failure> {
    let file = config::init_witness(dir, name).map_err(Failure::Refused)?;
    let mut seed = Zeroizing::new([0; 32]);
    let random = SystemRandom::new().fill(seed.as_mut_slice());
    random.map_err(|_| Failure::failed("the operating system gives no randomness"))?;
    let key = CosigningKey::from_seed(name, &seed);
    let key = key.map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    let path = dir.join(SEED);
    let text = Zeroizing::new(format!(
        "{}\n",
        Zeroizing::new(HEXLOWER.encode(seed.as_slice())).as_str()
    ));
    write_secret(&path, &text).map_err(|error| unwritable(&path, &error))?;
    State::create(&dir.join(STATE)).map_err(failed)?;
    let vkey = key.cosigner().to_string();
    let made = Made { file, vkey };
    out.show(&made, |out| out.line(&made.vkey))?;
    if !out.is_json() {
        hint(format_args!(
            "\nGive this public key to those whose logs the witness is to watch, write their logs' names and keys into {}, \
             then:\n  bailiwick witness run -c {}",
            made.file.display(),
            made.file.display()
        ));
    }
    Ok(())
}

/// Never over a file that is there already.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("{} cannot be written: {error}", path.display()))
}

fn failed(error: StateError) -> Failure {
    Failure::failed(error.to_string())
}

fn key(settings: &WitnessSettings) -> Result<CosigningKey, Failure> {
    let path = &settings.key;
    let mut text = Zeroizing::new(String::new());
    let read = File::open(path).and_then(|file| file.take(SEED_MAX).read_to_string(&mut text));
    read.map_err(|error| {
        Failure::failed(format!(
            "the private key {} cannot be read: {error}. Restore it from a backup; with another key this is another witness",
            path.display()
        ))
    })?;
    // What is wrong with a secret is not repeated.
    let seed = HEXLOWER.decode(text.trim().as_bytes()).ok().map(Zeroizing::new);
    let seed = seed
        .and_then(|seed| <[u8; 32]>::try_from(seed.as_slice()).ok())
        .map(Zeroizing::new);
    let unusable = || Failure::failed(format!("{} holds no key: it is 64 hexadecimal digits", path.display()));
    let seed = seed.ok_or_else(unusable)?;
    CosigningKey::from_seed(&settings.name, &seed).map_err(|_| unusable())
}

fn start(settings: &WitnessSettings) -> Result<(), Failure> {
    logging::start(settings.log).map_err(logging::no_filter)?;
    // An error says that there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let key = key(settings)?;
    let tls = settings.server_tls()?.map(ServerTls::new);
    let known = settings
        .logs
        .iter()
        .map(|(origin, keys)| KnownLog::new(origin.clone(), keys.clone()));
    let known = known.collect::<Result<Vec<_>, _>>();
    let known = known.map_err(|error| Failure::failed(format!("{}: {error}", settings.file)))?;
    if known.is_empty() {
        tracing::warn!(file = settings.file, "no log is declared: every request is refused");
    }
    let state = State::open(&settings.state).map_err(failed)?;
    let witness = Arc::new(Witness::open(key, known, state).map_err(failed)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
    let served = runtime.block_on(serve(settings.listen, tls, witness));
    runtime.shutdown_timeout(Duration::from_millis(100));
    served
}

async fn serve(listen: SocketAddr, tls: Option<ServerTls>, witness: Arc<Witness>) -> Result<(), Failure> {
    let mut stop = Stop::new().map_err(|error| Failure::failed(format!("no signals: {error}")))?;
    let bound = Server::bind(witness.clone(), listen, tls).await;
    let server = bound.map_err(|error| Failure::failed(format!("cannot listen on {listen}: {error}")))?;
    for (log, size) in witness.logs() {
        tracing::info!(origin = %log.origin(), size, "a log that is cosigned");
    }
    tracing::info!(witness = %server.addr(), vkey = %witness.cosigner(), "listening");
    let addresses = Addresses { witness: server.addr() };
    let line = serde_json::to_string(&Listening { listening: addresses });
    let line = line.map_err(|error| Failure::failed(format!("no JSON: {error}")))?;
    // Nobody may be reading: that is no reason to stop.
    if let Err(error) = writeln!(io::stdout().lock(), "{line}") {
        tracing::warn!(%error, "the address cannot be written to standard output");
    }
    stop.asked().await;
    tracing::info!("stopping");
    if !server.drain(DRAIN).await {
        tracing::warn!("requests were still being answered when the time for that was over");
    }
    Ok(())
}
