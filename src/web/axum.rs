//! axum, and every tower service over `http` 1: a layer that authenticates, and the handler arguments.
//!
//! ```
//! use axum::{Router, routing::get};
//! use keyfob::{ApiTokens, store::MemoryStore, web::{Allowed, Authenticator, Realm, axum::TokenLayer}};
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
//! let authenticator = Authenticator::require(tokens, Realm::new("Acme API")?);
//! let router: Router = Router::new()
//!     .route("/servers", get(list_servers))
//!     .layer(TokenLayer::new(authenticator));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # One ability for many routes
//! A [`Guard`] is a layer too. It runs inside of a [`TokenLayer`], so it is added before it. With `route_layer` it runs only
//! for paths that there are: others stay 404.
//! ```
//! # use axum::{Router, routing::get};
//! # use keyfob::{testing, web::{Authenticator, Guard, Realm, axum::TokenLayer}};
//! # async fn show() {}
//! # async fn list_builds() {}
//! # let (tokens, _) = testing::in_memory("acme");
//! let read = Guard::ability(&tokens, "projects:{project}:read")?;
//! let project = Router::new()
//!     .route("/", get(show))
//!     .route("/builds", get(list_builds))
//!     .route_layer(read);
//! let router: Router = Router::new()
//!     .nest("/projects/{project}", project)
//!     .layer(TokenLayer::new(Authenticator::require(tokens, Realm::new("Acme")?)));
//! # Ok::<(), keyfob::InvalidValue>(())
//! ```
//!
//! # The client's address
//! ```
//! # use std::net::SocketAddr;
//! # use axum::extract::ConnectInfo;
//! # use keyfob::{testing, web::{Authenticator, Realm, TrustedProxies, axum::TokenLayer}};
//! # let (tokens, _) = testing::in_memory("acme");
//! # let layer = TokenLayer::new(Authenticator::require(tokens, Realm::new("Acme")?));
//! // That of the connection, served with `into_make_service_with_connect_info::<SocketAddr>()`:
//! let direct = layer.clone().client_address(|parts| Some(parts.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
//!
//! // What trusted proxies say of it:
//! let proxies = TrustedProxies::new(["10.0.0.0/8"])?;
//! let behind = layer.client_address(move |parts| {
//!     let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>()?.ip();
//!     proxies.client(connection, parts.headers.get_all("x-forwarded-for").iter().map(|it| it.as_bytes()))
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A middleware of your own
//! `axum::middleware::from_fn` takes the same arguments, inside of the layer. This one writes the caller to the span of
//! the request. `Result<Authenticated, Problem>` lets every request pass; `Authenticated` refuses one without a caller.
//! ```
//! use axum::{Router, extract::Request, middleware::{self, Next}, response::Response, routing::get};
//! use keyfob::{testing, web::{Authenticated, Authenticator, Problem, Realm, axum::TokenLayer}};
//! use tracing::{Span, field::display};
//!
//! // The span must declare both: `tracing::info_span!("request", owner = tracing::field::Empty, token_id = Empty)`.
//! async fn record(caller: Result<Authenticated, Problem>, request: Request, next: Next) -> Response {
//!     if let Ok(caller) = caller {
//!         Span::current().record("owner", display(caller.owner()));
//!         if let Some(token) = caller.token() {
//!             Span::current().record("token_id", display(token.id()));
//!         }
//!     }
//!     next.run(request).await
//! }
//!
//! # let (tokens, _) = testing::in_memory("acme");
//! let authenticator = Authenticator::identify(tokens, Realm::new("Acme")?);
//! let router: Router = Router::new()
//!     .route("/", get(async || "hello"))
//!     .layer(middleware::from_fn(record))
//!     .layer(TokenLayer::new(authenticator)); // added last, so it runs first
//! # Ok::<(), keyfob::InvalidValue>(())
//! ```

mod arguments;
#[cfg(feature = "manage")]
mod manage;
mod request;
mod unread;

use std::{
    net::IpAddr,
    task::{Context, Poll},
};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    response::{IntoResponse, Response},
};
use futures_util::{FutureExt, future::BoxFuture};
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{self, Entry},
    request::Parts,
};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    Problem,
    auth::{
        Account, AuthLayer, Authenticator, Guard, OnResponse, ResponseFuture, Stage, Step,
        auth_layer, error_chain,
    },
};

