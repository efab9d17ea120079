//! Requiring a token, and only telling who it is.

use keyfob::web::{Authenticator, Problem};

use super::{
    app::{Framework, Outer, Setup},
    http::{Request, get, post},
    scene::{BAD, Scene, is},
};

on_both! {
    each_manner_lets_in_whom_it_says
    what_does_not_begin_as_ours_is_nobody_whatever_its_form
    a_bad_token_of_ours_is_nobody_to_no_manner
    nobody_is_never_charged
    a_body_of_the_applications_own_leaves_the_rest_as_it_is
    every_problem_of_a_route_has_a_body_of_the_applications_own
    a_media_type_that_is_none_changes_neither_status_nor_challenge
}

const MISSING: (u16, &str) = (401, "missing_credentials");
const INVALID: (u16, &str) = (401, "invalid_token");
const MALFORMED: (u16, &str) = (400, "invalid_request");
const LACKING: (u16, &str) = (403, "insufficient_scope");
const HELLO: (u16, &str) = (200, "hello user:42");
const NOBODY: (u16, &str) = (200, "hello nobody");
const OPEN: (u16, &str) = (200, "open");

const ROUTES: [&str; 5] = ["/allowed", "/maybe", "/authenticated", "/guarded", "/open"];

type Case =
    (&'static str, fn(Request) -> Request, [(u16, &'static str); 5], [(u16, &'static str); 5]);

/// What each of the routes answers where a token is required, and where it is only identified.
const CASES: &[Case] = &[
    ("no credentials", |it| it, [MISSING; 5], [MISSING, NOBODY, MISSING, MISSING, OPEN]),
    (
        "Basic",
        |it| it.authorization("Basic eA=="),
        [MISSING; 5],
        [MISSING, NOBODY, MISSING, MISSING, OPEN],
    ),
    ("empty", |it| it.authorization(""), [MISSING; 5], [MISSING, NOBODY, MISSING, MISSING, OPEN]),
    ("JWT", |it| it.with("jwt"), [INVALID; 5], [MISSING, NOBODY, MISSING, MISSING, OPEN]),
    (
        "another's",
        |it| it.with("foreign-prefix"),
        [INVALID; 5],
        [MISSING, NOBODY, MISSING, MISSING, OPEN],
    ),
    ("our prefix, no more", |it| it.authorization("Bearer acme_"), [INVALID; 5], [INVALID; 5]),
    (
        "our name",
        |it| it.authorization("Bearer acme"),
        [INVALID; 5],
        [MISSING, NOBODY, MISSING, MISSING, OPEN],
    ),
    (
        "malformed",
        |it| it.authorization("Bearer a b"),
        [MALFORMED; 5],
        [MISSING, NOBODY, MISSING, MISSING, OPEN],
    ),
    ("ours, malformed", |it| it.authorization("Bearer {good} b"), [MALFORMED; 5], [MALFORMED; 5]),
    ("repeated", |it| it.with("jwt").with("jwt"), [MALFORMED; 5], [MALFORMED; 5]),
    ("expired", |it| it.with("expired"), [INVALID; 5], [INVALID; 5]),
    ("no abilities", |it| it.with("none"), [LACKING; 5], [LACKING; 5]),
    (
        "another ability",
        |it| it.with("create"),
        [LACKING, LACKING, HELLO, LACKING, OPEN],
        [LACKING, LACKING, HELLO, LACKING, OPEN],
    ),
    (
        "good",
        |it| it.with("good"),
        [HELLO, HELLO, HELLO, OPEN, OPEN],
        [HELLO, HELLO, HELLO, OPEN, OPEN],
    ),
    (
        "all",
        |it| it.with("everything"),
        [HELLO, HELLO, HELLO, OPEN, OPEN],
        [HELLO, HELLO, HELLO, OPEN, OPEN],
    ),
];

async fn each_manner_lets_in_whom_it_says(framework: Framework) {
    let scene = Scene::new(framework).await;
    let (require, identify) =
        (scene.client(scene.require()).await, scene.client(scene.identify()).await);
    for (title, make, required, identified) in CASES {
        for (index, route) in ROUTES.iter().enumerate() {
            let request = make(get(*route));
            for (manner, client, (status, text)) in
                [("require", &require, required[index]), ("identify", &identify, identified[index])]
            {
                let told = client.told(request.clone()).await;
                assert_eq!(told, is(status, text), "{manner} {route}: {title}");
            }
        }
    }
}

async fn what_does_not_begin_as_ours_is_nobody_whatever_its_form(framework: Framework) {
    let scene = Scene::new(framework).await;
    let with_header = |it: Authenticator| it.accept_header("X-Api-Key").unwrap();
    let require = scene.client(with_header(scene.require())).await;
    let identify = scene.client(with_header(scene.identify())).await;
    let long = |start: &str| format!("{start}{}", "a".repeat(1_500)).into_bytes();
    let foreign = [
        b"token=\"x\"".to_vec(),
        b"token=\"{good}\"".to_vec(),
        b"two {good}".to_vec(),
        b"not:ours".to_vec(),
        b"acme".iter().chain(b"\xc3\xa9_").copied().collect(),
        long("eyJhbGciOiJSUzI1NiJ9."),
        long("acmes_"),
    ];
    let ours = [b"{good} two".to_vec(), b"acme_\"".to_vec(), long("acme_"), long("newco_")];
    let bearer = |text: &[u8]| get("/maybe").authorization([b"Bearer ", text].concat());
    let key = |text: &[u8]| get("/maybe").header("x-api-key", text);
    for (texts, identified) in [(&foreign[..], NOBODY), (&ours, MALFORMED)] {
        for request in texts.iter().flat_map(|text| [bearer(text), key(text)]) {
            let told = require.told(request.clone()).await;
            assert_eq!(told, is(MALFORMED.0, MALFORMED.1), "{request}");
            assert_eq!(scene.world.events.take().len(), 1, "{request}");
            let told = identify.told(request.clone()).await;
            assert_eq!(told, is(identified.0, identified.1), "{request}");
            assert_eq!(scene.world.events.take().len(), usize::from(identified == MALFORMED));
        }
    }
    for (request, identified) in [
        (bearer(b"a b").header("x-api-key", "a b"), NOBODY),
        (bearer(b"a b").authorization("Bearer a b"), MALFORMED),
        (key(b"a b").header("x-api-key", "{good}"), MALFORMED),
        (key(b"{good}").authorization("Bearer"), (200, "hello user:42")),
    ] {
        let told = identify.told(request.clone()).await;
        assert_eq!(told, is(identified.0, identified.1), "{request}");
    }
}

async fn a_bad_token_of_ours_is_nobody_to_no_manner(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.identify()).await;
    for (name, _) in BAD {
        let ours = ["acme_", "newco_"].iter().any(|it| scene.text(name).starts_with(it));
        let expected = if ours { is(401, "invalid_token") } else { is(200, "hello nobody") };
        assert_eq!(client.told(get("/maybe").with(name)).await, expected, "{name}");
    }
    scene.world.store.forget();
    scene.world.store.fail(&["find"]);
    let told = client.told(get("/maybe").with("good")).await;
    assert_eq!(told, is(503, "store_unavailable"), "it may be somebody");
}

async fn nobody_is_never_charged(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.identify().rate_limit(super::scene::per_minute(1))).await;
    for _ in 0..3 {
        let answer = client.send(get("/maybe")).await;
        assert_eq!((answer.told(), answer.quota()), (is(200, "hello nobody"), None));
    }
    assert_eq!(client.send(get("/maybe").with("good")).await.quota(), Some((1, 0)));
}

