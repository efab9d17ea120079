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
        header::{ACCEPT, ALLOW, HeaderValue},
    },
    middleware::{Next, from_fn},
    web::{self, Data},
};
use keyfob::web::{
    JsonBody, Problem,
    actix::{Management, SettingsPage, TokenMiddleware, management, token_page},
    manage::Asked,
};
use tokio::{net::TcpListener, time::timeout};

use crate::{
    App,
    answer::{Answer, Answered},
    log, login,
    origin::SameOrigin,
    page, stop,
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
    let account = move |request: &HttpRequest| {
        login::account(&key, |name| translate::values(request.headers(), name))
    };
    let of_account = account.clone();
    let own_page = account.clone();
    let own_page = SettingsPage::new(tokens.clone(), move |request: HttpRequest, _| {
        ready(own_page(&request).map_err(page::or_start))
    });
    let own_page = own_page.options(app.page.clone());
    let project_page = SettingsPage::new(tokens.clone(), move |request, asked: Asked| {
        let person = account(&request).map_err(page::or_start);
        ready(person.and_then(|person| page::of_project(&person, &asked)))
    });
    let project_page = project_page.options(app.page.clone());
    let of_account = move |request: HttpRequest, _| ready(of_account(&request));
    let account_tokens = Management::new(tokens.clone(), of_account)
        .openapi(true)
        .session_cookie(login::COOKIE)
        .revoke_presented(true);
    let app = Data::new(app);
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(app.clone())
            .service(resource("/", None, vec![(Method::GET, web::route().to(start))]))
            .service(resource("/login", None, vec![(Method::POST, web::route().to(log_in))]))
            .service(resource(
                "/login/{account}",
                None,
                vec![(Method::POST, web::route().to(enter))],
            ))
            .service(resource("/logout", None, vec![(Method::POST, web::route().to(log_out))]))
            .service(management("/account/tokens", account_tokens.clone()))
            .service(token_page("/settings/tokens", own_page.clone()))
            .service(token_page("/projects/{project}/settings/tokens", project_page.clone()))
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

async fn start() -> Answer {
    Answer::html(page::START)
}

async fn enter(_: SameOrigin, app: Data<App>, account: web::Path<String>) -> Answered {
    login::enter(&app.cookie_key, Some(&account))
}

async fn log_out(_: SameOrigin, request: HttpRequest) -> Answer {
    let accept = request.headers().get(ACCEPT).map(HeaderValue::as_bytes);
    login::log_out(Answer::after_log_out(accept))
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
