//! How often a token may be used, over HTTP.

use keyfob::{
    token::RateLimit,
    web::{Authenticator, Realm},
};
use time::Duration;

use super::{
    app::{Ground, Outer, Setup},
    http::{get, post},
    scene::{Client, Scene, is, per_minute},
};

on_every_ground! {
    sixty_a_minute_is_the_limit_unless_another_is_set
    sixty_requests_pass_and_the_next_waits_as_long_as_it_is_told
    a_limit_of_the_tokens_own_takes_the_place_of_the_other
    a_stranger_who_knows_an_id_uses_up_nothing
    only_a_token_that_was_let_in_is_charged
    what_was_charged_is_told_whatever_the_answer
    a_refusal_for_the_limit_comes_before_that_for_the_ability
    a_guard_charges_a_limit_of_its_own_beside_the_other
    what_a_guard_refuses_is_charged_too
    a_guard_charges_more_of_what_every_request_is_charged
    a_refusal_waits_for_the_limit_that_refuses
    a_request_that_one_limit_refuses_is_charged_to_none
    an_authenticator_in_two_layers_judges_and_charges_once
    a_refusal_that_is_answered_otherwise_gives_nothing_back
    authenticators_that_share_a_limit_charge_it_once
    layers_that_share_a_limiter_share_its_counts
    limits_of_one_name_that_differ_are_counted_apart
    headers_of_the_handler_are_left_as_they_are
    a_refusal_says_in_the_drafts_words_when_the_request_may_succeed
}

const REACHED: (u16, &str) = (429, "rate_limited");

async fn a_refusal_says_in_the_drafts_words_when_the_request_may_succeed(ground: Ground) {
    let scene = Scene::new(ground).await;
    let authenticator = scene.counting(scene.limited(60)).draft_rate_limit_headers(true);
    let client = scene.client(authenticator).await;
    for _ in 0..60 {
        assert_eq!(client.send(get("/allowed").with("good")).await.status, 200);
    }
    let answer = client.send(get("/allowed").with("good")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
    assert_eq!(answer.header("ratelimit"), Some("\"default\";r=0;t=1"));
}

async fn sixty_a_minute_is_the_limit_unless_another_is_set(ground: Ground) {
    let scene = Scene::new(ground).await;
    let realm = Realm::new("Acme API").unwrap();
    for authenticator in [
        Authenticator::require(scene.tokens.clone(), realm.clone()),
        Authenticator::identify(scene.tokens.clone(), realm),
    ] {
        let authenticator = scene.counting(authenticator);
        let client = scene.client(authenticator.clone()).await;
        for used in 1..=60 {
            let answer = client.send(get("/allowed").with("good")).await;
            assert_eq!((answer.status, answer.quota()), (200, Some((60, 60 - used))));
        }
        let answer = client.send(get("/allowed").with("good")).await;
        assert_eq!((answer.told(), answer.quota()), (is(REACHED.0, REACHED.1), Some((60, 0))));

        let client = scene.client(authenticator.rate_limit(None)).await;
        for _ in 1..=61 {
            let answer = client.send(get("/allowed").with("good")).await;
            assert_eq!((answer.status, answer.quota()), (200, None));
        }
        for (status, remaining) in [(200, 2), (200, 1), (200, 0), (429, 0)] {
            let answer = client.send(get("/allowed").with("three")).await;
            assert_eq!((answer.status, answer.quota()), (status, Some((3, remaining))));
        }
    }
}

async fn sixty_requests_pass_and_the_next_waits_as_long_as_it_is_told(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client(scene.limited(60)).await;
    let get = || get("/allowed").with("good");
    for used in 1..=60 {
        let answer = client.send(get()).await;
        assert_eq!((answer.status, answer.quota()), (200, Some((60, 60 - used))));
        assert_eq!(answer.header("retry-after"), None);
    }
    let (id, owner) = (scene.issued["good"].record.id, &scene.issued["good"].record.owner);
    assert_eq!(scene.world.events.take(), Vec::from_iter(scene.first_use("good")));
    for _ in 0..3 {
        let answer = client.send(get()).await;
        assert_eq!(answer.told(), is(REACHED.0, REACHED.1));
        assert_eq!((answer.quota(), answer.header("retry-after")), (Some((60, 0)), Some("1")));
        let limit = "limit: \"default\", retry_after: 1, from: None";
        let event =
            format!("RateLimited {{ id: Some({id:?}), owner: {owner:?}, actor: None, {limit} }}");
        assert_eq!(scene.world.events.take(), [event]);
    }
    scene.world.clock.advance(Duration::milliseconds(999));
    assert_eq!(client.send(get()).await.status, 429);
    scene.world.clock.advance(Duration::milliseconds(1));
    assert_eq!(client.send(get()).await.status, 200);
    assert_eq!(client.send(get()).await.status, 429, "one was given back");
    let other = client.send(super::http::get("/allowed").with("other")).await;
    assert_eq!(other.quota(), Some((60, 59)), "each token has its own");
}

async fn a_limit_of_the_tokens_own_takes_the_place_of_the_other(ground: Ground) {
    let scene = Scene::new(ground).await;
    for authenticator in [scene.limited(60), scene.limited(1), scene.require()] {
        let client = scene.client(authenticator).await;
        for remaining in (0..3).rev() {
            let answer = client.send(get("/allowed").with("three")).await;
            assert_eq!((answer.status, answer.quota()), (200, Some((3, remaining))));
        }
        let answer = client.send(get("/allowed").with("three")).await;
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("20")));
        scene.world.clock.advance(Duration::seconds(20));
        assert_eq!(client.send(get("/allowed").with("three")).await.status, 200);
    }
    let client = scene.client(scene.require()).await;
    assert_eq!(client.send(get("/allowed").with("good")).await.quota(), None, "no limit at all");
}

