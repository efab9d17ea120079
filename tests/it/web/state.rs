//! Arguments that authenticate by themselves, with what stands in the application's state.

use keyfob::{
    testing,
    web::{Authenticator, Realm},
};

use super::{
    app::{Ground, Outer, Setup, take_handled},
    http::{Request, get},
    scene::{BAD, Scene, is},
};

on_every_ground! {
    an_argument_by_itself_answers_as_behind_a_layer
    behind_a_layer_an_argument_is_not_charged_once_more
    two_arguments_are_charged_once
    two_arguments_that_wait_are_judged_once
    an_argument_under_another_authenticator_goes_by_its_own
    what_another_authenticator_has_left_stays
    a_layer_around_itself_judges_and_charges_once
    a_guard_inside_of_nothing_is_a_mistake
}

fn requests() -> Vec<Request> {
    let get = || get("");
    let mut requests = vec![
        get(),
        get().authorization("Basic eA=="),
        get().authorization("Bearer a b"),
        get().with("good").with("good"),
        get().with("good"),
        get().with("create"),
        get().with("none"),
        get().with("office"),
        get().with("peppered"),
        get().with("good"),
    ];
    requests.extend(BAD.iter().map(|(name, _)| get().with(name)));
    requests
}

async fn an_argument_by_itself_answers_as_behind_a_layer(ground: Ground) {
    for (cold, requires) in [(false, true), (true, true), (false, false), (true, false)] {
        let scene = Scene::new(ground).await;
        if cold {
            scene.world.store.forget();
        }
        let setup = || {
            let authenticator = if requires { scene.require() } else { scene.identify() };
            Setup::new(authenticator.rate_limit(super::scene::per_minute(1)))
        };
        for kind in ["allowed", "maybe", "authenticated"] {
            let layered = scene.client_of(setup()).await;
            let alone = scene.client_of(setup().without_layer()).await;
            for request in requests() {
                let path = |path| Request { path, ..request.clone() };
                let mut layered = layered.send(path(format!("/{kind}"))).await;
                let alone = alone.send(path(format!("/state/{kind}"))).await;
                if layered.status == 200 {
                    layered.headers.retain(|(name, _)| !name.starts_with("x-ratelimit"));
                }
                assert_eq!(alone, layered, "{kind}: {request}");
            }
        }
    }
}

async fn behind_a_layer_an_argument_is_not_charged_once_more(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client(scene.limited(60)).await;
    for (used, path) in
        (1..).zip(["/state/allowed", "/state/maybe", "/state/authenticated", "/state/two"])
    {
        scene.world.store.take_calls();
        let answer = client.send(get(path).with("good")).await;
        assert_eq!((answer.status, answer.quota()), (200, Some((60, 60 - used))), "{path}");
        assert_eq!(scene.world.store.take_calls(), ["peek"], "nor verified");
    }
    let answer = client.send(get("/state/allowed").with("create")).await;
    assert_eq!((answer.status, answer.quota()), (403, Some((60, 59))));
}

async fn two_arguments_are_charged_once(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client_of(Setup::new(scene.limited(2)).without_layer()).await;
    for expected in [is(200, "hello user:42"), is(200, "hello user:42"), is(429, "rate_limited")] {
        assert_eq!(client.told(get("/state/two").with("good")).await, expected);
    }
    assert_eq!(take_handled(), 2);
}

async fn two_arguments_that_wait_are_judged_once(ground: Ground) {
    let scene = Scene::new(ground).await;
    scene.world.store.forget();
    let client = scene.client_of(Setup::new(scene.limited(1)).without_layer()).await;
    for (token, expected) in [
        ("good", is(200, "hello user:42")),
        ("good", is(429, "rate_limited")),
        ("revoked", is(401, "invalid_token")),
    ] {
        scene.world.store.take_calls();
        assert_eq!(client.told(get("/state/two").with(token)).await, expected);
        let calls = scene.world.store.take_calls();
        assert_eq!(calls, ["peek", "find"], "{token}");
    }
    let reported = ["FirstUse", "RateLimited", "Refused"];
    assert_eq!(scene.world.events.kinds(), reported, "and reported once");
}

