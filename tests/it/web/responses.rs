//! Every answer of the HTTP contract, to the byte, in a file that both frameworks are held to.
//!
//! `KEYFOB_BLESS=1` writes the file anew; then read what has changed, against the contract.

use std::fmt::Write;

use keyfob::{
    limit::{RateLimiter, RedisLimits, WhileAway},
    store::{CorruptRecord, StoreError},
    web::TrustedProxies,
};

use super::{
    app::{Address, Framework, Ground, Setup},
    golden::{difference, hold_to},
    http::{Request, get, post},
    scene::{BAD, Scene},
};

on_every_ground! {
    every_answer_is_the_one_on_file
    all_bad_tokens_are_answered_alike_and_the_reason_is_told_to_the_log_alone
    an_answer_that_had_to_wait_for_the_store_is_the_same
}

type Rows = Vec<(String, Request)>;

fn row(title: &str, request: Request) -> (String, Request) {
    (title.to_owned(), request)
}

fn credentials() -> Rows {
    let get = || get("/allowed");
    let long = |length| format!("Bearer {}", "a".repeat(length));
    vec![
        row("no credentials", get()),
        row("another scheme", get().authorization("Basic dXNlcjpwYXNz")),
        row("another scheme, of any bytes", get().authorization(&b"Negotiate \"\xff, \t=="[..])),
        row("a scheme that begins like ours", get().authorization("BearerX {good}")),
        row("an empty value", get().authorization("")),
        row("a value of white space", get().authorization(" \t ")),
        row("repeated", get().with("good").with("good")),
        row("repeated, another scheme first", get().authorization("Basic eA==").with("good")),
        row("the scheme alone", get().authorization("Bearer")),
        row("a tab after the scheme", get().authorization("Bearer\t{good}")),
        row("no token68", get().authorization("Bearer two tokens")),
        row("a parameter", get().authorization("Bearer token=\"{good}\"")),
        row("not in ASCII", get().authorization(&b"Bearer \xc3\xa9"[..])),
        row("1,025 bytes", get().authorization(long(1_025))),
        row("1,024 bytes", get().authorization(long(1_024))),
        row("the scheme in capitals, and two spaces", get().authorization("BEARER  {good}")),
    ]
}

/// Where a token is only identified.
fn identified() -> Rows {
    let get = || get("/maybe");
    let long = |start: &str| format!("Bearer {start}{}", "a".repeat(1_500));
    vec![
        row("no credentials", get()),
        row("another scheme", get().authorization("Basic dXNlcjpwYXNz")),
        row("a JWT", get().with("jwt")),
        row("a long JWT", get().authorization(long("eyJhbGciOiJSUzI1NiJ9."))),
        row("a parameter", get().authorization("Bearer token=\"x\"")),
        row("the scheme alone", get().authorization("Bearer")),
        row("our prefix, too long", get().authorization(long("acme_"))),
        row("our prefix, no token68", get().authorization("Bearer {good} {good}")),
        row("repeated", get().with("jwt").with("jwt")),
        row("a bad one", get().with("revoked")),
        row("without the ability", get().with("create")),
        row("a good one", get().with("good")),
        row("nobody where somebody is wanted", Request { path: "/allowed".into(), ..get() }),
    ]
}

fn bad_tokens() -> Rows {
    BAD.iter().map(|(name, _)| row(name, get("/allowed").with(name))).collect()
}

fn abilities() -> Rows {
    vec![
        row("Allowed", get("/allowed").with("create")),
        row("AllowedAny", get("/any").with("delete")),
        row("AllowedAll", get("/all").with("good")),
        row("MaybeAllowed", get("/maybe").with("create")),
        row("a guard", get("/guarded").with("create")),
        row("a guard with a template", get("/projects/42").with("good")),
        row("a guard where the path is no segment", get("/projects/4*2").with("projects")),
        row("a token that holds none", get("/authenticated").with("none")),
        row("a token that holds none, and a guard", get("/guarded").with("none")),
        row("a token that holds it", get("/allowed").with("good")),
    ]
}

fn limited() -> Rows {
    let get = |token| get("/allowed").with(token);
    vec![
        row("within the limit", get("good")),
        row("the limit is reached", get("good")),
        row("another token, without the ability", get("create")),
        row("a limit of its own", get("three")),
        row("not charged", get("expired")),
    ]
}

fn guard_charges() -> Rows {
    let get = |path| get(path).with("good");
    vec![
        row("a guard that charges", get("/charged")),
        row("a guard that charges and refuses", get("/charged/42")),
        row("a guard that charges and finds nothing", get("/charged/4*2")),
        row("a handler that writes the same headers", get("/own-headers/charged")),
        row("a guard that charges more of the layer's", get("/costly")),
        row("a guard with one a minute", get("/seldom")),
        row("a guard with one a minute, once more", get("/seldom")),
    ]
}

fn addresses() -> Rows {
    let get = || get("/allowed").with("office");
    vec![
        row("from elsewhere", get().from("198.51.100.1")),
        row("from nowhere", get()),
        row("through a proxy", get().from("10.0.0.1").header("x-forwarded-for", "192.0.2.7")),
    ]
}

fn bodies() -> Rows {
    let json =
        |body: &str| post("/json", body).with("good").header("content-type", "application/json");
    let longest = format!("{{\"name\":\"{}\"}}", "a".repeat(16 * 1024));
    vec![
        row("not JSON", json("{")),
        row("no body", post("/json", "").with("good")),
        row("no media type", post("/json", "{}").with("good")),
        row(
            "another media type",
            post("/json", "{}").with("good").header("content-type", "text/plain"),
        ),
        row("encoded", json("{}").header("content-encoding", "gzip")),
        row("more than 16 KiB", json(&longest)),
        row("a field that is wrong", json("{\"name\":7}")),
        row("a member that is not known", json("{\"name\":\"a\",\"ability\":[]}")),
        row("no credentials, whatever the body", post("/json", "{")),
    ]
}

