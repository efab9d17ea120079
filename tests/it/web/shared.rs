//! Limits that nodes share, over HTTP: what is answered and told when nobody can say whether one is reached.

use keyfob::{
    limit::{RateLimiter, RedisLimits, WhileAway},
    web::GuardLog,
};

use super::{
    app::{Framework, Ground, Outer, Setup, take_handled},
    http::get,
    scene::{Client, Scene, is, per_minute},
};
use crate::support::{
    eventually,
    redis::{Corner, OwnServer},
};

on_both! {
    without_the_server_requests_are_refused_where_that_is_asked_for
    without_the_server_each_process_counts_for_itself
    a_request_that_can_not_be_counted_is_charged_to_no_other_limit
    a_limit_that_can_not_be_read_is_an_error_and_told_each_time
    only_proven_tokens_ask_the_server
    a_guard_asks_the_server_too
    a_refusal_that_had_to_wait_counts_as_a_guard
}

const UNAVAILABLE: (u16, &str) = (503, "store_unavailable");

/// The events since the last time but the first uses.
fn told(scene: &Scene) -> Vec<String> {
    let events = scene.world.events.take();
    events.into_iter().filter(|it| !it.starts_with("FirstUse")).collect()
}

/// Two applications that share a limiter.
async fn two(scene: &Scene, limits: RedisLimits) -> [Client; 2] {
    let limiter = RateLimiter::redis(limits);
    let authenticator = || scene.require().rate_limit(per_minute(3)).limiter(limiter.clone());
    [scene.client(authenticator()).await, scene.client(authenticator()).await]
}

async fn a_request_that_can_not_be_counted_is_charged_to_no_other_limit(framework: Framework) {
    let (scene, server) = (Scene::new(framework).await, OwnServer::start());
    let outer = scene.require().rate_limit(per_minute(60)).limiter(RateLimiter::local());
    let shared = RateLimiter::redis(server.corner.limits());
    let inner = scene.require().rate_limit(per_minute(3)).limiter(shared);
    let both = scene.client_of(Setup::new(inner).under(Outer::Another(outer.clone()))).await;
    server.kill();
    for _ in 0..3 {
        assert_eq!(both.told(get("/allowed").with("good")).await, is(UNAVAILABLE.0, UNAVAILABLE.1));
    }
    let alone = scene.client(outer).await;
    assert_eq!(alone.send(get("/allowed").with("good")).await.quota(), Some((60, 59)));
}

async fn once_it_is_back(scene: &Scene, client: &Client) {
    let mut events = Vec::new();
    eventually(async || {
        client.send(get("/allowed").with("other")).await;
        events.extend(told(scene));
        events.iter().any(|it| it == "LimitsBack")
    })
    .await;
    assert_eq!(events.iter().filter(|it| it.starts_with("Limits")).count(), 1, "{events:?}");
}

async fn without_the_server_requests_are_refused_where_that_is_asked_for(framework: Framework) {
    let (scene, server) = (Scene::new(framework).await, OwnServer::start());
    let [one, another] = two(&scene, server.corner.limits()).await;
    assert_eq!(one.send(get("/allowed").with("good")).await.quota(), Some((3, 2)));
    take_handled();
    server.kill();
    for client in [&one, &another, &one] {
        for path in ["/allowed", "/state/allowed", "/charged", "/open"] {
            let answer = client.send(get(path).with("good")).await;
            assert_eq!(answer.told(), is(UNAVAILABLE.0, UNAVAILABLE.1), "{path}");
            assert_eq!((answer.header("retry-after"), answer.quota()), (Some("1"), None));
            assert_eq!(answer.header("www-authenticate"), None);
        }
        let told = client.told(get("/allowed").with("revoked")).await;
        assert_eq!(told, is(401, "invalid_token"), "nothing is charged");
    }
    assert_eq!(take_handled(), 0);
    let events = told(&scene);
    let outages: Vec<_> = events.iter().filter(|it| !it.starts_with("Refused")).collect();
    assert!(outages.len() == 1 && outages[0].starts_with("LimitsAway {"), "{events:?}");
    assert!(outages[0].contains("refused"), "{events:?}");
    server.start_again();
    once_it_is_back(&scene, &another).await;
    assert_eq!(one.send(get("/allowed").with("good")).await.quota(), Some((3, 2)));
    assert_eq!(told(&scene), [""; 0]);
}

