//! Middlewares of the application's own around those here and inside of them: actix shows them more than axum does.

use actix_web::{
    App, Error,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::ErrorForbidden,
    http::header::{HeaderName, HeaderValue},
    middleware::{Next, from_fn},
    test::{TestRequest, init_service},
    web::{self, Data},
};
use keyfob::{
    testing,
    web::{
        Authenticated, Authenticator, GuardLog, Realm,
        actix::{TokenMiddleware, Verified},
    },
};

use super::{
    actix_app::erase,
    app::Framework,
    handlers::{allowed, hello, open},
    http::get,
    scene::{Scene, is},
};

/// Tells which headers of the request are marked as sensitive once it is answered.
async fn tell_marked(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    let headers = response.request().headers().iter();
    let marked = headers.filter(|(_, value)| value.is_sensitive());
    let mut names: Vec<_> = marked.map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let names = HeaderValue::from_str(&names.join(" ")).unwrap();
    response.headers_mut().insert(HeaderName::from_static("x-marked"), names);
    Ok(response)
}

#[tokio::test]
async fn what_was_read_is_marked_as_sensitive_for_who_stands_outside() {
    let scene = Scene::new(Framework::Actix).await;
    let authenticator = scene.limited(1).accept_header("X-Api-Key").unwrap();
    let app = App::new()
        .route("/allowed", web::get().to(allowed))
        .wrap(TokenMiddleware::new(authenticator))
        .wrap(from_fn(tell_marked));
    let client = scene.over(erase(init_service(app).await, TestRequest::to_request));
    let get = || get("/allowed").header("x-other", "{good}");
    for cold in [false, true] {
        for (request, status, marked) in [
            (get(), 401, ""),
            (get().with("good"), if cold { 429 } else { 200 }, "authorization"),
            (get().with("good"), 429, "authorization"),
            (get().with("revoked"), 401, "authorization"),
            (get().with("office"), 403, "authorization"),
            (get().with("create"), if cold { 429 } else { 403 }, "authorization"),
            (get().with("peppered"), 503, "authorization"),
            (get().authorization("Bearer {good} {good}"), 400, "authorization"),
            (get().authorization("Basic eA=="), 401, "authorization"),
            (get().with("jwt").with("good"), 400, "authorization authorization"),
            (get().header("x-api-key", "{good}"), 429, "x-api-key"),
            (get().header("x-api-key", "a").header("x-api-key", "b"), 400, "x-api-key x-api-key"),
            (get().with("good").header("x-api-key", "{good}"), 400, "authorization x-api-key"),
        ] {
            if cold {
                scene.world.store.forget();
            }
            let answer = client.send(request.clone()).await;
            assert_eq!(
                (answer.status, answer.header("x-marked")),
                (status, Some(marked)),
                "{request}"
            );
        }
    }
}

async fn refuse(_: ServiceRequest, _: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    Err(ErrorForbidden("closed on Sundays"))
}

#[tokio::test]
async fn an_error_from_inside_tells_of_the_limit_and_is_no_guard() {
    for cold in [false, true] {
        let scene = Scene::new(Framework::Actix).await;
        if cold {
            scene.world.store.forget();
        }
        let guards = GuardLog::default();
        let resource = web::resource("/open").route(web::get().to(open)).wrap(from_fn(refuse));
        let entrance = TokenMiddleware::new(scene.limited(60).record_guards(&guards));
        let app = App::new().service(resource).wrap(entrance.clone()).wrap(entrance);
        let client = scene.over(erase(init_service(app).await, TestRequest::to_request));
        let answer = client.send(get("/open").with("good")).await;
        assert_eq!(answer.told(), is(403, "closed on Sundays"));
        assert_eq!(answer.quota(), Some((60, 59)));
        assert_eq!(guards.unguarded(), ["GET /open"]);
    }
}

async fn of_users(
    _: Verified<Authenticated>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    next.call(request).await
}

async fn me(Verified(token): Verified<Authenticated>) -> String {
    hello(&token)
}

#[tokio::test]
async fn a_verdict_that_was_waited_for_is_the_one_of_its_authenticator() {
    let scene = Scene::new(Framework::Actix).await;
    let (admins, _) = testing::in_memory("admin");
    let admins = Authenticator::require(admins, Realm::new("Acme admin").unwrap());
    let admins = web::scope("/admin").app_data(Data::new(TokenMiddleware::new(admins)));
    let app = App::new()
        .app_data(Data::new(TokenMiddleware::new(scene.limited(60))))
        .service(admins.route("/me", web::get().to(me)))
        .route("/me", web::get().to(me))
        .wrap(from_fn(of_users));
    let client = scene.over(erase(init_service(app).await, TestRequest::to_request));
    for cold in [false, true] {
        for (path, expected) in
            [("/me", is(200, "hello user:42")), ("/admin/me", is(401, "invalid_token"))]
        {
            if cold {
                scene.world.store.forget();
            }
            assert_eq!(client.told(get(path).with("good")).await, expected, "{path} {cold}");
        }
    }
}
