//! A session or a token on the same routes.

mod cross_site;
mod plain;

use std::{
    future::pending,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use futures_util::FutureExt;
use keyfob::{Abilities, Owner, token::Actor, web::auth::Account};

use super::{
    app::{Framework, Ground, Outer, Setup, take_handled},
    http::{Request, get},
    scene::{BAD, Scene, is, per_minute},
};

/// A login of the application's own: the cookie names what it finds.
#[derive(Clone, Default)]
pub struct Sessions {
    asked: Arc<AtomicUsize>,
    /// As many as wait for an answer now.
    waiting: Arc<AtomicUsize>,
    own_check: bool,
}

struct Waits(Arc<AtomicUsize>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Sessions {
    pub fn with_own_check() -> Self {
        Self { own_check: true, ..Self::default() }
    }

    pub fn has_own_check(&self) -> bool {
        self.own_check
    }

    pub async fn find(&self, cookie: Option<String>) -> io::Result<Option<Account>> {
        self.asked.fetch_add(1, SeqCst);
        self.waiting.fetch_add(1, SeqCst);
        let _waits = Waits(self.waiting.clone());
        let account = |owner| Account::new(Owner::new(owner).unwrap());
        let member = || account("project:7").by(Actor::new("user:42").unwrap());
        let restricted = |to: &[&str]| member().restricted_to(Abilities::set(to).unwrap());
        Ok(match cookie.as_deref() {
            Some("sid=ada") => Some(account("user:42")),
            Some("sid=member") => Some(member()),
            Some("sid=reader") => Some(restricted(&["servers:read", "projects:42:*"])),
            Some("sid=stranger") => Some(restricted(&[])),
            Some("sid=fails") => return Err(io::Error::other("the session store is away")),
            Some("sid=hangs") => pending().await,
            _ => None,
        })
    }

    fn waiting(&self) -> usize {
        self.waiting.load(SeqCst)
    }

    pub fn take_asked(&self) -> usize {
        self.asked.swap(0, SeqCst)
    }
}

impl Request {
    fn session(self, of: &str) -> Self {
        self.header("cookie", format!("sid={of}"))
    }
}

on_every_ground! {
    a_session_or_a_token_makes_a_request
    a_session_has_what_its_account_has
    the_default_limit_counts_no_sessions
    a_guard_charges_sessions_by_owner_and_actor
    a_charge_per_owner_counts_sessions_and_tokens_together
    a_login_that_fails_or_hangs_is_503
    a_login_is_asked_once_and_not_where_a_token_is
    a_login_that_nobody_waits_for_any_more_is_dropped
    a_refusal_is_kept_for_the_arguments_that_follow
    a_layer_that_takes_no_sessions_accepts_none_from_further_out
    a_token_store_that_is_down_is_no_reason_to_ask_the_login
    arguments_by_themselves_accept_sessions
    nothing_but_a_token_will_do_where_that_is_said
}

const NOBODY: (u16, &str) = (401, "missing_credentials");
const ADA: (u16, &str) = (200, "hello user:42 of user:42");

async fn a_session_or_a_token_makes_a_request(ground: Ground) {
    let scene = Scene::new(ground).await;
    let sessions = Sessions::default();
    let setup = |it| Setup::new(it).or_session(&sessions);
    let require = scene.client_of(setup(scene.require())).await;
    let identify = scene.client_of(setup(scene.identify())).await;
    for (path, identified) in [("/maybe", (200, "hello nobody")), ("/allowed", NOBODY)] {
        let required = (NOBODY, (401, "invalid_token"));
        for (client, (nobody, foreign)) in
            [(&require, required), (&identify, (identified, identified))]
        {
            for (session, nobody, foreign) in [("ada", ADA, ADA), ("ended", nobody, foreign)] {
                let request = || get(path).session(session);
                assert_eq!(
                    client.told(request()).await,
                    is(nobody.0, nobody.1),
                    "{path} {session}"
                );
                let told = client.told(request().with("jwt")).await;
                assert_eq!(told, is(foreign.0, foreign.1), "{path} {session}");
            }
            assert_eq!(client.told(get(path)).await, is(nobody.0, nobody.1));
            // Beside a session, a token acts, and a bad one is refused.
            for session in ["ada", "ended"] {
                let good = get(path).session(session).with("good");
                assert_eq!(client.told(good).await, is(200, "hello user:42"));
                for (bad, _) in BAD.iter().filter(|(it, _)| !["jwt", "foreign-prefix"].contains(it))
                {
                    let told = client.told(get(path).session(session).with(bad)).await;
                    assert_eq!(told, is(401, "invalid_token"), "{bad} beside {session}");
                }
                let twice = get(path).session(session).with("good").with("good");
                assert_eq!(client.told(twice).await, is(400, "invalid_request"));
            }
        }
    }
}

async fn a_session_has_what_its_account_has(ground: Ground) {
    let scene = Scene::new(ground).await;
    let sessions = Sessions::default();
    let client = scene.client_of(Setup::new(scene.require()).or_session(&sessions)).await;
    for (session, path, required) in [
        ("reader", "/allowed", None),
        ("reader", "/any", None),
        ("reader", "/all", Some(&["servers:read", "servers:create"][..])),
        ("reader", "/guarded", None),
        ("reader", "/guarded/create", Some(&["servers:create"])),
        ("reader", "/projects/42", None),
        ("reader", "/projects/43", Some(&["projects:{id}:write"])),
        ("reader", "/authenticated", None),
        ("stranger", "/authenticated", Some(&[])),
        ("stranger", "/open", Some(&[])),
        ("member", "/all", None),
    ] {
        let answer = client.send(get(path).session(session)).await;
        let events = scene.world.events.take();
        let Some(required) = required else {
            assert_eq!((answer.status, &events[..]), (200, &[][..]), "{session} {path}");
            continue;
        };
        assert_eq!(answer.told(), is(403, "insufficient_scope"), "{session} {path}");
        assert_eq!(answer.required(), serde_json::json!(required));
        let who = r#"id: None, owner: Owner("project:7"), actor: Some(Actor("user:42"))"#;
        let event = format!(
            "AbilityMissing {{ {who}, required: {required:?}, enforced: true, from: None }}"
        );
        assert_eq!(events, [event], "{session} {path}");
    }
    let reported = client.send(get("/trial").session("reader")).await;
    assert_eq!(reported.told(), is(200, "hello user:42 of project:7"));
    assert_eq!(scene.world.events.kinds(), ["AbilityMissing"]);
}

async fn the_default_limit_counts_no_sessions(ground: Ground) {
    let scene = Scene::new(ground).await;
    let setup = Setup::new(scene.limited(3)).or_session(&Sessions::default());
    let client = scene.client_of(setup).await;
    let session = || get("/allowed").session("ada");
    for _ in 0..5 {
        assert_eq!(client.send(session()).await.quota(), None);
    }
    for (request, quota) in [
        (get("/allowed").with("good"), Some((3, 2))),
        (session(), None),
        // A refused request: by the token's state, and by an ability.
        (get("/allowed").session("ada").with("revoked"), None),
        (get("/guarded/create").session("ada").with("good"), Some((3, 1))),
        (get("/allowed").session("ada").with("good"), Some((3, 0))),
        (get("/allowed").with("good"), Some((3, 0))),
        (session(), None),
    ] {
        assert_eq!(client.send(request.clone()).await.quota(), quota, "{request}");
    }
}

async fn a_guard_charges_sessions_by_owner_and_actor(ground: Ground) {
    let scene = Scene::new(ground).await;
    let setup = Setup::new(scene.limited(60)).or_session(&Sessions::default());
    let client = scene.client_of(setup).await;
    for (session, expected) in [("ada", 200), ("ada", 429), ("member", 200), ("reader", 429)] {
        let answer = client.send(get("/seldom").session(session)).await;
        assert_eq!((answer.status, answer.quota()), (expected, Some((1, 0))), "{session}");
    }
    assert_eq!(client.send(get("/seldom").with("good")).await.status, 200, "a token is another");
    let who = r#"id: None, owner: Owner("user:42"), actor: Some(Actor("user:42"))"#;
    let reached =
        format!(r#"RateLimited {{ {who}, limit: "seldom", retry_after: 60, from: None }}"#);
    assert_eq!(scene.world.events.take()[0], reached);
    // Of a hundred, each takes five; what is refused for its abilities has used its turn.
    for left in [95, 90] {
        let answer = client.send(get("/charged").session("member")).await;
        assert_eq!((answer.status, answer.quota()), (200, Some((100, left))));
    }
    let answer = client.send(get("/charged/43").session("reader")).await;
    assert_eq!((answer.status, answer.quota()), (403, Some((100, 85))));
}

async fn a_charge_per_owner_counts_sessions_and_tokens_together(ground: Ground) {
    let scene = Scene::new(ground).await;
    let setup = Setup::new(scene.limited(60)).or_session(&Sessions::default());
    let client = scene.client_of(setup).await;
    for (request, expected) in [
        (get("/shared").with("three"), 200),
        (get("/shared").with("other"), 429),
        (get("/shared").session("ada"), 429),
        (get("/shared").session("member"), 200),
        (get("/shared").session("reader"), 429),
    ] {
        assert_eq!(client.send(request.clone()).await.status, expected, "{request}");
    }
    let answer = client.send(get("/allowed").with("other")).await;
    assert_eq!(answer.quota(), Some((60, 59)), "what a limit refuses is given back");
}

async fn a_login_that_fails_or_hangs_is_503(ground: Ground) {
    let scene = Scene::new(ground).await;
    for authenticator in [scene.require(), scene.identify()] {
        let sessions = Sessions::default();
        let client = scene.client_of(Setup::new(authenticator).or_session(&sessions)).await;
        for (session, error) in
            [("fails", "the session store is away"), ("hangs", "no answer within 2000 ms")]
        {
            for path in ["/maybe", "/state/maybe"] {
                let answer = client.send(get(path).session(session)).await;
                assert_eq!(answer.told(), is(503, "store_unavailable"), "{session}");
                assert_eq!(answer.header("retry-after"), Some("1"));
                assert_eq!(answer.header("www-authenticate"), None);
                assert_eq!(answer.header("cache-control"), Some("no-store"));
                let event = format!("SessionFailed {{ error: {error:?} }}");
                assert_eq!(scene.world.events.take(), [event]);
                assert_eq!(sessions.waiting(), 0, "what hangs is dropped");
            }
        }
    }
    assert_eq!(take_handled(), 0);
}

async fn a_login_is_asked_once_and_not_where_a_token_is(ground: Ground) {
    let scene = Scene::new(ground).await;
    let sessions = Sessions::default();
    let setup = || Setup::new(scene.require()).or_session(&sessions);
    let twice = setup().under(Outer::Itself);
    for setup in [setup(), twice, setup().without_layer()] {
        let alone = ["/state/two", "/state/allowed"];
        let layered = ["/allowed", "/guarded", "/state/beside", "/state/two", "/state/allowed"];
        let paths = if setup.layer { &layered[..] } else { &alone };
        let client = scene.client_of(setup).await;
        for path in paths {
            for (request, status, asked) in [
                (get(*path).session("ada"), 200, 1),
                (get(*path).session("ended"), 401, 1),
                (get(*path).session("fails"), 503, 1),
                (get(*path).session("ada").with("good"), 200, 0),
                (get(*path).session("ada").with("revoked"), 401, 0),
                (get(*path).session("ada").with("bad-checksum"), 401, 0),
                (get(*path).session("ada").with("good").with("good"), 400, 0),
            ] {
                scene.world.store.forget();
                let answer = client.send(request.clone()).await;
                let title = format!("{path}: {request}");
                assert_eq!((answer.status, sessions.take_asked()), (status, asked), "{title}");
            }
        }
    }
    let identify = Setup::new(scene.identify()).or_session(&sessions).without_layer();
    let client = scene.client_of(identify).await;
    for (session, text) in [("ada", ADA.1), ("ended", "hello nobody")] {
        let told = client.told(get("/state/maybe/two").session(session)).await;
        assert_eq!((told, sessions.take_asked()), (is(200, text), 1), "{session}");
    }
}

async fn a_login_that_nobody_waits_for_any_more_is_dropped(ground: Ground) {
    let scene = Scene::new(ground).await;
    let sessions = Sessions::default();
    for setup in [Setup::new(scene.require()), Setup::new(scene.require()).without_layer()] {
        let path = if setup.layer { "/allowed" } else { "/state/two" };
        let client = scene.client_of(setup.or_session(&sessions)).await;
        let mut answer = Box::pin(client.send(get(path).session("hangs")));
        assert!((&mut answer).now_or_never().is_none());
        assert_eq!(sessions.waiting(), 1, "{path}");
        drop(answer);
        assert_eq!(sessions.waiting(), 0, "{path}");
    }
}

async fn a_refusal_is_kept_for_the_arguments_that_follow(ground: Ground) {
    let scene = Scene::new(ground).await;
    let sessions = Sessions::default();
    let setup = Setup::new(scene.require()).or_session(&sessions).without_layer();
    let client = scene.client_of(setup).await;
    for (request, told, asked, events) in [
        (get("/state/results").session("ada"), "200 200", 1, 0),
        (get("/state/results").session("ended"), "401 401", 1, 0),
        (get("/state/results").session("stranger"), "403 403", 1, 1),
        (get("/state/results").session("fails"), "503 503", 1, 1),
        (get("/state/results").session("ada").with("revoked"), "401 401", 0, 1),
    ] {
        scene.world.store.forget();
        scene.world.events.take();
        assert_eq!(client.told(request.clone()).await, is(200, told), "{request}");
        assert_eq!(sessions.take_asked(), asked, "{request}");
        assert_eq!(scene.world.events.take().len(), events, "{request}");
    }
}

async fn a_layer_that_takes_no_sessions_accepts_none_from_further_out(ground: Ground) {
    let scene = Scene::new(ground).await;
    let sessions = Sessions::default();
    for (authenticator, anonymous) in
        [(scene.require(), NOBODY), (scene.identify(), (200, "hello nobody"))]
    {
        let outside =
            Setup::new(authenticator.clone()).under(Outer::TakesSessions(sessions.clone()));
        let outside = scene.client_of(outside).await;
        let told = outside.told(get("/maybe").session("ada")).await;
        assert_eq!(told, is(anonymous.0, anonymous.1));
        assert_eq!(sessions.take_asked(), 1);
        assert_eq!(outside.told(get("/maybe").with("good")).await, is(200, "hello user:42"));
        assert_eq!(sessions.take_asked(), 0);
    }
    let inside = Setup::new(scene.identify()).under(Outer::TakesNone).or_session(&sessions);
    let inside = scene.client_of(inside).await;
    assert_eq!(inside.told(get("/maybe").session("ada")).await, is(ADA.0, ADA.1));
    assert_eq!(sessions.take_asked(), 1, "only the inner one knows whom to ask");
}

async fn a_token_store_that_is_down_is_no_reason_to_ask_the_login(ground: Ground) {
    let scene = Scene::new(ground).await;
    let sessions = Sessions::default();
    let client = scene.client_of(Setup::new(scene.identify()).or_session(&sessions)).await;
    scene.world.store.forget();
    scene.world.store.fail(&["find"]);
    let told = client.told(get("/maybe").session("ada").with("good")).await;
    assert_eq!((told, sessions.take_asked()), (is(503, "store_unavailable"), 0));
    let told = client.told(get("/maybe").session("ada")).await;
    assert_eq!((told, sessions.take_asked()), (is(ADA.0, ADA.1), 1));
}

async fn arguments_by_themselves_accept_sessions(ground: Ground) {
    let scene = Scene::new(ground).await;
    let setup = || Setup::new(scene.limited(1)).or_session(&Sessions::default());
    let layered = scene.client_of(setup()).await;
    let alone = scene.client_of(setup().without_layer()).await;
    for kind in ["allowed", "maybe", "authenticated"] {
        for session in ["ada", "member", "reader", "stranger", "ended", "fails"] {
            let layered = layered.send(get(format!("/{kind}")).session(session)).await;
            let alone = alone.send(get(format!("/state/{kind}")).session(session)).await;
            assert_eq!(alone, layered, "{kind} {session}");
        }
    }
}

async fn nothing_but_a_token_will_do_where_that_is_said(ground: Ground) {
    let scene = Scene::new(ground).await;
    let authenticator = scene.require().rate_limit(per_minute(60));
    let setup = Setup::new(authenticator).or_session(&Sessions::default());
    let client = scene.client_of(setup).await;
    for path in ["/token/allowed", "/token/authenticated"] {
        let told = client.told(get(path).session("ada").with("good")).await;
        assert_eq!(told, is(200, "token of user:42"));
        let (session, nobody) =
            (client.send(get(path).session("ada")).await, client.send(get(path)).await);
        assert_eq!(session, nobody, "{path}: as without credentials");
        assert_eq!(session.told(), is(401, "missing_credentials"));
    }
    let lacking = client.told(get("/token/allowed").with("create")).await;
    assert_eq!(lacking, is(403, "insufficient_scope"));
}

/// Both frameworks answer with the same bytes.
#[tokio::test]
async fn both_frameworks_answer_alike() {
    let mut answers = Vec::new();
    for framework in [Framework::Axum, Framework::Actix] {
        let scene = Scene::new(framework).await;
        let mut all = Vec::new();
        for authenticator in [scene.require(), scene.identify()] {
            let setup = Setup::new(authenticator).or_session(&Sessions::default());
            let client = scene.client_of(setup).await;
            for session in ["ada", "reader", "stranger", "ended", "fails"] {
                for token in ["", "jwt", "good", "revoked", "none", "too-short"] {
                    for path in ["/maybe", "/allowed", "/all", "/projects/43", "/seldom"] {
                        let request = get(path).session(session);
                        let request = if token.is_empty() { request } else { request.with(token) };
                        all.push(client.send(request).await);
                    }
                }
            }
        }
        answers.push(all);
    }
    let statuses: std::collections::BTreeSet<_> = answers[0].iter().map(|it| it.status).collect();
    assert_eq!(Vec::from_iter(statuses), [200, 401, 403, 429, 503]);
    assert_eq!(answers[0], answers[1]);
}
