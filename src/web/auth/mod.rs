//! Authentication and authorization of a request, for any framework. Adapters translate; all decisions are made here.
//!
//! An [`Authenticator`] judges a request and returns an [`AuthContext`], or the [`Problem`](crate::web::Problem) to
//! answer with. The layers of [`web::axum`](crate::web) and [`web::actix`](crate::web) do this for each request, and
//! handlers take [`Allowed`] and the other proofs as arguments. Without one of these frameworks, call
//! [`Authenticator::authenticate`].
//!
//! # Session or token
//! Many routes serve both the application's own pages, by the session of a browser, and programs, by a token. The layers
//! of both frameworks have a method `or_session` for this: an async function of the application that returns the
//! [`Account`] of the session, or `None`. The layer of the login stands outside of the token layer, so it is added after
//! it.
//! * If a request has a token of ours, the token is the caller, also if there is a session. If the token is not valid, the
//!   request is refused, also if the session is valid.
//! * If a request has no token, the function is called once. The answer is not kept for other requests. Layers of
//!   different authenticators each call their own.
//! * If the function fails, or does not answer within the [deadline](crate::ApiTokensBuilder::deadline), the answer is 503.
//! * If the session has no ability at all, the answer is 403.
//! * The limit of [`Authenticator::rate_limit`] counts tokens only. A [`Charge`](crate::limit::Charge) of a [`Guard`]
//!   counts sessions too: each pair of owner and actor for itself, unless the charge is
//!   [per owner](crate::limit::Charge::per_owner).
//! * A layer without `or_session` accepts no session, also inside of a layer that does.
//!
//! [`Guard`], [`Allowed`], [`AllowedAny`], [`AllowedAll`], [`MaybeAllowed`] and [`Authenticated`] accept both. The
//! arguments dereference to the [`Caller`]. [`TokenAllowed`] and [`TokenAuthenticated`] accept tokens only, and
//! dereference to the [`VerifiedToken`](crate::VerifiedToken).
//!
//! ```
//! use keyfob::{Owner, testing, web::{Authenticator, Realm, auth::{Account, AuthRequest}}};
//!
//! # futures_executor::block_on(async {
//! # let (tokens, _) = testing::in_memory("acme");
//! # async fn user_of(cookie: &str) -> std::io::Result<Option<u64>> { Ok(Some(42)) }
//! let authenticator = Authenticator::require(tokens, Realm::new("Acme API")?);
//! let request = AuthRequest::new("GET", "/servers").headers([("cookie", "sid=0a1b".as_bytes())]);
//! let session = async || -> std::io::Result<Option<Account>> {
//!     let Some(user) = user_of("0a1b").await? else { return Ok(None) };
//!     Ok(Owner::new(format!("user:{user}")).ok().map(Account::new))
//! };
//! let auth = authenticator.authenticate_or_session(&request, session).await?;
//! assert!(auth.caller().is_some_and(|it| it.is_session()));
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! # Requests from other sites
//! A page of another site can make a browser send a request with the session's cookie. So a session request that can
//! change something must come from the application's own origin, or from a trusted one. These are requests with a method
//! other than `GET`, `HEAD` or `OPTIONS`, and requests with `Upgrade`, such as a WebSocket handshake. Otherwise the answer
//! is 403 `cross_site_request`. Tokens are not concerned: no browser adds a bearer token by itself.
//!
//! | the request has | a session is |
//! |---|---|
//! | an `Origin` among the [trusted origins](Authenticator::trusted_origins) | admitted |
//! | `Sec-Fetch-Site: same-origin` or `none` | admitted |
//! | another `Sec-Fetch-Site` | refused |
//! | no `Sec-Fetch-Site`, and the application's own `Origin` | admitted |
//! | no `Sec-Fetch-Site`, and another `Origin`, `null` or none | refused |
//!
//! The own origin is that of [`Authenticator::origin`]. Default: the host and port that the request was sent to. Set it if
//! a proxy ends TLS, or if axum serves HTTP/1: then the scheme of a request is not known, and `http` is admitted where
//! `https` is.
//!
//! For a page on another site, browsers also ask for a cookie with `SameSite=None; Secure`, and for a CORS layer that
//! allows its origin with credentials.

mod account;
mod allowed;
mod authenticate;
mod authenticator;
mod caller;
mod charge;
mod context;
mod credentials;
mod cross_site;
#[cfg(any(feature = "axum", feature = "actix"))]
mod future;
mod guard;
#[cfg(feature = "test-util")]
#[cfg_attr(not(any(feature = "axum", feature = "actix")), expect(dead_code))]
mod guard_log;
#[cfg(any(feature = "axum", feature = "actix"))]
mod layer;
#[cfg(any(feature = "axum", feature = "actix"))]
mod on_response;
mod plain_request;
mod request_info;
#[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
mod routes;
mod session;

#[cfg(any(feature = "axum", feature = "actix"))]
pub(super) use crate::event::error_chain;
pub use account::Account;
#[cfg(any(feature = "axum", feature = "actix"))]
pub(super) use allowed::PathAbilities;
pub use allowed::{
    AbilitySet, Allowed, AllowedAll, AllowedAny, Authenticated, HandlerArgument, MaybeAllowed,
    TokenAllowed, TokenAuthenticated,
};
pub use authenticator::Authenticator;
pub use caller::Caller;
pub use context::AuthContext;
#[cfg(feature = "actix")]
pub(super) use context::Verdict;
#[cfg(any(feature = "axum", feature = "actix"))]
pub(super) use context::{Kept, Later, Step, with_context};
#[cfg(any(feature = "axum", feature = "actix"))]
pub use future::ResponseFuture;
pub use guard::Guard;
#[cfg(feature = "test-util")]
pub use guard_log::GuardLog;
#[cfg(any(feature = "axum", feature = "actix"))]
pub(super) use layer::{AuthLayer, Stage, auth_layer};
#[cfg(any(feature = "axum", feature = "actix"))]
pub(super) use on_response::OnResponse;
pub use plain_request::AuthRequest;
pub(super) use request_info::RequestInfo;
