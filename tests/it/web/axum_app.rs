//! The application on axum.

use std::{convert::Infallible, net::SocketAddr, rc::Rc};

use ::http::{HeaderValue, Request as HttpRequest, header::HeaderName, request::Parts};
use ::tower::ServiceExt;
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, FromRef, FromRequestParts},
    response::{IntoResponse, Response as AxumResponse},
    routing,
};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use keyfob::web::{
    Allowed, Authenticated, Guard, MaybeAllowed,
    axum::{TokenLayer, Verified},
};

use super::{
    app::{Address, Outer, Serve, Setup, every_route},
    handlers::*,
    http::{Request, Response},
    sessions::Sessions,
};

state_handlers!();

#[derive(Clone)]
struct App(TokenLayer);

impl FromRef<App> for TokenLayer {
    fn from_ref(app: &App) -> Self {
        app.0.clone()
    }
}

macro_rules! router {
    ($($method:ident $path:literal => $handler:ident $(, $guard:expr)?;)+) => {
        Router::new()$(.route($path, routing::$method($handler)$(.layer($guard))?))+
    };
}

pub fn serve(setup: Setup) -> Serve {
    let entrance = TokenLayer::new(setup.authenticator);
    let connection =
        |parts: &Parts| Some(parts.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip());
    let entrance = match setup.address {
        Address::Unknown => entrance,
        Address::Connection => entrance.client_address(connection),
        Address::Proxies(proxies) => entrance.client_address(move |parts| {
            let forwarded_for = parts.headers.get_all("x-forwarded-for").iter();
            proxies.client(connection(parts)?, forwarded_for.map(HeaderValue::as_bytes))
        }),
    };
    let plain = entrance.clone();
    let entrance = match setup.sessions {
        None => entrance,
        Some(sessions) => or_session(entrance, sessions),
    };
    let router: Router<App> = every_route!(router);
    let fallback = Router::new().fallback(open).layer(guard("projects:{id}:write"));
    let router = router.nest("/fallback", fallback);
    let router = if setup.layer { router.layer(entrance.clone()) } else { router };
    let router = match setup.outer {
        None => router,
        Some(Outer::Itself) => router.layer(entrance.clone()),
        Some(Outer::Another(authenticator)) => router.layer(TokenLayer::new(authenticator)),
        Some(Outer::TakesSessions(sessions)) => router.layer(or_session(plain, sessions)),
        Some(Outer::TakesNone) => router.layer(plain),
    };
    let router = router.with_state(App(entrance));
    Rc::new(move |request| {
        let router = router.clone();
        async move { answer(router.oneshot(translate(request)).await).await }.boxed_local()
    })
}

fn or_session(entrance: TokenLayer, sessions: Sessions) -> TokenLayer {
    let check = sessions.clone();
    let entrance = entrance.or_session(move |parts: &Parts| {
        let cookie = parts.headers.get("cookie").map(|it| it.to_str().unwrap().to_owned());
        let sessions = sessions.clone();
        async move { sessions.find(cookie).await }
    });
    if check.has_own_check() {
        entrance.csrf_check(|parts| parts.headers.contains_key("x-csrf-token"))
    } else {
        entrance
    }
}

pub fn translate(request: Request) -> HttpRequest<Body> {
    let mut builder = HttpRequest::builder().method(request.method).uri(request.path);
    for (name, value) in request.headers {
        builder = builder.header(name, value);
    }
    if let Some(peer) = request.peer {
        builder = builder.extension(ConnectInfo(peer));
    }
    builder.body(request.body.into()).unwrap()
}

pub async fn answer(response: Result<AxumResponse, Infallible>) -> Response {
    let (parts, body) = response.unwrap().into_parts();
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let headers = parts.headers.iter().map(header).collect();
    let body = body.collect().await.unwrap().to_bytes();
    Response::new(parts.status.as_u16(), headers, &body)
}

impl IntoResponse for OwnHeaders {
    fn into_response(self) -> AxumResponse {
        let mut response = "own headers".into_response();
        for (name, value) in Self::HEADERS {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        response
    }
}

impl<S: Sync> FromRequestParts<S> for Sensitive {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let marked = parts.headers.iter().filter(|(_, value)| value.is_sensitive());
        let mut names: Vec<_> = marked.map(|(name, _)| name.to_string()).collect();
        names.sort();
        Ok(Self(names))
    }
}
