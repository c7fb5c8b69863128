//! Every byte of an exported log: whoever changes one is found out, and where.

use std::{
    collections::hash_map::RandomState, fs, hash::BuildHasher as _, process::Command, sync::mpsc, thread,
    time::Duration,
};

use tempfile::TempDir;
use tlog::{bundle, bundle::BundleId, note::SigningKey};
use verify::{LogReport, Trust, verify_log, verify_log_beside};

use crate::{
    export::{Export, export, export_by, honest, trust, verified, write, written},
    support::{Exporter, ORIGIN},
};

fn since(export: &Export, old: &Export) -> LogReport {
    let trust = Trust {
        since: vec![String::from_utf8(old["checkpoint"].clone()).unwrap()],
        ..trust()
    };
    verify_log(written(export).path(), &trust).unwrap()
}

/// The files that are verified: all but the key, which is taken from elsewhere.
fn checked(export: &Export) -> Vec<&String> {
    export.keys().filter(|path| *path != "vkey").collect()
}

/// The entry whose length or bytes stand at this place of a file of entries.
fn entry_at(path: &str, bytes: &[u8], at: usize) -> Option<u64> {
    let id: BundleId = path.parse().ok()?;
    let mut end = 0;
    let ends = bundle::split(bytes).unwrap().into_iter().map(|entry| {
        end += entry.len() + 2;
        end
    });
    let place = ends.take_while(|end| *end <= at).count();
    Some(id.first().unwrap() + u64::try_from(place).unwrap())
}

/// Panics unless the first trouble names the file, or the entry where entries were changed.
fn located(report: &LogReport, path: &str, entry: Option<u64>, what: &str) {
    assert!(!report.ok, "{what}: not found");
    let first = &report.troubles[0];
    match entry {
        Some(_) => assert_eq!(first.entry, entry, "{what}: {:?}", report.troubles),
        None => assert_eq!(first.file.as_deref(), Some(path), "{what}: {:?}", report.troubles),
    }
}

#[test]
fn every_flipped_byte_of_a_small_log_is_found_and_located() {
    let (export, _) = honest(38);
    let report = verified(&export);
    assert!(report.ok, "{:?}", report.troubles);
    assert_eq!(report.found.entries, 38);
    assert!(report.found.holds_open > 0, "{:?}", report.found);
    let places: Vec<(&String, usize)> = checked(&export)
        .into_iter()
        .flat_map(|path| (0..export[path].len()).map(move |at| (path, at)))
        .collect();
    assert!(places.len() > 15_000, "{} bytes", places.len());
    // Which bit of a byte is flipped goes round.
    thread::scope(|scope| {
        for part in places.chunks(places.len().div_ceil(2)) {
            let export = &export;
            scope.spawn(move || {
                let dir = written(export);
                for (path, at) in part {
                    let mut bytes = export[*path].clone();
                    bytes[*at] ^= 1 << (at % 8);
                    write(dir.path(), path, &bytes);
                    let report = verify_log(dir.path(), &trust()).unwrap();
                    let entry = entry_at(path, &export[*path], *at);
                    located(&report, path, entry, &format!("byte {at} of {path}"));
                    write(dir.path(), path, &export[*path]);
                }
            });
        }
    });
}

#[test]
fn flipped_bytes_of_a_larger_log_are_found_and_located() {
    let (export, _) = honest(700);
    let seed = RandomState::new().hash_one("bytes");
    println!("seed {seed}");
    let mut random = seed | 1;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % u64::try_from(below).unwrap()).unwrap()
    };
    let paths = checked(&export);
    let dir = written(&export);
    for turn in 0..150 {
        // Each file in turn, so that small ones have their share.
        let path = paths[turn % paths.len()];
        let (at, bit) = (next(export[path].len()), next(8));
        let mut bytes = export[path].clone();
        bytes[at] ^= 1 << bit;
        write(dir.path(), path, &bytes);
        let report = verify_log(dir.path(), &trust()).unwrap();
        located(
            &report,
            path,
            entry_at(path, &export[path], at),
            &format!("byte {at} of {path}, seed {seed}"),
        );
        write(dir.path(), path, &export[path]);
    }
}

