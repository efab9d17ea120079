//! Credentials in other places than `Authorization: Bearer`, where the application reads them there.

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use keyfob::web::Authenticator;

use super::{
    app::{Framework, Setup},
    http::{Request, get},
    scene::{Scene, is},
    sessions::Sessions,
};

on_both! {
    a_token_is_read_from_basic_credentials
    a_token_is_read_from_a_header_of_another_name
    a_token_is_read_behind_another_scheme
    of_two_credentials_that_which_is_ours_counts
    no_session_acts_beside_a_token_that_can_not_be_read
    nothing_else_is_read_unless_that_is_switched_on
    what_was_read_is_marked_as_sensitive
}

fn basic(text: impl AsRef<[u8]>) -> Request {
    get("/allowed").authorization(format!("Basic {}", BASE64_STANDARD.encode(text)))
}

fn key(value: &str) -> Request {
    get("/allowed").header("x-api-key", value)
}

fn with_header(authenticator: Authenticator) -> Authenticator {
    authenticator.accept_header("X-Api-Key").unwrap()
}

async fn a_token_is_read_from_basic_credentials(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require().accept_basic()).await;
    let (good, other) = (scene.text("good"), scene.text("other"));
    let (expired, foreign) = (scene.text("expired"), scene.text("jwt"));
    let unpadded = BASE64_STANDARD_NO_PAD.encode(format!("{good}:x"));
    assert!(BASE64_STANDARD.encode(format!("{good}:x")).ends_with('='), "there is a padding");
    for (title, request, expected) in [
        ("user", basic(format!("{good}:")), (200, "hello user:42")),
        ("user, with a password", basic(format!("{good}:x-oauth-basic")), (200, "hello user:42")),
        ("password", basic(format!("ada:{good}")), (200, "hello user:42")),
        ("password without user", basic(format!(":{good}")), (200, "hello user:42")),
        (
            "capitals",
            get("/allowed").authorization(format!("BASIC {unpadded}")),
            (200, "hello user:42"),
        ),
        (
            "without padding",
            get("/allowed").authorization(format!("Basic {unpadded}")),
            (200, "hello user:42"),
        ),
        ("both", basic(format!("{good}:{other}")), (400, "invalid_request")),
        ("the same twice", basic(format!("{good}:{good}")), (400, "invalid_request")),
        ("a bad one as user", basic(format!("{expired}:")), (401, "invalid_token")),
        ("a bad one as password", basic(format!("ada:{expired}")), (401, "invalid_token")),
        ("a colon behind the token", basic(format!("ada:{good}:")), (401, "invalid_token")),
        ("neither", basic("ada:lovelace"), (401, "invalid_token")),
        ("a user alone", basic("ada:"), (401, "invalid_token")),
        ("another's", basic(format!("ada:{foreign}")), (401, "invalid_token")),
        ("nothing", basic(":"), (401, "missing_credentials")),
        ("no colon", basic(good), (400, "invalid_request")),
        ("not UTF-8", basic(b"\xff:"), (400, "invalid_request")),
        ("no base64", get("/allowed").authorization("Basic a"), (400, "invalid_request")),
        ("no token68", get("/allowed").authorization("Basic a b"), (400, "invalid_request")),
        ("of a URL", get("/allowed").authorization("Basic YWRhOj8_"), (400, "invalid_request")),
        ("the scheme alone", get("/allowed").authorization("Basic"), (400, "invalid_request")),
        ("bearer", get("/allowed").with("good"), (200, "hello user:42")),
        ("another scheme", get("/allowed").authorization("Digest a"), (401, "missing_credentials")),
    ] {
        assert_eq!(client.told(request).await, is(expected.0, expected.1), "{title}");
    }
    assert_eq!(
        client.send(basic("ada:")).await.header("www-authenticate").unwrap().split(' ').next(),
        Some("Bearer"),
        "a browser must not show a dialogue"
    );
}

async fn a_token_is_read_from_a_header_of_another_name(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(with_header(scene.require())).await;
    for (title, request, expected) in [
        ("good", key("{good}"), (200, "hello user:42")),
        ("white space around", key(" {good}\t"), (200, "hello user:42")),
        ("bad", key("{revoked}"), (401, "invalid_token")),
        ("another's", key("{jwt}"), (401, "invalid_token")),
        ("without the ability", key("{create}"), (403, "insufficient_scope")),
        ("repeated", key("{good}").header("x-api-key", "{good}"), (400, "invalid_request")),
        ("repeated, one empty", key("").header("x-api-key", "{good}"), (400, "invalid_request")),
        ("two kinds", key("{good}").with("good"), (400, "invalid_request")),
        ("two kinds, one revoked", key("{revoked}").with("good"), (400, "invalid_request")),
        ("garbage", key("two tokens"), (400, "invalid_request")),
        ("with a scheme", key("Bearer {good}"), (400, "invalid_request")),
        ("empty", key(""), (401, "missing_credentials")),
        ("empty beside a bearer", key("").with("good"), (200, "hello user:42")),
        (
            "beside another scheme",
            key("{good}").authorization("Basic eA=="),
            (200, "hello user:42"),
        ),
        ("beside a bad bearer", key("{good}").authorization("Bearer"), (200, "hello user:42")),
        ("none", get("/allowed"), (401, "missing_credentials")),
    ] {
        assert_eq!(client.told(request).await, is(expected.0, expected.1), "{title}");
    }
}

