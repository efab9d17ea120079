use std::{
    hash::BuildHasher,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
};

use foldhash::fast::RandomState;

use crate::{
    store::changed::OwnerMark,
    token::{TokenId, TokenRecord},
};

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

/// Voids the tokens of an owner, and tokens that have a parent, without a walk through the memory. Owners share places:
/// the tokens of all owners of a place are looked up anew.
#[derive(Debug)]
pub(super) struct Voided {
    /// The latest look-up that had been sent when an owner's tokens were last changed, by the hash of the owner.
    owners: Box<[AtomicU64]>,
    /// The same for tokens that were issued on behalf of others.
    children: AtomicU64,
    hashes: RandomState,
}

/// The places of a token in [`Voided`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Kin {
    owner: u16,
    is_child: bool,
}

impl Default for Voided {
    fn default() -> Self {
        let owners = (0..SHARED).map(|_| AtomicU64::new(0)).collect();
        Self { owners, children: AtomicU64::new(0), hashes: RandomState::default() }
    }
}

impl Voided {
    pub(super) fn kin_of(&self, record: &TokenRecord) -> Kin {
        let owner = self.place(OwnerMark::of(&record.owner));
        Kin { owner, is_child: record.parent().is_some() }
    }

    /// Voids what is in memory and under way of an owner, as of the look-ups that were sent.
    pub(super) fn void_owner(&self, owner: OwnerMark, sent: u64) {
        self.owners[usize::from(self.place(owner))].fetch_max(sent, Release);
    }

    pub(super) fn void_children(&self, sent: u64) {
        self.children.fetch_max(sent, Release);
    }

    #[inline]
    pub(super) fn is_void(&self, lookup: u64, kin: Kin) -> bool {
        lookup <= self.owners[usize::from(kin.owner)].load(Acquire)
            || kin.is_child && lookup <= self.children.load(Acquire)
    }

    #[allow(clippy::cast_possible_truncation, reason = "the lowest bits of a hash are a hash")]
    fn place(&self, owner: OwnerMark) -> u16 {
        self.hashes.hash_one(owner) as u16 % SHARED as u16
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
