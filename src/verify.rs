//! A presented text becomes a proven token, or a reason. The only place where a token is judged.

mod error;

pub use error::VerifyError;

use std::{fmt, future::Future, net::IpAddr, sync::Arc};

use futures_timer::Delay;
use futures_util::future::{Either, select};

use crate::{
    ApiTokens, Event,
    store::{Peek, StoreError},
    token::{
        Abilities, Metadata, MissingAbility, Owner, PresentedToken, PreviousSecret, RateLimit,
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
pub struct VerifiedToken {
    record: Arc<TokenRecord>,
    /// That of the secret that was presented.
    generation: u32,
    from: Option<IpAddr>,
}

impl VerifiedToken {
    /// The token's public id.
    #[must_use]
    pub fn id(&self) -> TokenId {
        self.record.id
    }

    /// Whom the token belongs to, and so on whose behalf the request is made.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.record.owner
    }

    /// What its owner calls it.
    #[must_use]
    pub fn name(&self) -> &TokenName {
        &self.record.name
    }

    /// What it may do.
    #[must_use]
    pub fn abilities(&self) -> &Abilities {
        &self.record.abilities
    }

    /// When it expires.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.record.expires_at
    }

    /// From when on what was presented will be refused, if nothing ends it before: the expiry of the token, or the end
    /// of the grace of a secret that a rotation has replaced.
    ///
    /// A connection that is kept open must be closed then at the latest, and before it where
    /// [`revalidate`](ApiTokens::revalidate) says so.
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        let grace = self.previous().and_then(|it| it.ends_at);
        [self.record.expires_at, grace].into_iter().flatten().min()
    }

    /// The replaced secret, where that was presented.
    fn previous(&self) -> Option<&PreviousSecret> {
        let in_grace = self.generation != self.record.generation;
        self.record.previous.as_deref().filter(|_| in_grace)
    }

    /// What is kept of the secret that was presented.
    fn digest(&self) -> &TokenDigest {
        self.previous().map_or(&self.record.digest, |it| &it.digest)
    }

    /// Its own rate limit, in place of the application's.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.record.rate_limit()
    }

    /// What the application keeps beside it.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.record.metadata()
    }

    /// Tells whether it may do this: one ability, never a pattern.
    #[must_use]
    pub fn can(&self, ability: &str) -> bool {
        self.record.abilities.permit(ability)
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
            .field("id", &self.record.id)
            .field("owner", &self.record.owner)
            .field("abilities", &self.record.abilities)
            .finish_non_exhaustive()
    }
}

