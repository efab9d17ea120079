//! A new secret for a token; the old one may be used until its grace is over.

use std::{io, sync::Arc};

use time::Duration;
use zeroize::Zeroizing;

use crate::{
    api_tokens::{
        ATTEMPTS, ApiTokens,
        policy::{Instants, Party},
    },
    cluster::signal::Changed,
    event::Event,
    store::{
        StoreError, TokenStore,
        contract::{Expected, Patch, Rotation},
    },
    token::{
        Expiry, Fields, InvalidFields, IssuedToken, PlainToken, PreviousSecret, RequestedBy,
        RequestedExpiry, Rule, Timestamp, TokenId, TokenRecord, TokenSettings, TokenState,
    },
};

use super::owner_tokens::{ManageError, OwnerTokens};

/// How long the old secret may be used, unless said otherwise.
const GRACE: Duration = Duration::DAY;
/// The longest grace.
const LONGEST_GRACE: Duration = Duration::days(30);

/// Settings of a rotation. By default the old secret stays valid for 24 hours, and the expiry stays as it is.
///
/// ```
/// use keyfob::TokenRotation;
/// use time::Duration;
///
/// let rotation = TokenRotation::new().grace(Duration::HOUR).expires_in(Duration::days(90));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TokenRotation {
    grace: Option<Duration>,
    until_first_use: bool,
    ends_running_grace: bool,
    generation: Option<u32>,
    version: Option<u32>,
    asker: Asker,
    pub(crate) expiry: Option<RequestedExpiry>,
}

/// Who wants a token rotated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asker {
    #[default]
    Owner,
    /// Somebody who bears the token may not give it a later expiry.
    Bearer,
    /// And somebody who bears a secret that was replaced may only ask again for the new one, if he has asked for it.
    BearerOfReplaced,
}

/// Why a token was not rotated. Nothing was changed, unless the store says that it does not know.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RotateError {
    /// The token can't be managed so. A token that is idle can't be rotated either, and its bearer can't rotate one that is
    /// suspended or not yet valid: [`ManageError::NotActive`].
    #[error(transparent)]
    Manage(#[from] ManageError),
    /// The token has another [generation](TokenRotation::generation) than expected, or another caller rotated it at the
    /// same time.
    #[error("the token was rotated by somebody else")]
    Conflict,
    /// The grace period of the previous rotation is not over, and its new secret is in use: another rotation would end
    /// the old secret. [`TokenRotation::end_running_grace`] ends it.
    #[error("the grace of the rotation before is not over")]
    InGrace,
    /// The application no longer accepts the prefix of the token.
    #[error("tokens of this prefix are not accepted any more")]
    PrefixNotAccepted,
    /// The bearer's token is no longer valid.
    #[error("the token is not good any more: {reason}")]
    Refused {
        /// Why, as [`VerifyError::code`](crate::VerifyError::code).
        reason: &'static str,
    },
    /// The random generator failed.
    #[error("the random generator failed")]
    Entropy(#[source] io::Error),
}

impl From<StoreError> for RotateError {
    fn from(error: StoreError) -> Self {
        Self::Manage(error.into())
    }
}

impl From<InvalidFields> for RotateError {
    fn from(invalid: InvalidFields) -> Self {
        Self::Manage(invalid.into())
    }
}

impl TokenRotation {
    /// A rotation with a grace of 24 hours.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the grace period: for how long the old secret stays valid, in whole seconds. 0 to 30 days, never past the
    /// token's expiry. Default: 24 hours.
    ///
    /// If the current secret was never used, this has no effect: the rotation replaces that secret, and the grace period of
    /// the previous rotation stays. [`end_running_grace`](Self::end_running_grace) ends it.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Ends the grace period at the first use of the new secret. If a [grace period](Self::grace) is set as well, the earlier
    /// end applies.
    pub fn until_first_use(mut self) -> Self {
        self.until_first_use = true;
        self
    }

    /// Ends the grace period of the previous rotation at once.
    pub fn end_running_grace(mut self) -> Self {
        self.ends_running_grace = true;
        self
    }

    /// Rotates the token only if it has this generation; else the error is a [conflict](RotateError::Conflict). To rotate
    /// again after a lost answer, name the generation plus one, or none.
    pub fn generation(mut self, generation: u32) -> Self {
        self.generation = Some(generation);
        self
    }

    /// Rotates the token only if it still has this [version](TokenRecord::version): see
    /// [`TokenChange::if_version`](crate::TokenChange::if_version).
    pub fn if_version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// Sets when the token expires, in whole seconds. If it is `None`, the token never expires. Default: the expiry stays
    /// as it is.
    pub fn expires_at(mut self, instant: impl Into<Option<Timestamp>>) -> Self {
        self.expiry = Some(Expiry::from(instant.into()).by(RequestedBy::Application));
        self
    }

    /// Sets how long from now the token lives, in whole seconds.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.expiry = Some(Expiry::In(lifetime).by(RequestedBy::Application));
        self
    }

    /// The same for somebody who bears the token, which is of this generation.
    pub(crate) fn by_bearer(self, generation: u32, is_current: bool) -> Result<Self, RotateError> {
        if self.generation.is_some_and(|meant| meant != generation) {
            return Err(RotateError::Conflict);
        }
        let asker = if is_current { Asker::Bearer } else { Asker::BearerOfReplaced };
        let ends_running_grace = self.ends_running_grace && is_current;
        Ok(Self { generation: Some(generation), asker, ends_running_grace, ..self })
    }

    fn grace_end(&self, now: Timestamp) -> Result<Option<Timestamp>, Rule> {
        match self.grace {
            None if self.until_first_use => Ok(None),
            grace => {
                let grace = grace.unwrap_or(GRACE);
                if grace.is_negative() || grace.whole_seconds() > LONGEST_GRACE.whole_seconds() {
                    return Err(Rule::Seconds { min: 0, max: LONGEST_GRACE.whole_seconds() });
                }
                Ok(Some(now.checked_add(grace).unwrap_or(Timestamp::MAX)))
            }
        }
    }
}

