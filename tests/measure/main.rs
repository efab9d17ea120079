//! How long things take, on real servers: `scripts/measure`. No test fails for being slow.

#![allow(clippy::unwrap_used, reason = "measurements are tests")]

mod fleet;
mod million;
mod revocation;
mod support;
