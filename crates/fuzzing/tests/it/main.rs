//! Every input that was ever worth keeping, through the same functions as under the fuzzer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use fuzzing::TARGETS;

/// `fuzz/` of the project.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The names in a directory; none if there is no such directory.
fn names(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Runs every input of one kind, and names all those of which something does not hold.
fn replay(kind: &str) -> usize {
    let mut failed = Vec::new();
    let mut count = 0;
    for target in TARGETS {
        let directory = home().join(kind).join(target.name);
        for name in names(&directory) {
            let data = fs::read(directory.join(&name)).unwrap();
            count += 1;
            if catch_unwind(|| (target.run)(&data)).is_err() {
                failed.push(format!("fuzz/{kind}/{}/{name}", target.name));
            }
        }
    }
    assert_eq!(failed, [""; 0], "above is why");
    count
}

#[test]
fn the_corpus_holds() {
    assert!(replay("corpus") >= TARGETS.len());
}

#[test]
fn what_was_found_once_stays_mended() {
    replay("findings");
}

#[test]
fn every_target_has_a_way_in_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len());
    assert_eq!(names(&home().join("corpus")), targets);
    let findings = names(&home().join("findings"));
    let strangers: Vec<_> = findings.iter().filter(|name| *name != "README.md").collect();
    assert!(strangers.iter().all(|name| targets.contains(*name)), "{strangers:?}");
    let bins: BTreeSet<String> = targets.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&home().join("src/bin")), bins);
    for name in &targets {
        assert!(
            !names(&home().join("corpus").join(name)).is_empty(),
            "{name} has no corpus"
        );
        let source = fs::read_to_string(home().join(format!("src/bin/{name}.rs"))).unwrap();
        assert!(
            source.contains(&format!("fuzzing::{name}(data)")),
            "{name}.rs runs another target"
        );
    }
}

/// A mutation of what is refused at once reaches nothing. The bytes are those that the tests of `entry` hold as "a rich state
/// has these bytes", in one line.
#[test]
fn the_snapshot_that_mutations_begin_with_is_one() {
    for name in ["rich", "rich-and-on"] {
        let data = fs::read(home().join("corpus/snapshot").join(name)).unwrap();
        let first = data.split(|byte| *byte == b'\n').next().unwrap();
        let state = entry::snapshot::decode(first);
        assert!(state.is_ok(), "{name}: {:?}", state.err());
    }
}
