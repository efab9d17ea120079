//! Where steps run: on connections of the pools, or on one that the caller holds.

use std::ops::{Deref, DerefMut};

use futures_util::lock::{Mutex, MutexGuard};
use sqlx::{
    Connection as _, Sqlite, SqliteConnection, SqlitePool, Transaction, pool::PoolConnection,
};

use crate::store::StoreError;

use super::error::failed;

/// Begins as a writer, so that what is read is still true when it is written.
pub(super) const BEGIN: &str = "BEGIN IMMEDIATE";

/// Everything that a store does, with where it does it.
#[derive(Clone, Copy)]
pub(super) enum Steps<'s, 'c> {
    /// Look-ups never queue behind writes that wait for a lock, unless the application has one pool for both.
    InPools {
        read: &'s SqlitePool,
        write: &'s SqlitePool,
    },
    Held(&'s Mutex<&'c mut SqliteConnection>),
}

impl<'s, 'c> Steps<'s, 'c> {
    pub(super) async fn reader(self) -> Result<Lease<'s, 'c>, StoreError> {
        match self {
            Self::InPools { read, .. } => Lease::of(read).await,
            Self::Held(connection) => Ok(Lease::Held(connection.lock().await)),
        }
    }

    pub(super) async fn writer(self) -> Result<Lease<'s, 'c>, StoreError> {
        match self {
            Self::InPools { write, .. } => Lease::of(write).await,
            Self::Held(connection) => Ok(Lease::Held(connection.lock().await)),
        }
    }
}

/// A connection while a step uses it.
pub(super) enum Lease<'s, 'c> {
    Pooled(PoolConnection<Sqlite>),
    Held(MutexGuard<'s, &'c mut SqliteConnection>),
}

impl Lease<'_, '_> {
    async fn of(pool: &SqlitePool) -> Result<Self, StoreError> {
        pool.acquire().await.map(Self::Pooled).map_err(failed)
    }

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
        if let (Self::Pooled(mut connection), Err(StoreError::Unavailable(_))) = (self, outcome) {
            connection.close_on_drop();
        }
    }
}

impl Deref for Lease<'_, '_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        match self {
            Self::Pooled(connection) => connection,
            Self::Held(connection) => connection,
        }
    }
}

impl DerefMut for Lease<'_, '_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        match self {
            Self::Pooled(connection) => connection,
            Self::Held(connection) => connection,
        }
    }
}
