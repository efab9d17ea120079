//! actix-web 4: a middleware that authenticates, and the handler arguments.
//!
//! ```
//! use actix_web::{App, web};
//! use keyfob::{ApiTokens, store::MemoryStore, web::{Allowed, Authenticator, Realm, actix::TokenMiddleware}};
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
//! let app = App::new()
//!     .route("/servers", web::get().to(list_servers))
//!     .wrap(TokenMiddleware::new(authenticator));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # One ability for many routes
//! A [`Guard`] is a middleware too. It runs inside of a [`TokenMiddleware`], so it is added before it, or on a scope inside.
//! ```
//! # use actix_web::{App, web};
//! # use keyfob::{testing, web::{Authenticator, Guard, Realm, actix::TokenMiddleware}};
//! # async fn show() -> &'static str { "" }
//! # async fn list_builds() -> &'static str { "" }
//! # let (tokens, _) = testing::in_memory("acme");
//! let read = Guard::ability(&tokens, "projects:{project}:read")?;
//! let project = web::scope("/projects/{project}")
//!     .route("", web::get().to(show))
//!     .route("/builds", web::get().to(list_builds))
//!     .wrap(read);
//! let app = App::new()
//!     .service(project)
//!     .wrap(TokenMiddleware::new(Authenticator::require(tokens, Realm::new("Acme")?)));
//! # Ok::<(), keyfob::InvalidValue>(())
//! ```
//!
//! # The client's address
//! ```
//! # use keyfob::{testing, web::{Authenticator, Realm, TrustedProxies, actix::TokenMiddleware}};
//! # let (tokens, _) = testing::in_memory("acme");
//! # let middleware = TokenMiddleware::new(Authenticator::require(tokens, Realm::new("Acme")?));
//! // That of the connection:
//! let direct = middleware.clone().client_address(|request| Some(request.peer_addr()?.ip()));
//!
//! // What trusted proxies say of it:
//! let proxies = TrustedProxies::new(["10.0.0.0/8"])?;
//! let behind = middleware.client_address(move |request| {
//!     let connection = request.peer_addr()?.ip();
//!     proxies.client(connection, request.headers().get_all("x-forwarded-for").map(|it| it.as_bytes()))
//! });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A middleware of your own
//! `actix_web::middleware::from_fn` takes the same arguments, inside of the middleware. This one writes the caller to the
//! span of the request. `Result<Authenticated, Problem>` lets every request pass; `Authenticated` refuses one without a
//! caller.
//! ```
//! use actix_web::{App, Error, body::MessageBody, dev::{ServiceRequest, ServiceResponse}, middleware::{Next, from_fn}, web};
//! use keyfob::{testing, web::{Authenticated, Authenticator, Problem, Realm, actix::TokenMiddleware}};
//! use tracing::{Span, field::display};
//!
//! // The span must declare both: `tracing::info_span!("request", owner = tracing::field::Empty, token_id = Empty)`.
//! async fn record(
//!     caller: Result<Authenticated, Problem>,
//!     request: ServiceRequest,
//!     next: Next<impl MessageBody>,
//! ) -> Result<ServiceResponse<impl MessageBody>, Error> {
//!     if let Ok(caller) = caller {
//!         Span::current().record("owner", display(caller.owner()));
//!         if let Some(token) = caller.token() {
//!             Span::current().record("token_id", display(token.id()));
//!         }
//!     }
//!     next.call(request).await
//! }
//!
//! # let (tokens, _) = testing::in_memory("acme");
//! let authenticator = Authenticator::identify(tokens, Realm::new("Acme")?);
//! let app = App::new()
//!     .route("/", web::get().to(async || "hello"))
//!     .wrap(from_fn(record))
//!     .wrap(TokenMiddleware::new(authenticator)); // added last, so it runs first
//! # Ok::<(), keyfob::InvalidValue>(())
//! ```

mod arguments;
#[cfg(feature = "manage")]
mod manage;
mod request;

