//! The steps that take more than one statement.

use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    store::{ChangeOutcome, CorruptRecord, InsertOutcome, InsertRules, StoreError, StoredRow, sql},
    token::{TokenId, TokenRecord},
};

use super::{
    error::failed,
    rows,
    session::{Lease, Steps},
    statements::{self, Statement, on},
};

pub(super) async fn insert(
    steps: Steps<'_, '_>,
    record: &TokenRecord,
    rules: InsertRules,
) -> Result<InsertOutcome, StoreError> {
    let mut connection = steps.lease(sql::Work::Write).await?;
    let outcome = insert_on(&mut connection, record, rules).await;
    connection.release(&outcome);
    outcome
}

async fn insert_on(
    connection: &mut Lease<'_, '_>,
    record: &TokenRecord,
    rules: InsertRules,
) -> Result<InsertOutcome, StoreError> {
    let row = StoredRow::from(record);
    let objections = on(record.id, statements::OBJECTIONS)
        .bind(record.owner.as_str())
        .bind(row.idempotency_key.as_deref())
        .bind(rules.unique_name)
        .bind(record.name.as_str())
        .bind(rules.limit_per_owner);

    let mut transaction = connection.begin().await?;
    let objections = objections.fetch_one(&mut *transaction).await.map_err(failed)?;
    let outcome = objection(&objections)?;
    if outcome == InsertOutcome::Inserted {
        let insert = sql::bind(sqlx::query(statements::INSERT), row);
        insert.execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    } else {
        transaction.rollback().await.map_err(failed)?;
    }
    Ok(outcome)
}

fn objection(row: &SqliteRow) -> Result<InsertOutcome, StoreError> {
    if row.try_get(0).map_err(failed)? {
        return Ok(InsertOutcome::IdTaken);
    }
    if let Some(id) = row.try_get::<Option<&[u8]>, _>(1).map_err(failed)? {
        let id = id.try_into().map_err(|_| CorruptRecord::new(None, "id"))?;
        return Ok(InsertOutcome::AlreadyIssued(TokenId::from_bytes(id)));
    }
    if row.try_get(2).map_err(failed)? {
        return Ok(InsertOutcome::NameTaken);
    }
    if row.try_get(3).map_err(failed)? {
        return Ok(InsertOutcome::LimitReached);
    }
    Ok(InsertOutcome::Inserted)
}

/// Runs an update of one token that returns it. Where it met none, `refused` says why, given the stored expiry of a
/// token that is there and not revoked.
pub(super) async fn alter(
    steps: Steps<'_, '_>,
    id: TokenId,
    update: Statement<'_>,
    refused: impl FnOnce(Option<i64>) -> ChangeOutcome + Send,
) -> Result<ChangeOutcome, StoreError> {
    let mut connection = steps.lease(sql::Work::Write).await?;
    let outcome = alter_on(&mut connection, id, update, refused).await;
    connection.release(&outcome);
    outcome
}

async fn alter_on(
    connection: &mut Lease<'_, '_>,
    id: TokenId,
    update: Statement<'_>,
    refused: impl FnOnce(Option<i64>) -> ChangeOutcome + Send,
) -> Result<ChangeOutcome, StoreError> {
    let mut transaction = connection.begin().await?;
    let changed = update.fetch_optional(&mut *transaction).await.map_err(failed)?;
    if let Some(row) = changed {
        // What can't be read is not changed either: the transaction is dropped.
        let record = rows::record(&row)?;
        transaction.commit().await.map_err(failed)?;
        return Ok(ChangeOutcome::Changed(record));
    }
    let state = on(id, statements::STATE).fetch_optional(&mut *transaction).await;
    let state = state.map_err(failed)?;
    transaction.rollback().await.map_err(failed)?;
    let Some(state) = state else {
        return Ok(ChangeOutcome::NotFound);
    };
    if state.try_get(0).map_err(failed)? {
        return Ok(ChangeOutcome::Revoked);
    }
    Ok(refused(state.try_get(1).map_err(failed)?))
}
