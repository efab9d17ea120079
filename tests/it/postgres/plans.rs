use keyfob::store::PostgresStore;
use sqlx::PgPool;

use super::Schema;
use crate::support::plans::{
    Counting, no_step_reads_more_tokens_than_it_is_about,
    who_is_not_used_is_looked_for_a_part_at_a_time,
};

/// See `no_step_reads_more_tokens_than_it_is_about`. Nothing else reads the table meanwhile.
const FILL: &str = "ALTER TABLE {tokens} SET (autovacuum_enabled = off);
    INSERT INTO {tokens} (id, prefix, owner, name, digest, digest_key, generation,
        rotated_at, previous_digest, previous_ends_on_first_use, previous_may_ask_again, abilities, created_at, expires_at,
        revoked_at, parent, notices, used_abilities, idempotency_key)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'acme',
        CASE WHEN n BETWEEN 3000 AND 3019 THEN 'user:42' ELSE 'user:' || 100 + n % 60 END,
        'token ' || n, decode(repeat('07', 32), 'hex'), CASE WHEN n % 5 > 0 THEN 'key' END,
        1, 1000, decode(repeat('09', 32), 'hex'), true, false, '*', 1000 + n, CASE WHEN n % 3 = 0 THEN 100000 + n END,
        CASE WHEN n % 2 = 0 THEN 50000 + n END, lpad(to_hex(n / 10), 32, '0')::uuid,
        '', '', 'key ' || n
    FROM generate_series(1, 6000) AS n;
    ANALYZE {tokens}";

/// Rows that were read one after the other, and entries that were read in an index.
const READS: &str = "SELECT (
        (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = '{}')
        + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = '{}')
    )::bigint";

/// A pool of one connection, which tells the server's counters what it read before they are asked.
struct Session<'s> {
    schema: &'s Schema,
    pool: PgPool,
    before: i64,
}

impl Counting for Session<'_> {
    async fn reads(&mut self) -> u64 {
        sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(&self.pool).await.unwrap();
        let reads = sqlx::query_scalar(self.schema.named(READS));
        let reads: i64 = reads.fetch_one(&self.pool).await.unwrap();
        let before = std::mem::replace(&mut self.before, reads);
        (reads - before).unsigned_abs()
    }
}

async fn each_step_finds_its_tokens_by_an_index(plans: &str) {
    let schema = Schema::new();
    let pool = schema.pool_with(&[("plan_cache_mode", plans)]).await;
    let store = PostgresStore::in_schema(pool.clone(), &schema.name).await.unwrap();
    schema.run(FILL).await;
    let session = Session { schema: &schema, pool, before: 0 };
    no_step_reads_more_tokens_than_it_is_about(&store, session).await;
}

#[tokio::test]
async fn each_step_finds_its_tokens_by_an_index_the_first_time() {
    each_step_finds_its_tokens_by_an_index("force_custom_plan").await;
}

/// The server makes a plan for whatever values come, once a statement has run five times.
#[tokio::test]
async fn each_step_finds_its_tokens_by_an_index_ever_after() {
    each_step_finds_its_tokens_by_an_index("force_generic_plan").await;
}

#[tokio::test]
async fn who_is_not_used_is_found_a_part_at_a_time() {
    let schema = Schema::new();
    let store = schema.store().await;
    schema.run(FILL).await;
    who_is_not_used_is_looked_for_a_part_at_a_time(&store).await;
}