async fn a_token_is_read_behind_another_scheme(framework: Framework) {
    let scene = Scene::new(framework).await;
    let accept = |it: Authenticator| it.accept_scheme("Token").unwrap().accept_scheme("k").unwrap();
    let require = scene.client(accept(scene.require())).await;
    let identify = scene.client(accept(scene.identify())).await;
    let neither = scene.client(scene.require()).await;
    let request = |value: &str| get("/allowed").authorization(value);
    for (value, expected) in [
        ("Token {good}", (200, "hello user:42")),
        ("tOKEN  {good}", (200, "hello user:42")),
        ("k {good}", (200, "hello user:42")),
        ("Bearer {good}", (200, "hello user:42")),
        ("Token {revoked}", (401, "invalid_token")),
        ("Token {create}", (403, "insufficient_scope")),
        ("Token acme_deploy", (401, "invalid_token")),
        ("Token\t{good}", (400, "invalid_request")),
        ("Token token={good}", (400, "invalid_request")),
        ("Token", (400, "invalid_request")),
        ("Tokens {good}", (401, "missing_credentials")),
        ("Basic {good}", (401, "missing_credentials")),
    ] {
        let expected = is(expected.0, expected.1);
        assert_eq!(require.told(request(value)).await, expected, "{value}");
    }
    let nobody = request("Token eyJhbGciOiJIUzI1NiJ9.e30.x");
    assert_eq!(identify.told(Request { path: "/maybe".into(), ..nobody }).await.1, "hello nobody");
    let told = neither.told(request("Token {good}")).await;
    assert_eq!(told, is(401, "missing_credentials"), "unless it is switched on");
    let challenge = require.send(request("Token {revoked}")).await;
    assert!(challenge.header("www-authenticate").unwrap().starts_with("Bearer realm="));
    for bad in ["", "basic", "BASIC", "To ken", "Token:", "é"] {
        assert_eq!(scene.require().accept_scheme(bad).unwrap_err().name, "accept_scheme");
    }
}

/// Each kind of credentials in each pair of places. In `require` and `identify`, a status and what is told.
async fn of_two_credentials_that_which_is_ours_counts(framework: Framework) {
    let scene = Scene::new(framework).await;
    let accept = |it: Authenticator| it.accept_basic().accept_header("x-api-key").unwrap();
    let require = scene.client(accept(scene.require())).await;
    let identify = scene.client(accept(scene.identify())).await;
    let sessions = Sessions::default();
    let or_session = |it| Setup::new(accept(it)).or_session(&sessions);
    let require_or_session = scene.client_of(or_session(scene.require())).await;
    let identify_or_session = scene.client_of(or_session(scene.identify())).await;
    let (good, other) = (scene.text("good").to_owned(), scene.text("other").to_owned());
    let jwt = scene.text("jwt").to_owned();
    let kinds = ["none", "foreign", "malformed", "looks like ours", "ours", "another of ours"];
    let token = |kind: &str| match kind {
        "none" => String::new(),
        "foreign" => jwt.clone(),
        "malformed" => "two words".to_owned(),
        "looks like ours" => "acme_deploy".to_owned(),
        "ours" => good.clone(),
        _ => other.clone(),
    };
    let bearer = |kind: &str| (kind != "none").then(|| format!("Bearer {}", token(kind)));
    let basic = |kind: &str| match kind {
        "none" => None,
        "malformed" => Some("Basic a".to_owned()),
        kind => Some(format!("Basic {}", BASE64_STANDARD.encode(format!("ada:{}", token(kind))))),
    };
    let refused =
        |is_ours: bool| if is_ours { (401, "invalid_token") } else { (400, "invalid_request") };
    for first in kinds {
        for second in kinds {
            for is_basic in [false, true] {
                let authorization = if is_basic { basic(first) } else { bearer(first) };
                let mut request = get("/maybe");
                if let Some(authorization) = &authorization {
                    request = request.authorization(authorization.as_str());
                }
                if second != "none" {
                    request = request.header("x-api-key", token(second));
                }
                // A half of Basic credentials has to be a whole token.
                let looks = [(first, !is_basic), (second, true)];
                let looks = looks.contains(&("looks like ours", true));
                let ours = [first, second]
                    .into_iter()
                    .filter(|it| it.ends_with("ours") && !it.starts_with("looks"));
                let ours: Vec<_> = ours.collect();
                let foreign = [first, second].contains(&"foreign")
                    || (is_basic && first == "looks like ours");
                let malformed = [first, second].contains(&"malformed");
                let required = match ours[..] {
                    [_, _] => refused(false),
                    _ if looks => refused(true),
                    [_] => (200, "hello user:42"),
                    _ if foreign => refused(true),
                    _ if malformed => refused(false),
                    _ => (401, "missing_credentials"),
                };
                let identified = match required {
                    _ if ours.is_empty() && !looks => (200, "hello nobody"),
                    other => other,
                };
                let title = format!("{first} beside {second}, basic: {is_basic}");
                assert_eq!(
                    require.told(request.clone()).await,
                    is(required.0, required.1),
                    "{title}"
                );
                let told = identify.told(request.clone()).await;
                assert_eq!(told, is(identified.0, identified.1), "{title}");

                // What says 400 for all in doubt is not asked either.
                let asks = ours.is_empty() && !looks;
                for (client, ended) in
                    [(&require_or_session, required), (&identify_or_session, identified)]
                {
                    let alive = if asks { (200, "hello user:42 of user:42") } else { required };
                    for (session, expected) in [("ada", alive), ("ended", ended)] {
                        sessions.take_asked();
                        let request = request.clone().header("cookie", format!("sid={session}"));
                        let told = client.told(request).await;
                        assert_eq!(told, is(expected.0, expected.1), "{title}, {session}");
                        assert_eq!(sessions.take_asked(), usize::from(asks), "{title}");
                    }
                }
            }
        }
    }
    let deploy = format!("Basic {}", BASE64_STANDARD.encode(format!("acme_deploy:{good}")));
    for client in [&require, &identify] {
        let told = client.told(get("/maybe").authorization(deploy.as_str())).await;
        assert_eq!(told, is(200, "hello user:42"), "the user name is none of ours");
    }
}

