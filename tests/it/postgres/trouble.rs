use std::time::Duration;

use keyfob::store::{InsertRules, PostgresStore, StoreError, TokenStore, Use};
use sqlx::{Connection, PgConnection, Postgres, Transaction, postgres::PgPoolOptions};

use super::{Schema, id, insert, record};
use crate::support::database::what_is_damaged_is_named_and_spares_the_others;

const USE: Use = Use { id: keyfob::TokenId::from_u128(1), at: keyfob::Timestamp::MAX, from: None };

/// Locks every token.
async fn locked<'c>(
    schema: &Schema,
    connection: &'c mut PgConnection,
) -> Transaction<'c, Postgres> {
    let mut lock = connection.begin().await.unwrap();
    let all = schema.named("SELECT 1 FROM {tokens} FOR UPDATE");
    sqlx::raw_sql(all).execute(&mut *lock).await.unwrap();
    lock
}

#[tokio::test]
async fn a_lock_that_is_not_given_up_is_busy_and_a_lookup_does_not_mind() {
    let schema = Schema::new();
    insert(&schema.store().await, &record(1)).await;
    let store = schema.store_with(&[("lock_timeout", "100")]).await;
    let mut other = schema.connection().await;
    let lock = locked(&schema, &mut other).await;
    let used = store.record_uses(&[USE]).await;
    assert!(matches!(used, Err(StoreError::Busy(_))), "{used:?}");
    assert!(store.find(id(1)).await.unwrap().is_some());
    lock.rollback().await.unwrap();
    store.record_uses(&[USE]).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_ended_is_unavailable_and_the_next_one_is_good() {
    let schema = Schema::new();
    let store = schema.store_with(&[]).await;
    insert(&store, &record(1)).await;
    let mut other = schema.connection().await;
    let lock = locked(&schema, &mut other).await;
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.record_uses(&[USE]).await })
    };
    let writer = schema.waits().await;
    schema.run(&format!("SELECT pg_terminate_backend({writer})")).await;
    let ended = waiting.await.unwrap();
    assert!(matches!(ended, Err(StoreError::Unavailable(_))), "{ended:?}");
    assert!(store.find(id(1)).await.unwrap().is_some());
    lock.rollback().await.unwrap();
    store.record_uses(&[USE]).await.unwrap();
}

#[tokio::test]
async fn a_statement_that_is_interrupted_is_unavailable() {
    let schema = Schema::new();
    insert(&schema.store().await, &record(1)).await;
    let store = schema.store_with(&[]).await;
    let mut other = schema.connection().await;
    let _lock = locked(&schema, &mut other).await;
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.record_uses(&[USE]).await })
    };
    let writer = schema.waits().await;
    schema.run(&format!("SELECT pg_cancel_backend({writer})")).await;
    let used = waiting.await.unwrap();
    assert!(matches!(used, Err(StoreError::Unavailable(_))), "{used:?}");
    assert!(store.find(id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_database_that_can_only_be_read_is_unavailable_and_still_read() {
    let schema = Schema::new();
    insert(&schema.store().await, &record(1)).await;
    let store = schema.store_with(&[("default_transaction_read_only", "on")]).await;
    let used = store.record_uses(&[USE]).await;
    assert!(matches!(used, Err(StoreError::Unavailable(_))), "{used:?}");
    let inserted = store.insert(&record(2), InsertRules::default()).await;
    assert!(matches!(inserted, Err(StoreError::Unavailable(_))), "{inserted:?}");
    assert!(store.find(id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_pool_that_is_closed_or_has_no_free_connection_is_unavailable() {
    let schema = Schema::new();
    let pool = PgPoolOptions::new().max_connections(1);
    let pool = pool.acquire_timeout(Duration::from_millis(200));
    let pool = pool.connect_with(Schema::options()).await.unwrap();
    let store = PostgresStore::in_schema(pool.clone(), &schema.name).await.unwrap();
    let held = pool.acquire().await.unwrap();
    let found = store.find(id(1)).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
    drop(held);
    assert!(store.find(id(1)).await.unwrap().is_none());
    pool.close().await;
    let found = store.find(id(1)).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
}

#[tokio::test]
async fn tables_that_are_gone_are_faulty() {
    let schema = Schema::new();
    let store = schema.store().await;
    schema.run("DROP TABLE {tokens} CASCADE").await;
    let found = store.find(id(1)).await;
    assert!(matches!(found, Err(StoreError::Faulty(_))), "{found:?}");
}

/// What somebody wrote into a row, and the column that is to be named.
const DAMAGE: [(&str, &str); 13] = [
    ("prefix = 'Not A Prefix'", "prefix"),
    ("owner = ''", "owner"),
    ("name = ''", "name"),
    ("digest_key = ''", "digest"),
    ("generation = -1", "generation"),
    ("abilities = 'a::b'", "abilities"),
    ("created_at = 9223372036854775807", "created_at"),
    ("previous_ends_on_first_use = true", "previous_digest"),
    ("last_used_at = 1, last_used_from = 'nowhere'", "last_used_from"),
    ("revoked_by = 'who'", "revoked_at"),
    ("metadata = 'no json'", "metadata"),
    ("notices = 'seven'", "notices"),
    ("used_abilities = 'a::b'", "used_abilities"),
];

#[tokio::test]
async fn each_column_that_cannot_be_read_is_named_and_the_other_tokens_are_listed() {
    let schema = Schema::new();
    let store = schema.store().await;
    what_is_damaged_is_named_and_spares_the_others(&store, &DAMAGE, async |damage, id| {
        let row = format!("id = '{:032x}'", id.as_u128());
        schema.run(&format!("UPDATE {{tokens}} SET {damage} WHERE {row}")).await;
    })
    .await;
}