use std::{
    future::{Ready, ready},
    net::IpAddr,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, HttpRequest, HttpResponse, ResponseError,
    body::{BoxBody, EitherBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    error::InternalError,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, LocalBoxFuture},
};

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

type Answer<B> = Result<ServiceResponse<EitherBody<B>>, Error>;

auth_layer! {
    /// A middleware that lets in whom an [`Authenticator`] lets in. Make one outside of the closure that makes the app,
    /// and clone it inside, so that all workers share their counts.
    ///
    /// It changes a header of the request, to mark it as sensitive. As for actix's own routing, no middleware further
    /// out may keep a clone of the `HttpRequest` meanwhile: actix panics then.
    ///
    /// Middlewares further out, such as one that logs requests, run before and see the token in plain: let them leave
    /// `Authorization` out.
    TokenMiddleware, HttpRequest
}

/// The service that [`TokenMiddleware`] and [`Guard`] make.
#[derive(Debug)]
pub struct CheckedService<S> {
    check: Stage<HttpRequest>,
    inner: Rc<S>,
}

macro_rules! middlewares {
    ($($middleware:ident),+) => {$(
        impl<S, B> Transform<S, ServiceRequest> for $middleware
        where
            S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
            B: 'static,
        {
            type Response = ServiceResponse<EitherBody<B>>;
            type Error = Error;
            type Transform = CheckedService<S>;
            type InitError = ();
            type Future = Ready<Result<CheckedService<S>, ()>>;

            fn new_transform(&self, inner: S) -> Self::Future {
                ready(Ok(CheckedService { check: self.clone().into(), inner: Rc::new(inner) }))
            }
        }
    )+};
}

middlewares!(TokenMiddleware, Guard);

impl<S, B> Service<ServiceRequest> for CheckedService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = ResponseFuture<S::Future, Answer<B>, LocalBoxFuture<'static, Answer<B>>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        // First, because a stage that waits can keep a clone of the request: actix panics if the headers are changed then.
        hide(request.headers_mut(), self.check.further_header());
        let step = self.check.step(&mut request.request().clone());
        match step {
            Step::Now(Err(problem)) => ResponseFuture::refused(Ok(refuse(request, &problem))),
            Step::Now(Ok(auth)) => {
                let on_response = auth.insert(&mut request.request().clone());
                ResponseFuture::passed(self.inner.call(request), on_response, finish)
            }
            Step::Later(verdict) => {
                let inner = self.inner.clone();
                ResponseFuture::later(Box::pin(async move {
                    match verdict.await {
                        Err(problem) => Ok(refuse(request, &problem)),
                        Ok(auth) => {
                            let on_response = auth.insert(&mut request.request().clone());
                            finish_after_refund(&on_response, inner.call(request).await).await
                        }
                    }
                }))
            }
        }
    }
}

fn refuse<B>(request: ServiceRequest, problem: &Problem) -> ServiceResponse<EitherBody<B>> {
    request.into_response(problem.error_response()).map_into_right_body()
}

fn hide(headers: &mut HeaderMap, further: Option<&str>) {
    mark(headers, &header::AUTHORIZATION);
    if let Some(Ok(name)) = further.map(HeaderName::try_from) {
        mark(headers, &name);
    }
}

fn mark(headers: &mut HeaderMap, name: &HeaderName) {
    if headers.get_all(name).nth(1).is_none() {
        headers.get_mut(name).into_iter().for_each(|it| it.set_sensitive(true));
    } else {
        // Of several, actix lends only the first.
        for mut value in headers.remove(name) {
            value.set_sensitive(true);
            headers.append(name.clone(), value);
        }
    }
}

fn finish<B>(on_response: &OnResponse, answer: Result<ServiceResponse<B>, Error>) -> Answer<B> {
    finish_with_refund(on_response, answer).0
}

/// As [`finish`], and waits until a server has the refund.
async fn finish_after_refund<B>(
    on_response: &OnResponse,
    answer: Result<ServiceResponse<B>, Error>,
) -> Answer<B> {
    let (answer, refund) = finish_with_refund(on_response, answer);
    if let Some(refund) = refund {
        refund.await;
    }
    answer
}

