//! The variants on actix-web.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, Error, FromRequest, Handler, HttpMessage, HttpRequest, HttpServer, Resource, Responder,
    dev::{
        HttpServiceFactory, Payload, Service, ServiceRequest, ServiceResponse, Transform,
        forward_ready,
    },
    error::ErrorUnauthorized,
    http::header::{self, HeaderMap, HeaderValue},
    rt::System,
    web::{self, Data, ReqData, ServiceConfig},
};
use futures_util::future::{Either, join_all};
use keyfob::web::{
    Allowed,
    actix::{TokenMiddleware, Verified},
};

use crate::{
    BODY, PATH,
    bound::Fair,
    fixture::Fixture,
    hand::{self, User},
    server,
};

keyfob::abilities! {
    enum PanelAbility {
        ServersRead = "servers:read", "List and show servers";
    }
}

type Records = Data<Fair>;

/// What makes the resource of a variant, once for each worker.
type Configure = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

fn variants(fixture: Fixture) -> (Records, Vec<(&'static str, Configure)>) {
    let records = Data::new(fixture.fair);
    let hand = HandLayer(records.clone());
    let (keyfob, limited) = server::authenticators(fixture.keyfob);
    let (keyfob, limited) = (TokenMiddleware::new(keyfob), TokenMiddleware::new(limited));
    let state = Data::new(keyfob.clone());
    let or_session =
        keyfob.clone().or_session(|_: &HttpRequest| async { Ok::<_, Infallible>(None) });
    let variants = vec![
        ("none", configure(|| route(list))),
        ("none-again", configure(|| route(list))),
        ("noop-extractor", configure(|| route(list_for::<Noop>))),
        ("noop-layer", configure(|| route(list).wrap(NoopLayer))),
        ("hand-extractor", configure(|| route(list_for::<User>))),
        ("hand-layer", configure(move || route(list_for::<ReqData<User>>).wrap(hand.clone()))),
        (
            "keyfob-extractor",
            configure(move || {
                route(list_for::<Verified<Allowed<ServersRead>>>).app_data(state.clone())
            }),
        ),
        (
            "keyfob-layer",
            configure(move || route(list_for::<Allowed<ServersRead>>).wrap(keyfob.clone())),
        ),
        (
            "keyfob-layer-session",
            configure(move || route(list_for::<Allowed<ServersRead>>).wrap(or_session.clone())),
        ),
        (
            "keyfob-layer-limit",
            configure(move || route(list_for::<Allowed<ServersRead>>).wrap(limited.clone())),
        ),
    ];
    (records, variants)
}

fn configure<R: HttpServiceFactory + 'static>(
    resource: impl Fn() -> R + Send + Sync + 'static,
) -> Configure {
    Arc::new(move |config| {
        config.service(resource());
    })
}

fn route<A: FromRequest + 'static>(handler: impl Handler<A, Output: Responder>) -> Resource {
    web::resource(PATH).route(web::get().to(handler))
}

async fn list() -> &'static str {
    BODY
}

async fn list_for<T>(argument: T) -> &'static str {
    black_box(&argument);
    BODY
}

pub fn serve(fixture: Fixture) {
    let (records, variants) = variants(fixture);
    System::new().block_on(async {
        let serve = |(listener, configure): (_, Configure)| {
            let records = records.clone();
            let app = move || App::new().app_data(records.clone()).configure(|it| configure(it));
            // Nobody is to be hung up on between two turns.
            let server = HttpServer::new(app).workers(1).keep_alive(Duration::from_secs(600));
            server.listen(listener).unwrap().run()
        };
        join_all(server::listen(variants).into_iter().map(serve)).await;
    });
}

fn check(records: &Fair, headers: &HeaderMap) -> Result<User, Error> {
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    hand::check(records, authorization).ok_or_else(|| ErrorUnauthorized(""))
}

struct Noop;

impl FromRequest for Noop {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self))
    }
}

impl FromRequest for User {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let records = request.app_data::<Records>().unwrap();
        ready(check(records, request.headers()))
    }
}

struct NoopLayer;

struct NoopService<S> {
    inner: S,
}

impl<S, B> Transform<S, ServiceRequest> for NoopLayer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type InitError = ();
    type Transform = NoopService<S>;
    type Future = Ready<Result<NoopService<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(NoopService { inner }))
    }
}

impl<S, B> Service<ServiceRequest> for NoopService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = S::Future;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> S::Future {
        self.inner.call(request)
    }
}

#[derive(Clone)]
struct HandLayer(Records);

struct HandService<S> {
    records: Records,
    inner: S,
}

impl<S, B> Transform<S, ServiceRequest> for HandLayer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type InitError = ();
    type Transform = HandService<S>;
    type Future = Ready<Result<HandService<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(HandService { records: self.0.clone(), inner }))
    }
}

impl<S, B> Service<ServiceRequest> for HandService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Either<S::Future, Ready<Result<ServiceResponse<B>, Error>>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        match check(&self.records, request.headers()) {
            Ok(user) => {
                request.extensions_mut().insert(user);
                Either::Left(self.inner.call(request))
            }
            Err(error) => Either::Right(ready(Err(error))),
        }
    }
}
