//! A client that is refused while it still sends, on axum: the body is read on before the answer, within bounds. actix
//! does this by itself; `fleet::refusals` shows both over a socket.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use ::http::{Request as HttpRequest, Version};
use ::tower::ServiceExt;
use axum::{
    Router,
    body::{Body, Bytes},
    routing::{any, post},
};
use futures_util::{StreamExt, stream};
use keyfob::web::{Allowed, Authenticator, JsonBody, Problem, axum::TokenLayer};

use super::{
    app::Framework,
    handlers::{ServersRead, guard},
    scene::Scene,
};

const CHUNK: usize = 64 * 1024;
const MIB: usize = 1024 * 1024;

/// A body of so many chunks, that counts the bytes that are read of it.
fn body(chunks: usize) -> (Body, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let counts = read.clone();
    let chunks = stream::repeat(Bytes::from(vec![b' '; CHUNK])).take(chunks).map(move |chunk| {
        counts.fetch_add(chunk.len(), SeqCst);
        Ok::<_, Infallible>(chunk)
    });
    (Body::from_stream(chunks), read)
}

async fn allowed(_: Allowed<ServersRead>) -> &'static str {
    "allowed"
}

async fn json(_: JsonBody) -> &'static str {
    "json"
}

async fn absent() -> Problem {
    Problem::not_found()
}

/// The handler reads a part, and then refuses.
async fn partly(request: axum::extract::Request) -> Problem {
    let mut chunks = request.into_body().into_data_stream();
    chunks.next().await.unwrap().unwrap();
    Problem::new(409, "enough")
}

fn routes() -> Router {
    Router::new()
        .route("/allowed", any(allowed))
        .route("/open", any(|| async { "open" }))
        .route("/guarded", any(|| async { "open" }).layer(guard("servers:create")))
        .route("/json", post(json))
        .route("/absent", any(absent))
        .route("/partly", any(partly))
}

fn app(authenticator: Authenticator) -> Router {
    let layer = TokenLayer::new(authenticator);
    // Whatever stands around it once more has nothing left to do.
    routes().layer(layer.clone()).layer(layer)
}

fn request(scene: &Scene, path: &str, token: &str, body: Body) -> HttpRequest<Body> {
    let request = HttpRequest::post(path)
        .header("authorization", format!("Bearer {}", scene.text(token)))
        .header("content-type", "application/json");
    request.body(body).unwrap()
}

const REFUSALS: [(&str, &str, u16); 8] = [
    ("/open", "revoked", 401),
    ("/open", "none", 403),
    ("/open", "office", 403),
    ("/allowed", "create", 403),
    ("/guarded", "good", 403),
    ("/json", "good", 413),
    ("/absent", "good", 404),
    ("/partly", "good", 409),
];

#[tokio::test]
async fn what_is_still_sent_is_read_before_a_refusal_is_answered() {
    for cold in [false, true] {
        let scene = Scene::new(Framework::Axum).await;
        let app = app(scene.require());
        for (path, token, status) in REFUSALS {
            if cold {
                scene.world.store.forget();
            }
            let (body, read) = body(8 * MIB / CHUNK);
            let answer = app.clone().oneshot(request(&scene, path, token, body)).await.unwrap();
            assert_eq!((answer.status().as_u16(), read.load(SeqCst)), (status, 8 * MIB), "{path}");
        }
    }
}

#[tokio::test]
async fn a_limit_that_is_reached_is_a_refusal_as_well() {
    let scene = Scene::new(Framework::Axum).await;
    let app = app(scene.limited(1));
    for (status, expected) in [(200, 0), (429, MIB)] {
        let (body, read) = body(MIB / CHUNK);
        let answer = app.clone().oneshot(request(&scene, "/open", "good", body)).await.unwrap();
        assert_eq!((answer.status().as_u16(), read.load(SeqCst)), (status, expected));
    }
}

#[tokio::test]
async fn without_a_layer_a_body_that_is_refused_is_read_on() {
    let (body, read) = body(8 * MIB / CHUNK);
    let app = Router::new().route("/json", post(json));
    let answer = app.oneshot(HttpRequest::post("/json").body(body).unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), read.load(SeqCst)), (415, 8 * MIB));
}

#[tokio::test]
async fn no_more_than_16_mib_are_read_on() {
    let scene = Scene::new(Framework::Axum).await;
    let app = app(scene.require());
    for (path, token, status) in REFUSALS {
        let (body, read) = body(64 * MIB / CHUNK);
        let answer = app.clone().oneshot(request(&scene, path, token, body)).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let read = read.load(SeqCst);
        assert!((16 * MIB..=17 * MIB).contains(&read), "{path}: {read} bytes");
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_is_answered_all_the_same() {
    let scene = Scene::new(Framework::Axum).await;
    let silent = Body::from_stream(stream::once(pending::<Result<Bytes, Infallible>>()));
    let answer = app(scene.require()).oneshot(request(&scene, "/open", "revoked", silent)).await;
    assert_eq!(answer.unwrap().status(), 401);
}

#[tokio::test]
async fn what_was_not_asked_for_and_what_can_be_ended_by_itself_is_not_read() {
    let scene = Scene::new(Framework::Axum).await;
    let app = app(scene.require());
    for (path, token, status) in REFUSALS.into_iter().filter(|(path, ..)| *path != "/partly") {
        for (expect, version) in [(true, Version::HTTP_11), (false, Version::HTTP_2)] {
            let (body, read) = body(8 * MIB / CHUNK);
            let mut request = request(&scene, path, token, body);
            *request.version_mut() = version;
            let headers = request.headers_mut();
            headers.insert("content-length", (8 * MIB).into());
            if expect {
                headers.insert("expect", "100-continue".parse().unwrap());
            }
            let answer = app.clone().oneshot(request).await.unwrap();
            assert_eq!((answer.status().as_u16(), read.load(SeqCst)), (status, 0), "{path}");
        }
    }
}

#[tokio::test]
async fn a_request_that_is_let_through_keeps_its_body() {
    let scene = Scene::new(Framework::Axum).await;
    let app = app(scene.require());
    let answer = app.clone().oneshot(request(&scene, "/json", "good", Body::from("{}"))).await;
    assert_eq!(answer.unwrap().status(), 200);
    let (body, read) = body(8 * MIB / CHUNK);
    let answer = app.oneshot(request(&scene, "/open", "good", body)).await.unwrap();
    assert_eq!((answer.status().as_u16(), read.load(SeqCst)), (200, 0), "no refusal");
}

/// A body that may not be asked again once it is over, as streams are.
#[tokio::test]
async fn a_body_that_was_read_to_its_end_is_not_asked_again() {
    let scene = Scene::new(Framework::Axum).await;
    let whole = Router::new().route(
        "/whole",
        any(|body: Bytes| async move {
            Problem::new(409, if body.is_empty() { "empty" } else { "full" })
        }),
    );
    let app = whole.layer(TokenLayer::new(scene.require()));
    for chunks in [0, 3] {
        let chunks = stream::unfold(chunks, |left| async move {
            let chunk = Ok::<_, Infallible>(Bytes::from_static(b"chunk"));
            (left > 0).then(|| (chunk, left - 1))
        });
        let body = Body::from_stream(chunks);
        let answer = app.clone().oneshot(request(&scene, "/whole", "good", body)).await.unwrap();
        assert_eq!(answer.status(), 409);
    }
}
