//! Signing keys that are exchanged: who knew the old one can go on to the new one, and nobody else gets in.

use entry::{Entry, Event};
use model::AdminName;
use tlog::{
    Hash, leaf_hash,
    note::{Note, SigningKey},
    proof,
    proof_file::ProofFile,
};
use verify::{LogReport, NotProven, Trust, Way, verify_checkpoint, verify_consistency, verify_log, verify_proof};

use crate::{
    export::{Export, export_by, grown, written},
    support::{Log, ORIGIN, key},
};

fn other(seed: u8) -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[seed; 32]).unwrap()
}

fn by() -> AdminName {
    AdminName::new("ada").unwrap()
}

fn added(log: &mut Log, key: &SigningKey, beside: &SigningKey) {
    log.push(Event::SigningKeyAdded {
        key: key.verifier().to_string(),
        beside: beside.verifier().to_string(),
        by: by(),
    });
}

fn retired(log: &mut Log, key: &SigningKey) {
    log.push(Event::SigningKeyRetired {
        key: key.verifier().to_string(),
        by: by(),
    });
}

/// A log that adds a second key with entry 200, retires the first with entry 300, adds a third with 350 and retires the
/// second with 450.
fn exchanged() -> Vec<Vec<u8>> {
    let (first, second, third) = (key(), other(8), other(9));
    grown(|log| {
        log.grow(200);
        added(log, &second, &first);
        log.grow(300);
        retired(log, &first);
        log.grow(350);
        added(log, &third, &second);
        log.grow(450);
        retired(log, &second);
        log.grow(500);
    })
}

fn checkpoint(export: &Export) -> String {
    String::from_utf8(export["checkpoint"].clone()).unwrap()
}

/// What somebody finds who knows one key, and kept these checkpoints.
fn found(export: &Export, known: &SigningKey, since: &[String]) -> LogReport {
    let trust = Trust {
        since: since.to_vec(),
        ..Trust::in_keys([known.verifier().clone()])
    };
    verify_log(written(export).path(), &trust).unwrap()
}

#[test]
fn who_knew_the_old_key_goes_on_to_the_new_one() {
    let (first, second, third) = (key(), other(8), other(9));
    let entries = exchanged();
    let now = export_by(&entries, &[&third]);
    let at = |size: usize, keys: &[&SigningKey]| checkpoint(&export_by(&entries[..size], keys));
    let check = |known: &SigningKey, since: &[String], expected: Result<usize, &str>| {
        let report = found(&now, known, since);
        match expected {
            Ok(keys) => {
                assert!(report.ok, "{:?}", report.troubles);
                assert_eq!(report.keys_added.len(), keys, "{:?}", report.keys_added);
            }
            Err(says) => assert!(
                report.troubles.iter().any(|trouble| trouble.what.contains(says)),
                "{says}: {:?}",
                report.troubles
            ),
        }
    };
    let unknown = "no known key signed";
    check(&third, &[], Ok(0));
    check(&first, &[], Err(unknown));
    // While both signed.
    let both = at(250, &[&first, &second]);
    let later = at(400, &[&second, &third]);
    check(&first, &[both.clone(), later.clone()], Ok(2));
    check(&first, &[later.clone(), both.clone()], Ok(2));
    check(&second, std::slice::from_ref(&later), Ok(1));
    // One link of the chain is missing.
    check(&first, std::slice::from_ref(&both), Err(unknown));
    check(&first, &[later], Err(unknown));
    check(
        &first,
        &[at(250, &[&second]), at(400, &[&second, &third])],
        Err(unknown),
    );
    // The old key signed before the new one was added.
    check(&first, &[at(200, &[&first]), at(400, &[&second, &third])], Err(unknown));
    // One entry more, and it was.
    check(&first, &[at(201, &[&first]), at(400, &[&second, &third])], Ok(2));
    // A key that no entry adds.
    check(&other(77), &[both], Err(unknown));
}

