//! Abilities with a parameter of the route, declared once and asked for by type.

use keyfob::{ApiTokens, NewToken, Owner, Policy, store::MemoryStore, web::Guard};

use super::{
    app::{Framework, Setup},
    handlers::PanelAbility,
    http::get,
    log,
    paths::values,
    scene::{Scene, is},
    sessions::Sessions,
};

on_both! {
    an_argument_with_a_parameter_answers_as_a_guard_does
    several_abilities_are_filled_each_for_itself
    a_session_is_asked_for_what_the_path_names
    an_argument_whose_parameter_the_route_does_not_have_is_told_to_the_log
}

async fn an_argument_with_a_parameter_answers_as_a_guard_does(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.limited(60)).await;
    let mut seen = std::collections::BTreeSet::new();
    for (argument, guard) in [
        ("/typed", "/projects"),
        ("/typed/trial", "/trial/projects"),
        ("/state/typed", "/projects"),
    ] {
        for (value, _) in values() {
            for token in ["project", "projects", "everything", "good", "none", "revoked", ""] {
                let send = async |path: &str| {
                    let request = get(format!("{path}/{value}"));
                    let request = if token.is_empty() { request } else { request.with(token) };
                    scene.world.clock.advance(time::Duration::MINUTE);
                    let mut answer = client.send(request).await;
                    if answer.status == 200 {
                        answer.body = String::new();
                    }
                    let mut events = scene.world.events.take();
                    events.retain(|it| !it.starts_with("FirstUse"));
                    (answer, events)
                };
                let (argument, guard) = (send(argument).await, send(guard).await);
                assert_eq!(argument, guard, "{value} {token}");
                seen.insert(argument.0.status);
            }
        }
    }
    assert_eq!(Vec::from_iter(seen), [200, 401, 403, 404]);
}

async fn several_abilities_are_filled_each_for_itself(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.identify()).await;
    for (path, token, expected) in [
        ("/typed/any/42", "project", is(200, "hello user:42")),
        ("/typed/any/43", "project", is(403, "insufficient_scope")),
        ("/typed/any/43", "good", is(200, "hello user:42")),
        ("/typed/any/4:3", "good", is(200, "hello user:42")),
        ("/typed/any/4:3", "project", is(404, "not_found")),
        ("/typed/all/42", "project", is(403, "insufficient_scope")),
        ("/typed/all/42", "good", is(403, "insufficient_scope")),
        ("/typed/all/42", "everything", is(200, "hello user:42")),
        ("/typed/all/4:2", "everything", is(404, "not_found")),
        ("/typed/maybe/42", "", is(200, "hello nobody")),
        ("/typed/maybe/42", "project", is(200, "hello user:42")),
        ("/typed/maybe/43", "project", is(403, "insufficient_scope")),
    ] {
        let request = if token.is_empty() { get(path) } else { get(path).with(token) };
        let answer = client.send(request).await;
        assert_eq!(answer.told(), expected, "{path} {token}");
        if answer.status == 403 && !path.contains("maybe") {
            assert_eq!(
                answer.required(),
                serde_json::json!(["projects:{id}:write", "servers:read"])
            );
        }
    }
}

async fn a_session_is_asked_for_what_the_path_names(framework: Framework) {
    let scene = Scene::new(framework).await;
    let setup = Setup::new(scene.require()).or_session(&Sessions::default());
    let client = scene.client_of(setup).await;
    for (path, status) in [("/typed/42", 200), ("/typed/43", 403), ("/typed/4:2", 404)] {
        let answer = client.send(get(path).header("cookie", "sid=reader")).await;
        assert_eq!(answer.status, status, "{path}");
    }
}

async fn an_argument_whose_parameter_the_route_does_not_have_is_told_to_the_log(
    framework: Framework,
) {
    log::listen();
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    for path in ["/typed/misnamed/42", "/state/typed/misnamed/42"] {
        let told = client.told(get(path).with("everything")).await;
        assert_eq!(told, is(500, "internal"));
        let route = path.replace("42", "{other}");
        assert_eq!(
            log::lines(),
            [format!(
                "ERROR keyfob: an ability names a parameter that the route does not have \
                 method=\"GET\" route={route:?}"
            )]
        );
        assert_eq!(client.told(get(path)).await, is(401, "missing_credentials"));
        assert_eq!(log::lines(), [""; 0], "nobody writes no line");
    }
}

#[tokio::test]
async fn what_fits_no_declared_ability_is_refused() {
    let builder = || ApiTokens::builder(MemoryStore::new()).prefix("acme");
    let tokens = builder().declare(PanelAbility::ALL).build().unwrap();
    let issue = async |ability: &str| {
        let new = NewToken::new(Owner::new("user:42").unwrap(), "ci").abilities([ability]);
        tokens.issue(new).await.is_ok()
    };
    for (ability, is_good) in [
        ("projects:7:write", true),
        ("projects:*", true),
        ("projects:7:*", true),
        ("projects:7:write:*", false),
        ("projects::write", false),
        ("projects:7:wrte", false),
        ("projects:{id}:write", false),
        ("project:7:write", false),
        ("projects:7", false),
        ("servers:*", true),
    ] {
        assert_eq!(issue(ability).await, is_good, "{ability}");
        let defaults = keyfob::Abilities::set([ability]);
        let policy = defaults.map(|it| Policy::new().default_abilities(it));
        let built = policy.map(|it| builder().declare(PanelAbility::ALL).policy(it).build());
        assert_eq!(built.is_ok_and(|it| it.is_ok()), is_good, "{ability}");
    }
    let undeclared = builder().build().unwrap();
    for (text, is_good) in [
        ("servers:read", true),
        ("projects:{project}:write", true),
        ("projects:7:write", true),
        ("{kind}:{id}:write", true),
        ("projects:{project}:wrte", false),
        ("projects:{project}", false),
        ("server:read", false),
    ] {
        assert_eq!(Guard::ability(&tokens, text).is_ok(), is_good, "{text}");
        assert!(Guard::ability(&undeclared, text).is_ok(), "{text}");
    }
    assert_eq!(Guard::ability(&tokens, "server:read").unwrap_err().name, "guard");
    for bad in ["", "projects:*", "projects:{}:write", "a b"] {
        assert!(Guard::ability(&undeclared, bad).is_err(), "{bad}");
    }
}
