//! How fast an exported log is verified: `verification [ENTRIES [ROUNDS]]` makes one of calls as a busy deployment has them,
//! verifies it so often, and says as JSON how long the rounds took.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring program: what goes wrong ends it"
)]

#[path = "../tests/it/support.rs"]
mod support;

use std::{cell::RefCell, fs, rc::Rc, time::Instant};

use support::{Exporter, Log, key};

/// The processor time that this process has used, in microseconds.
fn cpu_us() -> u64 {
    // Fields 14 and 15 of proc(5), in ticks of 10 ms; the name before them may have spaces.
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10_000
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|text| text.parse::<u64>().expect("a number"));
    let entries = numbers.next().unwrap_or(1_000_000);
    let rounds = numbers.next().unwrap_or(3);
    let dir = tempfile::tempdir().expect("a directory");
    let exporter = Rc::new(RefCell::new(Exporter::new(dir.path())));
    let sink = Rc::clone(&exporter);
    let mut log = Log::furnished(move |bytes| sink.borrow_mut().push(&bytes));
    log.grow(entries);
    let size = log.state.size;
    drop(log);
    let bytes = exporter.borrow().bytes;
    exporter.borrow().sign(&key());
    let trust = verify::Trust::in_keys([key().verifier().clone()]);
    let (mut took, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (started, before) = (Instant::now(), cpu_us());
        let report = verify::verify_log(dir.path(), &trust).expect("a directory");
        took.push(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
        cpu.push(cpu_us() - before);
        assert!(report.ok && report.found.entries == size, "{report:#?}");
    }
    println!(
        "{}",
        serde_json::json!({"entries": size, "bytes": bytes, "took_us": took, "cpu_us": cpu})
    );
}
