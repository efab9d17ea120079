//! The service on actix-web.

mod api;
mod translate;

use std::{
    future::{Future, ready},
    io,
    time::{Duration, Instant},
};

use actix_web::{
    Error, HttpRequest, HttpServer, Resource, ResponseError, Route,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    guard,
    http::{
        Method,
        header::{ALLOW, HeaderValue},
    },
    middleware::{Next, from_fn},
    web::{self, Data},
};
use keyfob::web::{
    JsonBody, Problem,
    actix::{Management, TokenMiddleware, management},
};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    App,
    answer::{Answer, Answered},
    log, login,
    origin::SameOrigin,
    stop,
};

pub(crate) async fn serve(
    app: App,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let tokens = TokenMiddleware::new(app.authenticator.clone())
        .client_address(|request| Some(request.peer_addr()?.ip()));
    let patience = app.patience;
    let key = app.cookie_key.clone();
    let account = move |request: HttpRequest, _| {
        ready(login::account(&key, |name| translate::values(request.headers(), name)))
    };
    let account_tokens = Management::new(tokens.clone(), account)
        .openapi(true)
        .session_cookie(login::COOKIE)
        .revoke_presented(true);
    let app = Data::new(app);
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(app.clone())
            .service(resource("/login", None, vec![(Method::POST, web::route().to(log_in))]))
            .service(resource("/logout", None, vec![(Method::POST, web::route().to(log_out))]))
            .service(management("/account/tokens", account_tokens.clone()))
            .service(web::scope("/api/v1").configure(|config| api::routes(config, &tokens)))
            .default_service(web::to(async || Problem::not_found().error_response()))
            .wrap(from_fn(log_request))
    })
    .client_request_timeout(patience.headers)
    .disable_signals()
    .shutdown_timeout(stop::PATIENCE.as_secs())
    .listen(listener.into_std()?)?
    .run();
    let handle = server.handle();
    stop::serve_until(stop, server, || drop(handle.stop(true))).await
}

/// A resource that answers HEAD as GET, and says of every other method which it has. Tokens are asked for on a route,
/// and not around them all, so that what is not there is not found without one.
fn resource(
    path: &str,
    tokens: Option<&TokenMiddleware>,
    routes: Vec<(Method, Route)>,
) -> Resource {
    let mut allow = Vec::new();
    let mut resource = web::resource(path);
    for (method, mut route) in routes {
        let mut methods = guard::Any(guard::Method(method.clone()));
        allow.push(method.to_string());
        if method == Method::GET {
            methods = methods.or(guard::Head());
            allow.push("HEAD".to_owned());
        }
        route = route.guard(methods);
        resource = resource.route(match tokens {
            Some(tokens) => route.wrap(tokens.clone()),
            None => route,
        });
    }
    let allow = allow.join(",");
    resource.default_service(web::to(move || {
        let mut response = Problem::method_not_allowed().error_response();
        if let Ok(allow) = HeaderValue::from_str(&allow) {
            response.headers_mut().insert(ALLOW, allow);
        }
        ready(response)
    }))
}

async fn log_in(_: SameOrigin, app: Data<App>, body: JsonBody) -> Answered {
    login::log_in(&app.cookie_key, &body)
}

async fn log_out(_: SameOrigin) -> Answer {
    login::log_out()
}

async fn log_request(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let (start, method) = (Instant::now(), request.method().clone());
    let patience =
        request.app_data::<Data<App>>().map_or(Duration::MAX, |app| app.patience.request);
    let Ok(response) = timeout(patience, next.call(request)).await else {
        log::request(method.as_str(), None, 408, start);
        return Err(Problem::new(408, "request_timeout").into());
    };
    let response = response?;
    let route = response.request().match_pattern();
    log::request(method.as_str(), route.as_deref(), response.status().as_u16(), start);
    Ok(response)
}
