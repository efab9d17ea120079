mod engine;
mod error;
mod schema;

use std::{fmt, sync::Arc, time::Duration};

use sqlx::{PgConnection, PgPool, postgres::PgConnectOptions};

use crate::{
    store::{
        sql::{Lender, OpenError, SqlStore, SqlStoreOn, Steps},
        steps::token_store,
    },
    token::InvalidValue,
};

use engine::Postgres;

/// A statement outside a transaction waits for a table without end, as while it is altered. To bound that would be a
/// round trip more for each.
const WORKS_UNHEARD: Duration = Duration::from_secs(30);

/// A store in PostgreSQL, in the application's own database.
///
/// What is acknowledged is committed: with `synchronous_commit=on`, which is the default, it is synced to disk. A
/// clone is cheap and is the same store.
///
/// The tables `keyfob_tokens`, `keyfob_owners`, `keyfob_canaries` and `keyfob_migrations` are made and migrated when
/// the store is made, whatever number of processes starts at once. The view `keyfob_tokens_readable` shows instants as
/// such, for people. Needs PostgreSQL 13 or later and a tokio runtime.
#[derive(Clone)]
pub struct PostgresStore(SqlStore<Postgres>);

impl PostgresStore {
    /// Keeps tokens in the schema that comes first in the pool's `search_path`, or wherever on it the tables are, and
    /// migrates them.
    ///
    /// `PgPool` is the one of sqlx 0.9.
    ///
    /// # Errors
    /// [`OpenError`] if the database can't be reached or migrated, is the work of a later keyfob, has a setting
    /// or lacks a right that the store relies on, or if no schema on the `search_path` exists.
    pub async fn with_pool(pool: PgPool) -> Result<Self, OpenError> {
        Self::open(pool, None).await
    }

    /// Keeps tokens in a schema of their own, and migrates them. The schema is made where there is none.
    ///
    /// Its name is 1 to 63 of `[a-z0-9_]` and begins with a letter or `_`.
    ///
    /// # Errors
    /// As [`with_pool`](Self::with_pool); [`OpenError::Invalid`] for any other name.
    pub async fn in_schema(pool: PgPool, schema: &str) -> Result<Self, OpenError> {
        Self::open(pool, Some(schema)).await
    }

    async fn open(pool: PgPool, schema: Option<&str>) -> Result<Self, OpenError> {
        let schema = schema::migrate(&pool, schema).await?;
        let table_name = |table: &str| schema::table_name(&schema, table);
        Ok(Self(SqlStore::new(
            Lender::new(pool, WORKS_UNHEARD),
            table_name,
            schema::channel(&schema),
        )))
    }

    /// The SQL that makes the tables, for teams that migrate by hand. It may be run again.
    ///
    /// A store finds tables that were made so and leaves them alone. Without a schema they come to lie in the one that
    /// is first in the `search_path`.
    ///
    /// # Errors
    /// [`InvalidValue`] if the schema is not named as for [`in_schema`](Self::in_schema).
    pub fn schema_sql(schema: Option<&str>) -> Result<String, InvalidValue> {
        schema::sql(schema)
    }

    /// The same store on a connection that the caller holds, perhaps in a transaction: what the steps do is committed
    /// or taken back with it.
    ///
    /// Each step that writes is a savepoint there, so that one that fails does not end the transaction; on a
    /// connection outside a transaction it is a transaction of its own.
    ///
    /// In a transaction above `READ COMMITTED`, ending all tokens of an owner or those that descend from one is
    /// [`StoreError::Faulty`](crate::store::StoreError::Faulty): it would leave out tokens that were issued after the
    /// transaction first looked.
    #[must_use]
    pub fn on<'c>(&self, connection: &'c mut PgConnection) -> PostgresTransaction<'c> {
        PostgresTransaction(self.0.on(connection))
    }

    /// The channel on which it notifies whoever listens of each change, in the transaction of the change: ids with
    /// commas between them, or `clear` where they are more than a hundred. Those who keep tokens in one schema share
    /// it.
    ///
    /// [`PostgresSignal`](crate::cluster::PostgresSignal) listens to it.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.0.channel
    }

    pub(crate) fn options(&self) -> Arc<PgConnectOptions> {
        self.0.lender().pool().connect_options()
    }

    fn steps(&self) -> Steps<'_, '_, Postgres> {
        self.0.steps()
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("channel", &self.0.channel).finish_non_exhaustive()
    }
}

token_store!(PostgresStore);

/// A [`PostgresStore`] on one connection; see [`PostgresStore::on`].
pub struct PostgresTransaction<'c>(SqlStoreOn<'c, Postgres>);

impl<'c> PostgresTransaction<'c> {
    fn steps(&self) -> Steps<'_, 'c, Postgres> {
        self.0.steps()
    }
}

impl fmt::Debug for PostgresTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTransaction").finish_non_exhaustive()
    }
}

token_store!(PostgresTransaction<'_>);