async fn no_session_acts_beside_a_token_that_can_not_be_read(framework: Framework) {
    let scene = Scene::new(framework).await;
    let accept = |it: Authenticator| with_header(it.accept_basic());
    let or_session = |it| Setup::new(accept(it)).or_session(&Sessions::default());
    let require = scene.client(accept(scene.require())).await;
    let require_or_session = scene.client_of(or_session(scene.require())).await;
    let identify_or_session = scene.client_of(or_session(scene.identify())).await;
    let good = scene.text("good");
    for value in [
        format!("Bearer\t{good}"),
        format!("Bearer \"{good}\""),
        format!("Bearer token={good} x"),
        format!("Bearer Bearer {good}"),
    ] {
        for client in [&require, &require_or_session, &identify_or_session] {
            let request = get("/maybe").header("cookie", "sid=ada");
            for request in [
                request.clone().authorization(value.as_str()),
                request.header("x-api-key", value.as_str()),
            ] {
                let told = client.told(request).await;
                assert_eq!(told, is(400, "invalid_request"), "{value}");
            }
        }
    }
}

async fn nothing_else_is_read_unless_that_is_switched_on(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(scene.require()).await;
    let good = scene.text("good");
    for request in [
        basic(format!("{good}:")),
        key("{good}"),
        get("/allowed").header("cookie", "token={good}"),
        get(format!("/allowed?token={good}&access_token={good}&api_key={good}")),
    ] {
        assert_eq!(client.told(request.clone()).await, is(401, "missing_credentials"), "{request}");
    }
    let both = get("/allowed").header("x-api-key", "{expired}").with("good");
    assert_eq!(client.told(both).await, is(200, "hello user:42"), "it is a header like any other");
}

async fn what_was_read_is_marked_as_sensitive(framework: Framework) {
    let scene = Scene::new(framework).await;
    let client = scene.client(with_header(scene.identify())).await;
    let get = || get("/sensitive").header("x-other", "{good}");
    for (request, marked) in [
        (get(), ""),
        (get().with("good"), "authorization"),
        (get().header("x-api-key", "{good}"), "x-api-key"),
        (get().authorization("Basic eA=="), "authorization"),
        (get().with("jwt"), "authorization"),
        (
            get().authorization("Basic eA==").header("x-api-key", "{good}"),
            "authorization x-api-key",
        ),
    ] {
        assert_eq!(client.told(request.clone()).await, is(200, marked), "{request}");
    }
    scene.world.store.forget();
    assert_eq!(
        client.told(get().with("good")).await,
        is(200, "authorization"),
        "when it waited too"
    );
}

#[tokio::test]
async fn a_name_that_is_none_of_a_header_with_credentials_is_refused() {
    let scene = Scene::new(Framework::Axum).await;
    for good in ["X-Api-Key", "x-api-key", "token", "Proxy-Authorization", "x!#$%&'*+-.^_`|~9"] {
        assert!(scene.require().accept_header(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        " ",
        "X Api Key",
        "X-Api-Key ",
        "X-Api-Key:",
        "x\n",
        "é",
        "authorization",
        "Authorization",
        "COOKIE",
    ] {
        assert!(scene.require().accept_header(bad).is_err(), "{bad:?}");
    }
}
