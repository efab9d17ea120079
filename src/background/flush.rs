//! Writes what waits in memory: when tokens were last used, and what else is kept off the path of requests.

use std::{
    fmt,
    future::{self, Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, OnceLock, Weak, atomic::Ordering::Relaxed},
    task::{Context, Poll},
    time::Instant,
};

use futures_util::future::select;
use time::Duration;

use crate::{
    api_tokens::{ApiTokens, Shared},
    event::Event,
    store::StoreError,
    time::timer,
    token::Timestamp,
};

impl ApiTokens {
    /// The one future to spawn: it writes last-used, at most one row a token and interval, in batches, and digests that
    /// were made anew under another pepper key, and it listens to what other nodes tell by a
    /// [signal](crate::ApiTokensBuilder::signal).
    ///
    /// [`prune_after`](Background::prune_after) has it delete tokens that ended long ago.
    ///
    /// It runs on any runtime and ends with [`close`](Self::close), or, at the latest after one interval, when the last
    /// handle is dropped. A write that fails is reported as [`Event::UsesNotWritten`] and tried again. If the process
    /// dies, the uses of the last interval are lost, and nothing else.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use keyfob::{ApiTokens, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// tokio::spawn(tokens.background());
    /// // … the service runs …
    /// tokens.close().await.unwrap();
    /// # });
    /// ```
    pub fn background(&self) -> Background {
        let (writing, listening, publishing) =
            (self.writing(), self.listening(), self.publishing());
        let (pruning, shared) = (Pruning::default(), self.downgrade());
        let (closing, after) = (self.closing().clone(), pruning.0.clone());
        // None waits for another. The first ends with the last handle.
        let running = Box::pin(async move {
            let _running = closing.run();
            let closed = poll_fn(|context| closing.poll_closed(context));
            let (writing, listening, publishing) =
                (pin!(writing), pin!(listening), pin!(publishing));
            let pruning = pin!(prune(shared, after.get().copied()));
            let others = select(select(listening, publishing), pruning);
            select(select(writing, others), closed).await;
        });
        Background { running, pruning }
    }