#[test]
fn files_that_are_dropped_cut_lengthened_or_swapped_are_found_and_named() {
    let (export, _) = honest(600);
    let paths = checked(&export);
    assert!(paths.len() >= 8, "{paths:?}");
    for path in &paths {
        let mut without = export.clone();
        let bytes = without.remove(*path).unwrap();
        located(&verified(&without), path, None, &format!("{path} is missing"));
        for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            let cut = [(*path).clone()].map(|path| (path, bytes[..length].to_vec()));
            let report = verified(&export.clone().into_iter().chain(cut).collect());
            let entry = entry_at(path, &bytes, length);
            located(&report, path, entry, &format!("{path} has {length} bytes"));
        }
        let longer = [(*path).clone()].map(|path| (path, [bytes.as_slice(), b"\0"].concat()));
        let report = verified(&export.clone().into_iter().chain(longer).collect());
        assert!(!report.ok, "{path} is longer");
        assert!(
            report
                .troubles
                .iter()
                .any(|trouble| trouble.file.as_ref() == Some(path)),
            "{path}"
        );
    }
    let kinds = |path: &str| path.split('/').nth(1).map(str::to_owned);
    for (at, one) in paths.iter().enumerate() {
        for other in &paths[at + 1..] {
            if kinds(one) != kinds(other) {
                continue;
            }
            let mut swapped = export.clone();
            swapped.insert((*one).clone(), export[*other].clone());
            swapped.insert((*other).clone(), export[*one].clone());
            let report = verified(&swapped);
            assert!(!report.ok, "{one} and {other} are swapped");
            let named =
                |trouble: &verify::Trouble| trouble.file.as_ref().is_some_and(|file| file == *one || file == *other);
            assert!(
                report.troubles.iter().any(named),
                "{one}, {other}: {:?}",
                report.troubles
            );
        }
    }
}

/// Puts changed entries into the files of entries and leaves all others as they were.
fn with_entries(export: &Export, entries: &[Vec<u8>]) -> Export {
    let mut changed = export.clone();
    let of_entries = |path: &String| path.starts_with("tile/entries/");
    let paths: Vec<String> = export.keys().filter(|path| of_entries(path)).cloned().collect();
    for path in paths {
        let id: BundleId = path.parse().unwrap();
        let first = usize::try_from(id.first().unwrap()).unwrap();
        let mut bytes = Vec::new();
        for entry in entries.iter().skip(first).take(id.width().into()) {
            bundle::push(&mut bytes, entry).unwrap();
        }
        changed.insert(path, bytes);
    }
    changed
}

#[test]
fn entries_that_are_dropped_swapped_doubled_or_replayed_are_found_and_located() {
    let (honest, entries) = honest(300);
    type Change = fn(&mut Vec<Vec<u8>>, usize);
    let changes: [(&str, Change); 6] = [
        ("dropped", |entries, at| drop(entries.remove(at))),
        ("swapped", |entries, at| entries.swap(at, at + 1)),
        ("doubled", |entries, at| entries.insert(at, entries[at].clone())),
        ("replayed", |entries, at| entries[at] = entries[at - 2].clone()),
        ("moved", |entries, at| {
            let entry = entries.remove(at);
            entries.insert(at + 5, entry);
        }),
        ("emptied", |entries, at| entries[at].clear()),
    ];
    for (what, change) in changes {
        for at in [2, 100, 254, 255, 256, 290] {
            let mut changed = entries.clone();
            change(&mut changed, at);
            // Where one is doubled, the first that is wrong is the second of the two.
            let wrong = u64::try_from(at).unwrap() + u64::from(what == "doubled");
            let report = verified(&with_entries(&honest, &changed));
            located(&report, "", Some(wrong), &format!("entry {at} is {what}"));
            // Whoever has the log's key can sign that as well: then the entries themselves show it.
            let signed = verified(&export(&changed));
            located(&signed, "", Some(wrong), &format!("entry {at} is {what}, and signed"));
            assert!(
                signed.troubles[0].what.contains("it was signed so"),
                "{}",
                signed.troubles[0]
            );
        }
    }
}

#[test]
fn an_older_state_is_found_by_who_kept_a_checkpoint() {
    let (old, entries) = honest(400);
    let new = export(&entries);
    let (longer, _) = honest(500);
    assert!(verified(&old).ok && since(&longer, &old).ok);
    assert_eq!(since(&longer, &old).goes_on_from, [400]);
    assert_eq!(since(&new, &old).goes_on_from, [400]);
    // All of the old log: nothing in it is wrong.
    let report = since(&old, &longer);
    assert!(verified(&old).ok && !report.ok);
    assert!(
        report.troubles[0].what.contains("entries are missing"),
        "{:?}",
        report.troubles
    );
    // The old checkpoint in the new log: it says what is behind it.
    let replayed = longer
        .clone()
        .into_iter()
        .chain([("checkpoint".to_owned(), old["checkpoint"].clone())])
        .collect();
    assert!(verified(&replayed).not_proven.iter().any(|open| open.code == "newest"));
    assert!(!since(&replayed, &longer).ok);
    // Single files of the old log in the new one.
    for path in checked(&longer) {
        for (older, bytes) in &old {
            let same_place = path.split(".p/").next() == older.split(".p/").next();
            if path == "checkpoint" || !same_place || bytes == &longer[path] {
                continue;
            }
            let report = verified(
                &longer
                    .clone()
                    .into_iter()
                    .chain([(path.clone(), bytes.clone())])
                    .collect(),
            );
            assert!(!report.ok, "{older} in the place of {path}");
            assert_eq!(report.troubles[0].file.as_ref(), Some(path), "{:?}", report.troubles);
            // Under its own name it does no harm, and is compared as well.
            let both: Export = longer
                .clone()
                .into_iter()
                .chain([(older.clone(), bytes.clone())])
                .collect();
            assert!(verified(&both).ok, "{older} beside {path}");
            let mut wrong = bytes.clone();
            wrong[10] ^= 1;
            let spoilt: Export = longer.clone().into_iter().chain([(older.clone(), wrong)]).collect();
            assert!(!verified(&spoilt).ok, "{older} beside {path}");
        }
    }
}

