//! `[audit]`: what keeps evidence safe, on the disk of the log and apart from it.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    below,
    limits::{Bound as _, within},
    witness::{MAX_WITNESSES, RawWitness, Witness, witnesses},
};
use crate::{
    node::{Field, Placed},
    problem::Findings,
    quantity::{Size, Time},
};

/// The audit log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Audit")]
pub(crate) struct RawAudit {
    /// The directory in which each tenant's last signed checkpoint is kept as well, relative to this file. On another disk
    /// than `data_dir`, it shows when the database was replaced by an older copy. In `data_dir` if absent.
    checkpoint_guard: Field<String>,
    /// How much of the disk of `data_dir` is kept for the ends of calls in flight and for denials: with less free, no call
    /// is let through.
    #[schemars(extend("default" = "64MiB"))]
    reserve: Field<Size>,
    /// The directory of the spool, relative to this file, on another disk than `data_dir`: where the calls of agents with
    /// an allowance are recorded while the log cannot be written. Without it all calls are refused then.
    spool: Field<String>,
    /// Whether the administration listener gives the logs below `/log/` to whoever asks, without a credential: for mirrors
    /// and witnesses. They say who spent what, with pseudonyms for people.
    public_log: Field<bool>,
    /// After how long a log without an entry gets a heartbeat, from "10s": so that missing entries are not taken for quiet.
    /// "0s" for never.
    #[schemars(extend("default" = "15m"))]
    heartbeat: Field<Time>,
    /// How many of the witnesses have to sign a checkpoint before it is published. All of them if absent.
    #[schemars(extend("minimum" = QUORUMS.start(), "maximum" = QUORUMS.end()))]
    quorum: Field<u64>,
    /// How long the witnesses may take to sign a checkpoint until it is recorded that too few did.
    #[schemars(extend("default" = "30s"))]
    witness_timeout: Field<Time>,
    /// Witnesses that are shown every checkpoint, run by people who do not run this server.
    witnesses: Field<Vec<Field<RawWitness>>>,
}

/// What `[audit]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The directory in which last signed checkpoints are kept as well; `None` for the data directory.
    pub checkpoint_guard: Option<PathBuf>,
    /// How many bytes of the disk are kept for what must be recorded of calls in flight.
    pub reserve: u64,
    /// The directory of the spool.
    pub spool: Option<PathBuf>,
    /// Whether the logs below `/log/` need no credential.
    pub public_log: bool,
    /// After how long a log without an entry gets a heartbeat; `None` for never.
    pub heartbeat: Option<Duration>,
    /// Who cosigns checkpoints, certificates as references.
    pub witnesses: Vec<Witness>,
    /// How many of them are enough.
    pub quorum: usize,
    /// How long they may take.
    pub witness_timeout: Duration,
}

/// From "none is kept" to what no disk keeps for a log.
const RESERVES: RangeInclusive<Size> = Size(0)..=Size(1 << 40);
/// What a few hours of denials and the ends of all calls in flight take.
const RESERVE: u64 = 64 << 20;
/// Zero is for never.
const HEARTBEATS: RangeInclusive<Time> = Time(Duration::ZERO)..=Time(Duration::from_secs(24 * 3_600));
/// It is looked every few seconds which logs are quiet.
const HEARTBEAT_MIN: Duration = Duration::from_secs(10);
/// So that a silent hour shows, at four entries an hour for each log that is quiet.
const HEARTBEAT: Duration = Duration::from_secs(900);
const QUORUMS: RangeInclusive<u64> = 1..=MAX_WITNESSES as u64;
/// Long enough for one exchange, and short enough for somebody to notice.
const WITNESS_TIMEOUTS: RangeInclusive<Time> = Time(Duration::from_secs(1))..=Time(Duration::from_secs(3_600));
const WITNESS_TIMEOUT: Duration = Duration::from_secs(30);

impl Default for Audit {
    fn default() -> Self {
        Self {
            checkpoint_guard: None,
            reserve: RESERVE,
            spool: None,
            public_log: false,
            heartbeat: Some(HEARTBEAT),
            witnesses: Vec::new(),
            quorum: 0,
            witness_timeout: WITNESS_TIMEOUT,
        }
    }
}

impl TryFrom<(RawAudit, &Path)> for Audit {
    type Error = Findings;

    fn try_from((raw, dir): (RawAudit, &Path)) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let given = raw.checkpoint_guard.given();
        let checkpoint_guard = given.and_then(|path| below(dir, path, &mut findings));
        let given = raw.spool.given();
        let spool = given.and_then(|path| below(dir, path, &mut findings));
        let reserve = within(raw.reserve, RESERVES, &mut findings).map_or(RESERVE, |size| size.0);
        let heartbeat_mark = raw.heartbeat.mark();
        let heartbeat = within(raw.heartbeat, HEARTBEATS, &mut findings).map_or(HEARTBEAT, |time| time.0);
        let short = !heartbeat.is_zero() && heartbeat < HEARTBEAT_MIN;
        if let Some(mark) = heartbeat_mark.filter(|_| short) {
            let help = "from \"10s\" to \"24h\", or \"0s\" for no heartbeats";
            findings.add_with_help(mark, format!("{} is out of range", Time(heartbeat).shown()), help);
        }
        let mark = raw.quorum.mark();
        let quorum = within(raw.quorum, QUORUMS, &mut findings).zip(mark);
        let quorum = quorum.map(|(value, mark)| Placed { mark, value });
        let (witnesses, quorum) = witnesses(raw.witnesses, quorum, dir, &mut findings);
        let timeout_mark = raw.witness_timeout.mark();
        let timeout = within(raw.witness_timeout, WITNESS_TIMEOUTS, &mut findings);
        if let Some(mark) = timeout_mark.filter(|_| quorum == 0 && witnesses.is_empty()) {
            let help = "declare them under [[audit.witnesses]]";
            findings.add_with_help(mark, "`witness_timeout` has no effect without witnesses", help);
        }
        findings.conclude(Some(Self {
            checkpoint_guard,
            reserve,
            spool,
            public_log: raw.public_log.given().is_some_and(|public| public.value),
            heartbeat: Some(heartbeat).filter(|every| !every.is_zero()),
            witnesses,
            quorum,
            witness_timeout: timeout.map_or(WITNESS_TIMEOUT, |time| time.0),
        }))
    }
}
