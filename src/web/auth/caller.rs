use std::sync::Arc;

use crate::{
    limit::{Charge, Payer},
    token::{Abilities, Actor, MissingAbility, Owner},
    verify::VerifiedToken,
};

use super::Account;

/// The proven caller of a request: a good token, or a session of the application's own login.
///
/// Only an [`Authenticator`](super::Authenticator) makes one. [`Allowed`](super::Allowed), [`Authenticated`] and the
/// others dereference to it.
///
/// [`Authenticated`]: super::Authenticated
#[derive(Clone, Debug)]
pub struct Caller(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Token(VerifiedToken),
    Session(Arc<Account>),
}

impl Caller {
    pub(super) fn by_token(token: VerifiedToken) -> Self {
        Self(Kind::Token(token))
    }

    pub(super) fn by_session(account: Account) -> Self {
        Self(Kind::Session(Arc::new(account)))
    }

    /// The owner on whose behalf the request is made.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        match &self.0 {
            Kind::Token(token) => token.owner(),
            Kind::Session(account) => account.owner(),
        }
    }

    /// The actor of a session. `None` for a token, which [`token`](Self::token) names.
    #[must_use]
    pub fn actor(&self) -> Option<&Actor> {
        match &self.0 {
            Kind::Token(_) => None,
            Kind::Session(account) => Some(account.actor()),
        }
    }

    /// The abilities that the caller holds.
    #[must_use]
    pub fn abilities(&self) -> &Abilities {
        match &self.0 {
            Kind::Token(token) => token.abilities(),
            Kind::Session(account) => account.abilities(),
        }
    }

    /// Returns `true` if the caller has an ability. Pass one ability, never a pattern.
    #[must_use]
    pub fn can(&self, ability: &str) -> bool {
        match &self.0 {
            Kind::Token(token) => token.can(ability),
            Kind::Session(account) => account.can(ability),
        }
    }

    /// Continues only if the caller has an ability.
    ///
    /// # Errors
    /// [`MissingAbility`]
    pub fn require(&self, ability: &str) -> Result<(), MissingAbility> {
        if self.can(ability) { Ok(()) } else { Err(MissingAbility::new(ability)) }
    }

    /// The party that a charge counts for.
    pub(super) fn payer(&self, charge: &Charge) -> Payer {
        match &self.0 {
            _ if charge.is_per_owner() => Payer::owner(self.owner()),
            Kind::Token(token) => token.id().into(),
            Kind::Session(account) => Payer::session(account.owner(), account.actor()),
        }
    }

    /// Returns `true` if a session makes the request, and no token.
    #[must_use]
    pub fn is_session(&self) -> bool {
        matches!(self.0, Kind::Session(_))
    }

    /// The token, unless a session makes the request.
    #[must_use]
    pub fn token(&self) -> Option<&VerifiedToken> {
        match &self.0 {
            Kind::Token(token) => Some(token),
            Kind::Session(_) => None,
        }
    }
}
