//! Steps of a store, said shortly.

use keyfob::{
    Owner, Timestamp, TokenId,
    store::{
        StoreError, TokenStore,
        contract::{
            Change, Deletion, Filter, InsertRules, Patch, Selection, SharedRecord, UpdateOutcome,
        },
    },
    token::{Revocation, Suspension, TokenDigest},
};

/// [`TokenStore::find`] for one token, and [`TokenStore::update`] for each kind of patch, under no rules.
pub trait StoreExt: TokenStore {
    async fn one(&self, id: TokenId) -> Result<Option<SharedRecord>, StoreError> {
        let mut page = self.find(&[id]).await?;
        match page.corrupt.pop() {
            Some(corrupt) => Err(corrupt.into()),
            None => Ok(page.records.pop()),
        }
    }

    /// Revokes all tokens of a selection, in one step, and returns which ones it changed.
    async fn end(
        &self,
        selection: &Selection,
        revocation: &Revocation,
    ) -> Result<Vec<TokenId>, StoreError> {
        Ok(self.revoke(selection, revocation, u32::MAX).await?.changed)
    }

    /// The tokens of an owner that are not revoked, and those that are.
    async fn count_of(&self, owner: &Owner) -> (u64, u64) {
        let filter = Filter::new(Some(owner.clone()), Timestamp::MIN);
        let counts = self.count(&filter).await.unwrap();
        (counts.not_revoked(), counts.revoked)
    }

    /// Deletes all tokens of an owner, in one step.
    async fn erase(&self, owner: &Owner) -> Result<Vec<TokenId>, StoreError> {
        Ok(self.delete(&Deletion::AllOf(owner.clone()), u32::MAX).await?.ids)
    }

    /// Deletes tokens that have ended, and returns how many.
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    async fn prune(&self, ended_before: Timestamp, limit: u32) -> Result<usize, StoreError> {
        Ok(self.delete(&Deletion::EndedBefore(ended_before), limit).await?.ids.len())
    }

    async fn change(
        &self,
        id: TokenId,
        expected_expiry: Option<Timestamp>,
        change: &Change,
    ) -> Result<UpdateOutcome, StoreError> {
        let (change, rules) = (change.clone(), InsertRules::none());
        self.update(id, &Patch::Change { expected_expiry, change, rules }).await
    }

    async fn suspend(
        &self,
        id: TokenId,
        suspension: &Suspension,
    ) -> Result<UpdateOutcome, StoreError> {
        self.update(id, &Patch::Suspend(suspension.clone())).await
    }

    async fn resume(&self, id: TokenId, at: Timestamp) -> Result<UpdateOutcome, StoreError> {
        self.update(id, &Patch::Resume { at }).await
    }

    async fn mark_first_use(
        &self,
        id: TokenId,
        expected: &TokenDigest,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.apply(id, Patch::FirstUse { expected: expected.clone(), at }).await
    }

    async fn rekey(
        &self,
        id: TokenId,
        expected: &TokenDigest,
        digest: &TokenDigest,
    ) -> Result<bool, StoreError> {
        let (expected, digest) = (expected.clone(), digest.clone());
        self.apply(id, Patch::Rekey { expected, digest }).await
    }

    async fn claim_notice(
        &self,
        id: TokenId,
        expected_expiry: Timestamp,
        days: u16,
    ) -> Result<bool, StoreError> {
        self.apply(id, Patch::Notice { expected_expiry, days }).await
    }

    /// Returns `true` if the patch was applied.
    async fn apply(&self, id: TokenId, patch: Patch) -> Result<bool, StoreError> {
        Ok(matches!(self.update(id, &patch).await?, UpdateOutcome::Updated(_)))
    }
}

impl<S: TokenStore + ?Sized> StoreExt for S {}

/// All tokens of an owner, a thousand a page.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub fn all_of(owner: &Owner, order: keyfob::store::Order) -> keyfob::store::contract::Query {
    keyfob::store::contract::Query::new(
        Filter::new(Some(owner.clone()), Timestamp::MIN),
        order,
        1_000,
    )
}
