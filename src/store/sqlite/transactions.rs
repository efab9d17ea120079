//! The steps that take more than one statement.

use std::sync::Arc;

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use crate::{
    store::{
        CorruptRecord, InsertOutcome, InsertRules, MOST_USED_ABILITIES, Patch, Siblings,
        StoreError, StoredRow, UpdateOutcome, Use, sql,
    },
    token::{Owner, TokenId, TokenName, TokenRecord},
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
    rules: &InsertRules,
) -> Result<InsertOutcome, StoreError> {
    let mut connection = steps.lease(sql::Work::Write).await?;
    let outcome = insert_on(&mut connection, record, rules).await;
    connection.release(&outcome);
    outcome
}

async fn insert_on(
    connection: &mut Lease<'_, '_>,
    record: &TokenRecord,
    rules: &InsertRules,
) -> Result<InsertOutcome, StoreError> {
    let row = StoredRow::from(record);
    let objections =
        siblings_of(statements::OBJECTIONS, record.id, &record.owner, &record.name, rules)
            .bind(row.idempotency_key.as_deref());

    let mut transaction = connection.begin().await?;
    let objections = objections.fetch_one(&mut *transaction).await.map_err(failed)?;
    let outcome = decide(&objections, rules)?;
    if outcome == InsertOutcome::Inserted {
        let insert = sql::bind(sqlx::query(statements::INSERT), row);
        insert.execute(&mut *transaction).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
    } else {
        transaction.rollback().await.map_err(failed)?;
    }
    Ok(outcome)
}

fn decide(row: &SqliteRow, rules: &InsertRules) -> Result<InsertOutcome, StoreError> {
    if row.try_get(2).map_err(failed)? {
        return Ok(InsertOutcome::IdTaken);
    }
    if let Some(id) = row.try_get::<Option<&[u8]>, _>(3).map_err(failed)? {
        let id = id.try_into().map_err(|_| CorruptRecord::new(None, "id"))?;
        return Ok(InsertOutcome::AlreadyIssued(TokenId::from_bytes(id)));
    }
    let refused = rules.check(&siblings(row)?).err();
    Ok(refused.map_or(InsertOutcome::Inserted, InsertOutcome::from))
}

fn siblings_of<'q>(
    statement: &'static str,
    id: TokenId,
    owner: &'q Owner,
    name: &'q TokenName,
    rules: &InsertRules,
) -> Statement<'q> {
    on(id, statement)
        .bind(owner.as_str())
        .bind(rules.unique_name.then(|| name.as_str()))
        .bind(rules.at.unix_seconds())
        .bind(rules.limit_per_owner)
}

fn siblings(row: &SqliteRow) -> Result<Siblings, StoreError> {
    let living: i64 = row.try_get(1).map_err(failed)?;
    Ok(Siblings { name_taken: row.try_get(0).map_err(failed)?, living: living.unsigned_abs() })
}

pub(super) async fn update(
    steps: Steps<'_, '_>,
    id: TokenId,
    patch: &Patch,
) -> Result<UpdateOutcome, StoreError> {
    let mut connection = steps.lease(sql::Work::Write).await?;
    let outcome = update_on(&mut connection, id, patch).await;
    connection.release(&outcome);
    outcome
}

async fn update_on(
    connection: &mut Lease<'_, '_>,
    id: TokenId,
    patch: &Patch,
) -> Result<UpdateOutcome, StoreError> {
    // A record that can't be read is not changed: the transaction is dropped.
    let mut transaction = connection.begin().await?;
    let outcome = patch_on(&mut transaction, id, patch).await?;
    match outcome {
        UpdateOutcome::Updated(_) => transaction.commit().await,
        _ => transaction.rollback().await,
    }
    .map_err(failed)?;
    Ok(outcome)
}

async fn patch_on(
    connection: &mut SqliteConnection,
    id: TokenId,
    patch: &Patch,
) -> Result<UpdateOutcome, StoreError> {
    let row = on(id, statements::FIND).fetch_optional(&mut *connection).await.map_err(failed)?;
    let Some(row) = row else {
        return Ok(UpdateOutcome::NotFound);
    };
    let mut record = rows::record(&row)?;
    let siblings = match patch.rules() {
        Some(rules) => {
            let name = patch.name().unwrap_or(&record.name);
            let counted = siblings_of(statements::SIBLINGS, id, &record.owner, name, rules);
            siblings(&counted.fetch_one(&mut *connection).await.map_err(failed)?)?
        }
        None => Siblings::default(),
    };
    if let Err(refused) = patch.apply(Arc::make_mut(&mut record), &siblings) {
        return Ok(UpdateOutcome::Refused(refused));
    }
    let write = sql::bind(sqlx::query(statements::WRITE), StoredRow::from(&*record));
    write.execute(connection).await.map_err(failed)?;
    Ok(UpdateOutcome::Updated(record))
}

pub(super) async fn record_uses(steps: Steps<'_, '_>, uses: &[Use]) -> Result<(), StoreError> {
    let mut connection = steps.lease(sql::Work::Write).await?;
    let outcome = record_uses_on(&mut connection, &sql::by_token(uses)).await;
    connection.release(&outcome);
    outcome
}

async fn record_uses_on(connection: &mut Lease<'_, '_>, uses: &[Use]) -> Result<(), StoreError> {
    let record = sqlx::query(statements::RECORD_USES).bind(rows::json_uses(uses));
    let Some(abilities) = rows::json_used_abilities(uses) else {
        return record.execute(&mut **connection).await.map(drop).map_err(failed);
    };
    let mut transaction = connection.begin().await?;
    record.execute(&mut *transaction).await.map_err(failed)?;
    let record = sqlx::query(statements::RECORD_USED_ABILITIES).bind(abilities);
    record.bind(MOST_USED_ABILITIES).execute(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}
