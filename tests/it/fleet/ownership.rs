//! Who may manage which tokens: the login says so, and nothing in a request.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use cookie::{CookieJar, Key};
use serde_json::json;

use super::{Issued, ORIGIN, Request, Response, Server, Service};

on_every_server! {
    every_management_route_asks_for_the_owner_who_is_logged_in,
    fields_that_are_not_the_clients_to_say_are_refused,
    the_query_does_not_say_whose_tokens_are_listed,
    a_login_of_another_service_is_none_here,
    a_login_is_one_signed_cookie_that_scripts_and_other_sites_do_not_get,
    a_login_ends_when_it_was_signed_to,
    a_request_of_another_site_changes_nothing,
}

/// Every management route, for a token.
fn routes(token: &Issued) -> [Request; 9] {
    let ids = json!({ "ids": [token.id] });
    [
        Request::get("/account/tokens"),
        Request::post("/account/tokens").json(&json!({ "name": "another" })),
        Request::get(&token.path()),
        Request::patch(&token.path()).json(&json!({ "name": "renamed" })),
        Request::post(&format!("{}/rotate", token.path())),
        Request::post(&format!("{}/suspend", token.path())),
        Request::post(&format!("{}/resume", token.path())),
        Request::post("/account/tokens/revoke").json(&ids),
        Request::delete(&token.path()),
    ]
}

