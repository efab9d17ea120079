//! The service on axum.

mod account;
mod api;
mod current;
mod translate;

use std::{future::Future, io, net::SocketAddr, time::Instant};

use axum::{
    Router,
    extract::{ConnectInfo, MatchedPath, Request},
    middleware::{self, Next},
    response::Response,
};
use keyfob::web::{Problem, axum::TokenLayer};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{App, log, stop};

pub(crate) async fn serve(
    app: App,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let service = routes(app).into_make_service_with_connect_info::<SocketAddr>();
    let (begin, asked) = oneshot::channel::<()>();
    let asked = async move {
        let _ = asked.await;
    };
    let server = axum::serve(listener, service).with_graceful_shutdown(asked);
    stop::serve_until(stop, server.into_future(), || drop(begin)).await
}

fn routes(app: App) -> Router {
    let layer = TokenLayer::new(app.authenticator.clone())
        .client_address(|parts| Some(parts.extensions.get::<ConnectInfo<SocketAddr>>()?.ip()));
    Router::new()
        .merge(account::routes())
        .merge(current::routes(layer.clone()))
        .nest("/api/v1", api::routes().route_layer(layer))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(middleware::from_fn(log_request))
        .with_state(app)
}

async fn log_request(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map(MatchedPath::as_str);
    log::request(method.as_str(), route, response.status().as_u16(), start);
    response
}