    /// Ends what [`background`](Self::background) does, and then writes all that waits as [`flush`](Self::flush) does.
    /// Call it when the service stops, and in a test before its database is dropped: what listens to a
    /// [signal](crate::ApiTokensBuilder::signal) ends, and its connection is closed right after.
    ///
    /// It waits for the background no longer than the [deadline](crate::ApiTokensBuilder::deadline): a future that
    /// nobody polls does not end. All clones of the handle go on to work. What waits is then written by
    /// [`flush`](Self::flush) and by lists only. What other nodes change shows here once what is remembered is too old.
    ///
    /// # Errors
    /// [`StoreError`] if a write fails. What is not written stays noted.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.closing().close();
        let ended = poll_fn(|context| self.closing().poll_ended(context));
        timer::in_time(Instant::now() + self.deadline(), ended).await;
        self.flush().await
    }

    fn writing(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = self.downgrade();
        let notify = self.usage().notify.clone();
        let interval = self.usage().interval;
        async move {
            // Only now, so that a future that nobody polls does not count as driven.
            let Some(driver) = Driver::new(shared) else {
                return;
            };
            loop {
                notify.or_after(interval).await;
                let Some(tokens) = ApiTokens::upgrade(&driver.0) else {
                    return;
                };
                // What failed is reported, kept and tried again after the next interval.
                let _ = tokens.write_uses().await;
                let _ = tokens.write_digests().await;
            }
        }
    }

    /// Writes all that waits: every use that is noted, and digests that were made anew. Then it waits until observers
    /// have been told what happened, no longer than the [deadline](crate::ApiTokensBuilder::deadline). A service that
    /// stops calls [`close`](Self::close).
    ///
    /// # Errors
    /// [`StoreError`] where a write fails; what is not written stays noted.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.publish_deferred().await;
        let written = self.write_uses().await;
        let digests = self.write_all_digests().await;
        timer::in_time(Instant::now() + self.deadline(), self.observers_are_drained()).await;
        written.and(digests)
    }

    async fn write_uses(&self) -> Result<(), StoreError> {
        let uses = self.usage().take_dropped();
        if uses > 0 {
            self.report(|| Event::UsesDropped { uses });
        }
        let written =
            self.usage().write(self.store(), self.ability_log().map(|it| &**it), self.now()).await;
        written.inspect_err(|error| {
            let (error, waiting) = (error.into(), self.usage().len());
            self.report(|| Event::UsesNotWritten { error, waiting });
        })
    }

    /// Writes some of the digests that wait, and tells whether that is all.
    async fn write_digests(&self) -> Result<bool, StoreError> {
        self.report_error(self.rekeying().write(self.store()).await)
    }

    /// Goes on behind a digest that can't be written: such a one waits no more.
    async fn write_all_digests(&self) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        loop {
            match self.write_digests().await {
                Ok(true) => return outcome,
                Ok(false) => {}
                Err(error @ (StoreError::Unavailable(_) | StoreError::Busy(_))) => {
                    return outcome.and(Err(error));
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
    }

    /// Writes what is late because nobody drives the background future, and says so once.
    pub(crate) async fn flush_if_abandoned(&self) {
        if !self.usage().is_abandoned(self.now()) {
            return;
        }
        if !self.closing().is_closed() && self.usage().warns_now() {
            self.report(|| Event::BackgroundNotDriven);
        }
        // A listing is not refused because last-used can't be written; flush has reported it. The next listing does not
        // wait for another try.
        if self.write_uses().await.is_err() {
            self.usage().postpone(self.now());
        }
    }
}

/// The work of [`ApiTokens::background`]: a future.
#[must_use = "it does nothing unless it is polled: spawn it"]
pub struct Background {
    running: Pin<Box<dyn Future<Output = ()> + Send>>,
    pruning: Pruning,
}

/// For how long tokens are kept that have ended.
#[derive(Default)]
struct Pruning(Arc<OnceLock<Duration>>);

/// The time between two times that tokens are pruned.
const PRUNED_EVERY: std::time::Duration = std::time::Duration::from_secs(3_600);

impl Background {
    /// Deletes tokens that were revoked, or expired, longer ago than this, as [`ApiTokens::prune`] does: at once, and
    /// then at least every hour. It does no harm that several nodes do.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use keyfob::{ApiTokens, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// tokio::spawn(tokens.background().prune_after(time::Duration::days(90)));
    /// # });
    /// ```
    pub fn prune_after(self, age: Duration) -> Self {
        // It is read when the future is first polled.
        let _ = self.pruning.0.set(age);
        self
    }
}

impl Future for Background {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.running.as_mut().poll(context)
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background")
            .field("prune_after", &self.pruning.0.get())
            .finish_non_exhaustive()
    }
}

async fn prune(shared: Weak<Shared>, after: Option<Duration>) {
    let Some(age) = after else { return future::pending().await };
    while let Some(tokens) = ApiTokens::upgrade(&shared) {
        let ended_before = tokens.now().checked_add(-age).unwrap_or(Timestamp::MIN);
        // A failure is reported, and the next time tries again.
        let _ = tokens.prune(ended_before).await;
        drop(tokens);
        timer::sleep_until(Instant::now() + timer::jittered(PRUNED_EVERY)).await;
    }
}

/// Counts as a driver of the log while it lives.
struct Driver(Weak<Shared>);

impl Driver {
    fn new(shared: Weak<Shared>) -> Option<Self> {
        ApiTokens::upgrade(&shared)?.usage().drivers.fetch_add(1, Relaxed);
        Some(Self(shared))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(tokens) = ApiTokens::upgrade(&self.0) {
            tokens.usage().drivers.fetch_sub(1, Relaxed);
        }
    }
}
