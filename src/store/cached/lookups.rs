use std::hash::BuildHasher;

use foldhash::fast::RandomState;

use crate::token::TokenId;

/// How many counts tokens share. Tokens that share one void each other's look-ups, which are then repeated.
const SHARED: usize = 1_024;

/// Numbers look-ups in the order in which they are sent, and knows which were under way when their token was changed:
/// what those answer may be from before the change.
#[derive(Debug)]
pub(super) struct Lookups {
    sent: u64,
    /// The latest look-up that had been sent when a token was last changed, by the hash of its id.
    voided: Box<[u64]>,
    /// The same for all tokens.
    all_voided: u64,
    hashes: RandomState,
}

impl Lookups {
    pub(super) fn new() -> Self {
        let voided = vec![0; SHARED].into_boxed_slice();
        Self { sent: 0, voided, all_voided: 0, hashes: RandomState::default() }
    }

    /// How many were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// The number of a look-up that is sent after this.
    pub(super) fn send(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// Voids what is under way for a token.
    pub(super) fn void(&mut self, id: TokenId) {
        let place = self.place(id);
        self.voided[place] = self.sent;
    }

    /// Voids all that is under way.
    pub(super) fn void_all(&mut self) {
        self.all_voided = self.sent;
    }

    pub(super) fn is_void(&self, lookup: u64, id: TokenId) -> bool {
        lookup <= self.all_voided.max(self.voided[self.place(id)])
    }

    #[allow(clippy::cast_possible_truncation, reason = "the lowest bits of a hash are a hash")]
    fn place(&self, id: TokenId) -> usize {
        self.hashes.hash_one(id) as usize % self.voided.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_voided_and_what_is_sent_after_is_not() {
        let (mut lookups, [a, b]) = (Lookups::new(), [1, 2].map(TokenId::from_u128));
        let before = lookups.send();
        assert!(!lookups.is_void(before, a));
        lookups.void(a);
        let after = lookups.send();
        assert!(lookups.is_void(before, a) && !lookups.is_void(after, a));
        let unrelated =
            (2..1_000).map(TokenId::from_u128).find(|it| lookups.place(*it) != lookups.place(a));
        assert!(!lookups.is_void(before, unrelated.unwrap_or(b)));
        lookups.void_all();
        assert!(lookups.is_void(after, b));
        let last = lookups.send();
        assert!([a, b].iter().all(|id| !lookups.is_void(last, *id)));
    }
}
