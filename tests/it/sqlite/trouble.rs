use std::{sync::Arc, time::Duration};

use keyfob::{
    store::{
        SqliteStore, StoreError, TokenStore,
        contract::{InsertOutcome, InsertRules, Use},
    },
    testing::rare_of,
};
use sqlx::{Connection, sqlite::SqlitePoolOptions};
use tokio::task::JoinHandle;

use super::{File, at, insert, record};
use crate::support::eventually;
use crate::support::store_ext::StoreExt;

fn a_use() -> Use {
    Use::new(record(1).id, at(2_000))
}

#[tokio::test]
async fn a_lock_that_is_not_given_up_is_busy_and_a_lookup_does_not_mind() {
    let file = File::new();
    // It stays open: closing a database takes its lock for a moment.
    let first = file.store().await;
    insert(&first, &record(1)).await;
    let options = file.options().busy_timeout(Duration::ZERO);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let store = SqliteStore::with_pool(pool).await.unwrap();

    let mut other = file.connection().await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let inserted = store.insert(&record(2), &InsertRules::none()).await;
    assert!(matches!(inserted, Err(StoreError::Busy(_))), "{inserted:?}");
    let used = store.record_uses(&[a_use()]).await;
    assert!(matches!(used, Err(StoreError::Busy(_))), "{used:?}");
    assert!(store.one(record(1).id).await.unwrap().is_some());

    lock.rollback().await.unwrap();
    insert(&store, &record(2)).await;
}

fn sixteen_writes(store: &Arc<SqliteStore>) -> Vec<JoinHandle<Result<(), StoreError>>> {
    let write = |store: Arc<SqliteStore>| async move { store.record_uses(&[a_use()]).await };
    (0..16).map(|_| tokio::spawn(write(store.clone()))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_do_not_queue_behind_writes_that_wait() {
    let file = File::new();
    let store = Arc::new(file.store().await);
    insert(&store, &record(1)).await;
    let mut other = file.connection().await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let writes = sixteen_writes(&store);
    for _ in 0..20 {
        tokio::task::yield_now().await;
        assert!(store.one(record(1).id).await.unwrap().is_some());
    }
    assert!(writes.iter().all(|write| !write.is_finished()));
    lock.rollback().await.unwrap();
    for write in writes {
        write.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_wait_leave_connections_of_the_applications_pool_to_lookups() {
    const LONG: Duration = Duration::from_secs(120);
    let file = File::new();
    insert(&file.store().await, &record(1)).await;
    let pool = SqlitePoolOptions::new().max_connections(4).acquire_timeout(LONG);
    // A writer that has a connection waits on it for the whole test.
    let pool = pool.connect_with(file.options().busy_timeout(LONG)).await.unwrap();
    let store = Arc::new(SqliteStore::with_pool(pool.clone()).await.unwrap());
    let mut other = file.connection().await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let writes = sixteen_writes(&store);
    eventually(async || pool.size() as usize - pool.num_idle() == 2).await;
    for _ in 0..20 {
        let found = tokio::time::timeout(LONG / 2, store.one(record(1).id)).await;
        assert!(found.expect("all connections wait for a lock").unwrap().is_some());
    }
    lock.rollback().await.unwrap();
    for write in writes {
        write.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_leaves_no_connection_behind_that_fails() {
    let file = File::new();
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect_with(file.options()).await.unwrap();
    let store = SqliteStore::with_pool(pool.clone()).await.unwrap();
    sqlx::query("PRAGMA max_page_count = 1").execute(&pool).await.unwrap();

    let mut inserted = 0;
    let error = loop {
        let mut record = record(inserted);
        let metadata = serde_json::json!({ "k": "x".repeat(4_000) });
        rare_of(&mut record).metadata = keyfob::token::Metadata::new(&metadata).unwrap();
        match store.insert(&record, &InsertRules::none()).await {
            Ok(outcome) => assert_eq!(outcome, InsertOutcome::Inserted),
            Err(error) => break error,
        }
        inserted += 1;
        assert!(inserted < 1_000, "the disk never gets full");
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    insert(&store, &record(inserted)).await;
    assert_eq!(store.count_of(&super::owner()).await.0, u64::try_from(inserted).unwrap() + 1);
}

#[tokio::test]
async fn a_database_that_cannot_be_written_is_unavailable_and_still_read() {
    let file = File::new();
    insert(&file.store().await, &record(1)).await;
    let pool = sqlx::SqlitePool::connect_with(file.options().read_only(true)).await.unwrap();
    let store = SqliteStore::with_pool(pool).await.unwrap();
    let used = store.record_uses(&[a_use()]).await;
    assert!(matches!(used, Err(StoreError::Unavailable(_))), "{used:?}");
    assert!(store.one(record(1).id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_closed_pool_is_unavailable() {
    let file = File::new();
    let pool = file.pool().await;
    let store = SqliteStore::with_pool(pool.clone()).await.unwrap();
    pool.close().await;
    let found = store.one(record(1).id).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
}

#[tokio::test]
async fn a_pool_without_a_free_connection_is_unavailable() {
    let file = File::new();
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.acquire_timeout(Duration::from_secs(5)).connect_with(file.options()).await;
    let pool = pool.unwrap();
    let store = SqliteStore::with_pool(pool.clone()).await.unwrap();
    let _held = pool.acquire().await.unwrap();
    let found = store.one(record(1).id).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
}

#[tokio::test]
async fn a_path_that_cannot_be_opened_is_unavailable() {
    let file = File::new();
    let error = SqliteStore::open(file.path().join("below a file that is none")).await;
    let error = error.unwrap_err();
    let source = std::error::Error::source(&error).and_then(|it| it.downcast_ref::<StoreError>());
    assert!(matches!(source, Some(StoreError::Unavailable(_))), "{error:?}");
}

#[tokio::test]
async fn a_missing_table_is_faulty_and_the_error_says_which() {
    let file = File::new();
    let store = file.store().await;
    file.run("DROP TABLE keyfob_tokens").await;
    match store.one(record(1).id).await {
        Err(StoreError::Faulty(cause)) => {
            assert!(cause.to_string().contains("no such table: keyfob_tokens"), "{cause}");
        }
        other => panic!("{other:?}"),
    }
}
