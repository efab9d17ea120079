//! What can be done with the tokens of an owner once they are issued; and pruning, which spans all owners.

use std::sync::Arc;

use crate::{
    api_tokens::ApiTokens,
    event::Event,
    listing::{ListTokens, TokenPage},
    policy::{Fields, InvalidFields, Terms, terms_setters},
    store::{Change, ChangeOutcome, OwnerCount, PageQuery, Selection, StoreError, Use},
    token::{
        Actor, Metadata, Owner, Reason, Revocation, Timestamp, TokenId, TokenRecord, TokenState,
    },
};

/// How many tokens are pruned in one step, so that no step holds others up for long.
const PRUNE_BATCH: u32 = 1_000;
/// How often a change is tried when the token is changed by somebody else at the same time.
const ATTEMPTS: usize = 5;

/// Manages the tokens of one owner. A token of somebody else is not found here.
///
/// ```
/// # futures_executor::block_on(async {
/// # use keyfob::{ApiTokens, ListTokens, NewToken, Owner, store::MemoryStore};
/// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
/// # let owner = Owner::new("user:42").unwrap();
/// # let id = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap().record.id;
/// let own = tokens.owned_by(&owner);
/// own.rename(id, "ci-deploy").await.unwrap();
///
/// let page = own.list(ListTokens::new().per_page(20)).await.unwrap();
/// assert_eq!(page.tokens[0].name.as_str(), "ci-deploy");
///
/// own.revoke(id).await.unwrap();
/// assert!(own.list(ListTokens::new()).await.unwrap().tokens.is_empty());
/// # });
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OwnerTokens {
    tokens: ApiTokens,
    owner: Owner,
    by: Option<Actor>,
    because: Option<Reason>,
}

/// What to change of a token: what is set takes the place of what was there, and the rest stays as it is.
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
    pub(crate) terms: Terms,
}

