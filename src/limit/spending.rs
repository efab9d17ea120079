//! What one request is charged in several places: each attempt is charged all of it again.

use super::{
    Charge, Quota, RateLimited,
    charge::DEFAULT,
    gcra::{SECOND, interval, saturated},
};

impl Charge {
    pub(crate) fn is_default(&self) -> bool {
        self.name() == DEFAULT
    }

    /// How much of a limit this is.
    pub(crate) fn spent_of(&self, charge: &Self) -> u32 {
        let same = (self.name(), self.limit()) == (charge.name(), charge.limit());
        if same { self.requests().get() } else { 0 }
    }

    /// The same where so much of the limit was charged before: in all that is the whole limit at most, or the request
    /// could never pass. `None` where nothing is left to charge.
    pub(crate) fn after(self, spent: u32) -> Option<Self> {
        let most = self.limit().requests().saturating_sub(spent);
        self.cost(self.requests().get().min(most)).ok()
    }

    pub(crate) fn plus(self, spent: u32) -> Self {
        self.cost(self.requests().get().saturating_add(spent)).unwrap_or(self)
    }
}

impl Quota {
    /// Whole seconds, rounded up, after which the same charge passes again.
    pub(crate) fn passes_in(&self, charge: &Charge) -> u32 {
        let others = self.limit.requests().saturating_sub(charge.requests().get());
        let spare = interval(self.limit) * u64::from(others);
        self.resets_in.saturating_sub(saturated(spare / SECOND))
    }
}

impl RateLimited {
    /// `retry_after` where so much of the same limit is charged before.
    pub(crate) fn retry_after_spending(&self, spent: u32) -> u32 {
        let more = interval(self.quota.limit) * u64::from(spent);
        self.retry_after.saturating_add(saturated(more.div_ceil(SECOND)))
    }
}
