//! How often a token may be used.
//!
//! A [`RateLimiter`] keeps a bucket for each [`Payer`], as a rule a token, and each [name](Charge::new) of a limit. With 60 requests in 60
//! seconds, a bucket holds 60, and a second brings one back: the generic cell rate algorithm, GCRA.
//! * **All at once is fine**: 60 requests in one instant pass, the 61st is refused.
//! * **A steady client is never refused**: one request a second passes for ever. No window begins or ends anywhere.
//! * **Any period admits fewer than twice the limit**: in no 60 seconds, from an instant until just before the same one
//!   a minute later, do 120 pass, whatever the pattern.
//! * **A `Retry-After` that is obeyed is followed by success**, as long as nobody else uses the token; a second less
//!   would not do.
//! * **A refusal by a limit costs nothing**: a client that comes too early waits no longer for it. A request that is
//!   charged to several limits is charged to none of them if one refuses it.
//! * **Nobody waits longer than the period**, also when the clock is put back. A clock that is put back by a second or
//!   less stands still until it has caught up.
//!
//! The time that brings a request back is rounded up to the nanosecond, and the period is as many of these as the limit
//! has requests. A second is exact; 59 in a minute come back every 1.016949153 seconds, all of them in 27 nanoseconds
//! more than the minute, which are 61 whole seconds.
//!
//! Each process counts for itself, or several share their buckets on a Redis server, with the same outcome to the
//! request.
//!
//! Only a token that has been verified is to be charged: a stranger who knows its id must not use up its limit.

mod charge;
mod error;
mod event;
mod gcra;
mod local;
mod payer;
mod quota;
#[cfg(feature = "redis")]
mod redis;