async fn a_body_of_the_applications_own_leaves_the_rest_as_it_is(framework: Framework) {
    let scene = Scene::new(framework).await;
    let plain = scene.limited(1).accept_basic().draft_rate_limit_headers(true);
    let own = scene.limited(1).accept_basic().draft_rate_limit_headers(true);
    let own = own.problem_body(|it| ("text/x-problem", format!("{} {}", it.status(), it.code())));
    let (plain, own) = (scene.client(plain).await, scene.client(own).await);
    let mut statuses = Vec::new();
    for request in [
        get("/allowed"),
        get("/allowed").authorization("Basic !"),
        get("/allowed").with("revoked"),
        get("/allowed").with("office"),
        get("/allowed").with("create"),
        get("/allowed").with("create"),
        get("/guarded").with("delete"),
        get("/projects/4*2").with("projects"),
        get("/authenticated").with("none"),
        get("/allowed").with("peppered"),
    ] {
        let (plain, mut own) = (plain.send(request.clone()).await, own.send(request.clone()).await);
        let (status, code) = plain.told();
        assert_eq!(own.body, format!("{status} {code}"), "{request}");
        for (name, value) in &mut own.headers {
            if name == "content-type" {
                assert_eq!(
                    std::mem::replace(value, "application/problem+json".into()),
                    "text/x-problem"
                );
            }
        }
        assert_eq!((own.status, own.headers), (plain.status, plain.headers), "{request}");
        statuses.push(status);
    }
    assert_eq!(statuses, [401, 400, 401, 403, 403, 429, 403, 404, 403, 503]);
    let success = own.send(get("/allowed").with("good")).await;
    assert_eq!(success.told(), is(200, "hello user:42"), "what is no refusal is left alone");
}

