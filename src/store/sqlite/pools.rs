//! The connections of SQLite, lent to the steps of a store.

use std::fmt;

use sqlx::{Sqlite as Database, SqliteConnection, SqlitePool, pool::PoolConnection};

use crate::store::sql::{Engine, Lend, Lent as LentConnection, Share, Shares, Work};

use super::{engine::Sqlite, error};

/// Look-ups never queue behind writes that wait for a lock: these have a pool of their own, or a share of the
/// application's.
#[derive(Clone)]
pub(super) struct Pools {
    read: SqlitePool,
    pub(super) write: SqlitePool,
    /// Of the pool that the application gave for both. A pool for writes alone needs no share.
    shares: Option<Shares>,
}

impl Pools {
    pub(super) fn apart(read: SqlitePool, write: SqlitePool) -> Self {
        Self { read, write, shares: None }
    }

    pub(super) fn shared(pool: SqlitePool) -> Self {
        let shares = Some(Shares::of(pool.options().get_max_connections()));
        Self { read: pool.clone(), write: pool, shares }
    }
}

impl Lend<Sqlite> for Pools {
    type Lent = Lent;

    async fn lend(&self, work: Work) -> sqlx::Result<Lent> {
        let share = match &self.shares {
            Some(shares) => shares.take(work).await,
            None => Share::default(),
        };
        let pool = if work == Work::Write { &self.write } else { &self.read };
        Ok(Lent { connection: Some(pool.acquire().await?), share })
    }
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}

/// A connection of a pool, while a step uses it.
pub(super) struct Lent {
    connection: Option<PoolConnection<Database>>,
    share: Share,
}

impl LentConnection<Sqlite> for Lent {
    fn connection(&mut self) -> Option<&mut SqliteConnection> {
        self.connection.as_deref_mut()
    }

    fn discard(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }

    /// The driver works on, and then takes back what nobody waited for. The connection is kept: a database in memory
    /// would be gone with it.
    fn leave(&mut self, is_lost: bool) {
        let Some(mut connection) = self.connection.take().filter(|_| is_lost) else { return };
        let share = std::mem::take(&mut self.share);
        tokio::spawn(async move {
            let statement = sqlx::SqlStr::from_static(Sqlite::OWN.rollback);
            let rolled_back = Sqlite::run(&mut connection, statement).await;
            if rolled_back.is_err_and(|error| !error::is_not_possible(&error)) {
                connection.close_on_drop();
            }
            drop((connection, share));
        });
    }
}
