//! The layers around a tower service that no framework has made, and help for the tests of applications.

use std::{
    convert::Infallible,
    future::{Future, poll_fn, ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use ::http::{Request, Response};
use ::tower::{Layer, Service, ServiceExt};
use axum::body::{Body, Bytes};
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use keyfob::{
    limit::Charge,
    testing,
    token::RateLimit,
    web::{Authenticator, Guard, Realm, axum::TokenLayer},
};

use super::{
    app::Framework,
    handlers::{five, guard},
    http::get,
    scene::Scene,
};

/// A service that may be called only when it was polled ready, and once for each time.
#[derive(Default)]
struct Strict {
    ready: bool,
    calls: Arc<AtomicUsize>,
    hangs: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self { ready: false, calls: self.calls.clone(), hangs: self.hangs }
    }
}

type Answer = Result<Response<Full<Bytes>>, Infallible>;

impl Service<Request<Body>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without having been polled ready");
        self.calls.fetch_add(1, SeqCst);
        let (held, hangs) = (self.calls.clone(), self.hangs);
        Box::pin(async move {
            if hangs {
                poll_fn(|_| Poll::<()>::Pending).await;
            }
            drop(held);
            Ok(Response::new("strict".into()))
        })
    }
}

async fn call<S>(service: &mut S, token: Option<&str>) -> (u16, String)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    poll_fn(|context| service.poll_ready(context)).await.unwrap();
    let (status, body) = service.call(request(token)).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (status.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

fn request(token: Option<&str>) -> Request<Body> {
    let request = Request::get("/");
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn any_tower_service_is_called_when_it_is_ready_and_never_else() {
    for cold in [false, true] {
        let scene = Scene::new(Framework::Axum).await;
        if cold {
            scene.world.store.forget();
        }
        let strict = Strict::default();
        let guarded = guard("servers:read").layer(strict.clone());
        let mut service = TokenLayer::new(scene.limited(60)).layer(guarded);
        for calls in 1..4 {
            let good = call(&mut service, Some(scene.text("good"))).await;
            assert_eq!(good, (200, "strict".to_owned()));
            assert_eq!(call(&mut service, None).await.0, 401);
            assert_eq!(call(&mut service, Some(scene.text("create"))).await.0, 403);
            assert_eq!(strict.calls.load(SeqCst), calls);
        }
        let mut clone = service.clone();
        assert_eq!(call(&mut clone, Some(scene.text("good"))).await.0, 200);
    }
}

#[tokio::test]
async fn a_service_whose_answer_nobody_waits_for_any_more_is_dropped() {
    for cold in [false, true] {
        let scene = Scene::new(Framework::Axum).await;
        if cold {
            scene.world.store.forget();
        }
        let strict = Strict { hangs: true, ..Strict::default() };
        let mut service = TokenLayer::new(scene.require()).layer(strict.clone());
        poll_fn(|context| ready_for_body(&mut service, context)).await.unwrap();
        let mut answer = service.call(request(Some(scene.text("good"))));
        assert!(answer.poll_unpin(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(strict.calls.load(SeqCst), 1, "it was called");
        let held = Arc::strong_count(&strict.calls);
        drop(answer);
        assert!(Arc::strong_count(&strict.calls) < held, "what it held is gone");
    }
}

async fn boxed(_: Request<Body>) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    Ok(Response::new(Full::from("boxed").boxed()))
}

#[tokio::test]
async fn a_service_has_the_body_that_it_has() {
    let scene = Scene::new(Framework::Axum).await;
    let service = guard("servers:read").layer(::tower::service_fn(boxed));
    let mut service = TokenLayer::new(scene.require()).layer(service);
    let told = call(&mut service, Some(scene.text("good"))).await;
    assert_eq!(told, (200, "boxed".to_owned()));
    for (token, status) in [("create", 403), ("revoked", 401)] {
        let (refused, body) = call(&mut service, Some(scene.text(token))).await;
        assert_eq!(refused, status);
        assert!(body.starts_with("{\"type\":\"about:blank\""), "{body}");
    }
}

fn ready_for_body<S: Service<Request<Body>>>(
    service: &mut S,
    context: &mut Context<'_>,
) -> Poll<Result<(), S::Error>> {
    service.poll_ready(context)
}

#[tokio::test]
async fn a_guard_charges_a_request_once_wherever_its_clones_stand() {
    let scene = Scene::new(Framework::Axum).await;
    let once = Guard::charging(five());
    for (inner, left) in [(once.clone(), 95), (Guard::charging(five()), 90)] {
        let guarded = once.layer(inner.layer(Strict::default()));
        let service = TokenLayer::new(scene.limited(60)).layer(guarded);
        let answer = service.oneshot(request(Some(scene.text("good")))).await.unwrap();
        assert_eq!(answer.headers()["x-ratelimit-remaining"], left.to_string());
    }
}

#[tokio::test]
async fn an_authenticator_judges_once_also_with_another_one_between() {
    let scene = Scene::new(Framework::Axum).await;
    let one = TokenLayer::new(scene.limited(60));
    let other = TokenLayer::new(scene.identify());
    let service = one.layer(other.layer(one.layer(Strict::default())));
    scene.world.store.take_calls();
    let answer = service.oneshot(request(Some(scene.text("good")))).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &*scene.world.store.take_calls()),
        (200, &["peek"; 2][..])
    );
    assert_eq!(answer.headers()["x-ratelimit-remaining"], "59");
}

/// Something takes its time before a service is called.
#[derive(Clone)]
struct Paused<S> {
    pause: Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
    inner: S,
}

impl<S> Service<Request<Body>> for Paused<S>
where
    S: Service<Request<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<S::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (pause, inner) = ((self.pause)(), self.inner.clone());
        async move {
            pause.await;
            inner.oneshot(request).await
        }
        .boxed()
    }
}