pub use arguments::Verified;
#[cfg(feature = "manage")]
pub use manage::{Management, SettingsPage, management, token_page};
use unread::{Loan, lend};

type Answer<E> = Result<Response, E>;

auth_layer! {
    /// A layer that lets in whom an [`Authenticator`] lets in.
    ///
    /// It marks the header with the token as sensitive, for all layers inside. Layers further out, such as one that
    /// traces requests, run before and see it in plain. Mark it outermost, with tower-http:
    /// `.layer(SetSensitiveRequestHeadersLayer::new([header::AUTHORIZATION]))`.
    ///
    /// # A client that is still sending
    /// hyper closes the connection after an answer to a request that was not read to its end, and such a client may see
    /// a broken pipe in place of a refusal. So the layer first reads on whenever a [`Problem`] is the answer, also one
    /// of a guard, a handler argument or a handler: at most 16 MiB and 2 seconds, for 64 requests at a time. It does
    /// not after `Expect: 100-continue`, and not on HTTP/2. The service inside therefore takes a request with axum's
    /// [`Body`].
    TokenLayer, Parts
}

/// The service that [`TokenLayer`] and [`Guard`] make.
#[derive(Clone, Debug)]
pub struct CheckedService<S> {
    check: Stage<Parts>,
    inner: S,
}

macro_rules! layers {
    ($($layer:ident),+) => {$(
        impl<S> Layer<S> for $layer {
            type Service = CheckedService<S>;

            fn layer(&self, inner: S) -> CheckedService<S> {
                CheckedService { check: self.clone().into(), inner }
            }
        }
    )+};
}

layers!(TokenLayer, Guard);

impl<S, B, R> Service<Request<B>> for CheckedService<S>
where
    S: Service<Request<Body>, Response = http::Response<R>, Error: 'static>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    R: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, Answer<S::Error>, BoxFuture<'static, Answer<S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        hide(&mut parts.headers, self.check.further_header());
        let step = self.check.step(&mut parts);
        let (body, loan) = match Body::new(body) {
            body if self.check.is_layer() => lend(&mut parts, body),
            body => (body, None),
        };
        match (step, loan) {
            (Step::Now(Err(problem)), None) => ResponseFuture::refused(Ok(answer(problem))),
            (Step::Now(Err(problem)), loan) => {
                drop(body);
                ResponseFuture::later(Box::pin(async move {
                    Ok(after(loan, None, answer(problem)).await)
                }))
            }
            (Step::Now(Ok(auth)), loan) => {
                let on_response = auth.insert(&mut parts);
                let inner = self.inner.call(Request::from_parts(parts, body));
                if loan.is_none() {
                    return ResponseFuture::passed(inner, on_response, finish);
                }
                ResponseFuture::later(Box::pin(async move {
                    let answer = finish(&on_response, inner.await)?;
                    Ok(after(loan, Some(&on_response), answer).await)
                }))
            }
            (Step::Later(verdict), loan) => {
                // The service that was polled ready is the one to call; the clone stays behind.
                let clone = self.inner.clone();
                let mut inner = std::mem::replace(&mut self.inner, clone);
                ResponseFuture::later(Box::pin(async move {
                    let auth = match verdict.await {
                        Err(problem) => {
                            drop(body);
                            return Ok(after(loan, None, answer(problem)).await);
                        }
                        Ok(auth) => auth,
                    };
                    let on_response = auth.insert(&mut parts);
                    let answer = inner.call(Request::from_parts(parts, body)).await;
                    let answer = finish(&on_response, answer)?;
                    Ok(after(loan, Some(&on_response), answer).await)
                }))
            }
        }
    }
}

/// The answer, once what waits for others is done: what the request was charged on a server is given back, and a client
/// that is refused will read it.
async fn after(loan: Option<Loan>, on_response: Option<&OnResponse>, answer: Response) -> Response {
    if let Some(refund) = on_response.and_then(|it| it.refund(answer.extensions().get())) {
        refund.await;
    }
    if let Some(loan) = loan
        && answer.extensions().get::<Problem>().is_some()
    {
        loan.pass_over().await;
    }
    answer
}