#[test]
fn handovers_that_come_with_the_log_lead_to_the_new_key() {
    let (first, second, third) = (key(), other(8), other(9));
    let entries = exchanged();
    let at = |size: usize, keys: &[&SigningKey]| export_by(&entries[..size], keys)["checkpoint"].clone();
    let now = export_by(&entries, &[&third]);
    let with = |handovers: &[Vec<u8>]| {
        let mut export = now.clone();
        for (note, number) in handovers.iter().zip(1..) {
            export.insert(format!("handover/{number}"), note.clone());
        }
        export
    };
    let (to_second, to_third) = (at(250, &[&first, &second]), at(400, &[&second, &third]));
    let all = with(&[to_second.clone(), to_third.clone()]);
    for (known, added, since) in [
        (&first, 2, vec![250, 400]),
        (&second, 1, vec![250, 400]),
        (&third, 0, vec![]),
    ] {
        let report = found(&all, known, &[]);
        assert!(report.ok, "{:?}", report.troubles);
        assert_eq!((report.keys_added.len(), &report.goes_on_from), (added, &since));
        let warned = report.not_proven.iter().any(|open| open.code == "handovers");
        assert_eq!(warned, added > 0);
    }
    // What no known key signed leads nowhere, and what is no checkpoint is passed over.
    let mut forged = to_second.clone();
    let signatures = forged.windows(2).position(|bytes| bytes == b"\n\n").unwrap();
    forged[signatures + ORIGIN.len() + 30] ^= 1;
    for handovers in [
        vec![to_third.clone()],
        vec![to_second.clone()],
        vec![forged, to_third.clone()],
        vec![at(250, &[&other(77), &second]), to_third.clone()],
        vec![b"no note".to_vec()],
    ] {
        let report = found(&with(&handovers), &first, &[]);
        assert!(!report.ok, "{:?}", report.keys_added);
    }
    // A handover of another history is told, whoever signed it.
    let mut other_history = entries.clone();
    other_history.swap(0, 1);
    let fork = export_by(&other_history[..250], &[&first, &second])["checkpoint"].clone();
    assert!(!found(&with(&[fork, to_third]), &first, &[]).ok);
}

