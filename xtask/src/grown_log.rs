//! A log as it was at many sizes, for readers in other languages: the tiles and bundles of each, and its checkpoint.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tlog::{
    bundle::{self, BundleId},
    checkpoint::{Checkpoint, Origin},
    leaf_hash,
    note::SigningKey,
    tile::{FULL, Growing},
};

/// Name of the log, and of its key.
const NAME: &str = "bailiwick.example/grown";
/// Checkpoints of the first tiles, and of where the third level begins.
const SIZES: [std::ops::RangeInclusive<u64>; 2] = [1..=600, 65_534..=65_538];

/// Makes the log below cargo's target directory, again each time, and says where.
pub(crate) fn make(target: &Path) -> anyhow::Result<(PathBuf, String)> {
    let directory = target.join("clients/grown-log");
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| format!("removing {}", directory.display()))?;
    }
    let key = SigningKey::from_seed(NAME, &[7; 32])?;
    write(&directory.join("vkey"), format!("{}\n", key.verifier()).as_bytes())?;
    let (mut growing, mut entries, mut checkpoints) = (Growing::new(), Vec::new(), 0_u32);
    for size in 1..=*SIZES[1].end() {
        let entry = format!("entry {}", size - 1);
        bundle::push(&mut entries, entry.as_bytes())?;
        let mut full = Vec::new();
        growing.append(leaf_hash(entry.as_bytes()), |tile| full.push(tile));
        for tile in full {
            write(&directory.join(tile.id.to_string()), &tile.bytes)?;
        }
        let published = SIZES.iter().any(|sizes| sizes.contains(&size));
        let whole = size.is_multiple_of(u64::from(FULL));
        if let Some(id) = BundleId::in_log((size - 1) / u64::from(FULL), size).filter(|_| published || whole) {
            write(&directory.join(id.to_string()), &entries)?;
        }
        if whole {
            entries.clear();
        }
        if published {
            for (tile, bytes) in growing.edge() {
                write(&directory.join(tile.to_string()), &bytes)?;
            }
            let checkpoint = Checkpoint {
                origin: Origin::new(NAME)?,
                size,
                root: growing.root(),
            };
            let note = checkpoint.sign(&key)?.to_string();
            write(&directory.join("checkpoints").join(size.to_string()), note.as_bytes())?;
            checkpoints += 1;
        }
    }
    let note = format!("{checkpoints} checkpoints: {}", directory.display());
    Ok((directory, note))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)
        .and_then(|()| fs::write(path, bytes))
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_each_size_needs() {
        let target = std::env::temp_dir().join(format!("bailiwick-grown-log-{}", std::process::id()));
        let (directory, note) = make(&target).unwrap();
        assert!(note.starts_with("605 checkpoints"), "{note}");
        for name in [
            "vkey",
            "checkpoints/1",
            "checkpoints/65538",
            "tile/0/000.p/1",
            "tile/0/000",
            "tile/2/000.p/1",
            "tile/entries/000.p/255",
            "tile/entries/256.p/2",
        ] {
            assert!(directory.join(name).is_file(), "{name}");
        }
        fs::remove_dir_all(target).unwrap();
    }
}
