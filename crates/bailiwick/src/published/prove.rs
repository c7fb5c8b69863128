//! The proof of one entry: a `c2sp.org/tlog-proof@v1` file that needs nothing of this program to be checked.

use std::collections::BTreeMap;

use control::rfc3339;
use entry::{Entry, Event};
use futures_util::{StreamExt as _, pin_mut};
use model::{ActionId, TenantName};
use store::Tiles;
use tlog::{
    Hash, Stored,
    checkpoint::Checkpoint,
    note::{KeyId, Note, VerifierKey},
    proof_file::ProofFile,
    tile::{Growing, Plan, TileId},
};

use super::{Published, PublishedError, Signed, corrupt};

/// Which entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// By its index.
    Entry(u64),
    /// The only one of an action.
    Action(ActionId),
}

/// What is to be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// That an entry is in the log, as of its last checkpoint.
    Entry(Which),
    /// The entry that adds the key with this id to those that sign, under the checkpoint that whoever knows the key before it
    /// believes.
    Handover(KeyId),
}

/// A proof, and what it is about.
#[derive(Debug)]
pub(crate) struct Proved {
    /// The proof, with the entry in it.
    pub(crate) proof: ProofFile,
    /// The entry as it was hashed.
    pub(crate) bytes: Vec<u8>,
    /// The same, read.
    pub(crate) entry: Entry,
    /// How many entries the checkpoint covers.
    pub(crate) size: u64,
}

/// Proves that an entry is in a tenant's log. `action_of` says which action an entry is of.
pub(crate) async fn prove(
    published: &Published,
    tenant: &TenantName,
    claim: Claim,
    action_of: fn(&Event) -> Option<ActionId>,
) -> Result<Proved, PublishedError> {
    published.tenants(Some(tenant)).await?;
    let mut signed = published.signed(tenant).await?;
    let index = match claim {
        Claim::Entry(Which::Entry(index)) => index,
        Claim::Entry(Which::Action(action)) => only_entry(published, tenant, action, action_of).await?,
        Claim::Handover(key) => {
            let (index, by_both) = handover(published, tenant, key, &signed).await?;
            signed = by_both;
            index
        }
    };
    let size = signed.checkpoint.size;
    if index >= size {
        return Err(PublishedError::Entry(unsigned(published, tenant, index, size).await?));
    }
    let bytes = published.reader.entry(tenant, index).await?;
    let bytes = match bytes {
        Some(Stored::Kept(bytes)) => bytes,
        Some(Stored::Gone(leaf)) => {
            return Err(PublishedError::Entry(format!(
                "entry {index} was let go because its time was over: there is nothing left to prove but its leaf hash, {leaf}"
            )));
        }
        None => {
            let tenant = tenant.clone();
            return Err(PublishedError::Changed { tenant, size });
        }
    };
    let entry = Entry::decode(&bytes).map_err(|source| corrupt(tenant, store::BatchError::Entry { index, source }))?;
    let plan = Plan::inclusion(index, size).ok_or_else(|| PublishedError::Entry(beyond(tenant, index)))?;
    let tiles = Tiles::new(&published.data, published.reader.clone(), 0);
    let quick = tiles.proof(tenant, &plan).await.ok().flatten();
    // What was made from tiles that are damaged proves nothing, and is found out here.
    let quick = quick.and_then(|hashes| assemble(&signed, index, &bytes, hashes).ok());
    let proof = match quick {
        Some(proof) => proof,
        None => {
            let hashes = from_the_log(published, tenant, &plan, size).await?;
            assemble(&signed, index, &bytes, hashes)?
        }
    };
    Ok(Proved {
        proof,
        bytes,
        entry,
        size,
    })
}

/// The proof, once it holds.
fn assemble(signed: &Signed, index: u64, bytes: &[u8], hashes: Vec<Hash>) -> Result<ProofFile, PublishedError> {
    let unbelievable = |why: String| PublishedError::Entry(format!("entry {index} cannot be proved: {why}"));
    let proof = ProofFile {
        extra: Some(bytes.to_vec()),
        index,
        hashes,
        checkpoint: signed.note.clone(),
    };
    let known = signed.keys.as_slice();
    proof
        .verify(None, known)
        .map_err(|error| unbelievable(format!("{error}. `bailiwick audit verify` says more")))?;
    Ok(proof)
}

/// Reads the log from its beginning where there are no tiles: an old data directory, or a copy without `tiles.db`.
async fn from_the_log(
    published: &Published,
    tenant: &TenantName,
    plan: &Plan,
    size: u64,
) -> Result<Vec<Hash>, PublishedError> {
    let wanted: BTreeMap<(u8, u64), TileId> = plan.tiles().into_iter().map(|id| (place(id), id)).collect();
    let mut held: BTreeMap<TileId, Vec<u8>> = BTreeMap::new();
    let mut growing = Growing::new();
    let batches = published.reader.batches(tenant, 0);
    pin_mut!(batches);
    while growing.size() < size
        && let Some(batch) = batches.next().await.transpose()?
    {
        let full = |tile: tlog::tile::FullTile| {
            if wanted.contains_key(&place(tile.id)) {
                held.insert(tile.id, tile.bytes);
            }
        };
        store::append_tiles(&mut growing, &[batch], full).map_err(|error| corrupt(tenant, error))?;
    }
    for (id, bytes) in growing.edge().filter(|(id, _)| wanted.contains_key(&place(*id))) {
        held.insert(id, bytes);
    }
    let changed = || PublishedError::Changed {
        tenant: tenant.clone(),
        size,
    };
    plan.read(|id| held.get(&id).cloned().ok_or(())).map_err(|_| changed())
}

