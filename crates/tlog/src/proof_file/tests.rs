use proptest::prelude::*;

use super::*;
use crate::{checkpoint::Origin, note::SigningKey, proof, testing::reference_root};

const NAME: &str = "bailiwick.example/acme";

fn key() -> SigningKey {
    SigningKey::from_seed(NAME, &[7; 32]).unwrap()
}

fn known() -> [VerifierKey; 1] {
    [key().verifier().clone()]
}

fn entry(index: u64) -> Vec<u8> {
    format!("entry {index}").into_bytes()
}

/// The proof of entry `index` in a log of `size` entries, which carries the entry.
fn file(index: u64, size: u64) -> ProofFile {
    let leaves: Vec<Hash> = (0..size).map(|index| leaf_hash(&entry(index))).collect();
    let checkpoint = Checkpoint {
        origin: Origin::new(NAME).unwrap(),
        size,
        root: reference_root(&leaves),
    };
    ProofFile {
        extra: Some(entry(index)),
        index,
        hashes: proof::inclusion(&leaves, index).unwrap(),
        checkpoint: checkpoint.sign(&key()).unwrap(),
    }
}

#[test]
fn the_text_is_that_of_the_specification() {
    let file = ProofFile {
        hashes: vec![leaf_hash(b"a"), leaf_hash(b"b")],
        ..file(5, 6)
    };
    let checkpoint = file.checkpoint.to_string();
    let hash = |leaf: &[u8]| leaf_hash(leaf).to_string();
    let expected = format!(
        "c2sp.org/tlog-proof@v1\nextra ZW50cnkgNQ==\nindex 5\n{}\n{}\n\n{checkpoint}",
        hash(b"a"),
        hash(b"b"),
    );
    assert_eq!(file.to_string(), expected);
    assert_eq!(ProofFile::parse(&expected).as_ref(), Ok(&file));
    let bare = ProofFile {
        extra: None,
        hashes: vec![],
        index: 0,
        ..file
    };
    assert_eq!(
        bare.to_string(),
        format!("c2sp.org/tlog-proof@v1\nindex 0\n\n{checkpoint}")
    );
    assert_eq!(ProofFile::parse(&bare.to_string()).as_ref(), Ok(&bare));
}

#[test]
fn proves_the_entry_and_no_other() {
    for size in 1..20 {
        for index in 0..size {
            let file = ProofFile::parse(&file(index, size).to_string()).unwrap();
            for given in [None, Some(entry(index))] {
                let checkpoint = file.verify(given.as_deref(), &known()).unwrap();
                assert_eq!((checkpoint.size, checkpoint.origin.as_str()), (size, NAME));
            }
            let other = file.verify(Some(b"another"), &known());
            assert_eq!(other, Err(ProofFileError::Proof(ProofError::Root)));
            let bare = ProofFile {
                extra: None,
                ..file.clone()
            };
            assert_eq!(bare.verify(None, &known()), Err(ProofFileError::NoEntry));
            let swapped = ProofFile {
                extra: Some(entry(size)),
                ..file.clone()
            };
            assert_eq!(
                swapped.verify(None, &known()),
                Err(ProofFileError::Proof(ProofError::Root))
            );
            let beyond = ProofFile {
                index: size,
                ..file.clone()
            };
            assert_eq!(
                beyond.verify(None, &known()),
                Err(ProofFileError::Proof(ProofError::Index { index: size, size }))
            );
            assert!(matches!(file.verify(None, &[]), Err(ProofFileError::Checkpoint(_))));
        }
    }
    let other = SigningKey::from_seed(NAME, &[8; 32]).unwrap();
    assert!(file(1, 3).verify(None, &[other.verifier().clone()]).is_err());
}

