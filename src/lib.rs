//! API tokens for your users: issued once, stored only as hashes, verified for the price of a hash, revoked at once.
//!
//! A web service adds `keyfob` and gives it a store. Its users make named tokens with chosen abilities and an optional
//! expiry, see each token once, see when it was last used, and revoke it; their programs call the service with
//! `Authorization: Bearer`.
//!
//! ```
//! # futures_executor::block_on(async {
//! use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
//!
//! let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build()?;
//!
//! // A user who is logged in makes a token.
//! let owner = Owner::new("user:42")?;
//! let own = tokens.owned_by(&owner);
//! let issued = own.issue(NewToken::named("ci-deploy").abilities(["servers:read"])).await?;
//! let shown_once = issued.plain.expose_secret();
//!
//! // A request comes with it.
//! let token = tokens.verify(shown_once).await?;
//! assert_eq!(token.owner(), &owner);
//! assert!(token.can("servers:read") && !token.can("servers:delete"));
//!
//! // The user revokes it.
//! own.revoke(token.id()).await?;
//! assert!(tokens.verify(shown_once).await.is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # The parts
//! * [`ApiTokens`] is the one handle. It [verifies](ApiTokens::verify) tokens. [`owned_by`](ApiTokens::owned_by) gives
//!   [`OwnerTokens`], which issues, lists, changes, rotates, suspends and revokes the tokens of one owner.
//!   [`operator`](ApiTokens::operator) gives [`OperatorTokens`], for operators. [`background`](ApiTokens::background) is
//!   the one future to spawn: it writes when tokens were last used.
//! * [`abilities!`] declares what tokens may do, and `web::Allowed` in the signature of a handler requires
//!   it.
//! * The bearer of a token can [rotate](ApiTokens::rotate_presented) it, [revoke](ApiTokens::revoke_presented) it, and,
//!   if the application allows it, [issue others](ApiTokens::issue_on_behalf_of) on its behalf.
//! * [`token`] is what a token is: its [format](token::TokenFormat), its [abilities](Abilities), its
//!   [record](TokenRecord).
//! * [`store`] is where tokens are kept: in memory, in SQLite, PostgreSQL, MySQL or MariaDB, or in a store of your own
//!   that keeps the [contract](store::contract) and passes the conformance suite. [`Pending`] is what was done in a transaction of
//!   the application's, and waits for its commit.
//! * [`Policy`] sets limits and defaults: names, abilities, lifetimes, and how many tokens.
//! * [`Cache`] lets a node verify from memory, and [`cluster`] connects the nodes, so that each learns at once of a token
//!   that was changed on another. [`LastUsed`] sets how last uses are written.
//! * [`event`] has events and observers, for audit logs and metrics.
//! * [`OwnerGate`] lets the application disable an owner, and a [`Pepper`](token::Pepper) makes a copy of the database
//!   useless for making tokens.
//! * [`limit`] limits how often a token is used. [`time`] has the clocks.
//! * [`InvalidValue`] is the error of every setting and field that is not valid: its name, and the [`Rule`] that it
//!   breaks.
//! * [`web`] is how tokens arrive over HTTP and how refusals look, with adapters for axum and actix.
//!
//! # Features
//! None is on by default: the core knows no runtime and no framework.
//!
//! | feature | brings |
//! |---|---|
//! | `sqlite` | `store::SqliteStore`, through sqlx and tokio |
//! | `postgres` | `store::PostgresStore` and `cluster::PostgresSignal`, through sqlx and tokio |
//! | `mysql` | `store::MySqlStore`, for MariaDB and MySQL (untested), through sqlx and tokio |
//! | `redis` | `cluster::RedisSignal`, and `limit::RateLimiter::redis` for all nodes together |
//! | `axum` | `web::axum`: a tower layer, and handler arguments |
//! | `actix` | `web::actix`: a middleware, and the same handler arguments |
//! | `manage` | `web::manage`: routes that manage tokens, for axum and actix |
//! | `tracing` | `event::TracingObserver` |
//! | `metrics` | `event::MetricsObserver` |
//! | `test-util` | `testing`, `time::ManualClock`, `web::GuardLog`, `store::conformance`, a source of secrets that a test can replace |
//!
//! # Not here
//! Sessions, passwords, OAuth flows and JWTs: a token here is opaque, and the store knows all about it.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod api_tokens;
mod background;
pub mod cluster;
pub mod event;
mod issue;
pub mod limit;
mod manage;
#[cfg(all(
    doctest,
    feature = "actix",
    feature = "axum",
    feature = "manage",
    feature = "postgres",
    feature = "sqlite"
))]
mod readme;
#[cfg(feature = "redis")]
mod redis;
pub mod store;
#[cfg(feature = "test-util")]
pub mod testing;
pub mod time;
pub mod token;
mod verify;
pub mod web;

pub use api_tokens::{ApiTokens, ApiTokensBuilder, Cache, CheckError, LastUsed, Policy};
pub use background::Background;
pub use event::Event;
pub use issue::{IssueError, NewToken};
pub use manage::{
    ListTokens, ManageError, OperatorTokens, OwnerTokens, Pending, RotateError, TokenChange,
    TokenPage, TokenPages, TokenRotation,
};
pub use store::StoreError;
pub use token::{
    Abilities, Ability, Actor, InvalidFields, InvalidValue, IssuedToken, Owner, PlainToken,
    RateLimit, Reason, Rule, Timestamp, TokenId, TokenName, TokenRecord, TokenState,
};
pub use verify::{VerifiedToken, VerifyError, owner_gate::OwnerGate};
