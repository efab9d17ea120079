//! Stores in schemas that nobody else has.

use keyfob::store::PostgresStore;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::servers::{clean_up, url_of};

/// A schema that is gone after the test.
pub struct Schema {
    pub name: String,
}

impl Schema {
    pub fn new() -> Self {
        Self { name: format!("t{:016x}", fastrand::u64(..)) }
    }

    pub fn options() -> PgConnectOptions {
        url_of("KEYFOB_TEST_POSTGRES").parse().unwrap()
    }

    pub async fn pool(connections: u32) -> PgPool {
        let pool = PgPoolOptions::new().max_connections(connections);
        pool.connect_with(Self::options()).await.unwrap()
    }

    pub async fn store(&self) -> PostgresStore {
        PostgresStore::in_schema(Self::pool(4).await, &self.name).await.unwrap()
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let drop_all = AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name));
        clean_up(|| async {
            let mut connection = PgConnection::connect_with(&Self::options()).await?;
            sqlx::raw_sql("SET lock_timeout = '50s'").execute(&mut connection).await?;
            sqlx::raw_sql(drop_all).execute(&mut connection).await.map(drop)
        });
    }
}
