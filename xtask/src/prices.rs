//! Compacts the public price catalogue into the form that `crates/pricing` ships.

use std::{fs, path::Path};

use anyhow::Context;

/// Reads the catalogue at `source` and writes the compacted one to `out`. Running it again changes nothing.
pub(crate) fn run(source: &Path, out: &Path) -> anyhow::Result<()> {
    let text = fs::read_to_string(source).with_context(|| format!("reading {}", source.display()))?;
    let compacted = pricing::compact(&text).with_context(|| format!("compacting {}", source.display()))?;
    fs::write(out, &compacted).with_context(|| format!("writing {}", out.display()))?;
    println!(
        "{}: {} models, {} bytes",
        out.display(),
        compacted.lines().count(),
        compacted.len()
    );
    Ok(())
}
