use std::sync::Arc;

use time::Duration;

use crate::{
    store::{CACHE_CAPACITY, CachedStore, LONGEST_STALENESS, TokenStore},
    time::Clock,
    token::{InvalidValue, Rule},
};

/// A cache of tokens on this node, for verification.
///
/// * A change through this handle takes effect at once for this handle, also if its outcome is not known.
/// * A change on another node, or past keyfob, takes effect after the staleness at the latest. If a
///   [signal](crate::ApiTokensBuilder::signal) connects the nodes, it usually takes milliseconds.
/// * The staleness begins when the query to the store begins. It goes by the monotonic clock or by the wall clock,
///   whichever has advanced more. After it the store is asked again. If the store does not answer, verification fails.
/// * Expiry, and everything else that depends on the time, is judged on each verification.
/// * A token that is known to be revoked is refused beyond the staleness too.
///
/// Refusals of the store (an unknown id, a wrong secret, a secret that a rotation replaced) are cached for the same
/// time. The use of a replaced secret is [reported](crate::Event::RetiredSecretUsed) once in that time.
///
/// ```
/// use keyfob::{ApiTokens, Cache, store::MemoryStore};
/// use time::Duration;
///
/// let tokens = ApiTokens::builder(MemoryStore::new())
///     .prefix("acme")
///     .cache(Cache::for_up_to(Duration::seconds(5)).capacity(10_000))
///     .build()?;
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Cache {
    pub(super) staleness: Duration,
    capacity: usize,
}

impl Cache {
    /// Sets the staleness: for how long what was read of a token may be used. At most 60 seconds; 5 seconds are a good
    /// choice. With zero there is no cache.
    pub fn for_up_to(staleness: Duration) -> Self {
        Self { staleness, capacity: CACHE_CAPACITY }
    }

    /// Sets how many tokens are kept at most. Together they take at most as many KiB; a plain token takes a third of one.
    /// Default: 100,000, and so 100 MB.
    pub fn capacity(mut self, tokens: usize) -> Self {
        self.capacity = tokens;
        self
    }

    /// The cache around a store, if there is one.
    pub(super) fn around(
        self,
        store: &Arc<dyn TokenStore>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Arc<CachedStore>>, InvalidValue> {
        check_staleness(self.staleness, "cache")?;
        let staleness = self.staleness.unsigned_abs();
        let cached = || CachedStore::new(store.clone(), clock.clone(), staleness, self.capacity);
        Ok((!staleness.is_zero()).then(|| Arc::new(cached())))
    }
}

/// Returns an error if this is not a time for which an answer may be used.
pub(super) fn check_staleness(staleness: Duration, name: &'static str) -> Result<(), InvalidValue> {
    let rule = Rule::other("must be for at least 0 and at most 60 seconds");
    let fits = (Duration::ZERO..=LONGEST_STALENESS).contains(&staleness);
    fits.then_some(()).ok_or(rule.broken_by(name))
}
