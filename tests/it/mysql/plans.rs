use sqlx::{MySqlPool, mysql::MySqlPoolOptions};

use keyfob::{
    Owner, Timestamp,
    store::{
        MySqlStore, Order, SortBy, TokenStore,
        contract::{Filter, Query, States},
    },
};

use super::Tables;
use crate::support::plans::{
    Counting, no_step_reads_more_tokens_than_it_is_about,
    who_is_not_used_is_looked_for_a_part_at_a_time,
};

const FILL: &str = "INSERT INTO {tokens} (id, prefix, owner, name, digest, digest_key, generation,
        rotated_at, previous_digest, previous_ends_on_first_use, previous_may_ask_again, abilities, created_at, expires_at,
        revoked_at, parent, notices, used_abilities, idempotency_key)
    SELECT UNHEX(LPAD(HEX(seq), 32, '0')), 'acme',
        IF(seq BETWEEN 3000 AND 3019, 'user:42', CONCAT('user:', 100 + seq MOD 60)),
        CONCAT('token ', seq), REPEAT('\u{7}', 32), IF(seq MOD 5, 'key', NULL), 1,
        1000, REPEAT('\u{9}', 32), 1, 0, '*',
        1000 + seq, IF(seq MOD 3, NULL, 100000 + seq), IF(seq MOD 2, NULL, 50000 + seq),
        UNHEX(LPAD(HEX(seq DIV 10), 32, '0')), '', '', CONCAT('key ', seq)
    FROM seq_1_to_6000";

/// A pool of one connection, whose reads the server counts.
struct Session(MySqlPool);

impl Counting for Session {
    async fn reads(&mut self) -> u64 {
        let counters = sqlx::query_as("SHOW SESSION STATUS LIKE 'Handler_read%'");
        let counters: Vec<(String, String)> = counters.fetch_all(&self.0).await.unwrap();
        assert!(counters.len() > 5, "{counters:?}");
        sqlx::raw_sql("FLUSH STATUS").execute(&self.0).await.unwrap();
        counters.iter().map(|(_, count)| count.parse::<u64>().unwrap()).sum()
    }
}

#[tokio::test]
async fn each_step_finds_its_tokens_by_an_index() {
    let tables = Tables::new();
    let pool = MySqlPoolOptions::new().max_connections(1).connect_with(Tables::options());
    let pool = pool.await.unwrap();
    let store = MySqlStore::with_prefix(pool.clone(), &tables.prefix).await.unwrap();
    tables.run(FILL).await;
    tables.run("ANALYZE TABLE {tokens}").await;
    no_step_reads_more_tokens_than_it_is_about(&store, Session(pool)).await;
}

#[tokio::test]
async fn who_is_not_used_is_found_a_part_at_a_time() {
    let tables = Tables::new();
    let store = tables.store().await;
    tables.run(FILL).await;
    who_is_not_used_is_looked_for_a_part_at_a_time(&store).await;
}

#[tokio::test]
async fn lists_of_an_owner_who_has_most_tokens_read_no_others() {
    let tables = Tables::new();
    let pool = MySqlPoolOptions::new().max_connections(1).connect_with(Tables::options());
    let pool = pool.await.unwrap();
    let store = MySqlStore::with_prefix(pool.clone(), &tables.prefix).await.unwrap();
    let most = FILL.replace("seq BETWEEN 3000 AND 3019", "seq <= 4000");
    tables.run(&most.replace("IF(seq MOD 2, NULL, 50000 + seq)", "NULL")).await;
    tables.run("ANALYZE TABLE {tokens}").await;
    let mut session = Session(pool);
    let at = Timestamp::from_unix_seconds(2_000).unwrap();
    let mut filter = Filter::new(Some(Owner::new("user:42").unwrap()), at);
    filter.states = States::NOT_REVOKED;
    for by in [SortBy::Created, SortBy::Name, SortBy::LastUsed, SortBy::Expires] {
        for order in [Order::by(by), Order::by(by).reversed()] {
            session.reads().await;
            let _ = store.list(&Query::new(filter.clone(), order, 50)).await.unwrap();
            let reads = session.reads().await;
            assert!(reads < 4_500, "{order} reads {reads}");
        }
    }
    let _ = store.count(&filter).await.unwrap();
    let reads = session.reads().await;
    assert!(reads < 8_500, "a count, which reads its groups as well, reads {reads}");
}
