use std::{net::IpAddr, num::NonZeroU32, sync::Arc};

use crate::token::{
    Abilities, Ability, AllowedAddresses, Metadata, PreviousSecret, RateLimit, Timestamp,
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

impl InsertRules {
    /// Decides over an insert, given the tokens that the owner has: the whole of
    /// [`TokenStore::insert`](super::TokenStore::insert) for a store that keeps whole records, but for the id, which
    /// may be taken. Tokens of other owners make no difference.
    pub fn decide(
        self,
        record: &TokenRecord,
        others: impl IntoIterator<Item = Arc<TokenRecord>>,
    ) -> InsertOutcome {
        let key = record.idempotency_key();
        if self == Self::default() && key.is_none() {
            return InsertOutcome::Inserted;
        }
        let mut name_taken = false;
        let mut count = 0;
        for other in others.into_iter().filter(|other| other.owner == record.owner) {
            if key.is_some() && other.idempotency_key() == key {
                return InsertOutcome::AlreadyIssued(other.id);
            }
            if other.revocation.is_none() {
                name_taken |= other.name == record.name;
                count += 1;
            }
        }
        if self.unique_name && name_taken {
            InsertOutcome::NameTaken
        } else if self.limit_per_owner.is_some_and(|limit| count >= limit) {
            InsertOutcome::LimitReached
        } else {
            InsertOutcome::Inserted
        }
    }
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

impl Change {
    /// Changes the columns of a record that is not revoked, given the tokens that the owner has: the whole of
    /// [`TokenStore::change`](super::TokenStore::change) for a store that keeps whole records. Tokens of other owners
    /// make no difference.
    ///
    /// # Errors
    /// The outcome that refuses the change; then the record is as it was.
    pub fn apply(
        &self,
        record: &mut TokenRecord,
        expected_expiry: Option<Timestamp>,
        others: impl IntoIterator<Item = Arc<TokenRecord>>,
    ) -> Result<(), ChangeOutcome> {
        let is_taken = |record: &TokenRecord, name: &TokenName| {
            others.into_iter().any(|other| {
                (&other.owner, &other.name) == (&record.owner, name)
                    && other.revocation.is_none()
                    && other.id != record.id
            })
        };
        self.apply_unless(record, expected_expiry, is_taken)
    }

    /// As [`apply`](Self::apply), where the store has a way of its own to tell whether a name is taken.
    pub(crate) fn apply_unless(
        &self,
        record: &mut TokenRecord,
        expected_expiry: Option<Timestamp>,
        is_taken: impl FnOnce(&TokenRecord, &TokenName) -> bool,
    ) -> Result<(), ChangeOutcome> {
        if record.expires_at != expected_expiry {
            return Err(ChangeOutcome::Outdated);
        }
        if self.unique_name().is_some_and(|name| is_taken(record, name)) {
            return Err(ChangeOutcome::NameTaken);
        }
        self.set(record);
        Ok(())
    }

    /// The new name, where no other token of the owner may have it.
    pub(crate) fn unique_name(&self) -> Option<&TokenName> {
        self.name.as_ref().filter(|_| self.unique_name)
    }

    /// Writes the columns into a record, whatever else there is.
    pub(crate) fn set(&self, record: &mut TokenRecord) {
        if let Some(name) = &self.name {
            record.name = name.clone();
        }
        if let Some(abilities) = &self.abilities {
            record.abilities = abilities.clone();
        }
        if let Some(not_before) = self.not_before {
            record.not_before = not_before;
        }
        if let Some(idle_seconds) = self.idle_seconds {
            record.idle_seconds = idle_seconds;
        }
        if let Some(metadata) = &self.metadata {
            record.rare_mut().metadata = metadata.clone();
        }
        if let Some(rate_limit) = self.rate_limit {
            record.rare_mut().rate_limit = rate_limit;
        }
        if let Some(addresses) = &self.allowed_addresses {
            record.rare_mut().allowed_addresses.clone_from(addresses);
        }
        if let Some(expires_at) = self.expires_at {
            set_expiry(record, expires_at);
        }
    }
}

/// A new expiry forgets the notices that were claimed for the old one.
fn set_expiry(record: &mut TokenRecord, expires_at: Option<Timestamp>) {
    if record.expires_at != expires_at
        && let Some(rare) = &mut record.rare
    {
        rare.notices.clear();
    }
    record.expires_at = expires_at;
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
///
/// The digest is among it because a rotation that replaces a secret which was never used keeps the generation: of two
/// such at once, one is done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Expected {
    /// The digest that was read.
    pub digest: TokenDigest,
    /// The generation that was read.
    pub generation: u32,
    /// The first-use mark that was read.
    pub first_used_at: Option<Timestamp>,
    /// The expiry that was read.
    pub expires_at: Option<Timestamp>,
}

impl Expected {
    /// The token as this record has it.
    #[must_use]
    pub fn of(record: &TokenRecord) -> Self {
        Self {
            digest: record.digest.clone(),
            generation: record.generation,
            first_used_at: record.first_used_at,
            expires_at: record.expires_at,
        }
    }
}

/// What a rotation writes.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rotation {
    /// The digest of the new secret.
    pub digest: TokenDigest,
    /// The generation from now on.
    pub generation: u32,
    /// When the rotation happens.
    pub at: Timestamp,
    /// The secret from before. It is kept beyond its end, until the next rotation replaces it.
    pub previous: Option<PreviousSecret>,
    /// The expiry from now on.
    pub expires_at: Option<Timestamp>,
}

impl Rotation {
    /// Rotates the secret of a record that is not revoked: the whole of
    /// [`TokenStore::rotate`](super::TokenStore::rotate) for a store that keeps whole records.
    ///
    /// # Errors
    /// [`ChangeOutcome::Outdated`]; then the record is as it was.
    pub fn apply(
        &self,
        record: &mut TokenRecord,
        expected: &Expected,
    ) -> Result<(), ChangeOutcome> {
        if Expected::of(record) != *expected {
            return Err(ChangeOutcome::Outdated);
        }
        record.digest = self.digest.clone();
        record.generation = self.generation;
        record.rotated_at = Some(self.at);
        record.first_used_at = None;
        record.previous = self.previous.clone().map(Box::new);
        set_expiry(record, self.expires_at);
        Ok(())
    }
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

impl From<ChangeOutcome> for RotateOutcome {
    fn from(outcome: ChangeOutcome) -> Self {
        match outcome {
            ChangeOutcome::Changed(record) => Self::Rotated(record),
            ChangeOutcome::NotFound => Self::NotFound,
            ChangeOutcome::Revoked => Self::Revoked,
            ChangeOutcome::Outdated | ChangeOutcome::NameTaken => Self::Outdated,
        }
    }
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

impl Use {
    /// Writes the use into a record of its token if it is later than the one that is there; tells whether it did.
    #[must_use]
    pub fn apply(self, record: &mut TokenRecord) -> bool {
        let later = record.last_used_at < Some(self.at);
        if later {
            record.last_used_at = Some(self.at);
            record.last_used_from = self.from;
        }
        later
    }
}

/// How many abilities are kept at most of those that a token was seen to use.
pub const MOST_USED_ABILITIES: u32 = 100;

/// An ability that a token was seen to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbilityUse {
    /// The token.
    pub id: TokenId,
    /// What it used.
    pub ability: Ability,
}

impl AbilityUse {
    /// Adds the ability to a record of its token, unless the token is revoked, the ability is there already, or
    /// [`MOST_USED_ABILITIES`] are; tells whether it did.
    #[must_use]
    pub fn apply(&self, record: &mut TokenRecord) -> bool {
        let used = record.rare.as_ref().map(|rare| &rare.used_abilities);
        let has_room = used.is_none_or(|it| it.len() < MOST_USED_ABILITIES as usize);
        let is_new = used.is_none_or(|it| !it.contains(&self.ability));
        let adds = record.revocation.is_none() && has_room && is_new;
        if adds {
            record.rare_mut().used_abilities.insert(self.ability.clone());
        }
        adds
    }
}
