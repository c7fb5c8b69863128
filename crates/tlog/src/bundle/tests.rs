use proptest::prelude::*;

use super::*;

#[test]
fn bundles_have_paths_beside_the_tiles() {
    let check = |index, width, path: &str| {
        let id = BundleId::new(index, width).unwrap();
        assert_eq!(id.to_string(), path);
        assert_eq!(path.parse(), Ok(id));
        assert_eq!(path.parse(), Ok(Resource::Entries(id)));
        assert_eq!(id.hashes().unwrap().to_string(), path.replace("entries", "0"));
    };
    check(0, 256, "tile/entries/000");
    check(1_234_067, 255, "tile/entries/x001/x234/067.p/255");
    for path in [
        "tile/entries/0",
        "tile/entries/000.p/0",
        "tile/entries/000.p/256",
        "tile/entries/x000/000",
    ] {
        assert!(path.parse::<BundleId>().is_err(), "{path}");
        assert!(path.parse::<Resource>().is_err(), "{path}");
    }
    assert_eq!("checkpoint".parse(), Ok(Resource::Checkpoint));
    assert_eq!(
        "tile/0/000".parse(),
        Ok(Resource::Tile(TileId::new(0, 0, 256).unwrap()))
    );
    for path in ["", "checkpoint/", "Checkpoint", "tile/entries", "tile/entries/"] {
        assert!(path.parse::<Resource>().is_err(), "{path}");
    }
}

#[test]
fn a_log_has_these_bundles() {
    let check = |old, size, expected: &[&str]| {
        let found: Vec<_> = BundleId::since(old, size).map(|id| id.to_string()).collect();
        assert_eq!(found, expected, "{old} {size}");
    };
    check(0, 0, &[]);
    check(0, 1, &["tile/entries/000.p/1"]);
    check(0, 256, &["tile/entries/000"]);
    check(0, 257, &["tile/entries/000", "tile/entries/001.p/1"]);
    check(200, 257, &["tile/entries/000", "tile/entries/001.p/1"]);
    check(256, 257, &["tile/entries/001.p/1"]);
    check(257, 257, &[]);
    check(258, 257, &[]);
    let covered = |path: &str, size| path.parse::<Resource>().unwrap().is_covered_by(size);
    assert!(covered("tile/entries/001.p/1", 257) && !covered("tile/entries/001.p/1", 256));
    assert!(covered("checkpoint", 0));
    assert!(!covered("tile/entries/x018/x446/x744/x073/x709/x551/615", u64::MAX));
}

#[test]
fn bytes_are_lengths_and_entries() {
    let mut bundle = Vec::new();
    push(&mut bundle, b"one").unwrap();
    push(&mut bundle, b"").unwrap();
    push(&mut bundle, &[7; 0x0102]).unwrap();
    assert_eq!(bundle[..9], *b"\x00\x03one\x00\x00\x01\x02");
    assert_eq!(split(&bundle), Ok(vec![b"one".as_slice(), b"", &[7; 0x0102]]));
    assert_eq!(push(&mut Vec::new(), &vec![0; 65_535]), Ok(()));
    let before = bundle.clone();
    assert_eq!(push(&mut bundle, &vec![0; 65_536]), Err(BundleError::TooLong(65_536)));
    assert_eq!(bundle, before);
    for cut in [1, 2, 3, 4, 6, bundle.len() - 1] {
        assert_eq!(split(&bundle[..cut]), Err(BundleError::Framing), "{cut}");
    }
    assert_eq!(split(b""), Ok(vec![]));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read_as_written(bytes: Vec<u8>) {
        if let Ok(entries) = split(&bytes) {
            let mut again = Vec::new();
            for entry in entries {
                push(&mut again, entry).unwrap();
            }
            prop_assert_eq!(again, bytes);
        }
    }
}
