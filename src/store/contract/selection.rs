use std::{collections::BTreeSet, sync::Arc};

use crate::token::{Owner, TokenId, TokenRecord};

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
    pub fn decide(
        &self,
        records: impl IntoIterator<Item = Arc<TokenRecord>>,
        limit: u32,
    ) -> Revoked {
        let records = records.into_iter().filter(|it| self.holds(it));
        let mut found: Vec<_> = records.map(|it| (it.id, it.revocation.is_some())).collect();
        found.sort_unstable();
        self.step(found, limit)
    }

    /// Decides a step by what a store found: ids in their order, each with `true` if the token is revoked.
    pub(crate) fn step(&self, mut found: Vec<(TokenId, bool)>, limit: u32) -> Revoked {
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
