//! The rules of the store contract, as pure functions.
//!
//! A store adds two things: it keeps the records, and it runs each step atomically. Every outcome is decided here, by
//! functions that use no clock and do no I/O.
//!
//! | step of [`TokenStore`](super::TokenStore) | takes | answers | decided by |
//! |---|---|---|---|
//! | `peek`, `find` | ids | [`Peek`], [`Page`] | |
//! | `insert` | a record and [`InsertRules`] | [`InsertOutcome`] | [`InsertRules::decide`] |
//! | `update` | a [`Patch`] | [`UpdateOutcome`] | [`Patch::apply`], with [`Siblings`] if it has [rules](Patch::rules) |
//! | `revoke` | a [`Selection`] | [`Revoked`] | [`Selection::decide`] |
//! | `record_uses` | [`Use`]s | | [`Use::apply`] |
//! | `list`, `count` | a [`Query`], a [`Filter`] | [`Page`], [`Counts`] | [`Query::page`], [`Filter::matches`] |
//! | `delete` | a [`Deletion`] | [`Deleted`] | [`Deletion::decide`] |
//!
//! A store reads its rows into [`SharedRecord`]s by [`StoredRow`]. A store without locks can write a changed record on the
//! condition that the stored one still has the [version](crate::TokenRecord::version) that was read, and else begin
//! again; a use and a revocation don't raise the version, so compare their columns too.

mod deletion;
mod filter;
mod insert_rules;
mod list;
mod patch;
mod peek;
mod rotation;
pub(crate) mod row;
mod selection;
mod shared;
#[cfg(test)]
mod tests;
mod uses;

pub use deletion::{Deleted, Deletion};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub(crate) use filter::STATES;
pub use filter::{Counts, Filter, States};
pub use insert_rules::{InsertOutcome, InsertRules, RuleError, Siblings};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub(crate) use list::{NEVER_EXPIRES, NEVER_USED};
pub use list::{Order, Page, Position, Query, SortBy, SortKey};
pub use patch::{Change, Patch, PatchError, UpdateOutcome};
pub use peek::Peek;
pub use rotation::{Expected, Rotation};
pub use row::StoredRow;
pub use selection::{Revoked, Selection};
pub use shared::SharedRecord;
pub use uses::{MOST_USED_ABILITIES, Use};

/// How many tokens the core revokes or deletes in one step, so that no step holds others up for long.
pub(crate) const STEP: u32 = 1_000;

/// A name, or a part of one, as names are compared by their parts: in lowercase, as Rust has it.
pub(crate) fn folded(text: &str) -> String {
    text.to_lowercase()
}
