//! Witnesses are shown every signed checkpoint, and what enough of them have cosigned is published. Off every path: the
//! committer, a start and the signer never wait for a witness.
//!
//! A checkpoint that is signed and not cosigned yet is known to this server and to the witnesses only. So whoever reads a
//! published one knows that a quorum has seen the same history.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use entry::Absence;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use model::TenantName;
use store::DataDir;
use tlog::{
    checkpoint::Checkpoint,
    cosignature::{Quorum, QuorumError, cosignatures},
    note::{Note, Signature},
};
use tokio::{sync::watch, time::Instant};

use crate::{AskWitness, Checkpoints, Published, SigningError, WitnessAnswer, Witnesses};

mod around;
mod numbers;
mod reach;
mod record;

use around::{COSIGNED, Said, Surroundings, put_aside};
pub use around::{Server, cosigned_file};
pub use numbers::Vouched;
use reach::Reach;

/// At most one round in this time; the rest of a second's checkpoints is covered by the next.
const ROUND: Duration = Duration::from_secs(2);
/// How long others may take once there are enough.
const REST: Duration = Duration::from_secs(2);
/// How often a witness may be asked in one round: it says where it stands, and somebody else may have moved it on.
const TRIES: usize = 3;
/// How many logs are shown at the same time.
const LOGS_AT_ONCE: usize = 16;
/// The longest wait before a witness that fails is asked again.
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// Begins to show signed checkpoints to the witnesses, if there are any, until it is told to stop. What is published: what
/// enough of them have cosigned, or where there are none, what was signed.
pub fn begin(
    around: Server,
    witnesses: Option<Witnesses>,
    numbers: &Arc<Vouched>,
    logs: &[TenantName],
    signed: watch::Receiver<Checkpoints>,
    stop: watch::Receiver<bool>,
) -> Result<watch::Receiver<Checkpoints>, SigningError> {
    let data = around.data.clone();
    let Some(witnesses) = witnesses else {
        put_aside(&data)?;
        return Ok(signed);
    };
    DataDir::make_at(&data.join(COSIGNED))?;
    let task = Witnessing::new(around, witnesses, numbers.clone());
    let mut task = task.map_err(|error| SigningError::Witnesses(error.to_string()))?;
    for tenant in logs {
        if let Ok(note) = std::fs::read_to_string(cosigned_file(&data, tenant)) {
            task.take_up(tenant, note);
        }
    }
    let published = task.published();
    tokio::spawn(task.run(signed, stop));
    Ok(published)
}

/// The task.
struct Witnessing<S> {
    around: S,
    ask: Box<dyn AskWitness>,
    quorum: Quorum,
    timeout: Duration,
    numbers: Arc<Vouched>,
    published: watch::Sender<Checkpoints>,
    reach: Reach,
    logs: BTreeMap<TenantName, Log>,
}

/// How a log stands.
#[derive(Debug, Default)]
struct Log {
    /// Since when a checkpoint waits for enough signatures.
    unmet: Option<Instant>,
    /// What the log says of its witnesses; `None` until it was asked.
    said: Option<Said>,
    /// The size of what was published last.
    met: Option<u64>,
    /// The cosignatures of the last checkpoint that was asked about.
    note: Option<Note>,
    standings: BTreeMap<usize, Standing>,
}

/// How a witness stands to a log.
#[derive(Clone, Debug, Default)]
struct Standing {
    /// What it cosigned last, as far as is known here.
    seen: u64,
    /// How often in a row it answered and did not sign, and why it did not sign last.
    failures: u32,
    why: Option<(Absence, String)>,
    /// Not to be asked before.
    again: Option<Instant>,
}

/// What a witness came to in a round.
enum Came {
    Signed(Signature),
    Absent(Absence, String),
}

impl Log {
    /// Whether the log is known to say that witnesses are missing.
    fn says_missed(&self) -> bool {
        self.said.as_ref().is_some_and(|said| said.missed)
    }
}

