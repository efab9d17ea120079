//! Look-ups of tokens that come at the same time go to the store together.
//!
//! As long as few come, one is under way. Whoever comes meanwhile waits, and once it is over, or there are enough to
//! make another one worth while beside it, all who wait go out in one query. So nobody waits for a timer, a lone caller
//! goes out at once, and verification holds few connections however many requests there are.
//!
//! The callers drive this themselves: of those that a query is for, one polls it. Where that one is dropped, because
//! its request was or its time is over, another goes on with the same query; it ends where none is left.
//!
//! No caller depends on another one being polled, or on a query that hangs: a caller that has no answer after
//! [`STALLED`] asks once more, beside the question that it has asked already, and takes the answer that comes first.
//!
//! ```text
//! caller A   |== query 1, sent on a connection that has fallen silent ==========...
//! caller B     |-- waits for query 1 to end --...
//!            0                          250 ms
//! caller A                              |== query 2 ==| answers A
//! caller B                                |-- waits --|== query 3 ==| answers B
//! ```

mod board;
mod line;

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

use crate::{
    store::{
        CorruptRecord, Page, Peek, SharedRecord, StoreError, TokenStore, find_one, unless_busy,
    },
    time::{Clock, timer},
    token::TokenId,
};

use self::board::{Board, Caller, Entry, STALLED, Turn};

/// Where an answer is from, or has to be from: the later, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A record that was read before: [`Peek::Cached`].
    Cache,
    /// The memory of the store itself: [`Peek::Found`] and [`Peek::Absent`].
    Memory,
    /// A look-up that was sent after it was asked for.
    Store,
}

/// What is known of a token.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) record: Option<SharedRecord>,
    pub(crate) source: Source,
}

impl Found {
    /// What a store has in memory; `None` where it has to be asked.
    #[inline]
    pub(crate) fn peeked(peek: Peek) -> Option<Self> {
        let (record, source) = match peek {
            Peek::Found(record) => (Some(record), Source::Memory),
            Peek::Cached(record) => (Some(record), Source::Cache),
            Peek::Absent => (None, Source::Memory),
            Peek::Ask => return None,
        };
        Some(Self { record, source })
    }
}

/// How often a caller asks once more at most. Each question stays with those before it, and the deadline may be long.
const MOST_TRIES: u32 = 40;

const SHORTEST_PATIENCE: Duration = Duration::from_millis(1);

type Answer = Result<Found, StoreError>;
type Query = BoxFuture<'static, Result<Page, StoreError>>;

/// The look-ups of one handle. No deadline is kept here: whoever asks stops waiting.
pub(crate) struct Lookups {
    store: Arc<dyn TokenStore>,
    clock: Arc<dyn Clock>,
    board: Mutex<Board>,
}

impl Lookups {
    pub(crate) fn new(
        store: Arc<dyn TokenStore>,
        clock: Arc<dyn Clock>,
        deadline: Duration,
    ) -> Self {
        Self { store, clock, board: Mutex::new(Board::new(deadline)) }
    }

    /// The token with this id, from that source or better.
    ///
    /// Memory is asked also where it has been before: what was looked up meanwhile may be there by now. A store that is
    /// busy is asked again until that instant.
    pub(crate) fn find(
        &self,
        id: TokenId,
        source: Source,
        until: Instant,
    ) -> impl Future<Output = Answer> + Send {
        self.find_again(id, source, until, MOST_TRIES)
    }

    async fn find_again(&self, id: TokenId, source: Source, until: Instant, tries: u32) -> Answer {
        let since = self.clock.elapsed();
        let waited = || self.clock.elapsed().saturating_sub(since);
        let mut asked = pin!(self.ask(id, source, until, since));
        // By the clock that look-ups are judged by, which may stand still.
        while waited() <= STALLED || tries == 0 {
            let rest = STALLED.saturating_sub(waited()).max(SHORTEST_PATIENCE);
            if let Some(answer) = timer::in_time(Instant::now() + rest, asked.as_mut()).await {
                return answer;
            }
        }
        let again = Box::pin(self.find_again(id, source, until, tries - 1));
        match select(asked, again).await {
            Either::Left((answer, _)) | Either::Right((answer, _)) => answer,
        }
    }

