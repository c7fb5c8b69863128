//! A durable hold, and the only ways to end it.

use entry::{Outcome, Over, Status};
use ledger::Attempt;
use model::{BudgetName, NanoUsd, TenantName, Timestamp, Usage, UsageSource};
use tokio::sync::mpsc::OwnedPermit;

/// The longest text of an ending that is recorded, in bytes. The provider's id of a call is the provider's text, and must
/// not make an end too long to record: it would be lost, and its hold booked in full.
const MAX_TEXT: usize = 256;

/// How an attempt ended, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// How.
    pub status: Status,
    /// The provider's HTTP status.
    pub http: Option<u16>,
    /// Token counts, where known.
    pub usage: Option<Usage>,
    /// Where the cost comes from.
    pub source: UsageSource,
    /// What to book.
    pub cost: NanoUsd,
    /// From forwarding to the end, in microseconds.
    pub duration_us: u64,
    /// The length of the reply as delivered.
    pub bytes: u64,
    /// A commitment to the reply as delivered; empty where there was none.
    pub reply: String,
    /// The provider's id of the call.
    pub provider_id: Option<String>,
}

impl Ending {
    /// The end of an attempt that used nothing.
    pub fn unused(status: Status) -> Self {
        Self {
            status,
            http: None,
            usage: None,
            source: UsageSource::Nothing,
            cost: NanoUsd::ZERO,
            duration_us: 0,
            bytes: 0,
            reply: String::new(),
            provider_id: None,
        }
    }

    /// As the log has it. Nothing of unbounded length gets into it, so it can always be recorded.
    pub(crate) fn outcome(&self, attempt: Attempt, intent: u64, held: NanoUsd) -> Outcome {
        let cost = self.cost.at_least_zero();
        let fits = |text: &&String| text.len() <= MAX_TEXT;
        Outcome {
            action: attempt.action,
            attempt: attempt.number,
            intent,
            status: self.status,
            http: self.http,
            usage: self.usage,
            source: self.source,
            cost,
            overrun: cost.saturating_sub(held).at_least_zero(),
            duration_us: self.duration_us,
            bytes: self.bytes,
            reply: Some(&self.reply).filter(fits).cloned().unwrap_or_default(),
            provider_id: self.provider_id.as_ref().filter(fits).cloned(),
            spooled: None,
        }
    }

    /// The end of an attempt of which nobody knows what it used: the hold is booked in full.
    pub fn unknown(status: Status, held: NanoUsd) -> Self {
        Self {
            source: UsageSource::Hold,
            cost: held,
            ..Self::unused(status)
        }
    }
}

/// Tells the committer that an attempt ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) tenant: TenantName,
    pub(crate) attempt: Attempt,
    pub(crate) ending: Ending,
}

/// A budget that an attempt was booked in, and that is past a threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The budget.
    pub budget: BudgetName,
    /// The highest threshold that it had reached, in hundredths of its limit.
    pub percent: u8,
}

/// A reservation whose intent entry is durable. Only the committer makes one.
///
/// It ends by [`Hold::settle`]. A hold that is dropped ends too: in nothing if forwarding had not begun, in full if it
/// had. Its place in the committer's queue was taken when it was admitted, so ending never waits and never fails.
#[derive(Debug)]
#[must_use = "a hold ends in settle; dropped, it is booked in full once forwarding began"]
pub struct Hold {
    tenant: TenantName,
    attempt: Attempt,
    amount: NanoUsd,
    remaining: Option<NanoUsd>,
    warnings: Vec<Warning>,
    cautions: Vec<ledger::Warning>,
    intent: u64,
    placed: Timestamp,
    begun: bool,
    /// `None` only after the end was sent.
    slot: Option<OwnedPermit<End>>,
}

impl Hold {
    pub(crate) fn new(granted: Granted, slot: OwnedPermit<End>) -> Self {
        let Granted {
            tenant,
            attempt,
            amount,
            remaining,
            warnings,
            cautions,
            intent,
            placed,
        } = granted;
        Self {
            tenant,
            attempt,
            amount,
            remaining,
            warnings,
            cautions,
            intent,
            placed,
            begun: false,
            slot: Some(slot),
        }
    }

    /// The attempt it is for.
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// What is reserved.
    pub fn amount(&self) -> NanoUsd {
        self.amount
    }

    /// What was left in the tightest budget of money after this hold; `None` if no budget of money selects it.
    pub fn remaining(&self) -> Option<NanoUsd> {
        self.remaining
    }

    /// The budgets that were past a threshold when it was placed.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What circuit breakers warn of because of it.
    pub fn cautions(&self) -> &[ledger::Warning] {
        &self.cautions
    }

    /// The index of its intent entry.
    pub fn intent(&self) -> u64 {
        self.intent
    }

    /// The tenant's time when it was placed.
    pub fn placed(&self) -> Timestamp {
        self.placed
    }

    /// Says that the request is about to leave: from now on, not knowing means booking in full.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// Ends it.
    pub fn settle(mut self, ending: Ending) {
        self.finish(ending);
    }

    fn finish(&mut self, ending: Ending) {
        if let Some(slot) = self.slot.take() {
            slot.send(End {
                tenant: self.tenant.clone(),
                attempt: self.attempt,
                ending,
            });
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let ending = if self.begun {
            Ending::unknown(Status::Indeterminate, self.amount)
        } else {
            Ending::unused(Status::NotForwarded)
        };
        self.finish(ending);
    }
}

/// An attempt that waits for an administrator. Dropped, it is withdrawn.
#[derive(Debug)]
#[must_use = "dropped, the attempt is withdrawn"]
pub struct Pending {
    asked: Asked,
    slot: Option<OwnedPermit<End>>,
}

/// What the committer recorded of an attempt that waits, before it meets its place in the queue.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) tenant: TenantName,
    pub(crate) attempt: Attempt,
    pub(crate) over: Box<Over>,
    pub(crate) resets_at: Option<Timestamp>,
    pub(crate) until: Timestamp,
}

impl Pending {
    pub(crate) fn new(asked: Asked, slot: OwnedPermit<End>) -> Self {
        let slot = Some(slot);
        Self { asked, slot }
    }

    /// The budget that has no room.
    pub fn over(&self) -> &Over {
        &self.asked.over
    }

    /// When the budget resets by itself.
    pub fn resets_at(&self) -> Option<Timestamp> {
        self.asked.resets_at
    }

    /// Until when it waits at most: a question after that is answered with a refusal.
    pub fn until(&self) -> Timestamp {
        self.asked.until
    }

    /// It was answered: there is nothing to withdraw.
    pub fn answered(mut self) {
        self.slot = None;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.send(End {
                tenant: self.asked.tenant.clone(),
                attempt: self.asked.attempt,
                ending: Ending::unused(Status::NotForwarded),
            });
        }
    }
}

/// What the committer granted, before it meets its place in the queue.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) tenant: TenantName,
    pub(crate) attempt: Attempt,
    pub(crate) amount: NanoUsd,
    pub(crate) remaining: Option<NanoUsd>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) cautions: Vec<ledger::Warning>,
    pub(crate) intent: u64,
    pub(crate) placed: Timestamp,
}
