use crate::{
    store::contract::SharedRecord,
    token::{Owner, Timestamp, TokenId, TokenName, TokenRecord},
};

/// The rules that decide if an owner may have one more living token.
///
/// A token is *living* if it is neither revoked nor expired at [`at`](Self::at). Suspended, idle and not yet valid
/// tokens are living.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsertRules {
    /// The instant at which the other tokens must be living to count.
    pub at: Timestamp,
    /// Refuses a name that another living token of the owner has.
    pub unique_name: bool,
    /// Refuses the token if the owner has this many other living tokens.
    pub limit_per_owner: Option<u32>,
}

impl InsertRules {
    /// No rules. The instant is not used.
    #[must_use]
    pub const fn none() -> Self {
        Self::at(Timestamp::MIN)
    }

    /// No rules yet, at an instant.
    #[must_use]
    pub const fn at(at: Timestamp) -> Self {
        Self { at, unique_name: false, limit_per_owner: None }
    }

    /// Returns `true` if there is nothing to decide.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !self.unique_name && self.limit_per_owner.is_none()
    }

    /// Decides an insert by the owner's tokens.
    ///
    /// This is the whole of [`TokenStore::insert`](crate::store::TokenStore::insert) for a store that reads whole
    /// records, except that the id may be taken. `others` may hold tokens of other owners: they make no difference.
    pub fn decide(
        &self,
        record: &TokenRecord,
        others: impl IntoIterator<Item = SharedRecord>,
    ) -> InsertOutcome {
        let key = record.idempotency_key();
        if self.is_empty() && key.is_none() {
            return InsertOutcome::Inserted;
        }
        let mut siblings = Siblings::default();
        for other in others.into_iter().filter(|other| other.owner == record.owner) {
            if key.is_some() && other.idempotency_key() == key {
                return InsertOutcome::AlreadyIssued(other.id);
            }
            siblings.count(&other, &record.name, self.at);
        }
        self.check(&siblings).err().map_or(InsertOutcome::Inserted, InsertOutcome::from)
    }

    /// Decides by what a store counted.
    ///
    /// # Errors
    /// [`RuleError::NameTaken`] before [`RuleError::LimitReached`].
    pub fn check(&self, siblings: &Siblings) -> Result<(), RuleError> {
        if self.unique_name && siblings.name_taken {
            return Err(RuleError::NameTaken);
        }
        if self.limit_per_owner.is_some_and(|limit| siblings.living >= limit.into()) {
            return Err(RuleError::LimitReached);
        }
        Ok(())
    }
}

/// The rule that refuses a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The owner has another living token of this name.
    #[error("the owner has another token of this name")]
    NameTaken,
    /// The owner has as many other living tokens as the limit allows.
    #[error("the owner has as many tokens as the limit allows")]
    LimitReached,
}

/// The other living tokens of an owner, as far as [`InsertRules`] need them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Siblings {
    /// Another living token has the name.
    pub name_taken: bool,
    /// The number of other living tokens. A store may stop counting at
    /// [`limit_per_owner`](InsertRules::limit_per_owner).
    pub living: u64,
}

impl Siblings {
    /// Counts the siblings of a token among the tokens that a store has.
    pub(super) fn among(
        others: impl IntoIterator<Item = SharedRecord>,
        (id, owner, name): (TokenId, &Owner, &TokenName),
        at: Timestamp,
    ) -> Self {
        let mut siblings = Self::default();
        let others = others.into_iter().filter(|it| it.id != id && it.owner == *owner);
        others.for_each(|other| siblings.count(&other, name, at));
        siblings
    }

    fn count(&mut self, other: &TokenRecord, name: &TokenName, at: Timestamp) {
        if other.has_ended(at) {
            return;
        }
        self.name_taken |= other.name == *name;
        self.living += 1;
    }
}

/// The outcome of [`TokenStore::insert`](crate::store::TokenStore::insert).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum InsertOutcome {
    /// The token was added.
    Inserted,
    /// A token with this id exists. It is unchanged.
    IdTaken,
    /// The owner has another living token of this name.
    NameTaken,
    /// The owner has as many living tokens as the limit allows.
    LimitReached,
    /// The owner has this token, which was issued with the same idempotency key.
    AlreadyIssued(TokenId),
}

impl From<RuleError> for InsertOutcome {
    fn from(error: RuleError) -> Self {
        match error {
            RuleError::NameTaken => Self::NameTaken,
            RuleError::LimitReached => Self::LimitReached,
        }
    }
}
