//! How long things take, on real servers: `scripts/measure`. No test fails for being slow.

#![allow(clippy::unwrap_used, reason = "measurements are tests")]

mod bulk;
#[allow(dead_code, unused_imports, unused_macros, reason = "tests need more of it")]
#[path = "../it/support/engine.rs"]
mod engine;
mod fleet;
mod million;
#[path = "../it/support/own_database.rs"]
mod own_database;
mod page;
#[allow(dead_code, reason = "tests need more of it")]
#[path = "../it/support/proxy.rs"]
mod proxy;
mod recovery;
mod revocation;
#[path = "../it/support/servers.rs"]
mod servers;
mod support;
