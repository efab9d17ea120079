//! A presented text becomes a proven token, or a reason. The only place where a token is judged.

use std::{fmt, future::Future, net::IpAddr, sync::Arc};

use crate::{
    ApiTokens, Event,
    store::{Peek, StoreError},
    token::{
        Abilities, KeyId, MalformedToken, Metadata, MissingAbility, Owner, PresentedToken,
        Timestamp, TokenDigest, TokenId, TokenName, TokenRecord, TokenState,
    },
    usage::UsageLog,
};

/// Proof that a good token was presented. Only [`ApiTokens::verify`] makes one.
///
/// It says what was true when the token was verified. Ask it for the ability that the work at hand needs.
///
/// ```
/// # futures_executor::block_on(async {
/// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
/// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
/// let owner = Owner::new("user:42").unwrap();
/// let new = NewToken::new(owner.clone(), "ci").abilities(["servers:read"]);
/// let issued = tokens.issue(new).await.unwrap();
///
/// let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
/// assert_eq!(token.owner(), &owner);
/// assert!(token.require("servers:read").is_ok());
/// assert!(token.require("servers:delete").is_err());
/// # });
/// ```
///
/// A record is no proof, so this does not compile:
///
/// ```compile_fail,E0423
/// fn trust(record: keyfob::TokenRecord) -> keyfob::VerifiedToken {
///     keyfob::VerifiedToken(record.into())
/// }
/// ```
#[derive(Clone)]
pub struct VerifiedToken(Arc<TokenRecord>);

impl VerifiedToken {
    /// The token's public id.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.0.id
    }

    /// Whom the token belongs to, and so on whose behalf the request is made.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.0.owner
    }

    /// What its owner calls it.
    #[must_use]
    pub fn name(&self) -> &TokenName {
        &self.0.name
    }

    /// What it may do.
    #[must_use]
    pub fn abilities(&self) -> &Abilities {
        &self.0.abilities
    }

    /// From when on it will be refused, if nothing else ends it before.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at
    }

    /// What the application keeps beside it.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.0.metadata()
    }

    /// Tells whether it may do this: one ability, never a pattern.
    #[must_use]
    pub fn can(&self, ability: &str) -> bool {
        self.0.abilities.permit(ability)
    }

    /// Goes on only if it may do this.
    ///
    /// # Errors
    /// [`MissingAbility`]
    pub fn require(&self, ability: &str) -> Result<(), MissingAbility> {
        if self.can(ability) { Ok(()) } else { Err(MissingAbility::new(ability)) }
    }
}

impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("id", &self.0.id)
            .field("owner", &self.0.owner)
            .field("abilities", &self.0.abilities)
            .finish_non_exhaustive()
    }
}

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
            Self::UnknownKey(_) => "unknown_key",
            Self::Store(_) => "store",
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
            | Self::AddressNotAllowed(id) => Some(*id),
            Self::Malformed(_)
            | Self::Unknown
            | Self::WrongSecret
            | Self::UnknownKey(_)
            | Self::Store(_) => None,
        }
    }
}

impl ApiTokens {
    /// Verifies a token that came with a request. It waits for nothing but the store's answer, and writes nothing.
    ///
    /// # Errors
    /// [`VerifyError`] says why, for the log. Tell the client nothing of it.
    pub fn verify(
        &self,
        presented: &str,
    ) -> impl Future<Output = Result<VerifiedToken, VerifyError>> + Send {
        self.verify_from(presented, None)
    }

