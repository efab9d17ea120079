use crate::token::RateLimit;

use super::{Charge, LimitError, gcra::Charged};

/// The state of a limit after a request was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quota {
    /// The name of the limit.
    pub name: &'static str,
    /// The limit that was charged.
    pub limit: RateLimit,
    /// How many requests that cost one would pass now.
    pub remaining: u32,
    /// Whole seconds, rounded up, until nothing of the limit is used.
    pub resets_in: u32,
}

/// The limit is reached: the request was refused, and nothing was charged for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit is reached: the next request may come in {retry_after} s")]
#[non_exhaustive]
pub struct RateLimited {
    /// The state of the limit. Where a request costs more than one, something can be left.
    pub quota: Quota,
    /// Whole seconds, rounded up, at least 1, after which the same request passes if none came between.
    pub retry_after: u32,
}

impl Charged {
    pub(super) fn outcome(self, of: &Charge) -> Result<Quota, LimitError> {
        let quota = self.quota(of);
        let refused = self.retry_after.map(|retry_after| RateLimited { quota, retry_after }.into());
        refused.map_or(Ok(quota), Err)
    }

    pub(super) fn quota(self, of: &Charge) -> Quota {
        let Self { remaining, resets_in, .. } = self;
        Quota { name: of.name(), limit: of.limit(), remaining, resets_in }
    }
}
