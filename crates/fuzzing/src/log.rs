//! The log: entries and their fold, signed notes, checkpoints and proofs.

use entry::snapshot::{SnapshotError, decode, digest, encode};
use entry::{Entry, State};
use model::TenantName;
use tlog::bundle::{self, Resource};
use tlog::checkpoint::{Checkpoint, Origin};
use tlog::note::{Note, SigningKey, VerifierKey};
use tlog::proof_file::ProofFile;
use tlog::{CompactRange, Hash, leaf_hash, proof};

use crate::{assert_plain, must};

/// An entry: what is accepted has these bytes and no others, and what can be written is read back.
pub fn entries(data: &[u8]) {
    match Entry::decode(data) {
        Ok(entry) => assert_eq!(
            entry.encode().ok().as_deref(),
            Some(data),
            "another spelling was accepted"
        ),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    // A looser reader makes values that nobody wrote.
    if let Ok(entry) = serde_json::from_slice::<Entry>(data)
        && let Ok(bytes) = entry.encode()
        && entry.v == entry::VERSION
    {
        assert_eq!(
            Entry::decode(&bytes).ok(),
            Some(entry),
            "what was written is not read back"
        );
    }
}

/// A log, one entry a line: a line that cannot be next changes nothing, and the same lines give the same state.
pub fn log_fold(data: &[u8]) {
    let mut tenant = None;
    let mut taken = Vec::new();
    let mut state = State::new(TenantName::default_tenant());
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(mut entry) = serde_json::from_slice::<Entry>(line) else {
            continue;
        };
        if tenant.is_none() {
            state = State::new(entry.tenant.clone());
            tenant = Some(entry.tenant.clone());
        }
        // The order is not what is hard to find.
        entry.index = state.size;
        let before = state.clone();
        match state.apply(&entry) {
            Ok(()) => {
                assert_eq!(state.size, before.size + 1);
                assert!(state.time >= before.time && state.epoch >= before.epoch);
                taken.push(entry);
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(state, before, "a refused entry left something behind");
            }
        }
    }
    let Some(tenant) = tenant else { return };
    let mut again = State::new(tenant);
    for entry in &taken {
        must(again.apply(entry), "the same log folds again");
    }
    assert_eq!(again, state);
    match encode(&state) {
        Ok(bytes) => assert_eq!(decode(&bytes), Ok(state), "a state is not read back"),
        Err(error) => assert_eq!((error, state.owed.is_empty()), (SnapshotError::Owed, false)),
    }
}