#[test]
fn proofs_of_the_entries_that_add_keys_lead_to_the_new_key() {
    let (first, second, third, thief) = (key(), other(8), other(9), other(66));
    let entries = exchanged();
    let proof = |entries: &[Vec<u8>], index: usize, size: usize, keys: &[&SigningKey]| {
        let leaves: Vec<Hash> = entries[..size].iter().map(|entry| leaf_hash(entry)).collect();
        let note = checkpoint(&export_by(&entries[..size], keys));
        ProofFile {
            extra: Some(entries[index].clone()),
            index: index as u64,
            hashes: proof::inclusion(&leaves, index as u64).unwrap(),
            checkpoint: Note::parse(&note).unwrap(),
        }
        .to_string()
    };
    let (to_second, to_third) = (
        proof(&entries, 200, 250, &[&first, &second]),
        proof(&entries, 350, 400, &[&second, &third]),
    );
    let forged = grown(|log| {
        log.grow(200);
        added(log, &thief, &first);
    });
    let now = proof(&entries, 41, 500, &[&third]);
    let old_checkpoint = checkpoint(&export_by(&entries[..150], &[&first]));
    let export = export_by(&entries, &[&third]);
    let home = written(&export);
    let new = checkpoint(&export);
    let check = |known: &SigningKey, handovers: &[&String], expected: Result<usize, &str>| {
        let trust = Trust {
            handovers: handovers.iter().copied().cloned().collect(),
            ..Trust::in_keys([known.verifier().clone()])
        };
        let proved = verify_proof(&now, None, &trust);
        let opened = verify_checkpoint(&new, &trust);
        let whole = verify_log(home.path(), &trust).unwrap();
        let warns = |open: &[NotProven]| open.iter().any(|open| open.code == "handovers");
        let mut found = vec![
            (proved.trouble, proved.keys_added, warns(&proved.not_proven)),
            (opened.trouble, opened.keys_added, warns(&opened.not_proven)),
            (
                whole.troubles.first().map(|trouble| trouble.what.clone()),
                whole.keys_added,
                warns(&whole.not_proven),
            ),
        ];
        // Who does not know the first key does not believe the old checkpoint.
        if known.verifier() == first.verifier() {
            let goes_on = verify_consistency(&old_checkpoint, &new, &trust, Way::Log(home.path()));
            found.push((goes_on.trouble, goes_on.keys_added, warns(&goes_on.not_proven)));
        }
        for (trouble, added, warned) in found {
            match (expected, trouble) {
                (Ok(count), None) => assert_eq!((added.len(), warned), (count, count > 0)),
                (Err(says), Some(trouble)) => assert!(trouble.contains(says), "{says}: {trouble}"),
                (expected, trouble) => panic!("{expected:?}: {trouble:?}"),
            }
        }
    };
    check(&first, &[&to_second, &to_third], Ok(2));
    check(&first, &[&to_third, &to_second], Ok(2));
    check(&second, &[&to_third], Ok(1));
    check(&third, &[], Ok(0));
    check(&first, &[], Err("no known key"));
    check(&first, &[&to_second], Err("no known key"));
    check(&first, &[&to_third], Err("handover 1 is not to be believed"));
    // The old key has not signed the tree in which the new one stands.
    let by_new = proof(&entries, 200, 250, &[&second]);
    check(&first, &[&by_new, &to_third], Err("handover 1 is not to be believed"));
    // What somebody else signed, of a history of their own.
    let by_thief = proof(&forged, 200, 201, &[&thief]);
    check(&first, &[&by_thief], Err("no known key"));
    let mut file = ProofFile::parse(&to_second).unwrap();
    file.extra = Some(forged[200].clone());
    check(
        &first,
        &[&file.to_string(), &to_third],
        Err("not the one that was logged"),
    );
    // The old key signed another history, of as many entries, by which the new key came.
    let mut other_history = entries.clone();
    other_history.swap(0, 1);
    let forked = proof(&other_history, 200, 250, &[&first, &second]);
    let trust = Trust {
        handovers: vec![forked.clone(), to_third.clone()],
        ..Trust::in_keys([first.verifier().clone()])
    };
    let report = verify_log(home.path(), &trust).unwrap();
    assert!(
        report
            .troubles
            .iter()
            .any(|trouble| trouble.what.contains("not the ones that the earlier checkpoint")),
        "{:?}",
        report.troubles
    );
    let at_fork = checkpoint(&export_by(&entries[..250], &[&first]));
    let report = verify_checkpoint(&at_fork, &trust);
    assert!(report.trouble.unwrap().contains("two histories"));
    let proved = verify_proof(&proof(&entries, 41, 250, &[&first]), None, &trust);
    assert!(proved.trouble.unwrap().contains("two histories"));
    // Another entry adds nothing.
    let other = proof(&entries, 41, 250, &[&first]);
    check(&first, &[&other], Err("it adds no key"));
    let retires = proof(&entries, 300, 400, &[&second]);
    check(&second, &[&retires], Err("it adds no key"));
    // A log brings in no key of another log, though that one's key is known too.
    let elsewhere = SigningKey::from_seed("other.example/default", &[5; 32]).unwrap();
    for (new, old) in [(&elsewhere, &first), (&second, &elsewhere)] {
        let mut entry = Entry::decode(&entries[200]).unwrap();
        entry.event = Event::SigningKeyAdded {
            key: new.verifier().to_string(),
            beside: old.verifier().to_string(),
            by: by(),
        };
        let mut forged = entries.clone();
        forged[200] = entry.encode().unwrap();
        let trust = Trust {
            handovers: vec![proof(&forged, 200, 250, &[&first])],
            ..Trust::in_keys([first.verifier().clone(), elsewhere.verifier().clone()])
        };
        let report = verify_checkpoint(&old_checkpoint, &trust);
        assert!(report.trouble.unwrap().contains("a key of another log"));
    }
    // One that is added beside a key that is not known, by a tree that a known key signed.
    let beside = proof(&entries, 350, 400, &[&first]);
    check(&first, &[&beside], Err("beside one that is not known"));
}

