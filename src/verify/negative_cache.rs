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

/// The number of sets. The hash of a secret chooses its set.
const SETS: usize = 256;

/// The number of secrets in a set. In a full set, a new secret replaces the one that was asked for first.
///
/// With one secret a set, two dead tokens that share a set would drive each other out on every request.
const WAYS: usize = 4;

/// Why a secret was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownBad {
    Unknown,
    WrongSecret,
    RetiredSecret,
}

/// A set of refused secrets. A secret is in it at most once.
type Set = [Option<Entry>; WAYS];

/// The secrets that were refused last. Without a `max_staleness` it has no sets.
pub(crate) struct NegativeCache {
    sets: Box<[Mutex<Set>]>,
    max_staleness: Duration,
    /// Keyed at random, so that a client can't make a token that collides with another one.
    hashes: RandomState,
}

#[derive(Clone, Copy)]
struct Entry {
    hash: u64,
    known_bad: KnownBad,
    /// The moment at which the store was asked.
    asked: Moment,
}

impl NegativeCache {
    pub(crate) fn new(max_staleness: Duration) -> Self {
        let sets = if max_staleness.is_zero() { 0 } else { SETS };
        let sets = (0..sets).map(|_| Mutex::default()).collect();
        Self { sets, max_staleness, hashes: RandomState::new() }
    }

    /// Keeps the reason for which the store refused a secret.
    pub(crate) fn insert(&self, token: &PresentedToken<'_>, known_bad: KnownBad, asked: Moment) {
        self.in_set(token, |set, hash| {
            // The place of the same secret, then an empty one, then the one that was asked for first.
            let place = set.iter_mut().min_by_key(|place| {
                place.map_or((1, Duration::ZERO), |entry| {
                    if entry.hash == hash { (0, Duration::ZERO) } else { (2, entry.asked.elapsed) }
                })
            });
            if let Some(place) = place {
                *place = Some(Entry { hash, known_bad, asked });
            }
        });
    }

    /// Returns the reason for which a secret was refused within `max_staleness`.
    pub(crate) fn get(&self, token: &PresentedToken<'_>, now: Moment) -> Option<KnownBad> {
        self.in_set(token, |set, hash| {
            let entry = set.iter().flatten().find(|entry| entry.hash == hash)?;
            (entry.asked.until(now) < self.max_staleness).then_some(entry.known_bad)
        })?
    }

    #[allow(clippy::cast_possible_truncation, reason = "the lowest bits of a hash are a hash")]
    fn in_set<T>(
        &self,
        token: &PresentedToken<'_>,
        act: impl FnOnce(&mut Set, u64) -> T,
    ) -> Option<T> {
        if self.sets.is_empty() {
            return None;
        }
        let hash = self.hashes.hash_one((token.id(), token.secret()));
        let set = &self.sets[hash as usize % self.sets.len()];
        Some(act(&mut set.lock().unwrap_or_else(PoisonError::into_inner), hash))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::token::{Digests, Prefix, TokenFormat, TokenId};

    const MOST: usize = SETS * WAYS;
    const MANY: u128 = 3 * MOST as u128;
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
        assert!((0..MANY).filter(is_kept).count() <= MOST);
        assert_eq!((MANY..3 * MANY).filter(is_kept).count(), 0);
    }

    #[test]
    fn tokens_of_one_set_do_not_drive_each_other_out() {
        let negative_cache = NegativeCache::new(100 * SECOND);
        let insert = |number, second| {
            let asked = at(second * SECOND);
            with(number, |it| negative_cache.insert(it, KnownBad::Unknown, asked));
        };
        let is_kept = |number| with(number, |it| negative_cache.get(it, at(9 * SECOND)).is_some());
        let set_of = |number| {
            with(number, |it| negative_cache.in_set(it, |set, _| std::ptr::from_ref(set))).unwrap()
        };
        let of_one_set: Vec<u128> =
            (0..).filter(|number| set_of(*number) == set_of(0)).take(WAYS + 1).collect();
        let [first, second, .., last] = of_one_set[..] else { unreachable!() };
        for number in &of_one_set[..WAYS] {
            insert(*number, 1);
        }
        insert(first, 2);
        assert!(of_one_set[..WAYS].iter().all(|number| is_kept(*number)));
        insert(second, 3);
        insert(last, 4);
        let kept = of_one_set.iter().filter(|number| is_kept(**number)).count();
        assert_eq!(kept, WAYS);
        assert!(is_kept(first) && is_kept(second) && is_kept(last));
    }

    #[test]
    fn where_nothing_may_be_remembered_nothing_is() {
        let negative_cache = NegativeCache::new(Duration::ZERO);
        with(1, |it| negative_cache.insert(it, KnownBad::Unknown, at(SECOND)));
        assert_eq!(with(1, |it| negative_cache.get(it, at(SECOND))), None);
    }
}
