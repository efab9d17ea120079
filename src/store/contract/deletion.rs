use std::{collections::BTreeSet, sync::Arc};

use crate::token::{Owner, Timestamp, TokenId, TokenRecord};

/// The tokens to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deletion {
    /// Tokens of all owners that were revoked, or expired, before an instant, and on behalf of which no other token
    /// was issued that there still is.
    ///
    /// So the descendants of a token are found for as long as there are any. A chain of tokens that have ended goes
    /// from its end, a token in each step.
    EndedBefore(Timestamp),
    /// All tokens of an owner, whatever their state.
    AllOf(Owner),
}

impl Deletion {
    /// Decides a step, for a store that reads whole records: [`Deleted::ids`] are the tokens to delete.
    ///
    /// `records` must hold every token that was issued on behalf of another.
    pub fn decide(
        &self,
        records: impl IntoIterator<Item = Arc<TokenRecord>>,
        limit: u32,
    ) -> Deleted {
        let records: Vec<_> = records.into_iter().collect();
        let parents: BTreeSet<_> = records.iter().filter_map(|it| it.parent()).collect();
        let found = records.iter().filter(|it| self.matches(it, parents.contains(&it.id)));
        self.step(found.take(limit as usize).map(|it| (it.id, it.parent().is_some())), limit)
    }

    /// The outcome of a step that deletes these tokens, each with `true` if it was issued on behalf of another.
    pub(crate) fn step(
        &self,
        found: impl IntoIterator<Item = (TokenId, bool)>,
        limit: u32,
    ) -> Deleted {
        let mut deleted = Deleted::default();
        for (id, is_child) in found {
            deleted.ids.push(id);
            // Its parent may have waited for it.
            deleted.more |= is_child && matches!(self, Self::EndedBefore(_));
        }
        deleted.more |= deleted.ids.len() >= limit as usize;
        deleted
    }

    /// Returns `true` if a token is to be deleted. `is_parent` says that another token was issued on its behalf.
    #[must_use]
    pub fn matches(&self, record: &TokenRecord, is_parent: bool) -> bool {
        match self {
            Self::EndedBefore(instant) => {
                !is_parent && record.ends_at().is_some_and(|end| end < *instant)
            }
            Self::AllOf(owner) => record.owner == *owner,
        }
    }
}

/// The outcome of [`TokenStore::delete`](crate::store::TokenStore::delete).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Deleted {
    /// The tokens that were deleted.
    pub ids: Vec<TokenId>,
    /// Others may be left: the step reached its limit, or deleted a child of a token that has ended.
    pub more: bool,
}
