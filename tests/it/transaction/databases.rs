//! Databases whose transactions hold what the application writes beside what keyfob does.

use std::sync::Arc;

use async_trait::async_trait;
use keyfob::store::{MySqlStore, PostgresStore, SqliteStore, TokenStore};
use sqlx::{AssertSqlSafe, Pool, SqlitePool, sqlite::SqliteConnectOptions};

use crate::{
    mysql::Tables,
    support::{World, postgres::Schema},
};

/// Runs scenarios, each an `async fn(impl Database)` of the module above, on every database.
macro_rules! on_every_database {
    (@each $database:ident $($scenario:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $scenario() {
                super::$scenario(super::databases::$database::new().await).await;
            }
        )+
    };
    ($($scenario:ident)+) => {
        mod sqlite { $crate::transaction::databases::on_every_database! { @each Sqlite $($scenario)+ } }
        mod postgres { $crate::transaction::databases::on_every_database! { @each Postgres $($scenario)+ } }
        mod mysql { $crate::transaction::databases::on_every_database! { @each MySql $($scenario)+ } }
    };
}
pub(super) use on_every_database;

#[async_trait]
pub(super) trait Database {
    /// With a store in this database.
    fn world(&self) -> &World;

    async fn begin(&self) -> Box<dyn Transaction>;

    /// How many projects the application keeps.
    async fn projects(&self) -> i64;
}

/// Rolled back where it is dropped.
#[async_trait]
pub(super) trait Transaction: Send {
    fn store(&mut self) -> Box<dyn TokenStore + '_>;

    /// What the application writes.
    async fn add_project(&mut self, name: &'static str);

    async fn commit(self: Box<Self>);
}

/// A pool with a table of projects beside the store's own tables.
struct Own<DB: sqlx::Database, S> {
    pool: Pool<DB>,
    store: S,
    begin: &'static str,
    /// The name of the table.
    projects: String,
    world: World,
}

struct Begun<DB: sqlx::Database, S> {
    transaction: sqlx::Transaction<'static, DB>,
    store: S,
    projects: String,
}

/// What of this is not the same type on any two engines.
macro_rules! database {
    ($name:ident, $engine:ty, $store:ty) => {
        pub(super) struct $name(Own<$engine, $store>);

        #[async_trait]
        impl Database for $name {
            fn world(&self) -> &World {
                &self.0.world
            }

            async fn begin(&self) -> Box<dyn Transaction> {
                let transaction = self.0.pool.begin_with(self.0.begin).await.unwrap();
                let (store, projects) = (self.0.store.clone(), self.0.projects.clone());
                Box::new(Begun { transaction, store, projects })
            }

            async fn projects(&self) -> i64 {
                let count = format!("SELECT count(*) FROM {}", self.0.projects);
                sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(&self.0.pool).await.unwrap()
            }
        }

        #[async_trait]
        impl Transaction for Begun<$engine, $store> {
            fn store(&mut self) -> Box<dyn TokenStore + '_> {
                Box::new(self.store.on(&mut self.transaction))
            }

            async fn add_project(&mut self, name: &'static str) {
                let add = AssertSqlSafe(format!("INSERT INTO {} VALUES ('{name}')", self.projects));
                sqlx::query(add).execute(&mut *self.transaction).await.unwrap();
            }

            async fn commit(self: Box<Self>) {
                self.transaction.commit().await.unwrap();
            }
        }
    };
}

database!(Sqlite, sqlx::Sqlite, SqliteStore);
database!(Postgres, sqlx::Postgres, PostgresStore);
database!(MySql, sqlx::MySql, MySqlStore);

impl Sqlite {
    pub(super) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(directory.path().join("app.db"));
        let pool = SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
        let store = SqliteStore::with_pool(pool.clone()).await.unwrap();
        let projects = "projects".to_owned();
        sqlx::query(create(&projects)).execute(&pool).await.unwrap();
        let world = World::in_place(Arc::new(store.clone()), directory);
        Self(Own { pool, store, begin: "BEGIN IMMEDIATE", projects, world })
    }
}

impl Postgres {
    pub(super) async fn new() -> Self {
        let (schema, pool) = (Schema::new(), Schema::pool(4).await);
        let store = PostgresStore::in_schema(pool.clone(), &schema.name).await.unwrap();
        let projects = format!("{}.projects", schema.name);
        sqlx::query(create(&projects)).execute(&pool).await.unwrap();
        let world = World::in_place(Arc::new(store.clone()), schema);
        Self(Own { pool, store, begin: "BEGIN", projects, world })
    }
}

impl MySql {
    pub(super) async fn new() -> Self {
        let (tables, pool) = (Tables::new(), Tables::pool().await);
        let store = MySqlStore::with_prefix(pool.clone(), &tables.prefix).await.unwrap();
        let projects = format!("{}projects", tables.prefix);
        sqlx::query(create(&projects)).execute(&pool).await.unwrap();
        let world = World::in_place(Arc::new(store.clone()), tables);
        Self(Own { pool, store, begin: "BEGIN", projects, world })
    }
}

fn create(table: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("CREATE TABLE {table} (name VARCHAR(100) NOT NULL)"))
}
