use time::Duration;

use crate::{
    background::usage::UsageLog,
    token::{InvalidValue, Rule},
};

/// Settings of how the last use of each token is written: in batches, off the path of requests.
///
/// [`ApiTokens::background`](crate::ApiTokens::background) writes them. Nothing is written until it is spawned.
///
/// ```
/// use keyfob::{ApiTokens, LastUsed, store::MemoryStore};
/// use time::Duration;
///
/// let tokens = ApiTokens::builder(MemoryStore::new())
///     .prefix("acme")
///     .last_used(LastUsed::every(Duration::seconds(10)).track_abilities(true))
///     .build()?;
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct LastUsed {
    interval: Duration,
    capacity: usize,
    pub(super) tracks_abilities: bool,
}

impl LastUsed {
    /// Sets the interval at which uses are written, and so how much of them a crash may lose: at least one second.
    /// Default: a minute.
    pub fn every(interval: Duration) -> Self {
        Self { interval, ..Self::default() }
    }

    /// Sets how many tokens may have unwritten uses. Each keeps its record in memory, and together these take at most as many
    /// KiB; a plain token takes a third of one. Uses of further tokens are dropped and
    /// [reported](crate::Event::UsesDropped). Default: 100,000, and so 100 MB.
    pub fn capacity(mut self, tokens: usize) -> Self {
        self.capacity = tokens;
        self
    }

    /// Records the abilities that each token uses, for
    /// [`TokenRecord::unused_abilities`](crate::TokenRecord::unused_abilities): each that a handler, a guard, or
    /// [`VerifiedToken::can`](crate::VerifiedToken::can) asks for and the token holds. It costs a lock for each. Default:
    /// `false`.
    pub fn track_abilities(mut self, track: bool) -> Self {
        self.tracks_abilities = track;
        self
    }

    /// `is_heard` if an observer is told of uses that are dropped.
    pub(super) fn log(self, is_heard: bool) -> Result<UsageLog, InvalidValue> {
        if self.interval < Duration::SECOND {
            let rule = Rule::other("must be written at intervals of at least one second");
            return Err(rule.broken_by("last_used"));
        }
        Ok(UsageLog::new(self.interval.unsigned_abs(), self.capacity, is_heard))
    }
}

impl Default for LastUsed {
    fn default() -> Self {
        Self { interval: Duration::MINUTE, capacity: 100_000, tracks_abilities: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_at_least_a_second() {
        let is_valid = |interval| LastUsed::every(interval).log(false).is_ok();
        assert!(is_valid(Duration::SECOND) && is_valid(Duration::MAX));
        for interval in [Duration::milliseconds(999), Duration::ZERO, -Duration::SECOND] {
            assert!(!is_valid(interval), "{interval}");
        }
    }
}
