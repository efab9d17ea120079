//! What is changed on one node is no longer remembered on any: each forgets at once, and tells the others.

use std::{
    future,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::{
    api_tokens::ApiTokens,
    event::{Event, told},
    store::{CacheStats, CachedStore, Selection},
    time::timer,
    token::TokenId,
};

use super::signal::{self, Changed, Heard, SignalError};

/// Between two tries to connect a signal: this after the first, twice as long after each further one, up to the
/// longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl ApiTokens {
    /// What is remembered of tokens, and how often the store was asked for one; `None` where nothing
    /// [is remembered](crate::ApiTokensBuilder::max_staleness).
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, store::MemoryStore};
    /// let tokens = ApiTokens::builder(MemoryStore::new())
    ///     .prefix("acme")
    ///     .max_staleness(time::Duration::seconds(5))
    ///     .build()?;
    /// assert_eq!(tokens.cache_stats().unwrap().entries, 0);
    /// # Ok::<(), keyfob::BuildError>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn cache_stats(&self) -> Option<CacheStats> {
        self.cache().map(CachedStore::stats)
    }

    /// Lets no verification on this node go by what was read before of what others have changed. What is changed through
    /// the store of this handle, its cache forgets by itself.
    pub(crate) fn forget(&self, changed: &Changed) {
        if let Some(cache) = self.cache() {
            cache.outdate(changed);
        }
    }

    /// The same of all tokens that a step in a transaction of the application's own is about.
    pub(crate) fn forget_selected(&self, about: &Selection) {
        if let Some(cache) = self.cache() {
            cache.evict_selected(about);
        }
    }

    /// Has [`background`](Self::background) tell the other nodes of tokens, where nobody can wait for it.
    pub(crate) fn tell_later(&self, ids: &[TokenId]) {
        if self.signal().is_some() && !ids.is_empty() {
            self.untold().add(ids);
            self.untold().nudge.give();
        }
    }

    pub(crate) async fn tell_untold(&self) {
        let telling = self.untold().tell();
        self.tell(Changed::from(telling.ids().to_vec())).await;
        telling.ended();
    }

    /// Tells the other nodes, unless nothing was changed. Nobody waits long for them, and nothing fails by it: what they
    /// remember is too old soon in any case.
    pub(crate) async fn tell(&self, changed: Changed) {
        let Some(signal) = self.signal().filter(|_| changed != Changed::Tokens(Vec::new())) else {
            return;
        };
        let until = Instant::now() + self.deadline() / 4;
        let sent = timer::in_time(until, signal.send(&changed)).await;
        let sent = sent.unwrap_or_else(|| Err(SignalError::new("it was not sent in time")));
        if let Err(error) = sent {
            self.report(|| Event::SignalNotSent { error: told(&error) });
        }
    }

    /// Tells the other nodes of a step that was to end or to renew what a selection is about. Where it had nothing to
    /// change that is told as well: it may repeat one whose end nobody knew, so that nobody has told it.
    pub(crate) async fn tell_of(&self, about: &Selection, changed: &[TokenId]) {
        let told = match about {
            Selection::Tokens { ids, .. } if ids.len() <= signal::MOST => ids,
            _ => changed,
        };
        self.tell(Changed::of(told, about.owner())).await;
    }

    /// Tells the other nodes what nobody could wait for. It holds no handle.
    pub(crate) fn telling(&self) -> impl Future<Output = ()> + Send + use<> {
        let (untold, shared) = (self.untold().clone(), self.downgrade());
        async move {
            loop {
                untold.nudge.given().await;
                let Some(tokens) = Self::upgrade(&shared) else {
                    return;
                };
                tokens.tell_untold().await;
            }
        }
    }

    /// Listens to what other nodes tell, and connects anew where that is lost. It holds no handle.
    pub(crate) fn listening(&self) -> impl Future<Output = ()> + Send + use<> {
        // Who remembers nothing has no use for what the others tell.
        let signal = self.signal().filter(|_| self.cache().is_some()).cloned();
        let shared = self.downgrade();
        async move {
            let Some(signal) = signal else {
                return future::pending().await;
            };
            let is_lost = AtomicBool::new(false);
            let hear = |heard| {
                if let Some(tokens) = Self::upgrade(&shared) {
                    tokens.hear(heard, &is_lost);
                }
            };
            let mut pause = SHORTEST_PAUSE;
            loop {
                let begun = Instant::now();
                let Err(error) = signal.listen(&hear).await;
                let Some(tokens) = Self::upgrade(&shared) else {
                    return;
                };
                if !is_lost.swap(true, Relaxed) {
                    tokens.report(|| Event::SignalLost { error: told(&error) });
                }
                drop(tokens);
                // One that comes and goes is no better than one that does not come.
                if begun.elapsed() > LONGEST_PAUSE {
                    pause = SHORTEST_PAUSE;
                }
                timer::sleep_until(Instant::now() + timer::jittered(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    fn hear(&self, heard: Heard, is_lost: &AtomicBool) {
        match heard {
            Heard::Changed(changed) => self.forget(&changed),
            Heard::Connected => {
                // What was told before, nobody here has heard.
                self.forget(&Changed::All);
                if is_lost.swap(false, Relaxed) {
                    self.report(|| Event::SignalRestored);
                }
            }
        }
    }
}