fn finish_with_refund<B>(
    on_response: &OnResponse,
    answer: Result<ServiceResponse<B>, Error>,
) -> (Answer<B>, Option<BoxFuture<'static, ()>>) {
    match answer {
        Ok(response) => {
            let (request, response) = response.into_parts();
            let (response, refund) = finish_response(on_response, response);
            (Ok(ServiceResponse::new(request, response)), refund)
        }
        // An error has its response only once.
        Err(error) => {
            let (response, refund) = finish_response(on_response, error.error_response());
            let response = response.map_into_boxed_body();
            (Err(InternalError::from_response(error, response).into()), refund)
        }
    }
}

fn finish_response<B>(
    on_response: &OnResponse,
    mut response: HttpResponse<B>,
) -> (HttpResponse<EitherBody<B>>, Option<BoxFuture<'static, ()>>) {
    let headers = response.headers_mut();
    for (name, value) in on_response.headers() {
        if let Ok(value) = HeaderValue::from_str(&value)
            && !headers.contains_key(name)
        {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let status = response.status().as_u16();
    let answered = response.headers().get(header::WWW_AUTHENTICATE).map(HeaderValue::as_bytes);
    let challenge = on_response.challenge(response.extensions().get(), answered);
    if let Some(challenge) = challenge.and_then(|it| HeaderValue::from_str(&it).ok()) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    on_response.end(status);
    on_response.refund_at_once(response.extensions().get());
    let refund = on_response.refund(response.extensions().get());
    let problem = {
        let media_type = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let is_encoded = response.headers().contains_key(header::CONTENT_ENCODING);
        on_response.rewrite(response.extensions().get(), status, media_type, is_encoded)
    };
    let response = match problem {
        None => response.map_into_left_body(),
        Some(problem) => {
            let headers = response.headers_mut();
            headers.remove(header::CONTENT_TYPE);
            if let Ok(media_type) = HeaderValue::from_str(problem.media_type()) {
                headers.insert(header::CONTENT_TYPE, media_type);
            }
            let text = problem.body();
            response.extensions_mut().insert(problem);
            response.map_body(|_, _| EitherBody::right(BoxBody::new(text)))
        }
    };
    (response, refund)
}

impl TokenMiddleware {
    /// Accepts the application's own session where a request has no token of ours. `find` returns the [`Account`] of the
    /// session, or `None`; see [session or token](crate::web::auth#session-or-token). The future need not be `Send`. It can
    /// own clones of the `HttpRequest`, and must drop them before it completes: otherwise actix panics.
    ///
    /// ```
    /// use actix_web::{HttpMessage, HttpRequest};
    /// use keyfob::{Owner, testing, web::{Authenticator, Realm, actix::TokenMiddleware, auth::Account}};
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
    /// let middleware = TokenMiddleware::new(Authenticator::require(tokens, Realm::new("Acme API")?))
    ///     .or_session(|request: &HttpRequest| {
    ///         let session = request.extensions().get::<Session>().cloned();
    ///         async move {
    ///             let Some(session) = session else { return Ok(None) };
    ///             let Some(user) = user_of(session).await? else { return Ok(None) };
    ///             let owner = Owner::new(format!("user:{user}"))?;
    ///             Ok::<_, Box<dyn std::error::Error>>(Some(Account::new(owner)))
    ///         }
    ///     });
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
    #[must_use]
    pub fn or_session<F, E>(self, find: impl Fn(&HttpRequest) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<Account>, E>> + 'static,
        E: Into<Box<dyn std::error::Error>> + 'static,
    {
        Self(self.0.or_session(move |request, question| {
            let answer = find(request);
            Box::pin(question.ask(answer.map(|it| it.map_err(|error| error_chain(&*error.into())))))
        }))
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::with_body(self.status_code(), BoxBody::new(self.body()));
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
        response.extensions_mut().insert(self.clone());
        response
    }
}
