//! The steps that write.

use std::sync::Arc;

use crate::{
    store::{
        AbilityUse, CorruptRecord, InsertRules, MOST_USED_ABILITIES, Patch, Siblings, StoreError,
        StoredRow, UpdateOutcome, Use,
    },
    token::{KeyId, TokenId, TokenName},
};

use super::{
    by_token, columns,
    engine::{Engine, Value},
    insert::{sibling_values, siblings},
    latest,
    read::{id, text},
    session::{Lease, Steps},
};

impl<'s, 'c, E: Engine> Steps<'s, 'c, E> {
    pub(crate) async fn update(
        self,
        id: TokenId,
        patch: &Patch,
    ) -> Result<UpdateOutcome, StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.update_on(&mut step, id, patch).await;
        step.end(outcome).await
    }

    async fn update_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        id: TokenId,
        patch: &Patch,
    ) -> Result<UpdateOutcome, StoreError> {
        let siblings = match patch.rules() {
            Some(rules) => self.lock_siblings(step, id, patch.name(), rules).await?,
            None => Some(Siblings::default()),
        };
        let Some(siblings) = siblings else { return Ok(UpdateOutcome::NotFound) };
        let rows = step.fetch(&self.statements().lock, &[id.into()]).await?;
        let Some(row) = rows.first() else { return Ok(UpdateOutcome::NotFound) };
        let mut record = E::record(row)?;
        if let Err(refused) = patch.apply(&mut record, &siblings) {
            return Ok(UpdateOutcome::Refused(refused));
        }
        let row = StoredRow::from(&record);
        let mut values = columns::values(&record, &row);
        // The statement takes the id at its end.
        values.rotate_left(1);
        step.execute(&self.statements().write, &values).await?;
        if patch.publishes() {
            self.tell(step, &[id]).await?;
        }
        Ok(UpdateOutcome::Updated(Arc::new(record)))
    }

    /// Locks the row of a token's owner, before the token, and counts the token's siblings. `None`: there is no token.
    async fn lock_siblings(
        &self,
        step: &mut Lease<'s, 'c, E>,
        id: TokenId,
        name: Option<&TokenName>,
        rules: &InsertRules,
    ) -> Result<Option<Siblings>, StoreError> {
        let rows = step.fetch(&self.statements().owner_of, &[id.into()]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let owner = E::bytes(row, 0).map_err(E::failed)?;
        let owner = Value::Text(owner.as_deref());
        step.execute(&self.statements().lock_owner, &[owner]).await?;
        let mut kept = name.map(|name| name.as_str().into());
        if kept.is_none() {
            // Only now, because a concurrent rename holds the same lock.
            let rows = step.fetch(&self.statements().name_of, &[id.into()]).await?;
            kept =
                rows.first().map(|row| E::bytes(row, 0)).transpose().map_err(E::failed)?.flatten();
        }
        let values = sibling_values(id, owner, Value::Text(kept.as_deref()), rules);
        let rows = step.fetch(&self.statements().siblings, &values).await?;
        let row = rows.first().ok_or_else(|| E::failed(sqlx::Error::RowNotFound))?;
        siblings::<E>(row).map(Some)
    }

    pub(crate) async fn record_uses(self, uses: &[Use]) -> Result<(), StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.record_uses_on(&mut step, uses).await;
        step.end(outcome).await
    }

    async fn record_uses_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        uses: &[Use],
    ) -> Result<(), StoreError> {
        // In the order of their ids.
        let uses: Vec<_> = latest(uses).into_values().collect();
        for uses in uses.chunks(E::LONGEST_LIST) {
            let statement = self.statements().record_uses.of(uses.len());
            step.execute(statement, &[Value::Uses(uses)]).await?;
        }
        Ok(())
    }

    pub(crate) async fn record_ability_uses(self, uses: &[AbilityUse]) -> Result<(), StoreError> {
        let mut step = self.begin().await?;
        let outcome = self.record_ability_uses_on(&mut step, uses).await;
        step.end(outcome).await
    }

    async fn record_ability_uses_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        uses: &[AbilityUse],
    ) -> Result<(), StoreError> {
        let uses = by_token(uses);
        let ids: Vec<_> = uses.keys().copied().collect();
        for ids in ids.chunks(E::LONGEST_LIST) {
            let statement = self.statements().lock_used_abilities.of(ids.len());
            let mut grown = Vec::new();
            for row in step.fetch(statement, &[ids.into()]).await? {
                let id = id::<E>(&row)?;
                let known = text::<E>(&row, 1)?.unwrap_or_default();
                let mut all: Vec<_> = known.split_whitespace().collect();
                let known = all.len();
                let new = uses.get(&id).into_iter().flatten().map(|it| it.as_str());
                let new: Vec<_> = new.filter(|it| !all.contains(it)).collect();
                all.extend(new);
                all.truncate(MOST_USED_ABILITIES as usize);
                if all.len() > known {
                    grown.push((id, all.join(" ")));
                }
            }
            if !grown.is_empty() {
                let statement = self.statements().record_ability_uses.of(grown.len());
                step.execute(statement, &[Value::Used(&grown)]).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn canary(
        self,
        key: &KeyId,
        canary: &[u8; 32],
    ) -> Result<[u8; 32], StoreError> {
        let statements = self.statements();
        let key = || Value::from(key.as_str());
        let mut kept = self.read(&statements.canary, &[key()]).await?;
        if kept.is_empty() {
            self.write(&statements.keep_canary, &[key(), canary.into()]).await?;
            kept = self.read(&statements.canary, &[key()]).await?;
        }
        let bytes = kept.first().and_then(|row| E::bytes(row, 0).ok()?);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or(CorruptRecord::new(None, "canary").into())
    }
}
