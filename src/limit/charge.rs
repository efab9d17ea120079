use std::num::NonZeroU32;

use crate::token::{InvalidValue, RateLimit, Rule};

use super::gcra;

const LONGEST_NAME: usize = 32;
pub(super) const DEFAULT: &str = "default";

/// What a request is charged: a limit with a name, and what the request costs of it.
///
/// Requests that are charged under one name draw on one bucket; another name is another bucket, so that uploads can
/// run out while all else goes on.
///
/// ```
/// use keyfob::{limit::Charge, token::RateLimit};
///
/// let limit = RateLimit::new(60, time::Duration::MINUTE)?;
/// let request = Charge::new("default", limit)?;
/// let export = request.cost(5)?;
/// assert_eq!((export.name(), export.limit()), ("default", limit));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    name: &'static str,
    limit: RateLimit,
    cost: NonZeroU32,
    per_owner: bool,
}

/// The name stands in headers and in keys.
const NAME: InvalidValue = Rule::other("must be 1 to 32 of [a-z0-9_-]").broken_by("charge");
const COST: InvalidValue = Rule::other("must be at least one request").broken_by("cost");

impl Charge {
    /// A request that costs one of a limit.
    ///
    /// # Errors
    /// [`InvalidValue`] if the name is not 1 to 32 of `[a-z0-9_-]`.
    pub fn new(name: &'static str, limit: RateLimit) -> Result<Self, InvalidValue> {
        let fits = (1..=LONGEST_NAME).contains(&name.len())
            && name.bytes().all(|it| matches!(it, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
        fits.then_some(Self { name, limit, cost: NonZeroU32::MIN, per_owner: false }).ok_or(NAME)
    }

    /// A request that costs one of the limit named `default`: the one that is charged for every request of a token, and
    /// that a token's own limit replaces. A guard that charges it charges more of the same, in all the whole limit at most.
    #[must_use]
    pub const fn of(limit: RateLimit) -> Self {
        Self { name: DEFAULT, limit, cost: NonZeroU32::MIN, per_owner: false }
    }

    /// Sets what the request costs, in requests.
    ///
    /// What costs more than the whole limit costs the whole limit: otherwise it could never pass, and no `Retry-After`
    /// would be true.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is zero.
    pub fn cost(self, requests: u32) -> Result<Self, InvalidValue> {
        let cost = NonZeroU32::new(requests).ok_or(COST)?;
        Ok(Self { cost, ..self })
    }

    /// Shares the limit among all tokens and sessions of an owner. A token's own limit does not replace it. A
    /// [`Guard`](crate::web::Guard) names the payer by this. If you call a [`RateLimiter`](super::RateLimiter) directly, pass
    /// [`Payer::owner`](super::Payer::owner).
    ///
    /// ```
    /// use keyfob::{limit::Charge, token::RateLimit};
    ///
    /// let exports = Charge::new("exports", RateLimit::new(10, time::Duration::DAY)?)?.per_owner();
    /// assert!(exports.is_per_owner());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn per_owner(self) -> Self {
        Self { per_owner: true, ..self }
    }

    /// Replaces the limit, as by the one that a token has of its own; name and cost stay.
    #[must_use]
    pub fn with_limit(self, limit: RateLimit) -> Self {
        Self { limit, ..self }
    }

    /// The name of the limit.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> RateLimit {
        self.limit
    }

    /// Returns `true` if all tokens and sessions of an owner share the limit.
    #[must_use]
    pub fn is_per_owner(&self) -> bool {
        self.per_owner
    }

    pub(super) fn requests(&self) -> NonZeroU32 {
        self.cost
    }

    /// The nanoseconds in which what it takes comes back.
    pub(crate) fn price(&self) -> u64 {
        gcra::price(self.limit, self.cost)
    }
}

/// Charges for one request in several places.
impl Charge {
    /// How many requests it costs.
    pub(crate) fn requests_charged(&self) -> u32 {
        self.cost.get()
    }

    /// Returns `true` if a token's own limit replaces it.
    pub(crate) fn is_replaceable(&self) -> bool {
        self.name() == DEFAULT && !self.per_owner
    }

    /// Returns `true` if both draw on one bucket.
    pub(crate) fn shares_bucket(&self, other: &Self) -> bool {
        (self.name, self.limit, self.per_owner) == (other.name, other.limit, other.per_owner)
    }

    /// The same where these were charged before: at most the whole limit in all, or the request could never pass.
    /// `None` if nothing is left to charge.
    pub(crate) fn beside(self, earlier: impl Iterator<Item = Self>) -> Option<Self> {
        let spent = earlier.filter(|it| it.shares_bucket(&self)).map(|it| it.cost.get());
        let left = self.limit().requests().saturating_sub(spent.fold(0, u32::saturating_add));
        self.cost(self.cost.get().min(left)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_hold_at_their_edges() {
        let limit = RateLimit::new(60, time::Duration::MINUTE).unwrap();
        for good in ["a", "0", "-", "per_token-2", "abcdefghijklmnopqrstuvwxyz012345"] {
            assert_eq!(Charge::new(good, limit).map(|it| it.name()), Ok(good));
        }
        for bad in ["", "A", "a b", "a:b", "a\"", "é", "abcdefghijklmnopqrstuvwxyz0123456"] {
            assert_eq!(Charge::new(bad, limit), Err(NAME), "{bad}");
        }
        let charge = Charge::new("a", limit).unwrap();
        assert_eq!(charge.cost(0), Err(COST));
        assert_eq!(charge.cost(u32::MAX).map(|it| it.requests()), Ok(NonZeroU32::MAX));
    }
}
