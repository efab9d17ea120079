//! Databases that version 1 of the tables was made in: opened today, they are upgraded with all their tokens.
//!
//! `golden/version_1.*.sql` are dumps of what the code of that version wrote, the same tokens on each engine. In
//! `golden/version_1.json` are their rows, and what became of each secret when it was presented.

use keyfob::{
    ApiTokens, Owner,
    store::{MySqlStore, PostgresStore, SqliteStore, TokenStore, contract::StoredRow},
    time::ManualClock,
    token::{Pepper, PepperKey, TokenId},
};
use serde_json::Value;
use sqlx::{Connection, MySqlConnection, PgConnection, SqliteConnection, raw_sql};

use crate::support::own_database::OwnDatabase;

/// When the code of version 1 presented the secrets.
const PRESENTED_AT: i64 = 1_780_007_270;

/// What a node of version 1 writes that still runs: the name has no lowercase, and there is no count of changes.
const LEFT_BEHIND: &str = "UPDATE keyfob_tokens SET name_folded = NULL, version = NULL";

fn golden() -> (Vec<(String, String)>, Vec<Value>) {
    let mut golden: Value = serde_json::from_str(include_str!("golden/version_1.json")).unwrap();
    let presented = serde_json::from_value(golden["presented"].take()).unwrap();
    (presented, serde_json::from_value(golden["rows"].take()).unwrap())
}

fn tokens_on(store: impl TokenStore + 'static) -> ApiTokens {
    let key = std::array::from_fn::<u8, 32, _>(|i| (i * i * 37 + 11 * i + 5).to_le_bytes()[0]);
    let clock = ManualClock::at(time::OffsetDateTime::from_unix_timestamp(PRESENTED_AT).unwrap());
    ApiTokens::builder(store)
        .prefix("acme")
        .clock(clock)
        .pepper(Pepper::new(PepperKey::new("2026", key).unwrap()))
        .build()
        .unwrap()
}

async fn each_token_is_as_it_was(store: impl TokenStore + 'static) {
    let (presented, rows) = golden();
    let ids = rows.iter().map(|row| u128::from_str_radix(row["id"].as_str().unwrap(), 16).unwrap());
    let ids: Vec<_> = ids.map(TokenId::from_u128).collect();
    let page = store.find(&ids).await.unwrap();
    assert_eq!((page.records.len(), page.corrupt.len()), (rows.len(), 0));
    for record in &page.records {
        let row = serde_json::to_value(StoredRow::from(&**record)).unwrap();
        let before = rows.iter().find(|it| it["id"] == row["id"]).unwrap();
        for (column, value) in before.as_object().unwrap() {
            assert_eq!(row[column], *value, "{column} of {}", record.name);
        }
        assert_eq!(record.version, 0, "of {}", record.name);
    }
    let tokens = tokens_on(store);
    let from = Some("192.0.2.1".parse().unwrap());
    for (text, outcome) in presented {
        let found = tokens.verify_from(&text, from).await;
        let found = found.map_or_else(|it| it.code().to_owned(), |it| it.name().to_string());
        assert_eq!(found, outcome, "{text}");
    }
}

/// Each step that writes works on tokens of the version before.
async fn tokens_that_were_left_behind_can_be_managed(store: impl TokenStore + 'static) {
    let tokens = tokens_on(store);
    let own = tokens.owned_by(Owner::new("user:42").unwrap());
    let page = own.list(keyfob::ListTokens::new()).await.unwrap();
    let id = page.tokens.iter().find(|it| it.name.as_str() == "İstanbul").unwrap().id;
    assert_eq!(own.rename(id, "İZMİR").await.unwrap().version, 1);
    assert_eq!(own.suspend(id).await.unwrap().version, 2);
    own.revoke(id).await.unwrap();
    assert_eq!(own.get(id).await.unwrap().version, 2);
    assert_eq!(own.erase().await.unwrap(), 7);
}

