use keyfob::store::{MySqlStore, OpenError, StoreError};
use sqlx::{Connection, Executor};

use super::{Tables, answer, id, insert, record};
use crate::support::store_ext::StoreExt;

const HISTORY: &str = "SELECT GROUP_CONCAT(version) FROM {migrations}";

impl Tables {
    /// The names of those that there are, without the prefix.
    async fn names(&self) -> Option<String> {
        let names = "SELECT GROUP_CONCAT(SUBSTR(table_name, 19) ORDER BY table_name)
            FROM information_schema.tables
            WHERE table_schema = DATABASE() AND table_name LIKE '{%'";
        self.text(names).await
    }

    fn sql(&self) -> String {
        MySqlStore::schema_sql(&self.prefix).unwrap()
    }
}

const OURS: &str = "canaries,migrations,owners,tokens,tokens_readable";

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let tables = Tables::new();
    insert(&tables.store().await, &record(1)).await;
    let definition = "SELECT GROUP_CONCAT(CONCAT_WS(' ', table_name, column_name, column_type,
            is_nullable, generation_expression) ORDER BY table_name, ordinal_position)
        FROM information_schema.columns WHERE table_name LIKE '{%'";
    let before = tables.text(definition).await;
    tables.run(&tables.sql()).await;
    let store = tables.store().await;
    assert_eq!(tables.text(definition).await, before);
    assert_eq!(tables.text(HISTORY).await.as_deref(), Some("1,2"));
    assert!(store.one(id(1)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_that_start_at_once_migrate_once() {
    let tables = Tables::new();
    let boots: Vec<_> = (0..8)
        .map(|_| {
            let prefix = tables.prefix.clone();
            tokio::spawn(async move {
                MySqlStore::with_prefix(Tables::pool().await, &prefix).await.map(drop)
            })
        })
        .collect();
    for boot in boots {
        boot.await.unwrap().unwrap();
    }
    assert_eq!(tables.text(HISTORY).await.as_deref(), Some("1,2"));
    assert_eq!(tables.names().await.as_deref(), Some(OURS));
}

/// Of the other's migration only the beginning is here, so that it would show if the rest were made.
#[tokio::test]
async fn whoever_waited_for_a_migration_does_not_run_it_again() {
    let tables = Tables::new();
    let mut migrating = Tables::connection().await;
    let lock = "SELECT GET_LOCK(CONCAT('keyfob.', CRC32(CONCAT_WS('.', DATABASE(), '{'))), 0)";
    let lock: i64 = sqlx::query_scalar(tables.named(lock)).fetch_one(&mut migrating).await.unwrap();
    assert_eq!(lock, 1);
    let (pool, prefix) = (Tables::pool().await, tables.prefix.clone());
    let boot = tokio::spawn(async move { MySqlStore::with_prefix(pool, &prefix).await });
    let waiting = "SELECT CAST(id AS CHAR) FROM information_schema.processlist
        WHERE state = 'User lock' AND info LIKE '%GET_LOCK%' AND id <> CONNECTION_ID()";
    answer(async || tables.text(waiting).await).await;

    tables
        .run("CREATE TABLE {migrations} (version BIGINT); INSERT INTO {migrations} VALUES (2)")
        .await;
    migrating.close().await.unwrap();
    boot.await.unwrap().unwrap();
    assert_eq!(tables.names().await.as_deref(), Some("migrations"));
}

/// The view comes last and can't be replaced while somebody reads it.
#[tokio::test]
async fn a_migration_that_was_killed_is_run_again() {
    let tables = Tables::new();
    let mut reader = Tables::connection().await;
    reader.execute(tables.named("CREATE VIEW {tokens_readable} AS SELECT 1")).await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    reading.execute(tables.named("SELECT * FROM {tokens_readable}")).await.unwrap();

    let (pool, prefix) = (Tables::pool().await, tables.prefix.clone());
    let boot = tokio::spawn(async move { MySqlStore::with_prefix(pool, &prefix).await });
    let migrating = "SELECT CAST(MAX(id) AS CHAR) FROM information_schema.processlist
        WHERE info LIKE '%VIEW `{tokens_readable}`%' AND state LIKE 'Waiting for table%'";
    let migrating = answer(async || tables.text(migrating).await).await;
    tables.run(&format!("KILL {migrating}")).await;
    let killed = boot.await.unwrap().unwrap_err();
    let unavailable = matches!(killed, OpenError::Store(StoreError::Unavailable(_)));
    assert!(unavailable, "{killed:?}");
    assert_eq!(tables.names().await.as_deref(), Some(OURS));
    assert_eq!(tables.text(HISTORY).await, None, "not done");

    reading.rollback().await.unwrap();
    insert(&tables.store().await, &record(1)).await;
    assert_eq!(tables.text(HISTORY).await.as_deref(), Some("1,2"));
    let seen = "SELECT CAST(COUNT(*) AS CHAR) FROM {tokens_readable} WHERE owner = 'user:42'";
    assert_eq!(tables.text(seen).await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_migration_that_stopped_after_any_statement_is_run_again() {
    let sql = Tables::new().sql();
    let statements = sql.matches(";\n").count();
    assert!(statements > 4, "{statements}");
    for stopped_after in 1..statements {
        let tables = Tables::new();
        let part: String = tables.sql().split_inclusive(";\n").take(stopped_after).collect();
        tables.run(&part).await;
        insert(&tables.store().await, &record(1)).await;
        assert_eq!(tables.text(HISTORY).await.as_deref(), Some("1,2"), "after {stopped_after}");
        assert_eq!(tables.names().await.as_deref(), Some(OURS), "after {stopped_after}");
    }
}

#[tokio::test]
async fn tables_of_a_later_version_are_refused_and_left_alone() {
    let tables = Tables::new();
    drop(tables.store().await);
    tables.run("INSERT INTO {migrations} (version) VALUES (7)").await;
    let error = MySqlStore::with_prefix(Tables::pool().await, &tables.prefix).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 7, known: 2, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the token tables are at version 7, made by a later keyfob; this one knows up to 2"
    );
    assert_eq!(tables.text(HISTORY).await.as_deref(), Some("1,2,7"));
}

#[tokio::test]
async fn tables_that_were_made_by_hand_do_for_a_pool_that_can_only_read() {
    let tables = Tables::new();
    let read_only = Tables::pool_that_says("SET SESSION TRANSACTION READ ONLY").await;
    let early = MySqlStore::with_prefix(read_only.clone(), &tables.prefix).await.unwrap_err();
    assert!(matches!(early, OpenError::Store(StoreError::Unavailable(_))), "{early:?}");

    tables.run(&tables.sql()).await;
    let store = MySqlStore::with_prefix(read_only, &tables.prefix).await.unwrap();
    assert!(store.one(id(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn two_prefixes_are_two_stores() {
    let (one, two) = (Tables::new(), Tables::new());
    let (first, second) = (one.store().await, two.store().await);
    insert(&first, &record(1)).await;
    assert!(second.one(id(1)).await.unwrap().is_none());
    insert(&second, &record(1)).await;
}

#[tokio::test]
async fn the_longest_prefix_leaves_room_for_every_name() {
    let mut tables = Tables::new();
    tables.prefix.push_str(&"x".repeat(49 - tables.prefix.len()));
    insert(&tables.store().await, &record(1)).await;
    let longer = format!("{}x", tables.prefix);
    let error = MySqlStore::with_prefix(Tables::pool().await, &longer).await.unwrap_err();
    assert!(matches!(error, OpenError::Invalid(_)), "{error:?}");
}

#[tokio::test]
async fn a_pool_that_does_not_commit_by_itself_is_refused() {
    let pool = Tables::pool_that_says("SET autocommit = 0").await;
    let tables = Tables::new();
    let error = MySqlStore::with_prefix(pool, &tables.prefix).await.unwrap_err();
    assert!(matches!(error, OpenError::Setting { setting: "autocommit", .. }), "{error:?}");
    assert_eq!(tables.names().await, None);
}

#[tokio::test]
async fn a_pool_that_reads_what_is_not_committed_is_refused() {
    let uncommitted = "SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED";
    let pool = Tables::pool_that_says(uncommitted).await;
    let tables = Tables::new();
    let error = MySqlStore::with_prefix(pool, &tables.prefix).await.unwrap_err();
    assert!(
        matches!(error, OpenError::Setting { setting: "transaction_isolation", .. }),
        "{error:?}"
    );
    assert_eq!(tables.names().await, None);
}
