//! Entities that administrators stored: how they come into the bundle that decides.

use std::{collections::BTreeMap, sync::Arc};

use model::TenantName;
use policy::{Bundle, EntityChange, EntityName, EntityRecord};
use store::View;
use tokio::sync::Mutex;

use crate::{AdminError, Control, LoadProblem};

/// The bundles with what is stored in them, as they were last made.
#[derive(Debug, Default)]
pub(crate) struct Merged(Mutex<BTreeMap<TenantName, Made>>);

#[derive(Clone, Debug)]
struct Made {
    /// The bundle of the files.
    files: Arc<Bundle>,
    /// The version of what is stored.
    version: u64,
    bundle: Arc<Bundle>,
}

impl Control {
    /// A tenant's bundle with what is stored, made of the bundle of its files.
    ///
    /// # Errors
    /// [`AdminError::Problems`] where what is stored does not fit the files' schema.
    pub(crate) async fn with_stored(&self, view: &View, files: &Arc<Bundle>) -> Result<Arc<Bundle>, AdminError> {
        if view.entities == 0 {
            return Ok(files.clone());
        }
        let mut merged = self.inner.merged.0.lock().await;
        if let Some(made) = merged.get(&view.tenant)
            && Arc::ptr_eq(&made.files, files)
            && made.version == view.entities
        {
            return Ok(made.bundle.clone());
        }
        let mut rows = Vec::new();
        let version = self.reader().entities(&view.tenant, |page| rows.extend(page)).await?;
        let base = files.clone();
        let making = tokio::task::spawn_blocking(move || {
            let changes: Result<Vec<_>, String> = rows.iter().map(|row| put(&row.name, &row.record)).collect();
            let changes = changes.map_err(|message| vec![LoadProblem::of("stored entities", message)])?;
            let bundle = base.with_entities(&changes);
            bundle.map_err(|problems| problems.into_iter().map(stored_problem).collect::<Vec<_>>())
        });
        let bundle = making
            .await
            .map_err(|error| AdminError::Unavailable(error.to_string()))?;
        let bundle = Arc::new(bundle.map_err(AdminError::Problems)?);
        let made = Made {
            files: files.clone(),
            version,
            bundle: bundle.clone(),
        };
        merged.insert(view.tenant.clone(), made);
        Ok(bundle)
    }

    /// Remembers what a change of what is stored makes of the bundle, so that it need not be made again.
    pub(crate) async fn remember_stored(
        &self,
        tenant: &TenantName,
        files: &Arc<Bundle>,
        version: u64,
        bundle: Arc<Bundle>,
    ) {
        let made = Made {
            files: files.clone(),
            version,
            bundle,
        };
        self.inner.merged.0.lock().await.insert(tenant.clone(), made);
    }
}

/// A stored entity as a change.
pub(crate) fn put(name: &store::EntityName, record: &str) -> Result<EntityChange, String> {
    let json = serde_json::from_str(record).map_err(|error| format!("{name}: {error}"))?;
    let record = EntityRecord::from_json(json).map_err(|error| format!("{name}: {error}"))?;
    Ok(EntityChange::Put(record))
}

/// The name as policies have it.
pub(crate) fn policy_name(name: &store::EntityName) -> EntityName {
    EntityName {
        kind: name.kind.clone(),
        id: name.id.clone(),
    }
}

/// What is wrong with an entity that is stored.
pub(crate) fn stored_problem(problem: policy::Problem) -> LoadProblem {
    LoadProblem {
        help: Some(
            "it was stored by an administrator (`/api/v1/entities`): change or remove it there, or keep the schema as it was"
                .to_owned(),
        ),
        ..LoadProblem::from(problem)
    }
}