fn every_management_route_asks_for_the_owner_who_is_logged_in(server: Server) {
    let service = Service::start(server);
    let (ada, grace) = (service.log_in("ada"), service.log_in("grace"));
    let token = ada.issue("ci", &["servers:read"]);
    let all = ada.create(&json!({ "name": "all", "abilities": "*" })).json();
    let all = all["token"].as_str().unwrap();
    let (name, _) = ada.cookie.split_once('=').unwrap();
    let (_, grace_value) = grace.cookie.split_once('=').unwrap();
    for (route, request) in routes(&token).into_iter().enumerate() {
        for request in [request.clone(), request.header("cookie", &ada.cookie)] {
            let answer = request.bearer(all).send(&service);
            assert_eq!(answer.status, 403, "{route}: {answer:?}");
            assert_eq!(answer.code(), "insufficient_scope", "{route}: a token manages no tokens");
        }
    }
    let before = ada.get("/account/tokens").body;
    let strangers: [(&str, &dyn Fn(Request) -> Request); 5] = [
        ("anonymous", &|it| it),
        ("token as cookie", &|it| it.header("cookie", &format!("{name}={all}"))),
        ("unsigned cookie", &|it| it.header("cookie", &format!("{name}=ada"))),
        ("cookie signed for another", &|it| {
            it.header("cookie", &format!("{name}={}", grace_value.replace("grace", "ada")))
        }),
        ("headers that say so", &|it| it.header("x-account", "ada").header("x-owner", "ada")),
    ];
    for (who, disguise) in strangers {
        for (route, request) in routes(&token).into_iter().enumerate() {
            let answer = disguise(request).send(&service);
            assert_eq!(answer.status, 401, "{who} {route}: {answer:?}");
            assert_eq!(answer.code(), "login_required", "{who} {route}");
            assert_eq!(answer.header("www-authenticate"), None);
        }
    }

    // Somebody else: lists are empty, what is made is his own, and the token is not there.
    let answers = routes(&token).map(|request| grace.send(request));
    let statuses = answers.each_ref().map(|answer| answer.status);
    assert_eq!(statuses, [200, 201, 404, 404, 404, 404, 404, 200, 404]);
    assert_eq!(answers[0].body, r#"{"tokens":[],"next_cursor":null}"#);
    assert_eq!(answers[7].body, r#"{"revoked":[]}"#);
    assert_eq!(ada.get("/account/tokens").body, before, "nothing of the owner's has changed");
    assert_eq!(grace.names(""), ["another"]);
    let foreign = grace.get(&format!("/account/tokens/{}", token.id));
    let nobodys = grace.get("/account/tokens/0000000000000000000007");
    assert_eq!(foreign, nobodys, "there is no telling that it exists");

    let statuses = routes(&token).map(|request| ada.send(request).status);
    assert_eq!(statuses, [200, 201, 200, 200, 201, 200, 200, 200, 204]);
}

fn fields_that_are_not_the_clients_to_say_are_refused(server: Server) {
    let service = Service::start(server);
    let (ada, grace) = (service.log_in("ada"), service.log_in("grace"));
    let extra = json!({
        "owner": "grace", "account": "grace", "owner_id": "grace", "user": "grace", "created_by": "grace",
        "id": "0000000000000000000007", "prefix": "acme", "public_part": "acme_x", "token": "mine",
        "plain": "mine", "secret": "mine", "digest": "00", "generation": 7, "state": "revoked",
        "created_at": "2000-01-01T00:00:00Z", "last_used_at": "2000-01-01T00:00:00Z",
        "revoked_at": "2000-01-01T00:00:00Z", "suspended": true, "parent": "x", "limit": 1,
        "__proto__": { "owner": "grace" },
    });
    let with = |members: serde_json::Value| {
        let mut body = extra.clone();
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        body
    };

    let strange = |refused: &Response| {
        assert_eq!((refused.status, refused.fields()), (422, vec!["body".to_owned()]));
        let messages = refused.json()["errors"]["body"].as_array().unwrap().len();
        assert_eq!(messages, extra.as_object().unwrap().len(), "each is named: {refused:?}");
    };
    let plain = ada.issue("plain", &["servers:read"]);
    let before = ada.get(&plain.path()).body;
    let new = with(json!({ "name": "ci", "abilities": ["servers:read"] }));
    strange(&ada.create(&new));
    strange(&ada.send(Request::patch(&plain.path()).json(&extra)));
    assert_eq!(ada.get(&plain.path()).body, before);
    assert_eq!(ada.names("?state=any"), ["plain"]);
    assert!(grace.names("?state=any").is_empty());
    assert_eq!(service.status(&plain), 200);

    // One of them alone is refused as all are.
    for (member, value) in extra.as_object().unwrap() {
        let mut body = json!({ "name": "ci" });
        body[member] = value.clone();
        assert_eq!(ada.create(&body).status, 422, "{member}");
    }
    assert_eq!(ada.names("?state=any"), ["plain"]);
}

fn the_query_does_not_say_whose_tokens_are_listed(server: Server) {
    let service = Service::start(server);
    let (ada, grace) = (service.log_in("ada"), service.log_in("grace"));
    ada.issue("ci", &[]);
    assert!(grace.names("?owner=ada&account=ada").is_empty());
}

fn a_login_of_another_service_is_none_here(server: Server) {
    let (service, other) = (Service::start(server), Service::start(server));
    let cookie = other.log_in("ada").cookie;
    let list = Request::get("/account/tokens").header("cookie", &cookie);
    assert_eq!((list.send(&other).status, list.send(&service).status), (200, 401));
}

fn a_login_is_one_signed_cookie_that_scripts_and_other_sites_do_not_get(server: Server) {
    let service = Service::start(server);
    let post = || Request::post("/login").header("origin", ORIGIN);
    let log_in = |body| post().json(&body).send(&service);
    let answer = log_in(json!({ "account": "ada" }));
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let cookie = answer.header("set-cookie").unwrap();
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=43200"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.starts_with("fleet_login=ada;"), "it is signed: {cookie}");
    let again = log_in(json!({ "account": "ada" }));
    assert_ne!(again.header("set-cookie").unwrap(), cookie, "each login is a new one");

    for body in [json!({}), json!({ "account": "eve" }), json!({ "account": ["ada"] })] {
        let refused = log_in(body);
        assert_eq!(refused.fields(), ["account"]);
        assert_eq!(refused.header("set-cookie"), None);
    }
    let form = post().header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(form.body("account=ada").send(&service).status, 415);
}

fn a_login_ends_when_it_was_signed_to(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let secret = service.text("SELECT secret FROM cookie_keys");
    let key = Key::try_from(&*BASE64_STANDARD.decode(secret).unwrap()).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (value, status) in [
        (format!("ada.{}.7", now + 3_600), 200),
        (format!("ada.{}.7", now - 1), 401),
        (format!("ada.{}.7", i64::MIN), 401),
        ("ada".to_owned(), 401),
        ("ada.never.7".to_owned(), 401),
    ] {
        let mut jar = CookieJar::new();
        jar.signed_mut(&key).add(("fleet_login", value.clone()));
        let cookie = jar.get("fleet_login").unwrap().stripped().encoded().to_string();
        let list = Request::get("/account/tokens").header("cookie", &cookie);
        assert_eq!(list.send(&service).status, status, "{value}");
    }
    let out = ada.send(Request::post("/logout"));
    let cookie = out.header("set-cookie").unwrap();
    assert_eq!((out.status, out.body.as_str()), (204, ""));
    assert!(cookie.starts_with("fleet_login=; ") && cookie.contains("; Max-Age=0"), "{cookie}");
    assert!(cookie.contains("; Path=/"), "else it is another cookie: {cookie}");
}

type Headers = &'static [(&'static str, &'static str)];

/// What a browser says of the page whose request it is, and whether it may change something.
const ORIGINS: [(Headers, bool); 18] = [
    (&[("sec-fetch-site", "same-origin")], true),
    (&[("sec-fetch-site", "none")], true),
    (&[("sec-fetch-site", "same-origin"), ("origin", "null")], true),
    (&[("origin", "http://fleet")], true),
    (&[("origin", "https://fleet")], true),
    (&[("origin", "https://FLEET")], true),
    (&[("sec-fetch-site", "cross-site")], false),
    (&[("sec-fetch-site", "same-site")], false),
    (&[("sec-fetch-site", "same-site"), ("origin", "http://fleet")], false),
    (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
    (&[("sec-fetch-site", "")], false),
    (&[], false),
    (&[("origin", "null")], false),
    (&[("origin", "http://evil")], false),
    (&[("origin", "http://fleet:81")], false),
    (&[("origin", "http://fleet.evil")], false),
    (&[("origin", "fleet")], false),
    (&[("origin", "http://fleet"), ("origin", "http://evil")], false),
];

fn a_request_of_another_site_changes_nothing(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let account = json!({ "account": "ada" });
    let change = json!({ "name": "changed" });
    let path = token.path();
    let act = |verb: &str| Request::post(&format!("{path}/{verb}"));
    for (headers, passes) in ORIGINS {
        let from = |request: Request| {
            let request = request.header("cookie", &ada.cookie);
            headers.iter().fold(request, |it, (name, value)| it.header(name, value)).send(&service)
        };
        for (request, status) in [
            (Request::post("/login").json(&account), 204),
            (Request::post("/logout"), 204),
            (Request::post("/account/tokens").json(&json!({ "name": "" })), 422),
            (Request::patch(&path).json(&change), 200),
            (act("rotate").json(&json!({ "grace_seconds": -1 })), 422),
            (act("suspend"), 200),
            (act("resume"), 200),
            (Request::post("/account/tokens/revoke").json(&json!({ "ids": [] })), 200),
            (Request::delete("/account/tokens/0000000000000000000007"), 404),
        ] {
            let answer = from(request);
            let expected = if passes { status } else { 403 };
            assert_eq!(answer.status, expected, "{headers:?}: {answer:?}");
            if !passes {
                assert_eq!(answer.code(), "cross_site_request");
                assert_eq!(answer.header("set-cookie"), None);
            }
        }
        assert_eq!(from(Request::get(&path)).status, 200, "{headers:?}: what only reads passes");
        let upgrade = from(Request::get(&path).header("upgrade", "websocket"));
        assert_eq!(upgrade.status, if passes { 200 } else { 403 }, "{headers:?}");
        let bearer = from(Request::get("/account/tokens/current").bearer(&token.plain));
        assert_eq!(bearer.status, 200, "{headers:?}: no site can send a token");
    }
    let without_login = Request::post("/account/tokens").header("origin", "http://evil");
    assert_eq!(without_login.json(&change).send(&service).status, 401);
}
