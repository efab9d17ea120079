use std::collections::BTreeSet;

use crate::{
    store::contract::SharedRecord,
    token::{Owner, Timestamp, TokenId, TokenRecord},
};

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
    pub fn decide(&self, records: impl IntoIterator<Item = SharedRecord>, limit: u32) -> Deleted {
        let records: Vec<_> = records.into_iter().collect();
        let parents: BTreeSet<_> = records.iter().filter_map(|it| it.parent()).collect();
        let found = records.iter().filter(|it| self.matches(it, parents.contains(&it.id)));
        self.step(found.take(limit as usize).map(|it| (it.id, it.parent().is_some())), limit)
    }

    /// The outcome of a step that deletes these tokens, each with `true` if it was issued on behalf of another.
    pub fn step(&self, found: impl IntoIterator<Item = (TokenId, bool)>, limit: u32) -> Deleted {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Prefix, Revocation, TokenDigest, TokenName};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    fn record(id: u128, expires: Option<i64>, revoked: Option<i64>) -> TokenRecord {
        let mut record = TokenRecord::new(
            TokenId::from_u128(id),
            Prefix::new("acme").unwrap(),
            Owner::new("user:42").unwrap(),
            TokenName::new("ci").unwrap(),
            TokenDigest::from_bytes([7; 32], None),
            at(0),
        );
        record.expires_at = expires.map(at);
        record.revocation = revoked.map(|second| Box::new(Revocation::new(at(second))));
        record
    }

    #[test]
    fn a_token_is_pruned_that_ended_before_the_instant_and_is_nobodys_parent() {
        let prune = Deletion::EndedBefore(at(100));
        for (expires, revoked, ended) in [
            (Some(99), None, true),
            (None, Some(99), true),
            (Some(100), Some(99), true),
            (Some(99), Some(500), true),
            (Some(100), None, false),
            (None, Some(100), false),
            (None, None, false),
        ] {
            let record = record(1, expires, revoked);
            assert_eq!(prune.matches(&record, false), ended, "{record:?}");
            assert!(!prune.matches(&record, true), "{record:?}");
            assert!(Deletion::AllOf(record.owner.clone()).matches(&record, true));
        }
        let stranger = Deletion::AllOf(Owner::new("user:43").unwrap());
        assert!(!stranger.matches(&record(1, Some(1), None), false));
    }

    #[test]
    fn a_step_says_that_there_are_more_at_its_limit_and_after_a_child() {
        let mut records: Vec<_> = (1..=3).map(|id| record(id, Some(1), None)).collect();
        records[2].rare_mut().parent = Some(TokenId::from_u128(1));
        let step = |deletion: Deletion, limit| {
            let step = deletion.decide(records.iter().cloned().map(SharedRecord::from), limit);
            (step.ids.iter().map(|it| it.as_u128()).collect::<Vec<_>>(), step.more)
        };
        let prune = || Deletion::EndedBefore(at(100));
        assert_eq!(step(prune(), 9), (vec![2, 3], true), "token 1 waited for its child");
        assert_eq!(step(prune(), 1), (vec![2], true));
        let all = || Deletion::AllOf(records[0].owner.clone());
        assert_eq!(step(all(), 3), (vec![1, 2, 3], true));
        assert_eq!(step(all(), 4), (vec![1, 2, 3], false));
    }
}
