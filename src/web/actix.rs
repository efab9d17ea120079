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
//! A [`Guard`] is a middleware too, for routes inside of a [`TokenMiddleware`].
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

use std::{
    future::{Ready, ready},
    net::IpAddr,
    rc::Rc,
    task::{Context, Poll},
};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::{BoxBody, EitherBody},
    dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform},
    error::InternalError,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    web::Data,
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Either, LocalBoxFuture, Shared},
};

use super::{
    Problem,
    auth::{
        AbilitySet, Allowed, AllowedAll, AllowedAny, AuthContext, AuthLayer, Authenticated,
        Authenticator, Guard, HandlerArgument, MaybeAllowed, OnResponse, RequestInfo,
        ResponseFuture, Stage, Step, auth_layer, with_context,
    },
    body::{self, Declared, JsonBody},
};

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
        // No clone may be left when the headers are changed: actix panics then.
        let step = self.check.step(&mut request.request().clone());
        hide(request.headers_mut(), self.check.further_header());
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

impl RequestInfo for HttpRequest {
    fn authorization(&self) -> impl Iterator<Item = &[u8]> {
        self.headers().get_all(header::AUTHORIZATION).map(HeaderValue::as_bytes)
    }

    fn header(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.headers().get_all(name).map(HeaderValue::as_bytes)
    }

    fn method(&self) -> &str {
        self.method().as_str()
    }

    fn path(&self) -> &str {
        self.path()
    }

    fn route(&self) -> Option<String> {
        self.match_pattern()
    }

    fn parameter(&mut self, name: &str) -> Option<String> {
        self.match_info().get(name).map(str::to_owned)
    }

    fn insert_context(&mut self, context: AuthContext) {
        self.extensions_mut().insert(context);
    }

    fn with_context<T>(&self, then: impl FnOnce(Option<&AuthContext>) -> T) -> T {
        then(self.extensions().get())
    }
}

macro_rules! handler_arguments {
    ($($argument:ident $(<$set:ident>)?),+) => {$(
        impl$(<$set: AbilitySet>)? FromRequest for $argument$(<$set>)? {
            type Error = Problem;
            type Future = Ready<Result<Self, Problem>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(with_context(request, |it| Self::from_auth(it, request)))
            }
        }
    )+};
}

handler_arguments!(Allowed<A>, AllowedAny<T>, AllowedAll<T>, MaybeAllowed<A>, Authenticated);

/// A handler argument around another, for routes without a middleware: it authenticates by itself, with the
/// [`TokenMiddleware`] in the application's data. It is a little faster. Answers of the handler don't tell of the rate
/// limit, the header is not marked as sensitive, and what no argument asks for is open.
///
/// ```
/// use actix_web::{App, web};
/// use keyfob::{testing, web::{Authenticated, Authenticator, Realm, actix::{Verified, TokenMiddleware}}};
///
/// async fn who_am_i(Verified(token): Verified<Authenticated>) -> String {
///     token.owner().to_string()
/// }
///
/// let (tokens, _) = testing::in_memory("acme");
/// let tokens = TokenMiddleware::new(Authenticator::require(tokens, Realm::new("Acme")?));
/// let app = App::new().app_data(web::Data::new(tokens)).route("/me", web::get().to(who_am_i));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verified<T>(pub T);

impl<T: HandlerArgument + 'static> FromRequest for Verified<T> {
    type Error = Problem;
    type Future =
        Either<Ready<Result<Self, Problem>>, LocalBoxFuture<'static, Result<Self, Problem>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(middleware) = request.app_data::<Data<TokenMiddleware>>() else {
            let left = |it: &AuthContext| T::from_auth(it, request).map(Self);
            return Either::Left(ready(with_context(request, left)));
        };
        let earlier = request.extensions().get::<Pending>().cloned();
        let verdict = match earlier {
            Some(Pending { by, verdict }) if by.0.is(&middleware.0) => verdict,
            _ => match middleware.0.step(request) {
                Step::Now(Ok(auth)) => return Either::Left(ready(take(auth, request))),
                Step::Now(Err(problem)) => ready(Err(problem)).boxed().shared(),
                Step::Later(verdict) => verdict.shared(),
            },
        };
        let by = TokenMiddleware::clone(middleware);
        request.extensions_mut().insert(Pending { by, verdict: verdict.clone() });
        let request = request.clone();
        Either::Right(async move { take(verdict.await?, &request) }.boxed_local())
    }
}

/// actix starts all arguments of a handler before the first is there; they wait for one verdict.
#[derive(Clone)]
struct Pending {
    by: TokenMiddleware,
    verdict: Shared<BoxFuture<'static, Result<AuthContext, Problem>>>,
}

fn take<T: HandlerArgument>(
    auth: AuthContext,
    request: &HttpRequest,
) -> Result<Verified<T>, Problem> {
    let argument = T::from_auth(&auth, request);
    auth.insert_if_absent(&mut request.clone());
    argument.map(Verified)
}

impl FromRequest for JsonBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut chunks) = (request.clone(), payload.take());
        async move {
            let value = |name| request.headers().get(name).map(HeaderValue::as_bytes);
            let declared = Declared {
                media_type: value(header::CONTENT_TYPE),
                encoding: value(header::CONTENT_ENCODING),
                length: value(header::CONTENT_LENGTH),
            };
            body::read(&mut chunks, &declared).await
        }
        .boxed_local()
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
