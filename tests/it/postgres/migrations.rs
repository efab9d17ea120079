use keyfob::store::{OpenError, PostgresStore, StoreError};
use sqlx::{Connection, Executor};

use super::{Schema, id, insert, record};
use crate::support::store_ext::StoreExt;

const HISTORY: &str = "SELECT string_agg(version::text, ',') FROM {migrations}";

/// Everything that was made, as the server tells it.
const CATALOG: &str = r"SELECT string_agg(replace(made, '{}', 's'), E'\n' ORDER BY made) FROM (
        SELECT concat_ws(' ', table_name, column_name, data_type, collation_name, is_nullable,
                column_default, generation_expression)
            FROM information_schema.columns WHERE table_schema = '{}'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = '{}'
        UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
            FROM pg_constraint WHERE connamespace = '{}'::regnamespace
        UNION ALL SELECT concat_ws(' ', relname, relkind, reloptions, pg_get_viewdef(oid))
            FROM pg_class WHERE relnamespace = '{}'::regnamespace
    ) AS catalog (made)";

impl Schema {
    fn sql(&self) -> String {
        PostgresStore::schema_sql(Some(&self.name)).unwrap()
    }

    async fn is_up_to_date(&self) {
        assert_eq!(self.text(HISTORY).await.as_deref(), Some("1,2"));
    }
}

