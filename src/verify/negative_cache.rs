//! What the store has refused a moment ago is refused again without asking it, so that a client that goes on with a
//! dead token costs nothing.
//!
//! Only what can't become good is kept: an id that no token had, a secret that was not that of its token, and one that
//! a rotation had replaced. Ids and secrets are made once and at random: what was none is none.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{time::Moment, token::PresentedToken};

/// How many secrets are remembered at most. One that comes later takes the place of another one.
const PLACES: usize = 1_024;

/// Why a secret was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    WrongSecret,
    RetiredSecret,
}

/// The secrets that were refused last; none where nothing may be remembered.
pub(crate) struct Refusals {
    places: Box<[Mutex<Option<Kept>>]>,
    max_staleness: Duration,
    /// With keys that nobody knows, so that nobody can make a token that is taken for another one.
    hashes: RandomState,
}

struct Kept {
    hash: u64,
    refusal: Refusal,
    /// When the store was asked.
    asked: Moment,
}

impl Refusals {
    pub(crate) fn new(max_staleness: Duration) -> Self {
        let places = if max_staleness.is_zero() { 0 } else { PLACES };
        let places = (0..places).map(|_| Mutex::default()).collect();
        Self { places, max_staleness, hashes: RandomState::new() }
    }

    /// Keeps for what the store, which was asked then, has refused a secret.
    pub(crate) fn keep(&self, token: &PresentedToken<'_>, refusal: Refusal, asked: Moment) {
        self.at(token, |kept, hash| *kept = Some(Kept { hash, refusal, asked }));
    }

    /// Why a secret was refused, if it was lately.
    pub(crate) fn recall(&self, token: &PresentedToken<'_>, now: Moment) -> Option<Refusal> {
        self.at(token, |kept, hash| {
            let kept = kept.as_ref().filter(|it| it.hash == hash)?;
            (kept.asked.until(now) < self.max_staleness).then_some(kept.refusal)
        })?
    }

    #[allow(clippy::cast_possible_truncation, reason = "the lowest bits of a hash are a hash")]
    fn at<T>(
        &self,
        token: &PresentedToken<'_>,
        act: impl FnOnce(&mut Option<Kept>, u64) -> T,
    ) -> Option<T> {
        if self.places.is_empty() {
            return None;
        }
        let hash = self.hashes.hash_one((token.id(), token.secret()));
        let place = &self.places[hash as usize % self.places.len()];
        Some(act(&mut place.lock().unwrap_or_else(PoisonError::into_inner), hash))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::token::{Digests, Prefix, TokenFormat, TokenId};

    const MANY: u128 = 3 * PLACES as u128;
    const SECOND: Duration = Duration::from_secs(1);

    fn at(elapsed: Duration) -> Moment {
        Moment { elapsed, wall: SystemTime::UNIX_EPOCH }
    }

    /// What is done with the token that has this number.
    fn with<T>(number: u128, act: impl FnOnce(&PresentedToken<'_>) -> T) -> T {
        let prefix = Prefix::new("acme").unwrap();
        let format = TokenFormat::new(prefix.clone());
        let (id, secret) = (TokenId::from_u128(number), [7; 32]);
        let (plain, _) = format.write(&prefix, id, &secret, &Digests::new(None));
        act(&format.parse(plain.expose_secret()).unwrap())
    }

    #[test]
    fn a_refusal_is_kept_for_so_long() {
        let refusals = Refusals::new(5 * SECOND);
        let recall = |number, now| with(number, |it| refusals.recall(it, at(now)));
        with(1, |it| refusals.keep(it, Refusal::Unknown, at(10 * SECOND)));
        assert_eq!(recall(1, Duration::new(14, 999_999_999)), Some(Refusal::Unknown));
        assert_eq!(recall(1, 15 * SECOND), None);
        assert_eq!(recall(2, 10 * SECOND), None);
        with(1, |it| refusals.keep(it, Refusal::RetiredSecret, at(15 * SECOND)));
        assert_eq!(recall(1, 15 * SECOND), Some(Refusal::RetiredSecret));
    }

    #[test]
    fn memory_is_bounded_and_no_secret_is_taken_for_another_one() {
        let refusals = Refusals::new(SECOND);
        for number in 0..MANY {
            with(number, |it| refusals.keep(it, Refusal::WrongSecret, at(SECOND)));
        }
        let is_kept = |number: &u128| with(*number, |it| refusals.recall(it, at(SECOND)).is_some());
        assert!((0..MANY).filter(is_kept).count() <= PLACES);
        assert_eq!((MANY..3 * MANY).filter(is_kept).count(), 0);
    }

    #[test]
    fn where_nothing_may_be_remembered_nothing_is() {
        let refusals = Refusals::new(Duration::ZERO);
        with(1, |it| refusals.keep(it, Refusal::Unknown, at(SECOND)));
        assert_eq!(with(1, |it| refusals.recall(it, at(SECOND))), None);
    }
}
