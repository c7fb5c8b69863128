//! Decisions that say more than an entry may.

use aws_lc_rs::digest::{SHA256, digest};
use model::Digest;
use serde::Serialize;

use super::{Condensed, Decided, DecidedItem, Decision, LeftOut};
use crate::{Entry, EntryError, Event, MAX_ENTRY_BYTES};

impl Entry {
    /// The entry's bytes; of a decision that is too long, those of what is left of it when it is made to fit, and so is
    /// this entry then. It loses what items said besides names, that of the longest first, then the names, then the items;
    /// each time no more than must be, and the entry says what.
    ///
    /// # Errors
    /// What [`Entry::encode`] refuses: an entry of another kind that is too long.
    pub fn fit(&mut self) -> Result<Vec<u8>, EntryError> {
        match self.encode() {
            Err(EntryError::TooLong { bytes, .. }) if matches!(self.event, Event::Decided(_)) => {
                if let Event::Decided(decided) = &mut self.event {
                    shorten(decided, bytes)?;
                }
                self.encode()
            }
            encoded => encoded,
        }
    }
}

/// The most that saying what was left out adds: `,"left_out":{...}` with four numbers.
const SAYING: usize = 160;

fn shorten(decided: &mut Decided, bytes: usize) -> Result<(), EntryError> {
    let mut over = bytes.saturating_add(SAYING).saturating_sub(MAX_ENTRY_BYTES);
    let mut left_out = decided.left_out.take().unwrap_or_default();
    let whole = decided.items.clone();
    over = drop_inputs(&mut decided.items, over, &mut left_out)?;
    if let Some(found) = decided
        .found
        .as_mut()
        .filter(|found| over > 0 && !found.names.is_empty())
    {
        left_out.found = count(found.names.len());
        let names = json(&std::mem::take(&mut found.names))?;
        found.digest = Some(sha256(&names));
        over = over.saturating_sub(names.len().saturating_sub(DIGEST));
    }
    over = drop_names(&mut decided.items, &whole, over, &mut left_out)?;
    if over > 0 {
        let number = |of| count(whole.iter().filter(|item| item.outcome == of).count());
        decided.condensed = Some(Condensed {
            permitted: number(Decision::Permit),
            denied: number(Decision::Deny),
            approval_required: number(Decision::ApprovalRequired),
            digest: sha256(&json(&whole)?),
        });
        decided.items.clear();
        left_out = LeftOut {
            items: count(whole.len()),
            found: left_out.found,
            ..LeftOut::default()
        };
    }
    decided.left_out = Some(left_out);
    Ok(())
}

/// The length of `"digest":"..."` and a comma.
const DIGEST: usize = 76;

/// Leaves out inputs, the longest first, until nothing is over. Returns what still is.
fn drop_inputs(items: &mut [DecidedItem], mut over: usize, left_out: &mut LeftOut) -> Result<usize, EntryError> {
    let mut lengths = Vec::with_capacity(items.len());
    for item in items.iter_mut() {
        let length = match &item.input {
            Some(input) => json(input)?.len() + ",\"input\":".len(),
            None => 0,
        };
        lengths.push((length, item));
    }
    // The sort is stable: of two that are as long, the earlier one loses.
    lengths.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    for (length, item) in lengths {
        if over == 0 || length == 0 {
            break;
        }
        item.input = None;
        left_out.inputs += 1;
        over = over.saturating_sub(length);
    }
    Ok(over)
}

/// Puts digests in the place of names, those of the longest first, until nothing is over. Returns what still is.
fn drop_names(
    items: &mut [DecidedItem],
    whole: &[DecidedItem],
    mut over: usize,
    left_out: &mut LeftOut,
) -> Result<usize, EntryError> {
    let mut lengths = Vec::with_capacity(items.len());
    for (item, whole) in items.iter_mut().zip(whole) {
        let digest = sha256(&json(whole)?);
        let bare = DecidedItem {
            subject: None,
            action: None,
            resource: None,
            input: None,
            digest: Some(digest),
            outcome: item.outcome,
            code: item.code.clone(),
            policies: Vec::new(),
        };
        let gain = json(item)?.len().saturating_sub(json(&bare)?.len());
        lengths.push((gain, item, bare));
    }
    lengths.sort_by_key(|(gain, ..)| std::cmp::Reverse(*gain));
    for (gain, item, bare) in lengths {
        if over == 0 || gain == 0 {
            break;
        }
        *item = bare;
        left_out.names += 1;
        over = over.saturating_sub(gain);
    }
    Ok(over)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, EntryError> {
    serde_json::to_vec(value).map_err(|error| EntryError::Unreadable(error.to_string()))
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    Digest(hash)
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}
