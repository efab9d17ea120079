mod engine;
mod error;
mod schema;

use std::{fmt, sync::Arc, time::Duration};

use sqlx::{MySqlConnection, MySqlPool};

use crate::{
    store::{
        sql::{Lender, OpenError, SqlStore, SqlStoreOn, Steps},
        steps::token_store,
    },
    token::InvalidValue,
};

use engine::MySql;

const DEFAULT_PREFIX: &str = "keyfob_";

const WORKS_UNHEARD: Duration = Duration::from_secs(6);

/// A store in MariaDB or MySQL, in the application's own database.
///
/// What is acknowledged is committed: with `innodb_flush_log_at_trx_commit=1`, which is the default, it is synced to
/// disk; where there are replicas or a binary log to restore from, `sync_binlog=1` as well. A clone is cheap and is the
/// same store.
///
/// The tables `keyfob_tokens`, `keyfob_owners`, `keyfob_canaries` and `keyfob_migrations` are made and migrated when
/// the store is made, whatever number of processes starts at once. The view `keyfob_tokens_readable` shows texts and
/// instants as such, for people. Whatever collations, `sql_mode` and isolation level the application uses, texts are
/// compared by bytes and the store's own transactions are `READ COMMITTED`, for which a binary log has to have the
/// format `ROW` or `MIXED`.
///
/// Needs MariaDB 10.6 or later and a tokio runtime. MySQL 8.0 or later should do as well, and is untested.
#[derive(Clone)]
pub struct MySqlStore {
    store: SqlStore<MySql>,
    prefix: Arc<str>,
}

impl MySqlStore {
    /// Keeps tokens in tables whose names begin with `keyfob_`, in the database that the pool connects to, and migrates
    /// them.
    ///
    /// `MySqlPool` is the one of sqlx 0.9. Its connections have to commit by themselves, as they do unless told
    /// otherwise.
    ///
    /// # Errors
    /// [`OpenError`] where the database can't be reached or migrated, or is the work of a later keyfob, or where
    /// the pool's connections don't commit by themselves, or read what others have not committed.
    pub async fn with_pool(pool: MySqlPool) -> Result<Self, OpenError> {
        Self::with_prefix(pool, DEFAULT_PREFIX).await
    }

    /// Keeps tokens in tables whose names begin with a prefix of 1 to 49 of `[a-z0-9_]`, and migrates them.
    ///
    /// # Errors
    /// As [`with_pool`](Self::with_pool); [`OpenError::Invalid`] for any other prefix.
    pub async fn with_prefix(pool: MySqlPool, prefix: &str) -> Result<Self, OpenError> {
        schema::migrate(&pool, prefix).await?;
        let table_name = |table: &str| table_name(prefix, table);
        let lender = Lender::new(pool, WORKS_UNHEARD);
        Ok(Self { store: SqlStore::new(lender, table_name, String::new()), prefix: prefix.into() })
    }

    /// The SQL that makes the tables, for teams that migrate by hand. It may be run again.
    ///
    /// A store finds tables that were made so and leaves them alone. [`with_pool`](Self::with_pool) takes the prefix
    /// `keyfob_`.
    ///
    /// ```
    /// use keyfob::store::MySqlStore;
    ///
    /// let sql = MySqlStore::schema_sql("keyfob_")?;
    /// assert!(sql.contains("CREATE TABLE IF NOT EXISTS `keyfob_tokens`"));
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidValue`] if the prefix is not as for [`with_prefix`](Self::with_prefix).
    pub fn schema_sql(prefix: &str) -> Result<String, InvalidValue> {
        schema::sql(prefix)
    }

    /// The same store on a connection that the caller holds, perhaps in a transaction: what the steps do is committed
    /// or taken back with it.
    ///
    /// Each step that writes is a savepoint there, so that one that fails does not end the transaction; on a
    /// connection outside a transaction it is a transaction of its own.
    ///
    /// A deadlock is [`StoreError::Busy`](crate::store::StoreError::Busy) here, and the server has then rolled back the
    /// *whole* transaction: begin it anew. In a transaction that is `REPEATABLE READ`, the default, two that issue to new
    /// owners at once can come to one; in one that is `READ COMMITTED` they don't. After a step whose future was dropped
    /// the connection is good for nothing and has to be closed.
    #[must_use]
    pub fn on<'c>(&self, connection: &'c mut MySqlConnection) -> MySqlTransaction<'c> {
        MySqlTransaction(self.store.on(connection))
    }

    fn steps(&self) -> Steps<'_, '_, MySql> {
        self.store.steps()
    }
}

fn table_name(prefix: &str, table: &str) -> String {
    format!("`{prefix}{table}`")
}

impl fmt::Debug for MySqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

token_store!(MySqlStore);

/// A [`MySqlStore`] on one connection; see [`MySqlStore::on`].
pub struct MySqlTransaction<'c>(SqlStoreOn<'c, MySql>);

impl<'c> MySqlTransaction<'c> {
    fn steps(&self) -> Steps<'_, 'c, MySql> {
        self.0.steps()
    }
}

impl fmt::Debug for MySqlTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlTransaction").finish_non_exhaustive()
    }
}

token_store!(MySqlTransaction<'_>);