async fn a_stranger_who_knows_an_id_uses_up_nothing(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client(scene.limited(60)).await;
    assert_eq!(client.send(get("/allowed").with("good")).await.quota(), Some((60, 59)));
    let flood = async |client: &Client| {
        for _ in 0..1_000 {
            let answer = client.send(get("/allowed").with("wrong-secret")).await;
            assert_eq!((answer.told(), answer.quota()), (is(401, "invalid_token"), None));
        }
    };
    flood(&client).await;
    assert_eq!(client.send(get("/allowed").with("good")).await.quota(), Some((60, 58)));
    for _ in 0..58 {
        assert_eq!(client.send(get("/allowed").with("good")).await.status, 200);
    }
    flood(&client).await;
    let answer = client.send(get("/allowed").with("good")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
}

async fn only_a_token_that_was_let_in_is_charged(ground: Ground) {
    let scene = Scene::new(ground).await;
    let limiter = scene.limiter();
    let client = scene.client(scene.limited(60).limiter(limiter.clone())).await;
    for (name, _) in super::scene::BAD {
        client.send(get("/allowed").with(name)).await;
    }
    client.send(get("/allowed").with("office")).await;
    client.send(get("/allowed").with("peppered")).await;
    client.send(get("/allowed").with("good").with("good")).await;
    client.send(get("/allowed")).await;
    assert_eq!(scene.buckets(&limiter), 0);
    client.send(get("/allowed").with("good")).await;
    assert_eq!(scene.buckets(&limiter), 1);
}

async fn what_was_charged_is_told_whatever_the_answer(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client(scene.limited(60)).await;
    let json = |body: &str| post("/json", body).header("content-type", "application/json");
    let requests = [
        (get("/allowed"), 403),
        (get("/any"), 403),
        (get("/guarded/create"), 403),
        (get("/projects/42"), 403),
        (get("/projects/4*2"), 404),
        (get("/misnamed/42"), 500),
        (get("/open"), 200),
        (get("/absent"), 404),
        (get("/nowhere"), 404),
        (post("/open", ""), 405),
        (get("/trial"), 200),
    ];
    for (used, (request, status)) in (1..).zip(requests) {
        let answer = client.send(request.clone().with("delete")).await;
        assert_eq!((answer.status, answer.quota()), (status, Some((60, 60 - used))), "{request}");
    }
    for (used, (body, status)) in (1..).zip([("{", 400), ("{\"name\":7}", 422), ("{}", 200)]) {
        let answer = client.send(json(body).with("good")).await;
        assert_eq!((answer.status, answer.quota()), (status, Some((60, 60 - used))), "{body}");
    }
    for used in 1..3 {
        let answer = client.send(get("/authenticated").with("none")).await;
        assert_eq!((answer.status, answer.quota()), (403, Some((60, 60 - used))));
    }
}

async fn a_refusal_for_the_limit_comes_before_that_for_the_ability(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client(scene.limited(1)).await;
    for (path, token) in [("/allowed", "create"), ("/guarded", "delete"), ("/open", "none")] {
        assert_eq!(client.send(get(path).with(token)).await.status, 403, "{path}");
        assert_eq!(client.send(get(path).with(token)).await.status, 429, "{path}");
    }
}

async fn a_guard_charges_a_limit_of_its_own_beside_the_other(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client(scene.limited(60)).await;
    let charged = || get("/charged").with("good");
    for used in 1..=20 {
        let answer = client.send(charged()).await;
        assert_eq!((answer.status, answer.quota()), (200, Some((100, 100 - used * 5))));
    }
    scene.world.events.take();
    let answer = client.send(charged()).await;
    assert_eq!(answer.told(), is(REACHED.0, REACHED.1));
    assert_eq!((answer.quota(), answer.header("retry-after")), (Some((100, 0)), Some("180")));
    let events = scene.world.events.take();
    assert!(events[0].contains("limit: \"create\", retry_after: 180"), "{events:?}");
    let answer = client.send(get("/allowed").with("good")).await;
    assert_eq!(answer.quota(), Some((60, 60 - 21)), "each that passed was a request, too");
    scene.world.clock.advance(Duration::seconds(180));
    assert_eq!(client.send(charged()).await.quota(), Some((100, 0)));
    let answer = client.send(get("/charged").with("three")).await;
    assert_eq!(answer.quota(), Some((100, 95)), "a token's own limit is the main one");
    let without = scene.client(scene.require()).await;
    assert_eq!(without.send(charged()).await.quota(), Some((100, 95)), "there need be no other");
}

async fn what_a_guard_refuses_is_charged_too(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client(scene.limited(60)).await;
    for (path, token, status, remaining) in [
        ("/charged/42", "project", 200, 95),
        ("/charged/43", "project", 403, 90),
        ("/charged/4*3", "project", 404, 85),
        ("/charged", "project", 403, 80),
    ] {
        let answer = client.send(get(path).with(token)).await;
        assert_eq!((answer.status, answer.quota()), (status, Some((100, remaining))), "{path}");
    }
}

async fn a_guard_charges_more_of_what_every_request_is_charged(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client(scene.limited(60)).await;
    for (token, limit) in [("good", 60), ("hundred", 100)] {
        for used in 1..=limit / 5 {
            let answer = client.send(get("/costly").with(token)).await;
            assert_eq!((answer.status, answer.quota()), (200, Some((limit, limit - 5 * used))));
        }
        assert_eq!(client.send(get("/costly").with(token)).await.status, 429);
        let answer = client.send(get("/charged").with(token)).await;
        assert_eq!((answer.status, answer.quota()), (429, Some((limit, 0))), "it is one bucket");
    }
    let answer = client.send(get("/charged").with("three")).await;
    assert_eq!(answer.quota(), Some((100, 95)), "what has another name is not the token's own");
    scene.world.clock.advance(Duration::MINUTE);

    let costly = || get("/costly").with("three");
    assert_eq!(client.send(costly()).await.quota(), Some((3, 0)), "the whole limit is the most");
    let mut waited = Vec::new();
    while let Some(seconds) = client.send(costly()).await.header("retry-after") {
        waited.push(seconds.to_owned());
        scene.world.clock.advance(Duration::seconds(seconds.parse().unwrap()));
    }
    assert_eq!(waited, ["20", "40"], "the layer's one, and all that the request costs");
    let without = scene.client(scene.require()).await;
    assert_eq!(without.send(get("/costly").with("good")).await.quota(), Some((60, 56)));
    let alone = scene.client(scene.limited(1)).await;
    let answer = alone.send(get("/costly").with("good")).await;
    assert_eq!((answer.status, answer.quota()), (200, Some((60, 56))), "limits that differ");
}

async fn a_request_that_one_limit_refuses_is_charged_to_none(ground: Ground) {
    let scene = Scene::new(ground).await;
    let inner = Setup::new(scene.counting(scene.limited(2)));
    let client = scene.client_of(inner.under(Outer::Another(scene.limited(60)))).await;
    let allowed = || get("/allowed").with("good");
    for (status, quota) in
        [(200, (2, 1)), (200, (2, 0)), (429, (2, 0)), (429, (2, 0)), (429, (2, 0))]
    {
        let answer = client.send(allowed()).await;
        assert_eq!((answer.status, answer.quota()), (status, Some(quota)));
    }
    scene.world.clock.advance(Duration::seconds(30));
    assert_eq!(client.send(allowed()).await.status, 200, "what it was told is true");

    let limiter = scene.limiter();
    let client = scene.client(scene.limited(60).limiter(limiter)).await;
    assert_eq!(client.send(get("/seldom").with("other")).await.status, 200);
    for _ in 0..100 {
        assert_eq!(client.send(get("/seldom").with("other")).await.status, 429);
    }
    assert_eq!(client.send(get("/allowed").with("other")).await.quota(), Some((60, 58)));

    let client = scene.client(scene.limited(60)).await;
    for left in [55, 50, 45, 40, 35, 30, 25, 20, 15, 10, 5, 0] {
        assert_eq!(client.send(get("/costly").with("good")).await.quota(), Some((60, left)));
    }
    scene.world.clock.advance(Duration::seconds(3));
    for _ in 0..3 {
        let answer = client.send(get("/costly").with("good")).await;
        assert_eq!((answer.status, answer.quota()), (429, Some((60, 3))), "nothing was taken");
        assert_eq!(answer.header("retry-after"), Some("2"));
    }
}

/// The handler takes the refusal of an argument, and serves the request all the same.
async fn a_refusal_that_is_answered_otherwise_gives_nothing_back(ground: Ground) {
    let scene = Scene::new(ground).await;
    let setup = Setup::new(scene.counting(scene.limited(1))).without_layer();
    let client = scene.client_of(setup.under(Outer::Another(scene.limited(60)))).await;
    for (used, text) in (1..).zip(["good", "served", "served", "served"]) {
        let answer = client.send(get("/state/served").with("good")).await;
        assert_eq!((answer.told(), answer.quota()), (is(200, text), Some((60, 60 - used))));
    }
    assert_eq!(client.send(get("/state/authenticated").with("good")).await.status, 429);
    let answer = client.send(get("/state/served").with("good")).await;
    assert_eq!(answer.quota(), Some((60, 55)), "the refusal that left gave one back");
}

async fn an_authenticator_in_two_layers_judges_and_charges_once(ground: Ground) {
    let scene = Scene::new(ground).await;
    let authenticator = scene.limited(60);
    let setup = Setup::new(authenticator.clone()).under(Outer::Another(authenticator.clone()));
    let client = scene.client_of(setup).await;
    for (used, path) in (1..).zip(["/allowed", "/guarded", "/state/two"]) {
        scene.world.store.take_calls();
        let answer = client.send(get(path).with("good")).await;
        assert_eq!((answer.status, answer.quota()), (200, Some((60, 60 - used))), "{path}");
        assert_eq!(scene.world.store.take_calls(), ["peek"], "{path}");
    }
    for status in [200, 429, 429] {
        assert_eq!(client.send(get("/seldom").with("good")).await.status, status);
    }
    let answer = client.send(get("/allowed").with("good")).await;
    assert_eq!(answer.quota(), Some((60, 55)), "what was given back was given back once");
    let other = authenticator.clone().draft_rate_limit_headers(true);
    let other = scene.client_of(Setup::new(authenticator).under(Outer::Another(other))).await;
    scene.world.store.take_calls();
    other.send(get("/allowed").with("good")).await;
    assert_eq!(scene.world.store.take_calls(), ["peek", "peek"], "another one judges by itself");
}

async fn authenticators_that_share_a_limit_charge_it_once(ground: Ground) {
    let scene = Scene::new(ground).await;
    let limiter = scene.limiter();
    let shared = |limit| scene.limited(limit).limiter(limiter.clone());
    let both = |inner, outer| Setup::new(inner).under(Outer::Another(outer));
    let client = scene.client_of(both(shared(60), shared(60))).await;
    for path in ["/allowed", "/state/two"] {
        client.send(get(path).with("good")).await;
    }
    assert_eq!(client.send(get("/allowed").with("good")).await.quota(), Some((60, 57)));
    let client = scene.client_of(both(shared(60), shared(100))).await;
    client.send(get("/allowed").with("good")).await;
    let alone = scene.client(shared(60)).await;
    assert_eq!(alone.send(get("/allowed").with("good")).await.quota(), Some((60, 55)));
    let apart = scene.limiter();
    let client = scene.client_of(both(scene.limited(60).limiter(apart.clone()), shared(60))).await;
    client.send(get("/allowed").with("other")).await;
    for limiter in [apart, limiter.clone()] {
        let alone = scene.client(scene.limited(60).limiter(limiter)).await;
        let answer = alone.send(get("/allowed").with("other")).await;
        assert_eq!(answer.quota(), Some((60, 58)), "each counts for itself");
    }
    let alone = scene.client(shared(100)).await;
    assert_eq!(alone.send(get("/allowed").with("good")).await.quota(), Some((100, 98)));
}

async fn a_refusal_waits_for_the_limit_that_refuses(ground: Ground) {
    let scene = Scene::new(ground).await;
    for (requests, period, told) in
        [(2, Duration::HOUR, "60"), (3, Duration::HOUR, "60"), (2, Duration::MINUTE, "60")]
    {
        let limit = RateLimit::new(requests, period).unwrap();
        let client = scene.client(scene.require().rate_limit(limit)).await;
        let get = || get("/seldom").with("good");
        assert_eq!(client.send(get()).await.quota(), Some((1, 0)));
        scene.world.events.take();
        let answer = client.send(get()).await;
        assert_eq!((answer.told(), answer.quota()), (is(REACHED.0, REACHED.1), Some((1, 0))));
        assert_eq!(answer.header("retry-after"), Some(told));
        let events = scene.world.events.take();
        assert!(
            events[0].contains(&format!("limit: \"seldom\", retry_after: {told}")),
            "{events:?}"
        );
        scene.world.clock.advance(Duration::seconds(told.parse().unwrap()));
        assert_eq!(client.send(get()).await.told(), is(200, "hello user:42"), "it was obeyed");
    }
}

async fn layers_that_share_a_limiter_share_its_counts(ground: Ground) {
    let scene = Scene::new(ground).await;
    let limiter = scene.limiter();
    let shared = || scene.require().rate_limit(per_minute(3)).limiter(limiter.clone());
    let (one, two) = (scene.client(shared()).await, scene.client(shared()).await);
    let apart = scene.client(scene.require().rate_limit(per_minute(3))).await;
    let get = || get("/allowed").with("good");
    for (client, status, remaining) in
        [(&one, 200, 2), (&two, 200, 1), (&one, 200, 0), (&two, 429, 0), (&apart, 200, 2)]
    {
        let answer = client.send(get()).await;
        assert_eq!((answer.status, answer.quota()), (status, Some((3, remaining))));
    }
}

async fn limits_of_one_name_that_differ_are_counted_apart(ground: Ground) {
    let scene = Scene::new(ground).await;
    let limiter = scene.limiter();
    let shared = |limit| scene.require().rate_limit(limit).limiter(limiter.clone());
    let hourly = scene.client(shared(RateLimit::new(10, Duration::HOUR).unwrap())).await;
    let minutely = scene.client(shared(per_minute(60))).await;
    let get = || get("/allowed").with("good");
    for used in 1..=10 {
        assert_eq!(hourly.send(get()).await.quota(), Some((10, 10 - used)));
        assert_eq!(minutely.send(get()).await.quota(), Some((60, 60 - used)));
    }
    let answer = hourly.send(get()).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("360")));
    let answer = minutely.send(get()).await;
    assert_eq!((answer.status, answer.quota()), (200, Some((60, 49))), "it waits for no other");
    assert_eq!(scene.buckets(&limiter), 2);
}

async fn headers_of_the_handler_are_left_as_they_are(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client(scene.limited(60).draft_rate_limit_headers(true)).await;
    let answer = client.send(get("/own-headers").with("good")).await;
    assert_eq!(answer.quota(), Some((7, 59)));
    assert_eq!(answer.header("ratelimit"), Some("\"default\";r=59;t=1"));
    assert_eq!(answer.header("cache-control"), Some("max-age=60"));
    let answer = client.send(get("/own-headers/charged").with("good")).await;
    assert_eq!(answer.quota(), Some((7, 95)));
    assert_eq!(answer.header("ratelimit"), Some("\"create\";r=95;t=180"));
}
