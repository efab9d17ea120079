use crate::token::RateLimit;

use super::{Charge, Counts, LimitError, RateLimiter, gcra::Charged};

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

/// A charge that passed, with all that is needed to give it back.
#[derive(Clone, Debug)]
pub(crate) struct Receipt {
    pub(crate) quota: Quota,
    /// It is one of this process also where the shared one was away.
    pub(crate) counted_by: RateLimiter,
    /// In so many nanoseconds the bucket would be full, if nothing else was charged since.
    pub(crate) used: u64,
}

impl RateLimited {
    /// The same where so much of the limit is given back.
    pub(crate) fn with_refund(self, requests: u32) -> Self {
        let remaining = self.quota.remaining.saturating_add(requests);
        let remaining = remaining.min(self.quota.limit.requests());
        Self { quota: Quota { remaining, ..self.quota }, ..self }
    }
}

impl Charged {
    pub(super) fn outcome(self, of: &Charge, by: Counts) -> Result<Receipt, LimitError> {
        let quota = self.quota(of);
        if let Some(retry_after) = self.retry_after {
            Err(RateLimited { quota, retry_after }.into())
        } else {
            Ok(Receipt { quota, counted_by: RateLimiter(by), used: self.used })
        }
    }

    pub(super) fn quota(self, of: &Charge) -> Quota {
        let Self { remaining, resets_in, .. } = self;
        Quota { name: of.name(), limit: of.limit(), remaining, resets_in }
    }
}
