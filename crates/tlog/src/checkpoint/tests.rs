use proptest::prelude::*;

use super::*;
use crate::{CompactRange, empty_root, testing};

const ORIGIN: &str = "log.example/audit";

fn key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, &[seed; 32]).unwrap()
}

fn checkpoint(size: u64) -> Checkpoint {
    let tree: CompactRange = testing::leaves(size).into_iter().collect();
    Checkpoint {
        origin: Origin::new(ORIGIN).unwrap(),
        size,
        root: tree.root(),
    }
}

#[test]
fn the_body_is_three_lines() {
    let empty = checkpoint(0);
    let body = "log.example/audit\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
    assert_eq!(empty.to_string(), body);
    assert_eq!(Checkpoint::parse(body), Ok(empty));
}

#[test]
fn malformed_bodies() {
    let root = empty_root().to_string();
    let size = |text: &str| CheckpointError::Size(text.to_owned());
    let origin = |text: &str| CheckpointError::Origin(text.to_owned());
    let parse = |body: &str| Checkpoint::parse(body);
    for (body, expected) in [
        (String::new(), CheckpointError::Lines),
        ("a\n".to_owned(), CheckpointError::Lines),
        ("a\n1\n".to_owned(), CheckpointError::Lines),
        (format!("a\n1\n{root}"), CheckpointError::Lines),
        (format!("a\n1\n{root}\n\n"), CheckpointError::Lines),
        (format!("a\n1\n{root}\nextension\n"), CheckpointError::Lines),
        (format!("\n1\n{root}\n"), origin("")),
        (
            format!("go.sum database tree\n1\n{root}\n"),
            origin("go.sum database tree"),
        ),
        (format!("a+b\n1\n{root}\n"), origin("a+b")),
        (format!("a\r\n1\n{root}\n"), origin("a\r")),
        (format!("a\u{9b}2J\n1\n{root}\n"), origin("a\u{9b}2J")),
        (format!("a\n\n{root}\n"), size("")),
        (format!("a\n01\n{root}\n"), size("01")),
        (format!("a\n+1\n{root}\n"), size("+1")),
        (format!("a\n-1\n{root}\n"), size("-1")),
        (format!("a\n1 \n{root}\n"), size("1 ")),
        (format!("a\n0x1\n{root}\n"), size("0x1")),
        (
            format!("a\n18446744073709551616\n{root}\n"),
            size("18446744073709551616"),
        ),
        ("a\n1\n\n".to_owned(), CheckpointError::Root(HashError::Length(0))),
        ("a\n1\nAAAA\n".to_owned(), CheckpointError::Root(HashError::Length(3))),
    ] {
        assert_eq!(parse(&body), Err(expected), "{body:?}");
    }
    assert!(matches!(
        parse(&format!("a\n1\n {root}\n")),
        Err(CheckpointError::Root(HashError::Base64(_)))
    ));
    assert!(parse(&format!("a\n18446744073709551615\n{root}\n")).is_ok());
}

#[test]
fn signed_and_opened() {
    let (log, checkpoint) = (key(ORIGIN, 1), checkpoint(5));
    let text = checkpoint.sign(&log).unwrap().to_string();
    let open = |known: &[&SigningKey]| {
        let known: Vec<_> = known.iter().map(|key| key.verifier().clone()).collect();
        Checkpoint::open(&text, &known)
    };
    assert_eq!(open(&[&log]), Ok(checkpoint.clone()));
    assert_eq!(open(&[&key("other.example", 2), &key(ORIGIN, 2), &log]), Ok(checkpoint));
    assert_eq!(open(&[]), Err(CheckpointError::Note(NoteError::UnknownSigners)));
    assert_eq!(
        open(&[&key(ORIGIN, 2)]),
        Err(CheckpointError::Note(NoteError::UnknownSigners))
    );
    assert_eq!(
        Checkpoint::open("", &[]),
        Err(CheckpointError::Note(NoteError::NoSignatures))
    );
}

#[test]
fn one_log_cannot_speak_for_another() {
    let (log, other) = (key(ORIGIN, 1), key("other.example", 2));
    let checkpoint = checkpoint(5);
    let foreign = || CheckpointError::Signer(checkpoint.origin.clone());
    assert_eq!(checkpoint.sign(&other), Err(foreign()));

    // Not even with a well-formed note, to someone who trusts both keys.
    let forged = other.sign(checkpoint.to_string()).unwrap().to_string();
    let known = [log.verifier().clone(), other.verifier().clone()];
    assert_eq!(Checkpoint::open(&forged, &known), Err(foreign()));

    // A cosignature beside the log's own does no harm.
    let cosignature = forged.lines().last().unwrap();
    let cosigned = format!("{}{cosignature}\n", checkpoint.sign(&log).unwrap());
    assert_eq!(Checkpoint::open(&cosigned, &known), Ok(checkpoint));
}

#[test]
fn while_a_key_is_exchanged_either_is_enough() {
    let (old, new, checkpoint) = (key(ORIGIN, 1), key(ORIGIN, 2), checkpoint(5));
    let text = checkpoint.sign_by_all(&old, [&new]).unwrap().to_string();
    for known in [&old, &new] {
        let known = [known.verifier().clone()];
        assert_eq!(Checkpoint::open(&text, &known), Ok(checkpoint.clone()));
    }
    let foreign = Err(CheckpointError::Signer(checkpoint.origin.clone()));
    assert_eq!(checkpoint.sign_by_all(&old, [&key("other.example", 3)]), foreign);
}

proptest! {
    #[test]
    fn every_checkpoint_has_one_body(name in "[a-z.]{1,20}(/[a-z0-9]{1,9})?", size: u64, root: [u8; 32]) {
        let checkpoint = Checkpoint { origin: Origin::new(name).unwrap(), size, root: Hash(root) };
        prop_assert_eq!(Checkpoint::parse(&checkpoint.to_string()), Ok(checkpoint));
    }

    #[test]
    fn any_text_is_read_back_or_refused(
        text in "(a|a b|\\PC{0,9})\n[0-9+]{0,21}\n(47DEQpj8HBSa\\+/TImW\\+5JCeuQeRkm5NMpJWZG3hSuFU=|[A-Za-z+/=]{0,50})\n{0,2}",
        junk in "(\\PC|\n){0,80}",
    ) {
        for text in [text, junk] {
            if let Ok(checkpoint) = Checkpoint::parse(&text) {
                prop_assert_eq!(checkpoint.to_string(), text);
            }
        }
    }
}