impl ApiTokens {
    /// Verifies a token that came with a request. It waits for nothing but the store's answer, for that no longer than
    /// the [deadline](crate::ApiTokensBuilder::deadline), and writes nothing.
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
        if let Some(verdict) = self.try_verify_from(presented, from) {
            return verdict;
        }
        self.ask_from(presented, from).await
    }

    /// Verifies with what the store says, where [`try_verify_from`](Self::try_verify_from) found nothing in memory.
    pub(crate) async fn ask_from(
        &self,
        presented: &str,
        from: Option<IpAddr>,
    ) -> Result<VerifiedToken, VerifyError> {
        let presented = self.format().parse(presented)?;
        let found = self.find(presented.id()).await?;
        let now = self.now();
        self.conclude(now, judge(&presented, found, now, from, self.usage()))
    }

    /// Verifies with what is in memory; `None` where the store has to be asked, as [`ask_from`](Self::ask_from) does.
    #[inline]
    pub(crate) fn try_verify_from(
        &self,
        presented: &str,
        from: Option<IpAddr>,
    ) -> Option<Result<VerifiedToken, VerifyError>> {
        let presented = match self.format().parse(presented) {
            Ok(presented) => presented,
            Err(malformed) => return Some(Err(self.refuse(malformed.into()))),
        };
        let found = match self.store().peek(presented.id()) {
            Peek::Found(record) => Some(record),
            Peek::Absent => None,
            Peek::Ask => return None,
        };
        let now = self.now();
        Some(self.conclude(now, judge(&presented, found, now, from, self.usage())))
    }

    /// Verifies once more a token that was verified before, for connections that are kept open: a WebSocket, a stream
    /// of events, a long download. It tells that the token was revoked, suspended, has expired, or may not be used from
    /// its address any more, or that its secret was replaced and the grace is over. It counts as a use.
    ///
    /// What the token may do is that of the answer: ask the answer.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, VerifyError, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # let issued = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap();
    /// let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    /// assert!(tokens.revalidate(&token).await.is_ok());
    ///
    /// tokens.owned_by(&owner).revoke(token.id()).await.unwrap();
    /// assert!(matches!(tokens.revalidate(&token).await, Err(VerifyError::Revoked(_))));
    /// # });
    /// ```
    pub async fn revalidate(&self, token: &VerifiedToken) -> Result<VerifiedToken, VerifyError> {
        let found = match self.store().peek(token.id()) {
            Peek::Found(record) => Some(record),
            Peek::Absent => None,
            Peek::Ask => self.find(token.id()).await?,
        };
        let now = self.now();
        self.conclude(now, judge_again(token, found, now, self.usage()))
    }

    /// Asks the store, and waits no longer than the deadline.
    async fn find(&self, id: TokenId) -> Result<Option<Arc<TokenRecord>>, StoreError> {
        let answer = match select(self.store().find(id), Delay::new(self.deadline())).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(StoreError::Unavailable("it did not answer in time".into())),
        };
        self.watch(answer)
    }

    /// Notes the use of a good token, and reports another.
    #[inline]
    fn conclude(
        &self,
        now: Timestamp,
        verdict: Result<VerifiedToken, VerifyError>,
    ) -> Result<VerifiedToken, VerifyError> {
        match verdict {
            Ok(token) => {
                self.usage().note(&token.record, now, token.from);
                Ok(token)
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
) -> Result<VerifiedToken, VerifyError> {
    static NOBODY: TokenDigest = TokenDigest::from_bytes([0; 32], None);
    let digest = TokenDigest::of(presented.secret());
    let stored = found.as_ref().map_or(&NOBODY, |record| &record.digest);
    let proven = digest.proves(stored);
    let record = found.ok_or(VerifyError::Unknown)?;
    let mut generation = record.generation;
    if !proven {
        prove_previous(&digest, &record, now)?;
        generation = generation.wrapping_sub(1);
    }
    if *presented.prefix() != record.prefix {
        return Err(VerifyError::WrongPrefix(record.id));
    }
    judge_state(&record, now, from, usage)?;
    Ok(VerifiedToken { record, generation, from })
}

/// Is a token that was good still good? Its secret was proven then; what can have changed is that it was replaced.
fn judge_again(
    token: &VerifiedToken,
    found: Option<Arc<TokenRecord>>,
    now: Timestamp,
    usage: &UsageLog,
) -> Result<VerifiedToken, VerifyError> {
    let record = found.ok_or(VerifyError::Unknown)?;
    let proven = token.digest();
    let is_current = token.generation == record.generation && is_same(proven, &record.digest);
    let in_grace = record.previous.as_ref().is_some_and(|previous| {
        token.generation.wrapping_add(1) == record.generation
            && is_same(proven, &previous.digest)
            && previous.is_good_at(now, record.first_used_at)
    });
    if !is_current && !in_grace {
        return Err(VerifyError::RetiredSecret(record.id));
    }
    judge_state(&record, now, token.from, usage)?;
    Ok(VerifiedToken { record, ..token.clone() })
}

/// Is it the same secret? A digest that was made anew has another key; beside the same generation that will do.
fn is_same(proven: &TokenDigest, stored: &TokenDigest) -> bool {
    proven == stored || proven.key() != stored.key()
}

#[inline]
fn judge_state(
    record: &TokenRecord,
    now: Timestamp,
    from: Option<IpAddr>,
    usage: &UsageLog,
) -> Result<(), VerifyError> {
    match record.state_at(now) {
        TokenState::Active => {}
        TokenState::Expired => return Err(VerifyError::Expired(record.id)),
        TokenState::Idle if usage.keeps_awake(record, now) => {}
        TokenState::Idle => return Err(VerifyError::Idle(record.id)),
        TokenState::Revoked => return Err(VerifyError::Revoked(record.id)),
        TokenState::Suspended => return Err(VerifyError::Suspended(record.id)),
        TokenState::NotYetValid => return Err(VerifyError::NotYetValid(record.id)),
    }
    match record.allowed_addresses() {
        Some(allowed) if !from.is_some_and(|from| allowed.contain(from)) => {
            Err(VerifyError::AddressNotAllowed(record.id))
        }
        _ => Ok(()),
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
