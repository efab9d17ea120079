//! A new token: the plain text exists here, once.

mod delegation;

pub(crate) use delegation::Parent;

use std::io;

use time::Duration;
use zeroize::Zeroizing;

use crate::{
    api_tokens::{
        ApiTokens,
        policy::{Bounds, Instants, Party},
    },
    event::Event,
    store::{StoreError, TokenStore, contract::InsertOutcome},
    token::{
        Abilities, Actor, Expiry, Fields, IdempotencyKey, InvalidFields, IssuedToken, Owner,
        PlainToken, RareFields, RateLimit, Requested, RequestedAbilities, RequestedBy, Rule,
        Timestamp, TokenId, TokenRecord, TokenSettings,
    },
};

/// A token that is to be issued. Setters take plain values. Issuing checks them, and names each field that is not valid.
///
/// ```
/// use keyfob::NewToken;
/// use time::Duration;
///
/// let new = NewToken::named("ci-deploy")
///     .abilities(["servers:read", "sites:*"])
///     .expires_in(Duration::days(90))
///     .metadata(serde_json::json!({ "environment": "production" }));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NewToken {
    /// `None` until the call says whose token it is.
    pub(crate) owner: Option<Owner>,
    name: String,
    pub(crate) settings: TokenSettings,
    pub(crate) parent: Option<Parent>,
    /// The abilities that the actor may grant, if not all.
    pub(crate) grantable: Option<Abilities>,
    pub(crate) created_by: Option<Actor>,
    idempotency_key: Option<IdempotencyKey>,
}

impl NewToken {
    /// A token of this owner, with this name, the application's default abilities and its default lifetime.
    ///
    /// The owner comes from the application's own login, never from the request.
    pub fn new(owner: impl Into<Owner>, name: impl Into<String>) -> Self {
        Self { owner: Some(owner.into()), ..Self::named(name) }
    }

    /// A token with this name. Its owner follows from the call: [`OwnerTokens::issue`](crate::OwnerTokens::issue) or
    /// [`ApiTokens::issue_on_behalf_of`]. [`ApiTokens::issue`] refuses it, with
    /// [`WrongOwner`](IssueError::WrongOwner).
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            owner: None,
            name: name.into(),
            settings: TokenSettings::default(),
            parent: None,
            grantable: None,
            created_by: None,
            idempotency_key: None,
        }
    }

    /// The settings that are asked for, for rules of the application's own.
    #[must_use]
    pub fn requested(&self) -> Requested<'_> {
        Requested { name: Some(&self.name), settings: &self.settings }
    }

    /// Sets what the token may do: a set of at most 100 abilities. The empty set permits nothing. Default: the
    /// application's [default](crate::Policy::default_abilities).
    pub fn abilities<T: Into<String>>(mut self, abilities: impl IntoIterator<Item = T>) -> Self {
        self.settings.abilities = Some(abilities.into_iter().collect());
        self
    }

    /// Gives the token every ability, also those that the application adds later.
    pub fn all_abilities(mut self) -> Self {
        self.settings.abilities = Some(RequestedAbilities::All);
        self
    }

    /// Sets when the token expires, in whole seconds. If it is `None`, the token never expires, whatever the default; the
    /// application refuses that if it has a [maximum](crate::Policy::max_lifetime). Default: the application's
    /// [default](crate::Policy::default_lifetime).
    ///
    /// ```
    /// # use keyfob::{NewToken, Timestamp};
    /// use time::macros::datetime;
    ///
    /// let end = Timestamp::from(datetime!(2030-01-01 00:00 UTC));
    /// let (until_2030, for_ever) = (NewToken::named("a").expires_at(end), NewToken::named("b").expires_at(None));
    /// ```
    pub fn expires_at(mut self, instant: impl Into<Option<Timestamp>>) -> Self {
        self.settings.expiry = Some(Expiry::from(instant.into()).by(RequestedBy::Application));
        self
    }

    /// Sets how long from now the token lives, in whole seconds.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.settings.expiry = Some(Expiry::In(lifetime).by(RequestedBy::Application));
        self
    }

    /// Sets from when on the token is valid, in whole seconds. Default: `None`, from now on.
    pub fn not_before(mut self, instant: impl Into<Option<Timestamp>>) -> Self {
        self.settings.not_before = Some(instant.into());
        self
    }

    /// Sets the idle period: 1 to 2³² − 1 whole seconds without a use, after which the token is refused. If it is `None`,
    /// the token is never idle, whatever the default. Default: the application's
    /// [default](crate::Policy::default_idle_period), which says by how much too early a token may be refused.
    pub fn idle_period(mut self, period: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_period = Some(period.into());
        self
    }

    /// Sets a rate limit of its own, in place of the application's. Default: `None`, the application's;
    /// for a token that another one issues, that of its parent.
    pub fn rate_limit(mut self, limit: impl Into<Option<RateLimit>>) -> Self {
        self.settings.rate_limit = Some(limit.into());
        self
    }

    /// Sets from where the token may be used: 1 to 100 addresses, or networks such as `192.0.2.0/24`.
    pub fn allowed_addresses<T: Into<String>>(
        mut self,
        networks: impl IntoIterator<Item = T>,
    ) -> Self {
        let networks = networks.into_iter().map(Into::into).collect();
        self.settings.allowed_addresses = Some(Some(networks));
        self
    }

    /// Lets the token be used from everywhere. This is the default, except for a token that another one issues.
    pub fn any_address(mut self) -> Self {
        self.settings.allowed_addresses = Some(None);
        self
    }

    /// Sets the application's metadata of the token: a JSON object of at most 4 KiB. Default: empty.
    pub fn metadata(mut self, metadata: serde_json::Value) -> Self {
        self.settings.metadata = Some(metadata);
        self
    }

    /// Sets the actor who issues the token, if that is not the owner, such as the member who makes a project's token. Default:
    /// the actor [of the call](crate::OwnerTokens::by), if there is one.
    pub fn created_by(mut self, actor: Actor) -> Self {
        self.created_by = Some(actor);
        self
    }

    /// Sets the idempotency key. If the owner has a token with this key, nothing is issued, and the error
    /// [`AlreadyIssued`](IssueError::AlreadyIssued) names that token.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}

