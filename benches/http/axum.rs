//! The variants on axum.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Extension, Router,
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, HeaderValue, Request, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};
use futures_util::future::{Either, join_all};
use keyfob::web::{
    Allowed,
    axum::{TokenLayer, Verified},
};
use tower::{Layer, Service};

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

#[derive(Clone)]
struct State {
    records: Records,
    keyfob: TokenLayer,
}

impl FromRef<State> for TokenLayer {
    fn from_ref(state: &State) -> Self {
        state.keyfob.clone()
    }
}

type Records = Arc<Fair>;

fn variants(fixture: Fixture) -> (State, Vec<(&'static str, Router<State>)>) {
    let records = Arc::new(fixture.fair);
    let hand = HandLayer(records.clone());
    let (keyfob, limited) = server::authenticators(fixture.keyfob);
    let (keyfob, limited) = (TokenLayer::new(keyfob), TokenLayer::new(limited));
    let or_session = keyfob.clone().or_session(|_: &Parts| async { Ok::<_, Infallible>(None) });
    let variants = vec![
        ("none", route(get(list))),
        ("none-again", route(get(list))),
        ("noop-extractor", route(get(list_for::<Noop>))),
        ("noop-layer", route(get(list)).layer(NoopLayer)),
        ("hand-extractor", route(get(list_for::<User>))),
        ("hand-layer", route(get(list_for::<Extension<User>>)).layer(hand)),
        ("keyfob-extractor", route(get(list_for::<Verified<Allowed<ServersRead>>>))),
        ("keyfob-layer", route(get(list_for::<Allowed<ServersRead>>)).layer(keyfob.clone())),
        ("keyfob-layer-session", route(get(list_for::<Allowed<ServersRead>>)).layer(or_session)),
        ("keyfob-layer-limit", route(get(list_for::<Allowed<ServersRead>>)).layer(limited)),
    ];
    (State { records, keyfob }, variants)
}

fn route(handler: MethodRouter<State>) -> Router<State> {
    Router::new().route(PATH, handler)
}

async fn list() -> &'static str {
    BODY
}

async fn list_for<T>(argument: T) -> &'static str {
    black_box(&argument);
    BODY
}

pub fn serve(fixture: Fixture) {
    let (state, variants) = variants(fixture);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let serve = |(listener, router): (_, Router<State>)| {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            tokio::spawn(axum::serve(listener, router.with_state(state.clone())).into_future())
        };
        join_all(server::listen(variants).into_iter().map(serve)).await;
    });
}

fn check(records: &Fair, headers: &HeaderMap) -> Result<User, StatusCode> {
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    hand::check(records, authorization).ok_or(StatusCode::UNAUTHORIZED)
}

struct Noop;

impl<S: Sync> FromRequestParts<S> for Noop {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

impl FromRequestParts<State> for User {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, StatusCode> {
        check(&state.records, &parts.headers)
    }
}

#[derive(Clone)]
struct NoopLayer;

#[derive(Clone)]
struct NoopService<S>(S);

impl<S> Layer<S> for NoopLayer {
    type Service = NoopService<S>;

    fn layer(&self, inner: S) -> NoopService<S> {
        NoopService(inner)
    }
}

impl<S: Service<Request<B>>, B> Service<Request<B>> for NoopService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        self.0.call(request)
    }
}

#[derive(Clone)]
struct HandLayer(Records);

#[derive(Clone)]
struct HandService<S> {
    records: Records,
    inner: S,
}

impl<S> Layer<S> for HandLayer {
    type Service = HandService<S>;

    fn layer(&self, inner: S) -> HandService<S> {
        HandService { records: self.0.clone(), inner }
    }
}

impl<S: Service<Request<B>, Response = Response>, B> Service<Request<B>> for HandService<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match check(&self.records, request.headers()) {
            Ok(user) => {
                request.extensions_mut().insert(user);
                Either::Left(self.inner.call(request))
            }
            Err(status) => Either::Right(ready(Ok(status.into_response()))),
        }
    }
}
