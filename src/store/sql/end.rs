//! The steps that end tokens: each finds the tokens that it is about, locks them in the order of their ids, and ends
//! those that are still to be ended.
//!
//! Locked as they are found, through an index of their owners, they would be locked in another order than by a step
//! that has their ids.

use sqlx::SqlStr;

use crate::{
    store::{
        StoreError,
        contract::{Deleted, Deletion, Revoked, Selection},
    },
    token::{Actor, Owner, Reason, Revocation, Timestamp, TokenId},
};

use super::{
    engine::{Engine, Value},
    read::{distinct, id, optional_id},
    session::{StepConnection, Steps},
};

impl<'s, 'c, E: Engine> Steps<'s, 'c, E> {
    pub(crate) async fn revoke(
        self,
        selection: &Selection,
        revocation: &Revocation,
        limit: u32,
    ) -> Result<Revoked, StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.revoke_on(&mut step, selection, revocation, limit).await;
        step.end(outcome).await
    }

    async fn revoke_on(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        selection: &Selection,
        revocation: &Revocation,
        limit: u32,
    ) -> Result<Revoked, StoreError> {
        let mut revoked = Revoked::default();
        loop {
            let left = limit.saturating_sub(u32::try_from(revoked.changed.len()).unwrap_or(limit));
            let found = self.look_for(step, selection, left).await?;
            let locked = self.lock_selected(step, selection, &found).await?;
            let mut part = selection.step(locked, left);
            // Somebody else may have ended what was found before it was locked here.
            let is_named = matches!(selection, Selection::Tokens { .. });
            part.more |= !is_named && found.len() >= left as usize;
            for ids in part.changed.chunks(E::LONGEST_LIST) {
                let revoke = [
                    revocation.at.unix_seconds().into(),
                    revocation.by.as_ref().map(Actor::as_str).into(),
                    revocation.reason.as_ref().map(Reason::as_str).into(),
                    ids.into(),
                ];
                step.execute(self.statements().revoke.of(ids.len()), &revoke).await?;
            }
            // A child may have come while its parent was not locked yet. Once the parent is, whoever issues another one
            // waits, and then sees that the parent is revoked.
            let may_miss = matches!(selection, Selection::AllOf(_)) && !found.is_empty();
            revoked.changed.extend(part.changed);
            revoked.found.extend(part.found);
            revoked.more = part.more;
            if part.more || !may_miss {
                break;
            }
        }
        self.tell(step, &revoked.changed, selection.owner()).await?;
        Ok(revoked)
    }

    /// Locks tokens that a step is about. It returns those that there are, each with `true` if it is revoked.
    async fn lock_selected(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        selection: &Selection,
        found: &[TokenId],
    ) -> Result<Vec<(TokenId, bool)>, StoreError> {
        let owner = match selection {
            Selection::Tokens { owner, .. } => owner.as_ref(),
            _ => None,
        };
        let owner = || Value::from(owner.map(Owner::as_str));
        let mut locked = Vec::new();
        for ids in found.chunks(E::LONGEST_LIST) {
            let lock = self.statements().lock_selected.of(ids.len());
            for row in step.fetch(lock, &[ids.into(), owner(), owner()]).await? {
                let is_revoked = E::integer(&row, 1).map_err(E::failed)?.is_some();
                locked.push((id::<E>(&row)?, is_revoked));
            }
        }
        Ok(locked)
    }

    /// The tokens that a step may be about, in the order of their ids.
    async fn look_for(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        selection: &Selection,
        limit: u32,
    ) -> Result<Vec<TokenId>, StoreError> {
        let most = Value::from(i64::from(limit));
        let mut found = Vec::new();
        match selection {
            Selection::Tokens { ids, .. } => found.clone_from(ids),
            Selection::ChildrenOf { parents, after } => {
                self.require_latest(step).await?;
                let first = after.map_or(Some(0), |after| after.as_u128().checked_add(1));
                let first = Value::from(first.map(TokenId::from_u128));
                for parents in distinct(parents).chunks(E::LONGEST_LIST) {
                    let children = self.statements().children.of(parents.len());
                    let values = [parents.into(), first, most];
                    found.extend(fetch_ids(step, children, &values).await?);
                }
            }
            Selection::AllOf(owner) => {
                self.require_latest(step).await?;
                let owner = Value::from(owner.as_str());
                if let Some(hold) = &self.statements().hold_owner {
                    step.fetch(hold, &[owner]).await?;
                }
                found = fetch_ids(step, &self.statements().living_of_owner, &[owner, most]).await?;
            }
        }
        Ok(distinct(&found))
    }

    pub(crate) async fn delete(
        self,
        deletion: &Deletion,
        limit: u32,
    ) -> Result<Deleted, StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.delete_on(&mut step, deletion, limit).await;
        step.end(outcome).await
    }

    async fn delete_on(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        deletion: &Deletion,
        limit: u32,
    ) -> Result<Deleted, StoreError> {
        let (locked, met) = match deletion {
            Deletion::EndedBefore(instant) => self.lock_ended(step, *instant, limit).await?,
            Deletion::AllOf(owner) => self.lock_all(step, owner, limit).await?,
        };
        let mut deleted = deletion.step(locked, limit);
        deleted.more |= met >= limit as usize;
        for ids in deleted.ids.chunks(E::LONGEST_LIST) {
            step.execute(self.statements().delete.of(ids.len()), &[ids.into()]).await?;
        }
        if let Deletion::AllOf(owner) = deletion {
            self.tell(step, &deleted.ids, Some(owner)).await?;
        }
        Ok(deleted)
    }

    /// Locks tokens of an owner. It returns them, each with `true` if it was issued on behalf of another, and how many
    /// there were before they were locked.
    async fn lock_all(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        owner: &Owner,
        limit: u32,
    ) -> Result<(Vec<(TokenId, bool)>, usize), StoreError> {
        self.require_latest(step).await?;
        let owner = Value::from(owner.as_str());
        if let Some(forget) = &self.statements().forget_owner {
            step.execute(forget, &[owner]).await?;
        }
        let values = [owner, i64::from(limit).into()];
        let found = fetch_ids(step, &self.statements().all_of_owner, &values).await?;
        let mut locked = Vec::new();
        for found in distinct(&found).chunks(E::LONGEST_LIST) {
            let lock = self.statements().lock_all.of(found.len());
            locked.extend(fetch_ids(step, lock, &[found.into()]).await?);
        }
        Ok((locked.into_iter().map(|id| (id, false)).collect(), found.len()))
    }

    /// The same of tokens that have ended and are nobody's parent.
    async fn lock_ended(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        ended_before: Timestamp,
        limit: u32,
    ) -> Result<(Vec<(TokenId, bool)>, usize), StoreError> {
        let before = || Value::from(ended_before.unix_seconds());
        let most = i64::from(limit).into();
        let found = fetch_ids(step, &self.statements().ended, &[before(), most]).await?;
        let mut locked = Vec::new();
        for found in distinct(&found).chunks(E::LONGEST_LIST) {
            // An expiry may have been put off meanwhile, and a child may have come.
            let lock = self.statements().lock_ended.of(found.len());
            let ended = step.fetch(lock, &[found.into(), before()]).await?;
            let parents = self.statements().parents.of(found.len());
            let parents = fetch_ids(step, parents, &[found.into()]).await?;
            for row in ended {
                let (id, parent) = (id::<E>(&row)?, optional_id::<E>(&row, 1)?);
                if !parents.contains(&id) {
                    locked.push((id, parent.is_some()));
                }
            }
        }
        Ok((locked, found.len()))
    }
}

async fn fetch_ids<E: Engine>(
    step: &mut StepConnection<'_, '_, E>,
    statement: &SqlStr,
    values: &[Value<'_>],
) -> Result<Vec<TokenId>, StoreError> {
    step.fetch(statement, values).await?.iter().map(id::<E>).collect()
}
