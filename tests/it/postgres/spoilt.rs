//! Connections whose server has forgotten what was prepared on them.

use keyfob::{
    ApiTokens, NewToken, TokenChange,
    store::{PostgresStore, StoreError},
};
use sqlx::{Connection, Executor};

use super::*;

const FORGET: &str = "DISCARD ALL";

fn handle(store: PostgresStore) -> ApiTokens {
    let builder = ApiTokens::builder(store).prefix("acme").deadline(time::Duration::MINUTE);
    builder.build().unwrap()
}

/// Everything that a service does with a token.
async fn lives(tokens: &ApiTokens) {
    let issued = tokens.issue(NewToken::new(owner(), "ci")).await.unwrap();
    let (id, own) = (issued.record.id, tokens.owned_by(owner()));
    tokens.verify(issued.plain.expose_secret()).await.unwrap();
    tokens.flush().await.unwrap();
    own.change(id, TokenChange::new().name("cd")).await.unwrap();
    assert_eq!(own.get(id).await.unwrap().name.as_str(), "cd");
    own.revoke(id).await.unwrap();
    assert!(tokens.verify(issued.plain.expose_secret()).await.is_err());
}

#[tokio::test]
async fn a_pool_that_forgets_what_was_prepared_serves_all_the_same() {
    let schema = Schema::new();
    let pool = PgPoolOptions::new().max_connections(4).after_release(|connection, _| {
        Box::pin(async move { connection.execute(FORGET).await.map(|_| true) })
    });
    let pool = pool.connect_with(Schema::options()).await.unwrap();
    let tokens = handle(PostgresStore::in_schema(pool, &schema.name).await.unwrap());
    for _ in 0..10 {
        lives(&tokens).await;
    }
}

#[tokio::test]
async fn connections_that_have_forgotten_what_was_prepared_are_closed_or_prepare_anew() {
    let schema = Schema::new();
    let pool = Schema::pool(4).await;
    let tokens = handle(PostgresStore::in_schema(pool.clone(), &schema.name).await.unwrap());
    for forget in [FORGET, "DEALLOCATE ALL"] {
        for _ in 0..3 {
            lives(&tokens).await;
            let mut all = Vec::new();
            while let Some(connection) = pool.try_acquire() {
                all.push(connection);
            }
            for connection in &mut all {
                connection.execute(forget).await.unwrap();
            }
        }
    }
    lives(&tokens).await;
}

/// The plan of a statement that was prepared no longer fits: `cached plan must not change result type`.
#[tokio::test]
async fn a_column_whose_type_is_changed_under_the_connections_does_no_harm() {
    let schema = Schema::new();
    let tokens = handle(schema.store().await);
    for name in ["varchar(150)", "text"] {
        lives(&tokens).await;
        schema.run("DROP VIEW {tokens_readable}").await;
        let name = format!("ALTER TABLE {{tokens}} ALTER COLUMN revoked_reason TYPE {name}");
        schema.run(&name).await;
        schema.run("CREATE VIEW {tokens_readable} AS SELECT id FROM {tokens}").await;
    }
    lives(&tokens).await;
}

#[tokio::test]
async fn in_the_applications_transaction_it_is_busy_and_the_next_one_is_good() {
    let schema = Schema::new();
    let store = schema.store().await;
    insert(&store, &record(1)).await;
    let mut connection = schema.connection().await;
    assert!(store.on(&mut connection).one(id(1)).await.unwrap().is_some());
    connection.execute(FORGET).await.unwrap();

    let mut transaction = connection.begin().await.unwrap();
    let found = store.on(&mut transaction).one(id(1)).await;
    assert!(matches!(found, Err(StoreError::Busy(_))), "{found:?}");
    transaction.rollback().await.unwrap();

    let mut transaction = connection.begin().await.unwrap();
    assert!(store.on(&mut transaction).one(id(1)).await.unwrap().is_some());
    transaction.commit().await.unwrap();
}
