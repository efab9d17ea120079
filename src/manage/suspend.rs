//! A token is refused for a time, and good again after it.

use std::sync::Arc;

use crate::{
    api_tokens::ATTEMPTS,
    cluster::signal::Changed,
    event::Event,
    store::contract::Patch,
    token::{Actor, Fields, Rule, Suspension, Timestamp, TokenId, TokenRecord},
};

use super::owner_tokens::{ManageError, OwnerTokens};

impl OwnerTokens {
    /// Suspends a token until somebody [resumes](Self::resume) it. Once this returns, the next verification on this
    /// node fails. A suspension that is there is replaced.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore, token::Reason};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # let issued = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap();
    /// # let id = issued.record.id;
    /// let own = tokens.owned_by(&owner);
    /// own.clone().because(Reason::new("unpaid").unwrap()).suspend(id).await.unwrap();
    /// assert!(tokens.verify(issued.plain.expose_secret()).await.is_err());
    ///
    /// own.resume(id).await.unwrap();
    /// assert!(tokens.verify(issued.plain.expose_secret()).await.is_ok());
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ManageError::NotActive`] where the token is revoked or expired; [`ManageError::NotFound`];
    /// [`ManageError::Store`].
    pub async fn suspend(&self, id: TokenId) -> Result<TokenRecord, ManageError> {
        self.suspend_for(id, None).await
    }

    /// Suspends a token until an instant, or until somebody resumes it before.
    ///
    /// # Errors
    /// As [`suspend`](Self::suspend); [`ManageError::Invalid`] where the instant is not after now.
    pub async fn suspend_until(
        &self,
        id: TokenId,
        until: impl Into<Timestamp>,
    ) -> Result<TokenRecord, ManageError> {
        self.suspend_for(id, Some(until.into())).await
    }

    async fn suspend_for(
        &self,
        id: TokenId,
        until: Option<Timestamp>,
    ) -> Result<TokenRecord, ManageError> {
        for _ in 0..ATTEMPTS {
            let (record, since) = self.find_manageable(id).await?;
            if until.is_some_and(|until| until <= since) {
                let mut fields = Fields::default();
                fields.refuse("until", Rule::NotInFuture);
                return Err(fields.into_error().into());
            }
            // A suspension that ends before the one it replaces is a resumption. At its end, an idle token is valid again.
            let replaced = record.suspension.as_deref().filter(|it| it.holds_at(since));
            let is_resumption = until.is_some_and(|end| {
                let is_earlier = |it: &Suspension| it.until.is_none_or(|until| end < until);
                record.idle_seconds.is_some() || replaced.is_some_and(is_earlier)
            });
            if is_resumption {
                self.within().await?.admit(&record)?;
            }
            let suspension = Suspension { since, until, reason: self.because.clone() };
            let expected = self.is_bounded().then_some(record.version);
            let patch = Patch::Suspend(suspension).if_version(expected);
            let event = |token, by| Event::Suspended { token, by };
            if let Some(token) = self.finish_change(id, &patch, event).await? {
                return Ok(token);
            }
        }
        Err(self.tokens.contention_error().into())
    }

    /// Ends the suspension of a token, if there is one. An idle token that was suspended is good again: its period
    /// begins anew.
    ///
    /// # Errors
    /// As [`suspend`](Self::suspend).
    pub async fn resume(&self, id: TokenId) -> Result<TokenRecord, ManageError> {
        let within = self.within().await?;
        for _ in 0..ATTEMPTS {
            let (record, now) = self.find_manageable(id).await?;
            within.admit(&record)?;
            if !record.suspension.as_deref().is_some_and(|it| it.holds_at(now)) {
                return Ok(record);
            }
            let patch = Patch::Resume { at: now }.if_version(within.version(&record));
            let event = |token, by| Event::Resumed { token, by };
            if let Some(token) = self.finish_change(id, &patch, event).await? {
                return Ok(token);
            }
        }
        Err(self.tokens.contention_error().into())
    }

    /// `None`: the token has another version by now.
    async fn finish_change(
        &self,
        id: TokenId,
        patch: &Patch,
        event: impl FnOnce(Arc<TokenRecord>, Option<Actor>) -> Event,
    ) -> Result<Option<TokenRecord>, ManageError> {
        let Some(token) = self.update(self.tokens.store(), id, patch).await? else {
            return Ok(None);
        };
        self.tokens.report(|| event(token.clone(), self.by.clone()));
        self.tokens.publish(Changed::one(id)).await;
        Ok(Some(Arc::unwrap_or_clone(token)))
    }
}