#[test]
fn another_history_signed_by_the_log_is_found_by_who_kept_a_checkpoint() {
    let (old, entries) = honest(400);
    let mut forked = entries.clone();
    let place = forked
        .iter()
        .rposition(|entry| entry.windows(9).any(|text| text == b"summarise"))
        .unwrap();
    let text = String::from_utf8(forked[place].clone()).unwrap();
    forked[place] = text.replace("summarise", "summarize").into_bytes();
    let forked = export(&forked);
    // It is as good a log as the other: only whoever has seen both can tell.
    assert!(verified(&forked).ok, "{:?}", verified(&forked).troubles);
    let report = since(&forked, &old);
    assert!(
        report.troubles[0]
            .what
            .contains("not the ones that the earlier checkpoint was signed over")
    );
}

#[test]
fn a_key_in_the_directory_is_not_believed() {
    let (export, _) = honest(50);
    let other = tlog::note::SigningKey::from_seed(crate::support::ORIGIN, &[8; 32]).unwrap();
    let dir = written(&export);
    let mut exporter = Exporter::new(dir.path());
    for entry in honest(50).1 {
        exporter.push(&entry);
    }
    exporter.sign(&other);
    let report = verify_log(dir.path(), &trust()).unwrap();
    located(&report, "checkpoint", None, "signed by another key");
}

#[test]
fn what_the_other_log_says_nothing_of_is_told() {
    let dir = written(&honest(600).0);
    let report = verify_log_beside(dir.path(), dir.path(), &trust()).unwrap();
    assert_eq!(report.heads, Some(0));
    let said = report.not_proven.iter().find(|open| open.code == "heads");
    assert!(
        said.is_some_and(|open| open.what.contains("nowhere")),
        "{:?}",
        report.not_proven
    );
    let alone = verify_log(dir.path(), &trust()).unwrap();
    assert!(alone.not_proven.iter().all(|open| open.code != "heads"));
}

/// Looks at a log whose directory somebody prepared, in a time that no honest one needs.
fn prepared(dir: TempDir) -> LogReport {
    let (done, report) = mpsc::channel();
    thread::spawn(move || done.send(Box::new(verify_log(dir.path(), &trust()).unwrap())));
    let report = report.recv_timeout(Duration::from_secs(60));
    *report.unwrap()
}

#[cfg(unix)]
#[test]
fn what_is_no_file_or_longer_than_any_is_refused() {
    let (export, entries) = honest(600);
    let bundle = checked(&export).into_iter().find(|path| path.contains("entries"));
    let tile = checked(&export).into_iter().find(|path| path.starts_with("tile/0/"));
    for (path, most) in [
        ("checkpoint", 64 << 10),
        (tile.unwrap(), 256 * 32),
        (bundle.unwrap(), 256 * (2 + 65_535)),
    ] {
        let dir = written(&export);
        let file = dir.path().join(path);
        fs::remove_file(&file).unwrap();
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        let report = prepared(dir);
        let says = |report: &LogReport, what: &str| {
            let mut troubles = report.troubles.iter();
            let named = troubles.any(|trouble| trouble.file.as_deref() == Some(path) && trouble.what.contains(what));
            assert!(named, "{path}: {what}: {:?}", report.troubles);
        };
        says(&report, "no regular file");
        // As long as it may be it is read, and refused for what it is.
        for (more, what) in [(0_u64, ""), (1, "is longer than")] {
            let dir = written(&export);
            fs::File::options()
                .write(true)
                .truncate(true)
                .open(dir.path().join(path))
                .unwrap()
                .set_len(most + more)
                .unwrap();
            says(&prepared(dir), what);
        }
    }
    // Handovers are looked at where nobody known signed.
    let other = SigningKey::from_seed(ORIGIN, &[66; 32]).unwrap();
    let dir = written(&export_by(&entries, &[&other]));
    let file = dir.path().join("handover/1");
    fs::create_dir(dir.path().join("handover")).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    assert!(!prepared(dir).ok);
}
