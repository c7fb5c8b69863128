use std::process::Command;

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_directory_is_made_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    let data = DataDir::open(&path).unwrap();
    assert_eq!((data.path(), mode(&path)), (path.as_path(), 0o700));
    assert_eq!(mode(&path.join("lock")), 0o600);
}

#[test]
fn a_directory_has_one_user_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = DataDir::open(dir.path()).unwrap();
    let error = DataDir::open(dir.path()).unwrap_err();
    let owner = std::process::id().to_string();
    assert!(
        matches!(&error, StoreError::InUse { owner: Some(pid), .. } if *pid == owner),
        "{error}"
    );
    drop(first);
    DataDir::open(dir.path()).unwrap();
}

/// The lock is the operating system's: it holds between processes, and ends with the one that has it.
#[test]
fn the_lock_holds_between_processes() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("lock");
    fs::write(&lock, "4711").unwrap();
    let script = format!(
        "exec 9<>'{}'; flock -n 9 || exit 1; echo locked; read line",
        lock.display()
    );
    let mut other = Command::new("sh")
        .args(["-c", &script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 7];
    if other.stdout.as_mut().unwrap().read_exact(&mut said).is_err() {
        other.wait().unwrap();
        println!("skipped: there is no flock(1) here");
        return;
    }
    let error = DataDir::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is in use by another process (process 4711)"), "{error}");
    other.kill().unwrap();
    other.wait().unwrap();
    DataDir::open(dir.path()).unwrap();
}

#[test]
fn a_small_file_is_made_once_and_replaced_whole() {
    let dir = tempfile::tempdir().unwrap();
    let data = DataDir::open(dir.path()).unwrap();
    assert_eq!(data.read_or_create("node", || b"n1".to_vec()).unwrap(), b"n1");
    assert_eq!(data.read_or_create("node", || panic!("made twice")).unwrap(), b"n1");
    data.replace("node", b"n2").unwrap();
    assert_eq!(data.read_or_create("node", || panic!("made twice")).unwrap(), b"n2");
    assert_eq!(mode(&dir.path().join("node")), 0o600);
    // What a crash left of an earlier attempt is in nobody's way.
    fs::write(dir.path().join("key.new"), "half").unwrap();
    assert_eq!(data.read_or_create("key", || b"whole".to_vec()).unwrap(), b"whole");
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["key", "lock", "node"]);
}

#[test]
fn a_path_that_is_no_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, "").unwrap();
    let error = DataDir::open(&path).unwrap_err();
    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
    let data = DataDir::open(dir.path()).unwrap();
    fs::create_dir(dir.path().join("node")).unwrap();
    let error = data.read_or_create("node", Vec::new).unwrap_err();
    assert!(matches!(error, StoreError::File { .. }), "{error}");
}

#[test]
fn a_directory_that_was_moved_away_is_not_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let (here, away) = (dir.path().join("data"), dir.path().join("away"));
    let data = DataDir::open(&here).unwrap();
    data.replace("guard/a", b"1").unwrap();
    fs::rename(&here, &away).unwrap();
    assert!(data.replace("guard/a", b"2").is_err());
    assert!(!here.exists(), "nothing stands where it is to be put back");
    fs::rename(&away, &here).unwrap();
    data.replace("guard/a", b"3").unwrap();
    assert_eq!(fs::read(here.join("guard/a")).unwrap(), b"3");
}
