use std::collections::BTreeSet;

use crate::{
    store::contract::SharedRecord,
    token::{Owner, TokenId, TokenRecord},
};

/// The tokens to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// The tokens with these ids.
    Tokens {
        /// The ids.
        ids: Vec<TokenId>,
        /// The owner that the tokens must belong to; `None` is any owner.
        owner: Option<Owner>,
    },
    /// The tokens that were issued on behalf of these, of any owner.
    ///
    /// The core revokes a token before it asks for the children, and goes on with the children that were found.
    ChildrenOf {
        /// The ids of the parents.
        parents: Vec<TokenId>,
        /// Begins after the child with this id.
        after: Option<TokenId>,
    },
    /// All tokens of an owner.
    AllOf(Owner),
}

/// The outcome of [`TokenStore::revoke`](crate::store::TokenStore::revoke).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Revoked {
    /// The tokens that were revoked by this step, in order of their ids.
    pub changed: Vec<TokenId>,
    /// Of [named](Selection::Tokens) tokens, and of [children](Selection::ChildrenOf): those that there are, revoked
    /// by this step or before, in order of their ids. Otherwise the tokens that were revoked by this step.
    pub found: Vec<TokenId>,
    /// Others may be left.
    pub more: bool,
}

impl Selection {
    /// Decides a step, for a store that reads whole records: [`Revoked::changed`] are the tokens to revoke.
    ///
    /// `records` may hold other tokens: they make no difference.
    pub fn decide(&self, records: impl IntoIterator<Item = SharedRecord>, limit: u32) -> Revoked {
        let records = records.into_iter().filter(|it| self.holds(it));
        let mut found: Vec<_> = records.map(|it| (it.id, it.revocation.is_some())).collect();
        found.sort_unstable();
        self.step(found, limit)
    }

    /// Decides a step by what a store found: ids in their order, each with `true` if the token is revoked.
    pub fn step(&self, mut found: Vec<(TokenId, bool)>, limit: u32) -> Revoked {
        let limit = limit as usize;
        if matches!(self, Self::ChildrenOf { .. }) {
            found.truncate(limit);
        }
        let living = found.iter().filter(|(_, is_revoked)| !is_revoked).map(|(id, _)| *id);
        let changed: Vec<_> = living.take(limit).collect();
        let found: Vec<_> = match self {
            Self::AllOf(_) => changed.clone(),
            _ => found.into_iter().map(|(id, _)| id).collect(),
        };
        let more = match self {
            Self::ChildrenOf { .. } => found.len() >= limit,
            _ => changed.len() >= limit,
        };
        Revoked { changed, found, more }
    }

    fn holds(&self, record: &TokenRecord) -> bool {
        match self {
            Self::Tokens { ids, owner } => {
                ids.contains(&record.id) && owner.as_ref().is_none_or(|it| *it == record.owner)
            }
            Self::ChildrenOf { parents, after } => {
                record.parent().is_some_and(|it| parents.contains(&it)) && Some(record.id) > *after
            }
            Self::AllOf(owner) => record.owner == *owner,
        }
    }

    /// The owner of all of the tokens, if it is known.
    pub(crate) fn owner(&self) -> Option<&Owner> {
        match self {
            Self::Tokens { owner, .. } => owner.as_ref(),
            Self::ChildrenOf { .. } => None,
            Self::AllOf(owner) => Some(owner),
        }
    }

    pub(crate) fn one(id: TokenId) -> Self {
        Self::Tokens { ids: vec![id], owner: None }
    }

    /// The ids of [named](Self::Tokens) tokens, each once and in order.
    pub(crate) fn ids(&self) -> BTreeSet<TokenId> {
        match self {
            Self::Tokens { ids, .. } => ids.iter().copied().collect(),
            _ => BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Prefix, Revocation, Timestamp, TokenDigest, TokenName};

    fn id(number: u128) -> TokenId {
        TokenId::from_u128(number)
    }

    fn owner(text: &str) -> Owner {
        Owner::new(text).unwrap()
    }

    /// Tokens 1 to 6 of `user:42` and 7 of `user:43`. Token 2 is revoked; 3 to 7 are children of 1, and 5 is of 2.
    fn records() -> Vec<SharedRecord> {
        let record = |number: u128| {
            let mut record = TokenRecord::new(
                id(number),
                Prefix::new("acme").unwrap(),
                owner(if number < 7 { "user:42" } else { "user:43" }),
                TokenName::new("ci").unwrap(),
                TokenDigest::from_bytes([7; 32], None),
                Timestamp::MIN,
            );
            if number == 2 {
                record.revocation = Some(Box::new(Revocation::new(Timestamp::MIN)));
            }
            if number > 2 {
                record.rare_mut().parent = Some(id(if number == 5 { 2 } else { 1 }));
            }
            record.into()
        };
        (1..=7).rev().map(record).collect()
    }

    fn ids<const N: usize>(numbers: [u128; N]) -> Vec<TokenId> {
        numbers.map(id).into()
    }

    #[test]
    fn a_step_revokes_living_tokens_of_the_selection_up_to_the_limit() {
        let named = |numbers: &[u128], owner| Selection::Tokens {
            ids: numbers.iter().copied().map(id).collect(),
            owner,
        };
        let children = |parents: &[u128], after: Option<u128>| Selection::ChildrenOf {
            parents: parents.iter().copied().map(id).collect(),
            after: after.map(id),
        };
        let all = || Selection::AllOf(owner("user:42"));
        for (selection, limit, changed, found, more) in [
            (named(&[7, 2, 1, 9, 1], None), 9, ids([1, 7]), ids([1, 2, 7]), false),
            (named(&[7, 2, 1], Some(owner("user:42"))), 9, ids([1]), ids([1, 2]), false),
            (named(&[4, 3, 1], None), 2, ids([1, 3]), ids([1, 3, 4]), true),
            (named(&[], None), 9, vec![], vec![], false),
            (children(&[1], None), 9, ids([3, 4, 6, 7]), ids([3, 4, 6, 7]), false),
            (children(&[1, 2], None), 3, ids([3, 4, 5]), ids([3, 4, 5]), true),
            (children(&[1, 2], Some(5)), 3, ids([6, 7]), ids([6, 7]), false),
            (children(&[9], None), 9, vec![], vec![], false),
            (all(), 9, ids([1, 3, 4, 5, 6]), ids([1, 3, 4, 5, 6]), false),
            (all(), 5, ids([1, 3, 4, 5, 6]), ids([1, 3, 4, 5, 6]), true),
            (all(), 2, ids([1, 3]), ids([1, 3]), true),
        ] {
            let step = selection.decide(records(), limit);
            assert_eq!(step, Revoked { changed, found, more }, "{selection:?}, {limit}");
        }
    }

    #[test]
    fn revoked_children_are_found_and_count_against_the_limit() {
        let mut records = records();
        for record in records.iter_mut().filter(|it| it.id <= id(4)) {
            let mut revoked = record.clone().into_record();
            revoked.revocation = Some(Box::new(Revocation::new(Timestamp::MIN)));
            *record = revoked.into();
        }
        let children = Selection::ChildrenOf { parents: ids([1]), after: None };
        let step = children.decide(records, 3);
        assert_eq!(step, Revoked { changed: ids([6]), found: ids([3, 4, 6]), more: true });
    }
}
