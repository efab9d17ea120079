use std::time::Duration;

use keyfob::store::{InsertRules, MySqlStore, StoreError, TokenStore, Use};
use sqlx::{Connection, Executor, mysql::MySqlPoolOptions};

use super::{Tables, at, eventually, id, insert, record};
use crate::support::database::what_is_damaged_is_named_and_spares_the_others;

fn a_use() -> Use {
    Use { id: id(1), at: at(2_000), from: None }
}

const LOCK: &str = "SELECT 1 FROM {tokens} FOR UPDATE";

#[tokio::test]
async fn a_lock_that_is_not_given_up_is_busy_and_a_lookup_does_not_mind() {
    let tables = Tables::new();
    insert(&tables.store().await, &record(1)).await;
    let impatient = Tables::pool_that_says("SET innodb_lock_wait_timeout = 1").await;
    let store = MySqlStore::with_prefix(impatient, &tables.prefix).await.unwrap();
    let mut other = Tables::connection().await;
    let mut lock = other.begin().await.unwrap();
    lock.execute(tables.named(LOCK)).await.unwrap();
    let used = store.record_uses(&[a_use()]).await;
    assert!(matches!(used, Err(StoreError::Busy(_))), "{used:?}");
    assert!(store.find(id(1)).await.unwrap().is_some());
    lock.rollback().await.unwrap();
    store.record_uses(&[a_use()]).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_killed_is_unavailable_and_the_next_one_is_good() {
    let tables = Tables::new();
    let store = tables.store().await;
    insert(&store, &record(1)).await;
    let mut other = Tables::connection().await;
    let mut lock = other.begin().await.unwrap();
    lock.execute(tables.named(LOCK)).await.unwrap();
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { store.record_uses(&[a_use()]).await })
    };
    let writer = "SELECT CAST(MAX(id) AS CHAR) FROM information_schema.processlist
        WHERE info LIKE 'UPDATE %{tokens}%'";
    let writer = eventually(async || tables.text(writer).await).await;
    tables.run(&format!("KILL {writer}")).await;
    let killed = waiting.await.unwrap();
    assert!(matches!(killed, Err(StoreError::Unavailable(_))), "{killed:?}");
    assert!(store.find(id(1)).await.unwrap().is_some());
    lock.rollback().await.unwrap();
    store.record_uses(&[a_use()]).await.unwrap();
}

#[tokio::test]
async fn a_statement_that_is_interrupted_is_unavailable() {
    let tables = Tables::new();
    insert(&tables.store().await, &record(1)).await;
    let hurried = Tables::pool_that_says("SET max_statement_time = 0.1").await;
    let store = MySqlStore::with_prefix(hurried, &tables.prefix).await.unwrap();
    let mut other = Tables::connection().await;
    let mut lock = other.begin().await.unwrap();
    lock.execute(tables.named(LOCK)).await.unwrap();
    let used = store.record_uses(&[a_use()]).await;
    assert!(matches!(used, Err(StoreError::Unavailable(_))), "{used:?}");
}

#[tokio::test]
async fn a_database_that_can_only_be_read_is_unavailable_and_still_read() {
    let tables = Tables::new();
    insert(&tables.store().await, &record(1)).await;
    let read_only = Tables::pool_that_says("SET SESSION TRANSACTION READ ONLY").await;
    let store = MySqlStore::with_prefix(read_only, &tables.prefix).await.unwrap();
    let used = store.record_uses(&[a_use()]).await;
    assert!(matches!(used, Err(StoreError::Unavailable(_))), "{used:?}");
    let inserted = store.insert(&record(2), InsertRules::default()).await;
    assert!(matches!(inserted, Err(StoreError::Unavailable(_))), "{inserted:?}");
    assert!(store.find(id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_pool_that_is_closed_or_has_no_free_connection_is_unavailable() {
    let tables = Tables::new();
    let pool = MySqlPoolOptions::new().max_connections(1);
    let pool = pool.acquire_timeout(Duration::from_millis(200));
    let pool = pool.connect_with(Tables::options()).await.unwrap();
    let store = MySqlStore::with_prefix(pool.clone(), &tables.prefix).await.unwrap();
    let held = pool.acquire().await.unwrap();
    let found = store.find(id(1)).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
    drop(held);
    pool.close().await;
    let found = store.find(id(1)).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
}

#[tokio::test]
async fn tables_that_are_gone_are_faulty() {
    let tables = Tables::new();
    let store = tables.store().await;
    tables.run("DROP TABLE {tokens}").await;
    let found = store.find(id(1)).await;
    assert!(matches!(found, Err(StoreError::Faulty(_))), "{found:?}");
}

/// What somebody wrote into a row, and the column that is to be named.
const DAMAGE: [(&str, &str); 12] = [
    ("prefix = 'Not A Prefix'", "prefix"),
    ("owner = x'ff'", "owner"),
    ("name = x'ff'", "name"),
    ("generation = -1", "generation"),
    ("abilities = x'ff'", "abilities"),
    ("created_at = 9223372036854775807", "created_at"),
    ("previous_ends_on_first_use = 1", "previous_digest"),
    ("last_used_at = 1, last_used_from = 'nowhere'", "last_used_from"),
    ("revoked_by = 'who'", "revoked_at"),
    ("metadata = x'ff'", "metadata"),
    ("notices = 'seven'", "notices"),
    ("used_abilities = 'a::b'", "used_abilities"),
];

#[tokio::test]
async fn each_column_that_cannot_be_read_is_named_and_the_other_tokens_are_listed() {
    let tables = Tables::new();
    let store = tables.store().await;
    what_is_damaged_is_named_and_spares_the_others(&store, &DAMAGE, async |damage, id| {
        let row = format!("id = UNHEX('{:032x}')", id.as_u128());
        tables.run(&format!("UPDATE {{tokens}} SET {damage} WHERE {row}")).await;
    })
    .await;
}
