//! The tree before an entry, from the batches before it, the last first: back to one that keeps its tree, and on from there.

use tlog::CompactRange;

use super::{Batch, BatchError, keeps_range};

/// On the way back.
#[derive(Debug)]
pub(crate) struct Back {
    /// How many entries the tree is to have; at least one.
    size: u64,
    wanted: u64,
    /// The batches behind the one that keeps its tree: no more than there are entries between two such.
    behind: Vec<Batch>,
}

impl Back {
    /// To the tree of the first `size` entries. `None` if that is the empty tree, for which nothing has to be read.
    pub(crate) fn of(size: u64) -> Option<Self> {
        let wanted = size.checked_sub(1)?;
        Some(Self {
            size,
            wanted,
            behind: Vec::new(),
        })
    }

    /// The entry whose batch is needed next.
    pub(crate) fn wanted(&self) -> u64 {
        self.wanted
    }

    /// Takes the batch of that entry. The tree, once it can be told.
    ///
    /// # Errors
    /// What the batches say of the tree after them is not that of their entries.
    pub(crate) fn take(&mut self, batch: Batch) -> Result<Option<CompactRange>, BatchError> {
        let end = batch.first_index.saturating_add(batch.count);
        let last = end.saturating_sub(1);
        // Only the first of them can have entries beyond the tree that is wanted.
        if end <= self.size && (!batch.range.is_empty() || keeps_range(batch.first_index, batch.count)) {
            let range = CompactRange::from_bytes(end, &batch.range);
            let range = range.map_err(|source| BatchError::Range { index: last, source })?;
            if range.root() != batch.root {
                return Err(BatchError::Root(last));
            }
            return self.forward(range).map(Some);
        }
        let before = batch.first_index.checked_sub(1);
        self.behind.push(batch);
        match before {
            Some(before) => self.wanted = before,
            None => return self.forward(CompactRange::new()).map(Some),
        }
        Ok(None)
    }

    fn forward(&self, mut range: CompactRange) -> Result<CompactRange, BatchError> {
        for batch in self.behind.iter().rev() {
            batch.check_place(range.size())?;
            let end = batch.first_index.saturating_add(batch.count);
            for (_, entry) in (batch.first_index..self.size).zip(batch.entries()?) {
                range.append(entry.leaf());
            }
            if end <= self.size && range.root() != batch.root {
                return Err(BatchError::Root(end.saturating_sub(1)));
            }
        }
        match range.size() == self.size {
            true => Ok(range),
            false => Err(BatchError::Framing(range.size())),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{BatchId, Timestamp};
    use tlog::leaf_hash;

    use super::*;
    use crate::log::push;

    /// Batches of these sizes, as they are stored: with all trees, or as few as are kept.
    fn batches(sizes: &[u64], all: bool) -> Vec<Batch> {
        let mut range = CompactRange::new();
        let mut batches = Vec::new();
        for count in sizes {
            let first_index = range.size();
            let mut entries = Vec::new();
            for index in first_index..first_index + count {
                let entry = format!("entry {index}").into_bytes();
                range.append(leaf_hash(&entry));
                push(&mut entries, &entry);
            }
            let keeps = all || keeps_range(first_index, *count);
            batches.push(Batch {
                first_index,
                count: *count,
                id: BatchId::from_bytes([7; 16]),
                boot: 1,
                epoch: 0,
                time: Timestamp::from_unix_micros(0),
                root: range.root(),
                range: if keeps { range.to_bytes() } else { Vec::new() },
                entries,
            });
        }
        batches
    }

    /// The tree of so many entries, and how many batches were read for it.
    fn tree(batches: &[Batch], size: u64) -> Result<(CompactRange, usize), BatchError> {
        let Some(mut back) = Back::of(size) else {
            return Ok((CompactRange::new(), 0));
        };
        let mut read = 0;
        loop {
            let wanted = back.wanted();
            let holds = |batch: &&Batch| (batch.first_index..batch.first_index + batch.count).contains(&wanted);
            let batch = batches.iter().find(holds).unwrap();
            read += 1;
            if let Some(range) = back.take(batch.clone())? {
                return Ok((range, read));
            }
        }
    }

    #[test]
    fn every_tree_is_found_in_a_few_steps() {
        for sizes in [&[1; 40][..], &[3; 20], &[2, 1, 9, 1, 1, 1, 1, 30, 1, 5], &[100]] {
            for all in [false, true] {
                let batches = batches(sizes, all);
                let mut expected = CompactRange::new();
                for size in 0..=sizes.iter().sum() {
                    let (found, read) = tree(&batches, size).unwrap();
                    assert_eq!(found, expected, "{sizes:?} {size}");
                    assert!(read <= 5, "{sizes:?} {size}: {read}");
                    expected.append(leaf_hash(format!("entry {size}").as_bytes()));
                }
            }
        }
    }

    #[test]
    fn damage_on_the_way_is_found() {
        type Damage = (&'static str, fn(&mut Batch));
        let good = batches(&[1; 12], false);
        let of_the_tree: [Damage; 4] = [
            ("no tree where one is kept", |batch| batch.range.clear()),
            ("another tree", |batch| batch.range[0] ^= 1),
            ("half a tree", |batch| batch.range.truncate(31)),
            ("another root", |batch| batch.root = leaf_hash(b"another")),
        ];
        for (what, damage) in of_the_tree {
            let mut batches = good.clone();
            // The one that keeps the tree of eight entries.
            damage(&mut batches[7]);
            assert!(tree(&batches, 10).is_err(), "{what}");
        }
        let behind_it: [Damage; 4] = [
            ("another root", |batch| batch.root = leaf_hash(b"another")),
            ("no entries", |batch| batch.entries.clear()),
            ("another entry", |batch| batch.entries[2] ^= 1),
            ("a tree of nothing", |batch| batch.range = vec![0]),
        ];
        for (what, damage) in behind_it {
            let mut batches = good.clone();
            damage(&mut batches[8]);
            assert!(tree(&batches, 10).is_err(), "{what}");
        }
    }
}