use std::{
    fmt,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

pub(crate) use self::quota::Receipt;
#[cfg(feature = "redis")]
pub use self::redis::{RedisLimits, WhileAway};
pub use self::{
    charge::Charge,
    error::LimitError,
    event::LimiterEvent,
    payer::Payer,
    quota::{Quota, RateLimited},
};

use self::local::Local;

const BUCKETS: usize = 100_000;

/// Counts what tokens use.
///
/// Clones are cheap and share their counts.
///
/// ```
/// # futures_executor::block_on(async {
/// use std::time::{Duration, SystemTime};
/// use keyfob::{TokenId, limit::{Charge, LimitError, RateLimiter}, token::RateLimit};
///
/// let limiter = RateLimiter::local();
/// let charge = Charge::new("default", RateLimit::new(60, time::Duration::MINUTE)?)?;
/// let (token, now) = (TokenId::from_u128(1), SystemTime::now());
/// for remaining in (0..60).rev() {
///     assert_eq!(limiter.charge(token, &charge, now).await?.remaining, remaining);
/// }
/// let Err(LimitError::Reached(refused)) = limiter.charge(token, &charge, now).await else { panic!() };
/// assert_eq!((refused.retry_after, refused.quota.resets_in), (1, 60));
/// assert!(limiter.charge(token, &charge, now + Duration::from_secs(1)).await.is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct RateLimiter(Counts);

#[derive(Clone)]
enum Counts {
    Local(Arc<Local>),
    #[cfg(feature = "redis")]
    Shared(Arc<redis::Shared>),
}

impl RateLimiter {
    /// A limiter that counts in this process, in up to 100,000 buckets.
    ///
    /// Each process counts for itself: behind a balancer, three of them admit up to three times the limit.
    #[must_use]
    pub fn local() -> Self {
        Self::local_with_capacity(BUCKETS)
    }

    /// A limiter that counts in this process, in up to so many buckets, at least one.
    ///
    /// A bucket takes 50 to 100 bytes: 100,000 of them take 6 MB. One that is full again is dropped, by and by, as
    /// charges come; so only tokens that were used within about a period take memory.
    ///
    /// Are there more such tokens than buckets, counting is no longer exact, in favour of the clients: for each bucket
    /// too many, one that is nearest to being full again is dropped, which loses the least. Buckets lie in shards that
    /// don't fill up quite evenly, so this begins a little below the capacity. Give twice as many as there are tokens
    /// in use at a time.
    #[must_use]
    pub fn local_with_capacity(buckets: usize) -> Self {
        Self(Counts::Local(Arc::new(Local::new(buckets))))
    }

    /// A limiter that shares its counts with all that have the same server and [prefix](RedisLimits::prefix), by the
    /// clock of that server: as many requests pass as the limit says, whatever process they come to.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn redis(limits: RedisLimits) -> Self {
        Self(Counts::Shared(Arc::new(redis::Shared::new(limits, Local::new(BUCKETS)))))
    }

    /// Charges a request to a token, a session or an owner, if there is enough left.
    ///
    /// The instant is that of the application's clock; a shared limiter goes by the clock of its server. Instants
    /// before 1970 count as 1970. A limiter of this process waits for nothing. A future that is dropped before a shared
    /// one has answered may have charged the request or not.
    ///
    /// # Errors
    /// [`LimitError::Reached`] where the limit is reached; then nothing was charged. A shared limiter knows other
    /// reasons not to let a request through.
    pub async fn charge(
        &self,
        payer: impl Into<Payer>,
        charge: &Charge,
        now: SystemTime,
    ) -> Result<Quota, LimitError> {
        self.charge_for(payer.into(), charge, now).await.map(|receipt| receipt.quota)
    }

    /// The same, with what is needed to give it back.
    #[cfg_attr(not(feature = "redis"), expect(clippy::unused_async))]
    pub(crate) async fn charge_for(
        &self,
        payer: Payer,
        charge: &Charge,
        now: SystemTime,
    ) -> Result<Receipt, LimitError> {
        match &self.0 {
            Counts::Local(local) => local.charge(payer, charge, now),
            #[cfg(feature = "redis")]
            Counts::Shared(shared) => shared.charge(payer, charge, now).await,
        }
    }

    /// Gives back what [`charge`](Self::charge) took for a request that another limit refused: the same payer and charge.
    /// It returns the state of the limit afterwards. An [`Authenticator`](crate::web) does this by itself.
    ///
    /// Call it at once: what has come back by itself meanwhile would be given back twice.
    ///
    /// # Errors
    /// [`LimitError::Unavailable`] and [`LimitError::Corrupt`], from a shared limiter. Then it was given back or not.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use std::time::SystemTime;
    /// use keyfob::{TokenId, limit::{Charge, RateLimiter}, token::RateLimit};
    ///
    /// let limiter = RateLimiter::local();
    /// let upload = Charge::new("uploads", RateLimit::new(60, time::Duration::MINUTE)?)?.cost(5)?;
    /// let (token, now) = (TokenId::from_u128(1), SystemTime::now());
    /// assert_eq!(limiter.charge(token, &upload, now).await?.remaining, 55);
    /// assert_eq!(limiter.refund(token, &upload, now).await?.remaining, 60);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    #[cfg_attr(not(feature = "redis"), expect(clippy::unused_async))]
    pub async fn refund(
        &self,
        payer: impl Into<Payer>,
        charge: &Charge,
        now: SystemTime,
    ) -> Result<Quota, LimitError> {
        let payer = payer.into();
        match &self.0 {
            Counts::Local(local) => Ok(local.refund(payer, charge, charge.price(), now)),
            #[cfg(feature = "redis")]
            Counts::Shared(shared) => shared.refund(payer, charge, charge.price(), now).await,
        }
    }

    /// Returns `true` if it counts in this process.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.0, Counts::Local(_))
    }

    /// Returns `true` if both count in the same place, as clones do.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Counts::Local(one), Counts::Local(other)) => Arc::ptr_eq(one, other),
            #[cfg(feature = "redis")]
            (Counts::Shared(one), Counts::Shared(other)) => Arc::ptr_eq(one, other),
            #[cfg(feature = "redis")]
            _ => false,
        }
    }

    /// Charges at once; `None` if a server has to be asked.
    #[cfg_attr(not(feature = "redis"), expect(clippy::unnecessary_wraps))]
    pub(crate) fn try_charge(
        &self,
        payer: Payer,
        charge: &Charge,
        now: SystemTime,
    ) -> Option<Result<Receipt, LimitError>> {
        match &self.0 {
            Counts::Local(local) => Some(local.charge(payer, charge, now)),
            #[cfg(feature = "redis")]
            Counts::Shared(_) => None,
        }
    }

    /// Gives back what is counted in this process.
    pub(crate) fn refund_at_once(
        &self,
        payer: Payer,
        charge: &Charge,
        amount: u64,
        now: SystemTime,
    ) {
        match &self.0 {
            Counts::Local(local) => _ = local.refund(payer, charge, amount, now),
            #[cfg(feature = "redis")]
            Counts::Shared(_) => {}
        }
    }

    /// Gives back what is counted on a server. If that is away, it is lost.
    #[cfg_attr(not(feature = "redis"), expect(clippy::unused_async, unused_variables))]
    pub(crate) async fn refund_elsewhere(
        &self,
        payer: Payer,
        charge: &Charge,
        amount: u64,
        now: SystemTime,
    ) {
        match &self.0 {
            Counts::Local(_) => {}
            #[cfg(feature = "redis")]
            Counts::Shared(shared) => _ = shared.refund(payer, charge, amount, now).await,
        }
    }

    /// Returns an event once when shared counts can't be reached any more, and once when they can again. An
    /// `Authenticator` calls this after each charge and reports it as an [event](crate::Event::LimitsAway). Call it if you
    /// charge without one.
    #[must_use]
    pub fn take_event(&self) -> Option<LimiterEvent> {
        match &self.0 {
            Counts::Local(_) => None,
            #[cfg(feature = "redis")]
            Counts::Shared(shared) => shared.take_event(),
        }
    }

    /// How many buckets are held in this process, for metrics: near the capacity, it is time for more.
    #[must_use]
    pub fn buckets(&self) -> usize {
        match &self.0 {
            Counts::Local(local) => local.buckets(),
            #[cfg(feature = "redis")]
            Counts::Shared(shared) => shared.local.buckets(),
        }
    }
}

impl Default for RateLimiter {
    fn default() -> Self {
        Self::local()
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").finish_non_exhaustive()
    }
}

/// Since 1970, until the year 2554.
fn nanoseconds(instant: SystemTime) -> u64 {
    let since = instant.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
