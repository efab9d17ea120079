//! How long things take, on real servers: `scripts/measure`. No test fails for being slow.

#![allow(clippy::unwrap_used, reason = "measurements are tests")]

mod fleet;
mod million;
#[path = "../it/support/own_database.rs"]
mod own_database;
mod revocation;
#[path = "../it/support/servers.rs"]
mod servers;
mod support;
