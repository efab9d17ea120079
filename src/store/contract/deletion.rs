use crate::token::{Owner, Timestamp, TokenId, TokenRecord};

/// The tokens to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deletion {
    /// Tokens of all owners that were revoked, or expired, before an instant.
    EndedBefore(Timestamp),
    /// All tokens of an owner, whatever their state.
    AllOf(Owner),
}

impl Deletion {
    /// Returns `true` if a token is to be deleted.
    #[must_use]
    pub fn matches(&self, record: &TokenRecord) -> bool {
        match self {
            Self::EndedBefore(instant) => record.ends_at().is_some_and(|end| end < *instant),
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
    /// Others may be left.
    pub more: bool,
}

impl Deleted {
    /// Returns the outcome of a step with this limit. Others may be left if it reached the limit.
    pub(crate) fn up_to(limit: u32, ids: Vec<TokenId>) -> Self {
        Self { more: ids.len() >= limit as usize, ids }
    }
}
