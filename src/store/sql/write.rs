//! The steps that write.

use std::sync::Arc;

use crate::{
    store::{
        CorruptRecord, InsertRules, MOST_USED_ABILITIES, Patch, Siblings, StoreError, StoredRow,
        UpdateOutcome, Use,
    },
    token::{KeyId, TokenId, TokenName},
};

use super::{
    by_token, columns,
    engine::{Engine, Value},
    insert::{sibling_values, siblings},
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
        for uses in by_token(uses).chunks(E::LONGEST_LIST) {
            let grown = self.lock_grown(step, uses).await?;
            let statement = self.statements().record_uses.of(uses.len());
            step.execute(statement, &[Value::Uses(uses)]).await?;
            if !grown.is_empty() {
                let statement = self.statements().record_used_abilities.of(grown.len());
                step.execute(statement, &[Value::Used(&grown)]).await?;
            }
        }
        Ok(())
    }

    /// The texts of used abilities that grow by these uses. All tokens of the batch are locked for them, in the order of
    /// their ids; where no ability was used, none is.
    async fn lock_grown(
        &self,
        step: &mut Lease<'s, 'c, E>,
        uses: &[Use],
    ) -> Result<Vec<(TokenId, String)>, StoreError> {
        let mut grown = Vec::new();
        if uses.iter().all(|it| it.abilities.is_empty()) {
            return Ok(grown);
        }
        let ids: Vec<_> = uses.iter().map(|it| it.id).collect();
        let statement = self.statements().lock_used_abilities.of(ids.len());
        for row in step.fetch(statement, &[ids.as_slice().into()]).await? {
            let id = id::<E>(&row)?;
            let is_revoked = E::integer(&row, 2).map_err(E::failed)?.is_some();
            let Ok(place) = uses.binary_search_by_key(&id, |it| it.id) else { continue };
            let known = text::<E>(&row, 1)?.unwrap_or_default();
            let mut all: Vec<_> = known.split_whitespace().collect();
            let count = all.len();
            let new = uses[place].abilities.iter().map(|it| it.as_str());
            let new: Vec<_> = new.filter(|it| !all.contains(it)).collect();
            all.extend(new);
            all.truncate(MOST_USED_ABILITIES as usize);
            if all.len() > count && !is_revoked {
                grown.push((id, all.join(" ")));
            }
        }
        Ok(grown)
    }

    pub(crate) async fn key_fingerprint(
        self,
        key: &KeyId,
        value: &[u8; 32],
    ) -> Result<[u8; 32], StoreError> {
        let statements = self.statements();
        let key = || Value::from(key.as_str());
        let mut kept = self.read(&statements.fingerprint, &[key()]).await?;
        if kept.is_empty() {
            self.write(&statements.keep_fingerprint, &[key(), value.into()]).await?;
            kept = self.read(&statements.fingerprint, &[key()]).await?;
        }
        let bytes = kept.first().and_then(|row| E::bytes(row, 0).ok()?);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or(CorruptRecord::new(None, "key_fingerprint").into())
    }
}
