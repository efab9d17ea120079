//! The callers that wait for a query to be sent, in the order in which they arrived.

use std::collections::BTreeMap;

use crate::token::TokenId;

/// The waiters that are queued, with the tokens that they ask for.
#[derive(Default)]
pub(super) struct Queue {
    /// By waiter id, which is the order of arrival.
    waiters: BTreeMap<u64, TokenId>,
    /// The number of waiters for each token.
    tokens: BTreeMap<TokenId, usize>,
}

impl Queue {
    /// Adds a waiter. A waiter that is queued again gets its old position back.
    pub(super) fn insert(&mut self, waiter_id: u64, id: TokenId) {
        self.waiters.insert(waiter_id, id);
        *self.tokens.entry(id).or_default() += 1;
    }

    pub(super) fn remove(&mut self, waiter_id: u64) {
        let Some(id) = self.waiters.remove(&waiter_id) else { return };
        let waiting = self.tokens.entry(id).or_default();
        *waiting -= 1;
        if *waiting == 0 {
            self.tokens.remove(&id);
        }
    }

    /// Returns the waiter that has waited longest.
    pub(super) fn first(&self) -> Option<u64> {
        self.waiters.keys().next().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, TokenId)> {
        self.waiters.iter().map(|(waiter_id, id)| (*waiter_id, *id))
    }

    /// Returns the number of distinct tokens that are asked for.
    pub(super) fn tokens(&self) -> usize {
        self.tokens.len()
    }
}
