//! The databases, and the statements that an application would write by hand for each.

use std::{future::Future, path::Path};

use keyfob::{
    TokenId,
    store::{PostgresStore, SqliteStore, TokenStore},
};
use sqlx::{
    AssertSqlSafe, Column, Executor, PgPool, Row, SqlSafeStr, SqlStr, SqlitePool, Statement,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
    types::Uuid,
};

const CONNECTIONS: u32 = 10;

/// What a pool does before it lends a connection.
#[derive(Clone, Copy, Debug)]
pub enum Lends {
    /// As pools do unless told otherwise: it sees whether the connection still answers.
    Tested,
    /// Nothing, so that a statement is one way there and back.
    Untested,
}

impl Lends {
    fn is_tested(self) -> bool {
        matches!(self, Self::Tested)
    }
}

/// A database with a store in it, and what is done by hand on the same pool.
pub trait Engine: Send + Sync + 'static {
    const NAME: &'static str;
    /// How many may issue tokens at a time.
    const WRITERS: usize;

    fn store(&self) -> impl TokenStore + 'static;

    /// Reads a token whole.
    fn select(&self, id: TokenId) -> impl Future<Output = ()> + Send;

    /// Reads it, and writes when it was used.
    fn touch(&self, id: TokenId) -> impl Future<Output = ()> + Send;
}

/// The statements, both with the id as their first parameter.
struct Statements {
    select: SqlStr,
    update: SqlStr,
}

impl Statements {
    /// With the columns that the store reads: those of the table but what the database itself makes of them.
    fn new(table: &str, columns: &[impl Column]) -> Self {
        let columns = columns.iter().map(Column::name).filter(|it| *it != "ends_at");
        let columns = columns.collect::<Vec<_>>().join(", ");
        let sql = |text| AssertSqlSafe(text).into_sql_str();
        Self {
            select: sql(format!("SELECT {columns} FROM {table} WHERE id = $1")),
            update: sql(format!("UPDATE {table} SET last_used_at = $2 WHERE id = $1")),
        }
    }
}

macro_rules! by_hand {
    ($id:expr) => {
        async fn select(&self, id: TokenId) {
            let select = sqlx::query(self.statements.select.clone()).bind($id(id));
            let row = select.fetch_one(&self.pool).await.unwrap();
            assert_eq!(row.get::<&[u8], _>("digest").len(), 32);
        }

        async fn touch(&self, id: TokenId) {
            self.select(id).await;
            let update = sqlx::query(self.statements.update.clone()).bind($id(id));
            let now = keyfob::Timestamp::from(time::OffsetDateTime::now_utc()).unix_seconds();
            update.bind(now).execute(&self.pool).await.unwrap();
        }
    };
}

pub struct InSqlite {
    pool: SqlitePool,
    store: SqliteStore,
    statements: Statements,
}

impl InSqlite {
    pub async fn new(directory: &Path, lends: Lends) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(directory.join("tokens.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS);
        let pool = pool.test_before_acquire(lends.is_tested()).connect_with(options).await.unwrap();
        let store = SqliteStore::with_pool(pool.clone()).await.unwrap();
        let table = "keyfob_tokens";
        let prepared = pool.prepare(everything(table)).await.unwrap();
        Self { statements: Statements::new(table, prepared.columns()), pool, store }
    }
}

impl Engine for InSqlite {
    const NAME: &'static str = "SQLite";
    const WRITERS: usize = 1;

    fn store(&self) -> impl TokenStore + 'static {
        self.store.clone()
    }

    by_hand!(|id: TokenId| id.to_bytes().to_vec());
}

pub struct InPostgres {
    pool: PgPool,
    schema: String,
    store: PostgresStore,
    statements: Statements,
}

impl InPostgres {
    /// In a schema that nobody else has.
    pub async fn new(url: &str, lends: Lends) -> Self {
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
        let pool = pool.test_before_acquire(lends.is_tested()).connect(url).await.unwrap();
        let schema = format!("bench{:016x}", fastrand::u64(..));
        let store = PostgresStore::in_schema(pool.clone(), &schema).await.unwrap();
        let table = format!("{schema}.keyfob_tokens");
        let prepared = pool.prepare(everything(&table)).await.unwrap();
        Self { statements: Statements::new(&table, prepared.columns()), pool, schema, store }
    }

    pub async fn end(&self) {
        let drop_all = AssertSqlSafe(format!("DROP SCHEMA {} CASCADE", self.schema));
        sqlx::raw_sql(drop_all).execute(&self.pool).await.unwrap();
    }
}

impl Engine for InPostgres {
    const NAME: &'static str = "PostgreSQL";
    const WRITERS: usize = 8;

    fn store(&self) -> impl TokenStore + 'static {
        self.store.clone()
    }

    by_hand!(|id: TokenId| Uuid::from_bytes(id.to_bytes()));
}

fn everything(table: &str) -> SqlStr {
    AssertSqlSafe(format!("SELECT * FROM {table}")).into_sql_str()
}
