//! What a log publishes and others hand on: paths of tiles, bundles of entries, proofs, what witnesses
//! are asked, cosignatures.

use tlog::{
    bundle::{self, Resource},
    cosignature::{CosignerKey, CosigningKey, Quorum, cosignatures},
    kept,
    note::{Note, SigningKey},
    proof_file::ProofFile,
};

use witness::AddCheckpoint;

use crate::{assert_plain, must};

/// The path of a published file, a bundle, one without some of its entries, the proof of an entry, what a witness is
/// asked, its key or a cosigned checkpoint: what is read is written as the very same bytes, and nobody is believed who did not sign.
pub fn published(data: &[u8]) {
    if let Ok(entries) = bundle::split(data) {
        let mut again = Vec::new();
        for entry in entries {
            must(bundle::push(&mut again, entry), "what was read fits");
        }
        assert_eq!(again, data);
    }
    if let Ok(entries) = kept::split(data) {
        let mut again = Vec::new();
        for entry in entries {
            must(kept::push(&mut again, &entry), "what was read fits");
        }
        assert_eq!(again, data);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Resource>() {
        Ok(resource) => {
            assert_eq!(resource.to_string(), text);
            // A path that is joined to a directory stays below it.
            assert!(!text.starts_with('/') && text.split('/').all(|part| !part.is_empty() && part != ".."));
        }
        Err(error) => assert_plain(&error.to_string()),
    }
    let key = must(
        SigningKey::from_seed("bailiwick.example/log", &[7; 32]),
        "the key is good",
    );
    let known = [key.verifier().clone()];
    match ProofFile::parse(text) {
        Ok(proof) => {
            assert_eq!(proof.to_string(), text);
            // The key is this target's own, and has signed nothing.
            assert!(proof.verify(None, &known).is_err());
            assert!(proof.verify(Some(b"{}"), &known).is_err());
        }
        Err(error) => assert_plain(&error.to_string()),
    }
    if let Ok(key) = text.parse::<CosignerKey>() {
        assert_eq!(key.to_string(), text);
    }
    match text.parse::<AddCheckpoint>() {
        Ok(request) => assert_eq!(request.to_string(), text),
        Err(error) => assert_plain(&error.to_string()),
    }
    let witness = must(CosigningKey::from_seed("witness.example", &[9; 32]), "the key is good");
    let witnesses = [witness.cosigner().clone()];
    if let Ok(note) = Note::parse(text) {
        let before = cosignatures(&note, &witnesses).map(|found| found.len());
        if before == Ok(0) && note.signatures().len() < tlog::note::MAX_SIGNATURES {
            let quorum = must(Quorum::new(witnesses.to_vec(), 1), "one of one");
            assert!(quorum.met(&note).is_err(), "a quorum of nobody");
            let word = must(witness.cosign(note.body(), 1_789_992_000), "a body is cosigned");
            if let Ok(cosigned) = note.with([word]) {
                assert!(quorum.met(&cosigned).is_ok_and(|found| found.len() == 1));
            }
        }
    }
}
