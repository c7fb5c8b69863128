//! The program itself: its commands, exit codes and words.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;
use tlog::{
    Hash, checkpoint::Checkpoint, cosignature::CosigningKey, leaf_hash, note::Note, proof, proof_file::ProofFile,
};

use crate::{
    export::{honest, trust, written},
    support::key,
};

fn run(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bailiwick-verify"))
        .current_dir(dir)
        .args(args)
        .output()
        .unwrap()
}

/// What the program prints, if it ends with this code.
fn exits(dir: &Path, args: &[&str], code: i32) -> String {
    let output = run(dir, args);
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}{err}");
    out + &err
}

fn json(dir: &Path, args: &[&str], code: i32) -> Value {
    serde_json::from_str(&exits(dir, &[args, &["--json"]].concat(), code)).unwrap()
}

/// A log of 300 entries in `log`, an older checkpoint in `old`, its key in `key`, proofs of entry 41 in `proof` and `bare`,
/// and entry 41 in `entry`.
fn home() -> TempDir {
    let (export, entries) = honest(300);
    let dir = written(
        &export
            .into_iter()
            .map(|(path, bytes)| (format!("log/{path}"), bytes))
            .collect(),
    );
    let (old, _) = honest(200);
    fs::write(dir.path().join("old"), &old["checkpoint"]).unwrap();
    fs::write(dir.path().join("key"), format!("{}\n", key().verifier())).unwrap();
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let checkpoint = fs::read_to_string(dir.path().join("log/checkpoint")).unwrap();
    let mut file = ProofFile {
        extra: Some(entries[41].clone()),
        index: 41,
        hashes: proof::inclusion(&leaves, 41).unwrap(),
        checkpoint: Note::parse(&checkpoint).unwrap(),
    };
    fs::write(dir.path().join("proof"), file.to_string()).unwrap();
    file.extra = None;
    fs::write(dir.path().join("bare"), file.to_string()).unwrap();
    fs::write(dir.path().join("entry"), [&entries[41], &b"\n"[..]].concat()).unwrap();
    let consistency = proof::consistency(&leaves, 200).unwrap();
    let lines: Vec<String> = consistency.iter().map(|hash| format!("{hash}\n")).collect();
    fs::write(dir.path().join("hashes"), lines.concat()).unwrap();
    dir
}

#[test]
fn a_log_is_verified_and_what_is_not_proven_is_said() {
    let home = home();
    let dir = home.path();
    let said = exits(dir, &["log", "log", "--key", "@key", "--since", "old"], 0);
    for words in [
        "agents.example/default",
        "300 in order",
        "everything fits together",
        "goes on from the checkpoint over 200 entries",
        "not proven:",
        "that the keys you named are the log's own",
        "--witness",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let key = key().verifier().to_string();
    let report = json(dir, &["log", "log", "--key", &key], 0);
    assert_eq!(report["ok"], true);
    assert_eq!(report["found"]["entries"], 300);
    assert_eq!(report["troubles"], Value::Array(Vec::new()));
    // One byte of one entry.
    let path = dir.join("log/tile/entries/000");
    let mut bytes = fs::read(&path).unwrap();
    bytes[5_000] ^= 1;
    fs::write(path, bytes).unwrap();
    let said = exits(dir, &["log", "log", "--key", "@key"], 1);
    assert!(said.contains("does not hold: entry "), "{said}");
    assert!(!said.contains("verified"), "{said}");
    let report = json(dir, &["log", "log", "--key", "@key"], 1);
    assert_eq!(report["ok"], false);
    assert!(report["troubles"][0]["entry"].is_u64(), "{report}");
}

#[test]
fn a_proof_is_verified_alone() {
    let home = home();
    let dir = home.path();
    let said = exits(dir, &["proof", "proof", "--key", "@key"], 0);
    for words in [
        "the entry is in the log",
        "entry      41",
        "\"index\":41",
        "not proven:",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let report = json(dir, &["proof", "bare", "--key", "@key", "--entry", "entry"], 0);
    assert_eq!(
        (&report["ok"], &report["index"]),
        (&Value::Bool(true), &Value::from(41))
    );
    assert!(exits(dir, &["proof", "bare", "--key", "@key"], 1).contains("does not carry the entry"));
    fs::write(dir.join("other"), "{}").unwrap();
    let said = exits(dir, &["proof", "proof", "--key", "@key", "--entry", "other"], 1);
    assert!(said.contains("not the one that was logged there"), "{said}");
}

#[test]
fn every_flipped_byte_of_a_proof_is_found() {
    let home = home();
    for name in ["proof", "bare"] {
        let text = fs::read(home.path().join(name)).unwrap();
        let entry = fs::read(home.path().join("entry")).unwrap();
        let entry = (name == "bare").then(|| entry.strip_suffix(b"\n").unwrap());
        let trust = trust();
        assert!(verify::verify_proof(std::str::from_utf8(&text).unwrap(), entry, &trust).ok);
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[at] ^= 1 << bit;
                let Ok(flipped) = String::from_utf8(flipped) else {
                    continue;
                };
                let report = verify::verify_proof(&flipped, entry, &trust);
                assert!(!report.ok && report.trouble.is_some(), "byte {at}, bit {bit} of {name}");
            }
        }
        for end in 0..text.len() {
            let Ok(cut) = std::str::from_utf8(&text[..end]) else {
                continue;
            };
            assert!(!verify::verify_proof(cut, entry, &trust).ok, "{end} bytes of {name}");
        }
    }
}

