//! What the crate promises to those who use it, tested from outside.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod conformance;
#[cfg(all(feature = "axum", feature = "sqlite", feature = "tracing"))]
mod fleet;
#[cfg(feature = "sqlite")]
mod sqlite;
