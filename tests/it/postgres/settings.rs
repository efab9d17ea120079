//! What the store relies on is checked when it is opened, and what was found is named.

use keyfob::store::OpenError;

use super::*;

async fn opened(schema: &Schema, pool: PgPool) -> OpenError {
    PostgresStore::in_schema(pool, &schema.name).await.unwrap_err()
}

#[tokio::test]
async fn an_empty_search_path_is_named() {
    let schema = Schema::new();
    for path in ["", "\"nowhere\""] {
        let pool = schema.pool_with(&[("search_path", path)]).await;
        match PostgresStore::with_pool(pool).await {
            Err(OpenError::NoSchema { search_path }) => assert_eq!(search_path, path),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn another_encoding_of_the_client_is_named() {
    let schema = Schema::new();
    let pool = PgPoolOptions::new().after_connect(|connection, _| {
        Box::pin(async move {
            sqlx::raw_sql("SET client_encoding = 'LATIN1'").execute(connection).await.map(drop)
        })
    });
    let error = opened(&schema, pool.connect_with(Schema::options()).await.unwrap()).await;
    assert_eq!(error.to_string(), "the setting client_encoding is \"LATIN1\", and must be UTF8");
}

#[tokio::test]
async fn another_encoding_of_the_database_is_named() {
    let schema = Schema::new();
    let database = &schema.name;
    let make = format!(
        "CREATE DATABASE {database} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    );
    let mut connection = schema.connection().await;
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut connection).await.unwrap();
    let pool = PgPool::connect_with(Schema::options().database(database)).await.unwrap();
    let error = opened(&schema, pool.clone()).await;
    pool.close().await;
    let drop = format!("DROP DATABASE {database} WITH (FORCE)");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
    assert_eq!(error.to_string(), "the setting server_encoding is \"LATIN1\", and must be UTF8");
}

#[tokio::test]
async fn a_right_that_is_missing_and_rows_that_are_hidden_are_named() {
    let schema = Schema::new();
    drop(schema.store().await);
    let role = format!("r{}", &schema.name);
    schema.run(&format!("CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {{}} TO {role}")).await;
    schema.run(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA {{}} TO {role}")).await;
    let pool = || PgPool::connect_lazy_with(Schema::options().username(&role));
    let lacks = async |right: &str, table: &str| {
        let error = opened(&schema, pool()).await.to_string();
        let table = format!("\"{}\".keyfob_{table}", schema.name);
        assert_eq!(error, format!("the role {role:?} has no {right} on {table}"));
    };
    lacks("INSERT", "tokens").await;
    schema.run(&format!("GRANT INSERT, UPDATE, DELETE ON {{tokens}} TO {role}")).await;
    lacks("INSERT", "owners").await;
    schema.run(&format!("GRANT INSERT, UPDATE, DELETE ON {{owners}} TO {role}")).await;
    lacks("INSERT", "canaries").await;
    schema.run(&format!("GRANT INSERT ON {{canaries}} TO {role}")).await;
    let store = PostgresStore::in_schema(pool(), &schema.name).await.unwrap();
    insert(&store, &record(1)).await;

    schema.run("ALTER TABLE {tokens} ENABLE ROW LEVEL SECURITY").await;
    let error = opened(&schema, pool()).await;
    assert!(
        matches!(&error, OpenError::RowSecurity { role: found, .. } if *found == role),
        "{error}"
    );
    schema.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}