async fn every_problem_of_a_route_has_a_body_of_the_applications_own(framework: Framework) {
    let json =
        |body: &str| post("/json", body).with("good").header("content-type", "application/json");
    let long = " ".repeat(16 * 1024 + 1);
    for cold in [false, true] {
        let scene = Scene::new(framework).await;
        let write = |it: &Problem| ("text/x-problem", format!("{} {}", it.status(), it.code()));
        let own = scene.client(scene.limited(60).problem_body(write)).await;
        let plain = scene.client(scene.limited(60)).await;
        let outer = scene.identify().problem_body(write);
        let under = Setup::new(scene.limited(60)).under(Outer::Another(outer));
        let under = scene.client_of(under).await;
        let mut statuses = Vec::new();
        for request in [
            json("{"),
            json(&long),
            json("{}").header("content-encoding", "gzip"),
            post("/json", "{}").with("good"),
            json("{\"name\":7}"),
            get("/absent").with("good"),
            get("/misnamed/42").with("everything"),
            get("/guarded/create").with("good"),
            get("/any").with("delete"),
        ] {
            if cold {
                scene.world.store.forget();
            }
            let plain = plain.send(request.clone()).await;
            let (status, code) = plain.told();
            for (own, by) in [(&own, "its layer"), (&under, "a layer further out")] {
                let own = own.send(request.clone()).await;
                assert_eq!(own.body, format!("{status} {code}"), "{by}: {request}");
                assert_eq!(own.header("content-type"), Some("text/x-problem"), "{by}: {request}");
                assert_eq!(own.header("cache-control"), Some("no-store"), "{by}: {request}");
                assert_eq!((own.status, own.quota()), (status, plain.quota()), "{by}: {request}");
            }
            statuses.push(status);
        }
        assert_eq!(statuses, [400, 413, 415, 415, 422, 404, 500, 403, 403]);

        let answer = own.send(get("/own-body").with("good")).await;
        assert_eq!((answer.status, answer.body.as_str()), (409, "the handler's own"));
        let inner = scene
            .limited(60)
            .problem_body(|_| ("application/problem+json", "the inner one".to_owned()));
        let outer = scene.identify().problem_body(write);
        let both = scene.client_of(Setup::new(inner).under(Outer::Another(outer))).await;
        for request in [get("/absent").with("good"), get("/allowed"), get("/any").with("delete")] {
            assert_eq!(both.send(request).await.body, "the inner one");
        }
    }
}

async fn a_media_type_that_is_none_changes_neither_status_nor_challenge(framework: Framework) {
    let scene = Scene::new(framework).await;
    let own = |media_type| scene.limited(1).problem_body(move |_| (media_type, "own".to_owned()));
    let (good, bad) =
        (scene.client(own("text/html")).await, scene.client(own("text/html\n")).await);
    let mut statuses = Vec::new();
    for request in [
        get("/allowed"),
        get("/allowed").with("good").with("good"),
        get("/allowed").with("revoked"),
        get("/allowed").with("create"),
        get("/allowed").with("create"),
        get("/state/allowed").with("office"),
    ] {
        let (mut good, bad) = (good.send(request.clone()).await, bad.send(request.clone()).await);
        good.headers.retain(|(name, value)| (&**name, &**value) != ("content-type", "text/html"));
        assert_eq!(bad, good, "{request}");
        assert_eq!((bad.header("content-type"), &*bad.body), (None, "own"), "{request}");
        statuses.push(bad.status);
    }
    assert_eq!(statuses, [401, 400, 401, 403, 429, 403]);
}
