//! What the store in MariaDB and MySQL promises beside the contract that every store keeps.

mod dropped;
mod migrations;
mod modes;
mod plans;
mod settings;
mod transactions;
mod trouble;
mod writers;

use keyfob::{store::MySqlStore, testing::rare_of};
use sqlx::{
    AssertSqlSafe, Connection, MySqlConnection, MySqlPool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
};

use crate::support::store_ext::StoreExt;
use crate::support::{
    database::{answer, at, id, insert, owner, record},
    servers::{clean_up, url_of},
};

/// Tables whose prefix nobody else has, gone after the test.
pub struct Tables {
    pub prefix: String,
}

impl Tables {
    pub fn new() -> Self {
        Self { prefix: format!("t{:016x}_", fastrand::u64(..)) }
    }

    fn options() -> MySqlConnectOptions {
        url_of("KEYFOB_TEST_MYSQL").parse().unwrap()
    }

    pub async fn store(&self) -> MySqlStore {
        MySqlStore::with_prefix(Self::pool().await, &self.prefix).await.unwrap()
    }

    pub async fn pool() -> MySqlPool {
        MySqlPool::connect_with(Self::options()).await.unwrap()
    }

    /// A pool whose connections begin with a statement.
    async fn pool_that_says(statement: &'static str) -> MySqlPool {
        let options = MySqlPoolOptions::new().after_connect(move |connection, _| {
            Box::pin(async move { sqlx::raw_sql(statement).execute(connection).await.map(drop) })
        });
        options.connect_with(Self::options()).await.unwrap()
    }

    async fn connection() -> MySqlConnection {
        MySqlConnection::connect_with(&Self::options()).await.unwrap()
    }

    /// The statement with the names of these tables for `{tokens}` and so on.
    fn named(&self, sql: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(sql.replace('{', &self.prefix).replace('}', ""))
    }

    async fn run(&self, sql: &str) {
        sqlx::raw_sql(self.named(sql)).execute(&mut Self::connection().await).await.unwrap();
    }

    async fn text(&self, sql: &str) -> Option<String> {
        let text = sqlx::query_scalar(self.named(sql));
        let text: Option<Option<Vec<u8>>> =
            text.fetch_optional(&mut Self::connection().await).await.unwrap();
        let text = text.flatten();
        text.map(|text| String::from_utf8(text).unwrap())
    }

    fn drop_all(&self) -> AssertSqlSafe<String> {
        self.named(
            "DROP VIEW IF EXISTS {tokens_readable};
            DROP TABLE IF EXISTS {migrations}, {tokens}, {owners}, {canaries}, {projects}",
        )
    }
}

impl Drop for Tables {
    fn drop(&mut self) {
        let drop_all = self.drop_all();
        clean_up(|| async {
            let mut connection = MySqlConnection::connect_with(&Self::options()).await?;
            sqlx::raw_sql("SET lock_wait_timeout = 50").execute(&mut connection).await?;
            sqlx::raw_sql(drop_all).execute(&mut connection).await.map(drop)
        });
    }
}

#[tokio::test]
async fn a_digest_that_is_made_anew_as_it_was_counts_as_met() {
    let tables = Tables::new();
    let (store, record) = (tables.store().await, record(1));
    insert(&store, &record).await;
    assert!(store.rekey(record.id, &record.digest, &record.digest).await.unwrap());
}

#[tokio::test]
async fn the_readable_view_shows_texts_instants_and_no_digest() {
    let tables = Tables::new();
    let mut record = record(0xAB);
    record.expires_at = Some(at(1_769_846_400));
    rare_of(&mut record).parent = Some(id(1));
    insert(&tables.store().await, &record).await;

    let row = "SELECT CONCAT_WS(' ', id, owner, created_at, expires_at, last_used_at, parent)
        FROM {tokens_readable}";
    let expected = "000000000000000000000000000000ab user:42 1970-01-01 00:16:40 \
        2026-01-31 08:00:00 00000000000000000000000000000001";
    assert_eq!(tables.text(row).await.as_deref(), Some(expected));

    let columns = async |table: &str| {
        let columns = "SELECT GROUP_CONCAT(column_name ORDER BY ordinal_position)
            FROM information_schema.columns WHERE table_name = ";
        tables.text(&format!("{columns}'{{{table}}}'")).await.unwrap()
    };
    let all = columns("tokens").await;
    let hidden = ["digest", "previous_digest", "ends_at", "version", "name_folded"];
    let shown: Vec<_> = all.split(',').filter(|name| !hidden.contains(name)).collect();
    assert_eq!(columns("tokens_readable").await, shown.join(","));
}

#[tokio::test]
async fn clones_are_the_same_store() {
    let tables = Tables::new();
    let store = tables.store().await;
    insert(&store.clone(), &record(1)).await;
    assert!(store.one(id(1)).await.unwrap().is_some());
    assert_eq!(format!("{store:?}"), format!("MySqlStore {{ prefix: {:?}, .. }}", tables.prefix));
}
