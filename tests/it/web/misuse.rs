//! Mistakes in an application's routes: its log says which, and nobody gets in.

use keyfob::web::Problem;

use super::{
    app::{Framework, Setup, take_handled},
    http::{get, post},
    log,
    scene::{Scene, is},
};

on_both! {
    a_forgotten_layer_is_told_to_the_log_with_its_route
    a_guard_whose_parameter_its_route_does_not_have_is_told_to_the_log
    a_guard_where_no_route_is_matched_finds_nothing
    routes_that_are_built_well_write_no_line
}

#[test]
fn a_problem_whose_status_is_no_refusal_is_an_error_of_ours() {
    for status in [0, 99, 200, 301, 399, 600, 999, u16::MAX] {
        let problem = Problem::new(status, "x");
        assert_eq!((problem.status(), problem.code()), (500, "x"), "{status}");
        assert!(problem.body().contains("\"status\":500"), "{status}");
    }
    assert_eq!([400, 599].map(|it| Problem::new(it, "x").status()), [400, 599]);
}

async fn a_forgotten_layer_is_told_to_the_log_with_its_route(framework: Framework) {
    log::listen();
    let scene = Scene::new(framework).await;
    let client = scene.client_of(Setup::new(scene.require()).without_layer()).await;
    for (method, path, route) in [
        ("GET", "/allowed", "/allowed"),
        ("GET", "/maybe", "/maybe"),
        ("GET", "/any", "/any"),
        ("GET", "/all", "/all"),
        ("GET", "/authenticated", "/authenticated"),
        ("POST", "/json", "/json"),
        ("GET", "/guarded", "/guarded"),
        ("GET", "/projects/42", "/projects/{id}"),
        ("GET", "/trial/projects/42", "/trial/projects/{id}"),
        ("GET", "/charged", "/charged"),
    ] {
        let request = if method == "POST" { post(path, "{}") } else { get(path) };
        assert_eq!(client.told(request.with("good")).await, is(500, "internal"), "{path}");
        let lines = log::lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(
            lines[0],
            format!(
                "ERROR keyfob: no layer of keyfob has run before what asks for the caller: add one \
                 outside of it (the layer that is added last runs first) \
                 method={method:?} route={route:?}"
            )
        );
    }
    assert_eq!(take_handled(), 0);
    assert_eq!(scene.world.store.take_calls(), [""; 0]);
}

async fn a_guard_whose_parameter_its_route_does_not_have_is_told_to_the_log(framework: Framework) {
    log::listen();
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    for token in ["projects", "everything"] {
        let told = client.told(get("/misnamed/42").with(token)).await;
        assert_eq!(told, is(500, "internal"));
        assert_eq!(
            log::lines(),
            ["ERROR keyfob: an ability names a parameter that the route does not have \
              method=\"GET\" route=\"/misnamed/{other}\""]
        );
    }
    assert_eq!(client.told(get("/misnamed/42")).await, is(401, "missing_credentials"));
    assert_eq!(log::lines(), [""; 0], "who is nobody writes no line");
    assert_eq!(take_handled(), 0);
}

async fn a_guard_where_no_route_is_matched_finds_nothing(framework: Framework) {
    log::listen();
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.limited(60)).await;
    for (used, path) in (1..).zip(["/fallback/42", "/fallback/projects/42"]) {
        for token in ["projects", "everything"] {
            let answer = client.send(get(path).with(token)).await;
            assert_eq!(
                (answer.told(), answer.quota()),
                (is(404, "not_found"), Some((60, 60 - used)))
            );
        }
        assert_eq!(client.told(get(path)).await, is(401, "missing_credentials"));
    }
    assert_eq!((log::lines(), take_handled()), (Vec::new(), 0));
}

async fn routes_that_are_built_well_write_no_line(framework: Framework) {
    log::listen();
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    for path in ["/allowed", "/guarded", "/projects/42", "/nowhere", "/state/allowed"] {
        for token in ["good", "create", "none", "revoked"] {
            client.send(get(path).with(token)).await;
        }
    }
    assert_eq!(log::lines(), [""; 0]);
}
