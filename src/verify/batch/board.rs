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
/// How many look-ups are under way at the most that don't hang.
const MOVING: usize = 3;
/// How many are under way at the most beside those that were sent because others hang, one in each [`STALLED`].
const ABREAST: usize = MOVING + 1;
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
    /// How many look-ups are under way at the most.
    most: usize,
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
            most: most(deadline),
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
                Turn::Waits
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
        asked
    }

    /// Answers with what is in memory those who take that, and gives the tokens that the others ask for.
    pub(super) fn tell(&mut self, number: u64, known: &BTreeMap<TokenId, Found>) -> Vec<TokenId> {
        let (mut others, mut woken) = (BTreeSet::new(), Vec::new());
        for caller in self.sent(number) {
            match known.get(&caller.id) {
                Some(found) if caller.source <= found.source => {
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
        self.line.leave(ticket);
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
    fn go_on(&mut self, now: Duration) {
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
        let gathers = self.under_way.iter().filter(moves).any(|it| it.gathers);
        let is_crowd = self.line.tokens() >= CROWD && !gathers;
        self.under_way.len() < self.most && (moving == 0 || moving < MOVING && is_crowd)
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

/// How many look-ups may be under way at the same time where each waits no longer than the deadline.
fn most(deadline: Duration) -> usize {
    let stalls = deadline.as_millis() / STALLED.as_millis();
    ABREAST.saturating_add(usize::try_from(stalls).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_lookup_may_be_under_way_for_each_quarter_of_a_second_until_the_deadline() {
        for (milliseconds, lookups) in [(0, 4), (249, 4), (250, 5), (2_000, 12)] {
            assert_eq!(most(Duration::from_millis(milliseconds)), lookups);
        }
        assert!(most(Duration::MAX) > 1_000_000);
    }
}
