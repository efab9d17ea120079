//! Each login, with real cookies: what a session may do, what a token may do, and which of the two acts.

use std::rc::Rc;

use actix_web::{
    App,
    cookie::Key,
    dev::{Service, ServiceResponse},
    test::{TestRequest, init_service, read_body},
};
use axum::body::Body;
use futures_util::future::LocalBoxFuture;
use http_body_util::BodyExt;
use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
use tower::ServiceExt;

/// Status, `Set-Cookie`, body.
type Answer = (u16, Option<String>, String);
type Serve = Rc<dyn Fn(Request) -> LocalBoxFuture<'static, Answer>>;

#[derive(Clone)]
struct Request {
    method: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

fn request(method: &'static str, path: &'static str) -> Request {
    let headers = vec![("host", "panel.example".to_owned())];
    Request { method, path, headers, body: "" }
}

impl Request {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

fn tokens() -> ApiTokens {
    let tokens = ApiTokens::builder(MemoryStore::new()).prefix("panel");
    tokens.declare(logins::PanelAbility::ALL).build().unwrap()
}

fn axum(tokens: ApiTokens) -> Serve {
    let app = logins::axum_login::app(tokens).unwrap();
    Rc::new(move |request| {
        let app = app.clone();
        Box::pin(async move {
            let mut built = axum::http::Request::builder().method(request.method).uri(request.path);
            for (name, value) in request.headers {
                built = built.header(name, value);
            }
            let response =
                app.oneshot(built.body(Body::from(request.body)).unwrap()).await.unwrap();
            let cookie = response.headers().get("set-cookie");
            let cookie = cookie.map(|it| it.to_str().unwrap().to_owned());
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, cookie, String::from_utf8(body.to_vec()).unwrap())
        })
    })
}

macro_rules! actix {
    ($app:expr) => {{
        let service = Rc::new(init_service($app).await);
        let serve: Serve = Rc::new(move |request| {
            let service = service.clone();
            Box::pin(async move {
                let method = request.method.parse().unwrap();
                let mut built = TestRequest::with_uri(request.path).method(method);
                for header in request.headers {
                    built = built.insert_header(header);
                }
                let built = built.set_payload(request.body).to_request();
                let response: ServiceResponse<_> = service.call(built).await.unwrap();
                let cookie = response.headers().get("set-cookie");
                let cookie = cookie.map(|it| it.to_str().unwrap().to_owned());
                let status = response.status().as_u16();
                let body = read_body(response).await;
                (status, cookie, String::from_utf8(body.to_vec()).unwrap())
            })
        });
        serve
    }};
}

async fn a_session_or_a_token(tokens: ApiTokens, serve: Serve) {
    let owner = Owner::new("user:grace").unwrap();
    let new = NewToken::named("ci").abilities(["servers:read"]);
    let issued = tokens.owned_by(&owner).issue(new).await.unwrap();
    let bearer = format!("Bearer {}", issued.plain.expose_secret());
    let list = || request("GET", "/servers");
    let create = || request("POST", "/servers");

    let (status, _, body) = serve(list()).await;
    assert_eq!((status, body.contains("missing_credentials")), (401, true), "{body}");

    let form = "application/x-www-form-urlencoded";
    let login = request("POST", "/login").with("content-type", form);
    let (status, cookie, _) = serve(Request { body: "name=ada", ..login }).await;
    assert_eq!(status, 204);
    let cookie = cookie.unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let of_ada = |request: Request| request.with("cookie", cookie);

    // The session.
    let (status, _, body) = serve(of_ada(list())).await;
    assert_eq!((status, &*body), (200, "the servers of user:ada"));
    let same = of_ada(create()).with("sec-fetch-site", "same-origin");
    assert_eq!(serve(same).await.0, 201);
    let own = of_ada(create()).with("origin", "https://panel.example");
    assert_eq!(serve(own).await.0, 201);
    let evil = of_ada(create()).with("sec-fetch-site", "cross-site");
    let (status, _, body) = serve(evil).await;
    assert_eq!((status, body.contains("cross_site_request")), (403, true), "{body}");
    assert_eq!(serve(of_ada(request("GET", "/current"))).await.0, 401, "it is no token");

    // The token, alone and beside the session.
    for request in [list(), of_ada(list())] {
        let (status, _, body) = serve(request.with("authorization", &bearer)).await;
        assert_eq!((status, &*body), (200, "the servers of user:grace"));
    }
    assert_eq!(serve(of_ada(create()).with("authorization", &bearer)).await.0, 403);
    let current = request("GET", "/current").with("authorization", &bearer);
    assert_eq!(serve(current).await.2, "ci");
    tokens.owned_by(&owner).revoke(issued.record.id).await.unwrap();
    let (status, _, body) = serve(of_ada(list()).with("authorization", &bearer)).await;
    assert_eq!((status, body.contains("invalid_token")), (401, true), "beside a live session");

    // The end of the session.
    let (status, ended, _) = serve(of_ada(request("POST", "/logout"))).await;
    assert_eq!(status, 204);
    let ended = ended.unwrap();
    let ended = list().with("cookie", ended.split(';').next().unwrap());
    assert_eq!(serve(ended).await.0, 401);
}

#[tokio::test]
async fn with_axum_login() {
    let tokens = tokens();
    let serve = axum(tokens.clone());
    a_session_or_a_token(tokens, serve).await;
}

#[actix_web::test]
async fn with_actix_session() {
    use logins::session::{routes, session_or_token, sessions};

    let tokens = tokens();
    let middleware = session_or_token(tokens.clone()).unwrap();
    let app = App::new().configure(routes(middleware)).wrap(sessions(Key::generate()));
    a_session_or_a_token(tokens, actix!(app)).await;
}

#[actix_web::test]
async fn with_actix_identity() {
    use logins::{
        identity::{routes, session_or_token},
        session::sessions,
    };

    let tokens = tokens();
    let middleware = session_or_token(tokens.clone()).unwrap();
    let app = App::new()
        .configure(routes(middleware))
        .wrap(actix_identity::IdentityMiddleware::default())
        .wrap(sessions(Key::generate()));
    a_session_or_a_token(tokens, actix!(app)).await;
}
