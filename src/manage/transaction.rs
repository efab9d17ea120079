//! What is done in a transaction of the application's own: with all else that is in it, or not at all.

use std::{fmt, mem};

use crate::{
    api_tokens::ApiTokens,
    event::Event,
    issue::{IssueError, NewToken},
    store::{
        TokenStore,
        contract::{Revoked, STEP, Selection},
    },
    token::{IssuedToken, TokenId, TokenRecord},
};

use super::{
    owner_tokens::{ManageError, OwnerTokens},
    rotate::{RotateError, TokenRotation},
};

/// What was done in a transaction that is not committed yet.
///
/// Say [`committed`](Self::committed) once it is: only then observers and other nodes are told, and a secret is handed
/// out. Dropped instead, because the transaction was rolled back or nobody knows, it makes this node forget what it has
/// in memory of the tokens, has [`background`](ApiTokens::background) tell the other nodes, and says so as
/// [`Event::Uncommitted`]: what has become of them, the store knows.
#[must_use = "say `committed` once the transaction is"]
pub struct Pending<T> {
    done: T,
    unsettled: Unsettled,
}

/// Dropped, it lets nothing go by what was read before of what the step is about, and tells of what was done unless it
/// was said to be committed.
struct Unsettled {
    tokens: ApiTokens,
    /// What the step is about, whether or not it had to change all of it.
    about: Selection,
    changed: Vec<TokenId>,
    /// What to tell of it; `None` where nothing was changed, and once it is settled.
    event: Option<Box<Event>>,
}

impl Unsettled {
    fn new(tokens: &ApiTokens, about: Selection) -> Self {
        Self { tokens: tokens.clone(), about, changed: Vec::new(), event: None }
    }

    fn done<T>(mut self, done: T, changed: Vec<TokenId>, event: Event) -> Pending<T> {
        self.event = (!changed.is_empty()).then(|| Box::new(event));
        self.changed = changed;
        Pending { done, unsettled: self }
    }
}

impl<T> Pending<T> {
    /// Makes known what was done, and answers it. From now on verification on this node goes by it.
    ///
    /// Say this only once the commit is acknowledged.
    pub async fn committed(self) -> T {
        let Self { done, mut unsettled } = self;
        let (tokens, event) = (unsettled.tokens.clone(), unsettled.event.take());
        let (about, changed) = (unsettled.about.clone(), mem::take(&mut unsettled.changed));
        // It forgets, before anybody is waited for.
        drop(unsettled);
        let is_new = event.as_deref().is_some_and(is_new);
        if let Some(event) = event {
            tokens.report(|| *event);
        }
        if !is_new {
            tokens.publish_selection(&about, &changed).await;
        }
        done
    }
}

impl Pending<IssuedToken> {
    /// The token as it will be, for what else is in the transaction. Its secret is not to be had before the commit.
    #[must_use]
    pub fn record(&self) -> &TokenRecord {
        &self.done.record
    }
}

impl<T> fmt::Debug for Pending<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("changed", &self.unsettled.changed).finish_non_exhaustive()
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.tokens.evict_selected(&self.about);
        if let Some(event) = self.event.take() {
            let ids = mem::take(&mut self.changed);
            if !is_new(&event) {
                self.tokens.publish_later(&ids);
            }
            self.tokens.report(|| Event::Uncommitted { ids: ids.into() });
        }
    }
}

/// Returns `true` if the token is new: then no node remembers it, and none is told.
fn is_new(event: &Event) -> bool {
    matches!(event, Event::Issued { .. })
}

impl ApiTokens {
    /// Issues a token in a transaction that the application holds: "create the project and its first token" happens
    /// whole or not at all.
    ///
    /// `transaction` is what the store makes of the connection that holds it, such as `PostgresStore::on`. A refusal
    /// leaves the transaction as it was, and it can go on. Where the store did not answer in time
    /// ([unavailable](crate::store::StoreError::Unavailable)), part of the step may have been done: roll back, or on
    /// MySQL and MariaDB close the connection. Nothing is tried again here: where the store is
    /// [busy](crate::store::StoreError::Busy), the whole transaction has to be.
    ///
    /// Issuing, and a later expiry, lock the owner where names are unique or the number of tokens is limited. In one
    /// transaction, do that before you revoke or rotate other tokens of the owner: otherwise two transactions can wait
    /// for each other, and one of them is busy.
    ///
    #[cfg_attr(feature = "sqlite", doc = "```")]
    #[cfg_attr(not(feature = "sqlite"), doc = "```ignore")]
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::SqliteStore};
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let options = sqlx::sqlite::SqliteConnectOptions::new()
    /// #     .filename(directory.path().join("app.db")).create_if_missing(true);
    /// # let pool = sqlx::SqlitePool::connect_with(options).await?;
    /// # sqlx::raw_sql("CREATE TABLE projects (name TEXT NOT NULL)").execute(&pool).await?;
    /// let store = SqliteStore::with_pool(pool.clone()).await?;
    /// let tokens = ApiTokens::builder(store.clone()).prefix("acme").build()?;
    ///
    /// let mut transaction = pool.begin().await?;
    /// sqlx::query("INSERT INTO projects (name) VALUES ('blog')").execute(&mut *transaction).await?;
    /// let first = NewToken::new(Owner::new("project:blog")?, "first");
    /// let pending = tokens.issue_within(&store.on(&mut transaction), first).await?;
    /// transaction.commit().await?;
    ///
    /// let issued = pending.committed().await;
    /// assert!(tokens.verify(issued.plain.expose_secret()).await.is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`issue`](Self::issue).
    pub async fn issue_within(
        &self,
        transaction: &dyn TokenStore,
        new: NewToken,
    ) -> Result<Pending<IssuedToken>, IssueError> {
        let issued = self.in_time_of_step(self.issue_in(transaction, new)).await??;
        let (id, event) = (issued.record.id, Event::issued(&issued));
        Ok(Unsettled::new(self, Selection::one(id)).done(issued, vec![id], event))
    }
}

