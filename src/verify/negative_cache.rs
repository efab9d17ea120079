//! Secrets that the store has refused a moment ago are refused again without a query, so that a client that goes on with
//! a dead token costs nothing.
//!
//! Only refusals that are final are kept: an unknown id, a wrong secret, and a secret that a rotation replaced. Ids and
//! secrets are random and made once, so such a secret never becomes valid.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{time::Moment, token::PresentedToken};

/// The largest number of secrets that are kept. A later secret replaces the one in its slot.
const SLOTS: usize = 1_024;

/// Why a secret was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownBad {
    Unknown,
    WrongSecret,
    RetiredSecret,
}

/// The secrets that were refused last. Without a `max_staleness` it has no slots.
pub(crate) struct NegativeCache {
    slots: Box<[Mutex<Option<Entry>>]>,
    max_staleness: Duration,
    /// Keyed at random, so that a client can't make a token that collides with another one.
    hashes: RandomState,
}

struct Entry {
    hash: u64,
    known_bad: KnownBad,
    /// The moment at which the store was asked.
    asked: Moment,
}

impl NegativeCache {
    pub(crate) fn new(max_staleness: Duration) -> Self {
        let slots = if max_staleness.is_zero() { 0 } else { SLOTS };
        let slots = (0..slots).map(|_| Mutex::default()).collect();
        Self { slots, max_staleness, hashes: RandomState::new() }
    }

    /// Keeps the reason for which the store refused a secret.
    pub(crate) fn insert(&self, token: &PresentedToken<'_>, known_bad: KnownBad, asked: Moment) {
        self.at(token, |entry, hash| *entry = Some(Entry { hash, known_bad, asked }));
    }

    /// Returns the reason for which a secret was refused within `max_staleness`.
    pub(crate) fn get(&self, token: &PresentedToken<'_>, now: Moment) -> Option<KnownBad> {
        self.at(token, |entry, hash| {
            let entry = entry.as_ref().filter(|it| it.hash == hash)?;
            (entry.asked.until(now) < self.max_staleness).then_some(entry.known_bad)
        })?
    }

    #[allow(clippy::cast_possible_truncation, reason = "the lowest bits of a hash are a hash")]
    fn at<T>(
        &self,
        token: &PresentedToken<'_>,
        act: impl FnOnce(&mut Option<Entry>, u64) -> T,
    ) -> Option<T> {
        if self.slots.is_empty() {
            return None;
        }
        let hash = self.hashes.hash_one((token.id(), token.secret()));
        let slot = &self.slots[hash as usize % self.slots.len()];
        Some(act(&mut slot.lock().unwrap_or_else(PoisonError::into_inner), hash))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::token::{Digests, Prefix, TokenFormat, TokenId};

    const MANY: u128 = 3 * SLOTS as u128;
    const SECOND: Duration = Duration::from_secs(1);

    fn at(elapsed: Duration) -> Moment {
        Moment { elapsed, wall: SystemTime::UNIX_EPOCH }
    }

    /// Calls `act` with the token of a number.
    fn with<T>(number: u128, act: impl FnOnce(&PresentedToken<'_>) -> T) -> T {
        let prefix = Prefix::new("acme").unwrap();
        let format = TokenFormat::new(prefix.clone());
        let (id, secret) = (TokenId::from_u128(number), [7; 32]);
        let (plain, _) = format.write(&prefix, id, &secret, &Digests::new(None));
        act(&format.parse(plain.expose_secret()).unwrap())
    }

    #[test]
    fn a_refusal_is_kept_for_so_long() {
        let negative_cache = NegativeCache::new(5 * SECOND);
        let get = |number, now| with(number, |it| negative_cache.get(it, at(now)));
        with(1, |it| negative_cache.insert(it, KnownBad::Unknown, at(10 * SECOND)));
        assert_eq!(get(1, Duration::new(14, 999_999_999)), Some(KnownBad::Unknown));
        assert_eq!(get(1, 15 * SECOND), None);
        assert_eq!(get(2, 10 * SECOND), None);
        with(1, |it| negative_cache.insert(it, KnownBad::RetiredSecret, at(15 * SECOND)));
        assert_eq!(get(1, 15 * SECOND), Some(KnownBad::RetiredSecret));
    }

    #[test]
    fn memory_is_bounded_and_no_secret_is_taken_for_another_one() {
        let negative_cache = NegativeCache::new(SECOND);
        for number in 0..MANY {
            with(number, |it| negative_cache.insert(it, KnownBad::WrongSecret, at(SECOND)));
        }
        let is_kept =
            |number: &u128| with(*number, |it| negative_cache.get(it, at(SECOND)).is_some());
        assert!((0..MANY).filter(is_kept).count() <= SLOTS);
        assert_eq!((MANY..3 * MANY).filter(is_kept).count(), 0);
    }

    #[test]
    fn where_nothing_may_be_remembered_nothing_is() {
        let negative_cache = NegativeCache::new(Duration::ZERO);
        with(1, |it| negative_cache.insert(it, KnownBad::Unknown, at(SECOND)));
        assert_eq!(with(1, |it| negative_cache.get(it, at(SECOND))), None);
    }
}
