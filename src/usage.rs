//! Last-used: noted in memory, written in batches, off the path of a request.

use std::{
    collections::{HashMap, hash_map::Entry},
    future::{Future, poll_fn},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use foldhash::fast::RandomState;
use futures_timer::Delay;
use futures_util::task::AtomicWaker;

use crate::{
    ApiTokens, Event,
    api_tokens::Shared,
    store::{StoreError, TokenStore, Use},
    token::{Timestamp, TokenId, TokenRecord},
};

/// How many tokens may have uses that wait to be written. Beyond, uses of further tokens are let go and reported.
const MOST_WAITING: usize = 100_000;
/// How many uses go to the store in one call.
const BATCH: usize = 1_000;

/// The uses that are noted and not yet written.
#[derive(Debug)]
pub(crate) struct UsageLog {
    interval: Duration,
    log: Mutex<Log>,
    dropped: AtomicU64,
    drivers: AtomicUsize,
    warned: AtomicBool,
    nudge: Arc<Nudge>,
}

#[derive(Debug, Default)]
struct Log {
    /// A token's first use since the last flush puts its record here; later uses are noted in the record alone.
    waiting: HashMap<TokenId, Waiting, RandomState>,
    /// What a flush is writing, or was writing when it failed or was dropped.
    writing: HashMap<TokenId, Use, RandomState>,
    oldest: Option<Timestamp>,
}

#[derive(Debug)]
struct Waiting {
    record: Arc<TokenRecord>,
    from: Option<IpAddr>,
}

/// Wakes the background future before its time.
#[derive(Debug, Default)]
struct Nudge {
    given: AtomicBool,
    waker: AtomicWaker,
}

impl UsageLog {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            log: Mutex::default(),
            dropped: AtomicU64::new(0),
            drivers: AtomicUsize::new(0),
            warned: AtomicBool::new(false),
            nudge: Arc::default(),
        }
    }

    /// Notes a use. Mostly this is a compare in the record; once a token and interval it takes a lock.
    pub(crate) fn note(&self, record: &Arc<TokenRecord>, now: Timestamp, from: Option<IpAddr>) {
        if !record.noted.touch(now, from) {
            self.enter(record, now, from);
        }
    }

    #[cold]
    fn enter(&self, record: &Arc<TokenRecord>, now: Timestamp, from: Option<IpAddr>) {
        let mut log = self.lock();
        let others = log.len();
        match log.waiting.entry(record.id) {
            Entry::Occupied(mut entry) => {
                // The token came with another record, or from another address: the latest record is the one that waits.
                let waiting = entry.get_mut();
                let noted = waiting.record.noted.close();
                if noted.is_none_or(|noted| noted <= now) {
                    waiting.from = from;
                }
                record.noted.open(now.max(noted.unwrap_or(now)), waiting.from);
                waiting.record = record.clone();
            }
            Entry::Vacant(_) if others >= MOST_WAITING => {
                self.dropped.fetch_add(1, Relaxed);
            }
            Entry::Vacant(entry) => {
                record.noted.open(now, from);
                entry.insert(Waiting { record: record.clone(), from });
                log.oldest.get_or_insert(now);
                // Once, on the way up: while writes fail, every further use would have them tried again.
                if others + 1 == MOST_WAITING / 2 {
                    self.nudge.give();
                }
            }
        }
    }

    /// The latest use of a token that is noted and not yet written.
    fn latest(log: &Log, id: TokenId) -> Option<(Timestamp, Option<IpAddr>)> {
        let drained = log.writing.get(&id).map(|it| (it.at, it.from));
        let noted = log.waiting.get(&id).and_then(|it| Some((it.record.noted.latest()?, it.from)));
        drained.into_iter().chain(noted).max_by_key(|(at, _)| *at)
    }

    /// Shows in records what is noted and not yet written.
    pub(crate) fn show_in<'a>(&self, records: impl IntoIterator<Item = &'a mut TokenRecord>) {
        let log = self.lock();
        for record in records {
            if let Some((at, from)) = Self::latest(&log, record.id)
                && record.last_used_at < Some(at)
            {
                record.last_used_at = Some(at);
                record.last_used_from = from;
            }
        }
    }

    /// Tells whether uses have waited for longer than the interval.
    fn is_late(&self, now: Timestamp) -> bool {
        let waited = self.lock().oldest.map(|oldest| now.since(oldest));
        waited.is_some_and(|waited| waited > self.interval)
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all that is noted. Dropped or failed, it loses nothing: what is not known to be written stays in
    /// `writing`, and writing it twice changes nothing.
    async fn write(&self, store: &dyn TokenStore, now: Timestamp) -> Result<(), StoreError> {
        let uses = self.lock().begin();
        for batch in uses.chunks(BATCH) {
            store.record_uses(batch).await?;
            self.lock().written(batch);
        }
        let mut log = self.lock();
        // What was noted meanwhile waits since about now.
        log.oldest = (log.len() > 0).then_some(now);
        Ok(())
    }
}

