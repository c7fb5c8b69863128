use proptest::prelude::*;

use super::*;
use crate::note::SigningKey;

const BODY: &str = "log.example/audit\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n";
const TIME: u64 = 1_679_315_147;

fn witness(name: &str, seed: u8) -> CosigningKey {
    CosigningKey::from_seed(name, &[seed; 32]).unwrap()
}

fn signed() -> Note {
    let log = SigningKey::from_seed("log.example/audit", &[1; 32]).unwrap();
    log.sign(BODY).unwrap()
}

fn cosigned(by: &[(&CosigningKey, u64)]) -> Note {
    let signatures = by.iter().map(|(key, time)| key.cosign(BODY, *time).unwrap());
    signed().with(signatures).unwrap()
}

/// The expected texts were made with Python's hashlib and the cryptography package.
#[test]
fn another_implementation_cosigns_the_same() {
    let seed = std::array::from_fn(|i| u8::try_from(i).unwrap());
    let key = CosigningKey::from_seed("witness.example/w1", &seed).unwrap();
    let vkey = "witness.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    assert_eq!(key.cosigner().to_string(), vkey);
    assert_eq!(vkey.parse().as_ref(), Ok(key.cosigner()));
    assert_eq!(format!("{key:?}"), "CosigningKey(witness.example/w1 e75f6532)");
    let line = "— witness.example/w1 519lMgAAAABkGFDLzCAGmPI2o5YZwtIj5V74gJ+Tj21AG+2bXWJhVdTs3rXUkXDuOOu4mma8N4jDPSSKn7JGhA4yjXxv4MzuTq2PDg==";
    assert_eq!(key.cosign(BODY, TIME).unwrap().to_string(), line);
    let read = Signature::parse_lines(&format!("{line}\n")).unwrap();
    let note = signed().with(read).unwrap();
    let found = cosignatures(&note, std::slice::from_ref(key.cosigner())).unwrap();
    assert_eq!(
        found,
        [Cosignature {
            cosigner: key.cosigner(),
            time: TIME
        }]
    );
}

#[test]
fn keys_of_other_kinds_are_refused_with_the_reason() {
    let log = SigningKey::from_seed("log.example", &[1; 32])
        .unwrap()
        .verifier()
        .to_string();
    let error = log.parse::<CosignerKey>().unwrap_err();
    assert_eq!(error, KeyError::CosignerType(1));
    assert!(error.to_string().ends_with("it is the key of a log"), "{error}");
    let ml_dsa = data_encoding::BASE64.encode(&[&[6], [0; 1312].as_slice()].concat());
    let error = format!("w.example+00000000+{ml_dsa}")
        .parse::<CosignerKey>()
        .unwrap_err();
    assert_eq!(error, KeyError::CosignerType(6));
    assert!(error.to_string().contains("ML-DSA-44"), "{error}");
    let key = witness("w.example", 2).cosigner().to_string();
    let other = key.replace("w.example+", "v.example+");
    assert!(matches!(other.parse::<CosignerKey>(), Err(KeyError::Id { .. })));
    assert_eq!("w.example".parse::<CosignerKey>(), Err(KeyError::Format));
    // A witness's key is not a log's: neither can speak as the other.
    assert_eq!(key.parse::<crate::note::VerifierKey>(), Err(KeyError::Type(4)));
}

#[test]
fn a_quorum_counts_witnesses_and_not_signatures() {
    let (a, b, c) = (
        witness("a.example", 2),
        witness("b.example", 3),
        witness("c.example", 4),
    );
    let known: Vec<_> = [&a, &b].map(|key| key.cosigner().clone()).into();
    let both = Quorum::new(known.clone(), 2).unwrap();
    let missing = |found| Err(QuorumError::Missing { found, needed: 2 });
    let found = |note: &Note| both.met(note).map(|found| found.len());
    assert_eq!(found(&signed()), missing(0));
    assert_eq!(found(&cosigned(&[(&a, 1)])), missing(1));
    assert_eq!(found(&cosigned(&[(&a, 1), (&a, 2)])), missing(1));
    assert_eq!(found(&cosigned(&[(&a, 1), (&c, 2)])), missing(1), "an unknown witness");
    assert_eq!(found(&cosigned(&[(&b, 1), (&c, 2), (&a, 3)])), Ok(2));
    let absent = both.absent(&cosigned(&[(&b, 1)])).unwrap();
    assert_eq!(absent, [a.cosigner()]);

    let one = Quorum::new(known.clone(), 1).unwrap();
    assert_eq!(one.met(&cosigned(&[(&a, 1)])).map(|found| found.len()), Ok(1));
    assert_eq!(Quorum::new(known, 3), Err(QuorumError::TooMany { needed: 3, known: 2 }));
    assert_eq!(Quorum::new(Vec::new(), 0).unwrap().met(&signed()), Ok(Vec::new()));
}

