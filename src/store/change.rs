use std::{net::IpAddr, num::NonZeroU32, sync::Arc};

use crate::token::{
    Abilities, AllowedAddresses, Metadata, Owner, PreviousSecret, RateLimit, Timestamp,
    TokenDigest, TokenId, TokenName, TokenRecord,
};

/// What an insert has to keep to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InsertRules {
    /// Refuse a name that a token of the same owner has that is not revoked.
    pub unique_name: bool,
    /// Refuse a token where its owner has this many that are not revoked.
    pub limit_per_owner: Option<u32>,
}

/// What became of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum InsertOutcome {
    /// The token is there.
    Inserted,
    /// A token with this id is there already; it is as it was.
    IdTaken,
    /// The owner has a token of this name that is not revoked.
    NameTaken,
    /// The owner has as many tokens that are not revoked as the limit says.
    LimitReached,
    /// The owner has this token, issued with the same idempotency key.
    AlreadyIssued(TokenId),
}

/// The columns to change; `None` leaves a column as it is.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// A new name.
    pub name: Option<TokenName>,
    /// Refuse the name where another token of the owner has it that is not revoked.
    pub unique_name: bool,
    /// New abilities.
    pub abilities: Option<Abilities>,
    /// A new expiry, or none.
    pub expires_at: Option<Option<Timestamp>>,
    /// A new first instant, or none.
    pub not_before: Option<Option<Timestamp>>,
    /// A new idle period, or none.
    pub idle_seconds: Option<Option<NonZeroU32>>,
    /// New metadata.
    pub metadata: Option<Metadata>,
    /// A new rate limit, or none.
    pub rate_limit: Option<Option<RateLimit>>,
    /// New networks, or none.
    pub allowed_addresses: Option<Option<AllowedAddresses>>,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum ChangeOutcome {
    /// The token as it is now.
    Changed(Arc<TokenRecord>),
    /// There is no such token.
    NotFound,
    /// The token is revoked.
    Revoked,
    /// The token is no longer as expected; nothing was changed.
    Outdated,
    /// The owner has another token of this name that is not revoked.
    NameTaken,
}

/// What a token must still be for a rotation to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The generation that was read.
    pub generation: u32,
    /// The first-use mark that was read.
    pub first_used_at: Option<Timestamp>,
    /// The expiry that was read.
    pub expires_at: Option<Timestamp>,
}

/// What a rotation writes.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    /// The digest of the new secret.
    pub digest: TokenDigest,
    /// The generation from now on.
    pub generation: u32,
    /// The secret from before, while it may still be used.
    pub previous: Option<PreviousSecret>,
    /// The expiry from now on.
    pub expires_at: Option<Timestamp>,
}

/// What became of a rotation.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum RotateOutcome {
    /// The token as it is now.
    Rotated(Arc<TokenRecord>),
    /// There is no such token.
    NotFound,
    /// The token is revoked.
    Revoked,
    /// The token is no longer as expected; nothing was changed.
    Outdated,
}

/// Which tokens to revoke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those of these ids that belong to the owner; of any owner where none is given.
    Tokens {
        /// The ids.
        ids: Vec<TokenId>,
        /// Whose they must be.
        owner: Option<Owner>,
    },
    /// Those that were issued on behalf of this token.
    ChildrenOf(TokenId),
    /// All of an owner.
    AllOf(Owner),
}

/// One use of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// The token.
    pub id: TokenId,
    /// When it was used.
    pub at: Timestamp,
    /// From where, if the application tells.
    pub from: Option<IpAddr>,
}

/// How many tokens an owner has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerCount {
    /// Those that are not revoked, expired ones among them. The limit per owner counts these.
    pub not_revoked: u64,
    /// Those that are revoked and not yet pruned.
    pub revoked: u64,
}
