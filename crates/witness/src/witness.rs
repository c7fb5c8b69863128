//! A witness: what it knows, what it remembers, and what it says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use tlog::{
    checkpoint::Checkpoint,
    cosignature::{CosignerKey, CosigningKey, cosignatures},
    note::{Note, NoteError},
};

use crate::{
    AddCheckpoint, Answer, KnownLog, Refusal, RequestError, State, StateError, judge, request::origin_hash,
    state::Shows,
};

/// Cosigns for some logs. Requests of one log are answered one after the other, whoever sends them.
#[derive(Debug)]
pub struct Witness {
    key: CosigningKey,
    /// By the hash of the log's name.
    logs: BTreeMap<String, Slot>,
    state: State,
}

#[derive(Debug)]
struct Slot {
    log: KnownLog,
    /// What was cosigned last. Locked from before a request is judged until what it changes is durable.
    seen: Mutex<Option<Checkpoint>>,
    /// The same as a note, for whoever asks for it meanwhile.
    published: RwLock<Option<Arc<str>>>,
}

impl Witness {
    /// A witness with what it remembers of the logs that it knows.
    ///
    /// # Errors
    /// When what it remembers cannot be read, or is not by this key.
    pub fn open(key: CosigningKey, logs: Vec<KnownLog>, state: State) -> Result<Self, StateError> {
        let mut slots = BTreeMap::new();
        for log in logs {
            let note = state.read(log.origin())?;
            let seen = note.as_deref().map(|text| recall(text, &log, key.cosigner()));
            let seen = seen.transpose().map_err(|why| StateError::Damaged {
                path: state.path(log.origin()),
                why,
            })?;
            let slot = Slot {
                seen: Mutex::new(seen),
                published: RwLock::new(note.map(Arc::from)),
                log,
            };
            slots.insert(origin_hash(slot.log.origin()), slot);
        }
        Ok(Self {
            key,
            logs: slots,
            state,
        })
    }

    /// Its public key.
    pub fn cosigner(&self) -> &CosignerKey {
        self.key.cosigner()
    }

    /// The logs that it knows, and the size of each that it cosigned last.
    pub fn logs(&self) -> Vec<(&KnownLog, Option<u64>)> {
        let of = |slot: &Slot| slot.seen.lock().ok()?.as_ref().map(|seen| seen.size);
        self.logs.values().map(|slot| (&slot.log, of(slot))).collect()
    }

