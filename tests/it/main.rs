//! What the crate promises to those who use it, tested from outside.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod abilities;
mod addresses;
mod architecture;
mod batch;
mod bulk;
mod cache;
mod concurrency;
mod conformance;
mod damage;
mod deadline;
mod delegation;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod durability;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod engines;
mod events;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod faults;
#[cfg(all(
    feature = "actix",
    feature = "axum",
    feature = "manage",
    feature = "sqlite",
    feature = "tracing"
))]
mod fleet;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod golden;
mod hostile;
mod idle;
mod issue;
mod keyed_checksum;
mod last_used;
mod leaked;
mod limit;
mod list;
mod manage;
#[cfg(feature = "mysql")]
mod mysql;
mod notices;
mod owner_gate;
mod parsing;
mod pasted;
mod pepper;
mod policy;
#[cfg(feature = "postgres")]
mod postgres;
mod prefixes;
mod revalidate;
mod rotate;
mod secrets;
#[cfg(feature = "redis")]
mod shared_limit;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod signal;
#[cfg(all(feature = "actix", feature = "axum", feature = "manage", feature = "sqlite"))]
mod single_file;
#[cfg(feature = "sqlite")]
mod sqlite;
mod support;
mod suspend;
mod testing;
mod time_goes_on;
#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod transaction;
mod verify;
#[cfg(all(feature = "actix", feature = "axum", feature = "redis"))]
mod web;
mod within;
