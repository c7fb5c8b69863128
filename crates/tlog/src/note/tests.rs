use proptest::{collection::vec, prelude::*};

use super::*;
use crate::testing::vector;

const NAME: &str = "log.example/audit";

fn signing_key(name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(name, &[seed; 32]).unwrap()
}

fn published_key(path: &str) -> VerifierKey {
    let text = vector(path);
    let key: VerifierKey = text.trim_end().parse().unwrap();
    assert_eq!(key.to_string(), text.trim_end());
    key
}

/// One note under several signatures.
fn cosigned(body: &str, keys: &[&SigningKey]) -> Note {
    let signatures = keys.iter().flat_map(|key| key.sign(body).unwrap().signatures).collect();
    Note {
        body: body.to_owned(),
        signatures,
    }
}

#[test]
fn published_notes() {
    let example = published_key("notes/signed-note-example.vkey");
    let sumdb = published_key("notes/sumdb.vkey");
    for (path, key, other) in [
        ("notes/signed-note-example.txt", &example, &sumdb),
        ("notes/sumdb-checkpoint-35225469.txt", &sumdb, &example),
    ] {
        let text = vector(path);
        let note = Note::parse(&text).unwrap();
        assert_eq!(note.to_string(), text);
        assert_eq!(note.verify(&[other.clone(), key.clone()]), Ok(vec![key]), "{path}");
        assert_eq!(
            note.verify(std::slice::from_ref(other)),
            Err(NoteError::UnknownSigners),
            "{path}"
        );
        assert_eq!(note.verify(&[]), Err(NoteError::UnknownSigners), "{path}");
    }
}

/// The expected text was made with Python's hashlib and the cryptography package.
#[test]
fn another_implementation_signs_the_same() {
    let seed = std::array::from_fn(|i| u8::try_from(i).unwrap());
    let key = SigningKey::from_seed(NAME, &seed).unwrap();
    let vkey = "log.example/audit+86617d36+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    assert_eq!(key.verifier().to_string(), vkey);
    assert_eq!(format!("{key:?}"), "SigningKey(log.example/audit 86617d36)");
    let body = "log.example/audit\n8\nXcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=\n";
    let signature = "hmF9NsCDwrR0WNwxTjYgbsmtlyh/gJLE7eiatD9xnstQfiURBq7zv4scFdL1QpaPo9bYdw1ir65+5eYP9zdhj1hvAgk=";
    assert_eq!(
        key.sign(body).unwrap().to_string(),
        format!("{body}\n— {NAME} {signature}\n")
    );
}

#[test]
fn malformed_notes() {
    let line = "— a.example AAAAAAA=\n";
    assert!(Note::parse(&format!("body\n\n{line}")).is_ok());
    for (text, expected) in [
        (String::new(), NoteError::NoSignatures),
        ("body\n".to_owned(), NoteError::NoSignatures),
        ("body\n\n".to_owned(), NoteError::NoSignatures),
        (format!("body\n{line}"), NoteError::NoSignatures),
        (format!("\n{line}"), NoteError::NoSignatures),
        (format!("body\n\n{line}\n"), NoteError::NoSignatures),
        (format!("body\r\n\r\n{line}"), NoteError::ControlCharacter),
        (format!("bo\0dy\n\n{line}"), NoteError::ControlCharacter),
        (format!("body\n\n{line}\t"), NoteError::ControlCharacter),
        (format!("body\n\n{}", line.trim_end()), NoteError::SignatureLine(1)),
        (format!("body\n\n{line}more\n"), NoteError::SignatureLine(2)),
        (format!("body\n\n{line}more\n{line}"), NoteError::SignatureLine(2)),
        ("body\n\n- a.example AAAAAAA=\n".to_owned(), NoteError::SignatureLine(1)),
        ("body\n\n—a.example AAAAAAA=\n".to_owned(), NoteError::SignatureLine(1)),
        ("body\n\n—  AAAAAAA=\n".to_owned(), NoteError::SignatureLine(1)),
        ("body\n\n— a+b AAAAAAA=\n".to_owned(), NoteError::SignatureLine(1)),
        ("body\n\n— a\u{a0}b AAAAAAA=\n".to_owned(), NoteError::SignatureLine(1)),
        (
            "body\n\n— a.example AAAAAAA= \n".to_owned(),
            NoteError::SignatureLine(1),
        ),
        ("body\n\n— a.example AAAAAA==\n".to_owned(), NoteError::SignatureLine(1)),
        ("body\n\n— a.example AAAAAAA\n".to_owned(), NoteError::SignatureLine(1)),
        ("body\n\n— a.example AAAAAAB=\n".to_owned(), NoteError::SignatureLine(1)),
        ("body\n\n— a.example AAA=AAA=\n".to_owned(), NoteError::SignatureLine(1)),
        ("body\n\n— a.example\n".to_owned(), NoteError::SignatureLine(1)),
    ] {
        assert_eq!(Note::parse(&text), Err(expected), "{text:?}");
    }
}

