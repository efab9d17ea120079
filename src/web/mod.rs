//! How a token arrives over HTTP, and how a refusal looks. Nothing here judges.
//!
//! The parts that know no framework: [`credentials`] reads `Authorization`, [`Problem`] is a refusal as plain values,
//! [`TokenResource`] and [`request`] are a token and the requests about it as JSON. An adapter for a framework only
//! translates.

#[cfg(feature = "axum")]
pub mod axum;
pub mod credentials;
mod problem;
pub mod request;
mod resource;

pub use problem::{Problem, Realm, RealmError};
pub use resource::{IssuedTokenResource, TokenPageResource, TokenResource};
