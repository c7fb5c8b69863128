//! The keys that sign checkpoints. Which files are there says who could sign; the log says who does.
//!
//! A log's first key is named by no entry. Another one is added by `signing_key_added`, from which on both sign, and one
//! goes with `signing_key_retired`. A key file without an entry is what a rotation has left that did not come to its end:
//! the next one takes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use data_encoding::HEXLOWER;
use entry::Evidence;
use model::TenantName;
use store::{DataDir, StoreError};
use tlog::note::{KeyId, SigningKey, VerifierKey};
use zeroize::Zeroizing;

use crate::SigningError;

/// A seed is 64 digits.
const SEED_MAX: u64 = 1024;

/// Where the keys of a data directory's logs are.
#[derive(Clone, Debug)]
pub struct KeyFiles;

impl KeyFiles {
    /// The private key with this number. Tenants' names have no `~`, so no two tenants have the same file.
    fn seed(tenant: &TenantName, number: u32) -> String {
        match number {
            1 => format!("keys/log.{tenant}.seed"),
            number => format!("keys/log.{tenant}~{number}.seed"),
        }
    }

    fn public(tenant: &TenantName) -> String {
        format!("keys/log.{tenant}.vkey")
    }

    /// The checkpoint by which whoever knows an older key of a log goes on to the one with this id: the first that both
    /// have signed, and that covers the entry by which it was added.
    pub fn handover(data: &Path, tenant: &TenantName, key: KeyId) -> PathBuf {
        Self::handovers(data, tenant).join(key.to_string())
    }

    /// The directory of all these checkpoints of a log.
    pub fn handovers(data: &Path, tenant: &TenantName) -> PathBuf {
        data.join("handover").join(tenant.as_str())
    }
}

/// The public keys of all logs of a data directory, by tenant, the older first: what a verifier has to be given.
pub fn log_keys(data: &Path) -> io::Result<BTreeMap<TenantName, Vec<String>>> {
    let mut keys = BTreeMap::new();
    for file in fs::read_dir(data.join("keys"))? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        let tenant = name.strip_prefix("log.").and_then(|name| name.strip_suffix(".vkey"));
        if let Some(tenant) = tenant.and_then(|tenant| TenantName::new(tenant).ok()) {
            let text = fs::read_to_string(file.path())?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            keys.insert(tenant, lines.map(str::to_owned).collect());
        }
    }
    Ok(keys)
}

/// The names of what is in a directory; none if it is not there.
fn names_in(dir: &Path) -> Result<Vec<String>, SigningError> {
    let failed = |source| StoreError::File {
        path: dir.to_owned(),
        source,
    };
    let files = match fs::read_dir(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed(source).into()),
    };
    let names = files.map(|file| file.map(|file| file.file_name().to_string_lossy().into_owned()));
    Ok(names.collect::<io::Result<_>>().map_err(failed)?)
}

/// The keys of all logs of a data directory.
#[derive(Debug)]
pub struct Keyring {
    trust_domain: String,
    data: PathBuf,
    logs: Mutex<BTreeMap<TenantName, LogKeys>>,
}

/// The keys of a log.
#[derive(Clone, Debug, Default)]
struct LogKeys {
    /// Those whose files are there, by the number of the file.
    files: BTreeMap<u32, Arc<SigningKey>>,
    signing: Signing,
    asked: Asked,
}

/// The keys that sign a log, the older first.
#[derive(Clone, Debug, Default)]
pub struct Signing {
    /// The keys.
    pub keys: Vec<Arc<SigningKey>>,
    /// How long the log was when it said so: a checkpoint of that size covers the entries by which it did.
    pub since: u64,
}

/// Whether the log has to be asked before each signature who signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asked {
    /// It has said, and nothing is about to change.
    #[default]
    No,
    /// An entry is on its way: what the log says now may be over the next moment.
    Changing,
    /// The entry has landed or not: what the log says now counts.
    Changed,
}

impl Keyring {
    /// The keys below a data directory, none of which is read yet.
    pub fn new(trust_domain: String, data: PathBuf) -> Self {
        Self {
            trust_domain,
            data,
            logs: Mutex::default(),
        }
    }

    /// The name of a tenant's log, which its keys bear too.
    pub fn name(&self, tenant: &TenantName) -> String {
        format!("{}/{tenant}", self.trust_domain)
    }

