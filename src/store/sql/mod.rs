//! What the SQL stores share: all steps, on an engine for each database.

mod columns;
mod end;
mod engine;
mod fold;
mod insert;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod lending;
mod list;
mod open_error;
mod read;
mod session;
mod shares;
mod statements;
mod write;

use std::collections::BTreeMap;

#[cfg(feature = "sqlite")]
pub(super) use columns::{Kind, listed};
pub(super) use columns::{Types, record};
pub(super) use engine::{Engine, Transaction, Value};
#[cfg(feature = "sqlite")]
pub(super) use engine::{Lend, Lent};
pub(super) use fold::fold_names;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) use lending::Lender;
pub use open_error::OpenError;
pub(super) use session::{SqlStore, SqlStoreOn, Steps};
#[cfg(feature = "sqlite")]
pub(super) use shares::{Share, Shares, Work};
#[cfg(all(test, feature = "sqlite"))]
pub(super) use statements::Statements;

use crate::token::TokenId;

use super::contract::Use;

/// Whether the driver could not get an answer from the server.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn is_out_of_reach(error: &sqlx::Error) -> bool {
    use sqlx::Error::{Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
    matches!(error, Io(_) | Tls(_) | Protocol(_) | PoolTimedOut | PoolClosed | WorkerCrashed)
}

/// The uses of each token in one, in order of the ids: a statement that meets a token twice would take any of the two.
pub(super) fn by_token(uses: &[Use]) -> Vec<Use> {
    let mut tokens = BTreeMap::<TokenId, Use>::new();
    for it in uses {
        let kept = tokens.entry(it.id).or_insert_with(|| it.clone());
        if kept.at < it.at {
            (kept.at, kept.from) = (it.at, it.from);
        }
        kept.abilities.extend(it.abilities.iter().cloned());
    }
    tokens.into_values().collect()
}