#[test]
fn forged_handovers_beside_genuine_ones_bring_no_key_and_are_not_reported() {
    let (first, second, third, thief) = (key(), other(8), other(9), other(66));
    let with = |mut export: Export, handovers: &[Vec<u8>]| {
        for (note, number) in handovers.iter().zip(1..) {
            export.insert(format!("handover/{number}"), note.clone());
        }
        export
    };
    let note = |entries: &[Vec<u8>], keys: &[&SigningKey]| export_by(entries, keys)["checkpoint"].clone();
    // A history in which the thief's key is added, beside a handover of the log's own history that has the same size.
    let genuine = exchanged();
    let forged = grown(|log| {
        log.grow(200);
        added(log, &thief, &first);
        log.grow(300);
    });
    let handovers = [
        note(&genuine[..250], &[&first, &second]),
        note(&forged[..250], &[&thief]),
    ];
    for handovers in [handovers.clone(), [handovers[1].clone(), handovers[0].clone()]] {
        let report = found(&with(export_by(&forged, &[&thief]), &handovers), &first, &[]);
        assert!(!report.ok);
        assert_eq!((report.keys_added, report.goes_on_from), (Vec::new(), Vec::new()));
    }
    // The log's own history, with a handover of it that nobody known signed.
    let handovers = [
        note(&genuine[..250], &[&first, &second]),
        note(&genuine[..300], &[&thief]),
        note(&genuine[..400], &[&second, &third]),
    ];
    let report = found(&with(export_by(&genuine, &[&third]), &handovers), &first, &[]);
    assert!(report.ok, "{:?}", report.troubles);
    assert_eq!(report.goes_on_from, [250, 400]);
    // Its handovers are genuine, and the entries behind them are not those of its checkpoint.
    let mut altered = export_by(&genuine, &[&third]);
    let mut swapped = genuine.clone();
    swapped.swap(498, 499);
    altered.insert("checkpoint".to_owned(), note(&swapped, &[&third]));
    let report = found(&with(altered, &handovers), &first, &[]);
    assert!(!report.ok);
    assert_eq!(report.keys_added, Vec::new());
}

#[test]
fn a_key_that_retired_signs_nothing_more() {
    let (first, second) = (key(), other(8));
    let entries = exchanged();
    let of = |size: usize, keys: &[&SigningKey]| export_by(&entries[..size], keys);
    assert!(found(&of(280, &[&first]), &first, &[]).ok);
    assert!(found(&of(280, &[&first, &second]), &second, &[]).ok);
    let report = found(&of(310, &[&first]), &first, &[]);
    assert!(
        report.troubles[0].what.contains("signs no more since entry 300"),
        "{:?}",
        report.troubles
    );
    assert!(found(&of(310, &[&second]), &second, &[]).ok);
}

#[test]
fn a_history_that_adds_somebody_elses_key_leads_nowhere() {
    let (first, thief) = (key(), other(66));
    // The thief has a copy of the log and goes on with a key of their own, which an entry adds.
    let forged = grown(|log| {
        log.grow(200);
        added(log, &thief, &first);
        log.grow(300);
    });
    let export = export_by(&forged, &[&thief]);
    let kept = checkpoint(&export_by(&forged[..150], &[&first]));
    let report = found(&export, &first, &[kept]);
    assert!(!report.ok && report.keys_added.is_empty(), "{:?}", report.keys_added);
}
