//! What can be done with the tokens of an owner once they are issued; and pruning, which spans all owners.

use std::sync::Arc;

use time::Duration;

use crate::{
    api_tokens::{
        ATTEMPTS, ApiTokens,
        policy::{Instants, Party},
    },
    cluster::signal::Changed,
    event::Event,
    store::{
        StoreError,
        contract::{Change, Deleted, Deletion, Patch, STEP},
    },
    token::{
        Expiry, Fields, InvalidFields, RateLimit, Requested, RequestedAbilities, RequestedBy,
        Timestamp, TokenId, TokenRecord, TokenSettings,
    },
};

use super::owner_tokens::{ManageError, OwnerTokens};

/// A change of a token. Fields that are not set stay as they are.
///
/// ```
/// use keyfob::TokenChange;
/// use time::Duration;
///
/// let change = TokenChange::new().name("ci-deploy").expires_in(Duration::days(30));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TokenChange {
    name: Option<String>,
    version: Option<u32>,
    pub(crate) settings: TokenSettings,
}

impl OwnerTokens {
    /// Gives a token another name.
    ///
    /// # Errors
    /// As [`change`](Self::change).
    pub async fn rename(
        &self,
        id: TokenId,
        name: impl Into<String>,
    ) -> Result<TokenRecord, ManageError> {
        self.change(id, TokenChange::new().name(name)).await
    }

    /// Changes what is set in `change`, in one step, and answers the token as it is then.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, TokenChange, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # let id = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap().record.id;
    /// let change = TokenChange::new().abilities(["servers:read"]).expires_in(time::Duration::days(30));
    /// let record = tokens.owned_by(&owner).change(id, change).await.unwrap();
    /// assert!(record.abilities.permit("servers:read") && record.expires_at.is_some());
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ManageError`]; then nothing was changed. A token that is revoked or expired can't be changed.
    pub async fn change(
        &self,
        id: TokenId,
        change: TokenChange,
    ) -> Result<TokenRecord, ManageError> {
        let within = self.within().await?;
        for _ in 0..ATTEMPTS {
            let (record, now) = self.find_manageable(id).await?;
            if change.version.is_some_and(|seen| seen != record.version) {
                return Err(ManageError::VersionMismatch { version: record.version });
            }
            let checked = self.check(&change, &record, now)?;
            within.admit_change(&record, &checked)?;
            let patch = Patch::Change {
                expected_expiry: record.expires_at,
                change: checked.clone(),
                rules: self.tokens.policy().rules(&record.owner, now),
            }
            .if_version(change.version.or(within.version(&record)));
            let changed = self.update(self.tokens.store(), id, &patch).await?;
            if let Some(changed) = changed {
                self.report_change(&checked, &record, &changed);
                self.tokens.publish(Changed::one(id)).await;
                return Ok(Arc::unwrap_or_clone(changed));
            }
        }
        Err(self.tokens.contention_error().into())
    }

    fn check(
        &self,
        asked: &TokenChange,
        record: &TokenRecord,
        now: Timestamp,
    ) -> Result<Change, InvalidFields> {
        let (policy, format) = (self.tokens.policy(), self.tokens.format());
        let mut fields = Fields::default();
        let name = asked.name.as_deref().map(|name| policy.name(name, format)).transpose();
        let name = fields.check("name", name);
        let instants = Instants::of(record, now);
        let party = Party { owner: &record.owner, actor: self.by.as_ref() };
        let change = policy.check(&asked.settings, party, instants, format, &mut fields);
        match (name, change) {
            (Some(name), Some(change)) if fields.is_empty() => Ok(Change { name, ..change }),
            _ => Err(fields.into_error()),
        }
    }

    fn report_change(&self, change: &Change, before: &TokenRecord, token: &Arc<TokenRecord>) {
        if token.name != before.name {
            self.tokens.report(|| Event::Renamed {
                token: token.clone(),
                before: before.name.clone(),
                by: self.by.clone(),
            });
        }
        let only_named = Change { name: change.name.clone(), ..Change::default() };
        if *change != only_named {
            self.tokens.report(|| Event::Changed { token: token.clone(), by: self.by.clone() });
        }
    }

    /// Deletes all tokens of the owner, whatever their state, as data protection asks for, and returns how many.
    ///
    /// It works in steps of 1,000 tokens, each with a [deadline](crate::ApiTokensBuilder::deadline) of its own. If one
    /// fails, what was deleted before stays deleted, and calling this again goes on. Each step is reported as
    /// [`Event::Erased`].
    ///
    /// Never give the owner's text out again: a token that is issued to it while this runs would be the next owner's.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # let _ = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap();
    /// assert_eq!(tokens.owned_by(&owner).erase().await.unwrap(), 1);
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ManageError::Store`]
    pub async fn erase(&self) -> Result<usize, ManageError> {
        let deletion = Deletion::AllOf(self.owner.clone());
        let mut tokens = 0;
        let outcome = loop {
            let deleted = self.tokens.store().delete(&deletion, STEP).await;
            let Deleted { ids, more } = match self.tokens.report_error(deleted) {
                Ok(deleted) => deleted,
                Err(error) => break Err(error.into()),
            };
            // Each step is committed, also where a later one fails. An owner without tokens is erased as well.
            if !ids.is_empty() || tokens == 0 {
                let (owner, by, tokens) = (self.owner.clone(), self.by.clone(), ids.len());
                self.tokens.report(|| Event::Erased { owner, tokens, by });
            }
            tokens += ids.len();
            if !more {
                break Ok(tokens);
            }
        };
        self.tokens.publish(Changed::owner(&self.owner)).await;
        outcome
    }
}

