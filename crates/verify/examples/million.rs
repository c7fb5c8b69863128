//! How fast a log is verified: `million [ENTRIES] [DIR]` makes an exported log, if the directory is not there, verifies it
//! and says how long that took.

#[path = "../tests/it/support.rs"]
mod support;

fn main() {
    use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Instant};

    let mut args = std::env::args().skip(1);
    let entries: u64 = args.next().map_or(1_000_000, |text| text.parse().unwrap());
    let kept = args.next().map(PathBuf::from);
    let temporary = tempfile::tempdir().unwrap();
    let dir = kept.unwrap_or_else(|| temporary.path().join("log"));
    let key = support::key();
    if !dir.join("checkpoint").exists() {
        let exporter = Rc::new(RefCell::new(support::Exporter::new(&dir)));
        let sink = Rc::clone(&exporter);
        let mut log = support::Log::furnished(move |bytes| sink.borrow_mut().push(&bytes));
        log.grow(entries);
        exporter.borrow().sign(&key);
        eprintln!("{} bytes an entry", exporter.borrow().bytes / log.state.size);
    }
    let trust = verify::Trust {
        keys: vec![key.verifier().clone()],
        quorum: None,
        since: Vec::new(),
    };
    let started = Instant::now();
    let report = verify::verify_log(&dir, &trust).unwrap();
    let took = started.elapsed();
    assert!(report.ok, "{:#?}", report.troubles);
    eprintln!("{report:#?}");
    println!(
        "{} entries verified in {:.2} s: {:.0} a second",
        report.size,
        took.as_secs_f64(),
        report.size as f64 / took.as_secs_f64()
    );
}