async fn without_the_server_each_process_counts_for_itself(framework: Framework) {
    let (scene, server) = (Scene::new(framework).await, OwnServer::start());
    let limits = server.corner.limits().while_away(WhileAway::Local);
    let [one, another] = two(&scene, limits).await;
    assert_eq!(one.send(get("/allowed").with("good")).await.quota(), Some((3, 2)));
    server.kill();
    for (client, status, left) in
        [(&one, 200, 2), (&another, 200, 1), (&one, 200, 0), (&another, 429, 0)]
    {
        let answer = client.send(get("/allowed").with("good")).await;
        assert_eq!((answer.status, answer.quota()), (status, Some((3, left))));
    }
    let events = told(&scene);
    let kinds: Vec<_> = events.iter().map(|it| it.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["LimitsAway", "RateLimited"]);
    server.start_again();
    once_it_is_back(&scene, &one).await;
    assert_eq!(another.send(get("/allowed").with("good")).await.quota(), Some((3, 2)));
}

async fn a_limit_that_can_not_be_read_is_an_error_and_told_each_time(framework: Framework) {
    let scene = Scene::new(framework).await;
    let corner = Corner::new();
    let [client, _] = two(&scene, corner.limits().while_away(WhileAway::Local)).await;
    client.send(get("/allowed").with("good")).await;
    let () = corner.run(redis::cmd("SET").arg(corner.keys()).arg("x"));
    told(&scene);
    for path in ["/allowed", "/guarded", "/state/allowed"] {
        let answer = client.send(get(path).with("good")).await;
        assert_eq!((answer.told(), answer.quota()), (is(500, "internal"), None), "{path}");
        let (id, owner) = (scene.issued["good"].record.id, &scene.issued["good"].record.owner);
        let of = format!("id: Some({id:?}), owner: {owner:?}, actor: None");
        let start = format!("LimitCorrupt {{ {of}, limit: \"default\", error: ");
        let events = told(&scene);
        assert!(events.len() == 1 && events[0].starts_with(&start), "{events:?}");
        assert!(events[0].contains("no instant is kept"), "{events:?}");
    }
    assert_eq!(client.send(get("/allowed").with("other")).await.quota(), Some((3, 2)));
}

async fn only_proven_tokens_ask_the_server(framework: Framework) {
    let scene = Scene::new(framework).await;
    let nowhere = RedisLimits::open("redis://127.0.0.1:1/").unwrap();
    let [client, _] = two(&scene, nowhere.while_away(WhileAway::Refuse)).await;
    for (name, _) in super::scene::BAD {
        let told = client.told(get("/allowed").with(name)).await;
        assert_eq!(told, is(401, "invalid_token"), "{name}");
    }
    assert_eq!(client.told(get("/allowed")).await, is(401, "missing_credentials"));
    assert_eq!(client.told(get("/allowed").with("office")).await, is(403, "address_not_allowed"));
    let told = client.told(get("/allowed").with("good")).await;
    assert_eq!(told, is(UNAVAILABLE.0, UNAVAILABLE.1));
}

async fn a_guard_asks_the_server_too(framework: Framework) {
    let scene = Scene::new(framework).await;
    let nowhere = RedisLimits::open("redis://127.0.0.1:1/").unwrap();
    let limiter = RateLimiter::redis(nowhere.while_away(WhileAway::Refuse));
    let client = scene.client(scene.require().limiter(limiter)).await;
    take_handled();
    for (path, token) in
        [("/charged", "good"), ("/charged/42", "project"), ("/charged/4*2", "good")]
    {
        let told = client.told(get(path).with(token)).await;
        assert_eq!(told, is(UNAVAILABLE.0, UNAVAILABLE.1), "{path}");
    }
    assert_eq!((take_handled(), told(&scene).len()), (0, 1));
    assert_eq!(client.told(get("/allowed").with("good")).await, is(200, "hello user:42"));
    assert_eq!(client.told(get("/charged")).await, is(401, "missing_credentials"));
}

async fn a_refusal_that_had_to_wait_counts_as_a_guard(framework: Framework) {
    let scene = Scene::new(Ground { framework, shared: true }).await;
    let guards = GuardLog::default();
    let setup = Setup::new(scene.require().record_guards(&guards));
    let client = scene.client_of(setup).await;
    assert_eq!(client.send(get("/seldom").with("good")).await.status, 200);
    assert_eq!(client.send(get("/seldom").with("good")).await.status, 429);
    assert_eq!(guards.unguarded(), [""; 0]);
}
