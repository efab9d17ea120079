//! Where tokens are kept: the contract, and the stores that keep it.
//!
//! A store remembers; it never judges. Each step of [`TokenStore`] is atomic: it happens whole or not at all, and
//! two of them never mix. There is no "save the whole record": that is how a revoked token comes back to life.
//!
//! To write a store of your own, implement the trait, keep a [`StoredRow`](contract::StoredRow) for each token, and run the conformance
//! suite over it (`keyfob::store_conformance!`, feature `test-util`): one test for each clause of the contract.
//! `examples/own_store` is one, on `tokio-postgres`.

mod cached;
pub(crate) mod changed;
#[cfg(feature = "test-util")]
pub mod conformance;
pub mod contract;
mod count;
mod error;
mod memory;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;
mod steps;
mod timed;

use std::fmt::Debug;

use async_trait::async_trait;

pub use cached::CacheStats;
pub(crate) use cached::{CACHE_CAPACITY, CachedStore, LONGEST_STALENESS};
pub use contract::{Order, SortBy};
pub use count::KeyCount;
pub use error::{BoxError, CorruptRecord, StoreError};
pub use memory::MemoryStore;
#[cfg(feature = "mysql")]
pub use mysql::{MySqlStore, MySqlTransaction};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresStore, PostgresTransaction};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use sql::OpenError;
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteStore, SqliteTransaction, SqliteWarning};
pub(crate) use timed::{TimedStore, in_time, unless_busy};

use crate::token::{KeyId, Revocation, TokenId, TokenRecord};

use self::contract::{
    Counts, Deleted, Deletion, Filter, InsertOutcome, InsertRules, Page, Patch, Peek, Query,
    Revoked, Selection, SharedRecord, UpdateOutcome, Use,
};

/// Reads one token.
pub(crate) async fn find_one(
    store: &dyn TokenStore,
    id: TokenId,
) -> Result<Option<SharedRecord>, StoreError> {
    let Page { mut records, mut corrupt, .. } = store.find(&[id]).await?;
    match (records.pop(), corrupt.pop()) {
        (_, Some(corrupt)) => Err(corrupt.into()),
        (Some(record), _) if record.id != id => {
            Err(StoreError::Faulty("it answered another token than the one asked for".into()))
        }
        (found, None) => Ok(found),
    }
}

/// The storage contract.
///
/// Every step is atomic, though a look-up of several tokens may see some before another step and some after it. A step
/// is acknowledged only once it is as durable as the store's documentation says. Every future is cancel-safe: dropped
/// at any point, its step has happened whole or not at all, and the store is as usable as before; only a store on a
/// connection that the caller holds may be of no more use, and says so. Errors keep their cause. The trait has no
/// default methods, so a store that wraps another can't forget one.
///
/// Owners, names and ids are compared by bytes. Instants are whole seconds. A store has no clock: it compares expiries
/// only with instants that it is given, in [`InsertRules::at`], in a [`Patch`] and in a [`Deletion`].
#[async_trait]
pub trait TokenStore: Debug + Send + Sync {
    /// What is known of a token without I/O, a lock that readers share, or waiting. A store that has nothing in
    /// memory answers [`Peek::Miss`]. Once a step of this store is acknowledged, it is known as that step left it.
    fn peek(&self, id: TokenId) -> Peek;

    /// Returns the tokens with these ids, in any order, each once: revoked and expired ones as well. Ids without a token
    /// are left out.
    ///
    /// # Errors
    /// [`StoreError`]. A record that can't be read is among [`Page::corrupt`].
    async fn find(&self, ids: &[TokenId]) -> Result<Page, StoreError>;

    /// Adds a token if the rules allow it. It never replaces a token.
    ///
    /// The rules are decided in the same step: of any number of concurrent inserts, only as many are done as the limit
    /// allows, and only one of two with the same name. Both rules count the owner's living tokens at
    /// [`InsertRules::at`]. If the owner has a token with the same idempotency key, revoked or not, that is the answer
    /// before either rule is decided. [`InsertRules::decide`] is the whole rule.
    ///
    /// # Errors
    /// [`StoreError`]; then no token was added, or the whole token.
    async fn insert(
        &self,
        record: &TokenRecord,
        rules: &InsertRules,
    ) -> Result<InsertOutcome, StoreError>;

