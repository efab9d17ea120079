//! How a token arrives over HTTP, and how a refusal looks. Nothing here judges.
//!
//! The parts that know no framework: [`credentials`] reads `Authorization`, [`Problem`] is a refusal as plain values,
//! [`TokenResource`] and [`request`] are a token and the requests about it as JSON. With an adapter for a framework
//! come the `Authenticator`, which stands before a service, the arguments by which a handler says what it needs, such
//! as `Allowed`, and the `Guard` for what is known only at run time: they are the same on every framework, and give
//! the same bytes.

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(any(feature = "axum", feature = "actix"))]
mod auth;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(any(feature = "axum", feature = "actix"))]
mod body;
pub mod credentials;
mod errors;
mod problem;
mod proxies;
mod quota;
pub mod request;
mod resource;

#[cfg(all(feature = "test-util", any(feature = "axum", feature = "actix")))]
pub use auth::GuardLog;
#[cfg(any(feature = "axum", feature = "actix"))]
pub use auth::{
    AbilitySet, Allowed, AllowedAll, AllowedAny, Authenticated, Authenticator, Guard,
    HandlerArgument, MaybeAllowed,
};
#[cfg(any(feature = "axum", feature = "actix"))]
pub use body::JsonBody;
pub use problem::{Problem, Realm};
pub use proxies::TrustedProxies;
pub use resource::{IssuedTokenResource, TokenPageResource, TokenResource};
