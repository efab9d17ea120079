use crate::{
    store::StoreError,
    token::{KeyId, MalformedToken, TokenId},
};

use super::negative_cache::KnownBad;

/// Why a presented text was not accepted. For logs: to a client all refusals look alike.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It has not the form of a token of this application. The store was not asked.
    #[error(transparent)]
    Malformed(#[from] MalformedToken),
    /// There is no token with this id.
    #[error("no token has this id")]
    Unknown,
    /// There is a token with this id, and this is not its secret.
    #[error("the secret is not that of the token")]
    WrongSecret,
    /// The token was issued under another prefix.
    #[error("the token was issued under another prefix")]
    WrongPrefix(TokenId),
    /// The secret is the one from before a rotation, and its grace is over.
    #[error("the secret was replaced by a rotation")]
    RetiredSecret(TokenId),
    /// The token has expired.
    #[error("the token has expired")]
    Expired(TokenId),
    /// The token was not used for longer than its idle period.
    #[error("the token was idle too long")]
    Idle(TokenId),
    /// The token was revoked.
    #[error("the token was revoked")]
    Revoked(TokenId),
    /// The token is suspended.
    #[error("the token is suspended")]
    Suspended(TokenId),
    /// The token is not valid yet.
    #[error("the token is not valid yet")]
    NotYetValid(TokenId),
    /// The token must not be used from this address, or no address was told.
    #[error("the token must not be used from this address")]
    AddressNotAllowed(TokenId),
    /// The owner may not use tokens, as the application's [gate](crate::OwnerGate) says.
    #[error("the owner of the token is disabled")]
    OwnerDisabled(TokenId),
    /// The digest was made without a pepper key, which this application does not
    /// [accept](crate::token::Pepper::accept_unpeppered).
    #[error("the digest was made without a pepper key")]
    Unpeppered,
    /// The digest was made by a pepper key that this application does not have. The service is at fault, not the
    /// token.
    #[error("the pepper key {0} is not configured")]
    UnknownKey(KeyId),
    /// The store could not answer. The token may be good: say 503, never 401.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VerifyError {
    /// A short name of the reason, for logs and metrics; it will not change.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong_secret",
            Self::WrongPrefix(_) => "wrong_prefix",
            Self::RetiredSecret(_) => "retired_secret",
            Self::Expired(_) => "expired",
            Self::Idle(_) => "idle",
            Self::Revoked(_) => "revoked",
            Self::Suspended(_) => "suspended",
            Self::NotYetValid(_) => "not_yet_valid",
            Self::AddressNotAllowed(_) => "address_not_allowed",
            Self::OwnerDisabled(_) => "owner_disabled",
            Self::Unpeppered => "unpeppered",
            Self::UnknownKey(_) => "unknown_key",
            Self::Store(_) => "store",
        }
    }

    /// That of a token which will not become good.
    pub(super) fn lasting(known_bad: KnownBad, id: TokenId) -> Self {
        match known_bad {
            KnownBad::Unknown => Self::Unknown,
            KnownBad::WrongSecret => Self::WrongSecret,
            KnownBad::RetiredSecret => Self::RetiredSecret(id),
        }
    }

    /// The same the other way round, where it is one.
    pub(super) fn as_lasting(&self) -> Option<KnownBad> {
        match self {
            Self::Unknown => Some(KnownBad::Unknown),
            Self::WrongSecret => Some(KnownBad::WrongSecret),
            Self::RetiredSecret(_) => Some(KnownBad::RetiredSecret),
            _ => None,
        }
    }

    /// The token, if its secret was proven before it was refused.
    #[must_use]
    pub fn proven_id(&self) -> Option<TokenId> {
        match self {
            Self::WrongPrefix(id)
            | Self::RetiredSecret(id)
            | Self::Expired(id)
            | Self::Idle(id)
            | Self::Revoked(id)
            | Self::Suspended(id)
            | Self::NotYetValid(id)
            | Self::AddressNotAllowed(id)
            | Self::OwnerDisabled(id) => Some(*id),
            Self::Malformed(_)
            | Self::Unknown
            | Self::WrongSecret
            | Self::Unpeppered
            | Self::UnknownKey(_)
            | Self::Store(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own() {
        let id = TokenId::from_u128(1);
        let reasons = [
            VerifyError::Malformed(MalformedToken::WrongLength),
            VerifyError::Unknown,
            VerifyError::WrongSecret,
            VerifyError::WrongPrefix(id),
            VerifyError::RetiredSecret(id),
            VerifyError::Expired(id),
            VerifyError::Idle(id),
            VerifyError::Revoked(id),
            VerifyError::Suspended(id),
            VerifyError::NotYetValid(id),
            VerifyError::AddressNotAllowed(id),
            VerifyError::OwnerDisabled(id),
            VerifyError::Unpeppered,
            VerifyError::UnknownKey(KeyId::new("k").unwrap()),
            VerifyError::Store(StoreError::Busy("".into())),
        ];
        let codes: BTreeSet<_> = reasons.iter().map(VerifyError::code).collect();
        assert_eq!(codes.len(), reasons.len());
    }
}
