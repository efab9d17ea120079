//! The entry without a framework.

use keyfob::web::{
    Allowed, Guard, Problem, TokenAllowed,
    auth::{AuthContext, AuthRequest},
};

use super::Sessions;
use crate::web::{
    app::{Framework, Setup},
    handlers::{ServersRead, five, seldom},
    http::{Request, Response, get},
    scene::{BAD, Scene, per_minute},
};

async fn authenticate(
    authenticator: &keyfob::web::Authenticator,
    request: &AuthRequest<'_>,
    cookie: Option<String>,
) -> Result<AuthContext, Problem> {
    let sessions = Sessions::default();
    authenticator.authenticate_or_session(request, async || sessions.find(cookie).await).await
}

fn response(problem: &Problem) -> Response {
    let headers = problem.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Response::new(problem.status(), headers.collect(), problem.body().as_bytes())
}

#[tokio::test]
async fn the_plain_entry_judges_as_a_layer_does() {
    let scene = Scene::new(Framework::Axum).await;
    let mut requests = vec![
        get("/allowed"),
        get("/allowed").with("good"),
        get("/allowed").with("create"),
        get("/allowed").with("none"),
        get("/allowed").with("jwt").session("ada"),
        get("/allowed").with("good").with("good"),
        get("/allowed").authorization("Bearer two words"),
    ];
    requests.extend(BAD.iter().map(|(name, _)| get("/allowed").with(name)));
    for session in ["ada", "reader", "stranger", "ended", "fails"] {
        requests.push(get("/allowed").session(session));
        let page = get("/allowed").session(session).header("upgrade", "websocket");
        requests.push(page.clone());
        requests.push(page.header("host", "acme.example").header("origin", "http://acme.example"));
    }
    let authenticator = scene.require().rate_limit(per_minute(10));
    let setup = Setup::new(authenticator.clone()).or_session(&Sessions::default());
    let client = scene.client_of(setup).await;
    let alone = scene.require().rate_limit(per_minute(10));
    let mut seen = std::collections::BTreeSet::new();
    for request in requests {
        let layered = client.send(request.clone()).await;
        let Request { method, path, headers, .. } = client.filled(request.clone());
        let plain = AuthRequest::new(method, &path)
            .headers(headers.iter().map(|(name, value)| (*name, &**value)));
        let cookie = headers.iter().find(|(name, _)| *name == "cookie");
        let cookie = cookie.map(|(_, value)| String::from_utf8(value.clone()).unwrap());
        let verdict = authenticate(&alone, &plain, cookie).await;
        let argument = verdict.and_then(|auth| {
            let allowed = auth.argument::<Allowed<ServersRead>>(&plain)?;
            let is_token = auth.argument::<TokenAllowed<ServersRead>>(&plain).is_ok();
            assert_eq!(is_token, !allowed.is_session());
            Ok((auth.headers(), allowed.owner().clone()))
        });
        seen.insert(layered.status);
        match argument {
            Ok((headers, owner)) => {
                assert_eq!(layered.status, 200, "{request}");
                assert!(layered.body.contains(owner.as_str()), "{request}");
                for (name, value) in headers {
                    assert_eq!(layered.header(name), Some(&*value), "{request}");
                }
            }
            Err(problem) => assert_eq!(response(&problem), layered, "{request}"),
        }
    }
    assert_eq!(Vec::from_iter(seen), [200, 400, 401, 403, 503]);
}

#[tokio::test]
async fn a_guard_that_refuses_gives_everything_back() {
    let scene = Scene::new(Framework::Axum).await;
    let authenticator = scene.require().rate_limit(per_minute(60));
    let text = format!("Bearer {}", scene.text("project"));
    let headers = [("Authorization", text.as_bytes())];
    let request = || AuthRequest::new("GET", "/projects/42").headers(headers);
    let create = Guard::ability(&scene.tokens, "projects:{id}:write").unwrap().charge(five());
    let once = Guard::charging(seldom());
    let of = |auth: &AuthContext| auth.headers()[1].1.clone();
    for (turn, left) in [(0, "59"), (1, "58")] {
        let auth = authenticator.authenticate(&request()).await.unwrap();
        assert_eq!(of(&auth), left);
        let auth = create.check(auth, request().parameter("id", "42")).await.unwrap();
        assert_eq!(of(&auth), if turn == 0 { "95" } else { "90" });
        let outcome = once.check(auth, request()).await;
        match turn {
            0 => assert_eq!(of(&outcome.unwrap()), "0"),
            _ => assert_eq!(outcome.unwrap_err().code(), "rate_limited"),
        }
    }
    let auth = authenticator.authenticate(&request()).await.unwrap();
    assert_eq!(of(&auth), "58", "that of the second turn came back");
    let lacking = create.check(auth.clone(), request().parameter("id", "43")).await.unwrap_err();
    assert_eq!((lacking.status(), lacking.code()), (403, "insufficient_scope"));
    let nowhere = create.check(auth.clone(), request().parameter("id", "4:2")).await.unwrap_err();
    assert_eq!(nowhere.status(), 404);
    let misused = create.check(auth, request()).await.unwrap_err();
    assert_eq!(misused.status(), 500, "the parameter is missing");
}

#[tokio::test]
async fn what_is_given_back_is_given_back_once() {
    let scene = Scene::new(Framework::Axum).await;
    let authenticator = scene.require().rate_limit(per_minute(60));
    let text = format!("Bearer {}", scene.text("good"));
    let headers = [("authorization", text.as_bytes())];
    let request = || AuthRequest::new("GET", "/").headers(headers);
    let once = Guard::charging(seldom());
    let first = authenticator.authenticate(&request()).await.unwrap();
    once.check(first, request()).await.unwrap();
    let second = authenticator.authenticate(&request()).await.unwrap();
    for _ in 0..5 {
        let refused = once.check(second.clone(), request()).await.unwrap_err();
        assert_eq!(refused.status(), 429);
    }
    let third = authenticator.authenticate(&request()).await.unwrap();
    assert_eq!(third.headers()[1], ("x-ratelimit-remaining", "58".to_owned()));
}

#[tokio::test]
async fn the_own_origin_is_where_the_request_was_sent_to() {
    let scene = Scene::new(Framework::Axum).await;
    let authenticator = scene.require();
    let (host, own) = ("acme.example".as_bytes(), "https://acme.example".as_bytes());
    let (http, other) = ("http://acme.example".as_bytes(), "https://internal".as_bytes());
    let with = |origin| AuthRequest::new("POST", "/").headers([("HOST", host), ("Origin", origin)]);
    for (request, may) in [
        (with(own), true),
        (with(http), true),
        (with(own).https(true), true),
        (with(http).https(true), false),
        (with(own).authority("internal"), false),
        (with(other).authority("internal"), true),
        (with(other).csrf_checked(true), true),
        (with(own).csrf_checked(false), false),
    ] {
        let verdict = authenticate(&authenticator, &request, Some("sid=ada".to_owned())).await;
        assert_eq!(verdict.is_ok(), may, "{:?}", verdict.err());
    }
    for method in ["CONNECT", "TRACE", "get", ""] {
        let request = AuthRequest::new(method, "/").headers([("host", host)]);
        let verdict = authenticate(&authenticator, &request, Some("sid=ada".to_owned())).await;
        assert_eq!(verdict.unwrap_err().code(), "cross_site_request", "{method}");
    }
    let get = AuthRequest::new("GET", "/").csrf_checked(false);
    assert!(authenticate(&authenticator, &get, Some("sid=ada".to_owned())).await.is_ok());
}
