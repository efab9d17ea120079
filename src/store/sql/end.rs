//! The steps that end tokens: each finds the tokens that it is about, locks them in the order of their ids, and then
//! ends them. Locked as they are found, through an index of their owners, they would be locked in another order than
//! by whoever has their ids.

use std::collections::BTreeSet;

use sqlx::SqlStr;

use crate::{
    store::{Selection, StoreError},
    token::{Actor, Owner, Reason, Revocation, Timestamp, TokenId},
};

use super::{
    engine::{Engine, Value},
    read::{distinct, id},
    session::{Lease, Steps},
};

impl<'s, 'c, E: Engine> Steps<'s, 'c, E> {
    pub(crate) async fn revoke(
        self,
        selection: &Selection,
        revocation: &Revocation,
    ) -> Result<Vec<TokenId>, StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.revoke_on(&mut step, selection, revocation).await;
        step.end(outcome).await
    }

    async fn revoke_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        selection: &Selection,
        revocation: &Revocation,
    ) -> Result<Vec<TokenId>, StoreError> {
        let selected = match selection {
            Selection::Tokens { ids, owner } => self.lock_living(step, ids, owner.as_ref()).await?,
            Selection::DescendantsOf(ancestor) => {
                let descendants = self.descendants(step, *ancestor).await?;
                self.lock_living(step, &descendants, None).await?
            }
            Selection::AllOf(owner) => {
                let owner = [owner.as_str().into()];
                let living = fetch_ids(step, &self.statements().living_of_owner, &owner).await?;
                self.lock_living(step, &living, None).await?
            }
        };
        for ids in selected.chunks(E::LONGEST_LIST) {
            let revoke = [
                revocation.at.unix_seconds().into(),
                revocation.by.as_ref().map(Actor::as_str).into(),
                revocation.reason.as_ref().map(Reason::as_str).into(),
                ids.into(),
            ];
            step.execute(self.statements().revoke.of(ids.len()), &revoke).await?;
        }
        self.tell(step, &selected).await?;
        Ok(selected)
    }

    async fn lock_living(
        &self,
        step: &mut Lease<'s, 'c, E>,
        ids: &[TokenId],
        owner: Option<&Owner>,
    ) -> Result<Vec<TokenId>, StoreError> {
        let mut locked = Vec::new();
        for ids in distinct(ids).chunks(E::LONGEST_LIST) {
            let owner = || Value::from(owner.map(Owner::as_str));
            let statement = self.statements().lock_living.of(ids.len());
            locked.extend(fetch_ids(step, statement, &[ids.into(), owner(), owner()]).await?);
        }
        Ok(locked)
    }

    /// What descends from a token, without itself; parents may form a circle.
    async fn descendants(
        &self,
        step: &mut Lease<'s, 'c, E>,
        ancestor: TokenId,
    ) -> Result<Vec<TokenId>, StoreError> {
        let mut found = BTreeSet::from([ancestor]);
        let mut parents = vec![ancestor];
        while !parents.is_empty() {
            let mut children = Vec::new();
            for ids in parents.chunks(E::LONGEST_LIST) {
                let statement = self.statements().children.of(ids.len());
                children.extend(fetch_ids(step, statement, &[ids.into()]).await?);
            }
            children.retain(|child| found.insert(*child));
            parents = children;
        }
        found.remove(&ancestor);
        Ok(found.into_iter().collect())
    }

    pub(crate) async fn erase(self, owner: &Owner) -> Result<Vec<TokenId>, StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.erase_on(&mut step, owner).await;
        step.end(outcome).await
    }

    async fn erase_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        owner: &Owner,
    ) -> Result<Vec<TokenId>, StoreError> {
        let owner = || [owner.as_str().into()];
        step.execute(&self.statements().forget_owner, &owner()).await?;
        let all = fetch_ids(step, &self.statements().all_of_owner, &owner()).await?;
        let mut erased = Vec::new();
        for ids in all.chunks(E::LONGEST_LIST) {
            let statement = self.statements().lock_all.of(ids.len());
            erased.extend(fetch_ids(step, statement, &[ids.into()]).await?);
        }
        self.delete(step, &erased).await?;
        self.tell(step, &erased).await?;
        Ok(erased)
    }

    pub(crate) async fn prune(
        self,
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.prune_on(&mut step, ended_before, limit).await;
        step.end(outcome).await
    }

    async fn prune_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let values = [ended_before.unix_seconds().into(), i64::from(limit).into()];
        let ended = fetch_ids(step, &self.statements().lock_ended, &values).await?;
        self.delete(step, &ended).await?;
        Ok(ended.len() as u64)
    }

    async fn delete(&self, step: &mut Lease<'s, 'c, E>, ids: &[TokenId]) -> Result<(), StoreError> {
        for ids in ids.chunks(E::LONGEST_LIST) {
            step.execute(self.statements().delete.of(ids.len()), &[ids.into()]).await?;
        }
        Ok(())
    }
}

async fn fetch_ids<E: Engine>(
    step: &mut Lease<'_, '_, E>,
    statement: &SqlStr,
    values: &[Value<'_>],
) -> Result<Vec<TokenId>, StoreError> {
    step.fetch(statement, values).await?.iter().map(id::<E>).collect()
}