impl ApiTokens {
    /// Deletes the tokens of all owners that were revoked, or expired, before an instant that is not after now; tells
    /// how many. It works in batches, so that others are not held up; dropped midway, the rest is left for the next
    /// time.
    ///
    /// A token stays while another one that was issued on its behalf is there, so that
    /// [`revoke_with_descendants`](OwnerTokens::revoke_with_descendants) finds that one.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// let a_year_ago = time::OffsetDateTime::now_utc() - time::Duration::days(365);
    /// assert_eq!(tokens.prune(a_year_ago).await.unwrap(), 0);
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`StoreError`]; what was deleted before stays deleted.
    pub async fn prune(&self, ended_before: impl Into<Timestamp>) -> Result<u64, StoreError> {
        // A later instant would take tokens along that are still good.
        let deletion = Deletion::EndedBefore(ended_before.into().min(self.now()));
        let mut tokens = 0;
        loop {
            let pruned = self.report_error(self.store().delete(&deletion, STEP).await);
            tokens += pruned.as_ref().map_or(0, |it| it.ids.len() as u64);
            if !matches!(&pruned, Ok(pruned) if pruned.more) {
                self.report(|| Event::Pruned { tokens });
                return pruned.map(|_| tokens);
            }
        }
    }
}

impl TokenChange {
    /// Creates an empty change.
    pub fn new() -> Self {
        Self::default()
    }

    /// The settings that are asked for, for rules of the application's own.
    #[must_use]
    pub fn requested(&self) -> Requested<'_> {
        Requested { name: self.name.as_deref(), settings: &self.settings }
    }

    /// Sets the name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Changes the token only if it still has this [version](TokenRecord::version), so that of two people who edit it
    /// none overwrites what the other one did.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, ManageError, NewToken, Owner, TokenChange, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # let seen = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap().record;
    /// let own = tokens.owned_by(&owner);
    /// let change = |name| TokenChange::new().name(name).if_version(seen.version);
    /// own.change(seen.id, change("ci-deploy")).await.unwrap();
    /// let late = own.change(seen.id, change("ci-test")).await;
    /// assert!(matches!(late, Err(ManageError::VersionMismatch { version: 1 })));
    /// # });
    /// ```
    pub fn if_version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// Sets what the token may do: a set of at most 100 abilities. The empty set permits nothing.
    pub fn abilities<T: Into<String>>(mut self, abilities: impl IntoIterator<Item = T>) -> Self {
        self.settings.abilities = Some(abilities.into_iter().collect());
        self
    }

    /// Gives the token every ability, also those that the application adds later.
    pub fn all_abilities(mut self) -> Self {
        self.settings.abilities = Some(RequestedAbilities::All);
        self
    }

    /// Sets when the token expires, in whole seconds. If it is `None`, the token never expires.
    pub fn expires_at(mut self, instant: impl Into<Option<Timestamp>>) -> Self {
        self.settings.expiry = Some(Expiry::from(instant.into()).by(RequestedBy::Application));
        self
    }

    /// Sets how long from now the token lives, in whole seconds.
    pub fn expires_in(mut self, lifetime: Duration) -> Self {
        self.settings.expiry = Some(Expiry::In(lifetime).by(RequestedBy::Application));
        self
    }

    /// Sets from when on the token is valid, in whole seconds. If it is `None`, the token
    /// is valid from now on.
    pub fn not_before(mut self, instant: impl Into<Option<Timestamp>>) -> Self {
        self.settings.not_before = Some(instant.into());
        self
    }

    /// Sets the idle period: 1 to 2³² − 1 whole seconds without a use, after which the token is refused. If it is
    /// `None`, the token is never idle. A new period makes an idle token valid again, and so does suspending and resuming
    /// it.
    ///
    /// A use counts as at most [slack](crate::Policy::default_idle_period) earlier than it was.
    pub fn idle_period(mut self, period: impl Into<Option<Duration>>) -> Self {
        self.settings.idle_period = Some(period.into());
        self
    }

    /// Sets a rate limit of its own, in place of the application's. If it is `None`, the application's
    /// applies.
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

    /// Lets the token be used from everywhere.
    pub fn any_address(mut self) -> Self {
        self.settings.allowed_addresses = Some(None);
        self
    }

    /// Sets the application's metadata of the token: a JSON object of at most 4 KiB.
    pub fn metadata(mut self, metadata: serde_json::Value) -> Self {
        self.settings.metadata = Some(metadata);
        self
    }
}