fn hide(headers: &mut HeaderMap, further: Option<&str>) {
    mark(headers.entry(header::AUTHORIZATION));
    if let Some(Ok(entry)) = further.map(|name| headers.try_entry(name)) {
        mark(entry);
    }
}

fn mark(entry: Entry<'_, HeaderValue>) {
    if let Entry::Occupied(mut values) = entry {
        values.iter_mut().for_each(|it| it.set_sensitive(true));
    }
}

fn finish<R, E>(on_response: &OnResponse, answer: Result<http::Response<R>, E>) -> Answer<E>
where
    R: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    answer.map(|response| {
        let mut response = response.map(Body::new);
        for (name, value) in on_response.headers() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().entry(name).or_insert(value);
            }
        }
        let status = response.status().as_u16();
        let answered = response.headers().get(header::WWW_AUTHENTICATE).map(HeaderValue::as_bytes);
        if let Some(challenge) = on_response.challenge(response.extensions().get(), answered)
            && let Ok(challenge) = HeaderValue::from_str(&challenge)
        {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        on_response.end(status);
        on_response.refund_at_once(response.extensions().get());
        let media_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is_encoded = response.headers().contains_key(header::CONTENT_ENCODING);
        let problem = response.extensions().get();
        if let Some(problem) = on_response.rewrite(problem, status, media_type, is_encoded) {
            let text = problem.body();
            let headers = response.headers_mut();
            headers.remove(header::CONTENT_TYPE);
            if let Ok(media_type) = HeaderValue::from_str(problem.media_type()) {
                headers.insert(header::CONTENT_TYPE, media_type);
            }
            if let Entry::Occupied(mut length) = headers.entry(header::CONTENT_LENGTH) {
                length.insert(text.len().into());
            }
            // That of an answer to HEAD is taken away already.
            if !response.body().is_end_stream() {
                *response.body_mut() = text.into();
            }
            response.extensions_mut().insert(problem);
        }
        response
    })
}

fn answer(problem: Problem) -> Response {
    let mut response = Response::new(problem.body().into());
    let status = StatusCode::from_u16(problem.status());
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in problem.headers() {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().append(name, value);
        }
    }
    response.extensions_mut().insert(problem);
    response
}

impl TokenLayer {
    /// Accepts the application's own session where a request has no token of ours. `find` returns the [`Account`] of the
    /// session, or `None`; see [session or token](crate::web::auth#session-or-token). `find` borrows the request: clone the
    /// values that the future needs before the `async move` block.
    ///
    /// ```
    /// use axum::http::request::Parts;
    /// use keyfob::{Owner, testing, web::{Authenticator, Realm, auth::Account, axum::TokenLayer}};
    ///
    /// /// Left in the request by the application's own login, further out.
    /// #[derive(Clone)]
    /// struct Session { id: u64 }
    ///
    /// /// Asks the application's database.
    /// async fn user_of(session: Session) -> std::io::Result<Option<u64>> {
    ///     # Ok(Some(session.id))
    ///     # /*
    ///     …
    ///     # */
    /// }
    ///
    /// # let (tokens, _) = testing::in_memory("acme");
    /// let layer = TokenLayer::new(Authenticator::require(tokens, Realm::new("Acme API")?))
    ///     .or_session(|parts: &Parts| {
    ///         let session = parts.extensions.get::<Session>().cloned();
    ///         async move {
    ///             let Some(session) = session else { return Ok(None) };
    ///             let Some(user) = user_of(session).await? else { return Ok(None) };
    ///             let owner = Owner::new(format!("user:{user}"))?;
    ///             Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Some(Account::new(owner)))
    ///         }
    ///     });
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    #[must_use]
    pub fn or_session<F, E>(self, find: impl Fn(&Parts) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<Account>, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        Self(self.0.or_session(move |parts, question| {
            let answer = find(parts);
            Box::pin(question.ask(answer.map(|it| it.map_err(|error| error_chain(&*error.into())))))
        }))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        answer(self)
    }
}
