mod engine;
mod error;
mod pools;
mod schema;
mod settings;
#[cfg(test)]
mod tests;

use std::{fmt, path::Path, sync::Arc, time::Duration};

use sqlx::{
    SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous},
};

pub use settings::SqliteWarning;

use crate::{
    store::{
        StoreError,
        sql::{OpenError, SqlStore, SqlStoreOn, Steps},
        steps::token_store,
    },
    token::Rule,
};

use engine::Sqlite;
use error::failed;
use pools::Pools;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(10);
const READERS: u32 = 4;

/// A store in SQLite: a file of its own, or tables in the application's database.
///
/// A store made by [`open`](Self::open) is in WAL mode with `synchronous=FULL`: what is acknowledged is synced to
/// disk, and a power cut does not undo it. Look-ups and writes do not wait for each other. With a pool of the
/// application's own ([`with_pool`](Self::with_pool)) both are as that pool is set; [`warnings`](Self::warnings) tells
/// what is less. Either needs a tokio runtime.
///
/// The tables `keyfob_tokens`, `keyfob_canaries` and `keyfob_migrations` are made and migrated by either, whatever
/// number of processes starts at once. The view `keyfob_tokens_readable` shows instants as text, for people. A clone is
/// cheap and is the same store.
///
/// ```
/// # use keyfob::{TokenId, store::StoreError};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use keyfob::store::{SqliteStore, TokenStore};
///
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("tokens.db");
/// let store = SqliteStore::open(&path).await?;
/// assert!(store.warnings().is_empty());
/// assert!(store.find(&[TokenId::from_u128(1)]).await?.records.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    store: SqlStore<Sqlite>,
    warnings: Arc<[SqliteWarning]>,
}

impl SqliteStore {
    /// The SQL that makes the tables, for teams that migrate by hand. It may be run again.
    ///
    /// A store finds tables that were made so and leaves them alone. Tables of an earlier version are upgraded when a
    /// store is opened.
    pub const SCHEMA: &str = schema::SCHEMA;

    /// Opens a file, makes it where there is none, and migrates it.
    ///
    /// The connections are the store's own: one writes, a few read. A write waits for another process to finish its own
    /// for up to five seconds, or until the [deadline](crate::ApiTokensBuilder::deadline) where that is shorter.
    ///
    /// # Errors
    /// [`OpenError`] where the file can't be opened or migrated, or is the work of a later keyfob.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(BUSY_TIMEOUT)
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
                .connect_lazy_with(options.clone())
        };
        let write = pool(1);
        let mut connection = write.acquire().await.map_err(failed)?;
        if !settings::has_file(&mut connection).await.map_err(failed)? {
            let rule = "must be a file: a database in memory is gone with its connection";
            return Err(Rule::other(rule).broken_by("path").into());
        }
        enter_wal(&mut connection).await?;
        drop(connection);
        Self::new(Pools::apart(pool(READERS), write)).await
    }

    /// Keeps tokens in the application's own database, and migrates the store's tables in it.
    ///
    /// No setting of the pool is changed. The ones that matter are read once, on one connection, for
    /// [`warnings`](Self::warnings); with the feature `tracing` they are logged as well. Writes of tokens that wait
    /// for a lock hold connections of this pool meanwhile.
    ///
    /// `SqlitePool` is the one of sqlx 0.9.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("app.db");
    /// use keyfob::store::{SqliteStore, SqliteWarning};
    /// use sqlx::{SqlitePool, sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous}};
    ///
    /// let options = SqliteConnectOptions::new()
    ///     .filename(&path)
    ///     .create_if_missing(true)
    ///     .journal_mode(SqliteJournalMode::Wal)
    ///     .synchronous(SqliteSynchronous::Normal);
    /// let store = SqliteStore::with_pool(SqlitePool::connect_with(options).await?).await?;
    /// assert_eq!(store.warnings(), [SqliteWarning::SynchronousNormal]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`OpenError`] where the database can't be reached or migrated, or is the work of a later keyfob.
    pub async fn with_pool(pool: SqlitePool) -> Result<Self, OpenError> {
        Self::new(Pools::shared(pool)).await
    }

    async fn new(pools: Pools) -> Result<Self, OpenError> {
        let mut connection = pools.write.acquire().await.map_err(failed)?;
        let warnings = settings::warnings(&pools.write, &mut connection).await.map_err(failed)?;
        schema::migrate(&mut connection).await?;
        drop(connection);
        #[cfg(feature = "tracing")]
        for warning in &warnings {
            tracing::warn!("token store: {warning}");
        }
        let store = SqlStore::new(pools, table_name, String::new());
        Ok(Self { store, warnings: warnings.into() })
    }

    /// What the settings of the database put at risk; empty for a store made by [`open`](Self::open) on a file
    /// system that can keep a write-ahead log.
    #[must_use]
    pub fn warnings(&self) -> &[SqliteWarning] {
        &self.warnings
    }

    /// The same store on a connection that the caller holds, perhaps in a transaction: what the steps do is committed
    /// or taken back with it.
    ///
    /// Each step that writes is a savepoint there, so that one that is refused does not end the transaction; on a
    /// connection outside a transaction it is a transaction of its own. The transaction has to be one that sqlx began,
    /// and where others write meanwhile one that began with `BEGIN IMMEDIATE`: SQLite lets no transaction write that
    /// has read what is no longer so.
    #[must_use]
    pub fn on<'c>(&self, connection: &'c mut SqliteConnection) -> SqliteTransaction<'c> {
        SqliteTransaction(self.store.on(connection))
    }

    fn steps(&self) -> Steps<'_, '_, Sqlite> {
        self.store.steps()
    }
}

token_store!(SqliteStore);

/// A [`SqliteStore`] on one connection; see [`SqliteStore::on`].
pub struct SqliteTransaction<'c>(SqlStoreOn<'c, Sqlite>);

impl<'c> SqliteTransaction<'c> {
    fn steps(&self) -> Steps<'_, 'c, Sqlite> {
        self.0.steps()
    }
}

impl fmt::Debug for SqliteTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteTransaction").finish_non_exhaustive()
    }
}

token_store!(SqliteTransaction<'_>);

fn table_name(table: &str) -> String {
    format!("keyfob_{table}")
}

/// Changing to WAL needs the file alone and does not wait for that itself, so processes that start at once would
/// fail here.
async fn enter_wal(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut waited = Duration::ZERO;
    loop {
        let entered = sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *connection).await;
        match entered.map_err(error::failed) {
            Err(StoreError::Busy(_)) if waited < BUSY_TIMEOUT => {
                futures_timer::Delay::new(BUSY_PAUSE).await;
                waited += BUSY_PAUSE;
            }
            entered => return entered.map(drop),
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("warnings", &self.warnings).finish_non_exhaustive()
    }
}
