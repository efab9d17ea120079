//! What a handler argument asks for, enforced and in report-only mode.

use super::{
    app::Framework,
    http::get,
    scene::{Scene, is},
};

on_both! {
    an_argument_lets_in_who_holds_what_it_names
    what_is_not_enforced_is_reported
    what_a_guard_does_not_enforce_is_reported
    what_is_not_enforced_lets_nobody_in_particular_through
    a_guard_and_an_argument_both_ask
}

/// Route, token, and what it answers.
const ASKED: &[(&str, &str, bool)] = &[
    ("/any", "good", true),
    ("/any", "create", true),
    ("/any", "both", true),
    ("/any", "delete", false),
    ("/any", "everything", true),
    ("/all", "good", false),
    ("/all", "create", false),
    ("/all", "both", true),
    ("/all", "create-delete", false),
    ("/all", "everything", true),
];

async fn an_argument_lets_in_who_holds_what_it_names(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    for (route, token, passes) in ASKED {
        let answer = client.send(get(*route).with(token)).await;
        let first = scene.first_use(token);
        let events = scene.world.events.take();
        if *passes {
            assert_eq!(answer.told(), is(200, "hello user:42"), "{route} {token}");
            assert_eq!(events, Vec::from_iter(first), "{route} {token}");
        } else {
            assert_eq!(answer.told(), is(403, "insufficient_scope"), "{route} {token}");
            let both = ["servers:read", "servers:create"];
            let missing = [missing(&scene, token, &both, true)];
            let told: Vec<_> = first.into_iter().chain(missing).collect();
            assert_eq!(events, told, "{route} {token}");
            assert_eq!(answer.required(), serde_json::json!(both));
        }
    }
}

fn missing(scene: &Scene, token: &str, required: &[&str], enforced: bool) -> String {
    let record = &scene.issued[token].record;
    let (id, owner) = (record.id, &record.owner);
    format!(
        "AbilityMissing {{ id: Some({id:?}), owner: {owner:?}, actor: None, required: {required:?}, enforced: {enforced}, from: None }}"
    )
}

/// Of a mixed tuple, `servers:create` is enforced and `servers:delete` is not.
const MIXED: &[&str] = &["servers:create", "servers:delete"];

async fn what_is_not_enforced_is_reported(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.identify()).await;
    let create = &MIXED[..1];
    for (route, token, status, event) in [
        ("/trial", "good", 200, Some((create, false))),
        ("/trial", "create", 200, None),
        ("/trial", "everything", 200, None),
        ("/trial/maybe", "good", 200, Some((create, false))),
        ("/trial/maybe", "create", 200, None),
        // Who holds none of them lacks the one that is enforced.
        ("/trial/any", "good", 403, Some((MIXED, true))),
        ("/trial/any", "create", 200, None),
        ("/trial/any", "delete", 200, None),
        ("/trial/none", "good", 200, Some((MIXED, false))),
        ("/trial/none", "delete", 200, None),
        ("/trial/all", "good", 403, Some((MIXED, true))),
        ("/trial/all", "delete", 403, Some((MIXED, true))),
        ("/trial/all", "create", 200, Some((MIXED, false))),
        ("/trial/all", "create-delete", 200, None),
    ] {
        let answer = client.send(get(route).with(token)).await;
        assert_eq!(answer.status, status, "{route} {token}: {answer}");
        let missing = event.map(|(required, enforced)| missing(&scene, token, required, enforced));
        let expected: Vec<_> = scene.first_use(token).into_iter().chain(missing).collect();
        assert_eq!(scene.world.events.take(), expected, "{route} {token}");
    }
    let told = client.told(get("/trial/maybe")).await;
    assert_eq!(told, is(200, "hello nobody"));
    assert_eq!(
        client.told(get("/trial")).await,
        is(401, "missing_credentials"),
        "it wants a token"
    );
    let told = client.told(get("/trial").with("none")).await;
    assert_eq!(told, is(403, "insufficient_scope"), "a token that holds nothing opens nothing");
    let missing = [missing(&scene, "none", &[], true)];
    let told: Vec<_> = scene.first_use("none").into_iter().chain(missing).collect();
    assert_eq!(scene.world.events.take(), told);
}

async fn what_a_guard_does_not_enforce_is_reported(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    let template = &["projects:{id}:write"];
    for (path, token, reported) in [
        ("/trial/projects/42", "project", false),
        ("/trial/projects/42", "projects", false),
        ("/trial/projects/43", "project", true),
        ("/trial/projects/42", "good", true),
        // No token can hold what this would ask for, not even one that holds everything.
        ("/trial/projects/4*2", "everything", true),
        ("/trial/projects/a%3Ab", "projects", true),
        ("/trial/projects/%FF", "projects", true),
    ] {
        assert_eq!(client.told(get(path).with(token)).await, is(200, "open"), "{path} {token}");
        let missing = reported.then(|| missing(&scene, token, template, false));
        let expected: Vec<_> = scene.first_use(token).into_iter().chain(missing).collect();
        assert_eq!(scene.world.events.take(), expected, "{path} {token}");
    }
}

async fn what_is_not_enforced_lets_nobody_in_particular_through(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.identify()).await;
    let trial = || get("/trial/projects/42");
    for request in [trial(), trial().authorization("Basic eA=="), trial().with("jwt")] {
        assert_eq!(client.told(request.clone()).await, is(200, "open"), "{request}");
    }
    for path in ["/projects/42", "/trial"] {
        assert_eq!(client.told(get(path)).await, is(401, "missing_credentials"), "{path}");
    }
    assert_eq!(client.told(trial().with("revoked")).await, is(401, "invalid_token"));
    assert_eq!(scene.world.events.take().len(), 1, "nobody lacks nothing");
    let client = scene.client(scene.require()).await;
    assert_eq!(client.told(trial()).await, is(401, "missing_credentials"), "no layer let it in");
}

async fn a_guard_and_an_argument_both_ask(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    for (token, required) in [
        ("create", Some(&["servers:read"][..])),
        ("good", Some(&["servers:read", "servers:create"])),
        ("both", None),
    ] {
        let answer = client.send(get("/guarded/all").with(token)).await;
        match required {
            Some(required) => assert_eq!(answer.required(), serde_json::json!(required)),
            None => assert_eq!(answer.told(), is(200, "hello user:42")),
        }
    }
}
