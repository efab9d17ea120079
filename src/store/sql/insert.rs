//! The step that adds a token.

use crate::{
    store::{
        StoreError,
        contract::{InsertOutcome, InsertRules, Siblings},
    },
    token::{IdempotencyKey, TokenId, TokenRecord},
};

use super::{
    columns::Written,
    engine::{Engine, Row, Value},
    read::{number, optional_id},
    session::{StepConnection, Steps},
};

impl<'s, 'c, E: Engine> Steps<'s, 'c, E> {
    pub(crate) async fn insert(
        self,
        record: &TokenRecord,
        rules: &InsertRules,
    ) -> Result<InsertOutcome, StoreError> {
        let is_free = rules.is_empty() && record.idempotency_key().is_none();
        if is_free && record.parent().is_none() {
            let row = Written::from(record);
            let inserted = self.write(&self.statements().insert, &row.values()).await?;
            // Nothing but the id can be in the way.
            return Ok(if inserted { InsertOutcome::Inserted } else { InsertOutcome::IdTaken });
        }
        let mut step = self.begin().await?;
        let outcome = self.insert_on(&mut step, record, rules).await;
        step.end(outcome).await
    }

    async fn insert_on(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        record: &TokenRecord,
        rules: &InsertRules,
    ) -> Result<InsertOutcome, StoreError> {
        if let Some(lock) = self.statements().lock_owner.as_ref().filter(|_| !rules.is_empty()) {
            step.execute(lock, &[record.owner.as_str().into()]).await?;
        }
        if let Some(parent) = record.parent() {
            // Whoever revokes it waits and then sees this one, or this one waits and its issuer then sees that.
            step.fetch(&self.statements().hold_parent, &[parent.into()]).await?;
        }
        if let Some(objection) = self.objection(step, record, rules).await? {
            return Ok(objection);
        }
        let row = Written::from(record);
        if step.execute(&self.statements().insert, &row.values()).await? {
            return Ok(InsertOutcome::Inserted);
        }
        // Whoever inserts without rules does not wait for the owner's row: the same id or key was faster.
        let objection = self.objection(step, record, &InsertRules::none()).await?;
        objection.ok_or_else(|| {
            StoreError::Busy("the token that was in the way of a new one is gone".into())
        })
    }

    /// What stands against an insert.
    async fn objection(
        &self,
        step: &mut StepConnection<'s, 'c, E>,
        record: &TokenRecord,
        rules: &InsertRules,
    ) -> Result<Option<InsertOutcome>, StoreError> {
        let (owner, name) = (record.owner.as_str(), record.name.as_str());
        let mut values = sibling_values(record.id, owner.into(), name.into(), rules);
        let key = record.idempotency_key().map(IdempotencyKey::as_str);
        values.extend([Value::from(record.id), owner.into(), key.into()]);
        let rows = step.fetch(&self.statements().objections, &values).await?;
        let row = rows.first().ok_or_else(|| E::failed(sqlx::Error::RowNotFound))?;
        if number::<E>(row, 2)? > 0 {
            return Ok(Some(InsertOutcome::IdTaken));
        }
        if let Some(issued) = optional_id::<E>(row, 3)? {
            return Ok(Some(InsertOutcome::AlreadyIssued(issued)));
        }
        Ok(rules.check(&siblings::<E>(row)?).err().map(InsertOutcome::from))
    }
}

/// The values of the statement that counts the siblings of a token.
pub(super) fn sibling_values<'v>(
    id: TokenId,
    owner: Value<'v>,
    name: Value<'v>,
    rules: &InsertRules,
) -> Vec<Value<'v>> {
    let name = if rules.unique_name { name } else { Value::Text(None) };
    let at = Value::from(rules.at.unix_seconds());
    let limit = rules.limit_per_owner.map_or(0, i64::from).into();
    vec![owner, name, id.into(), at, owner, id.into(), at, limit]
}

/// What that statement answers in its first two columns.
pub(super) fn siblings<E: Engine>(row: &Row<E>) -> Result<Siblings, StoreError> {
    Ok(Siblings { name_taken: number::<E>(row, 0)? > 0, living: number::<E>(row, 1)? })
}
