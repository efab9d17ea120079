//! The application on actix-web.

use std::{
    future::{Ready, ready},
    rc::Rc,
};

use actix_web::{
    App, Error, FromRequest, HttpRequest, HttpResponse, Responder,
    body::{BoxBody, MessageBody, to_bytes},
    dev::{Payload, Service, ServiceResponse},
    http::{Method, header::HeaderValue},
    middleware::Condition,
    test::{TestRequest, init_service},
    web,
};
use futures_util::FutureExt;
use keyfob::web::{
    Allowed, Authenticated, Guard, MaybeAllowed,
    actix::{TokenMiddleware, Verified},
};

use super::{
    app::{Address, Outer, Serve, Setup, every_route},
    handlers::*,
    http::{Request, Response},
    sessions::Sessions,
};

state_handlers!();

/// Of each name that axum has.
mod route {
    pub use actix_web::web::{get, post, route as any};
}

macro_rules! app {
    ($($method:ident $path:literal => $handler:ident $(, $guard:expr)?;)+) => {
        App::new()$(.service(
            web::resource($path)$(.wrap($guard))?.route(route::$method().to($handler))
        ))+
    };
}

pub async fn serve(setup: Setup) -> Serve {
    let entrance = entrance(&setup);
    let outer = match &setup.outer {
        Some(Outer::Another(authenticator)) => TokenMiddleware::new(authenticator.clone()),
        Some(Outer::TakesSessions(sessions)) => {
            or_session(TokenMiddleware::new(setup.authenticator.clone()), sessions.clone())
        }
        Some(Outer::TakesNone) => TokenMiddleware::new(setup.authenticator.clone()),
        Some(Outer::Itself) | None => entrance.clone(),
    };
    let fallback = web::scope("/fallback").default_service(web::to(open));
    let app = every_route!(app)
        .service(fallback.wrap(guard("projects:{id}:write")))
        .app_data(web::Data::new(entrance.clone()))
        .wrap(Condition::new(setup.layer, entrance))
        .wrap(Condition::new(setup.outer.is_some(), outer));
    erase(init_service(app).await, TestRequest::to_request)
}

pub fn entrance(setup: &Setup) -> TokenMiddleware {
    let entrance = TokenMiddleware::new(setup.authenticator.clone());
    let connection = |request: &HttpRequest| Some(request.peer_addr()?.ip());
    let entrance = match &setup.sessions {
        None => entrance,
        Some(sessions) => or_session(entrance, sessions.clone()),
    };
    match setup.address.clone() {
        Address::Unknown => entrance,
        Address::Connection => entrance.client_address(connection),
        Address::Proxies(proxies) => entrance.client_address(move |request| {
            let forwarded_for = request.headers().get_all("x-forwarded-for");
            proxies.client(connection(request)?, forwarded_for.map(HeaderValue::as_bytes))
        }),
    }
}

/// The future is none to send, as those of actix's sessions are.
fn or_session(entrance: TokenMiddleware, sessions: Sessions) -> TokenMiddleware {
    let check = sessions.clone();
    let entrance = entrance.or_session(move |request: &HttpRequest| {
        let (sessions, request) = (sessions.clone(), Rc::new(request.clone()));
        async move {
            let cookie = request.headers().get("cookie");
            sessions.find(cookie.map(|it| it.to_str().unwrap().to_owned())).await
        }
    });
    if check.has_own_check() {
        entrance.csrf_check(|request| request.headers().contains_key("x-csrf-token"))
    } else {
        entrance
    }
}

/// A service as a function; its requests are of a type that actix-web does not name.
pub fn erase<S, R, B>(service: S, finish: fn(TestRequest) -> R) -> Serve
where
    S: Service<R, Response = ServiceResponse<B>, Error = Error> + 'static,
    R: 'static,
    B: MessageBody + 'static,
{
    let service = Rc::new(service);
    Rc::new(move |request| {
        let service = service.clone();
        async move { answer(service.call(finish(translate(request))).await).await }.boxed_local()
    })
}

fn translate(request: Request) -> TestRequest {
    let method = Method::from_bytes(request.method.as_bytes()).unwrap();
    let mut built = TestRequest::with_uri(&request.path).method(method).set_payload(request.body);
    for (name, value) in request.headers {
        let value = HeaderValue::from_bytes(&value).unwrap();
        built = built.append_header((name, value));
    }
    if let Some(peer) = request.peer {
        built = built.peer_addr(peer);
    }
    built
}

async fn answer<B: MessageBody + 'static>(response: Result<ServiceResponse<B>, Error>) -> Response {
    let response: HttpResponse<BoxBody> = match response {
        Ok(response) => response.into_parts().1.map_into_boxed_body(),
        Err(error) => error.error_response(),
    };
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().into()));
    let headers = headers.collect();
    let body = to_bytes(response.into_body()).await;
    Response::new(status, headers, &body.unwrap_or_else(|error| panic!("{error}")))
}

impl Responder for OwnHeaders {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        for header in Self::HEADERS {
            response.insert_header(*header);
        }
        response.content_type("text/plain; charset=utf-8").body("own headers")
    }
}

impl FromRequest for Sensitive {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let marked = request.headers().iter().filter(|(_, value)| value.is_sensitive());
        let mut names: Vec<_> = marked.map(|(name, _)| name.to_string()).collect();
        names.sort();
        ready(Ok(Self(names)))
    }
}