impl OwnerTokens {
    /// Gives a token a new secret, which may be used at once. Id, name, owner and abilities stay.
    ///
    /// Of two rotations at once one is done, and the other is a [conflict](RotateError::Conflict). As long as the new
    /// secret was not used, it can be replaced by another: whoever lost the answer asks again. That leaves the end of
    /// the grace where it was.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, TokenRotation, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// let old = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap();
    /// let new = tokens.owned_by(&owner).rotate(old.record.id, TokenRotation::new()).await.unwrap();
    ///
    /// assert_eq!((new.record.id, new.record.generation), (old.record.id, 1));
    /// assert!(tokens.verify(new.plain.expose_secret()).await.is_ok());
    /// assert!(tokens.verify(old.plain.expose_secret()).await.is_ok(), "for another 24 hours");
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`RotateError`]
    pub async fn rotate(
        &self,
        id: TokenId,
        rotation: TokenRotation,
    ) -> Result<IssuedToken, RotateError> {
        let rotated = self.rotate_in(self.tokens.store(), id, &rotation, ATTEMPTS).await?;
        let is_still_managed = self.within().await;
        self.tokens.report(|| Event::rotated(&rotated, self.by.as_ref()));
        self.tokens.publish(Changed::one(id)).await;
        // A manager that was revoked meanwhile does not get the secret.
        is_still_managed?;
        Ok(rotated)
    }

    pub(crate) async fn rotate_in(
        &self,
        store: &dyn TokenStore,
        id: TokenId,
        rotation: &TokenRotation,
        attempts: usize,
    ) -> Result<IssuedToken, RotateError> {
        let within = self.within().await?;
        let mut first: Option<TokenRecord> = None;
        for _ in 0..attempts {
            let record = self.get_in(store, id).await?;
            if rotation.version.is_some_and(|seen| seen != record.version) {
                return Err(RotateError::Manage(ManageError::VersionMismatch {
                    version: record.version,
                }));
            }
            if first.as_ref().is_some_and(|first| was_rotated(first, &record)) {
                return Err(RotateError::Conflict);
            }
            let now = self.tokens.now();
            let (plain, drawn_up) = self.tokens.draw_up_rotation(&record, rotation, now)?;
            within.admit(&TokenRecord { expires_at: drawn_up.expires_at, ..record.clone() })?;
            let patch = Patch::Rotate {
                expected: Expected::of(&record),
                rotation: drawn_up,
                rules: self.tokens.policy().rules(&record.owner, now),
            }
            .if_version(rotation.version.or(within.version(&record)));
            let rotated = self.update(store, id, &patch).await?;
            if let Some(token) = rotated {
                return Ok(IssuedToken::new(plain, Arc::unwrap_or_clone(token)));
            }
            first = first.or(Some(record));
        }
        Err(self.tokens.contention_error().into())
    }
}

