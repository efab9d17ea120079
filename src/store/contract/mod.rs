//! The rules of the store contract, as pure functions.
//!
//! A store adds two things: it keeps the records, and it runs each step atomically. Every outcome is decided here, by
//! functions that use no clock and do no I/O.

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
