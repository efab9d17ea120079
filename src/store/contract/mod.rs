//! The rules of the store contract, as pure functions.
//!
//! A store adds two things: it keeps the records, and it runs each step atomically. Every outcome is decided here, by
//! functions that use no clock and do no I/O.

mod deletion;
mod patch;
mod rules;
#[cfg(test)]
mod tests;
mod uses;

pub use deletion::{Deleted, Deletion};
pub use patch::{Change, Expected, Patch, PatchError, Rotation, UpdateOutcome};
pub use rules::{InsertOutcome, InsertRules, RuleError, Siblings};
pub use uses::{MOST_USED_ABILITIES, Use};

/// A name, or a part of one, as names are compared by their parts: in lowercase, as Rust has it.
pub(crate) fn folded(text: &str) -> String {
    text.to_lowercase()
}
