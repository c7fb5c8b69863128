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
