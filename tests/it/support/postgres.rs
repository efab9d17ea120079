//! Stores in schemas that nobody else has.

use std::{env, thread};

use keyfob::store::PostgresStore;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// A schema that is gone after the test.
pub struct Schema {
    pub name: String,
}

impl Schema {
    pub fn new() -> Self {
        Self { name: format!("t{:016x}", fastrand::u64(..)) }
    }

    pub fn options() -> PgConnectOptions {
        let url = env::var("KEYFOB_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!("KEYFOB_TEST_POSTGRES is not set: run `scripts/servers run cargo test …`")
        });
        url.parse().unwrap()
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
        // The runtime of the test may be the one that drops it.
        let dropping = thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let mut connection = PgConnection::connect_with(&Self::options()).await.unwrap();
                sqlx::raw_sql("SET lock_timeout = '5s'").execute(&mut connection).await.unwrap();
                sqlx::raw_sql(drop_all).execute(&mut connection).await.map(drop)
            })
        });
        let dropped = dropping.join();
        if !thread::panicking() {
            dropped.unwrap().unwrap();
        }
    }
}
