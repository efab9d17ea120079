//! The steps that end tokens: each finds the tokens that it is about, locks them in the order of their ids, looks for
//! those that came meanwhile, and then ends them.
//!
//! Locked as they are found, through an index of their owners, they would be locked in another order than by whoever
//! has their ids. Whoever issues on behalf of a token holds it until that is committed, so that once all are locked, no
//! child comes that is not seen here and does not see here what becomes of its parent.

use std::collections::BTreeSet;

use sqlx::SqlStr;

use crate::{
    store::{Deleted, Deletion, Selection, StoreError},
    token::{Actor, Owner, Reason, Revocation, Timestamp, TokenId},
};

use super::{
    engine::{Engine, Value},
    read::{distinct, id},
    session::{Lease, Steps},
};

/// Which tokens are to be ended.
#[derive(Clone, Copy)]
enum Sought<'s> {
    /// Those of a selection that are not revoked.
    Living(&'s Selection),
    /// All of an owner's, up to so many.
    AllOf(&'s Owner, u32),
}

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
        let selected = self.lock_all(step, Sought::Living(selection)).await?;
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

    /// Locks what is sought, until nothing comes to it any more.
    async fn lock_all(
        &self,
        step: &mut Lease<'s, 'c, E>,
        sought: Sought<'_>,
    ) -> Result<Vec<TokenId>, StoreError> {
        if !matches!(sought, Sought::Living(Selection::Tokens { .. })) {
            self.require_latest(step).await?;
        }
        let (mut seen, mut locked) = (BTreeSet::new(), Vec::new());
        loop {
            let mut new = self.look_for(step, sought).await?;
            new.retain(|id| !seen.contains(id));
            if new.is_empty() {
                return Ok(locked);
            }
            for ids in distinct(&new).chunks(E::LONGEST_LIST) {
                locked.extend(self.lock(step, sought, ids).await?);
            }
            seen.extend(new);
        }
    }

    async fn look_for(
        &self,
        step: &mut Lease<'s, 'c, E>,
        sought: Sought<'_>,
    ) -> Result<Vec<TokenId>, StoreError> {
        let owner = match sought {
            Sought::Living(Selection::Tokens { ids, .. }) => return Ok(ids.clone()),
            Sought::Living(Selection::DescendantsOf(ancestor)) => {
                return self.descendants(step, *ancestor).await;
            }
            Sought::Living(Selection::AllOf(owner)) => owner,
            Sought::AllOf(owner, most) => {
                let values = [owner.as_str().into(), i64::from(most).into()];
                return fetch_ids(step, &self.statements().all_of_owner, &values).await;
            }
        };
        fetch_ids(step, &self.statements().living_of_owner, &[owner.as_str().into()]).await
    }

    async fn lock(
        &self,
        step: &mut Lease<'s, 'c, E>,
        sought: Sought<'_>,
        ids: &[TokenId],
    ) -> Result<Vec<TokenId>, StoreError> {
        let owner = match sought {
            Sought::AllOf(..) => {
                let statement = self.statements().lock_all.of(ids.len());
                return fetch_ids(step, statement, &[ids.into()]).await;
            }
            Sought::Living(Selection::Tokens { owner, .. }) => owner.as_ref(),
            Sought::Living(_) => None,
        };
        let owner = || Value::from(owner.map(Owner::as_str));
        let statement = self.statements().lock_living.of(ids.len());
        fetch_ids(step, statement, &[ids.into(), owner(), owner()]).await
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

    pub(crate) async fn delete(
        self,
        deletion: &Deletion,
        limit: u32,
    ) -> Result<Deleted, StoreError> {
        let mut step = self.begin().await?;
        let outcome = match deletion {
            Deletion::EndedBefore(instant) => self.prune_on(&mut step, *instant, limit).await,
            Deletion::AllOf(owner) => self.erase_on(&mut step, owner, limit).await,
        };
        step.end(outcome).await
    }

    async fn erase_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        owner: &Owner,
        limit: u32,
    ) -> Result<Deleted, StoreError> {
        if let Some(forget) = &self.statements().forget_owner {
            step.execute(forget, &[owner.as_str().into()]).await?;
        }
        let erased = self.lock_all(step, Sought::AllOf(owner, limit)).await?;
        self.remove(step, &erased).await?;
        self.tell(step, &erased).await?;
        Ok(Deleted::up_to(limit, erased))
    }

    async fn prune_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<Deleted, StoreError> {
        let before = || Value::from(ended_before.unix_seconds());
        let most = i64::from(limit).into();
        let found = fetch_ids(step, &self.statements().ended, &[before(), most]).await?;
        let mut ended = Vec::new();
        for ids in distinct(&found).chunks(E::LONGEST_LIST) {
            // An expiry may have been put off meanwhile.
            let statement = self.statements().lock_ended.of(ids.len());
            ended.extend(fetch_ids(step, statement, &[ids.into(), before()]).await?);
        }
        self.remove(step, &ended).await?;
        let more = found.len() >= limit as usize;
        Ok(Deleted { ids: ended, more })
    }

    async fn remove(&self, step: &mut Lease<'s, 'c, E>, ids: &[TokenId]) -> Result<(), StoreError> {
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
