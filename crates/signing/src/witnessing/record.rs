//! What a round came to, and what the log says of it: that too few have signed, that enough do again, and who has seen another
//! history. Each is recorded once, whatever fails.

use entry::{ABSENT_MAX, Absence, Absent, Event, FORKS_MAX};
use model::TenantName;
use tlog::{checkpoint::Checkpoint, cosignature::CosignerKey, note::Note};

use super::{
    Log, Standing, Witnessing,
    around::{Said, Surroundings},
};

impl<S: Surroundings> Witnessing<S> {
    /// What a round came to: what was added after there were enough is kept too, and what is missing is recorded once.
    pub(super) async fn conclude(&self, tenant: &TenantName, note: &Note, checkpoint: &Checkpoint, log: &mut Log) {
        let met = self.quorum.met(note).is_ok();
        if met {
            log.unmet = None;
            let more = self
                .published
                .borrow()
                .get(tenant)
                .is_none_or(|last| last.note != note.to_string());
            if more {
                self.keep(tenant, note, checkpoint, log).await;
            }
        }
        let late = log.unmet.is_some_and(|since| since.elapsed() >= self.timeout);
        self.numbers.quorum_missed(tenant, log.says_missed() || late);
        if !met && !late {
            return;
        }
        let event = match (met, self.said(tenant, log).await.map(|said| said.missed)) {
            (true, Some(true)) => Event::QuorumMet { size: checkpoint.size },
            (false, Some(false)) => Event::QuorumMissed {
                size: checkpoint.size,
                quorum: u32::try_from(self.quorum.needed()).unwrap_or(u32::MAX),
                absent: self.absent(note, log),
            },
            _ => return,
        };
        match &event {
            Event::QuorumMet { .. } => tracing::info!(%tenant, size = checkpoint.size, "enough witnesses sign again"),
            _ => tracing::error!(%tenant, size = checkpoint.size, "too few witnesses have signed in time"),
        }
        self.record(tenant, event, log, |said| said.missed = !met).await;
        self.numbers.quorum_missed(tenant, !met);
    }

    /// Records who has seen another history, whether it is needed for a quorum or not.
    pub(super) async fn report_forks(&self, tenant: &TenantName, size: u64, log: &mut Log) {
        let forked = |standing: &Standing| matches!(standing.why, Some((Absence::Fork, _)));
        let reports = log.standings.iter().filter(|(_, standing)| forked(standing));
        let keys = reports.filter_map(|(index, _)| self.quorum.known().get(*index));
        let reports: Vec<String> = keys.map(ToString::to_string).collect();
        for witness in reports {
            let Some(said) = self.said(tenant, log).await else {
                return;
            };
            if said.forks.contains(&witness) || said.forks.len() >= FORKS_MAX {
                continue;
            }
            let event = Event::ForkReported {
                witness: witness.clone(),
                size,
            };
            self.record(tenant, event, log, |said| said.forks.extend([witness]))
                .await;
        }
    }

    /// What the log says of its witnesses, where that can be known.
    async fn said<'l>(&self, tenant: &TenantName, log: &'l mut Log) -> Option<&'l Said> {
        if log.said.is_none() {
            log.said = self.around.said(tenant).await.ok();
        }
        log.said.as_ref()
    }

    /// Records an event, after which the log says something else. Where it is not known whether it has landed, the log is
    /// asked in the next round.
    async fn record(&self, tenant: &TenantName, event: Event, log: &mut Log, now: impl FnOnce(&mut Said)) {
        let kind = event.kind();
        match self.around.record(tenant, event).await {
            Ok(()) => {
                if let Some(said) = &mut log.said {
                    now(said);
                }
            }
            Err(error) => {
                tracing::warn!(%tenant, %error, kind, "what witnesses answered could not be recorded: it is tried again");
                log.said = None;
            }
        }
    }

    fn absent(&self, note: &Note, log: &Log) -> Vec<Absent> {
        let signed = |key: &&CosignerKey| note.signatures().iter().any(|signature| key.made(signature));
        let known = self.quorum.known().iter().enumerate();
        let absent = known.filter(|(_, key)| !signed(key)).map(|(index, key)| Absent {
            witness: key.name().to_owned(),
            why: match log.standings.get(&index).and_then(|standing| standing.why.as_ref()) {
                Some((why, _)) => *why,
                None => Absence::Unreachable,
            },
        });
        absent.take(ABSENT_MAX).collect()
    }
}
