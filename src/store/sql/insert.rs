//! The step that adds a token.

use crate::{
    store::{InsertOutcome, InsertRules, StoreError, StoredRow},
    token::{IdempotencyKey, TokenRecord},
};

use super::{
    columns,
    engine::{Engine, Value},
    read::{number, optional_id},
    session::{Lease, Steps},
};

impl<'s, 'c, E: Engine> Steps<'s, 'c, E> {
    pub(crate) async fn insert(
        self,
        record: &TokenRecord,
        rules: InsertRules,
    ) -> Result<InsertOutcome, StoreError> {
        let is_free = rules == InsertRules::default() && record.idempotency_key().is_none();
        if is_free && record.parent().is_none() {
            let row = StoredRow::from(record);
            let inserted =
                self.write(&self.statements().insert, &columns::values(record, &row)).await?;
            // Nothing but the id can be in the way.
            return Ok(if inserted { InsertOutcome::Inserted } else { InsertOutcome::IdTaken });
        }
        let mut step = self.begin().await?;
        let outcome = self.insert_on(&mut step, record, rules).await;
        step.end(outcome).await
    }

    async fn insert_on(
        &self,
        step: &mut Lease<'s, 'c, E>,
        record: &TokenRecord,
        rules: InsertRules,
    ) -> Result<InsertOutcome, StoreError> {
        if rules != InsertRules::default() {
            step.execute(&self.statements().lock_owner, &[record.owner.as_str().into()]).await?;
        }
        if let Some(parent) = record.parent() {
            // Whoever revokes it waits and then sees this one, or this one waits and its issuer then sees that.
            step.fetch(&self.statements().hold_parent, &[parent.into()]).await?;
        }
        if let Some(objection) = self.objection(step, record, rules).await? {
            return Ok(objection);
        }
        let row = StoredRow::from(record);
        if step.execute(&self.statements().insert, &columns::values(record, &row)).await? {
            return Ok(InsertOutcome::Inserted);
        }
        // Whoever inserts without rules does not wait for the owner's row: the same id or key was faster.
        let objection = self.objection(step, record, InsertRules::default()).await?;
        objection.ok_or_else(|| {
            StoreError::Busy("the token that was in the way of a new one is gone".into())
        })
    }

    /// What stands against an insert.
    async fn objection(
        &self,
        step: &mut Lease<'s, 'c, E>,
        record: &TokenRecord,
        rules: InsertRules,
    ) -> Result<Option<InsertOutcome>, StoreError> {
        let owner = || Value::from(record.owner.as_str());
        let name = rules.unique_name.then_some(record.name.as_str());
        let limit = rules.limit_per_owner.map(i64::from);
        let values = [
            record.id.into(),
            owner(),
            record.idempotency_key().map(IdempotencyKey::as_str).into(),
            owner(),
            name.into(),
            owner(),
            limit.unwrap_or_default().into(),
        ];
        let rows = step.fetch(&self.statements().objections, &values).await?;
        let row = rows.first().ok_or_else(|| E::failed(sqlx::Error::RowNotFound))?;
        let objection = if number::<E>(row, 0)? > 0 {
            Some(InsertOutcome::IdTaken)
        } else if let Some(issued) = optional_id::<E>(row, 1)? {
            Some(InsertOutcome::AlreadyIssued(issued))
        } else if number::<E>(row, 2)? > 0 {
            Some(InsertOutcome::NameTaken)
        } else {
            let living = number::<E>(row, 3)?;
            let is_reached = rules.limit_per_owner.is_some_and(|limit| living >= limit.into());
            is_reached.then_some(InsertOutcome::LimitReached)
        };
        Ok(objection)
    }
}
