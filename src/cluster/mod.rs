//! How nodes learn of changes.
//!
//! A node with a [cache](crate::Cache::for_up_to) learns of a revocation on another node within
//! milliseconds if a [`Signal`] connects them. Without a signal, or while it fails, the node learns of the revocation
//! when its cached record is too old. No promise depends on the signal: a message that is lost is not sent again.
//!
//! `PostgresSignal` is for tokens in PostgreSQL (feature `postgres`), `RedisSignal` for any store (feature `redis`). Both
//! run on tokio. [`ApiTokensBuilder::signal`](crate::ApiTokensBuilder::signal) takes one, and
//! [`ApiTokens::background`](crate::ApiTokens::background) listens to it.

mod invalidation;
pub(crate) mod signal;

pub use signal::*;
