//! A new token: the plain text exists here, once.

mod delegation;

pub(crate) use delegation::Parent;

use zeroize::Zeroizing;

use crate::{
    api_tokens::{
        ApiTokens,
        entropy::EntropyError,
        policy::{Fields, Instants, InvalidFields},
        token_settings::{TokenSettings, settings_setters},
    },
    event::Event,
    store::{InsertOutcome, StoreError, TokenStore},
    token::{
        Actor, ContainsToken, IdempotencyKey, IssuedToken, Owner, PlainToken, RareFields, TokenId,
        TokenRecord,
    },
};

/// What to issue. Setters take plain values; [`ApiTokens::issue`] checks them and names each field that is wrong.
///
/// ```
/// use keyfob::{NewToken, Owner};
/// use time::Duration;
///
/// let new = NewToken::new(Owner::new("user:42")?, "ci-deploy")
///     .abilities(["servers:read", "sites:*"])
///     .expires_in(Duration::days(90))
///     .metadata(serde_json::json!({ "environment": "production" }));
/// # Ok::<(), keyfob::token::TextError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NewToken {
    pub(crate) owner: Owner,
    name: String,
    pub(crate) settings: TokenSettings,
    pub(crate) parent: Option<Parent>,
    created_by: Option<Actor>,
    idempotency_key: Option<IdempotencyKey>,
}

impl NewToken {
    /// A token of this owner, with this name, the application's default abilities and its default lifetime.
    ///
    /// The owner is who the application's own login says, never what the request says of itself.
    pub fn new(owner: Owner, name: impl Into<String>) -> Self {
        Self {
            owner,
            name: name.into(),
            settings: TokenSettings::default(),
            parent: None,
            created_by: None,
            idempotency_key: None,
        }
    }

    settings_setters!();

    /// Who issues it, where that is not the owner: the member who makes a project's token.
    pub fn created_by(mut self, actor: Actor) -> Self {
        self.created_by = Some(actor);
        self
    }

    /// The caller's name for this request: asked again with the same one, nothing is issued a second time.
    pub fn idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }
}

/// Why no token was issued. Nothing was stored, unless the store says that it does not know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// Fields are wrong.
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
    /// The token may not issue others: the application does not let it, it is not good any more, or a secret was
    /// presented that a rotation has replaced.
    #[error("the token may not issue others")]
    DelegationNotAllowed,
    /// There is no secret to be had.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The store could not keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApiTokens {
    /// Issues a token: once it is kept, the plain text is handed out, this once.
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
        let rules = self.policy().rules(record.created_at);
        match self.report_error(store.insert(&record, &rules).await)? {
            InsertOutcome::Inserted => Ok(IssuedToken::new(plain, record)),
            InsertOutcome::NameTaken => Err(IssueError::NameTaken),
            InsertOutcome::LimitReached => {
                let limit = rules.limit_per_owner.unwrap_or_default();
                Err(IssueError::LimitReached { limit })
            }
            InsertOutcome::AlreadyIssued(id) => Err(IssueError::AlreadyIssued(id)),
            InsertOutcome::IdTaken => {
                Err(EntropyError::new(Some("an id came twice".into())).into())
            }
        }
    }

    fn prepare(&self, mut new: NewToken) -> Result<(PlainToken, TokenRecord), IssueError> {
        let (policy, format, now) = (self.policy(), self.format(), self.now());
        if let Some(parent) = &new.parent {
            parent.inherit(&mut new.settings, policy, now);
        }
        policy.complete(&mut new.settings);
        let mut fields = Fields::default();
        let name = fields.check("name", policy.name(&new.name, format));
        let settings = policy.check(&new.settings, Instants::new(now), format, &mut fields);
        if let (Some(parent), Some(settings)) = (&new.parent, &settings) {
            parent.restrict_to_parent(&new.owner, settings, &mut fields);
        }
        let texts = [
            ("owner", Some(new.owner.as_str())),
            ("created_by", new.created_by.as_ref().map(Actor::as_str)),
            ("idempotency_key", new.idempotency_key.as_ref().map(IdempotencyKey::as_str)),
        ];
        for (field, text) in texts {
            if text.is_some_and(|text| format.contains_token(text)) {
                fields.refuse(field, ContainsToken);
            }
        }
        let (Some(name), Some(settings), true) = (name, settings, fields.is_empty()) else {
            return Err(fields.into_error().into());
        };

        let (mut random, mut secret) = ([0; 10], Zeroizing::new([0; 32]));
        self.random_id_and_secret(&mut random, &mut secret)?;
        let id = self.next_id(random);
        let (plain, digest) = self.write_token(format.prefix(), id, &secret)?;

        let mut record =
            TokenRecord::new(id, format.prefix().clone(), new.owner, name, digest, now);
        settings.set(&mut record);
        let rare = record.rare_mut();
        rare.parent = new.parent.map(|parent| parent.0.id);
        rare.created_by = new.created_by;
        rare.idempotency_key = new.idempotency_key;
        record.rare = record.rare.filter(|rare| **rare != RareFields::default());
        Ok((plain, record))
    }
}