/// Tells whether somebody else has rotated a token since it was first read. A digest that was made anew under another
/// key is that of the same secret: that happens only to one that is in use. Of one that was not, another digest is
/// that of another secret, which may be in use by now.
fn was_rotated(before: &TokenRecord, now: &TokenRecord) -> bool {
    let replaced = before.has_unused_secret() && before.digest != now.digest;
    before.generation != now.generation || replaced
}

impl ApiTokens {
    /// The new secret, and what the store is to keep, if a token can be rotated so.
    fn draw_up_rotation(
        &self,
        record: &TokenRecord,
        rotation: &TokenRotation,
        now: Timestamp,
    ) -> Result<(PlainToken, Rotation), RotateError> {
        if rotation.generation.is_some_and(|meant| meant != record.generation) {
            return Err(RotateError::Conflict);
        }
        match record.state_at(now) {
            TokenState::Active | TokenState::Suspended | TokenState::NotYetValid => {}
            state => return Err(RotateError::Manage(ManageError::NotActive(state))),
        }
        if !self.format().accepts(&record.prefix) {
            return Err(RotateError::PrefixNotAccepted);
        }
        let (expires_at, grace_end) = self.check_rotation(record, rotation, now)?;

        let in_grace = |it: &PreviousSecret| it.is_good_at(now, record.first_used_at);
        let running = record.previous.as_deref().filter(|it| in_grace(it));
        // Who bears a replaced secret could otherwise take the token over from the owner who has replaced it.
        let may_ask_again = running.is_some_and(|it| it.may_ask_again);
        if rotation.asker == Asker::BearerOfReplaced
            && !(record.has_unused_secret() && may_ask_again)
        {
            return Err(RotateError::Conflict);
        }
        let (generation, previous) = if record.has_unused_secret() {
            let mut previous = record.previous.as_deref().cloned();
            if let Some(previous) = &mut previous {
                previous.may_ask_again &= rotation.asker != Asker::Owner;
                if rotation.ends_running_grace {
                    previous.ends_at = Some(previous.ends_at.map_or(now, |end| end.min(now)));
                }
            }
            (record.generation, previous)
        } else if running.is_some() && !rotation.ends_running_grace {
            return Err(RotateError::InGrace);
        } else {
            let previous = PreviousSecret {
                digest: record.digest.clone(),
                ends_at: grace_end.map(|end| expires_at.map_or(end, |expiry| expiry.min(end))),
                ends_on_first_use: rotation.until_first_use,
                may_ask_again: rotation.asker == Asker::Bearer,
            };
            (
                record.generation.checked_add(1).ok_or_else(|| self.contention_error())?,
                Some(previous),
            )
        };

        let (mut unused, mut secret) = ([0; 10], Zeroizing::new([0; 32]));
        self.random_id_and_secret(&mut unused, &mut secret).map_err(RotateError::Entropy)?;
        let (plain, digest) =
            self.write_token(&record.prefix, record.id, &secret).map_err(RotateError::Entropy)?;
        Ok((plain, Rotation { digest, generation, at: now, previous, expires_at }))
    }

    fn check_rotation(
        &self,
        record: &TokenRecord,
        rotation: &TokenRotation,
        now: Timestamp,
    ) -> Result<(Option<Timestamp>, Option<Timestamp>), InvalidFields> {
        let mut fields = Fields::default();
        let settings = TokenSettings { expiry: rotation.expiry, ..TokenSettings::default() };
        let instants = Instants { issued: now, ..Instants::of(record, now) };
        let party = Party { owner: &record.owner, actor: None };
        let change = self.policy().check(&settings, party, instants, self.format(), &mut fields);
        let expires_at = change.map(|it| it.expires_at.unwrap_or(record.expires_at));
        let is_later = |it: Option<Timestamp>| {
            record.expires_at.is_some_and(|end| it.is_none_or(|it| it > end))
        };
        if rotation.asker != Asker::Owner && expires_at.is_some_and(is_later) {
            fields.refuse("expires_at", Rule::LaterExpiry);
        }
        let grace_end = fields.check("grace_seconds", rotation.grace_end(now));
        match (expires_at, grace_end) {
            (Some(expires_at), Some(grace_end)) if fields.is_empty() => Ok((expires_at, grace_end)),
            _ => Err(fields.into_error()),
        }
    }
}
