//! A place on a route, for those that let only so many calls run at once.

use std::time::Duration;

use model::Reason;
use route::{Busy, Place, Places};

use crate::{Control, Refusal, Session, pipeline::Attempt};

/// That a route has no place for an attempt.
pub(crate) struct NoPlace {
    busy: Busy,
    places: Places,
}

impl Control {
    /// A place to run in, where the route has only so many.
    pub(crate) async fn enter(&self, session: &Session, attempt: &Attempt<'_>) -> Result<Option<Place>, NoPlace> {
        let Some(gate) = &attempt.route.gate else {
            return Ok(None);
        };
        let principal = session.principal();
        let who = (principal.tenant.clone(), principal.agent.clone());
        let place = gate.enter(who, attempt.deadline).await;
        let places = gate.places();
        place.map(Some).map_err(|busy| NoPlace { busy, places })
    }

    /// What the caller is told whose route has no place.
    pub(crate) async fn too_busy(
        &self,
        session: &Session,
        attempt: &Attempt<'_>,
        NoPlace { busy, places }: NoPlace,
    ) -> Refusal {
        let name = &attempt.route.spec.name;
        let what = match busy {
            Busy::Full => format!("and {} wait already (queue)", places.waiting),
            Busy::Late => format!("and none ended within {:?} (queue_timeout)", places.patience),
        };
        let message = format!(
            "As many calls run on route \"{name}\" as it allows ({}, in_flight), {what}; nothing was forwarded.",
            places.running
        );
        let refusal = self.refuse_attempt(session, attempt, Reason::Overloaded, message).await;
        Refusal {
            retry_after: Some(Duration::from_secs(1)),
            ..refusal
        }
    }
}
