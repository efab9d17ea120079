use keyfob::store::{SqliteStore, SqliteWarning};
use sqlx::{
    Connection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode as Journal, SqlitePoolOptions},
};

use super::File;

#[tokio::test]
async fn a_file_of_its_own_is_durable_and_in_wal_mode() {
    let file = File::new();
    assert_eq!(file.store().await.warnings(), []);
    assert_eq!(file.text("PRAGMA journal_mode").await.as_deref(), Some("wal"));
}

#[tokio::test]
async fn a_database_in_memory_is_not_opened() {
    let error = SqliteStore::open(":memory:").await.unwrap_err();
    let rule = "path must be a file: a database in memory is gone with its connection";
    assert_eq!(error.to_string(), rule);
}

async fn settings(pool: &SqlitePool) -> (String, i64, i64) {
    let mode = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
    let synchronous = sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await.unwrap();
    let busy = sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(pool).await.unwrap();
    (mode, synchronous, busy)
}

#[tokio::test]
async fn a_pool_of_the_applications_own_keeps_its_settings_and_is_warned_of() {
    use SqliteWarning::{
        RollbackJournal, ShortBusyTimeout, SynchronousNormal, SynchronousUnsafe, UnsafeJournal,
    };
    let memory = UnsafeJournal { mode: "memory".to_owned() };
    let delete = RollbackJournal { mode: "delete".to_owned() };
    for (mode, synchronous, busy, expected) in [
        (Journal::Wal, "FULL", 5_000, vec![]),
        (Journal::Wal, "EXTRA", 1_000, vec![]),
        (Journal::Wal, "NORMAL", 5_000, vec![SynchronousNormal]),
        (Journal::Wal, "OFF", 5_000, vec![SynchronousUnsafe]),
        (Journal::Delete, "FULL", 5_000, vec![delete.clone()]),
        (Journal::Delete, "NORMAL", 5_000, vec![delete, SynchronousUnsafe]),
        (Journal::Memory, "FULL", 5_000, vec![memory]),
        (Journal::Wal, "FULL", 999, vec![ShortBusyTimeout { milliseconds: 999 }]),
    ] {
        let file = File::new();
        let options = file
            .options()
            .journal_mode(mode)
            .pragma("synchronous", synchronous)
            .busy_timeout(std::time::Duration::from_millis(busy));
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let before = settings(&pool).await;
        let store = SqliteStore::with_pool(pool.clone()).await.unwrap();
        assert_eq!(store.warnings(), expected, "{mode:?} {synchronous} {busy}");
        assert_eq!(settings(&pool).await, before);
    }
}

#[tokio::test]
async fn a_pool_in_memory_is_warned_of_with_its_connections() {
    for connections in [1, 3] {
        let options: SqliteConnectOptions = "sqlite::memory:".parse().unwrap();
        let pool = SqlitePoolOptions::new().max_connections(connections);
        let store = SqliteStore::with_pool(pool.connect_with(options).await.unwrap()).await;
        assert_eq!(store.unwrap().warnings(), [SqliteWarning::InMemory { connections }]);
    }
}

#[test]
fn a_warning_says_what_is_at_risk_and_what_to_set() {
    assert_eq!(
        SqliteWarning::SynchronousNormal.to_string(),
        "synchronous is NORMAL: a power cut can lose the last revocations; set synchronous=FULL"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_being_written_is_opened_when_the_writer_is_done() {
    let file = File::new();
    let mut other = file.connection().await;
    sqlx::query("PRAGMA journal_mode = DELETE").execute(&mut other).await.unwrap();
    let mut writer = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let path = file.path();
    let open = tokio::spawn(async move { SqliteStore::open(path).await });
    // Long enough for the other one to meet the lock.
    for _ in 0..100 {
        sqlx::query("SELECT 1").execute(&mut *writer).await.unwrap();
    }
    assert!(!open.is_finished());
    writer.rollback().await.unwrap();
    assert_eq!(open.await.unwrap().unwrap().warnings(), []);
}

#[tokio::test]
async fn a_database_of_utf_16_is_refused() {
    let file = File::new();
    file.run("PRAGMA encoding = 'UTF-16le'; CREATE TABLE made (first)").await;
    let error = SqliteStore::open(file.path()).await.unwrap_err();
    let told = "the setting encoding is \"UTF-16le\", and must be UTF-8";
    assert_eq!(error.to_string(), told);
}