/// A snapshot, and behind it entries, one a line: what is accepted has these bytes and no others, and a log goes on from it
/// without harm, whatever it says.
pub fn snapshot(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let bytes = lines.next().unwrap_or_default();
    let mut state = match decode(bytes) {
        Ok(state) => state,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let again = must(encode(&state), "what was read can be written");
    assert!(again == bytes, "another spelling was accepted");
    assert_eq!(digest(bytes), digest(&again));
    for line in lines {
        let Ok(mut entry) = serde_json::from_slice::<Entry>(line) else {
            continue;
        };
        entry.index = state.size;
        entry.tenant = state.tenant.clone();
        entry.time = entry.time.max(state.time);
        let before = state.clone();
        if state.apply(&entry).is_err() {
            assert_eq!(state, before, "a refused entry left something behind");
        }
    }
}

/// A note, a checkpoint, a proof, a path, a key, an origin: what is read is written as the very same text, and nobody is believed who
/// did not sign.
pub fn notes(data: &[u8]) {
    if let Ok(entries) = bundle::split(data) {
        let mut again = Vec::new();
        for entry in entries {
            must(bundle::push(&mut again, entry), "what was split is joined again");
        }
        assert_eq!(again, data, "another spelling of a bundle was accepted");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ProofFile::parse(text) {
        Ok(proof) => assert_eq!(proof.to_string(), text, "another spelling of a proof was accepted"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match text.parse::<Resource>() {
        Ok(path) => assert_eq!(path.to_string(), text, "another spelling of a path was accepted"),
        Err(error) => assert!(error.to_string().len() < 1_000),
    }
    let key = must(
        SigningKey::from_seed("bailiwick.example/log", &[7; 32]),
        "the key is good",
    );
    let known = [key.verifier().clone()];
    match Note::parse(text) {
        Ok(note) => {
            assert_eq!(note.to_string(), text);
            assert!(note.body().ends_with('\n') && !note.signatures().is_empty());
            if note.verify(&known).is_ok() {
                let own = must(key.sign(note.body()), "what was signed can be signed");
                assert!(
                    note.signatures()
                        .iter()
                        .any(|signature| own.signatures().contains(signature))
                );
            }
        }
        Err(error) => assert_plain(&error.to_string()),
    }
    match Checkpoint::parse(text) {
        Ok(checkpoint) => {
            assert_eq!(checkpoint.to_string(), text);
            assert_eq!(Origin::new(checkpoint.origin.as_str()), Ok(checkpoint.origin));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(checkpoint) = Checkpoint::open(text, &known) {
        assert_eq!(checkpoint.origin.as_str(), "bailiwick.example/log");
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
    // Any body that can be signed is read back and believed.
    if let Ok(note) = key.sign(text) {
        let sent = note.to_string();
        let read = must(Note::parse(&sent), "what is signed is a note");
        assert_eq!((read.body(), read.verify(&known).map(|keys| keys.len())), (text, Ok(1)));
    }
}

/// Proofs: those that are made hold, and with anything changed in them they do not. The first three bytes are the size
/// of a tree and two places in it, what follows is put over the proof.
pub fn proofs(data: &[u8]) {
    let [size, index, old, change @ ..] = data else { return };
    let leaves: Vec<Hash> = (0..*size % 70).map(|number| leaf_hash(&[number])).collect();
    let mut range = CompactRange::new();
    let mut roots = vec![range.root()];
    for leaf in &leaves {
        range.append(*leaf);
        roots.push(range.root());
    }
    let (root, size) = (range.root(), range.size());
    let (index, old) = (u64::from(*index), u64::from(*old));
    let leaf = usize::try_from(index).ok().and_then(|index| leaves.get(index)).copied();
    let path = proof::inclusion(&leaves, index);
    assert_eq!(path.is_some(), leaf.is_some());
    if let (Some(path), Some(leaf)) = (path, leaf) {
        assert_eq!(proof::verify_inclusion(index, size, leaf, &path, root), Ok(()));
        let changed = changed(&path, change);
        let holds = proof::verify_inclusion(index, size, leaf, &changed, root).is_ok();
        assert_eq!(holds, changed == path, "a changed path");
    }
    let path = proof::consistency(&leaves, old);
    let old_root = usize::try_from(old).ok().and_then(|old| roots.get(old)).copied();
    assert_eq!(path.is_some(), old_root.is_some());
    if let (Some(path), Some(old_root)) = (path, old_root) {
        // Every tree goes on from an empty one, so that says nothing and is refused.
        let promised = old > 0;
        assert_eq!(
            proof::verify_consistency(old, size, old_root, root, &path).is_ok(),
            promised
        );
        let changed = changed(&path, change);
        let holds = proof::verify_consistency(old, size, old_root, root, &changed).is_ok();
        assert_eq!(holds, promised && changed == path, "a changed proof");
    }
    // A range as it is stored.
    assert_eq!(
        CompactRange::from_bytes(size, &range.to_bytes()).map(|range| range.root()),
        Ok(root)
    );
    let read = CompactRange::from_bytes(index << 8 | old, change);
    if let Ok(read) = read {
        assert_eq!(read.to_bytes(), change);
        let _ = read.root();
    }
}

/// The proof with bytes put over it: the first says where, the last ones whether a hash more or less.
fn changed(proof: &[Hash], change: &[u8]) -> Vec<Hash> {
    let mut bytes: Vec<u8> = proof.iter().flat_map(|hash| hash.0).collect();
    if let [at, over @ ..] = change {
        for (slot, byte) in bytes.iter_mut().skip(usize::from(*at)).zip(over) {
            *slot ^= *byte;
        }
        bytes.extend(over.get(bytes.len()..).unwrap_or_default());
    }
    let whole = bytes.chunks_exact(32).filter_map(|hash| Hash::from_slice(hash).ok());
    whole.collect()
}
