//! Which caller waits for which query, and when the next query is sent.
//!
//! | state | event | next state |
//! |---|---|---|
//! | arrives | no query may be sent | `Queued` |
//! | arrives | a query may be sent | `Drives`, or `Joined::Alone` if no waiter is queued |
//! | `Queued` | a query ends, and this waiter is the first | `Drives` |
//! | `Queued` | another waiter drains the queue | `InQuery` |
//! | `Drives` | `step`: it takes the query over, and polls it for all its waiters | `InQuery` |
//! | `InQuery` | the query has an answer, or memory has | `Done` |
//! | `InQuery` | the driver was dropped, and this waiter is the next one | `Drives` |
//! | `InQuery` | the driver was dropped before it sent the query, or the query panicked | `Queued` |

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    task::Waker,
    time::Duration,
};

use crate::token::TokenId;

use super::{Answer, Found, Query, Source, queue::Queue};

/// The largest number of tokens in one query.
const MAX_BATCH: usize = 1_000;
/// The largest number of queries in flight that are younger than [`STALLED`].
const MAX_MOVING: usize = 3;
/// The largest number of queries in flight, without those that were sent because others stalled: the moving ones, and the
/// first that stalled.
const MAX_WITHOUT_STALLS: usize = MAX_MOVING + 1;
/// The number of queued tokens at which a query is sent beside another one. With fewer tokens, waiting for one larger
/// query costs less.
const SEND_EARLY_AT: usize = 8;
/// The age after which a query counts as stalled. Then another one is sent beside it.
pub(super) const STALLED: Duration = Duration::from_millis(250);

pub(super) struct Schedule {
    /// By waiter id.
    waiters: BTreeMap<u64, Waiter>,
    /// The waiters in [`State::Queued`].
    queue: Queue,
    in_flight: Vec<InFlight>,
    /// The age after which a query no longer counts. Its driver is neither polled nor dropped, so it never ends.
    abandoned_after: Duration,
    /// The largest number of queries in flight.
    max_in_flight: usize,
    /// The last id that was given to a waiter or a query.
    last_id: u64,
    /// The callers that have to be polled.
    pub(super) wakers: Vec<Waker>,
}

struct InFlight {
    query_id: u64,
    /// `true` until its driver has drained the queue.
    is_draining: bool,
    /// As [`Clock::elapsed`](crate::time::Clock::elapsed).
    sent: Duration,
}

pub(super) struct Waiter {
    id: TokenId,
    source: Source,
    state: State,
    waker: Option<Waker>,
}

enum State {
    Queued,
    /// The query includes this waiter's token. One of its waiters drives it.
    InQuery(u64),
    /// This waiter has to start the query, or to go on with it.
    Drives(u64, Option<Query>),
    Done(Answer),
}

/// How a caller joins: it sends a query of its own, or it becomes a waiter.
pub(super) enum Joined {
    Alone { query_id: u64 },
    Waiting { waiter_id: u64 },
}

/// The next thing that a waiter does.
pub(super) enum Step {
    Wait,
    Drive(u64, Option<Query>),
    Return(Answer),
}

impl Waiter {
    pub(super) fn new(id: TokenId, source: Source) -> Self {
        Self { id, source, state: State::Queued, waker: None }
    }
}