#[test]
fn the_last_empty_line_ends_the_body() {
    let key = signing_key(NAME, 1);
    for body in ["\n", "\n\n", "one\n\ntwo\n", "one\n\n", "one\n\n— a.example AAAAAAA=\n"] {
        let note = key.sign(body).unwrap();
        let read = Note::parse(&note.to_string()).unwrap();
        assert_eq!((read.body(), &read), (body, &note));
        assert_eq!(
            read.verify(std::slice::from_ref(key.verifier())),
            Ok(vec![key.verifier()])
        );
    }
}

#[test]
fn bodies_that_cannot_be_signed() {
    let key = signing_key(NAME, 1);
    for (body, expected) in [
        ("", NoteError::Body),
        ("no newline", NoteError::Body),
        ("carriage\r\n", NoteError::ControlCharacter),
        ("escape\u{1b}[0m\n", NoteError::ControlCharacter),
    ] {
        assert_eq!(key.sign(body), Err(expected), "{body:?}");
    }
}

#[test]
fn size_and_number_of_signatures_are_bounded() {
    let key = signing_key(NAME, 1);
    let overhead = key.sign("\n").unwrap().to_string().len() - 1;
    let body = |length: usize| "x".repeat(length - 1) + "\n";
    let longest = key.sign(body(MAX_NOTE_BYTES - overhead)).unwrap();
    assert_eq!(Note::parse(&longest.to_string()), Ok(longest));
    let too_long = NoteError::TooLong(MAX_NOTE_BYTES + 1);
    assert_eq!(key.sign(body(MAX_NOTE_BYTES - overhead + 1)), Err(too_long));
    let too_long = NoteError::TooLong(MAX_NOTE_BYTES + 1);
    assert_eq!(Note::parse(&body(MAX_NOTE_BYTES + 1)), Err(too_long));

    let signed = |count| cosigned("body\n", &vec![&key; count]).to_string();
    for count in [1, 16, MAX_SIGNATURES] {
        assert_eq!(Note::parse(&signed(count)).unwrap().signatures().len(), count);
    }
    assert_eq!(
        Note::parse(&signed(MAX_SIGNATURES + 1)),
        Err(NoteError::TooManySignatures)
    );
}

#[test]
fn who_signed() {
    let (log, witness, stranger) = (
        signing_key(NAME, 1),
        signing_key("witness.example", 2),
        signing_key("x", 3),
    );
    // A new key under the old name, and an old key under a new name: both are other keys.
    let (rotated, renamed) = (signing_key(NAME, 4), signing_key("renamed.example", 1));
    let known = [log.verifier().clone(), witness.verifier().clone()];
    let signers = |keys: &[&SigningKey]| cosigned("body\n", keys).verify(&known).map(|keys| keys.len());
    assert_eq!(signers(&[&log]), Ok(1));
    assert_eq!(signers(&[&log, &witness]), Ok(2));
    assert_eq!(signers(&[&stranger, &witness, &rotated, &renamed]), Ok(1));
    assert_eq!(signers(&[&log, &log]), Ok(1), "a key counts once");
    assert_eq!(
        signers(&[&stranger, &rotated, &renamed]),
        Err(NoteError::UnknownSigners)
    );

    // A forgery under a known name and id spoils the note, whatever else stands there.
    let mut forged = cosigned("body\n", &[&log, &witness]);
    forged.signatures[1].bytes[5] ^= 1;
    let bad = NoteError::BadSignature {
        name: "witness.example".to_owned(),
        id: witness.verifier().id(),
    };
    assert_eq!(forged.verify(&known), Err(bad));
    assert_eq!(
        forged.verify(&known[..1]),
        Ok(vec![log.verifier()]),
        "the witness is not known here"
    );
}

