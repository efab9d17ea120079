use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::BuildHasher,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;

use crate::{
    store::contract::Use,
    token::{Abilities, Ability, Timestamp, TokenFormat, TokenId},
};

/// How many uses wait at most, which take about 20 MB. Beyond, uses are let go, to be noted another time.
const CAPACITY: usize = 100_000;
/// How many abilities are remembered, of at most [`CAPACITY`] tokens: about 30 MB. Beyond, all are forgotten, so that
/// their uses are written once more, which changes nothing.
const REMEMBERED: usize = 1_000_000;
/// How many abilities of a token are remembered. A store keeps no more either.
const MOST: usize = 100;

/// Which abilities tokens were seen to use: each is written once.
#[derive(Debug)]
pub(crate) struct AbilityLog {
    log: Mutex<Log>,
    hashes: RandomState,
    /// How a token looks, which a client may have put into the path that the ability is built from.
    format: TokenFormat,
}

#[derive(Debug, Default)]
struct Log {
    /// The hashes of abilities, which can be a hundred bytes long each.
    seen: HashMap<TokenId, Vec<u64>, RandomState>,
    remembered: usize,
    waiting: HashMap<TokenId, Use, RandomState>,
    /// How many abilities wait.
    count: usize,
}

impl AbilityLog {
    pub(crate) fn new(format: TokenFormat) -> Self {
        Self { log: Mutex::default(), hashes: RandomState::default(), format }
    }

    /// Notes that a token was asked for an ability and had it: the one that it holds, or, where it holds all, the one
    /// that was asked for.
    pub(crate) fn note(
        &self,
        id: TokenId,
        abilities: &Abilities,
        required: &str,
        (at, from): (Timestamp, Option<IpAddr>),
    ) {
        let used = match abilities.as_set() {
            Some(held) => held.iter().find(|it| it.permits(required)).cloned(),
            None => Ability::new(required).ok().filter(|_| !self.format.contains_token(required)),
        };
        let Some(ability) = used else { return };
        let log = &mut *self.lock();
        if log.count >= CAPACITY {
            return;
        }
        if log.remembered >= REMEMBERED || log.seen.len() >= CAPACITY && !log.seen.contains_key(&id)
        {
            log.seen = HashMap::default();
            log.remembered = 0;
        }
        let hash = self.hashes.hash_one(ability.as_str());
        let seen = log.seen.entry(id).or_default();
        if seen.len() < MOST && !seen.contains(&hash) {
            seen.push(hash);
            log.remembered += 1;
            let waiting = log.waiting.entry(id).or_insert(Use::new(id, at));
            if waiting.at <= at {
                // The address belongs to the instant: it may be written before the use itself.
                (waiting.at, waiting.from) = (at, from);
            }
            log.count += usize::from(waiting.abilities.insert(ability));
        }
    }

    /// Adds abilities that wait to a batch: to the uses of their tokens, and with uses of other tokens as long as there is
    /// room for as many tokens, and for as many abilities.
    pub(crate) fn join(&self, uses: &mut Vec<Use>, most: usize) {
        let log = self.lock();
        if log.waiting.is_empty() {
            return;
        }
        let mut room = most;
        let mut some = |waiting: &Use| {
            let abilities: BTreeSet<_> = waiting.abilities.iter().take(room).cloned().collect();
            room -= abilities.len();
            abilities
        };
        for it in uses.iter_mut() {
            if let Some(waiting) = log.waiting.get(&it.id) {
                it.abilities = some(waiting);
            }
        }
        let joined: HashSet<_> = uses.iter().map(|it| it.id).collect();
        let others = log.waiting.values().filter(|it| !joined.contains(&it.id));
        for it in others.take(most.saturating_sub(joined.len())) {
            let abilities = some(it);
            if abilities.is_empty() {
                return;
            }
            uses.push(Use { from: it.from, abilities, ..Use::new(it.id, it.at) });
        }
    }

    /// Lets go of what was written. What was noted meanwhile stays.
    pub(crate) fn written(&self, uses: &[Use]) {
        let mut log = self.lock();
        for it in uses {
            let Some(waiting) = log.waiting.get_mut(&it.id) else { continue };
            let before = waiting.abilities.len();
            waiting.abilities.retain(|ability| !it.abilities.contains(ability));
            let left = waiting.abilities.len();
            log.count -= before - left;
            if left == 0 {
                log.waiting.remove(&it.id);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format() -> TokenFormat {
        TokenFormat::new(crate::token::Prefix::new("acme").unwrap())
    }

    fn counts(log: &AbilityLog) -> (usize, usize) {
        let log = log.lock();
        (log.remembered, log.count)
    }

    fn note(log: &AbilityLog, token: u128, ability: &str) {
        log.note(TokenId::from_u128(token), &Abilities::all(), ability, (Timestamp::MIN, None));
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let log = AbilityLog::new(format());
        note(&log, 1, "a");
        log.lock().remembered = REMEMBERED - 1;
        note(&log, 1, "b");
        note(&log, 1, "a");
        assert_eq!(counts(&log), (1, 2), "begun anew");
        for number in 0..2 * MOST {
            note(&log, 2, &format!("x:{number}"));
        }
        assert_eq!(counts(&log), (1 + MOST, 2 + MOST));
    }

    #[test]
    fn a_use_that_has_no_room_is_noted_another_time() {
        let log = AbilityLog::new(format());
        log.lock().count = CAPACITY;
        note(&log, 1, "a");
        assert_eq!(counts(&log), (0, CAPACITY));
        log.lock().count = 0;
        note(&log, 1, "a");
        assert_eq!(counts(&log), (1, 1));
    }
}