/// Loads the dump, opens the store twice, and looks at what there is; `folded` lists the names in lowercase.
async fn upgrade<S: TokenStore + 'static>(
    open: impl AsyncFn() -> S,
    query: impl AsyncFn(&str) -> Vec<String>,
) {
    each_token_is_as_it_was(open().await).await;
    let names = "SELECT name_folded FROM keyfob_tokens ORDER BY id";
    let folded =
        ["plain", "ärzte und straße", "i\u{307}stanbul", "revoked", "expired", "suspended"];
    let found = query(names).await;
    assert_eq!(found[..6], folded);
    assert_eq!(found[6..], ["rotated", "full", "child"]);
    each_token_is_as_it_was(open().await).await;
    query(LEFT_BEHIND).await;
    tokens_that_were_left_behind_can_be_managed(open().await).await;
}

#[tokio::test]
async fn a_database_of_version_1_in_sqlite_is_upgraded_with_all_its_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tokens.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    raw_sql(include_str!("golden/version_1.sqlite.sql")).execute(&mut connection).await.unwrap();
    drop(connection);
    upgrade(
        async || SqliteStore::open(&path).await.unwrap(),
        async |sql| {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
            query.fetch_all(&mut connection).await.unwrap()
        },
    )
    .await;
}

/// SQLite adds a column only once, so that new databases are made by other statements than old ones are upgraded by.
#[tokio::test]
async fn an_upgraded_database_in_sqlite_has_the_columns_and_indexes_of_a_new_one() {
    let made = "SELECT group_concat(made, '\n') FROM (
            SELECT concat_ws(' ', name, type, \"notnull\", pk, hidden) AS made
                FROM pragma_table_xinfo('keyfob_tokens')
            UNION ALL
            SELECT concat_ws(' ', list.name, list.\"unique\", list.partial, (
                SELECT group_concat(name) FROM pragma_index_xinfo(list.name)))
                FROM pragma_index_list('keyfob_tokens') AS list ORDER BY 1)";
    let mut found = Vec::new();
    for dump in [include_str!("golden/version_1.sqlite.sql"), ""] {
        let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
        let pool = pool.connect("sqlite::memory:").await.unwrap();
        raw_sql(dump).execute(&pool).await.unwrap();
        SqliteStore::with_pool(pool.clone()).await.unwrap();
        let made: String = sqlx::query_scalar(made).fetch_one(&pool).await.unwrap();
        assert!(made.contains("keyfob_tokens_by_end 0 1 ends_at"), "{made}");
        found.push(made);
    }
    assert_eq!(found[0], found[1]);
}

#[tokio::test]
async fn a_database_of_version_1_in_postgresql_is_upgraded_with_all_its_tokens() {
    let database = OwnDatabase::create("KEYFOB_TEST_POSTGRES");
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    raw_sql(include_str!("golden/version_1.postgres.sql")).execute(&mut connection).await.unwrap();
    drop(connection);
    upgrade(
        async || {
            let pool = sqlx::PgPool::connect(&database.url()).await.unwrap();
            PostgresStore::with_pool(pool).await.unwrap()
        },
        async |sql| {
            let mut connection = PgConnection::connect(&database.url()).await.unwrap();
            let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
            query.fetch_all(&mut connection).await.unwrap()
        },
    )
    .await;
}

#[tokio::test]
async fn a_database_of_version_1_in_mariadb_is_upgraded_with_all_its_tokens() {
    let database = OwnDatabase::create("KEYFOB_TEST_MYSQL");
    let mut connection = MySqlConnection::connect(&database.url()).await.unwrap();
    raw_sql(include_str!("golden/version_1.mysql.sql")).execute(&mut connection).await.unwrap();
    drop(connection);
    upgrade(
        async || {
            let pool = sqlx::MySqlPool::connect(&database.url()).await.unwrap();
            MySqlStore::with_pool(pool).await.unwrap()
        },
        async |sql| {
            let sql =
                sql.replace("SELECT name_folded", "SELECT CONVERT(name_folded USING utf8mb4)");
            let mut connection = MySqlConnection::connect(&database.url()).await.unwrap();
            let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
            query.fetch_all(&mut connection).await.unwrap()
        },
    )
    .await;
}
