//! Who waits for which look-up.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    task::Waker,
    time::Duration,
};

use crate::token::TokenId;

use super::{Answer, Found, Query, Source, line::Line};

/// How many tokens are asked for at a time.
const MOST: usize = 1_000;
/// How many look-ups are under way at the most, and how many of them beside others that don't hang.
const ABREAST: usize = 4;
const MOVING: usize = 3;
/// For so many tokens a look-up is sent beside others: fewer gain more by going out together later.
const CROWD: usize = 8;
/// After so long a look-up is taken to hang, and another one is sent beside it.
pub(super) const STALLED: Duration = Duration::from_millis(250);

pub(super) struct Board {
    /// By their tickets.
    callers: BTreeMap<u64, Caller>,
    /// Those of them who are at [`Stage::Waits`].
    line: Line,
    under_way: Vec<UnderWay>,
    /// After so long a look-up counts no more: whoever should drive it is neither polled nor dropped.
    overdue: Duration,
    /// How many tickets and numbers were given.
    count: u64,
    /// Who has to be polled.
    pub(super) woken: Vec<Waker>,
}

struct UnderWay {
    number: u64,
    /// Whether somebody is still to gather those whom it is for.
    gathers: bool,
    /// As [`Clock::elapsed`](crate::Clock::elapsed).
    sent: Duration,
}

pub(super) struct Caller {
    id: TokenId,
    source: Source,
    stage: Stage,
    waker: Option<Waker>,
}

enum Stage {
    Waits,
    /// The look-up with this number is for him, and in somebody's hands.
    Sent(u64),
    /// It is his turn to begin the look-up with this number, or to go on with it.
    Holds(u64, Option<Query>),
    Answered(Answer),
}

/// How somebody comes in: with a look-up of his own and its number, or with a ticket.
pub(super) enum Entry {
    Alone(u64),
    Seated(u64),
}

/// What is up to somebody with a ticket.
pub(super) enum Turn {
    Waits,
    /// For another look-up to end, before anybody else.
    WaitsFirst,
    Holds(u64, Option<Query>),
    Answered(Answer),
}

impl Caller {
    pub(super) fn new(id: TokenId, source: Source) -> Self {
        Self { id, source, stage: Stage::Waits, waker: None }
    }
}