impl Log {
    fn len(&self) -> usize {
        self.waiting.len() + self.writing.len()
    }

    /// Moves what waits to what is being written, and tells all of that. What could not be written before is the later
    /// use where the clock was put back.
    fn begin(&mut self) -> Vec<Use> {
        for (id, Waiting { record, from }) in self.waiting.drain() {
            if let Some(at) = record.noted.close() {
                let latest = self.writing.entry(id).or_insert(Use { id, at, from });
                if latest.at <= at {
                    *latest = Use { id, at, from };
                }
            }
        }
        self.writing.values().copied().collect()
    }

    fn written(&mut self, batch: &[Use]) {
        for written in batch {
            if self.writing.get(&written.id).is_some_and(|it| it.at <= written.at) {
                self.writing.remove(&written.id);
            }
        }
    }
}

impl Nudge {
    fn give(&self) {
        if !self.given.swap(true, Relaxed) {
            self.waker.wake();
        }
    }

    /// Waits until the time is over or somebody nudges.
    async fn or_after(&self, time: Duration) {
        let mut delay = Delay::new(time);
        poll_fn(|context| {
            self.waker.register(context.waker());
            if self.given.swap(false, Relaxed) {
                return Poll::Ready(());
            }
            std::pin::Pin::new(&mut delay).poll(context)
        })
        .await;
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

impl ApiTokens {
    /// The one future to spawn: it writes last-used, at most one row a token and interval, in batches.
    ///
    /// It runs on any runtime and ends, at the latest after one interval, when the last handle is dropped. A write
    /// that fails is reported as [`Event::UsesNotWritten`] and tried again. If the process dies, the uses of the last
    /// interval are lost, and nothing else.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use keyfob::{ApiTokens, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// tokio::spawn(tokens.background());
    /// // … the service runs …
    /// tokens.flush().await.unwrap();
    /// # });
    /// ```
    pub fn background(&self) -> impl Future<Output = ()> + Send + use<> {
        let shared = self.downgrade();
        let nudge = self.usage().nudge.clone();
        let interval = self.usage().interval;
        async move {
            // Only now, so that a future that nobody polls does not count as driven.
            let Some(driver) = Driver::new(shared) else {
                return;
            };
            loop {
                nudge.or_after(interval).await;
                let Some(tokens) = ApiTokens::upgrade(&driver.0) else {
                    return;
                };
                // What failed is reported, kept and tried again after the next interval.
                let _ = tokens.flush().await;
            }
        }
    }

    /// Writes every use that is noted: call it when the service stops.
    ///
    /// # Errors
    /// [`StoreError`]; what is not written stays noted.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let uses = self.usage().dropped.swap(0, Relaxed);
        if uses > 0 {
            self.report(&Event::UsesDropped { uses });
        }
        let written = self.usage().write(self.store(), self.now()).await;
        if let Err(error) = &written {
            let waiting = self.usage().lock().len();
            self.report(&Event::UsesNotWritten { error, waiting });
        }
        written
    }

    /// Writes what is late because nobody drives the background future, and says so once.
    pub(crate) async fn flush_if_late(&self) {
        let usage = self.usage();
        if usage.drivers.load(Relaxed) > 0 || !usage.is_late(self.now()) {
            return;
        }
        if !usage.warned.swap(true, Relaxed) {
            self.report(&Event::BackgroundNotDriven);
        }
        // A listing is not refused because last-used can't be written; flush has reported it.
        let _ = self.flush().await;
    }
}