    /// Reads a tenant's keys, making the first one where there is none and nothing was signed yet. The log is to be
    /// [asked](Self::settle) before anything is signed.
    pub fn prepare(
        &self,
        tenant: &TenantName,
        signed: bool,
        random: impl FnOnce() -> Zeroizing<[u8; 32]>,
    ) -> Result<(), SigningError> {
        if !signed && self.numbers(tenant)?.is_empty() {
            self.make(tenant, 1, random())?;
        }
        self.read_keys(tenant)
    }

    /// Reads the keys of a log that was signed.
    pub(crate) fn read_keys(&self, tenant: &TenantName) -> Result<(), SigningError> {
        let mut files = BTreeMap::new();
        for number in self.numbers(tenant)? {
            files.insert(number, Arc::new(self.read(tenant, number)?));
        }
        if files.is_empty() {
            return Err(SigningError::LostKey(self.data.join(KeyFiles::seed(tenant, 1))));
        }
        let keys = files.values().next().cloned().into_iter().collect();
        let keys = LogKeys {
            files,
            signing: Signing { keys, since: 0 },
            asked: Asked::Changed,
        };
        self.lock().insert(tenant.clone(), keys);
        Ok(())
    }

    /// The public keys of a log that may have signed what is here: of all files that are there.
    pub fn known(&self, tenant: &TenantName) -> Vec<VerifierKey> {
        let logs = self.lock();
        let files = logs.get(tenant).into_iter().flat_map(|keys| keys.files.values());
        files.map(|key| key.verifier().clone()).collect()
    }

    /// Who signs.
    pub fn signing(&self, tenant: &TenantName) -> Option<Signing> {
        self.lock().get(tenant).map(|keys| keys.signing.clone())
    }

    /// The logs that have keys.
    pub fn tenants(&self) -> Vec<TenantName> {
        self.lock().keys().cloned().collect()
    }

    /// Whether the log has to be asked who signs.
    pub fn is_to_ask(&self, tenant: &TenantName) -> bool {
        self.lock().get(tenant).is_some_and(|keys| keys.asked != Asked::No)
    }

    /// From now on the log is asked before each signature, until [`changed`](Self::changed) and an answer.
    pub fn changing(&self, tenant: &TenantName) {
        self.mark(tenant, Asked::Changing);
    }

    /// The entry that was on its way has landed, or will not.
    pub fn changed(&self, tenant: &TenantName) {
        self.mark(tenant, Asked::Changed);
    }

    fn mark(&self, tenant: &TenantName, asked: Asked) {
        if let Some(keys) = self.lock().get_mut(tenant) {
            keys.asked = asked;
        }
    }

    /// Takes what a log of this size says of its keys, and writes their public halves down.
    pub fn settle(&self, tenant: &TenantName, size: u64, said: &Evidence) -> Result<(), SigningError> {
        let mut logs = self.lock();
        let Some(keys) = logs.get_mut(tenant) else {
            return Ok(());
        };
        let signing = signing(keys, said).map_err(|key| SigningError::LostSigningKey {
            tenant: tenant.clone(),
            key,
        })?;
        let public: String = signing.iter().map(|key| format!("{}\n", key.verifier())).collect();
        let path = self.data.join(KeyFiles::public(tenant));
        if fs::read_to_string(&path).ok().as_ref() != Some(&public) {
            DataDir::replace_at(&path, public.as_bytes())?;
        }
        let same = signing.len() == keys.signing.keys.len()
            && signing.iter().zip(&keys.signing.keys).all(|(a, b)| Arc::ptr_eq(a, b));
        if !same || keys.signing.since == 0 {
            keys.signing = Signing {
                keys: signing,
                since: size,
            };
        }
        if keys.asked == Asked::Changed {
            keys.asked = Asked::No;
        }
        Ok(())
    }