#[test]
fn other_texts_are_refused() {
    let good = file(1, 3).to_string();
    let check = |from: &str, to: &str, expected: ProofFileError| {
        assert!(good.contains(from), "{from:?}");
        assert_eq!(
            ProofFile::parse(&good.replacen(from, to, 1)),
            Err(expected),
            "{from:?} {to:?}"
        );
    };
    check("@v1", "@v2", ProofFileError::Header);
    check("c2sp", " c2sp", ProofFileError::Header);
    check("@v1\n", "@v1\r\n", ProofFileError::Header);
    check("extra ZW50cnkgMQ==", "extra ZW50cnkgMQ", ProofFileError::Extra);
    check("extra ZW50cnkgMQ==", "extra ZW50cnkgMR==", ProofFileError::Extra);
    check("extra ", "extra  ", ProofFileError::Extra);
    check("extra ", "Extra ", ProofFileError::Index);
    check("index 1", "index 01", ProofFileError::Index);
    check("index 1", "index +1", ProofFileError::Index);
    check("index 1", "index -1", ProofFileError::Index);
    check("index 1", "index 1 ", ProofFileError::Index);
    check("index 1", "index 18446744073709551616", ProofFileError::Index);
    check("index 1\n", "", ProofFileError::Index);
    let checkpoint = file(1, 3).checkpoint.to_string();
    check(&format!("\n{checkpoint}"), "", ProofFileError::NoCheckpoint);
    check(&checkpoint, "", ProofFileError::Note(NoteError::NoSignatures));
    let many = "index 1\n".to_owned() + &format!("{}\n", leaf_hash(b"")).repeat(64);
    check("index 1\n", &many, ProofFileError::TooManyHashes);
    let bad = good.replacen("index 1\n", "index 1\nAAAA\n", 1);
    assert!(matches!(
        ProofFile::parse(&bad),
        Err(ProofFileError::Hash { number: 1, .. })
    ));
    let long = good + &" ".repeat(MAX_BYTES);
    assert_eq!(ProofFile::parse(&long), Err(ProofFileError::TooLong(long.len())));
}

#[test]
fn the_largest_file_is_within_its_bound() {
    let largest = ProofFile {
        extra: Some(vec![255; MAX_EXTRA]),
        index: u64::MAX,
        hashes: vec![leaf_hash(b""); MAX_HASHES],
        ..file(1, 3)
    };
    assert_eq!(ProofFile::parse(&largest.to_string()).as_ref(), Ok(&largest));
    assert!(largest.to_string().len() < MAX_BYTES - MAX_NOTE_BYTES + largest.checkpoint.to_string().len());
    let more = ProofFile {
        extra: Some(vec![255; MAX_EXTRA + 1]),
        ..largest
    };
    assert_eq!(ProofFile::parse(&more.to_string()), Err(ProofFileError::Extra));
}

proptest! {
    #[test]
    fn one_changed_byte_proves_nothing(place: prop::sample::Index, byte in b' '..=b'~') {
        let good = file(3, 7).to_string();
        let mut bytes = good.clone().into_bytes();
        let place = place.index(bytes.len());
        prop_assume!(bytes[place] != byte);
        bytes[place] = byte;
        let Ok(changed) = String::from_utf8(bytes) else { return Ok(()) };
        let verified = ProofFile::parse(&changed).ok().and_then(|file| file.verify(Some(&entry(3)), &known()).ok());
        // Nobody signs what a file carries beside the proof; the entry was given here.
        let in_extra = good.lines().nth(1).unwrap();
        let start = good.find(in_extra).unwrap();
        let extra = start..start + in_extra.len();
        prop_assert!(verified.is_none() || extra.contains(&place), "{}", changed);
    }

    #[test]
    fn what_is_parsed_is_displayed_again(place: prop::sample::Index, with in "[ -~\n]{0,3}") {
        let mut text = file(3, 7).to_string();
        let place = (0..=place.index(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        text.insert_str(place, &with);
        if let Ok(file) = ProofFile::parse(&text) {
            prop_assert_eq!(file.to_string(), text);
        }
    }
}
