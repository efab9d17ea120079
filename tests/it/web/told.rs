//! What is told of requests: events without a guess, and no secret anywhere.

use base64::{Engine, prelude::BASE64_STANDARD};
use std::fmt::Write;

use super::{
    app::{Framework, Setup},
    http::{Request, get, post},
    log,
    scene::{BAD, Scene},
};
use crate::support::secret_of;

on_both! {
    what_cannot_be_read_is_reported_without_an_id
    each_refusal_is_reported_once_and_of_good_requests_the_first
    nothing_that_is_told_carries_a_secret
}

async fn what_cannot_be_read_is_reported_without_an_id(framework: Framework) {
    let scene = Scene::new(framework).await;
    let authenticator = scene.require().accept_basic().accept_header("x-api-key").unwrap();
    let client = scene.client(authenticator).await;
    let get = || get("/allowed");
    let good = scene.text("good");
    let twice = format!("Basic {}", BASE64_STANDARD.encode(format!("{good}:{good}")));
    for (request, reason) in [
        (get().with("good").with("good"), "repeated_credentials"),
        (get().header("x-api-key", "{good}").header("x-api-key", ""), "repeated_credentials"),
        (get().with("good").header("x-api-key", "{good}"), "two_credentials"),
        (get().authorization(twice.as_str()), "two_credentials"),
        (get().authorization("Basic YWNtZV9hOmFjbWVfYQ=="), "malformed"),
        (get().authorization("Bearer {good} {good}"), "malformed_credentials"),
        (get().authorization("Bearer\t{good}"), "malformed_credentials"),
        (get().authorization("Basic {good}"), "malformed_credentials"),
        (get().header("x-api-key", "{good} "), ""),
        (get().header("x-api-key", "{good}, {good}"), "malformed_credentials"),
    ] {
        client.send(request.clone()).await;
        let event = format!("Refused {{ id: None, owner: None, from: None, reason: {reason:?} }}");
        let expected = if reason.is_empty() { scene.first_use("good") } else { Some(event) };
        assert_eq!(scene.world.events.take(), Vec::from_iter(expected), "{request}");
    }
}

async fn each_refusal_is_reported_once_and_of_good_requests_the_first(framework: Framework) {
    for cold in [false, true] {
        let scene = Scene::new(framework).await;
        if cold {
            scene.world.store.forget();
        }
        let client = scene.client(scene.limited(1)).await;
        for (request, expected) in [
            (get("/allowed"), &[][..]),
            (get("/allowed").authorization("Basic eA=="), &[]),
            (get("/allowed").with("good"), &["FirstUse {"]),
            (get("/allowed").with("good"), &["RateLimited {"]),
            (get("/allowed").with("create"), &["FirstUse {", "AbilityMissing {"]),
            (get("/guarded").with("delete"), &["FirstUse {", "AbilityMissing {"]),
            (get("/open").with("none"), &["FirstUse {", "AbilityMissing {"]),
            (get("/open").with("office"), &["Refused {"]),
            (get("/open").with("revoked"), &["Refused {"]),
            (get("/open").with("unknown"), &["Refused { id: None"]),
            (get("/open").with("wrong-secret"), &["Refused { id: None"]),
            (get("/projects/4*2").with("projects"), &["FirstUse {"]),
            (get("/projects/42").with("projects"), &["RateLimited {"]),
        ] {
            client.send(request.clone()).await;
            let events = scene.world.events.take();
            assert_eq!(events.len(), expected.len(), "{request}: {events:?}");
            let mut both = events.iter().zip(expected);
            assert!(both.all(|(it, start)| it.starts_with(start)), "{request}: {events:?}");
        }
        scene.world.store.forget();
        scene.world.store.fail(&["find"]);
        assert_eq!(client.send(get("/open").with("good")).await.status, 503);
        let events = scene.world.events.take();
        assert!(events[0].starts_with("StoreFailed {"), "{events:?}");
    }
}

async fn nothing_that_is_told_carries_a_secret(framework: Framework) {
    log::listen();
    let scene = Scene::new(framework).await;
    let mut told = String::new();
    let sources = |it: keyfob::web::Authenticator| {
        it.accept_basic().accept_header("x-api-key").unwrap().draft_rate_limit_headers(true)
    };
    for setup in [
        Setup::new(sources(scene.limited(3))),
        Setup::new(sources(scene.identify())),
        Setup::new(sources(scene.require())).without_layer(),
    ] {
        writeln!(told, "{:?}", setup.authenticator).unwrap();
        let client = scene.client_of(setup).await;
        let names = BAD.iter().map(|(name, _)| *name).chain(scene.issued.keys().copied());
        for name in names {
            let ways: [fn(Request, &str) -> Request; 6] = [
                |it, name| it.with(name),
                |it, name| it.with(name).with(name),
                |it, name| it.authorization(format!("Bearer {{{name}}} x")),
                |it, name| it.authorization(format!("Basic {{{name}}}")),
                |it, name| it.header("x-api-key", format!("{{{name}}}")),
                |it, name| it.with(name).header("x-api-key", format!("{{{name}}}")),
            ];
            for way in ways {
                for request in [
                    get("/allowed"),
                    get("/projects/42"),
                    get("/misnamed/42"),
                    get("/state/two"),
                    post("/json", "{"),
                ] {
                    writeln!(told, "{}", client.send(way(request, name)).await).unwrap();
                }
            }
        }
    }
    let (events, lines) = (scene.world.events.take(), log::lines());
    assert!(events.len() > 100 && lines.len() > 100, "{} {}", events.len(), lines.len());
    writeln!(told, "{events:?}\n{lines:?}").unwrap();
    for issued in scene.issued.values() {
        assert!(!told.contains(secret_of(issued)), "{}", issued.record.id);
    }
}
