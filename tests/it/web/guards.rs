//! The list of what every route asks of a token.

use keyfob::web::GuardLog;

use super::{
    app::{Framework, Setup},
    http::{get, post},
    scene::Scene,
};

on_both! {
    what_each_route_asks_is_recorded
    what_is_let_in_and_asked_for_nothing_is_found
    only_who_is_let_in_is_recorded
}

/// What the application's routes ask, in the order of routes.
const MANIFEST: &str = "\
GET /all servers:read and servers:create
GET /allowed servers:read
GET /any servers:read or servers:create
GET /authenticated any ability
GET /charged servers:read
GET /charged/{id} projects:{id}:write
GET /guarded servers:read
GET /guarded/all servers:read
GET /guarded/all servers:read and servers:create
GET /guarded/create servers:create
POST /json servers:read
GET /maybe nothing, or servers:read
GET /misnamed/{other} projects:{id}:write
GET /own-headers any ability
GET /projects/{id} projects:{id}:write
GET /projects/{id}/{part} projects:{id}:{part}
GET /state/allowed servers:read
GET /state/authenticated any ability
GET /state/beside any ability
GET /state/beside servers:read
GET /state/maybe nothing, or servers:read
GET /trial servers:create (report only)
GET /trial/all servers:create and servers:delete (report only)
GET /trial/any servers:create or servers:delete (report only)
GET /trial/maybe nothing, or servers:create (report only)
GET /trial/none servers:create (report only) or servers:delete (report only)
GET /trial/projects/{id} projects:{id}:write (report only)
";

async fn what_each_route_asks_is_recorded(framework: Framework) {
    for cold in [false, true] {
        let scene = Scene::new(framework).await;
        if cold {
            scene.world.store.forget();
        }
        let guards = GuardLog::default();
        let client = scene.client(scene.identify().record_guards(&guards)).await;
        assert_eq!(guards.to_string(), "");
        for line in MANIFEST.lines() {
            let (method, rest) = line.split_once(' ').unwrap();
            let path = rest.split(' ').next().unwrap().replace(['{', '}'], "");
            for token in ["everything", "good", "create"] {
                let request = if method == "POST" { post(&path, "") } else { get(path.clone()) };
                client.send(request.with(token)).await;
            }
            // What only charges is no guard, and refuses nobody before a guard is asked.
            if path != "/charged" {
                client.send(get(path)).await;
            }
        }
        assert_eq!(guards.to_string(), MANIFEST);
        assert_eq!(guards.unguarded(), [""; 0]);
        assert_eq!(guards.clone().to_string(), MANIFEST, "clones share what they have seen");
    }
}

async fn what_is_let_in_and_asked_for_nothing_is_found(framework: Framework) {
    for cold in [false, true] {
        let scene = Scene::new(framework).await;
        if cold {
            scene.world.store.forget();
        }
        let guards = GuardLog::default();
        let client = scene.client(scene.require().record_guards(&guards)).await;
        for (request, status) in
            [(get("/nowhere"), 404), (post("/open", ""), 405), (get("/allowed"), 200)]
        {
            assert_eq!(client.send(request.with("good")).await.status, status);
        }
        assert_eq!(guards.unguarded(), [""; 0], "there was nothing to guard");
        for (path, status) in [("/open", 200), ("/open", 200), ("/absent", 404)] {
            assert_eq!(client.send(get(path).with("good")).await.status, status);
        }
        assert_eq!(guards.unguarded(), ["GET /absent", "GET /open"]);
        assert_eq!(guards.to_string(), "GET /allowed servers:read\n");
    }
}

async fn only_who_is_let_in_is_recorded(framework: Framework) {
    let scene = Scene::new(framework).await;
    let guards = GuardLog::default();
    let client = scene.client(scene.limited(1).record_guards(&guards)).await;
    for token in ["revoked", "none", "unknown", "office"] {
        client.send(get("/open").with(token)).await;
        client.send(get("/allowed").with(token)).await;
    }
    client.send(get("/open")).await;
    assert_eq!((guards.to_string(), guards.unguarded()), (String::new(), Vec::new()));

    let silent = scene.client_of(Setup::new(scene.require())).await;
    silent.send(get("/open").with("good")).await;
    assert_eq!(guards.unguarded(), [""; 0], "a layer that was told of no log has none");
}
