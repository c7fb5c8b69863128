//! What agents may still spend while nothing can be recorded.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use model::{AgentName, NanoUsd, TenantName};

/// Whose allowance, and how much is left of it.
pub(crate) type Allowances = HashMap<(TenantName, AgentName), NanoUsd>;

/// What is left of each allowance, and whether it may be spent now. Never more than what the log has reserved.
#[derive(Debug, Default)]
pub(crate) struct Purse(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    open: bool,
    left: Allowances,
}

impl Purse {
    /// From now on allowances may be spent.
    pub(crate) fn open(&self) {
        self.inside().open = true;
    }

    /// From now on they may not.
    pub(crate) fn close(&self) {
        self.inside().open = false;
    }

    /// Whether allowances may be spent.
    pub(crate) fn is_open(&self) -> bool {
        self.inside().open
    }

    /// Takes an amount out of an agent's allowance, if it may be spent now and there is so much left; what is left then.
    pub(crate) fn take(&self, whose: &(TenantName, AgentName), amount: NanoUsd) -> Option<NanoUsd> {
        let mut inside = self.inside();
        if !inside.open {
            return None;
        }
        let left = inside.left.get_mut(whose).filter(|left| **left >= amount)?;
        *left = left.saturating_sub(amount);
        Some(*left)
    }

    /// Puts back what was not used.
    pub(crate) fn put_back(&self, whose: &(TenantName, AgentName), amount: NanoUsd) {
        if let Some(left) = self.inside().left.get_mut(whose) {
            *left = left.saturating_add(amount);
        }
    }

    /// The log is about to reserve other allowances, and it is not known whether it will have: the lesser ones count.
    pub(crate) fn lower_to(&self, coming: &Allowances) {
        self.inside().left.retain(|whose, left| {
            let coming = coming.get(whose).copied();
            *left = coming.map_or(NanoUsd::ZERO, |coming| coming.min(*left));
            coming.is_some()
        });
    }

    /// These are reserved in the log.
    pub(crate) fn fill(&self, reserved: Allowances) {
        self.inside().left = reserved;
    }

    /// Nothing panics while it holds the lock, so a poisoned one is as good.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