fn place(tile: TileId) -> (u8, u64) {
    (tile.level(), tile.index())
}

/// Why an entry behind the checkpoint cannot be proved.
async fn unsigned(published: &Published, tenant: &TenantName, index: u64, size: u64) -> Result<String, PublishedError> {
    if index >= published.reader.size(tenant).await? {
        return Ok(beyond(tenant, index));
    }
    Ok(format!(
        "entry {index} is not signed yet: the last checkpoint covers the first {size} entries. A running server signs \
         what is new within seconds: wait, and try again"
    ))
}

fn beyond(tenant: &TenantName, index: u64) -> String {
    format!("the log of tenant {tenant} has no entry {index}")
}

/// The entry that adds a key, and the checkpoint over it that the key before it has signed too.
async fn handover(
    published: &Published,
    tenant: &TenantName,
    id: KeyId,
    signed: &Signed,
) -> Result<(u64, Signed), PublishedError> {
    let absent = || {
        PublishedError::Entry(format!(
            "no handover to a key {id} of the log of tenant {tenant} is kept: `bailiwick audit keys` shows which keys have one"
        ))
    };
    let note = signed.handovers.get(&id.to_string()).ok_or_else(absent)?;
    let of_key = |event: &Event| match event {
        Event::SigningKeyAdded { key, beside, .. } => {
            let keys = [key, beside].map(|key| key.parse::<VerifierKey>().ok());
            keys.into_iter().collect::<Option<Vec<_>>>()
        }
        _ => None,
    };
    let adds = |keys: &Vec<VerifierKey>| keys.first().is_some_and(|key| key.id() == id);
    let is_it = |event: &Event| of_key(event).as_ref().is_some_and(adds);
    let found = entries_with(published, tenant, &id.to_string(), is_it).await?;
    let found = found
        .first()
        .and_then(|entry| Some((entry.index, of_key(&entry.event)?)));
    let (index, keys) = found.ok_or_else(absent)?;
    let unbelievable = |why: String| PublishedError::Entry(format!("the handover to the key {id} is damaged: {why}"));
    // By each of them alone.
    let opened = keys.iter().map(|key| Checkpoint::open(note, std::slice::from_ref(key)));
    let opened = opened.collect::<Result<Vec<_>, _>>();
    let checkpoint = opened.map_err(|error| unbelievable(error.to_string()))?.pop();
    let size = signed.checkpoint.size;
    if checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.size > size) {
        return Err(PublishedError::Entry(format!(
            "the handover to the key {id} is not published yet: the last checkpoint that is covers the first {size} entries. \
             Where witnesses are asked, it waits for enough of them: try again, and look at the witnesses if that does not help"
        )));
    }
    let by_both = Signed {
        note: Note::parse(note).map_err(|error| unbelievable(error.to_string()))?,
        checkpoint: checkpoint.ok_or_else(absent)?,
        keys,
        handovers: BTreeMap::new(),
    };
    Ok((index, by_both))
}

/// The only entry of an action.
async fn only_entry(
    published: &Published,
    tenant: &TenantName,
    action: ActionId,
    action_of: fn(&Event) -> Option<ActionId>,
) -> Result<u64, PublishedError> {
    let of_action = |event: &Event| action_of(event) == Some(action);
    let found = entries_with(published, tenant, &action.to_string(), of_action).await?;
    match found.as_slice() {
        [] => Err(PublishedError::Entry(format!(
            "there is no entry of an action {action} in the log of tenant {tenant}; if it is an old one, they may have been \
             let go"
        ))),
        [entry] => Ok(entry.index),
        several => {
            let each = several
                .iter()
                .map(|entry| format!("{} ({} at {})", entry.index, entry.event.kind(), rfc3339(entry.time)));
            Err(PublishedError::Entry(format!(
                "the action {action} has {} entries: name one by its index: {}",
                several.len(),
                each.collect::<Vec<_>>().join(", ")
            )))
        }
    }
}

/// The entries of a log that are wanted, of those in which this text stands.
async fn entries_with(
    published: &Published,
    tenant: &TenantName,
    text: &str,
    is_wanted: impl Fn(&Event) -> bool,
) -> Result<Vec<Entry>, PublishedError> {
    let batches = published.reader.batches(tenant, 0);
    pin_mut!(batches);
    let mut found = Vec::new();
    while let Some(batch) = batches.next().await.transpose()? {
        for (_, bytes) in batch.kept().map_err(|error| corrupt(tenant, error))? {
            // Reading each entry takes ten times as long as looking for the text.
            if !bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                continue;
            }
            if let Ok(entry) = Entry::decode(bytes)
                && is_wanted(&entry.event)
            {
                found.push(entry);
            }
        }
    }
    Ok(found)
}
