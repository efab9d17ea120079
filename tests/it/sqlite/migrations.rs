use keyfob::store::{OpenError, SqliteStore};
use sqlx::{Connection, sqlite::SqliteJournalMode};

use super::{File, insert, record};
use crate::support::store_ext::StoreExt;

const HISTORY: &str = "SELECT group_concat(version) FROM keyfob_migrations";
const TABLES: &str = "SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema
    WHERE type IN ('table', 'view') ORDER BY name)";
const OURS: &str = "keyfob_canaries,keyfob_migrations,keyfob_tokens,keyfob_tokens_readable";

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let file = File::new();
    let record = record(1);
    insert(&file.store().await, &record).await;
    let schema = "SELECT group_concat(sql) FROM sqlite_schema";
    let before = file.text(schema).await;
    let store = SqliteStore::with_pool(file.pool().await).await.unwrap();
    file.run(SqliteStore::SCHEMA).await;
    assert_eq!(file.text(schema).await, before);
    assert_eq!(file.text(HISTORY).await.as_deref(), Some("1,2"));
    assert!(store.one(record.id).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_that_start_at_once_migrate_once() {
    for own in [true, false] {
        for _ in 0..5 {
            let file = File::new();
            let boots: Vec<_> = (0..8)
                .map(|_| {
                    let (path, options) = (file.path(), file.options());
                    tokio::spawn(async move {
                        if own {
                            return SqliteStore::open(path).await;
                        }
                        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
                        SqliteStore::with_pool(pool).await
                    })
                })
                .collect();
            for boot in boots {
                boot.await.unwrap().unwrap();
            }
            assert_eq!(file.text(HISTORY).await.as_deref(), Some("1,2"));
            assert_eq!(file.text(TABLES).await.as_deref(), Some(OURS));
        }
    }
}

#[tokio::test]
async fn a_migration_that_was_killed_is_run_again() {
    let file = File::new();
    let half = SqliteStore::SCHEMA.len() / 2;
    let half = half + SqliteStore::SCHEMA[half..].find(";\n").unwrap() + 1;
    let half = &SqliteStore::SCHEMA[..half];
    {
        let mut connection = file.connection().await;
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        let half = sqlx::raw_sql(sqlx::AssertSqlSafe(half));
        half.execute(&mut *transaction).await.unwrap();
    }
    insert(&file.store().await, &record(1)).await;
    assert_eq!(file.text(TABLES).await.as_deref(), Some(OURS));

    let by_hand = File::new();
    by_hand.run(half).await;
    assert_eq!(by_hand.text(HISTORY).await, None);
    insert(&by_hand.store().await, &record(1)).await;
    assert_eq!(by_hand.text(HISTORY).await.as_deref(), Some("1,2"));
}

#[tokio::test]
async fn tables_of_a_later_version_are_refused_and_left_alone() {
    let file = File::new();
    drop(file.store().await);
    file.run("INSERT INTO keyfob_migrations (version) VALUES (7)").await;
    let error = SqliteStore::open(file.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 7, known: 2, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the token tables are at version 7, made by a later keyfob; this one knows up to 2"
    );
    assert_eq!(file.text(HISTORY).await.as_deref(), Some("1,2,7"));
}

#[tokio::test]
async fn the_applications_own_migrations_are_left_alone() {
    let file = File::new();
    file.run(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
            installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
            checksum BLOB NOT NULL, execution_time BIGINT NOT NULL);
        INSERT INTO _sqlx_migrations VALUES (1, 'users', 'then', TRUE, x'00', 1);
        CREATE TABLE users (id INTEGER PRIMARY KEY)",
    )
    .await;
    let all = "SELECT group_concat(concat_ws(' ', version, description, installed_on, success,
        hex(checksum), execution_time)) FROM _sqlx_migrations";
    let before = file.text(all).await;
    SqliteStore::with_pool(file.pool().await).await.unwrap();
    assert_eq!(file.text(all).await, before);
    let both = format!("_sqlx_migrations,{OURS},users");
    assert_eq!(file.text(TABLES).await, Some(both));
}

#[tokio::test]
async fn tables_that_were_made_by_hand_do_for_a_pool_that_can_only_read() {
    let file = File::new();
    let mut connection = sqlx::SqliteConnection::connect_with(
        &file.options().journal_mode(SqliteJournalMode::Delete),
    )
    .await
    .unwrap();
    sqlx::raw_sql(SqliteStore::SCHEMA).execute(&mut connection).await.unwrap();
    let pool = sqlx::SqlitePool::connect_with(file.options().read_only(true)).await.unwrap();
    let store = SqliteStore::with_pool(pool).await.unwrap();
    assert!(store.one(record(1).id).await.unwrap().is_none());
}
