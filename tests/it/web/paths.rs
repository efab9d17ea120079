//! Abilities that are built from the path.

use super::{
    app::Framework,
    http::get,
    log,
    scene::{Scene, is},
};

on_both! {
    a_value_of_the_path_is_one_segment_or_there_is_no_such_thing
    only_the_project_that_a_token_names_is_open_to_it
    what_stands_in_the_path_is_told_to_nobody
    two_parameters_are_two_segments
}

/// What stands in the path, and the status for a token that may write to all projects.
pub fn values() -> Vec<(String, u16)> {
    let value = |it: &str, status| (it.to_owned(), status);
    vec![
        value("42", 200),
        value("a.b-c_d", 200),
        value("%34%32", 200),
        value("%61", 200),
        // Dots are segments like any other; nothing looks for a file of that name.
        value("..", 200),
        value("*", 404),
        value("%2A", 404),
        value("a%2Fb", 404),
        value("a%2fb", 404),
        value("a:b", 404),
        value("a%3Ab", 404),
        value(":", 404),
        value("%20", 404),
        value("a+b", 404),
        value("%2541", 404),
        value("%C3%A9", 404),
        value("%FF", 404),
        value("a%00", 404),
        value("%7Bid%7D", 404),
        // `projects:` and `:write` take 15 of 100.
        value(&"a".repeat(85), 200),
        value(&"a".repeat(86), 404),
        value(&"a".repeat(101), 404),
    ]
}

async fn a_value_of_the_path_is_one_segment_or_there_is_no_such_thing(framework: Framework) {
    log::listen();
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    for (value, status) in values() {
        for token in ["projects", "everything"] {
            let answer = client.send(get(format!("/projects/{value}")).with(token)).await;
            let expected = if status == 200 { is(200, "open") } else { is(404, "not_found") };
            assert_eq!(answer.told(), expected, "{value} {token}");
        }
    }
    let answer = client.send(get("/projects/").with("everything")).await;
    assert_eq!((answer.status, answer.body.as_str()), (404, ""), "no route has matched");
    assert_eq!(log::lines(), [""; 0], "nothing of this is a mistake of the application");
}

async fn only_the_project_that_a_token_names_is_open_to_it(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    for (value, status) in values() {
        let answer = client.send(get(format!("/projects/{value}")).with("project")).await;
        let expected = match (value.as_str(), status) {
            ("42" | "%34%32", _) => 200,
            (_, 200) => 403,
            (_, status) => status,
        };
        assert_eq!(answer.status, expected, "{value}");
    }
}

async fn what_stands_in_the_path_is_told_to_nobody(framework: Framework) {
    log::listen();
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.limited(60)).await;
    for path in
        ["/projects/canary", "/projects/canary*", "/trial/projects/canary", "/charged/canary"]
    {
        let answer = client.send(get(path).with("good")).await;
        let told = format!("{answer} {:?} {:?}", scene.world.events.take(), log::lines());
        assert!(!told.contains("canary"), "{told}");
    }
    let answer = client.send(get("/projects/canary").with("good")).await;
    assert!(answer.header("www-authenticate").unwrap().ends_with("scope=\"projects:{id}:write\""));
    assert_eq!(answer.required(), serde_json::json!(["projects:{id}:write"]));
    assert!(scene.world.events.take()[0].contains("required: [\"projects:{id}:write\"]"));
}

async fn two_parameters_are_two_segments(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    for (path, expected) in [
        ("/projects/42/write", is(200, "open")),
        ("/projects/42/read", is(403, "insufficient_scope")),
        ("/projects/write/42", is(403, "insufficient_scope")),
        ("/projects/42%3Awrite/x", is(404, "not_found")),
        ("/projects/42/write%3Ax", is(404, "not_found")),
    ] {
        assert_eq!(client.told(get(path).with("project")).await, expected, "{path}");
    }
}
