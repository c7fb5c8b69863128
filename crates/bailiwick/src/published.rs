//! A data directory's published logs, read with no server or beside a running one: the last checkpoint of each tenant,
//! and what it covers. `export.rs` writes them as plain files, `prove.rs` proves one entry.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use control::{KeyFiles, cosigned_file, log_keys};
use model::TenantName;
use store::{BatchError, DataDir, Reader, StoreError};
use tlog::{
    checkpoint::Checkpoint,
    note::{Note, VerifierKey},
};

mod export;
mod files;
mod prove;

pub(crate) use export::{Exported, export};
pub(crate) use prove::{Claim, Proved, Which, prove};

/// Why a published log cannot be read, exported or proved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishedError {
    /// There is no database.
    #[error("there is no database in {}: name a server's data directory with --data DIR", .0.display())]
    NoDatabase(PathBuf),
    /// There is no such log.
    #[error("there is no log of a tenant {0:?}")]
    Tenant(String),
    /// Nothing was signed yet.
    #[error("the log of tenant {0} has no checkpoint yet: a running server signs one within seconds")]
    Unsigned(TenantName),
    /// Witnesses are asked, and a checkpoint that they have not cosigned is not given out.
    #[error(
        "the log of tenant {0} has no checkpoint yet that enough witnesses have cosigned, and none is published before. \
         See which witnesses are missing in the server's log, or in the entry `quorum_missed` (`bailiwick audit list \
         --kind quorum_missed`); give the operators of those that do not know the log what `bailiwick audit keys` says, \
         and try again with a running server"
    )]
    Uncosigned(TenantName),
    /// The key of a log cannot be read.
    #[error("the public key of tenant {tenant} cannot be used: {why}")]
    Key {
        /// Whose log.
        tenant: TenantName,
        /// Why not.
        why: String,
    },
    /// The checkpoint of the database is not to be believed.
    #[error("the checkpoint of tenant {tenant} is not to be believed: {why}. `bailiwick audit verify` says more")]
    Checkpoint {
        /// Whose log.
        tenant: TenantName,
        /// Why not.
        why: String,
    },
    /// What is stored does not have the root that was signed.
    #[error(
        "the first {size} entries of tenant {tenant} are not those that were signed: what is stored was changed. \
         `bailiwick audit verify` says where"
    )]
    Changed {
        /// Whose log.
        tenant: TenantName,
        /// How many entries were signed.
        size: u64,
    },
    /// Entries were let go while the log was read.
    #[error(
        "entries of tenant {0} were let go while its log was read, as entries say that the checkpoint is not over: try again"
    )]
    LetGo(TenantName),
    /// The directory has something else in it.
    #[error("{} {why}", .path.display())]
    Directory {
        /// What was looked at.
        path: PathBuf,
        /// What is the matter with it, and what to do.
        why: String,
    },
    /// There is no such entry, or it is not signed.
    #[error("{0}")]
    Entry(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A data directory.
pub(crate) struct Published {
    data: PathBuf,
    reader: Reader,
    keys: BTreeMap<TenantName, Vec<String>>,
}

/// A tenant's last published checkpoint, checked with the log's own keys: where witnesses are asked, the last that enough of
/// them have cosigned.
pub(crate) struct Signed {
    note: Note,
    checkpoint: Checkpoint,
    /// More than one while a key is exchanged.
    keys: Vec<VerifierKey>,
    /// By the id of a key that a rotation has added: the checkpoint by which whoever knows the key before it goes on.
    handovers: BTreeMap<String, String>,
}

impl Published {
    /// Opens a data directory for reading.
    pub(crate) async fn open(data: &Path) -> Result<Self, PublishedError> {
        if !DataDir::database(data).is_file() {
            return Err(PublishedError::NoDatabase(data.to_owned()));
        }
        let keys = log_keys(data).map_err(|source| PublishedError::File {
            path: data.join("keys"),
            source,
        })?;
        Ok(Self {
            data: data.to_owned(),
            reader: Reader::open(data).await?,
            keys,
        })
    }

    /// The tenants that have a log: all of them, or the one that is asked for.
    pub(crate) async fn tenants(&self, only: Option<&TenantName>) -> Result<Vec<TenantName>, PublishedError> {
        let all = self.reader.tenants().await?;
        match only {
            None => Ok(all),
            Some(only) if all.contains(only) => Ok(vec![only.clone()]),
            Some(only) => Err(PublishedError::Tenant(only.to_string())),
        }
    }

    /// The last checkpoint of a tenant.
    pub(crate) async fn signed(&self, tenant: &TenantName) -> Result<Signed, PublishedError> {
        let file = |path: PathBuf| move |source| PublishedError::File { path, source };
        let path = cosigned_file(&self.data, tenant);
        let note = match std::fs::read_to_string(&path) {
            Ok(note) => note,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let signed = self.reader.checkpoint(tenant).await?;
                let signed = signed.ok_or_else(|| PublishedError::Unsigned(tenant.clone()))?;
                // The directory is there exactly while witnesses are configured.
                if path.parent().is_some_and(Path::is_dir) {
                    return Err(PublishedError::Uncosigned(tenant.clone()));
                }
                signed
            }
            Err(error) => return Err(file(path)(error)),
        };
        let unusable = |why: String| PublishedError::Key {
            tenant: tenant.clone(),
            why,
        };
        let keys = self.keys.get(tenant).filter(|keys| !keys.is_empty()).ok_or_else(|| {
            let file = self.data.join(format!("keys/log.{tenant}.vkey"));
            unusable(format!("{} is missing", file.display()))
        })?;
        let keys = keys.iter().map(|key| key.parse::<VerifierKey>());
        let keys = keys.collect::<Result<Vec<_>, _>>();
        let keys = keys.map_err(|error| unusable(error.to_string()))?;
        let unbelievable = |why: String| PublishedError::Checkpoint {
            tenant: tenant.clone(),
            why,
        };
        let checkpoint = Checkpoint::open(&note, &keys);
        let checkpoint = checkpoint.map_err(|error| unbelievable(error.to_string()))?;
        let note = Note::parse(&note).map_err(|error| unbelievable(error.to_string()))?;
        Ok(Signed {
            note,
            checkpoint,
            keys,
            handovers: handovers(&KeyFiles::handovers(&self.data, tenant))?,
        })
    }
}

/// The files of a directory by their names; none if it is not there.
fn handovers(directory: &Path) -> Result<BTreeMap<String, String>, PublishedError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PublishedError::File { path, source }
    };
    let files = match std::fs::read_dir(directory) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed(directory)(error)),
    };
    let mut found = BTreeMap::new();
    for file in files {
        let path = file.map_err(failed(directory))?.path();
        // What a kill leaves half-written has another name.
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.len() == 8 {
            found.insert(name, std::fs::read_to_string(&path).map_err(failed(&path))?);
        }
    }
    Ok(found)
}

fn corrupt(tenant: &TenantName, source: BatchError) -> PublishedError {
    let tenant = tenant.clone();
    PublishedError::Store(StoreError::Corrupt { tenant, source })
}
