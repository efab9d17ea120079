use keyfob::{ApiTokens, NewToken, store::PostgresStore};
use sqlx::PgPool;

use super::{Schema, owner};

/// The rows that were inserted, updated and deleted in any table, as the server counts them.
async fn writes(schema: &Schema, pool: &PgPool) -> i64 {
    sqlx::raw_sql("SELECT pg_stat_force_next_flush()").execute(pool).await.unwrap();
    let writes = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint
        FROM pg_stat_user_tables WHERE schemaname = '{}'";
    sqlx::query_scalar(schema.named(writes)).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn a_thousand_verifications_write_one_row_when_they_are_flushed() {
    let schema = Schema::new();
    let pool = schema.pool_with(&[]).await;
    let store = PostgresStore::in_schema(pool.clone(), &schema.name).await.unwrap();
    let tokens = ApiTokens::builder(store).prefix("acme").build().unwrap();
    let issued = tokens.issue(NewToken::new(owner(), "ci")).await.unwrap();
    tokens.verify(issued.plain.expose_secret()).await.unwrap();
    tokens.flush().await.unwrap();

    let before = writes(&schema, &pool).await;
    assert!(before > 0, "writes are seen");
    for _ in 0..1_000 {
        tokens.verify(issued.plain.expose_secret()).await.unwrap();
    }
    assert_eq!(writes(&schema, &pool).await, before);
    tokens.flush().await.unwrap();
    assert!(writes(&schema, &pool).await <= before + 1);
}
