//! How changes take effect: appended to the log first, then published as a new picture for requests.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use entry::Event;
use model::{AdminName, TenantName, UpstreamName};
use policy::Bundle;
use route::Routes;
use store::View;

use crate::{
    Actor, AdminError, Control, LoadReport, TenantGovernance,
    load::{self, Compiled},
    pdp::{PdpKey, Peps},
    snapshot::{Snapshot, Tenant, keys_of},
    start::Inner,
    tariffs::Tariffs,
};

/// How long a request waits for the picture it was told to decide under, before it makes it itself.
const EPOCH_WAIT: Duration = Duration::from_millis(200);

impl Control {
    /// Waits for a picture of at least this epoch, and makes one if nobody else does.
    pub(crate) async fn await_epoch(&self, tenant: &TenantName, epoch: u64) {
        let mut published = self.inner.published.subscribe();
        let reached = |_: &u64| {
            self.snapshot()
                .tenants
                .get(tenant)
                .is_some_and(|tenant| tenant.epoch >= epoch)
        };
        if tokio::time::timeout(EPOCH_WAIT, published.wait_for(reached))
            .await
            .is_ok()
        {
            return;
        }
        // A change landed, but its picture could not be made at the time: the store had been failing.
        let control = self.clone();
        let publishing = tokio::spawn(async move {
            let loaded = control.inner.loaded.lock().await;
            // Somebody else may have made it meanwhile.
            if control.is_behind() {
                control.publish(&loaded).await
            } else {
                Ok(())
            }
        });
        // Without a picture the caller decides again and is told so by the committer.
        if let Ok(Err(error)) = publishing.await {
            tracing::warn!(%error, "the state that requests are decided on could not be read");
        }
    }

    /// Publishes a picture whenever the logs are ahead of it: an overrun changes what decisions depend on, and nobody asked
    /// for it. Ends with the committer, or when nobody needs it any more.
    pub(crate) async fn follow(inner: Weak<Inner>, mut epochs: tokio::sync::watch::Receiver<u64>) {
        while epochs.changed().await.is_ok() {
            let Some(control) = inner.upgrade().map(|inner| Self { inner }) else {
                return;
            };
            // Whoever changes something publishes it, and holds this until then.
            let loaded = control.inner.loaded.lock().await;
            if control.is_behind()
                && let Err(error) = control.publish(&loaded).await
            {
                // The next request that is told so makes it.
                tracing::warn!(%error, "the state that requests are decided on could not be read");
            }
        }
    }

    /// Whether the picture is older than a committed control epoch.
    fn is_behind(&self) -> bool {
        let snapshot = self.snapshot();
        let heads = self.committer().heads();
        let heads = heads.borrow();
        snapshot
            .tenants
            .iter()
            .any(|(name, tenant)| heads.get(name).is_some_and(|head| head.epoch > tenant.epoch))
    }

    /// Appends events and publishes what follows from them.
    pub(crate) async fn change(&self, tenant: TenantName, events: Vec<Event>) -> Result<(), AdminError> {
        let changing = |control: Self| async move {
            let changed = control.committer().change(tenant, events).await;
            changed.map(drop).map_err(AdminError::from)
        };
        self.alone(changing).await
    }