    /// Verifies a token that came from an address, which is noted as the place of its last use. A token that is
    /// limited to some networks is refused without one.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # let issued = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap();
    /// let address = "192.0.2.7".parse().unwrap();
    /// tokens.verify_from(issued.plain.expose_secret(), Some(address)).await.unwrap();
    /// let record = tokens.owned_by(&owner).get(issued.record.id).await.unwrap();
    /// assert_eq!(record.last_used_from, Some(address));
    /// # });
    /// ```
    pub async fn verify_from(
        &self,
        presented: &str,
        from: Option<IpAddr>,
    ) -> Result<VerifiedToken, VerifyError> {
        let presented = match self.format().parse(presented) {
            Ok(presented) => presented,
            Err(malformed) => return Err(self.refuse(malformed.into())),
        };
        let found = match self.store().peek(presented.id()) {
            Peek::Found(record) => Some(record),
            Peek::Absent => None,
            Peek::Ask => self.watch(self.store().find(presented.id()).await)?,
        };
        let now = self.now();
        match judge(&presented, found, now, from, self.usage()) {
            Ok(record) => {
                self.usage().note(&record, now, from);
                Ok(VerifiedToken(record))
            }
            Err(reason) => Err(self.refuse(reason)),
        }
    }

    #[cold]
    fn refuse(&self, reason: VerifyError) -> VerifyError {
        self.report(&Event::Refused { id: reason.proven_id(), reason: reason.code() });
        reason
    }
}

/// Is it a good token, here and now? An unknown id costs the same hash and the same comparison as a wrong secret.
#[inline(always)]
fn judge(
    presented: &PresentedToken<'_>,
    found: Option<Arc<TokenRecord>>,
    now: Timestamp,
    from: Option<IpAddr>,
    usage: &UsageLog,
) -> Result<Arc<TokenRecord>, VerifyError> {
    static NOBODY: TokenDigest = TokenDigest::from_bytes([0; 32], None);
    let digest = TokenDigest::of(presented.secret());
    let stored = found.as_ref().map_or(&NOBODY, |record| &record.digest);
    let proven = digest.proves(stored);
    let record = found.ok_or(VerifyError::Unknown)?;
    if !proven {
        prove_previous(&digest, &record, now)?;
    }
    if *presented.prefix() != record.prefix {
        return Err(VerifyError::WrongPrefix(record.id));
    }
    match record.state_at(now) {
        TokenState::Active => {}
        TokenState::Expired => return Err(VerifyError::Expired(record.id)),
        TokenState::Idle if usage.keeps_awake(&record, now) => {}
        TokenState::Idle => return Err(VerifyError::Idle(record.id)),
        TokenState::Revoked => return Err(VerifyError::Revoked(record.id)),
        TokenState::Suspended => return Err(VerifyError::Suspended(record.id)),
        TokenState::NotYetValid => return Err(VerifyError::NotYetValid(record.id)),
    }
    match record.allowed_addresses() {
        Some(allowed) if !from.is_some_and(|from| allowed.contain(from)) => {
            Err(VerifyError::AddressNotAllowed(record.id))
        }
        _ => Ok(record),
    }
}

/// The secret is not the current one; it may be the one from before a rotation.
#[cold]
fn prove_previous(
    digest: &TokenDigest,
    record: &TokenRecord,
    now: Timestamp,
) -> Result<(), VerifyError> {
    let previous = record.previous.as_deref();
    let in_grace = previous.filter(|it| it.is_good_at(now, record.first_used_at));
    if in_grace.is_some_and(|it| digest.proves(&it.digest)) {
        return Ok(());
    }
    // A digest under a key that is not here may well be that of this secret: that is no reason to refuse it.
    let digests = [Some(&record.digest), in_grace.map(|it| &it.digest)];
    if let Some(key) = digests.into_iter().flatten().find_map(TokenDigest::key) {
        return Err(VerifyError::UnknownKey(key.clone()));
    }
    match previous {
        Some(previous) if digest.proves(&previous.digest) => {
            Err(VerifyError::RetiredSecret(record.id))
        }
        _ => Err(VerifyError::WrongSecret),
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
            VerifyError::UnknownKey(KeyId::new("k").unwrap()),
            VerifyError::Store(StoreError::Busy("".into())),
        ];
        let codes: BTreeSet<_> = reasons.iter().map(VerifyError::code).collect();
        assert_eq!(codes.len(), reasons.len());
    }
}