/// Why a token could not be managed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManageError {
    /// The owner has no such token.
    #[error("the owner has no such token")]
    NotFound,
    /// Fields are wrong.
    #[error(transparent)]
    Invalid(#[from] InvalidFields),
    /// The owner has another token of this name that is not revoked.
    #[error("the owner has a token of this name already, expired ones included")]
    NameTaken,
    /// A token that is revoked or expired can't be changed.
    #[error("the token is {0} and can't be changed")]
    NotActive(TokenState),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OwnerTokens {
    /// Says who acts, where that is not the owner: kept with what is revoked, and told to the observer.
    pub fn by(mut self, actor: Actor) -> Self {
        self.by = Some(actor);
        self
    }

    /// Says why: kept with what is revoked.
    pub fn because(mut self, reason: Reason) -> Self {
        self.because = Some(reason);
        self
    }

    /// One token, whatever its state, with every use that is known.
    ///
    /// # Errors
    /// [`ManageError::NotFound`] where there is none, also where it is somebody else's; [`ManageError::Store`].
    pub async fn get(&self, id: TokenId) -> Result<TokenRecord, ManageError> {
        // Before the store is read: what is written and forgotten meanwhile would be in neither.
        let known = self.tokens.usage().latest_of([id]);
        let found = self.tokens.watch(self.tokens.store().find(id).await)?;
        let Some(record) = found.filter(|record| record.owner == self.owner) else {
            return Err(ManageError::NotFound);
        };
        Ok(self.with_uses(&known, record))
    }

    /// A page of tokens, with every use that is known.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, ListTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # for name in ["first", "second", "third"] {
    /// #     let _ = tokens.issue(NewToken::new(owner.clone(), name)).await.unwrap();
    /// # }
    /// let own = tokens.owned_by(&owner);
    /// let page = own.list(ListTokens::new().per_page(2)).await.unwrap();
    /// assert_eq!(page.tokens[0].name.as_str(), "third");
    ///
    /// let next = page.next_cursor.unwrap();
    /// let page = own.list(ListTokens::new().per_page(2).cursor(next)).await.unwrap();
    /// assert_eq!(page.tokens[0].name.as_str(), "first");
    /// assert!(page.next_cursor.is_none());
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ManageError::Invalid`] for a page size outside 1 to 200, and for a cursor of another listing or owner;
    /// [`ManageError::Store`].
    pub async fn list(&self, list: ListTokens) -> Result<TokenPage, ManageError> {
        let query = list.query(&self.owner)?;
        self.tokens.flush_if_abandoned().await;
        let (page, settled) = self.read(&query).await?;
        if settled {
            return Ok(page);
        }
        // Uses were written between the reading of the page and of the log. They are in the store by now, and what is
        // noted now is known before the page is read again.
        let known = self.tokens.usage().latest_of(page.tokens.iter().map(|it| it.id));
        let (mut page, _) = self.read(&query).await?;
        for record in &mut page.tokens {
            apply(&known, record);
        }
        Ok(page)
    }

    async fn read(&self, query: &PageQuery) -> Result<(TokenPage, bool), ManageError> {
        let mark = self.tokens.usage().mark();
        let page = self.tokens.watch(self.tokens.store().page(query).await)?;
        for record in &page.corrupt {
            self.tokens.report(&Event::Corrupt { record });
        }
        let mut page = TokenPage::new(page, query);
        let settled = self.tokens.usage().show_in(mark, &mut page.tokens);
        Ok((page, settled))
    }

    fn with_uses(&self, known: &[Use], record: Arc<TokenRecord>) -> TokenRecord {
        let mut record = Arc::unwrap_or_clone(record);
        apply(known, &mut record);
        apply(&self.tokens.usage().latest_of([record.id]), &mut record);
        record
    }

    /// How many tokens the owner has.
    ///
    /// # Errors
    /// [`ManageError::Store`]
    pub async fn count(&self) -> Result<OwnerCount, ManageError> {
        Ok(self.tokens.watch(self.tokens.store().count(&self.owner).await)?)
    }

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
        for _ in 0..ATTEMPTS {
            let record = self.get(id).await?;
            let now = self.tokens.now();
            if let state @ (TokenState::Revoked | TokenState::Expired) = record.state_at(now) {
                return Err(ManageError::NotActive(state));
            }
            let change = self.check(&change, &record, now)?;
            let known = self.tokens.usage().latest_of([id]);
            let changed = self.tokens.store().change(id, record.expires_at, &change).await;
            match self.tokens.watch(changed)? {
                ChangeOutcome::Changed(record) => {
                    let by = self.by.as_ref();
                    self.tokens.report(&Event::Changed { token: &record, by });
                    return Ok(self.with_uses(&known, record));
                }
                ChangeOutcome::NotFound => return Err(ManageError::NotFound),
                ChangeOutcome::Revoked => return Err(ManageError::NotActive(TokenState::Revoked)),
                ChangeOutcome::NameTaken => return Err(ManageError::NameTaken),
                // Its expiry was changed in between: judge again.
                ChangeOutcome::Outdated => {}
            }
        }
        Err(StoreError::Busy("others keep changing the token".into()).into())
    }

    fn check(
        &self,
        asked: &TokenChange,
        record: &TokenRecord,
        now: Timestamp,
    ) -> Result<Change, InvalidFields> {
        let policy = self.tokens.policy();
        let issued = record.rotated_at.unwrap_or(record.created_at);
        let mut fields = Fields::default();
        let name = asked.name.as_deref().map(|name| self.tokens.name(name)).transpose();
        let name = fields.check("name", name);
        let abilities =
            asked.terms.abilities.as_ref().map(|it| self.tokens.abilities(Some(it))).transpose();
        let abilities = fields.check("abilities", abilities);
        let expiry = asked.terms.expiry.map(|it| policy.expiry(Some(it), issued, now)).transpose();
        let expiry = fields.check("expires_at", expiry);
        let metadata =
            fields.check("metadata", asked.terms.metadata.clone().map(Metadata::new).transpose());
        let (Some(name), Some(abilities), Some(expires_at), Some(metadata)) =
            (name, abilities, expiry, metadata)
        else {
            return Err(fields.into_error());
        };
        let unique_name = policy.unique_names;
        Ok(Change { name, unique_name, abilities, expires_at, metadata, ..Change::default() })
    }

    /// Revokes a token, for good. Once this returns, the next verification on this node fails. A token that is revoked
    /// already stays as it is.
    ///
    /// # Errors
    /// [`ManageError::NotFound`] also where it is somebody else's.
    pub async fn revoke(&self, id: TokenId) -> Result<(), ManageError> {
        if !self.revoke_many(&[id]).await?.is_empty() {
            return Ok(());
        }
        match self.get(id).await {
            // It is there, and it was revoked before, or it would be now.
            Ok(_) | Err(ManageError::Store(StoreError::Corrupt(_))) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Revokes those of these tokens that the owner has, in one step, and tells which of them were not revoked before.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore, token::{Actor, Reason}};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("project:7").unwrap();
    /// # let id = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap().record.id;
    /// let own = tokens.owned_by(&owner).by(Actor::new("user:42").unwrap());
    /// let own = own.because(Reason::new("laptop stolen").unwrap());
    /// assert_eq!(own.revoke_many(&[id]).await.unwrap(), [id]);
    /// assert_eq!(own.revoke_many(&[id]).await.unwrap(), [], "it was revoked before");
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ManageError::Store`]
    pub async fn revoke_many(&self, ids: &[TokenId]) -> Result<Vec<TokenId>, ManageError> {
        let owner = Some(self.owner.clone());
        self.revoke_selected(Selection::Tokens { ids: ids.to_vec(), owner }).await
    }

    /// Revokes all tokens of the owner, in one step, and tells which were not revoked before.
    ///
    /// # Errors
    /// [`ManageError::Store`]
    pub async fn revoke_all(&self) -> Result<Vec<TokenId>, ManageError> {
        self.revoke_selected(Selection::AllOf(self.owner.clone())).await
    }

    async fn revoke_selected(&self, selection: Selection) -> Result<Vec<TokenId>, ManageError> {
        let mut revocation = Revocation::new(self.tokens.now());
        revocation.by.clone_from(&self.by);
        revocation.reason.clone_from(&self.because);
        let revoked = self.tokens.store().revoke(&selection, &revocation).await;
        let ids = self.tokens.watch(revoked)?;
        if !ids.is_empty() {
            self.tokens.report(&Event::Revoked { ids: &ids, revocation: &revocation });
        }
        Ok(ids)
    }

    /// Deletes all tokens of the owner, whatever their state, as data protection asks for, and tells how many.
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
        let tokens = self.tokens.watch(self.tokens.store().erase(&self.owner).await)?.len();
        let by = self.by.as_ref();
        self.tokens.report(&Event::Erased { owner: &self.owner, tokens, by });
        Ok(tokens)
    }
}

/// Shows in a record the use of its token, if it is among these and later.
fn apply(uses: &[Use], record: &mut TokenRecord) {
    let id = record.id;
    for latest in uses.iter().filter(|it| it.id == id) {
        let _ = latest.apply(record);
    }
}

impl ApiTokens {
    /// Everything that manages the tokens of one owner. The application's own login says who that is.
    pub fn owned_by(&self, owner: &Owner) -> OwnerTokens {
        OwnerTokens { tokens: self.clone(), owner: owner.clone(), by: None, because: None }
    }

    /// Deletes the tokens of all owners that were revoked, or expired, before an instant that is not after now; tells
    /// how many. It works in batches, so that others are not held up; dropped midway, the rest is left for the next
    /// time.
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
        let ended_before = ended_before.into().min(self.now());
        let mut tokens = 0;
        loop {
            let pruned = self.watch(self.store().prune(ended_before, PRUNE_BATCH).await);
            tokens += pruned.as_ref().copied().unwrap_or_default();
            if !matches!(pruned, Ok(pruned) if pruned >= PRUNE_BATCH.into()) {
                self.report(&Event::Pruned { tokens });
                return pruned.map(|_| tokens);
            }
        }
    }
}

impl TokenChange {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    terms_setters!();
}
