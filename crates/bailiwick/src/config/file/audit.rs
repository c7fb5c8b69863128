//! `[audit]`: where evidence is kept apart from the data it is about.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::below;
use crate::config::{node::Field, problem::Findings};

/// The audit log.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Audit")]
pub(crate) struct RawAudit {
    /// The directory in which each tenant's last signed checkpoint is kept as well, relative to this file. On another disk
    /// than `data_dir`, it shows when the database was replaced by an older copy. In `data_dir` if absent.
    checkpoint_guard: Field<String>,
}

/// The directory in which last signed checkpoints are kept as well; `None` for the data directory.
pub(crate) fn checkpoint_guard(raw: RawAudit, dir: &std::path::Path) -> Result<Option<PathBuf>, Findings> {
    let mut findings = Findings::default();
    let given = raw.checkpoint_guard.given();
    let path = given.and_then(|path| below(dir, path, &mut findings));
    findings.conclude(Some(path))
}