#[test]
fn one_key_under_two_names_is_one_witness() {
    let (a, alias) = (witness("a.example", 2), witness("alias.example", 2));
    let known: Vec<_> = [&a, &alias].map(|key| key.cosigner().clone()).into();
    let note = cosigned(&[(&a, 1), (&alias, 7)]);
    let found = cosignatures(&note, &known).unwrap();
    assert_eq!(found.iter().map(|found| found.time).collect::<Vec<_>>(), [7]);
    let same = QuorumError::SameKey("a.example".to_owned(), "alias.example".to_owned());
    assert_eq!(Quorum::new(known, 1), Err(same));
}

#[test]
fn what_was_altered_is_not_passed_over() {
    let (a, b) = (witness("a.example", 2), witness("b.example", 3));
    let known: Vec<_> = [&a, &b].map(|key| key.cosigner().clone()).into();
    let quorum = Quorum::new(known, 1).unwrap();
    let good = a.cosign(BODY, TIME).unwrap();
    let made = |bytes: &[u8]| Signature::new(b.cosigner().name(), b.cosigner().id(), bytes.to_vec());
    let whole = b.cosign(BODY, TIME).unwrap();
    let mut late = whole.bytes().to_vec();
    late[7] ^= 1;
    let another = b.cosign(&BODY.replace('8', "9"), TIME).unwrap();
    for (what, bytes) in [
        ("another time", late.as_slice()),
        ("another body", another.bytes()),
        ("too short", &whole.bytes()[..71]),
        ("no time", &whole.bytes()[..7]),
        ("longer", &[whole.bytes(), &[0]].concat()),
        (
            "a time that no time is",
            &[[0xff; 8].as_slice(), &whole.bytes()[8..]].concat(),
        ),
    ] {
        let note = signed().with([good.clone(), made(bytes)]).unwrap();
        let bad = NoteError::BadSignature {
            name: "b.example".to_owned(),
            id: b.cosigner().id(),
        };
        assert_eq!(quorum.met(&note), Err(QuorumError::Note(bad)), "{what}");
    }
}

#[test]
fn a_log_s_signature_is_no_cosignature_even_by_the_same_seed() {
    let (log, witness) = (
        SigningKey::from_seed("a.example", &[2; 32]).unwrap(),
        witness("a.example", 2),
    );
    let note = log.sign(BODY).unwrap();
    let known = [witness.cosigner().clone()];
    assert_eq!(cosignatures(&note, &known), Ok(Vec::new()));
    assert_ne!(log.verifier().id(), witness.cosigner().id());
}

#[test]
fn signatures_are_added_replaced_and_bounded() {
    let a = witness("a.example", 2);
    let note = cosigned(&[(&a, 1), (&a, 2)]);
    assert_eq!(note.signatures().len(), 2, "the log's and the witness's last");
    let known = [a.cosigner().clone()];
    assert_eq!(cosignatures(&note, &known).unwrap()[0].time, 2);
    let many = (0..100).map(|index| Signature::new(&format!("w{index}"), KeyId([0; 4]), vec![1]));
    assert_eq!(signed().with(many), Err(NoteError::TooManySignatures));
    assert_eq!(Signature::parse_lines(""), Err(NoteError::NoSignatures));
    assert_eq!(Signature::parse_lines("nonsense\n"), Err(NoteError::SignatureLine(1)));
    let lines = "— w AAAAAAA=\n".repeat(101);
    assert_eq!(Signature::parse_lines(&lines), Err(NoteError::TooManySignatures));
}

proptest! {
    #[test]
    fn every_cosignature_is_verified_from_its_text(seed: [u8; 32], time in 0..=MAX_TIME, name in "[a-z.]{1,20}") {
        let key = CosigningKey::from_seed(&name, &seed).unwrap();
        let text = signed().with([key.cosign(BODY, time).unwrap()]).unwrap().to_string();
        let known = [key.cosigner().to_string().parse().unwrap()];
        let found = cosignatures(&Note::parse(&text).unwrap(), &known).unwrap();
        prop_assert_eq!(found, [Cosignature { cosigner: &known[0], time }]);
    }
}
