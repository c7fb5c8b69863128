//! Overruns: a provider billed past a hold. The model is held at its maximum until an administrator accepts that.

use entry::Event;
use model::{TenantName, UpstreamName};

use crate::{Actor, AdminError, Control, OverrunReport, Permission, rules::check_reason, snapshot::Snapshot};

/// What an administrator accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// In whose log.
    pub tenant: TenantName,
    /// The upstream.
    pub upstream: UpstreamName,
    /// The model, as requests spell it.
    pub model: String,
    /// Why it is accepted.
    pub note: String,
}

impl Control {
    /// The models that are held at their maximum because a provider billed past a hold of them, by tenant, upstream and
    /// model.
    pub async fn overruns(&self, actor: &Actor) -> Result<Vec<OverrunReport>, AdminError> {
        Self::require(actor, Permission::ReadState)?;
        let views = self.views().await?;
        let reports = views.iter().flat_map(|view| {
            let distrusted = view.distrusted.iter();
            distrusted.map(|(name, distrust)| OverrunReport::of(view, name, distrust))
        });
        Ok(reports.collect())
    }

    /// Accepts the overruns of a model: when this returns, its holds reserve for the output limit that is sent again, unless
    /// its upstream is declared as not honouring it. Returns what was accepted.
    pub async fn accept_overrun(&self, actor: &Actor, accepted: Acceptance) -> Result<OverrunReport, AdminError> {
        Self::require(actor, Permission::Operate)?;
        let Acceptance {
            tenant,
            upstream,
            model,
            note,
        } = accepted;
        check_reason(&note, "the provider refunded it")?;
        if !self.snapshot().tenants.contains_key(&tenant) {
            return Err(AdminError::NotFound {
                what: "tenant",
                name: tenant.to_string(),
            });
        }
        let view = self.committer().view(tenant.clone()).await?;
        let name = (upstream, model);
        let Some(distrust) = view.distrusted.get(&name) else {
            let shown = |(upstream, model): &(UpstreamName, String)| format!("{upstream}/{model}");
            return Err(AdminError::NoOverrun {
                tenant,
                name: shown(&name),
                known: view.distrusted.keys().map(shown).collect(),
            });
        };
        let report = OverrunReport::of(&view, &name, distrust);
        let (upstream, model) = name;
        let by = actor.name.clone();
        let cleared = Event::OverrunCleared {
            upstream,
            model,
            note,
            by,
        };
        self.change(tenant, vec![cleared]).await?;
        Ok(report)
    }

    /// Tells operators which models became distrusted or trusted since the last picture. At a start that is all of them.
    pub(crate) fn tell_distrust(&self, before: &Snapshot, now: &Snapshot) {
        let counts = now.tenants.iter().flat_map(|(name, tenant)| {
            let distrusted = tenant.distrusted.iter();
            distrusted.map(move |(upstream, models)| (name, upstream, models.len()))
        });
        self.metrics().distrusted(counts);
        for (tenant, upstream, model) in distrusted_only_in(now, before) {
            tracing::warn!(
                %tenant, %upstream, model,
                "a provider billed past a hold: this model is held at its maximum until `bailiwick overrun accept {upstream}/{model}`"
            );
        }
        for (tenant, upstream, model) in distrusted_only_in(before, now) {
            tracing::info!(%tenant, %upstream, model, "the overruns of this model are accepted");
        }
    }
}

/// The models that are distrusted in one picture and not in the other.
fn distrusted_only_in<'a>(
    one: &'a Snapshot,
    other: &'a Snapshot,
) -> impl Iterator<Item = (&'a TenantName, &'a UpstreamName, &'a str)> {
    let all = one.tenants.iter().flat_map(|(name, tenant)| {
        let distrusted = tenant.distrusted.iter();
        distrusted.flat_map(move |(upstream, models)| models.iter().map(move |model| (name, upstream, model.as_str())))
    });
    all.filter(|(tenant, upstream, model)| {
        let tenant = other.tenants.get(*tenant);
        !tenant.is_some_and(|tenant| tenant.distrusts(upstream, model))
    })
}
