//! Look-ups of tokens that arrive at the same time go to the store in one query.
//!
//! Normally one query runs at a time. Callers that arrive meanwhile queue up. When the query ends, or when a
//! caller finds 8 distinct tokens queued, the queue goes out as one query of at most 1,000 tokens. At most 3 queries run
//! side by side, stalled ones not counted.
//! So no caller waits for a timer, a lone caller sends its query at once, and verification holds few connections however
//! many requests there are.
//!
//! One caller of a query polls it for all others. If that caller is dropped, because its request was cancelled or its
//! deadline has passed, another caller of the same query continues to poll it. A query without callers is dropped.
//!
//! If the polling caller is no longer polled, or the query hangs, the others are not stuck: a caller that has no answer
//! after [`STALLED`] asks once more, and takes the answer that arrives first.
//!
//! ```text
//! caller A   |== query 1, sent on a connection that has fallen silent ==========...
//! caller B     |-- waits for query 1 to end --...
//!            0                          250 ms
//! caller A                              |== query 2 ==| answers A
//! caller B                                |-- waits --|== query 3 ==| answers B
//! ```

mod queue;
mod schedule;

use std::{
    collections::BTreeMap,
    future::Future,
    mem,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use futures_util::future::{BoxFuture, Either, select};

use self::schedule::{Joined, STALLED, Schedule, Step, Waiter};

use crate::{
    store::{
        CorruptRecord, StoreError, TokenStore,
        contract::{Page, Peek, SharedRecord},
        find_one, unless_busy,
    },
    time::{Clock, timer},
    token::TokenId,
};

/// Where an answer is from, or has to be from. A later variant is a better source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A record that was read before: [`Peek::Cached`].
    Cache,
    /// The memory of the store itself: [`Peek::Found`] and [`Peek::Absent`].
    Memory,
    /// A query that was sent after the caller asked.
    Store,
}

/// The answer to a look-up.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// `None`: there is no such token.
    pub(crate) record: Option<SharedRecord>,
    pub(crate) source: Source,
}

impl Found {
    /// Returns what a store has in memory, or `None` if the store has to be asked.
    #[inline]
    pub(crate) fn peeked(peek: Peek) -> Option<Self> {
        let (record, source) = match peek {
            Peek::Found(record) => (Some(record), Source::Memory),
            Peek::Cached(record) => (Some(record), Source::Cache),
            Peek::Absent => (None, Source::Memory),
            Peek::Miss => return None,
        };
        Some(Self { record, source })
    }
}

/// The largest number of retries of a caller. Earlier look-ups stay pending, so with a long deadline they would pile up.
const MAX_RETRIES: u32 = 40;

/// The shortest wait, so that the loop does not spin while a clock stands still.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

type Answer = Result<Found, StoreError>;
type Query = BoxFuture<'static, Result<Page, StoreError>>;

/// Batches the look-ups of one handle. It has no timeout: the caller stops waiting.
pub(crate) struct Batcher {
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
    schedule: Mutex<Schedule>,
}

impl Batcher {
    pub(crate) fn new(
        store: Arc<dyn TokenStore>,
        clock: Arc<dyn Clock>,
        deadline: Duration,
    ) -> Self {
        Self { store, clock, schedule: Mutex::new(Schedule::new(deadline)) }
    }

    /// Looks a token up in that source or a better one.
    ///
    /// Memory is asked even if the caller has peeked before: another query may have filled it meanwhile. A store that is
    /// busy is asked again until `until`.
    pub(crate) fn find(
        &self,
        id: TokenId,
        source: Source,
        until: Instant,
    ) -> impl Future<Output = Answer> + Send {
        self.find_again(id, source, until, MAX_RETRIES)
    }

    async fn find_again(
        &self,
        id: TokenId,
        source: Source,
        until: Instant,
        retries: u32,
    ) -> Answer {
        let since = self.clock.elapsed();
        let waited = || self.clock.elapsed().saturating_sub(since);
        let mut asked = pin!(self.ask(id, source, until, since));
        // Measured with the clock of the schedule, which may stand still.
        while waited() <= STALLED || retries == 0 {
            let rest = STALLED.saturating_sub(waited()).max(SHORTEST_WAIT);
            if let Some(answer) = timer::in_time(Instant::now() + rest, asked.as_mut()).await {
                return answer;
            }
        }
        let again = Box::pin(self.find_again(id, source, until, retries - 1));
        match select(asked, again).await {
            Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
        }
    }

    async fn ask(&self, id: TokenId, source: Source, until: Instant, now: Duration) -> Answer {
        match self.update(|schedule| schedule.join(Waiter::new(id, source), now)) {
            Joined::Alone { query_id } => {
                let _guard = QueryGuard { batcher: self, query_id };
                if let Some(found) = self.peek(id, source) {
                    return Ok(found);
                }
                let record = unless_busy(until, || find_one(&*self.store, id)).await?;
                Ok(Found { record, source: Source::Store })
            }
            Joined::Waiting { waiter_id } => {
                WaiterGuard { batcher: self, waiter_id, until, driven: None, query: None }.await
            }
        }
    }

