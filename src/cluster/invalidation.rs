//! Cache invalidation: evicts changed tokens on this node and publishes them to the other nodes.

use std::{
    future,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use crate::{
    api_tokens::ApiTokens,
    event::{Event, error_chain},
    store::{CacheStats, CachedStore, contract::Selection},
    time::timer,
    token::TokenId,
};

use super::signal::{self, Changed, SignalError, SignalMessage};

/// The pause before a signal is connected again. It doubles with each failed try, up to [`LONGEST_PAUSE`].
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl ApiTokens {
    /// Returns the statistics of the cache, or `None` without a [cache](crate::Cache::for_up_to).
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, Cache, store::MemoryStore};
    /// let tokens = ApiTokens::builder(MemoryStore::new())
    ///     .prefix("acme")
    ///     .cache(Cache::for_up_to(time::Duration::seconds(5)))
    ///     .build()?;
    /// assert_eq!(tokens.cache_stats().unwrap().entries, 0);
    /// # Ok::<(), keyfob::InvalidValue>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn cache_stats(&self) -> Option<CacheStats> {
        self.cache().map(CachedStore::stats)
    }

    /// Evicts what another node has changed. Changes through the store of this handle are evicted by its cache.
    pub(crate) fn evict(&self, changed: &Changed) {
        if let Some(cache) = self.cache() {
            cache.outdate(changed);
        }
    }

    /// Evicts the tokens that a step in a transaction of the application's own selects.
    pub(crate) fn evict_selected(&self, about: &Selection) {
        if let Some(cache) = self.cache() {
            cache.evict_selected(about);
        }
    }

    /// Queues tokens for [`background`](Self::background) to publish, for callers that can't wait, such as a `Drop`.
    pub(crate) fn publish_later(&self, ids: &[TokenId]) {
        if self.signal().is_some() && !ids.is_empty() {
            self.unpublished().add(ids);
            self.unpublished().notify.notify();
        }
    }

    pub(crate) async fn publish_deferred(&self) {
        let publishing = self.unpublished().publish();
        self.publish(Changed::from(publishing.ids().to_vec())).await;
        publishing.finish();
    }

    /// Publishes a change to the other nodes. Waits for a quarter of the deadline at most. An error is only reported: the
    /// cached records of the other nodes expire in any case.
    pub(crate) async fn publish(&self, changed: Changed) {
        let Some(signal) = self.signal().filter(|_| changed != Changed::Tokens(Vec::new())) else {
            return;
        };
        let until = Instant::now() + self.deadline() / 4;
        let sent = timer::in_time(until, signal.send(&changed)).await;
        let sent = sent.unwrap_or_else(|| Err(SignalError::new("it was not sent in time")));
        if let Err(error) = sent {
            self.report(|| Event::SignalNotSent { error: error_chain(&error) });
        }
    }

    /// Publishes the tokens of a revocation or rotation, also if it changed nothing: it may be the retry of a step that
    /// took effect and was not published.
    pub(crate) async fn publish_selection(&self, about: &Selection, changed: &[TokenId]) {
        let ids = match about {
            Selection::Tokens { ids, .. } if ids.len() <= signal::MOST => ids,
            _ => changed,
        };
        self.publish(Changed::of(ids, about.owner())).await;
    }

    /// Publishes the tokens that [`publish_later`](Self::publish_later) has queued. The future holds a weak reference, so
    /// it does not keep the handle alive.
    pub(crate) fn publishing(&self) -> impl Future<Output = ()> + Send + use<> {
        let (unpublished, shared) = (self.unpublished().clone(), self.downgrade());
        async move {
            loop {
                unpublished.notify.notified().await;
                let Some(tokens) = Self::upgrade(&shared) else {
                    return;
                };
                tokens.publish_deferred().await;
            }
        }
    }

    /// Evicts what other nodes publish, and connects again if the connection is lost. The future holds a weak reference,
    /// so it does not keep the handle alive.
    pub(crate) fn listening(&self) -> impl Future<Output = ()> + Send + use<> {
        // Without a cache there is nothing to evict.
        let signal = self.signal().filter(|_| self.cache().is_some()).cloned();
        let shared = self.downgrade();
        async move {
            let Some(signal) = signal else {
                return future::pending().await;
            };
            let is_lost = AtomicBool::new(false);
            let on_message = |message| {
                if let Some(tokens) = Self::upgrade(&shared) {
                    tokens.on_message(message, &is_lost);
                }
            };
            let mut pause = SHORTEST_PAUSE;
            loop {
                let begun = Instant::now();
                let Err(error) = signal.listen(&on_message).await;
                let Some(tokens) = Self::upgrade(&shared) else {
                    return;
                };
                if !is_lost.swap(true, Relaxed) {
                    tokens.report(|| Event::SignalLost { error: error_chain(&error) });
                }
                drop(tokens);
                // A connection that lasted less than the longest pause counts as a failed try.
                if begun.elapsed() > LONGEST_PAUSE {
                    pause = SHORTEST_PAUSE;
                }
                timer::sleep_until(Instant::now() + timer::jittered(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }

    fn on_message(&self, message: SignalMessage, is_lost: &AtomicBool) {
        match message {
            SignalMessage::Changed(changed) => self.evict(&changed),
            SignalMessage::Connected => {
                // Messages that were published before the connection was made may be lost, so everything is evicted.
                self.evict(&Changed::All);
                if is_lost.swap(false, Relaxed) {
                    self.report(|| Event::SignalRestored);
                }
            }
        }
    }
}