impl OwnerTokens {
    /// Rotates a token as [`rotate`](Self::rotate) does, in a transaction that the application holds: see
    /// [`ApiTokens::issue_within`].
    ///
    /// # Errors
    /// As [`rotate`](Self::rotate). The old secret is good until the commit, and the new one from then on.
    pub async fn rotate_within(
        &self,
        transaction: &dyn TokenStore,
        id: TokenId,
        rotation: TokenRotation,
    ) -> Result<Pending<IssuedToken>, RotateError> {
        let unsettled = Unsettled::new(&self.tokens, Selection::one(id));
        let rotated = self.rotate_in(transaction, id, &rotation, 1);
        let rotated = self.tokens.in_time_of_step(rotated).await??;
        let event = Event::rotated(&rotated, self.by.as_ref());
        Ok(unsettled.done(rotated, vec![id], event))
    }

    /// Revokes a token as [`revoke`](Self::revoke) does, in a transaction that the application holds: see
    /// [`ApiTokens::issue_within`]. It is good until the commit; that [`Pending::committed`] is said right after it is
    /// what ends it on this node.
    ///
    /// # Errors
    /// As [`revoke`](Self::revoke).
    pub async fn revoke_within(
        &self,
        transaction: &dyn TokenStore,
        id: TokenId,
    ) -> Result<Pending<()>, ManageError> {
        let Pending { done, unsettled } = self.revoke_named_within(transaction, &[id]).await?;
        if done.found.is_empty() {
            Err(ManageError::NotFound)
        } else {
            Ok(Pending { done: (), unsettled })
        }
    }

    /// Revokes those of these tokens that the owner has, in a transaction that the application holds: see
    /// [`ApiTokens::issue_within`].
    ///
    /// # Errors
    /// [`ManageError::Store`]
    pub async fn revoke_many_within(
        &self,
        transaction: &dyn TokenStore,
        ids: &[TokenId],
    ) -> Result<Pending<Vec<TokenId>>, ManageError> {
        let Pending { done, unsettled } = self.revoke_named_within(transaction, ids).await?;
        Ok(Pending { done: done.changed, unsettled })
    }

    async fn revoke_named_within(
        &self,
        transaction: &dyn TokenStore,
        ids: &[TokenId],
    ) -> Result<Pending<Revoked>, ManageError> {
        let owner = Some(self.owner.clone());
        let selection = Selection::Tokens { ids: ids.to_vec(), owner };
        self.revoke_selected_within(transaction, selection).await
    }

    /// Revokes all tokens of the owner, in a transaction that the application holds: see [`ApiTokens::issue_within`].
    ///
    /// All of them stay locked until the commit: of an owner with very many tokens, verification goes on, but nothing
    /// else is done to any of them meanwhile.
    ///
    /// # Errors
    /// [`ManageError::Store`]; [faulty](crate::store::StoreError::Faulty) in a transaction on PostgreSQL above
    /// `READ COMMITTED`, which would not see all of them.
    pub async fn revoke_all_within(
        &self,
        transaction: &dyn TokenStore,
    ) -> Result<Pending<Vec<TokenId>>, ManageError> {
        let all = Selection::AllOf(self.owner.clone());
        let Pending { done, unsettled } = self.revoke_selected_within(transaction, all).await?;
        Ok(Pending { done: done.changed, unsettled })
    }

    async fn revoke_selected_within(
        &self,
        transaction: &dyn TokenStore,
        selection: Selection,
    ) -> Result<Pending<Revoked>, ManageError> {
        let revocation = self.tokens.revocation(self.by.as_ref(), self.because.as_ref());
        let unsettled = Unsettled::new(&self.tokens, selection);
        let mut all = Revoked { more: true, ..Revoked::default() };
        while all.more {
            let revoke = transaction.revoke(&unsettled.about, &revocation, STEP);
            let step = self.tokens.in_time_of_step(revoke).await?;
            let Revoked { changed, found, more } = self.tokens.report_error(step)?;
            all.changed.extend(changed);
            (all.found, all.more) = (found, more);
        }
        let event = Event::revoked(&all.changed, unsettled.about.owner(), revocation);
        let changed = all.changed.clone();
        Ok(unsettled.done(all, changed, event))
    }
}
