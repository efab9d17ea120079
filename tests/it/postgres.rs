//! What the store in PostgreSQL promises beside the contract that every store keeps.

mod dropped;
mod migrations;
mod plans;
mod settings;
mod spoilt;
mod told;
mod transactions;
mod trouble;
mod writers;
mod writes;

use keyfob::{store::PostgresStore, testing::rare_of};
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::support::store_ext::StoreExt;
use crate::support::{
    database::{answer, at, id, insert, owner, record},
    postgres::Schema,
};

impl Schema {
    /// A pool of one connection that the server knows by the schema's name, with settings of the session.
    async fn pool_with(&self, settings: &[(&str, &str)]) -> PgPool {
        let options = self.known().options(settings.iter().copied());
        PgPoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
    }

    async fn store_with(&self, settings: &[(&str, &str)]) -> PostgresStore {
        PostgresStore::in_schema(self.pool_with(settings).await, &self.name).await.unwrap()
    }

    fn known(&self) -> PgConnectOptions {
        Self::options().application_name(&self.name)
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect_with(&Self::options()).await.unwrap()
    }

    /// The statement with the name of the schema for `{}`, and those of its tables for `{tokens}` and so on.
    fn named(&self, sql: &str) -> AssertSqlSafe<String> {
        let sql = sql.replace("{}", &self.name);
        AssertSqlSafe(sql.replace('{', &format!("{}.keyfob_", self.name)).replace('}', ""))
    }

    async fn run(&self, sql: &str) {
        sqlx::raw_sql(self.named(sql)).execute(&mut self.connection().await).await.unwrap();
    }

    async fn text(&self, sql: &str) -> Option<String> {
        let text = sqlx::query_scalar(self.named(sql));
        let text: Option<Option<String>> =
            text.fetch_optional(&mut self.connection().await).await.unwrap();
        text.flatten()
    }

    /// Waits until the server keeps a connection of the pools above waiting for a lock, and gives its number.
    async fn waits(&self) -> String {
        let waiting = "SELECT pid::text FROM pg_stat_activity
            WHERE application_name = '{}' AND wait_event_type = 'Lock'";
        answer(async || self.text(waiting).await).await
    }
}

#[tokio::test]
async fn the_readable_view_shows_texts_instants_and_no_digest() {
    let schema = Schema::new();
    let mut record = record(0xAB);
    record.expires_at = Some(at(1_769_846_400));
    rare_of(&mut record).parent = Some(id(1));
    insert(&schema.store().await, &record).await;

    let row = "SELECT concat_ws(' ', id, owner, created_at AT TIME ZONE 'UTC',
            expires_at AT TIME ZONE 'UTC', last_used_at, parent) FROM {tokens_readable}";
    let expected = "00000000-0000-0000-0000-0000000000ab user:42 1970-01-01 00:16:40 \
        2026-01-31 08:00:00 00000000-0000-0000-0000-000000000001";
    assert_eq!(schema.text(row).await.as_deref(), Some(expected));

    let columns = async |table: &str| {
        let columns = "SELECT string_agg(column_name, ',' ORDER BY ordinal_position)
            FROM information_schema.columns WHERE table_schema = '{}' AND table_name = ";
        schema.text(&format!("{columns}'{table}'")).await.unwrap()
    };
    let all = columns("keyfob_tokens").await;
    let hidden = ["digest", "previous_digest", "ends_at", "version", "name_folded"];
    let shown: Vec<_> = all.split(',').filter(|name| !hidden.contains(name)).collect();
    assert_eq!(columns("keyfob_tokens_readable").await, shown.join(","));
}

#[tokio::test]
async fn clones_are_the_same_store() {
    let schema = Schema::new();
    let store = schema.store().await;
    insert(&store.clone(), &record(1)).await;
    assert!(store.one(id(1)).await.unwrap().is_some());
    let channel = format!("keyfob_{}", schema.name);
    assert_eq!(format!("{store:?}"), format!("PostgresStore {{ channel: {channel:?}, .. }}"));
}