    /// Returns what is in memory if its source is good enough.
    fn peek(&self, id: TokenId, source: Source) -> Option<Found> {
        // Nothing in memory is as good as the store.
        (source < Source::Store)
            .then(|| Found::peeked(self.store.peek(id)))
            .flatten()
            .filter(|found| found.source >= source)
    }

    /// Returns the query for the whole queue, or `None` if memory answers all of it.
    fn query(&self, query_id: u64, driver: u64, until: Instant) -> Option<Query> {
        let wanted = self.update(|schedule| schedule.drain(query_id, driver));
        let known = wanted.iter().filter_map(|(id, source)| Some((*id, self.peek(*id, *source)?)));
        let known: BTreeMap<_, _> = known.collect();
        let ids = if known.is_empty() {
            wanted.into_keys().collect()
        } else {
            self.update(|schedule| schedule.answer_from_memory(query_id, &known))
        };
        if ids.is_empty() {
            return None;
        }
        let store = self.store.clone();
        Some(Box::pin(async move { unless_busy(until, || store.find(&ids)).await }))
    }

    /// Updates the schedule under its lock, and wakes callers after the lock is released.
    fn update<T>(&self, update: impl FnOnce(&mut Schedule) -> T) -> T {
        let mut schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = update(&mut schedule);
        let wakers = mem::take(&mut schedule.wakers);
        drop(schedule);
        wakers.into_iter().for_each(Waker::wake);
        outcome
    }
}

/// Returns a function that finds the answer for one token in a page.
fn answers(page: Result<Page, StoreError>) -> impl Fn(TokenId) -> Answer {
    let page = page.map_err(StoreError::shared).map(|mut page| {
        page.records.sort_unstable_by_key(|it| it.id);
        page
    });
    move |id| {
        let page = page.as_ref().map_err(|error| error())?;
        let place = page.records.binary_search_by_key(&id, |it| it.id);
        let record = place.ok().map(|place| page.records[place].clone());
        // A corrupt record whose id can't be read may be any token that was not found.
        let is_it = |it: &&CorruptRecord| it.id.map_or(record.is_none(), |corrupt| corrupt == id);
        match page.corrupt.iter().find(is_it) {
            Some(corrupt) => Err(corrupt.clone().into()),
            None => Ok(Found { record, source: Source::Store }),
        }
    }
}

/// Finishes the query of a caller that is alone, on drop.
struct QueryGuard<'a> {
    batcher: &'a Batcher,
    query_id: u64,
}

impl Drop for QueryGuard<'_> {
    fn drop(&mut self) {
        let now = self.batcher.clock.elapsed();
        self.batcher.update(|schedule| schedule.finish(self.query_id, now));
    }
}

/// A caller that waits, and polls the query while it drives one. On drop, the query passes to another waiter.
struct WaiterGuard<'a> {
    batcher: &'a Batcher,
    waiter_id: u64,
    until: Instant,
    /// The id of the query that this caller drives.
    driven: Option<u64>,
    query: Option<Query>,
}

impl WaiterGuard<'_> {
    fn answer(&mut self, page: Result<Page, StoreError>) {
        let answer = answers(page);
        let now = self.batcher.clock.elapsed();
        if let Some(query_id) = self.driven.take() {
            self.batcher.update(|schedule| schedule.answer(query_id, answer, now));
        }
    }
}

impl Future for WaiterGuard<'_> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let waiter = self.get_mut();
        loop {
            // The caller that polls a query is woken by the query.
            let waker = waiter.query.is_none().then(|| context.waker());
            match waiter.batcher.update(|schedule| schedule.step(waiter.waiter_id, waker)) {
                Step::Return(answer) => return Poll::Ready(answer),
                Step::Drive(query_id, query) => {
                    waiter.driven = Some(query_id);
                    waiter.query = query
                        .or_else(|| waiter.batcher.query(query_id, waiter.waiter_id, waiter.until));
                }
                Step::Wait => {
                    // Taken out, so that a query that panics is not polled again by another caller.
                    let Some(mut query) = waiter.query.take() else {
                        return Poll::Pending;
                    };
                    match query.as_mut().poll(context) {
                        Poll::Ready(page) => waiter.answer(page),
                        Poll::Pending => {
                            waiter.query = Some(query);
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }
}

impl Drop for WaiterGuard<'_> {
    fn drop(&mut self) {
        let driven = self.driven.map(|query_id| (query_id, self.query.take()));
        let now = self.batcher.clock.elapsed();
        let unwanted = self.batcher.update(|schedule| schedule.remove(self.waiter_id, driven, now));
        // Dropped after the lock was released.
        drop(unwanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_that_has_no_id_may_be_any_token_that_was_not_found() {
        let damaged =
            |id| Page { corrupt: vec![CorruptRecord::new(id, "digest")], ..Page::default() };
        let [one, other] = [1, 2].map(TokenId::from_u128);
        let without = answers(Ok(damaged(None)));
        assert!(matches!(without(one), Err(StoreError::Corrupt(_))), "and not unknown");
        let with = answers(Ok(damaged(Some(one))));
        assert!(matches!(with(one), Err(StoreError::Corrupt(_))));
        assert!(matches!(with(other), Ok(Found { record: None, .. })));
    }
}
