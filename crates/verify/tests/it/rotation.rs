//! Signing keys that are exchanged: who knew the old one can go on to the new one, and nobody else gets in.

use entry::Event;
use model::AdminName;
use tlog::note::SigningKey;
use verify::{LogReport, Trust, verify_log};

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
        keys: vec![known.verifier().clone()],
        quorum: None,
        since: since.to_vec(),
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