impl Schedule {
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            waiters: BTreeMap::new(),
            queue: Queue::default(),
            in_flight: Vec::new(),
            abandoned_after: deadline + STALLED,
            max_in_flight: max_in_flight(deadline),
            last_id: 0,
            wakers: Vec::new(),
        }
    }

    pub(super) fn join(&mut self, mut waiter: Waiter, now: Duration) -> Joined {
        self.in_flight.retain(|it| now.saturating_sub(it.sent) <= self.abandoned_after);
        if self.may_send(now) {
            if self.queue.first().is_none() {
                return Joined::Alone { query_id: self.start(now, false) };
            }
            waiter.state = State::Drives(self.start(now, true), None);
        }
        let waiter_id = self.next_id();
        if let State::Queued = waiter.state {
            self.queue.insert(waiter_id, waiter.id);
        }
        self.waiters.insert(waiter_id, waiter);
        Joined::Waiting { waiter_id }
    }

    /// Returns what a waiter does next. An answer is returned once; while there is nothing to do, `waker` is kept.
    pub(super) fn step(&mut self, waiter_id: u64, waker: Option<&Waker>) -> Step {
        let Some(waiter) = self.waiters.get_mut(&waiter_id) else {
            return Step::Wait;
        };
        match mem::replace(&mut waiter.state, State::Queued) {
            State::Done(answer) => {
                self.waiters.remove(&waiter_id);
                Step::Return(answer)
            }
            State::Drives(query_id, query) => {
                waiter.state = State::InQuery(query_id);
                Step::Drive(query_id, query)
            }
            state => {
                waiter.state = state;
                waiter.waker = waker.cloned();
                Step::Wait
            }
        }
    }

    /// Moves the queue into a query, up to [`MAX_BATCH`] tokens, and returns the tokens to ask for: also the token of
    /// the waiter that drives the query.
    pub(super) fn drain(&mut self, query_id: u64, driver: u64) -> BTreeMap<TokenId, Source> {
        self.in_flight
            .iter_mut()
            .filter(|it| it.query_id == query_id)
            .for_each(|it| it.is_draining = false);
        let own = self.waiters.get(&driver).map(|it| (it.id, it.source));
        let mut wanted: BTreeMap<_, _> = own.into_iter().collect();
        let mut drained = Vec::new();
        for (waiter_id, id) in self.queue.iter() {
            if let Some(waiter) = self.waiters.get_mut(&waiter_id)
                && (wanted.len() < MAX_BATCH || wanted.contains_key(&id))
            {
                waiter.state = State::InQuery(query_id);
                let source = wanted.entry(id).or_insert(waiter.source);
                // The weakest source is enough to peek: each waiter's own source is checked with the answer.
                *source = waiter.source.min(*source);
                drained.push(waiter_id);
            }
        }
        for waiter_id in drained {
            self.queue.remove(waiter_id);
        }
        wanted
    }

    /// Answers waiters of a query from memory, and returns the tokens that the other waiters still ask for.
    pub(super) fn answer_from_memory(
        &mut self,
        query_id: u64,
        known: &BTreeMap<TokenId, Found>,
    ) -> Vec<TokenId> {
        let (mut others, mut wakers) = (BTreeSet::new(), Vec::new());
        for waiter in self.in_query(query_id) {
            match known.get(&waiter.id) {
                Some(found) if waiter.source <= found.source => {
                    waiter.state = State::Done(Ok(found.clone()));
                    wakers.extend(waiter.waker.take());
                }
                _ => {
                    others.insert(waiter.id);
                }
            }
        }
        self.wakers.append(&mut wakers);
        others.into_iter().collect()
    }

    /// Answers all waiters of a query, and finishes it.
    pub(super) fn answer(
        &mut self,
        query_id: u64,
        answer: impl Fn(TokenId) -> Answer,
        now: Duration,
    ) {
        // The waiter that starts the next query is woken first.
        self.finish(query_id, now);
        let mut wakers = mem::take(&mut self.wakers);
        for waiter in self.in_query(query_id) {
            waiter.state = State::Done(answer(waiter.id));
            wakers.extend(waiter.waker.take());
        }
        self.wakers = wakers;
    }

    /// Removes a waiter that was dropped. Another waiter of its query then drives the query. If there is none, the query
    /// is returned: the caller drops it outside the lock.
    pub(super) fn remove(
        &mut self,
        waiter_id: u64,
        driven: Option<(u64, Option<Query>)>,
        now: Duration,
    ) -> Option<Query> {
        let state = self.waiters.remove(&waiter_id).map(|it| it.state);
        self.queue.remove(waiter_id);
        let (query_id, query) = match (driven, state) {
            (Some(driven), _) => driven,
            (None, Some(State::Drives(query_id, query))) => (query_id, query),
            _ => return None,
        };
        if query.is_none() {
            self.requeue(query_id);
        }
        let Some(next) = self.in_query(query_id).next() else {
            self.finish(query_id, now);
            return query;
        };
        next.state = State::Drives(query_id, query);
        let waker = next.waker.take();
        self.wakers.extend(waker);
        None
    }

    /// Ends a query. If waiters are queued and another query may be sent, the first waiter drives it.
    pub(super) fn finish(&mut self, query_id: u64, now: Duration) {
        self.in_flight.retain(|it| it.query_id != query_id);
        let Some(waiter_id) = self.queue.first().filter(|_| self.may_send(now)) else { return };
        let query_id = self.start(now, true);
        self.queue.remove(waiter_id);
        if let Some(next) = self.waiters.get_mut(&waiter_id) {
            next.state = State::Drives(query_id, None);
            self.wakers.extend(next.waker.take());
        }
    }

    /// Returns `true` if another query may be sent beside those in flight.
    fn may_send(&self, now: Duration) -> bool {
        let moves = |it: &&InFlight| now.saturating_sub(it.sent) <= STALLED;
        let moving = self.in_flight.iter().filter(moves).count();
        let is_draining = self.in_flight.iter().filter(moves).any(|it| it.is_draining);
        let sends_early = self.queue.tokens() >= SEND_EARLY_AT && !is_draining;
        let is_due = moving == 0 || moving < MAX_MOVING && sends_early;
        self.in_flight.len() < self.max_in_flight && is_due
    }

    fn start(&mut self, now: Duration, is_draining: bool) -> u64 {
        let query_id = self.next_id();
        self.in_flight.push(InFlight { query_id, is_draining, sent: now });
        query_id
    }

    /// Queues the waiters of a query that was not sent, or that panicked.
    fn requeue(&mut self, query_id: u64) {
        for (waiter_id, waiter) in &mut self.waiters {
            if matches!(waiter.state, State::InQuery(its) if its == query_id) {
                waiter.state = State::Queued;
                self.queue.insert(*waiter_id, waiter.id);
            }
        }
    }

    fn in_query(&mut self, query_id: u64) -> impl Iterator<Item = &mut Waiter> {
        self.waiters
            .values_mut()
            .filter(move |it| matches!(it.state, State::InQuery(its) if its == query_id))
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

/// Returns how many queries may be in flight if no caller waits longer than the deadline.
fn max_in_flight(deadline: Duration) -> usize {
    let stalls = deadline.as_millis() / STALLED.as_millis();
    MAX_WITHOUT_STALLS.saturating_add(usize::try_from(stalls).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_query_may_be_in_flight_for_each_quarter_of_a_second_until_the_deadline() {
        for (milliseconds, queries) in [(0, 4), (249, 4), (250, 5), (2_000, 12)] {
            assert_eq!(max_in_flight(Duration::from_millis(milliseconds)), queries);
        }
        assert!(max_in_flight(Duration::MAX) > 1_000_000);
    }
}
