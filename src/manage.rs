//! What can be done with the tokens of an owner once they are issued; and pruning, which spans all owners.

use std::sync::Arc;

use crate::{
    api_tokens::{ATTEMPTS, ApiTokens},
    event::Event,
    listing::{ListTokens, TokenPage},
    owner_tokens::{ManageError, OwnerTokens, apply},
    policy::{Fields, Instants, InvalidFields},
    store::{
        Change, Deleted, Deletion, OwnerCount, PageQuery, Patch, Selection, StoreError, TokenStore,
        changed,
    },
    terms::{Terms, terms_setters},
    token::{Timestamp, TokenId, TokenRecord},
};

/// How many tokens are deleted in one step, so that no step holds others up for long.
const BATCH: u32 = 1_000;

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

impl OwnerTokens {
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
            self.tokens.report(|| Event::Corrupt { record: record.clone() });
        }
        let mut page = TokenPage::new(page, query);
        let settled = self.tokens.usage().show_in(mark, &mut page.tokens);
        Ok((page, settled))
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
            let (record, now) = self.alive(id).await?;
            let checked = self.check(&change, &record, now)?;
            let patch = Patch::Change {
                expected_expiry: record.expires_at,
                change: checked.clone(),
                rules: self.tokens.policy().rules(now),
            };
            let (changed, known) = self.update(self.tokens.store(), id, &patch).await?;
            if let Some(changed) = changed {
                self.report_change(&checked, &record, &changed);
                self.tokens.changed(vec![id]).await;
                return Ok(self.with_uses(&known, changed));
            }
        }
        Err(self.tokens.outpaced().into())
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
        let change = policy.check(&asked.terms, instants, format, &mut fields);
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

    /// Revokes a token, for good. Once this returns, the next verification on this node fails. A token that is revoked
    /// already stays as it is.
    ///
    /// # Errors
    /// [`ManageError::NotFound`] also where it is somebody else's.
    pub async fn revoke(&self, id: TokenId) -> Result<(), ManageError> {
        if !self.revoke_many(&[id]).await?.is_empty() {
            return Ok(());
        }
        self.exists_in(self.tokens.store(), id).await
    }

    pub(crate) async fn exists_in(
        &self,
        store: &dyn TokenStore,
        id: TokenId,
    ) -> Result<(), ManageError> {
        match self.get_in(store, id).await {
            // What can't be read is there all the same.
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
        let (by, because) = (self.by.as_ref(), self.because.as_ref());
        Ok(self.tokens.revoke_selected(&selection, by, because).await?)
    }

    /// Revokes a token and every token that was issued on its behalf, or on behalf of those, and tells which were not
    /// revoked before. The token itself comes first: if this fails midway, it can be asked for again.
    ///
    /// They are found through revoked tokens as well, but not through one that was pruned or erased.
    ///
    /// # Errors
    /// [`ManageError::NotFound`] also where it is somebody else's.
    pub async fn revoke_with_descendants(&self, id: TokenId) -> Result<Vec<TokenId>, ManageError> {
        let mut revoked = self.revoke_many(&[id]).await?;
        if revoked.is_empty() {
            // It was revoked before, or is not there.
            self.revoke(id).await?;
        }
        revoked.extend(self.revoke_selected(Selection::DescendantsOf(id)).await?);
        Ok(revoked)
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
        let (mut tokens, mut untold) = (0, Vec::new());
        let outcome = loop {
            let deleted = self.tokens.store().delete(&deletion, BATCH).await;
            let Deleted { ids, more } = match self.tokens.watch(deleted) {
                Ok(deleted) => deleted,
                Err(error) => break Err(error.into()),
            };
            // Each step is committed, also where a later one fails. An owner without tokens is erased as well.
            if !ids.is_empty() || tokens == 0 {
                let (owner, by, tokens) = (self.owner.clone(), self.by.clone(), ids.len());
                self.tokens.report(|| Event::Erased { owner, tokens, by });
            }
            tokens += ids.len();
            // More than a signal names are told as all.
            let room = (changed::MOST + 1).saturating_sub(untold.len());
            untold.extend(ids.into_iter().take(room));
            if !more {
                break Ok(tokens);
            }
        };
        self.tokens.changed(untold).await;
        outcome
    }
}

impl ApiTokens {
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
        let deletion = Deletion::EndedBefore(ended_before.into().min(self.now()));
        let mut tokens = 0;
        loop {
            let pruned = self.watch(self.store().delete(&deletion, BATCH).await);
            tokens += pruned.as_ref().map_or(0, |it| it.ids.len() as u64);
            if !matches!(&pruned, Ok(pruned) if pruned.more) {
                self.report(|| Event::Pruned { tokens });
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
