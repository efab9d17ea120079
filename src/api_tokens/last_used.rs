use time::Duration;

use crate::{
    background::usage::UsageLog,
    token::{InvalidValue, Rule},
};

/// How the last use of each token is written: late, in batches, off the path of requests.
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

    /// Sets how many tokens may have uses that wait to be written. Each keeps its record in memory, and together these
    /// take at most as many KiB; a plain token takes a third of one. Uses of further tokens are dropped and
    /// [reported](crate::Event::UsesDropped). Default: 100,000, and so 100 MB.
    pub fn capacity(mut self, tokens: usize) -> Self {
        self.capacity = tokens;
        self
    }

    /// Sets if it is kept which abilities each token has used, for
    /// [`TokenRecord::unused_abilities`](crate::TokenRecord::unused_abilities). It costs a lock for each ability that
    /// is asked for. Default: `false`.
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
