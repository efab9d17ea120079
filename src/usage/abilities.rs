use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;

use crate::{
    store::{AbilityUse, StoreError, TokenStore},
    token::{Abilities, Ability, TokenFormat, TokenId},
};

/// How many uses wait at most, which take about 20 MB. Beyond, uses are let go, to be noted another time.
const CAPACITY: usize = 100_000;
/// How many abilities are remembered, of at most [`CAPACITY`] tokens: about 30 MB. Beyond, all are forgotten, so that
/// their uses are written once more, which changes nothing.
const REMEMBERED: usize = 1_000_000;
/// How many abilities of a token are remembered. A store keeps no more either.
const MOST: usize = 100;
/// How many uses go to the store in one call.
const BATCH: usize = 1_000;

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
    /// By their number, so that two who write at once take away only what they have written.
    waiting: BTreeMap<u64, AbilityUse>,
    noted: u64,
}

impl AbilityLog {
    pub(crate) fn new(format: TokenFormat) -> Self {
        Self { log: Mutex::default(), hashes: RandomState::default(), format }
    }

    /// Notes that a token was asked for an ability and had it: the one that it holds, or, where it holds all, the one
    /// that was asked for.
    pub(crate) fn note(&self, id: TokenId, abilities: &Abilities, required: &str) {
        let used = match abilities.as_set() {
            Some(held) => held.iter().find(|it| it.permits(required)).cloned(),
            None => Ability::new(required).ok().filter(|_| !self.format.contains_token(required)),
        };
        let Some(ability) = used else { return };
        let log = &mut *self.lock();
        if log.waiting.len() >= CAPACITY {
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
            log.waiting.insert(log.noted, AbilityUse { id, ability });
            log.noted += 1;
        }
    }

    /// Writes what waits. Dropped or failed, it loses nothing.
    pub(crate) async fn write(&self, store: &dyn TokenStore) -> Result<(), StoreError> {
        loop {
            let (numbers, batch): (Vec<_>, Vec<_>) = {
                let log = self.lock();
                log.waiting.iter().take(BATCH).map(|(at, it)| (*at, it.clone())).unzip()
            };
            if batch.is_empty() {
                return Ok(());
            }
            store.record_ability_uses(&batch).await?;
            let mut log = self.lock();
            for number in numbers {
                log.waiting.remove(&number);
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
        (log.remembered, log.waiting.len())
    }

    fn note(log: &AbilityLog, token: u128, ability: &str) {
        log.note(TokenId::from_u128(token), &Abilities::all(), ability);
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let log = AbilityLog::new(format());
        note(&log, 1, "a");
        log.lock().remembered = REMEMBERED - 1;
        note(&log, 1, "b");
        note(&log, 1, "a");
        assert_eq!(counts(&log), (1, 3), "begun anew");
        for number in 0..2 * MOST {
            note(&log, 2, &format!("x:{number}"));
        }
        assert_eq!(counts(&log), (1 + MOST, 3 + MOST));
    }

    #[test]
    fn a_use_that_has_no_room_is_noted_another_time() {
        let log = AbilityLog::new(format());
        let ability = Ability::new("a").unwrap();
        let wait = |at: u64| {
            (at, AbilityUse { id: TokenId::from_u128(at.into()), ability: ability.clone() })
        };
        log.lock().waiting.extend((1_000..).take(CAPACITY).map(wait));
        note(&log, 1, "a");
        assert_eq!(counts(&log), (0, CAPACITY));
        log.lock().waiting.clear();
        note(&log, 1, "a");
        assert_eq!(log.lock().waiting.len(), 1);
    }
}