#[test]
fn checkpoints_and_what_lies_between_two_are_verified() {
    let home = home();
    let dir = home.path();
    let said = exits(dir, &["checkpoint", "log/checkpoint", "--key", "@key"], 0);
    assert!(
        said.contains("entries    300") && said.contains("signed by  agents.example/default ("),
        "{said}"
    );
    let pair = ["consistency", "old", "log/checkpoint", "--key", "@key"];
    let with = |way: &[&str], code| exits(dir, &[&pair, way].concat(), code);
    assert!(with(&["--log", "log"], 0).contains("its first 200 entries are the same"));
    with(&["--proof", "hashes"], 0);
    // Exactly one way.
    with(&[], 2);
    with(&["--log", "log", "--proof", "hashes"], 2);
    let turned = ["consistency", "log/checkpoint", "old", "--key", "@key", "--log", "log"];
    assert!(exits(dir, &turned, 1).contains("name the older one first"));
    let text = fs::read_to_string(dir.join("hashes")).unwrap();
    for (at, line) in text.lines().enumerate() {
        let without: String = text
            .lines()
            .enumerate()
            .filter(|(n, _)| *n != at)
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        fs::write(dir.join("hashes"), without).unwrap();
        with(&["--proof", "hashes"], 1);
        let other = leaf_hash(line.as_bytes()).to_string();
        fs::write(dir.join("hashes"), text.replace(line, &other)).unwrap();
        with(&["--proof", "hashes"], 1);
    }
    // Two histories.
    let other = Checkpoint {
        root: leaf_hash(b"another history"),
        ..Checkpoint::open(
            &fs::read_to_string(dir.join("log/checkpoint")).unwrap(),
            &[key().verifier().clone()],
        )
        .unwrap()
    };
    fs::write(dir.join("fork"), other.sign(&key()).unwrap().to_string()).unwrap();
    let fork = ["consistency", "fork", "log/checkpoint", "--key", "@key", "--log", "log"];
    assert!(exits(dir, &fork, 1).contains("the log shows two histories"));
}

#[test]
fn a_quorum_of_witnesses_is_asked_for() {
    let home = home();
    let dir = home.path();
    let witness = |name: &str, seed| CosigningKey::from_seed(name, &[seed; 32]).unwrap();
    let (one, two) = (witness("one.example", 1), witness("two.example", 2));
    let text = fs::read_to_string(dir.join("log/checkpoint")).unwrap();
    let note = Note::parse(&text).unwrap();
    let proof = fs::read_to_string(dir.join("proof")).unwrap();
    let word = one.cosign(note.body(), 1_789_992_000).unwrap();
    let cosigned = note.with([word]).unwrap();
    fs::write(dir.join("log/checkpoint"), cosigned.to_string()).unwrap();
    let proof = ProofFile {
        checkpoint: cosigned,
        ..ProofFile::parse(&proof).unwrap()
    };
    fs::write(dir.join("proof"), proof.to_string()).unwrap();
    let (one, two) = (one.cosigner().to_string(), two.cosigner().to_string());
    let goes_on = &["consistency", "old", "log/checkpoint", "--log", "log"][..];
    for command in [
        &["checkpoint", "log/checkpoint"],
        &["log", "log"],
        &["proof", "proof"],
        goes_on,
    ] {
        let args = [command, &["--key", "@key", "--witness", &one]].concat();
        let said = exits(dir, &args, 0);
        assert!(said.contains("one.example, 2026-09-21T12:00:00"), "{said}");
        assert!(said.contains("1 of the 1 you named"), "{said}");
        let both = [&args[..], &["--witness", &two]].concat();
        assert!(exits(dir, &both, 1).contains("1 of 2 cosignatures are there"));
        exits(dir, &[&both[..], &["--quorum", "1"]].concat(), 0);
        exits(dir, &[&both[..], &["--quorum", "3"]].concat(), 2);
    }
    exits(
        dir,
        &["checkpoint", "log/checkpoint", "--key", "@key", "--quorum", "1"],
        2,
    );
}

#[test]
fn what_makes_no_sense_exits_with_two() {
    let home = home();
    let dir = home.path();
    for (args, says) in [
        (&["log", "log"][..], "--key"),
        (&["log", "nowhere", "--key", "@key"], "nowhere cannot be read"),
        (&["log", "log", "--key", "nonsense"], "\"nonsense\" is not a key"),
        (&["log", "log", "--key", "@nokey"], "nokey cannot be read"),
        (&["proof", "nothing", "--key", "@key"], "nothing cannot be read"),
        (&["checkpoint"], "Usage"),
        (&[], "Usage"),
    ] {
        let said = exits(dir, args, 2);
        assert!(said.contains(says), "{args:?}: {said}");
    }
    // A witness's key is no log's key.
    let witness = CosigningKey::from_seed("one.example", &[1; 32]).unwrap();
    let said = exits(dir, &["log", "log", "--key", &witness.cosigner().to_string()], 2);
    assert!(said.contains("is not a key"), "{said}");
    assert!(exits(dir, &["log", "--help"], 0).contains("Examples:"));
}

#[test]
fn text_from_files_cannot_drive_a_terminal() {
    let home = home();
    let dir = home.path();
    let proof = fs::read_to_string(dir.join("proof")).unwrap();
    fs::write(dir.join("proof"), proof.replace("index 41", "index \u{9b}31m")).unwrap();
    let said = exits(dir, &["proof", "proof", "--key", "@key"], 1);
    assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
}