    async fn ask(&self, id: TokenId, source: Source, until: Instant, now: Duration) -> Answer {
        match self.alter(|board| board.enter(Caller::new(id, source), now)) {
            Entry::Alone(number) => {
                let _place = Place { lookups: self, number };
                if let Some(known) = self.known(id, source) {
                    return Ok(known);
                }
                let record = unless_busy(until, || find_one(&*self.store, id)).await?;
                Ok(Found { record, source: Source::Store })
            }
            Entry::Seated(ticket) => {
                Seat { lookups: self, ticket, until, holds: None, query: None }.await
            }
        }
    }

    /// What is in memory, where that will do.
    fn known(&self, id: TokenId, source: Source) -> Option<Found> {
        // Nothing in memory is as good as the store.
        (source < Source::Store)
            .then(|| Found::peeked(self.store.peek(id)))
            .flatten()
            .filter(|found| found.source >= source)
    }

    /// The query of all who wait; `None` where memory answers them.
    fn query(&self, number: u64, ticket: u64, until: Instant) -> Option<Query> {
        let asked = self.alter(|board| board.gather(number, ticket));
        let known = asked.iter().filter_map(|(id, source)| Some((*id, self.known(*id, *source)?)));
        let known: BTreeMap<_, _> = known.collect();
        let ids = if known.is_empty() {
            asked.into_keys().collect()
        } else {
            self.alter(|board| board.tell(number, &known))
        };
        if ids.is_empty() {
            return None;
        }
        let store = self.store.clone();
        Some(Box::pin(async move { unless_busy(until, || store.find(&ids)).await }))
    }

    /// Changes who waits for what, and wakes who has to know.
    fn alter<T>(&self, alter: impl FnOnce(&mut Board) -> T) -> T {
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = alter(&mut board);
        let woken = mem::take(&mut board.woken);
        drop(board);
        woken.into_iter().for_each(Waker::wake);
        outcome
    }
}

/// What a page says of each of the tokens that were asked for.
fn answers(page: Result<Page, StoreError>) -> impl Fn(TokenId) -> Answer {
    let page = page.map_err(StoreError::shared).map(|mut page| {
        page.records.sort_unstable_by_key(|it| it.id);
        page
    });
    move |id| {
        let page = page.as_ref().map_err(|error| error())?;
        let place = page.records.binary_search_by_key(&id, |it| it.id);
        let record = place.ok().map(|place| page.records[place].clone());
        // What can't even be told by its id may be any that was not found.
        let is_it = |it: &&CorruptRecord| it.id.map_or(record.is_none(), |corrupt| corrupt == id);
        match page.corrupt.iter().find(is_it) {
            Some(corrupt) => Err(corrupt.clone().into()),
            None => Ok(Found { record, source: Source::Store }),
        }
    }
}

/// That of a look-up which has no other callers. It ends when it is dropped.
struct Place<'a> {
    lookups: &'a Lookups,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let now = self.lookups.clock.elapsed();
        self.lookups.alter(|board| board.end(self.number, now));
    }
}

/// That of a caller who waits, and polls the query where it is his turn.
struct Seat<'a> {
    lookups: &'a Lookups,
    ticket: u64,
    until: Instant,
    /// The look-up that he drives.
    holds: Option<u64>,
    query: Option<Query>,
}

impl Seat<'_> {
    fn answer(&mut self, page: Result<Page, StoreError>) {
        let answer = answers(page);
        let now = self.lookups.clock.elapsed();
        if let Some(number) = self.holds.take() {
            self.lookups.alter(|board| board.answer(number, answer, now));
        }
    }
}

impl Future for Seat<'_> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let seat = self.get_mut();
        loop {
            // Whoever polls a query is woken by it.
            let waker = seat.query.is_none().then(|| context.waker());
            match seat.lookups.alter(|board| board.turn(seat.ticket, waker)) {
                Turn::Answered(answer) => return Poll::Ready(answer),
                Turn::Holds(number, query) => {
                    seat.holds = Some(number);
                    seat.query =
                        query.or_else(|| seat.lookups.query(number, seat.ticket, seat.until));
                }
                Turn::Waits => {
                    // Taken out, so that one that panics takes nobody else down.
                    let Some(mut query) = seat.query.take() else {
                        return Poll::Pending;
                    };
                    match query.as_mut().poll(context) {
                        Poll::Ready(page) => seat.answer(page),
                        Poll::Pending => {
                            seat.query = Some(query);
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let held = self.holds.map(|number| (number, self.query.take()));
        let now = self.lookups.clock.elapsed();
        let unwanted = self.lookups.alter(|board| board.leave(self.ticket, held, now));
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