impl<S: Surroundings> Witnessing<S> {
    /// Of these witnesses.
    ///
    /// # Errors
    /// When no quorum can be made of them.
    fn new(around: S, witnesses: Witnesses, numbers: Arc<Vouched>) -> Result<Self, QuorumError> {
        let Witnesses {
            known,
            quorum,
            timeout,
            ask,
        } = witnesses;
        Ok(Self {
            around,
            ask,
            quorum: Quorum::new(known, quorum)?,
            timeout,
            numbers,
            published: watch::Sender::default(),
            reach: Reach::default(),
            logs: BTreeMap::new(),
        })
    }

    /// What enough witnesses have cosigned, as it moves.
    fn published(&self) -> watch::Receiver<Checkpoints> {
        self.published.subscribe()
    }

    /// Publishes what an earlier run had published, if it still has enough signatures: other witnesses may be asked for now.
    fn take_up(&mut self, tenant: &TenantName, note: String) {
        let read = Note::parse(&note).ok();
        if let Some(read) = read.filter(|read| self.quorum.met(read).is_ok()) {
            self.publish(tenant, &read);
        }
    }

    /// Has checkpoints cosigned as they are signed, until nobody signs any more.
    async fn run(mut self, mut signed: watch::Receiver<Checkpoints>, mut stop: watch::Receiver<bool>) {
        loop {
            let now = signed.borrow_and_update().clone();
            let rounds = self.rounds(&now);
            tokio::select! {
                () = rounds => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let again = self.next(&now);
            let waited = async {
                tokio::select! {
                    changed = signed.changed() => changed.is_ok(),
                    () = until(again) => true,
                }
            };
            let goes_on = tokio::select! {
                goes_on = waited => goes_on,
                _ = stop.wait_for(|stop| *stop) => false,
            };
            if !goes_on {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// A round for each log, so that one whose witnesses hang keeps no other waiting.
    async fn rounds(&mut self, signed: &Checkpoints) {
        let mut logs = std::mem::take(&mut self.logs);
        let rounds = signed.iter().filter_map(|(tenant, checkpoint)| {
            let note = Note::parse(&checkpoint.note).ok()?;
            let body = Checkpoint::parse(note.body()).ok()?;
            let log = logs.remove(tenant).unwrap_or_default();
            Some(self.round(tenant, note, body, log))
        });
        let rounds: Vec<_> = rounds.collect();
        let done = futures_util::stream::iter(rounds)
            .buffer_unordered(LOGS_AT_ONCE)
            .collect::<Vec<_>>();
        self.logs = done
            .await
            .into_iter()
            .map(|(tenant, log)| (tenant.clone(), log))
            .collect();
    }

    /// When somebody is to be asked again although nothing was signed meanwhile.
    fn next(&self, signed: &Checkpoints) -> Option<Instant> {
        let open = signed.keys().filter_map(|tenant| self.logs.get(tenant));
        let waits = open.flat_map(|log| {
            let again = log.standings.values().filter_map(|standing| standing.again);
            // That too few have signed is recorded when its time has come.
            let late = log
                .unmet
                .filter(|_| !log.says_missed())
                .map(|since| since + self.timeout);
            again.chain(late)
        });
        waits.min()
    }

    /// Shows a checkpoint to those who have not signed it yet.
    async fn round<'t>(
        &self,
        tenant: &'t TenantName,
        note: Note,
        checkpoint: Checkpoint,
        mut log: Log,
    ) -> (&'t TenantName, Log) {
        let kept = log.note.take().filter(|kept| kept.body() == note.body());
        let mut note = kept.unwrap_or(note);
        if self.quorum.met(&note).is_err() {
            log.unmet.get_or_insert_with(Instant::now);
        }
        self.gather(tenant, &mut note, &checkpoint, &mut log).await;
        self.conclude(tenant, &note, &checkpoint, &mut log).await;
        self.report_forks(tenant, checkpoint.size, &mut log).await;
        log.note = Some(note);
        (tenant, log)
    }

    /// Asks all witnesses at once that have not signed and are not to be spared. Publishes as soon as there are enough.
    async fn gather(&self, tenant: &TenantName, note: &mut Note, checkpoint: &Checkpoint, log: &mut Log) {
        let began = Instant::now();
        let signed = |index: usize, note: &Note| {
            let key = self.quorum.known().get(index);
            key.is_none_or(|key| note.signatures().iter().any(|signature| key.made(signature)))
        };
        let (mut asking, mut open) = (FuturesUnordered::new(), BTreeSet::new());
        for index in 0..self.quorum.known().len() {
            if signed(index, note) {
                continue;
            }
            let standing = log.standings.entry(index).or_default();
            // One that no log can reach is spared by all.
            standing.again = standing.again.max(self.reach.again(index));
            if standing.again.is_some_and(|again| again > began) {
                continue;
            }
            open.insert(index);
            asking.push(self.ask(tenant, index, standing.seen, note.clone(), checkpoint.size));
        }
        let mut by = began + self.timeout;
        if self.quorum.met(note).is_ok() {
            by = by.min(began + REST);
        }
        let mut published = log.met == Some(checkpoint.size);
        while let Ok(Some((index, seen, came))) = tokio::time::timeout_at(by, asking.next()).await {
            open.remove(&index);
            let standing = log.standings.entry(index).or_default();
            standing.seen = seen;
            match came {
                Came::Signed(signature) => {
                    self.settled(tenant, index, standing);
                    if let Ok(more) = note.clone().with([signature]) {
                        *note = more;
                    }
                }
                Came::Absent(why, text) => self.failed(tenant, index, standing, began, (why, text)),
            }
            if !published && self.quorum.met(note).is_ok() {
                published = true;
                by = by.min(Instant::now() + REST);
                self.keep(tenant, note, checkpoint, log).await;
            }
        }
        drop(asking);
        // Who has not answered by now counts as unreachable, whether it was needed or not.
        for index in open {
            let standing = log.standings.entry(index).or_default();
            let text = format!("no answer within {} s", began.elapsed().as_secs());
            self.failed(tenant, index, standing, began, (Absence::Unreachable, text));
        }
    }

    /// One witness, until it signs, or says why not. Also what it has cosigned, as far as is known then.
    async fn ask(&self, tenant: &TenantName, index: usize, seen: u64, note: Note, size: u64) -> (usize, u64, Came) {
        let (mut old, mut forked) = (seen, false);
        let absent = |why, text: String| Came::Absent(why, text);
        for _ in 0..TRIES {
            let proof = match self.around.proof(tenant, old, size).await {
                Ok(proof) => proof,
                Err(error) => {
                    return (
                        index,
                        old,
                        absent(Absence::Failed, format!("no proof could be made for it: {error}")),
                    );
                }
            };
            match self.ask.ask(index, old, proof, note.clone()).await {
                WitnessAnswer::Cosigned(signatures) => {
                    return match self.verified(index, &note, signatures) {
                        Ok(signature) => (index, size, Came::Signed(signature)),
                        Err(text) => (index, old, absent(Absence::BadSignature, text)),
                    };
                }
                WitnessAnswer::At(at) if at > size => {
                    let text = format!("it has cosigned {at} entries of this log, which has {size}");
                    return (index, old, absent(Absence::Fork, text));
                }
                WitnessAnswer::At(at) => old = at,
                // The proof holds here. Said once it may be the witness's mistake, and what is recorded stays.
                WitnessAnswer::Fork(_) if !forked => forked = true,
                WitnessAnswer::Fork(text) => return (index, old, absent(Absence::Fork, text)),
                WitnessAnswer::Unknown(text) => return (index, old, absent(Absence::Unknown, text)),
                WitnessAnswer::Failed(text) => return (index, old, absent(Absence::Failed, text)),
                WitnessAnswer::Unreachable(text) => return (index, old, absent(Absence::Unreachable, text)),
            }
        }
        (
            index,
            old,
            absent(Absence::Failed, "it says each time that it stands elsewhere".to_owned()),
        )
    }

    /// The signature by the witness's own key, if it holds.
    fn verified(&self, index: usize, note: &Note, signatures: Vec<Signature>) -> Result<Signature, String> {
        let key = self.quorum.known().get(index).ok_or("it is not known")?;
        let Some(signature) = signatures.into_iter().find(|signature| key.made(signature)) else {
            return Err("it signed with another key than the one that is declared".to_owned());
        };
        let cosigned = note
            .clone()
            .with([signature.clone()])
            .map_err(|error| error.to_string())?;
        cosignatures(&cosigned, std::slice::from_ref(key)).map_err(|error| error.to_string())?;
        Ok(signature)
    }

    fn settled(&self, tenant: &TenantName, index: usize, standing: &mut Standing) {
        let name = self.name(index);
        self.numbers.answered(tenant, name, "cosigned");
        if standing.why.take().is_some() {
            tracing::info!(%tenant, witness = name, "the witness signs again");
        }
        standing.failures = 0;
        standing.again = None;
        self.reach.reached(index);
    }

    /// Notes that a witness that was asked at a time has not signed. Each cause is told once until it signs or gives another.
    fn failed(
        &self,
        tenant: &TenantName,
        index: usize,
        standing: &mut Standing,
        asked: Instant,
        (why, text): (Absence, String),
    ) {
        let name = self.name(index);
        self.numbers.answered(tenant, name, word(why));
        let told = standing.why.as_ref().is_some_and(|(told, _)| *told == why);
        match why {
            _ if told => tracing::debug!(%tenant, witness = name, why = word(why), text, "the witness does not sign"),
            Absence::Fork => tracing::error!(
                %tenant, witness = name, text,
                "a witness has seen another history of this log than the one that is stored here: an older copy was put in \
                 the place of a newer one, or two servers sign with the same key. Stop this server, keep everything as it \
                 is, and compare with the checkpoint that the witness shows. Where an older copy was accepted, it is so \
                 from then on: docs/operating/witnesses.md"
            ),
            _ => tracing::warn!(%tenant, witness = name, why = word(why), text, "the witness does not sign"),
        }
        standing.again = Some(if why == Absence::Unreachable {
            self.reach.missed(index, asked)
        } else {
            let again = Instant::now() + wait(standing.failures);
            standing.failures = standing.failures.saturating_add(1);
            again
        });
        standing.why = Some((why, text));
    }

    fn name(&self, index: usize) -> &str {
        self.quorum.known().get(index).map_or("", |key| key.name())
    }

    /// Keeps and publishes a checkpoint that has enough signatures.
    async fn keep(&self, tenant: &TenantName, note: &Note, checkpoint: &Checkpoint, log: &mut Log) {
        if let Err(error) = self.around.keep(tenant, &note.to_string()).await {
            tracing::warn!(%tenant, %error, "a cosigned checkpoint cannot be kept; it is tried again with the next");
            return;
        }
        log.met = Some(checkpoint.size);
        self.publish(tenant, note);
    }

    fn publish(&self, tenant: &TenantName, note: &Note) {
        if let Some(published) = Published::read(note.to_string()) {
            self.numbers.cosigned(tenant, published.size);
            self.published
                .send_modify(|all| drop(all.insert(tenant.clone(), Arc::new(published))));
        }
    }
}

/// How long a witness is spared that has failed so often in a row before.
fn wait(failures: u32) -> Duration {
    ROUND.saturating_mul(1_u32 << failures.min(5)).min(AGAIN_MAX)
}

/// The word for a cause, as entries and metrics have it.
fn word(why: Absence) -> &'static str {
    match why {
        Absence::Unreachable => "unreachable",
        Absence::Unknown => "unknown",
        Absence::Failed => "failed",
        Absence::BadSignature => "bad_signature",
        Absence::Fork => "fork",
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
