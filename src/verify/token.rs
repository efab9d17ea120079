use std::{fmt, net::IpAddr, sync::Arc};

use crate::{
    background::usage::AbilityLog,
    store::contract::SharedRecord,
    token::{
        Abilities, Metadata, MissingAbility, Owner, PreviousSecret, RateLimit, Timestamp,
        TokenDigest, TokenId, TokenName,
    },
};

/// Proof that a good token was presented. Only [`ApiTokens::verify`](crate::ApiTokens::verify) makes one.
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
    pub(super) record: SharedRecord,
    /// That of the secret that was presented.
    pub(super) generation: u32,
    pub(super) from: Option<IpAddr>,
    /// Who is told which abilities are used, where somebody is.
    pub(super) abilities: Option<Arc<AbilityLog>>,
    /// When it was verified.
    pub(super) at: Timestamp,
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
    /// [`revalidate`](crate::ApiTokens::revalidate) says so.
    #[must_use]
    pub fn valid_until(&self) -> Option<Timestamp> {
        let grace = self.previous().and_then(|it| it.ends_at);
        [self.record.expires_at, grace].into_iter().flatten().min()
    }

    /// Whether the current secret was presented, and not one that a rotation has replaced.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.generation == self.record.generation
    }

    /// What is kept of the token.
    pub(crate) fn record(&self) -> &SharedRecord {
        &self.record
    }

    /// The replaced secret, where that was presented.
    fn previous(&self) -> Option<&PreviousSecret> {
        self.record.previous.as_deref().filter(|_| !self.is_current())
    }

    /// What is kept of the secret that was presented.
    pub(super) fn digest(&self) -> &TokenDigest {
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
        let can = self.record.abilities.permit(ability);
        if can && let Some(log) = &self.abilities {
            let used = (self.at, self.from);
            log.note(self.record.id, &self.record.abilities, ability, used);
        }
        can
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
