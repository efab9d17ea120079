//! The service on axum.

mod api;
mod path;
mod translate;

use std::{
    future::{Future, ready},
    io,
    net::SocketAddr,
    time::Instant,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, MatchedPath, Path, Request, State},
    http::{HeaderMap, HeaderValue, header::ACCEPT, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::Listener,
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use keyfob::web::{
    JsonBody, Problem,
    axum::{Management, SettingsPage, TokenLayer, management, token_page},
    manage::Asked,
};
use tokio::{net::TcpListener, sync::oneshot, time::timeout};
use tower::util::MapRequest;

use crate::{
    App, Patience,
    answer::{Answer, Answered},
    log, login,
    origin::SameOrigin,
    page, stop,
};

pub(crate) async fn serve(
    app: App,
    mut listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let Patience { headers, .. } = app.patience;
    let routes = routes(app);
    let (begin, mut asked) = oneshot::channel::<()>();
    // `axum::serve` waits for headers without an end.
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(headers);
    let server = async move {
        let connections = GracefulShutdown::new();
        loop {
            let (stream, client) = tokio::select! {
                accepted = Listener::accept(&mut listener) => accepted,
                _ = &mut asked => break,
            };
            let arrive = move |request| arrive(request, client);
            let service = TowerToHyperService::new(MapRequest::new(routes.clone(), arrive));
            let connection = http.serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connections.watch(connection));
        }
        drop(listener);
        connections.shutdown().await;
        Ok(())
    };
    stop::serve_until(stop, server, || drop(begin)).await
}

/// What is done before a route is looked for.
fn arrive(mut request: Request<Incoming>, client: SocketAddr) -> Request {
    request.extensions_mut().insert(ConnectInfo(client));
    if let Some(uri) = path::normalized(request.uri()) {
        *request.uri_mut() = uri;
    }
    request.map(Body::new)
}

fn routes(app: App) -> Router {
    let layer = TokenLayer::new(app.authenticator.clone())
        .client_address(|parts| Some(parts.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
    let key = app.cookie_key.clone();
    let account =
        move |parts: &Parts| login::account(&key, |name| translate::values(&parts.headers, name));
    let of_account = account.clone();
    let own_page = account.clone();
    let own_page = SettingsPage::new(layer.clone(), move |parts: Parts, _| {
        ready(own_page(&parts).map_err(page::or_start))
    });
    let project_page = SettingsPage::new(layer.clone(), move |parts: Parts, asked: Asked| {
        let person = account(&parts).map_err(page::or_start);
        ready(person.and_then(|person| page::of_project(&person, &asked)))
    });
    let of_account = move |parts: Parts, _| ready(of_account(&parts));
    let account_tokens = Management::new(layer.clone(), of_account)
        .openapi(true)
        .session_cookie(login::COOKIE)
        .revoke_presented(true);
    Router::new()
        .route("/", get(|| async { Answer::html(page::START) }))
        .route("/login", post(log_in))
        .route("/login/{account}", post(enter))
        .route("/logout", post(log_out))
        .nest("/account/tokens", management(account_tokens))
        .nest("/settings/tokens", token_page(own_page.options(app.page.clone())))
        .nest(
            "/projects/{project}/settings/tokens",
            token_page(project_page.options(app.page.clone())),
        )
        .nest("/api/v1", api::routes().route_layer(layer))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn_with_state(app.clone(), log_request))
        .with_state(app)
}

async fn log_in(_: SameOrigin, State(app): State<App>, body: JsonBody) -> Answered {
    login::log_in(&app.cookie_key, &body)
}

async fn enter(_: SameOrigin, State(app): State<App>, Path(account): Path<String>) -> Answered {
    login::enter(&app.cookie_key, Some(&account))
}

async fn log_out(_: SameOrigin, headers: HeaderMap) -> Answer {
    login::log_out(Answer::after_log_out(headers.get(ACCEPT).map(HeaderValue::as_bytes)))
}

async fn log_request(State(app): State<App>, request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = timeout(app.patience.request, next.run(request)).await;
    let response =
        response.unwrap_or_else(|_| Problem::new(408, "request_timeout").into_response());
    let route = route.as_ref().map(MatchedPath::as_str);
    log::request(method.as_str(), route, response.status().as_u16(), start);
    response
}