    /// Looks at what is in effect and changes it while nobody else does, then publishes what follows.
    ///
    /// In a task of its own: an administrator who hangs up half-way must not leave the picture behind the log.
    pub(crate) async fn alone<T, F>(&self, work: impl FnOnce(Self) -> F + Send + 'static) -> Result<T, AdminError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, AdminError>> + Send,
    {
        let control = self.clone();
        let changing = tokio::spawn(async move {
            let loaded = control.inner.loaded.lock().await;
            let changed = work(control.clone()).await;
            // Also after an error: the change may have landed.
            let published = control.publish(&loaded).await;
            let changed = changed?;
            published.map(|()| changed)
        });
        changing
            .await
            .map_err(|error| AdminError::Unavailable(error.to_string()))?
    }

    /// Reads the declarations again and puts them in effect.
    pub(crate) async fn load_again(&self, by: AdminName) -> Result<LoadReport, AdminError> {
        let control = self.clone();
        let loading = tokio::spawn(async move {
            let mut loaded = control.inner.loaded.lock().await;
            let reader = control.clone();
            let compiled = tokio::task::spawn_blocking(move || (reader.inner.loader)().and_then(load::compile));
            let compiled = compiled
                .await
                .map_err(|error| AdminError::Unavailable(error.to_string()))?;
            let compiled = Arc::new(compiled.map_err(AdminError::Problems)?);
            control.apply(&mut loaded, compiled, &by).await
        });
        loading
            .await
            .map_err(|error| AdminError::Unavailable(error.to_string()))?
    }

    /// Appends what makes the logs say what is declared, then publishes the picture.
    pub(crate) async fn apply(
        &self,
        loaded: &mut Arc<Compiled>,
        compiled: Arc<Compiled>,
        by: &AdminName,
    ) -> Result<LoadReport, AdminError> {
        let mut report = LoadReport::default();
        let mut result = Ok(());
        // A tenant that is declared no more still has a log: its agents are removed there.
        let nothing = TenantGovernance::default();
        let logged = self.reader().tenants().await?;
        let gone = logged.iter().filter(|tenant| !tenant.is_reserved());
        let gone = gone.filter(|tenant| !compiled.governance.tenants.contains_key(*tenant));
        let all = compiled
            .governance
            .tenants
            .iter()
            .chain(gone.map(|tenant| (tenant, &nothing)));
        // Before anything is appended: a load takes effect in all tenants, or what was in effect stays.
        let mut problems = Vec::new();
        for (tenant, declared) in all.clone() {
            let view = self.committer().view(tenant.clone()).await?;
            problems.extend(load::problems(&view, declared, self.privacy()));
            let Some(files) = compiled.bundles.get(tenant) else {
                continue;
            };
            match self.with_stored(&view, files).await {
                Ok(_) => {}
                Err(AdminError::Problems(found)) => problems.extend(found),
                Err(error) => return Err(error),
            }
        }
        if !problems.is_empty() {
            return Err(AdminError::Problems(problems));
        }
        for (tenant, declared) in all {
            result = self.apply_tenant(tenant, declared, &compiled, by, &mut report).await;
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() {
            report.changes.extend(load::route_changes(
                &loaded.governance.routes,
                &compiled.governance.routes,
            ));
            *loaded = compiled;
        }
        let published = self.publish(loaded).await;
        result?;
        published.map(|()| report)
    }

    async fn apply_tenant(
        &self,
        tenant: &TenantName,
        declared: &TenantGovernance,
        compiled: &Compiled,
        by: &AdminName,
        report: &mut LoadReport,
    ) -> Result<(), AdminError> {
        let view = self.committer().view(tenant.clone()).await?;
        let rules = self
            .committer()
            .rules(tenant.clone(), store::RulesQuery::default())
            .await?;
        let changes = load::changes(&view, &rules, declared, compiled, self.privacy(), by);
        self.committer().remember(tenant.clone(), changes.persons).await?;
        for events in [changes.files, changes.rest] {
            for events in events.chunks(load::TRANSACTION) {
                self.committer().change(tenant.clone(), events.to_vec()).await?;
                report
                    .changes
                    .extend(events.iter().map(|event| describe(tenant, event)));
            }
        }
        let view = self.committer().view(tenant.clone()).await?;
        let Some(bundle) = compiled.bundles.get(tenant) else {
            return Ok(());
        };
        if let Some(event) = load::bundle_change(&view, declared, bundle.digest(), by) {
            report.changes.push(describe(tenant, &event));
            self.committer().change(tenant.clone(), vec![event]).await?;
        }
        Ok(())
    }

    /// Makes the picture of what is in effect and swaps it in.
    async fn publish(&self, loaded: &Compiled) -> Result<(), AdminError> {
        let before = self.inner.snapshot.load_full();
        let mut snapshot = Snapshot {
            keys: HashMap::new(),
            peps: Peps::default(),
            admins: HashMap::new(),
            tenants: HashMap::new(),
            upstreams: HashMap::new(),
            tariffs: Tariffs::new(loaded.prices.clone()),
            routes: Routes::new(
                &loaded.governance.routes,
                loaded.governance.upstreams.iter().map(|upstream| &upstream.name),
                self.limits().bounds(),
                &before.routes,
            ),
        };
        for upstream in &loaded.governance.upstreams {
            snapshot
                .upstreams
                .insert(upstream.name.clone(), Arc::new(upstream.clone()));
        }
        let system = self.committer().view(TenantName::system()).await?;
        for admin in system.admins.into_values() {
            snapshot.admins.insert(
                admin.verifier,
                Actor {
                    name: admin.name,
                    role: admin.role,
                },
            );
        }
        let mut failed = None;
        for (name, files) in &loaded.bundles {
            let view = self.committer().view(name.clone()).await?;
            snapshot.keys.extend(keys_of(&view, &before));
            snapshot.peps.add(&view);
            let made = self.in_effect(&view, files).await;
            let bundle = match (made, before.tenants.get(name)) {
                (Ok(made), _) => made,
                // It stays as it was, behind its log: the committer refuses what is decided on it, and the others go on.
                (Err(error), Some(tenant)) => {
                    tracing::error!(tenant = %name, %error, "a tenant's policies cannot be put in effect");
                    snapshot.tenants.insert(name.clone(), tenant.clone());
                    failed.get_or_insert(error);
                    continue;
                }
                (Err(error), None) => return Err(error),
            };
            let pdp_key = match before.tenants.get(name) {
                Some(tenant) => tenant.pdp_key.clone(),
                None => self.pdp_key(name)?,
            };
            snapshot.tenants.insert(
                name.clone(),
                Arc::new(tenant_of(view, (bundle, files.clone()), pdp_key)),
            );
        }
        let snapshot = Arc::new(snapshot);
        self.inner.snapshot.store(snapshot.clone());
        snapshot.cancel_the_gone(&before);
        self.tell_distrust(&before, &snapshot);
        self.inner.published.send_modify(|count| *count += 1);
        failed.map_or(Ok(()), Err)
    }

    /// The bundle that decides for a tenant: that of its files, with what is stored.
    ///
    /// # Errors
    /// Its log has another bundle in effect, because a load failed half-way: nothing is to be decided by one and recorded as
    /// by the other. Or what is stored does not fit the files.
    async fn in_effect(&self, view: &View, files: &Arc<policy::Bundle>) -> Result<Arc<policy::Bundle>, AdminError> {
        match view.bundle {
            Some((logged, _)) if logged != files.digest() => Err(AdminError::Unavailable(format!(
                "the last load of tenant {} failed half-way: its log has the bundle {}, and {} is at hand; load again",
                view.tenant,
                logged.short(),
                files.digest().short()
            ))),
            _ => self.with_stored(view, files).await,
        }
    }
}

fn tenant_of(view: View, (bundle, files): (Arc<Bundle>, Arc<Bundle>), pdp_key: Arc<PdpKey>) -> Tenant {
    let mut distrusted: HashMap<UpstreamName, HashSet<String>> = HashMap::new();
    for (upstream, model) in view.distrusted.into_keys() {
        distrusted.entry(upstream).or_default().insert(model);
    }
    let agents = view
        .agents
        .into_iter()
        .filter_map(|(name, state)| Some((name, Arc::new(state.record?))));
    Tenant {
        epoch: view.epoch,
        agents: agents.collect(),
        bundle,
        files,
        bundle_entry: view.bundle.map_or(0, |(_, entry)| entry),
        entities: view.entities,
        pdp_key,
        prices_entry: view.prices.map_or(0, |(_, entry)| entry),
        steps: view.steps,
        distrusted,
    }
}

fn describe(tenant: &TenantName, event: &Event) -> String {
    let about = match event {
        Event::AgentLoaded { agent, .. } => agent.name.to_string(),
        Event::AgentRemoved { agent, .. } => agent.to_string(),
        Event::PepLoaded { pep, .. } => pep.name.to_string(),
        Event::PepRemoved { pep, .. } => pep.to_string(),
        Event::BudgetLoaded { budget, .. } => {
            format!(
                "{} {} per {}",
                budget.name,
                budget.unit.show(budget.limit),
                budget.window
            )
        }
        Event::BudgetRemoved { budget, .. } => budget.to_string(),
        Event::LimitLoaded { limit, .. } => limit.name.to_string(),
        Event::LimitRemoved { limit, .. } => limit.to_string(),
        Event::BreakerLoaded { breaker, .. } => breaker.name.to_string(),
        Event::BreakerRemoved { breaker, .. } => breaker.to_string(),
        Event::PolicyFile(file) => file.file.clone(),
        Event::PolicyLoaded { bundle, .. } => bundle.short(),
        Event::PricesLoaded { book, .. } => book.short(),
        _ => String::new(),
    };
    let default = *tenant == TenantName::default_tenant();
    let tenant = if default { String::new() } else { format!("{tenant}: ") };
    format!("{tenant}{} {about}", event.kind()).trim_end().to_owned()
}
