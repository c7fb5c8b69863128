//! Real files.

use super::*;

struct Place {
    dir: tempfile::TempDir,
    output: FileOutput,
}

impl Place {
    fn new(rotation: Option<Rotation>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let output = FileOutput::new(dir.path().join("out.jsonl"), rotation, Path::new("/nowhere"), 0);
        Self { dir, output }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_else(|error| format!("{:?}", error.kind()))
    }

    fn write(&self, text: &str) {
        fs::write(self.dir.path().join("out.jsonl"), text).unwrap();
    }
}

#[tokio::test]
async fn half_a_line_is_cut_off_and_what_is_not_ours_is_left() {
    let long = format!("{{{}", "x".repeat(40_000));
    for (found, expected) in [
        ("", Ok("")),
        ("{\"a\":1}\n", Ok("{\"a\":1}\n")),
        ("{\"a\":1}\n{\"b", Ok("{\"a\":1}\n")),
        ("{\"b", Ok("")),
        ("{", Ok("")),
        ("root:x:0:0", Err("not the beginning of an entry")),
        ("{\"a\":1}\nsecret", Err("not the beginning of an entry")),
        (long.as_str(), Err("not the beginning of an entry")),
    ] {
        let mut place = Place::new(None);
        place.write(found);
        let delivered = place.output.deliver(b"{}\n".to_vec()).await;
        match expected {
            Ok(whole) => {
                assert!(delivered.is_ok(), "{found}");
                assert_eq!(place.read("out.jsonl"), format!("{whole}{{}}\n"));
            }
            Err(why) => {
                assert!(delivered.unwrap_err().why.contains(why), "{found}");
                assert_eq!(place.read("out.jsonl"), found);
            }
        }
    }
}

#[tokio::test]
async fn what_failed_leaves_no_half_line() {
    for fault in [
        Fault::Nothing,
        Fault::Part(0),
        Fault::Part(3),
        Fault::Part(8),
        Fault::Unsynced,
    ] {
        let mut place = Place::new(None);
        place.output.deliver(b"{\"a\":1}\n".to_vec()).await.unwrap();
        place.output.order(fault);
        let error = place.output.deliver(b"{\"b\":2}\n".to_vec()).await.unwrap_err();
        assert!(error.why.contains("cannot be written"), "{error:?}");
        assert_eq!(place.read("out.jsonl"), "{\"a\":1}\n", "{fault:?}");
        place.output.deliver(b"{\"b\":2}\n".to_vec()).await.unwrap();
        assert_eq!(place.read("out.jsonl"), "{\"a\":1}\n{\"b\":2}\n", "{fault:?}");
    }
}

#[tokio::test]
async fn files_are_put_aside_and_the_oldest_goes() {
    let mut place = Place::new(Some(Rotation { size: 10, keep: 2 }));
    for number in 0..5 {
        let line = format!("{{\"n\":{number}}}\n");
        place.output.deliver(line.into_bytes()).await.unwrap();
    }
    let names = ["out.jsonl", "out.jsonl.1", "out.jsonl.2", "out.jsonl.3"];
    let found = names.map(|name| place.read(name));
    assert_eq!(found, ["{\"n\":4}\n", "{\"n\":3}\n", "{\"n\":2}\n", "NotFound"]);
    // A crash after the second of three renames.
    fs::rename(
        place.dir.path().join("out.jsonl.1"),
        place.dir.path().join("out.jsonl.2"),
    )
    .unwrap();
    place.output.deliver(b"{\"n\":5}\n".to_vec()).await.unwrap();
    let found = names.map(|name| place.read(name));
    assert_eq!(found, ["{\"n\":5}\n", "{\"n\":4}\n", "{\"n\":3}\n", "NotFound"]);
    // A parcel that is longer than a file may be has a file of its own.
    place.output.deliver(b"{\"n\":\"long\"}\n".to_vec()).await.unwrap();
    assert_eq!(place.read("out.jsonl"), "{\"n\":\"long\"}\n");
}

#[tokio::test]
async fn a_file_that_is_moved_away_is_made_again_and_a_locked_one_is_left() {
    let mut place = Place::new(None);
    place.output.deliver(b"{\"n\":1}\n".to_vec()).await.unwrap();
    let path = place.dir.path().join("out.jsonl");
    fs::rename(&path, place.dir.path().join("moved")).unwrap();
    place.output.deliver(b"{\"n\":2}\n".to_vec()).await.unwrap();
    assert_eq!(
        (place.read("moved"), place.read("out.jsonl")),
        ("{\"n\":1}\n".to_owned(), "{\"n\":2}\n".to_owned())
    );
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let mut other = FileOutput::new(path, None, Path::new("/nowhere"), 0);
    assert!(
        other
            .deliver(b"{}\n".to_vec())
            .await
            .unwrap_err()
            .why
            .contains("another process")
    );
    let mut directory = FileOutput::new(place.dir.path().to_owned(), None, Path::new("/nowhere"), 0);
    assert!(
        directory
            .deliver(b"{}\n".to_vec())
            .await
            .unwrap_err()
            .why
            .contains("is not a file")
    );
}

#[tokio::test]
async fn the_log_needs_its_disk_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut output = FileOutput::new(dir.path().join("out"), None, dir.path(), u64::MAX);
    let error = output.deliver(b"{}\n".to_vec()).await.unwrap_err();
    assert!(error.why.contains("reserve"), "{error:?}");
    assert!(!dir.path().join("out").exists());
}
