use std::sync::Arc;

use keyfob::{cluster::PostgresSignal, store::PostgresStore};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgConnectOptions};

use super::{
    Node, closing_ends_what_listens, listening_ends_with_the_last_handle,
    many_that_are_revoked_at_once_are_refused_on_the_other, soon,
    what_one_changes_shows_on_the_other,
};
use crate::support::{owner, servers::url_of, verdict};

/// A schema of the test's own, under whose name it connects as well.
struct Schema(String);

impl Schema {
    fn new() -> Self {
        Self(format!("signal_{:016x}", fastrand::u64(..)))
    }

    async fn store(&self) -> PostgresStore {
        let options: PgConnectOptions = url_of("KEYFOB_TEST_POSTGRES").parse().unwrap();
        let pool = PgPool::connect_with(options.application_name(&self.0)).await.unwrap();
        PostgresStore::in_schema(pool, &self.0).await.unwrap()
    }

    async fn node(&self) -> Node {
        let store = self.store().await;
        let signal = PostgresSignal::of(&store);
        Node::start(Arc::new(store), signal).await
    }

    async fn two_nodes(&self) -> [Node; 2] {
        [self.node().await, self.node().await]
    }

    async fn run(&self, sql: &str) -> i64 {
        let mut connection = PgConnection::connect(&url_of("KEYFOB_TEST_POSTGRES")).await.unwrap();
        let sql = AssertSqlSafe(sql.replace("SCHEMA_NAME", &self.0));
        sqlx::query_scalar(sql).fetch_optional(&mut connection).await.unwrap().unwrap_or_default()
    }

    async fn listeners(&self, count: &str) -> i64 {
        self.run(&format!(
            "SELECT count({count}) FROM pg_stat_activity
            WHERE application_name = 'SCHEMA_NAME' AND (query LIKE 'LISTEN%' OR query = 'SELECT 1')"
        ))
        .await
    }

    async fn gone(self) {
        self.run("DROP SCHEMA \"SCHEMA_NAME\" CASCADE").await;
    }
}

#[tokio::test]
async fn what_one_node_changes_shows_on_the_other() {
    let schema = Schema::new();
    let [a, b] = schema.two_nodes().await;
    what_one_changes_shows_on_the_other([&a, &b]).await;
    what_one_changes_shows_on_the_other([&b, &a]).await;
    schema.gone().await;
}

#[tokio::test]
async fn many_that_one_node_revokes_are_refused_on_the_other() {
    let schema = Schema::new();
    let [a, b] = schema.two_nodes().await;
    many_that_are_revoked_at_once_are_refused_on_the_other([&a, &b]).await;
    schema.gone().await;
}

#[tokio::test]
async fn what_was_changed_while_a_node_did_not_listen_shows_once_it_does() {
    let schema = Schema::new();
    let [a, b] = schema.two_nodes().await;
    for _ in 0..3 {
        let issued = a.issue().await;
        b.remembers(&issued).await;
        soon(async || schema.listeners("*").await == 2).await;
        assert_eq!(schema.listeners("pg_terminate_backend(pid)").await, 2);
        // Whether it comes to be told of this or not.
        a.tokens.owned_by(owner("user:42")).revoke(issued.record.id).await.unwrap();
        b.hears("SignalRestored").await;
        assert_eq!(verdict(&b.tokens, &issued).await, "revoked");
        a.hears("SignalRestored").await;
    }
    what_one_changes_shows_on_the_other([&a, &b]).await;
    schema.gone().await;
}

#[tokio::test]
async fn it_ends_with_the_last_handle_and_so_does_its_connection() {
    let schema = Schema::new();
    let node = schema.node().await;
    soon(async || schema.listeners("*").await == 1).await;
    listening_ends_with_the_last_handle(node).await;
    soon(async || schema.listeners("*").await == 0).await;
    schema.gone().await;
}

#[tokio::test]
async fn closing_leaves_no_connection_to_the_database() {
    let schema = Schema::new();
    let node = schema.node().await;
    assert_eq!(schema.listeners("*").await, 1);
    closing_ends_what_listens(node).await;
    soon(async || schema.listeners("*").await == 0).await;
    schema.gone().await;
}