#[test]
fn malformed_verifier_keys() {
    let good = "log.example/audit+86617d36+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    let id = |text: &str| {
        KeyId(
            data_encoding::HEXLOWER
                .decode(text.as_bytes())
                .unwrap()
                .try_into()
                .unwrap(),
        )
    };
    let (stated, actual) = (id("86617d37"), id("86617d36"));
    let parse = |text: &str| text.parse::<VerifierKey>();
    assert!(parse(good).is_ok());
    for (text, expected) in [
        ("", KeyError::Format),
        ("log.example/audit", KeyError::Format),
        ("log.example/audit+86617d36", KeyError::Format),
        (&good.replace("86617d36", "86617D36"), KeyError::Format),
        (&good.replace("86617d36", "86617d3600"), KeyError::Format),
        (&good.replace("86617d36", ""), KeyError::Format),
        (&good.replace("+AQ", "+"), KeyError::Format),
        (&good.replace("+AQOh", "+AQ=="), KeyError::Format),
        ("log.example/audit+86617d36+", KeyError::Format),
        ("log.example/audit+86617d36+AQ==", KeyError::Format),
        (&format!("{good}\n"), KeyError::Format),
        (&good.replace("+AQ", "+BA"), KeyError::Type(4)),
        (&good.replace("log.example/audit", ""), KeyError::Name(String::new())),
        (
            &good.replace("log.", "log "),
            KeyError::Name("log example/audit".to_owned()),
        ),
        (&good.replace("86617d36", "86617d37"), KeyError::Id { stated, actual }),
    ] {
        assert_eq!(parse(text), Err(expected), "{text:?}");
    }
    assert!(matches!(SigningKey::from_seed("a b", &[0; 32]), Err(KeyError::Name(_))));
}

proptest! {
    #[test]
    fn signed_notes_are_read_and_believed(lines in vec("\\PC{0,20}", 1..6), seed: [u8; 32]) {
        let key = SigningKey::from_seed(NAME, &seed).unwrap();
        let body = lines.join("\n") + "\n";
        let text = key.sign(body.as_str()).unwrap().to_string();
        let note = Note::parse(&text).unwrap();
        prop_assert_eq!(note.body(), body);
        prop_assert_eq!(note.verify(std::slice::from_ref(key.verifier())), Ok(vec![key.verifier()]));
        prop_assert_eq!(note.to_string(), text);
    }

    #[test]
    fn one_altered_byte_is_not_believed(place: prop::sample::Index, bit in 0_u8..8) {
        let key = signing_key(NAME, 1);
        let text = key.sign("a body\n\nof lines\n").unwrap().to_string();
        let mut bytes = text.into_bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(bytes) {
            let believed = Note::parse(&text).and_then(|note| note.verify(std::slice::from_ref(key.verifier())).map(drop));
            prop_assert!(believed.is_err());
        }
    }

    #[test]
    fn any_text_is_read_back_or_refused(text in "([ab.+ \u{2014}\n=]|— a AAAAAAA=\n|\n\n|\\PC){0,40}") {
        if let Ok(note) = Note::parse(&text) {
            prop_assert_eq!(note.to_string(), text.as_str());
            prop_assert_eq!(note.verify(&[]), Err(NoteError::UnknownSigners));
        }
        if let Ok(key) = text.parse::<VerifierKey>() {
            prop_assert_eq!(key.to_string(), text);
        }
    }
}