#[tokio::test]
async fn tables_that_were_made_by_hand_are_the_same_and_left_alone() {
    let (by_hand, by_store) = (Schema::new(), Schema::new());
    by_hand.run(&by_hand.sql()).await;
    by_hand.run(&by_hand.sql()).await;
    let catalog = by_hand.text(CATALOG).await.unwrap();
    assert!(catalog.lines().count() > 80, "{catalog}");
    let made = "SELECT string_agg(concat(oid, ' ', xmin), ',' ORDER BY oid) FROM pg_class
        WHERE relnamespace = '{}'::regnamespace";
    let before = by_hand.text(made).await.unwrap();
    insert(&by_hand.store().await, &record(1)).await;
    assert_eq!(by_hand.text(made).await.unwrap(), before);
    by_hand.is_up_to_date().await;

    drop(by_store.store().await);
    assert_eq!(by_store.text(CATALOG).await.unwrap(), catalog);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_that_start_at_once_migrate_once() {
    let schema = Schema::new();
    let boots: Vec<_> = (0..8)
        .map(|_| {
            let name = schema.name.clone();
            tokio::spawn(async move {
                PostgresStore::in_schema(Schema::pool(2).await, &name).await.map(drop)
            })
        })
        .collect();
    for boot in boots {
        boot.await.unwrap().unwrap();
    }
    schema.is_up_to_date().await;
}

/// Of the other's migration only the beginning is here, so that it would show if the rest were made.
#[tokio::test]
async fn whoever_waited_for_a_migration_does_not_run_it_again() {
    let schema = Schema::new();
    let mut other = schema.connection().await;
    let mut migrating = other.begin().await.unwrap();
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(0x6b65_7966_6f62_i64);
    lock.execute(&mut *migrating).await.unwrap();
    let level = ("default_transaction_isolation", "serializable");
    let (pool, name) = (schema.pool_with(&[level]).await, schema.name.clone());
    let boot = tokio::spawn(async move { PostgresStore::in_schema(pool, &name).await });
    schema.waits().await;

    let beginning = "CREATE SCHEMA {}; CREATE TABLE {migrations} (version bigint);
        INSERT INTO {migrations} VALUES (2)";
    sqlx::raw_sql(schema.named(beginning)).execute(&mut *migrating).await.unwrap();
    migrating.commit().await.unwrap();
    boot.await.unwrap().unwrap();
    let tables = "SELECT count(*)::text FROM pg_tables WHERE schemaname = '{}'";
    assert_eq!(schema.text(tables).await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_migration_that_was_cut_off_is_run_again() {
    let schema = Schema::new();
    let tables: String = schema.sql().split_inclusive(";\n").take(4).collect();
    assert!(!tables.contains("INDEX"), "{tables}");
    schema.run(&tables).await;
    let mut reader = schema.connection().await;
    let mut reading = reader.begin().await.unwrap();
    reading.execute(schema.named("LOCK TABLE {tokens}")).await.unwrap();

    let (pool, name) = (schema.pool_with(&[]).await, schema.name.clone());
    let boot = tokio::spawn(async move { PostgresStore::in_schema(pool, &name).await });
    let migrating = schema.waits().await;
    schema.run(&format!("SELECT pg_terminate_backend({migrating})")).await;
    let ended = boot.await.unwrap().unwrap_err();
    let is_unavailable = matches!(ended, OpenError::Store(StoreError::Unavailable(_)));
    assert!(is_unavailable, "{ended:?}");
    assert_eq!(schema.text(HISTORY).await, None, "not done");

    reading.rollback().await.unwrap();
    insert(&schema.store().await, &record(1)).await;
    schema.is_up_to_date().await;
}

#[tokio::test]
async fn a_migration_by_hand_that_stopped_after_any_statement_is_run_again() {
    let whole = Schema::new();
    drop(whole.store().await);
    let catalog = whole.text(CATALOG).await;
    let statements = whole.sql().matches(";\n").count();
    assert!(statements > 10, "{statements}");
    for stopped_after in 1..statements {
        let schema = Schema::new();
        let part: String = schema.sql().split_inclusive(";\n").take(stopped_after).collect();
        schema.run(&part).await;
        insert(&schema.store().await, &record(1)).await;
        schema.is_up_to_date().await;
        assert_eq!(schema.text(CATALOG).await, catalog, "after {stopped_after}");
    }
}

#[tokio::test]
async fn tables_of_a_later_version_are_refused_and_left_alone() {
    let schema = Schema::new();
    drop(schema.store().await);
    schema.run("INSERT INTO {migrations} (version) VALUES (7)").await;
    let pool = Schema::pool(1).await;
    let error = PostgresStore::in_schema(pool, &schema.name).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 7, known: 2, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the token tables are at version 7, made by a later keyfob; this one knows up to 2"
    );
    assert_eq!(schema.text(HISTORY).await.as_deref(), Some("1,2,7"));
}

#[tokio::test]
async fn tables_that_are_there_do_for_a_pool_that_can_only_read() {
    let schema = Schema::new();
    let read_only = schema.pool_with(&[("default_transaction_read_only", "on")]).await;
    let early = PostgresStore::in_schema(read_only.clone(), &schema.name).await.unwrap_err();
    let is_unavailable = matches!(early, OpenError::Store(StoreError::Unavailable(_)));
    assert!(is_unavailable, "{early:?}");

    insert(&schema.store().await, &record(1)).await;
    let store = PostgresStore::in_schema(read_only, &schema.name).await.unwrap();
    assert!(store.one(id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_pool_finds_the_tables_on_its_search_path_or_makes_them_where_it_begins() {
    let (first, second) = (Schema::new(), Schema::new());
    first.run("CREATE SCHEMA {}").await;
    insert(&second.store().await, &record(1)).await;
    let path = format!("{},{}", first.name, second.name);
    let pool = first.pool_with(&[("search_path", &path)]).await;
    let store = PostgresStore::with_pool(pool).await.unwrap();
    assert!(store.one(id(1)).await.unwrap().is_some());
    assert_eq!(first.text("SELECT to_regclass('{tokens}')::text").await, None);

    let pool = first.pool_with(&[("search_path", &first.name)]).await;
    insert(&PostgresStore::with_pool(pool).await.unwrap(), &record(2)).await;
    first.is_up_to_date().await;
}

/// An application may have named it so that PostgreSQL has to be told where the name ends.
#[tokio::test]
async fn a_schema_on_the_search_path_may_have_any_name() {
    let odd = Schema { name: format!("\"T{:016x}-\"", fastrand::u64(..)) };
    odd.run("CREATE SCHEMA {}").await;
    let open = async || {
        let pool = odd.pool_with(&[("search_path", &odd.name)]).await;
        PostgresStore::with_pool(pool).await.unwrap()
    };
    insert(&open().await, &record(1)).await;
    assert!(open().await.one(id(1)).await.unwrap().is_some());
    odd.is_up_to_date().await;
}

#[tokio::test]
async fn a_search_path_that_leads_nowhere_is_refused() {
    let schema = Schema::new();
    let pool = schema.pool_with(&[("search_path", &schema.name)]).await;
    let error = PostgresStore::with_pool(pool).await.unwrap_err();
    assert!(matches!(error, OpenError::NoSchema { .. }), "{error:?}");
}

#[tokio::test]
async fn two_schemas_are_two_stores() {
    let (one, two) = (Schema::new(), Schema::new());
    let (first, second) = (one.store().await, two.store().await);
    insert(&first, &record(1)).await;
    assert!(second.one(id(1)).await.unwrap().is_none());
    insert(&second, &record(1)).await;
}

#[tokio::test]
async fn a_schema_is_named_plainly() {
    let pool = Schema::pool(1).await;
    let long = "x".repeat(64);
    for name in ["", "1a", "A", "a-b", "a.b", "a\"b", "ä", &long] {
        let error = PostgresStore::in_schema(pool.clone(), name).await.unwrap_err();
        assert!(matches!(error, OpenError::Invalid(_)), "{name}: {error:?}");
        let error = PostgresStore::schema_sql(Some(name)).unwrap_err();
        assert_eq!(error.name, "schema", "{name}: {error}");
    }
    let mut longest = Schema::new();
    longest.name = format!("{:x<63}", longest.name);
    let store = longest.store().await;
    insert(&store, &record(1)).await;
    assert_eq!(store.erase(&super::owner()).await.unwrap(), [id(1)], "others are told");
}
