//! What operators are told of entries: in the log of the server and in metrics, once the entries are durable.

use entry::{Event, ThresholdReached};

use super::{shard::Shard, stats::Stats};

impl Shard {
    /// Tells operators of the thresholds that were reached and of what breakers did, once that is durable.
    pub(super) fn tell(&mut self, stats: &Stats) {
        let tenant = &self.state.tenant;
        for event in self.told.drain(..) {
            match event {
                Event::ThresholdReached(ThresholdReached { reached, .. }) => {
                    let (budget, percent) = (&reached.budget, reached.percent);
                    stats.reached(tenant, budget, percent);
                    let (spent, limit) = (reached.unit.show(reached.spent), reached.unit.show(reached.limit));
                    tracing::warn!(%tenant, %budget, of = reached.of.join(", "), percent, spent, limit, "a budget reached a threshold");
                }
                Event::BreakerWarned(warning) => {
                    stats.breaker(tenant, &warning.breaker, "warned", warning.cause.rule());
                    tracing::warn!(%tenant, "{warning}");
                }
                Event::BreakerTripped(trip) => {
                    stats.breaker(tenant, &trip.breaker, "tripped", trip.cause.rule());
                    tracing::warn!(%tenant, "{trip}");
                }
                Event::BreakerClosed(closing) => {
                    stats.breaker(tenant, &closing.breaker, "closed", "probe");
                    tracing::info!(%tenant, "{closing}");
                }
                _ => {}
            }
        }
    }
}

/// Whether operators are told of an entry.
pub(super) fn is_told(event: &Event) -> bool {
    matches!(
        event,
        Event::ThresholdReached(_) | Event::BreakerWarned(_) | Event::BreakerTripped(_) | Event::BreakerClosed(_)
    )
}