/// The reason why no token was issued. Nothing was stored, except that an [unavailable](StoreError::Unavailable) store may
/// have stored the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// Fields are not valid.
    #[error(transparent)]
    Invalid(#[from] InvalidFields),
    /// The owner has a token of this name that is neither revoked nor expired.
    #[error("the owner has a token of this name already")]
    NameTaken,
    /// The owner has as many tokens as the application allows. Tokens that are revoked or expired don't count.
    #[error("the owner has {limit} tokens already")]
    LimitReached {
        /// The limit.
        limit: u32,
    },
    /// A token was issued for the same idempotency key. Its plain text can't be had again.
    #[error("a token was issued for this request already")]
    AlreadyIssued(TokenId),
    /// The token has no owner, or another one than [`owned_by`](ApiTokens::owned_by) names: a fault of the application.
    #[error("the token has no owner, or another one than the call names")]
    WrongOwner,
    /// The token may not issue others: the application does not let it, it is not good any more, or a secret was
    /// presented that a rotation has replaced.
    #[error("the token may not issue others")]
    DelegationNotAllowed,
    /// The random generator failed.
    #[error("the random generator failed")]
    Entropy(#[source] io::Error),
    /// The store could not keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiTokens {
    /// Issues a token: once it is stored, the plain token is returned, this once.
    ///
    /// # Errors
    /// [`IssueError`] names the fields that are wrong, the rule that is broken, or what failed.
    pub async fn issue(&self, new: NewToken) -> Result<IssuedToken, IssueError> {
        let issued = self.issue_in(self.store(), new).await?;
        self.report(|| Event::issued(&issued));
        Ok(issued)
    }

    pub(crate) async fn issue_in(
        &self,
        store: &dyn TokenStore,
        new: NewToken,
    ) -> Result<IssuedToken, IssueError> {
        let (plain, record) = self.prepare(new)?;
        let rules = self.policy().rules(&record.owner, record.created_at);
        match self.report_error(store.insert(&record, &rules).await)? {
            InsertOutcome::Inserted => Ok(IssuedToken::new(plain, record)),
            InsertOutcome::NameTaken => Err(IssueError::NameTaken),
            InsertOutcome::LimitReached => {
                let limit = rules.limit_per_owner.unwrap_or_default();
                Err(IssueError::LimitReached { limit })
            }
            InsertOutcome::AlreadyIssued(id) => Err(IssueError::AlreadyIssued(id)),
            InsertOutcome::IdTaken => {
                Err(IssueError::Entropy(io::Error::other("an id came twice")))
            }
        }
    }

    fn prepare(&self, mut new: NewToken) -> Result<(PlainToken, TokenRecord), IssueError> {
        let owner = new.owner.take().ok_or(IssueError::WrongOwner)?;
        let (policy, format, now) = (self.policy(), self.format(), self.now());
        if let Some(parent) = &new.parent {
            parent.inherit(&mut new.settings, policy, now);
        }
        policy.complete(&mut new.settings);
        let mut fields = Fields::default();
        let name = fields.check("name", policy.name(&new.name, format));
        let party = Party { owner: &owner, actor: new.created_by.as_ref() };
        let settings = policy.check(&new.settings, party, Instants::new(now), format, &mut fields);
        let parent = new.parent.as_ref().map(|parent| parent.0.clone());
        if parent.as_ref().is_some_and(|parent| parent.owner != owner) {
            fields.refuse("owner", Rule::BeyondParent);
        }
        if let Some(settings) = &settings {
            let bounds = [new.grantable.map(Bounds::Abilities), parent.clone().map(Bounds::Token)];
            bounds.iter().flatten().for_each(|it| it.restrict(settings, &mut fields));
        }
        let texts = [
            ("owner", Some(owner.as_str())),
            ("created_by", new.created_by.as_ref().map(Actor::as_str)),
            ("idempotency_key", new.idempotency_key.as_ref().map(IdempotencyKey::as_str)),
        ];
        for (field, text) in texts {
            if text.is_some_and(|text| format.contains_token(text)) {
                fields.refuse(field, Rule::ContainsToken);
            }
        }
        let (Some(name), Some(settings), true) = (name, settings, fields.is_empty()) else {
            return Err(fields.into_error().into());
        };

        let (mut random, mut secret) = ([0; 10], Zeroizing::new([0; 32]));
        self.random_id_and_secret(&mut random, &mut secret).map_err(IssueError::Entropy)?;
        let id = self.next_id(random);
        let (plain, digest) =
            self.write_token(format.prefix(), id, &secret).map_err(IssueError::Entropy)?;

        let mut record = TokenRecord::new(id, format.prefix().clone(), owner, name, digest, now);
        settings.set(&mut record);
        let rare = record.rare_mut();
        rare.parent = parent.map(|parent| parent.id);
        rare.created_by = new.created_by;
        rare.idempotency_key = new.idempotency_key;
        record.rare = record.rare.filter(|rare| **rare != RareFields::default());
        Ok((plain, record))
    }
}