    /// Locks a token, applies a patch to its record, and writes the record: one transaction.
    ///
    /// [`Patch::apply`] decides. A store adds atomicity: between reading the record and writing it, no other step
    /// changes the token. If the patch has [rules](Patch::rules), the same step counts the [siblings](contract::Siblings) of the token,
    /// and no concurrent insert or update under rules is done between counting and writing. Locks are taken in the
    /// order owner, parent, tokens by id.
    ///
    /// # Errors
    /// [`StoreError`]; then the patch was applied as a whole, or not at all.
    async fn update(&self, id: TokenId, patch: &Patch) -> Result<UpdateOutcome, StoreError>;

    /// Revokes at most `limit` of the selected tokens that are not revoked yet, in one step. A token that was revoked
    /// before keeps its instant, actor and reason: revocation is irreversible.
    ///
    /// The core repeats the step while there are [more](Revoked::more), so that none takes long. Once a step answers
    /// that there are no more, every selected token that existed when it began is revoked. Rows that can't be read are
    /// revoked as well. [`Selection::decide`] is the whole rule.
    ///
    /// # Errors
    /// [`StoreError`]; then the step was done as a whole, or not at all.
    async fn revoke(
        &self,
        selection: &Selection,
        revocation: &Revocation,
        limit: u32,
    ) -> Result<Revoked, StoreError>;

    /// Writes uses, each as [`Use::apply`] does. Nothing else is touched, no token comes into being by it, and ids without
    /// a token are passed over. A batch may have a token several times. Whether the instant is written of a token that is
    /// revoked is the store's choice.
    ///
    /// # Errors
    /// [`StoreError`]; then the batch was written as a whole, or not at all.
    async fn record_uses(&self, uses: &[Use]) -> Result<(), StoreError>;

    /// Returns a page of a list. Pages neither skip nor repeat a token when others are added. While the field changes that
    /// decides over the order, a token may move between pages.
    ///
    /// A page of the tokens of all owners may hold fewer tokens than the limit, even none, and have an end, so that no
    /// step reads very many tokens of which few match. [`Query::page`] is the whole rule.
    ///
    /// # Errors
    /// [`StoreError`]; a record that can't be read is among [`Page::corrupt`] and does not take the others down.
    async fn list(&self, query: &Query) -> Result<Page, StoreError>;

    /// Counts tokens by their states. [`Filter::count`] is the whole rule.
    ///
    /// # Errors
    /// [`StoreError`]
    async fn count(&self, filter: &Filter) -> Result<Counts, StoreError>;

    /// How many digests of tokens that are not revoked were made by each key: current ones and previous ones, also
    /// those that are past their end. Each key that made any is listed once, in order of the keys, `None` first.
    ///
    /// # Errors
    /// [`StoreError`]
    async fn count_by_key(&self) -> Result<Vec<KeyCount>, StoreError>;

    /// Deletes at most `limit` tokens in one step, as [`Deletion::matches`] says. All others are spared.
    ///
    /// The core repeats the step while there are [more](Deleted::more), so that none takes long. Once a step answers that
    /// there are no more, every token that existed when it began and matches is gone. Rows that can't be read are
    /// deleted as well.
    ///
    /// # Errors
    /// [`StoreError`]; then the step was done as a whole, or not at all.
    async fn delete(&self, deletion: &Deletion, limit: u32) -> Result<Deleted, StoreError>;

    /// Stores the fingerprint of a pepper key, unless the key has one. Returns the stored one.
    ///
    /// # Errors
    /// [`StoreError`]
    async fn key_fingerprint(&self, key: &KeyId, value: &[u8; 32]) -> Result<[u8; 32], StoreError>;
}
