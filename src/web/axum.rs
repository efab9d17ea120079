//! axum: a layer that verifies, and handler arguments that ask for abilities.
//!
//! ```
//! use axum::{Router, routing::get};
//! use keyfob::{ApiTokens, store::MemoryStore, web::{Realm, axum::{Allowed, TokenLayer}}};
//!
//! keyfob::abilities! {
//!     pub enum PanelAbility {
//!         ServersRead = "servers:read", "List and show servers";
//!     }
//! }
//!
//! async fn list_servers(token: Allowed<ServersRead>) -> String {
//!     format!("the servers of {}", token.owner())
//! }
//!
//! let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build()?;
//! let router: Router = Router::new()
//!     .route("/servers", get(list_servers))
//!     .layer(TokenLayer::new(tokens, Realm::new("Acme API")?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;

pub use body::JsonBody;

use std::{
    future::Future,
    marker::PhantomData,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
};

use axum_core::{
    body::Body,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Request, StatusCode, header, request::Parts};
use tower_layer::Layer;
use tower_service::Service;

use crate::{ApiTokens, VerifiedToken, token::AbilityMarker};

use super::{Problem, Realm, credentials};

/// Lets a request through with a good token that holds at least one ability, and refuses every other.
#[derive(Clone, Debug)]
pub struct TokenLayer {
    tokens: ApiTokens,
    realm: Realm,
}

impl TokenLayer {
    /// A layer that verifies with these tokens; the realm stands in its challenges.
    #[must_use]
    pub fn new(tokens: ApiTokens, realm: Realm) -> Self {
        Self { tokens, realm }
    }

    async fn verify(&self, headers: &mut http::HeaderMap) -> Result<Verified, Problem> {
        let verdict = {
            let values = headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes);
            let presented = credentials::bearer(values)
                .map_err(|error| Problem::invalid_request(&self.realm, error))?
                .ok_or_else(|| Problem::missing_credentials(&self.realm))?;
            self.tokens.verify(presented).await
        };
        let token = verdict.map_err(|reason| Problem::refused(&self.realm, &reason))?;
        if token.abilities().is_none() {
            return Err(Problem::insufficient_scope(&self.realm, None));
        }
        Ok(Verified { token, realm: self.realm.clone() })
    }
}

/// What the layer leaves in a request. It is private, so that a handler can't reach the owner without saying in its
/// signature what it needs.
#[derive(Clone)]
struct Verified {
    token: VerifiedToken,
    realm: Realm,
}

impl<S> Layer<S> for TokenLayer {
    type Service = TokenService<S>;

    fn layer(&self, inner: S) -> TokenService<S> {
        TokenService { layer: self.clone(), inner }
    }
}

/// The service that [`TokenLayer`] makes.
#[derive(Clone, Debug)]
pub struct TokenService<S> {
    layer: TokenLayer,
    inner: S,
}

impl<S, B> Service<Request<B>> for TokenService<S>
where
    S: Service<Request<B>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The service that was polled ready is the one to call; the clone stays behind.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let layer = self.layer.clone();
        Box::pin(async move {
            match layer.verify(request.headers_mut()).await {
                Ok(verified) => {
                    hide(request.headers_mut());
                    request.extensions_mut().insert(verified);
                    inner.call(request).await
                }
                Err(problem) => Ok(problem.into_response()),
            }
        })
    }
}

/// Marks the credentials as sensitive, so that nobody's log of headers shows them.
fn hide(headers: &mut http::HeaderMap) {
    if let header::Entry::Occupied(mut values) = headers.entry(header::AUTHORIZATION) {
        values.iter_mut().for_each(|value| value.set_sensitive(true));
    }
}

/// A handler argument: a good token that may do `A`. Who asks for it answers 403 to every other token.
#[derive(Clone, Debug)]
pub struct Allowed<A> {
    token: VerifiedToken,
    ability: PhantomData<fn() -> A>,
}

impl<A> Deref for Allowed<A> {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.token
    }
}

/// A handler argument: a good token, whatever it may do, as long as that is something.
#[derive(Clone, Debug)]
pub struct Authenticated(VerifiedToken);

impl Deref for Authenticated {
    type Target = VerifiedToken;

    fn deref(&self) -> &VerifiedToken {
        &self.0
    }
}

/// Why a handler was not called.
#[derive(Clone, Debug)]
pub struct Rejection(Problem);

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

fn verified(parts: &Parts) -> Result<&Verified, Rejection> {
    parts.extensions.get().ok_or_else(|| {
        #[cfg(feature = "tracing")]
        tracing::error!(target: "keyfob", path = parts.uri.path(), "no TokenLayer around this route");
        Rejection(Problem::internal())
    })
}

impl<A: AbilityMarker, S: Sync> FromRequestParts<S> for Allowed<A> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let Verified { token, realm } = verified(parts)?;
        let problem = |missing| Rejection(Problem::insufficient_scope(realm, Some(&missing)));
        token.require(A::NAME).map_err(problem)?;
        Ok(Self { token: token.clone(), ability: PhantomData })
    }
}

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self(verified(parts)?.token.clone()))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body()));
        let status = StatusCode::from_u16(self.status());
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}
