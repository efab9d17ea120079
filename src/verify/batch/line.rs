//! Who waits, in the order in which they came.

use std::collections::BTreeMap;

use crate::token::TokenId;

/// The tickets of those who wait, and for which tokens.
#[derive(Default)]
pub(super) struct Line {
    tickets: BTreeMap<u64, TokenId>,
    /// How many wait for each.
    tokens: BTreeMap<TokenId, usize>,
}

impl Line {
    /// Where he has waited before, he does so in his old place.
    pub(super) fn join(&mut self, ticket: u64, id: TokenId) {
        self.tickets.insert(ticket, id);
        *self.tokens.entry(id).or_default() += 1;
    }

    pub(super) fn leave(&mut self, ticket: u64) {
        let Some(id) = self.tickets.remove(&ticket) else { return };
        let waiting = self.tokens.entry(id).or_default();
        *waiting -= 1;
        if *waiting == 0 {
            self.tokens.remove(&id);
        }
    }

    /// Whoever waits longest.
    pub(super) fn first(&self) -> Option<u64> {
        self.tickets.keys().next().copied()
    }

    pub(super) fn tickets(&self) -> impl Iterator<Item = (u64, TokenId)> {
        self.tickets.iter().map(|(ticket, id)| (*ticket, *id))
    }

    /// How many tokens are waited for.
    pub(super) fn tokens(&self) -> usize {
        self.tokens.len()
    }
}