    /// A key that signs nothing yet: one that an earlier rotation has left, or a new one. Its file is durable.
    pub fn spare(
        &self,
        tenant: &TenantName,
        said: &Evidence,
        random: impl FnOnce() -> Zeroizing<[u8; 32]>,
    ) -> Result<Arc<SigningKey>, SigningError> {
        let mut logs = self.lock();
        let keys = logs.entry(tenant.clone()).or_default();
        // One that was handed over to in a history that is lost is not handed over to twice: who has kept the first
        // handover would find a fork in the second.
        let lost = self.lost_handovers(tenant)?;
        let taken = |key: &SigningKey| {
            let text = key.verifier().to_string();
            said.keys.contains(&text) || said.retired.contains(&text) || lost.contains(&key.verifier().id().to_string())
        };
        // The first key signs although no entry names it, until one does.
        let first = keys.files.keys().next().copied().filter(|_| said.keys.is_empty());
        let mut left = keys.files.iter().filter(|(number, _)| Some(**number) != first);
        if let Some((_, key)) = left.find(|(_, key)| !taken(key)) {
            return Ok(key.clone());
        }
        let number = keys
            .files
            .keys()
            .next_back()
            .map_or(1, |last| last.saturating_add(1))
            .max(2);
        let key = self.make(tenant, number, random())?;
        keys.files.insert(number, key.clone());
        Ok(key)
    }

    /// The keys that were handed over to in entries that a restored copy has lost, as [`Restoration`](crate::Restoration)
    /// puts them aside.
    fn lost_handovers(&self, tenant: &TenantName) -> Result<BTreeSet<String>, SigningError> {
        let aside = format!("{tenant}~lost-");
        let mut keys = BTreeSet::new();
        let handovers = self.data.join("handover");
        for directory in names_in(&handovers)?.iter().filter(|name| name.starts_with(&aside)) {
            keys.extend(names_in(&handovers.join(directory))?);
        }
        Ok(keys)
    }

    /// Where the checkpoint is kept that leads to a key.
    pub fn handover(&self, tenant: &TenantName, key: KeyId) -> PathBuf {
        KeyFiles::handover(&self.data, tenant, key)
    }

    /// The numbers of a tenant's files.
    fn numbers(&self, tenant: &TenantName) -> Result<Vec<u32>, SigningError> {
        let first = format!("log.{tenant}.seed");
        let further = format!("log.{tenant}~");
        let number = |name: &str| match name.strip_prefix(&further) {
            Some(rest) => rest.strip_suffix(".seed")?.parse().ok().filter(|number| *number > 1),
            None => (name == first).then_some(1),
        };
        let names = names_in(&self.data.join("keys"))?;
        Ok(names.iter().filter_map(|name| number(name)).collect())
    }

    fn read(&self, tenant: &TenantName, number: u32) -> Result<SigningKey, SigningError> {
        let path = self.data.join(KeyFiles::seed(tenant, number));
        let mut text = Zeroizing::new(Vec::new());
        let read = fs::File::open(&path).and_then(|file| file.take(SEED_MAX).read_to_end(&mut text));
        read.map_err(|source| StoreError::File {
            path: path.clone(),
            source,
        })?;
        let seed = HEXLOWER.decode(text.trim_ascii()).ok().map(Zeroizing::new);
        let seed = seed
            .and_then(|seed| <[u8; 32]>::try_from(seed.as_slice()).ok())
            .map(Zeroizing::new);
        // A key is bound to its log's name, so that it cannot vouch for another log.
        let key = seed.and_then(|seed| SigningKey::from_seed(&self.name(tenant), &seed).ok());
        key.ok_or(SigningError::Key(path))
    }

    fn make(
        &self,
        tenant: &TenantName,
        number: u32,
        seed: Zeroizing<[u8; 32]>,
    ) -> Result<Arc<SigningKey>, SigningError> {
        let path = self.data.join(KeyFiles::seed(tenant, number));
        let text = Zeroizing::new(HEXLOWER.encode(seed.as_slice()));
        DataDir::replace_at(&path, text.as_bytes())?;
        let key = SigningKey::from_seed(&self.name(tenant), &seed).map_err(|_| SigningError::Key(path))?;
        Ok(Arc::new(key))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantName, LogKeys>> {
        // Whoever panicked while holding it left a map that says what the files and the log say, or less.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keys that sign by what the log says; the text of one whose file is not there otherwise.
fn signing(keys: &LogKeys, said: &Evidence) -> Result<Vec<Arc<SigningKey>>, String> {
    if said.keys.is_empty() {
        return Ok(keys.files.values().next().cloned().into_iter().collect());
    }
    let named = |key: &&Arc<SigningKey>| said.keys.contains(&key.verifier().to_string());
    let signing: Vec<_> = keys.files.values().filter(named).cloned().collect();
    let is_there = |text: &&String| signing.iter().any(|key| key.verifier().to_string() == **text);
    match said.keys.iter().find(|text| !is_there(text)) {
        Some(lost) => Err(lost.clone()),
        None => Ok(signing),
    }
}