/// Where HTTP Basic and a header of another name are read as well.
fn other_credentials() -> Rows {
    vec![
        row("a good one", get("/allowed").header("x-api-key", "{good}")),
        row("a bad one", get("/allowed").header("x-api-key", "{expired}")),
        row("two kinds", get("/allowed").with("good").header("x-api-key", "{good}")),
        row("no base64", get("/allowed").authorization("Basic !")),
        row("none of ours asks for Basic", get("/allowed").authorization("Basic Og==")),
    ]
}

fn without_layer() -> Rows {
    vec![
        row("an argument", get("/allowed").with("good")),
        row("a guard", get("/guarded").with("good")),
    ]
}

fn one(title: &str) -> Rows {
    vec![row(title, get("/allowed").with("good"))]
}

/// The file, as a framework answers.
async fn answers(ground: Ground, cold: bool) -> String {
    let mut text = String::new();
    for part in [
        "credentials",
        "identify",
        "tokens",
        "abilities",
        "rate limit",
        "rate limit with the headers of the draft",
        "rate limit of a guard",
        "addresses",
        "bodies",
        "an unknown pepper key",
        "the store is down",
        "the store is busy",
        "a record that can't be read",
        "a store that is out of order",
        "shared limits are away",
        "no layer",
        "basic and a header",
    ] {
        let scene = Scene::new(ground).await;
        if cold {
            scene.world.store.forget();
        }
        let fail = |error: fn() -> StoreError| {
            scene.world.store.forget();
            scene.world.store.fail_with(&["find"], error);
        };
        let proxies = TrustedProxies::new(["10.0.0.0/8"]).unwrap();
        let mut setup = Setup::new(scene.require());
        let rows = match part {
            "credentials" => credentials(),
            "identify" => {
                setup.authenticator = scene.identify();
                identified()
            }
            "tokens" => bad_tokens(),
            "abilities" => abilities(),
            "rate limit" => {
                setup.authenticator = scene.limited(1);
                limited()
            }
            "rate limit with the headers of the draft" => {
                setup.authenticator = scene.limited(1).draft_rate_limit_headers(true);
                limited()
            }
            "rate limit of a guard" => {
                setup.authenticator = scene.limited(60).draft_rate_limit_headers(true);
                guard_charges()
            }
            "addresses" => {
                setup.address = Address::Proxies(proxies);
                addresses()
            }
            "bodies" => bodies(),
            "an unknown pepper key" => vec![row("peppered", get("/allowed").with("peppered"))],
            "the store is down" => {
                fail(|| StoreError::Unavailable("gone".into()));
                one("no answer")
            }
            "the store is busy" => {
                fail(|| StoreError::Busy("locked".into()));
                one("no place in the pool")
            }
            "a record that can't be read" => {
                fail(|| CorruptRecord::new(None, "digest").into());
                one("corrupt")
            }
            "a store that is out of order" => {
                fail(|| StoreError::Faulty("no such table".into()));
                one("faulty")
            }
            "shared limits are away" => {
                let nowhere = RedisLimits::open("redis://127.0.0.1:1/").unwrap();
                let limiter = RateLimiter::redis(nowhere.while_away(WhileAway::Refuse));
                setup.authenticator = scene.limited(1).limiter(limiter);
                one("no answer")
            }
            "no layer" => {
                setup.layer = false;
                without_layer()
            }
            "basic and a header" => {
                let authenticator = scene.require().accept_basic();
                setup.authenticator = authenticator.accept_header("X-Api-Key").unwrap();
                other_credentials()
            }
            other => unreachable!("{other}"),
        };
        let client = scene.client_of(setup).await;
        for (title, request) in rows {
            let answer = client.send(request.clone()).await;
            write!(text, "## {part}: {title}\n{request}\n→ {answer}\n").unwrap();
        }
    }
    text
}

async fn every_answer_is_the_one_on_file(ground: Ground) {
    let is_first = ground.framework == Framework::Axum && !ground.shared;
    hold_to("responses.txt", &answers(ground, false).await, is_first);
}

async fn an_answer_that_had_to_wait_for_the_store_is_the_same(ground: Ground) {
    let (at_once, later) = (answers(ground, false).await, answers(ground, true).await);
    if let Some(difference) = difference(&at_once, &later) {
        panic!("{difference}");
    }
}

async fn all_bad_tokens_are_answered_alike_and_the_reason_is_told_to_the_log_alone(ground: Ground) {
    let scene = Scene::new(ground).await;
    let client = scene.client(scene.limited(1)).await;
    let mut answers = Vec::new();
    for (name, reason) in BAD {
        answers.push(client.send(get("/allowed").with(name)).await);
        let events = scene.world.events.take();
        let (refused, signs) = events.split_last().unwrap();
        assert!(refused.starts_with("Refused {"), "{events:?}");
        assert!(refused.ends_with(&format!("reason: {reason:?} }}")), "{name}: {events:?}");
        let retired = usize::from(*name == "retired");
        assert_eq!(signs.len(), retired, "{name}: {events:?}");
        assert!(signs.iter().all(|it| it.starts_with("RetiredSecretUsed {")), "{events:?}");
    }
    assert_eq!(answers[0].told(), (401, "invalid_token".to_owned()));
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}