/// Between two limits much time may pass, as where a middleware reads a body.
#[tokio::test]
async fn what_has_come_back_by_itself_is_not_given_back_once_more() {
    let daily = Charge::new("daily", RateLimit::new(1, time::Duration::DAY).unwrap()).unwrap();
    for milliseconds in [0, 400, 999, 1_000, 5_000] {
        let scene = Scene::new(Framework::Axum).await;
        let layer = TokenLayer::new(scene.limited(60));
        let (others, text) = (layer.layer(Strict::default()), scene.text("good").to_owned());
        let guarded = Guard::charging(daily).layer(Strict::default());
        let once = layer.layer(guarded.clone()).oneshot(request(Some(&text))).await.unwrap();
        assert_eq!(once.status(), 200);
        scene.world.clock.advance(time::Duration::HOUR);

        let (clock, meanwhile, same) = (scene.world.clock.clone(), others.clone(), text.clone());
        let pause = move || {
            clock.advance(time::Duration::milliseconds(milliseconds));
            let uses = [request(Some(&same)), request(Some(&same))];
            let uses = uses.map(|it| meanwhile.clone().oneshot(it));
            async move { drop(join_all(uses).await) }.boxed()
        };
        let service = layer.layer(Paused { pause: Arc::new(pause), inner: guarded });
        let refused = service.oneshot(request(Some(&text))).await.unwrap();
        assert_eq!(refused.status(), 429);
        let answer = others.oneshot(request(Some(&text))).await.unwrap();
        let left = &answer.headers()["x-ratelimit-remaining"];
        assert_eq!(left, "57", "three were served, also where that took {milliseconds} ms");
    }
}

/// A service that is never ready.
#[derive(Clone)]
struct Busy;

impl Service<Request<Body>> for Busy {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::default()))
    }
}

#[tokio::test]
async fn a_layer_is_ready_when_its_service_is() {
    let scene = Scene::new(Framework::Axum).await;
    let mut service = TokenLayer::new(scene.require()).layer(guard("servers:read").layer(Busy));
    let mut context = Context::from_waker(Waker::noop());
    assert!(ready_for_body(&mut service, &mut context).is_pending());
}

#[tokio::test]
async fn a_test_of_an_application_acts_as_somebody() {
    for framework in [Framework::Axum, Framework::Actix] {
        let (tokens, clock) = testing::in_memory("acme");
        let ada = testing::acting_as(&tokens, "user:7", ["servers:read"]).await;
        let eve = testing::acting_as(&tokens, "user:8", ["servers:create"]).await;
        let authenticator = Authenticator::require(tokens.clone(), Realm::new("Acme").unwrap());
        let serve = framework.serve(super::app::Setup::new(authenticator)).await;
        for (acting, expected) in
            [(&ada, (200, "hello user:7")), (&eve, (403, "insufficient_scope"))]
        {
            let (name, value) = acting.header();
            let told = serve(get("/allowed").header(name, value)).await.told();
            assert_eq!(told, (expected.0, expected.1.to_owned()));
        }
        clock.advance(time::Duration::days(365));
        let (name, value) = ada.header();
        assert_eq!(serve(get("/allowed").header(name, value)).await.status, 200, "it has no end");
    }
}
