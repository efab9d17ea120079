//! Where steps run: on connections of the pools, or on one that the caller holds.

use std::ops::{Deref, DerefMut};

use futures_util::lock::{Mutex, MutexGuard};
use sqlx::{
    Connection as _, Sqlite, SqliteConnection, SqlitePool, Transaction, pool::PoolConnection,
};

use crate::store::{
    StoreError,
    sql::{Share, Shares, Work},
};

use super::error::failed;

/// Begins as a writer, so that what is read is still true when it is written.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// Where a store does what it does. Look-ups never queue behind writes that wait for a lock: these have a pool of their
/// own, or a share of the application's.
#[derive(Clone)]
pub(super) struct Pools {
    pub(super) read: SqlitePool,
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

/// Everything that a store does, with where it does it.
#[derive(Clone, Copy)]
pub(super) enum Steps<'s, 'c> {
    InPools(&'s Pools),
    Held(&'s Mutex<&'c mut SqliteConnection>),
}

impl<'s, 'c> Steps<'s, 'c> {
    pub(super) async fn lease(self, work: Work) -> Result<Lease<'s, 'c>, StoreError> {
        match self {
            Self::InPools(pools) => {
                let share = match &pools.shares {
                    Some(shares) => shares.take(work).await,
                    None => Share::default(),
                };
                let pool = if work == Work::Write { &pools.write } else { &pools.read };
                Ok(Lease::Pooled(pool.acquire().await.map_err(failed)?, share))
            }
            Self::Held(connection) => Ok(Lease::Held(connection.lock().await)),
        }
    }
}

/// A connection while a step uses it.
pub(super) enum Lease<'s, 'c> {
    Pooled(PoolConnection<Sqlite>, #[allow(dead_code, reason = "it is held")] Share),
    Held(MutexGuard<'s, &'c mut SqliteConnection>),
}

impl Lease<'_, '_> {
    /// A transaction, or a savepoint where the caller has begun one.
    pub(super) async fn begin(&mut self) -> Result<Transaction<'_, Sqlite>, StoreError> {
        let begun = if self.is_in_transaction() {
            (**self).begin().await
        } else {
            self.begin_with(BEGIN).await
        };
        begun.map_err(failed)
    }

    /// A full disk or a failed read makes SQLite end a transaction by itself. sqlx does not notice and would begin no
    /// other one on that connection.
    pub(super) fn release<T>(self, outcome: &Result<T, StoreError>) {
        if let (Self::Pooled(mut connection, _), Err(StoreError::Unavailable(_))) = (self, outcome)
        {
            connection.close_on_drop();
        }
    }
}

impl Deref for Lease<'_, '_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Self::Pooled(connection, _) => connection,
            Self::Held(connection) => connection,
        }
    }
}

impl DerefMut for Lease<'_, '_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Pooled(connection, _) => connection,
            Self::Held(connection) => connection,
        }
    }
}
