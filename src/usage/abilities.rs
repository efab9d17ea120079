use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;

use crate::{
    store::{AbilityUse, StoreError, TokenStore},
    token::{Abilities, Ability, TokenFormat, TokenId},
};

/// How many tokens are remembered, and how many uses wait at most. Beyond, tokens are forgotten, so that their uses are
/// written once more, which changes nothing; and uses are let go, to be noted another time.
const CAPACITY: usize = 100_000;
/// How many abilities of a token are remembered. A store keeps no more either.
const MOST: usize = 100;
/// How many uses go to the store in one call.
const BATCH: usize = 1_000;

/// Which abilities tokens were seen to use: each is written once.
#[derive(Debug)]
pub(crate) struct AbilityLog {
    log: Mutex<Log>,
    /// How a token looks, which a client may have put into the path that the ability is built from.
    format: TokenFormat,
}

#[derive(Debug, Default)]
struct Log {
    seen: HashMap<TokenId, Vec<Ability>, RandomState>,
    /// By their number, so that two who write at once take away only what they have written.
    waiting: BTreeMap<u64, AbilityUse>,
    noted: u64,
}

impl AbilityLog {
    pub(crate) fn new(format: TokenFormat) -> Self {
        Self { log: Mutex::default(), format }
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
        if log.seen.len() >= CAPACITY && !log.seen.contains_key(&id) {
            log.seen.clear();
        }
        let seen = log.seen.entry(id).or_default();
        if seen.len() < MOST && !seen.contains(&ability) {
            seen.push(ability.clone());
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