impl Board {
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            callers: BTreeMap::new(),
            line: Line::default(),
            under_way: Vec::new(),
            overdue: deadline + STALLED,
            count: 0,
            woken: Vec::new(),
        }
    }

    pub(super) fn enter(&mut self, mut caller: Caller, now: Duration) -> Entry {
        self.under_way.retain(|it| now.saturating_sub(it.sent) <= self.overdue);
        if self.has_room(now) {
            if self.line.first().is_none() {
                return Entry::Alone(self.begin(now, false));
            }
            let number = self.begin(now, true);
            caller.stage = Stage::Holds(number, None);
        }
        let ticket = self.next();
        if let Stage::Waits = caller.stage {
            self.line.join(ticket, caller.id);
        }
        self.callers.insert(ticket, caller);
        Entry::Seated(ticket)
    }

    /// What is up to somebody, and how to wake him where that is nothing yet. An answer is given once.
    pub(super) fn turn(&mut self, ticket: u64, waker: Option<&Waker>) -> Turn {
        let Some(caller) = self.callers.get_mut(&ticket) else {
            return Turn::Waits;
        };
        match mem::replace(&mut caller.stage, Stage::Waits) {
            Stage::Answered(answer) => {
                self.callers.remove(&ticket);
                Turn::Answered(answer)
            }
            Stage::Holds(number, query) => {
                caller.stage = Stage::Sent(number);
                Turn::Holds(number, query)
            }
            stage => {
                caller.stage = stage;
                caller.waker = waker.cloned();
                if self.line.first() == Some(ticket) { Turn::WaitsFirst } else { Turn::Waits }
            }
        }
    }

    /// What the look-up with this number is to ask for: a token for whoever begins it, and those for all who wait.
    pub(super) fn gather(&mut self, number: u64, ticket: u64) -> BTreeMap<TokenId, Source> {
        self.under_way
            .iter_mut()
            .filter(|it| it.number == number)
            .for_each(|it| it.gathers = false);
        let own = self.callers.get(&ticket).map(|it| (it.id, it.source));
        let mut asked: BTreeMap<_, _> = own.into_iter().collect();
        let mut gathered = Vec::new();
        for (ticket, id) in self.line.tickets() {
            if let Some(caller) = self.callers.get_mut(&ticket)
                && (asked.len() < MOST || asked.contains_key(&id))
            {
                caller.stage = Stage::Sent(number);
                let source = asked.entry(id).or_insert(caller.source);
                *source = caller.source.min(*source);
                gathered.push(ticket);
            }
        }
        for ticket in gathered {
            self.line.leave(ticket);
        }
        self.wake_first();
        asked
    }

    /// Lets whoever is first in the line know that he is.
    fn wake_first(&mut self) {
        let first = self.line.first().and_then(|ticket| self.callers.get_mut(&ticket));
        self.woken.extend(first.and_then(|it| it.waker.take()));
    }

    /// Answers with what is in memory those who take that, and gives the tokens that the others ask for.
    pub(super) fn tell(&mut self, number: u64, known: &BTreeMap<TokenId, Found>) -> Vec<TokenId> {
        let (mut others, mut woken) = (BTreeSet::new(), Vec::new());
        for caller in self.sent(number) {
            match known.get(&caller.id) {
                Some(found) if caller.source == Source::Memory => {
                    caller.stage = Stage::Answered(Ok(found.clone()));
                    woken.extend(caller.waker.take());
                }
                _ => {
                    others.insert(caller.id);
                }
            }
        }
        self.woken.append(&mut woken);
        others.into_iter().collect()
    }

    /// Answers whom the look-up with this number is for.
    pub(super) fn answer(
        &mut self,
        number: u64,
        answer: impl Fn(TokenId) -> Answer,
        now: Duration,
    ) {
        // Whoever begins the next one is woken first.
        self.end(number, now);
        let mut woken = mem::take(&mut self.woken);
        for caller in self.sent(number) {
            caller.stage = Stage::Answered(answer(caller.id));
            woken.extend(caller.waker.take());
        }
        self.woken = woken;
    }

    /// Somebody goes. What he has held goes on in other hands; gives it back where nobody wants it.
    pub(super) fn leave(
        &mut self,
        ticket: u64,
        held: Option<(u64, Option<Query>)>,
        now: Duration,
    ) -> Option<Query> {
        let stage = self.callers.remove(&ticket).map(|it| it.stage);
        let was_first = self.line.first() == Some(ticket);
        self.line.leave(ticket);
        if was_first {
            self.wake_first();
        }
        let (number, query) = match (held, stage) {
            (Some(held), _) => held,
            (None, Some(Stage::Holds(number, query))) => (number, query),
            _ => return None,
        };
        if query.is_none() {
            self.take_back(number);
        }
        let Some(next) = self.sent(number).next() else {
            self.end(number, now);
            return query;
        };
        next.stage = Stage::Holds(number, query);
        let waker = next.waker.take();
        self.woken.extend(waker);
        None
    }

    /// The look-up with this number is over.
    pub(super) fn end(&mut self, number: u64, now: Duration) {
        self.under_way.retain(|it| it.number != number);
        self.go_on(now);
    }

    /// It is the turn of whoever waits longest, if there is room for another look-up.
    pub(super) fn go_on(&mut self, now: Duration) {
        let Some(ticket) = self.line.first().filter(|_| self.has_room(now)) else { return };
        let number = self.begin(now, true);
        self.line.leave(ticket);
        if let Some(next) = self.callers.get_mut(&ticket) {
            next.stage = Stage::Holds(number, None);
            self.woken.extend(next.waker.take());
        }
    }

    /// Whether another look-up may be sent beside those under way.
    fn has_room(&self, now: Duration) -> bool {
        let moves = |it: &&UnderWay| now.saturating_sub(it.sent) <= STALLED;
        let moving = self.under_way.iter().filter(moves).count();
        let gathers = self.under_way.iter().any(|it| it.gathers);
        let is_crowd = self.line.tokens() >= CROWD && !gathers;
        self.under_way.len() < ABREAST && (moving == 0 || moving < MOVING && is_crowd)
    }

    fn begin(&mut self, now: Duration, gathers: bool) -> u64 {
        let number = self.next();
        self.under_way.push(UnderWay { number, gathers, sent: now });
        number
    }

    /// A look-up was gathered for and not begun: those whom it was for wait again.
    fn take_back(&mut self, number: u64) {
        for (ticket, caller) in &mut self.callers {
            if matches!(caller.stage, Stage::Sent(its) if its == number) {
                caller.stage = Stage::Waits;
                self.line.join(*ticket, caller.id);
            }
        }
        self.wake_first();
    }

    fn sent(&mut self, number: u64) -> impl Iterator<Item = &mut Caller> {
        self.callers
            .values_mut()
            .filter(move |it| matches!(it.stage, Stage::Sent(its) if its == number))
    }

    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_first_again_is_woken_to_know_it() {
        let mut board = Board::new(Duration::from_secs(2));
        let (start, later) = (Duration::ZERO, STALLED * 2);
        let enter = |board: &mut Board, id, now| match board
            .enter(Caller::new(TokenId::from_u128(id), Source::Store), now)
        {
            Entry::Alone(number) => number,
            Entry::Seated(ticket) => ticket,
        };
        let gathers = |board: &mut Board, ticket| {
            let Turn::Holds(number, None) = board.turn(ticket, None) else { panic!("it waits") };
            assert!(!board.gather(number, ticket).is_empty());
            number
        };
        enter(&mut board, 0, start);
        let first = enter(&mut board, 1, start);
        let holder = enter(&mut board, 2, later);
        let number = gathers(&mut board, holder);
        assert!(matches!(board.turn(first, Some(Waker::noop())), Turn::Waits));
        let crowd: Vec<_> = (3..).take(CROWD + 1).map(|id| enter(&mut board, id, later)).collect();
        gathers(&mut board, crowd[CROWD]);
        board.woken.clear();
        assert!(board.leave(holder, Some((number, None)), later).is_none());
        assert_eq!(board.woken.len(), 1);
        assert!(matches!(board.turn(first, Some(Waker::noop())), Turn::WaitsFirst));
    }
}
