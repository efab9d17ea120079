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
//! [`Account`] of the session, or `None`.
//! * A token of ours acts, also beside a session. A bad one is refused, also beside a good session.
//! * Without a token, the function is called once for the request, by each authenticator that has one. Its answer is not
//!   kept for other requests.
//! * If it fails, or does not answer within the [deadline](crate::ApiTokensBuilder::deadline), the answer is 503.
//! * A session without any ability is answered with 403.
//! * The limit of [`Authenticator::rate_limit`] counts tokens only. A [`Charge`](crate::limit::Charge) of a [`Guard`]
//!   counts sessions too, each owner and actor for itself.
//!
//! [`Allowed`], [`AllowedAny`], [`AllowedAll`], [`MaybeAllowed`], [`Authenticated`] and [`Guard`] accept both, and
//! dereference to the [`Caller`]. [`TokenAllowed`] and [`TokenAuthenticated`] accept tokens only.
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
//! A page of another site can make a browser send a request with the session's cookie. So a request that a session makes
//! and that may change something must come from the application's own origin: one with another method than `GET`,
//! `HEAD` and `OPTIONS`, or with `Upgrade`, as a WebSocket is opened. Otherwise the answer is 403
//! `cross_site_request`. Tokens are not concerned: no browser adds a bearer token by itself.
//!
//! `Sec-Fetch-Site` must be `same-origin` or `none`. Where it is missing, `Origin` must be the application's own: that
//! of [`Authenticator::origin`], or else the host and port that the request was sent to.
//! [`Authenticator::trusted_origins`] admits further ones. Set the own origin where TLS ends before the application, or
//! with HTTP/1 on axum: there the scheme of the request is not known, and `http` is admitted where `https` is.

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