    /// What it cosigned last of the log whose name has this hash (SHA-256 in lower-case hexadecimal digits).
    pub fn checkpoint(&self, log: &str) -> Option<Arc<str>> {
        let published = self.logs.get(log)?.published.read();
        published.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers a request at a time in seconds since 1970. It waits for the disk: what it says is durable.
    pub fn add_checkpoint(&self, body: &[u8], time: u64) -> Answer {
        let request = match parse(body) {
            Ok(request) => request,
            Err(refusal) => {
                tracing::info!(status = refusal.status().as_u16(), %refusal, "a request that is none");
                return Answer::Refused(refusal);
            }
        };
        let answer = self.answer(&request, time);
        self.tell(&request, &answer);
        answer
    }

    fn answer(&self, request: &AddCheckpoint, time: u64) -> Answer {
        let Some(slot) = self.logs.get(&origin_hash(&request.checkpoint().origin)) else {
            let refusal = judge(None, None, request).err();
            return Answer::Refused(refusal.unwrap_or(Refusal::Storage));
        };
        // Somebody died while holding it: what is on disk is unknown until a start reads it.
        let Ok(mut seen) = slot.seen.lock() else {
            return Answer::Refused(Refusal::Storage);
        };
        if let Err(refusal) = judge(Some(&slot.log), seen.as_ref(), request) {
            return Answer::Refused(refusal);
        }
        // What was cosigned last is on disk: to say so again changes nothing there.
        if seen.as_ref() == Some(request.checkpoint()) {
            let again = self.key.cosign(request.note().body(), time);
            return again.map_or(Answer::Refused(Refusal::Storage), |signature| {
                Answer::Cosigned(vec![signature])
            });
        }
        match self.remember(slot, request, time) {
            Ok((answer, note)) => {
                *seen = Some(request.checkpoint().clone());
                *slot.published.write().unwrap_or_else(PoisonError::into_inner) = Some(note);
                answer
            }
            Err(error) => {
                // Whether it is remembered is unknown, but nobody has our word: what was seen before stays what counts.
                tracing::error!(%error, origin = %slot.log.origin(), "nothing is cosigned: it cannot be stored");
                Answer::Refused(Refusal::Storage)
            }
        }
    }

    /// Cosigns, and stores that before anybody hears of it.
    fn remember(&self, slot: &Slot, request: &AddCheckpoint, time: u64) -> Result<(Answer, Arc<str>), String> {
        let note = request.note().clone().keeping(|signature| slot.log.claims(signature));
        let cosigned = self.key.cosign(note.body(), time).map_err(|error| error.to_string())?;
        let note = note
            .with([cosigned.clone()])
            .map_err(|error| error.to_string())?
            .to_string();
        let stored = self.state.write(slot.log.origin(), &note);
        stored.map_err(|error| error.to_string())?;
        Ok((Answer::Cosigned(vec![cosigned]), Arc::from(note)))
    }

    /// One line an answer. A log that has two histories is what a witness is there to find.
    fn tell(&self, request: &AddCheckpoint, answer: &Answer) {
        let (status, checkpoint) = (answer.status().as_u16(), request.checkpoint());
        let (origin, size, root) = (&checkpoint.origin, checkpoint.size, checkpoint.root);
        match answer {
            Answer::Cosigned(_) => tracing::info!(status, %origin, size, %root, "cosigned"),
            Answer::Refused(Refusal::Forked(_)) => {
                let (kept, own) = (self.kept(request, Shows::Forked), self.state.path(origin));
                tracing::error!(
                    status, %origin, size, %root, kept, own = %own.display(),
                    "the log has signed two histories: one root was cosigned at this size, and now it shows another"
                );
            }
            // At the size that was cosigned the root is the same, or the log would be forked: it is the proof that is wrong.
            Answer::Refused(refusal @ Refusal::Unproved { old, new, .. }) if old != new => {
                let (kept, own) = (self.kept(request, Shows::Unproved), self.state.path(origin));
                tracing::error!(
                    status, %origin, size, %root, kept, own = %own.display(), %refusal,
                    "whoever sent a checkpoint that the log has signed cannot prove that it goes on from what was cosigned: \
                     the log has two histories, or a fault, or the sender made the proof up"
                );
            }
            Answer::Refused(refusal) => tracing::info!(status, %origin, size, %refusal, "not cosigned"),
        }
    }

    /// Where a request is kept, in words.
    fn kept(&self, request: &AddCheckpoint, shows: Shows) -> String {
        let kept = self.state.keep(request, shows).unwrap_or_else(|error| {
            tracing::error!(%error, "a request that shows two histories of a log cannot be kept");
            None
        });
        kept.map_or_else(|| "nowhere".to_owned(), |path| path.display().to_string())
    }
}

fn parse(body: &[u8]) -> Result<AddCheckpoint, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::Malformed("a request is UTF-8 text".to_owned()))?;
    text.parse().map_err(|error| match error {
        // A signature in another spelling than the one that is written is none.
        RequestError::Note(error @ NoteError::SignatureLine(_)) => Refusal::Unsigned(error),
        error => Refusal::Malformed(error.to_string()),
    })
}

/// Reads what was cosigned.
fn recall(text: &str, log: &KnownLog, key: &CosignerKey) -> Result<Checkpoint, String> {
    let note = Note::parse(text).map_err(|error| error.to_string())?;
    let ours = cosignatures(&note, std::slice::from_ref(key)).map_err(|error| error.to_string())?;
    let checkpoint = Checkpoint::parse(note.body()).map_err(|error| error.to_string())?;
    match checkpoint.origin == *log.origin() {
        _ if ours.is_empty() => Err("it bears no cosignature by this witness's key".to_owned()),
        false => Err(format!("it is of the log {}", checkpoint.origin)),
        true => Ok(checkpoint),
    }
}

#[cfg(test)]
mod tests;
