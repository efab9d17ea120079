//! How a token arrives over HTTP, and how a refusal looks. Nothing here judges.
//!
//! The parts that know no framework: [`credentials`] reads `Authorization`, [`auth`] authenticates a request,
//! [`Problem`] is a refusal as plain values, [`TokenResource`] and [`request`] are a token and the requests about it as
//! JSON. With an adapter for a framework, the [`Authenticator`] stands before a service, and handlers take arguments
//! that say what they need, such as [`Allowed`]: they are the same on every framework, and give the same bytes.

#[cfg(feature = "actix")]
pub mod actix;
pub mod auth;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(any(feature = "axum", feature = "actix"))]
mod body;
pub mod credentials;
mod errors;
#[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
pub mod manage;
mod problem;
mod proxies;
mod quota;
pub mod request;
mod resource;

#[cfg(feature = "test-util")]
pub use auth::GuardLog;
pub use auth::{
    AbilitySet, Allowed, AllowedAll, AllowedAny, Authenticated, Authenticator, Guard,
    HandlerArgument, MaybeAllowed, TokenAllowed, TokenAuthenticated,
};
#[cfg(any(feature = "axum", feature = "actix"))]
pub use body::JsonBody;
pub use problem::{Problem, Realm};
pub use proxies::TrustedProxies;
pub use resource::{IssuedTokenResource, TokenPageResource, TokenResource};