async fn an_argument_under_another_authenticator_goes_by_its_own(ground: Ground) {
    let scene = Scene::new(ground).await;
    let (admins, _) = testing::in_memory("admin");
    let admin = testing::acting_as(&admins, "admin:1", ["servers:read"]).await;
    let (name, value) = admin.header();
    let admins = Authenticator::require(admins, Realm::new("Acme admin").unwrap());
    let under = |users| Setup::new(admins.clone()).without_layer().under(Outer::Another(users));
    let required = scene.client_of(under(scene.require())).await;
    let identified = scene.client_of(under(scene.identify())).await;
    for cold in [false, true] {
        let user = |path| {
            if cold {
                scene.world.store.forget();
            }
            get(path).with("good")
        };
        let admin = |path| get(path).header(name, value.clone());
        for path in ["/state/authenticated", "/state/allowed", "/state/maybe", "/state/two"] {
            for client in [&required, &identified] {
                let answer = client.send(user(path)).await;
                assert_eq!(answer.told(), is(401, "invalid_token"), "{path}");
                let challenge = answer.header("www-authenticate").unwrap();
                assert!(challenge.starts_with("Bearer realm=\"Acme admin\""), "{challenge}");
            }
            assert_eq!(identified.told(admin(path)).await, is(200, "hello admin:1"), "{path}");
            let told = required.told(admin(path)).await;
            assert_eq!(told, is(401, "invalid_token"), "{path}: the layer is asked as well");
        }
        assert_eq!(required.told(user("/allowed")).await, is(200, "hello user:42"));
        for path in ["/allowed", "/state/beside"] {
            let told = identified.told(admin(path)).await;
            assert_eq!(told, is(401, "missing_credentials"), "{path}: nobody to the layer");
        }
    }
}

async fn what_another_authenticator_has_left_stays(ground: Ground) {
    for (path, text) in
        [("/state/beside", "hello user:42 beside user:42"), ("/state/two", "hello user:42")]
    {
        let scene = Scene::new(ground).await;
        let setup = Setup::new(scene.limited(2)).without_layer();
        let client = scene.client_of(setup.under(Outer::Another(scene.limited(60)))).await;
        for (used, cold) in [(1, false), (2, true)] {
            if cold {
                scene.world.store.forget();
            }
            scene.world.store.take_calls();
            let answer = client.send(get(path).with("good")).await;
            assert_eq!((answer.told(), answer.quota()), (is(200, text), Some((60, 60 - used))));
            let calls = if cold { &["peek", "find"][..] } else { &["peek"] };
            assert_eq!(scene.world.store.take_calls(), calls.repeat(2), "each asks once");
        }
        let answer = client.send(get(path).with("good")).await;
        assert_eq!((answer.told(), answer.quota()), (is(429, "rate_limited"), Some((2, 0))));
    }
}

async fn a_layer_around_itself_judges_and_charges_once(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client_of(Setup::new(scene.limited(60)).under(Outer::Itself)).await;
    for (used, path) in (1..).zip(["/allowed", "/guarded", "/state/two", "/state/beside"]) {
        scene.world.store.take_calls();
        let answer = client.send(get(path).with("good")).await;
        assert_eq!((answer.status, answer.quota()), (200, Some((60, 60 - used))), "{path}");
        assert_eq!(scene.world.store.take_calls(), ["peek"], "{path}");
    }
    scene.world.store.forget();
    scene.world.store.take_calls();
    let answer = client.send(get("/allowed").with("good")).await;
    assert_eq!((answer.status, answer.quota()), (200, Some((60, 55))));
    assert_eq!(scene.world.store.take_calls(), ["peek", "find"]);
    assert_eq!(client.told(get("/open")).await, is(401, "missing_credentials"));
}

async fn a_guard_inside_of_nothing_is_a_mistake(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client_of(Setup::new(scene.require()).without_layer()).await;
    assert_eq!(client.told(get("/guarded").with("good")).await, is(500, "internal"));
}
