//! Which paths there are, and what each is asked with.

use serde_json::{Value, json};

use super::{Request, Response, Server, Service, refusals::refusal};

on_every_server! {
    a_method_that_a_resource_does_not_have_is_told_which_it_has,
    what_is_nowhere_is_not_found_with_any_method,
    a_path_is_the_same_however_its_characters_are_encoded,
    head_is_answered_as_get_is_and_without_the_body,
    answers_are_json_and_say_no_more_than_that,
}

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Every resource, with its methods as they stand in `Allow`.
const RESOURCES: [(&str, &str); 19] = [
    ("/", "GET,HEAD"),
    ("/login", "POST"),
    ("/login/ada", "POST"),
    ("/logout", "POST"),
    ("/account/tokens", "GET,HEAD,POST"),
    ("/account/tokens/revoke", "POST"),
    ("/account/tokens/1", "GET,HEAD,PATCH,DELETE"),
    ("/account/tokens/1/rotate", "POST"),
    ("/account/tokens/1/suspend", "POST"),
    ("/account/tokens/1/resume", "POST"),
    ("/account/tokens/current", "GET,HEAD,DELETE"),
    ("/account/tokens/current/rotate", "POST"),
    ("/api/v1/servers", "GET,HEAD,POST"),
    ("/api/v1/servers/1", "GET,HEAD,PATCH,DELETE"),
    ("/api/v1/servers/1/sites", "GET,HEAD,POST"),
    ("/api/v1/servers/1/databases", "GET,HEAD"),
    ("/api/v1/servers/1/ssh-keys", "GET,HEAD,POST"),
    ("/api/v1/servers/1/crons", "GET,HEAD,POST"),
    ("/api/v1/sites/1/backups", "GET,HEAD,POST"),
];

/// It needs no credentials, for it tells nothing that is anybody's.
fn a_method_that_a_resource_does_not_have_is_told_which_it_has(server: Server) {
    let service = Service::start(server);
    let body = r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"code":"method_not_allowed"}"#;
    for (path, allow) in RESOURCES {
        for method in METHODS {
            let answer = Request::new(method, path).send(&service);
            if allow.split(',').any(|it| it == method) {
                assert_ne!(answer.status, 405, "{method} {path}");
                continue;
            }
            let mut expected = refusal(405, &[("allow", allow)], body);
            if method == "HEAD" {
                expected.body.clear();
            }
            assert_eq!(answer, expected, "{method} {path}");
        }
    }
}

fn what_is_nowhere_is_not_found_with_any_method(server: Server) {
    let service = Service::start(server);
    let body = r#"{"type":"about:blank","title":"Not Found","status":404,"code":"not_found"}"#;
    for path in [
        "/settings",
        "/nowhere",
        "/account",
        "/account/tokens/",
        "/account/tokens/1/nothing",
        "/api/v1",
        "/api/v1/nothing",
    ] {
        for method in METHODS {
            let mut expected = refusal(404, &[], body);
            if method == "HEAD" {
                expected.body.clear();
            }
            assert_eq!(Request::new(method, path).send(&service), expected, "{method} {path}");
        }
    }
}

/// What is answered, but for the last use: it goes on with the clock.
fn without_last_use(answer: &Response) -> Value {
    let mut json = answer.json();
    json.as_object_mut().unwrap().remove("last_used_at");
    json
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |encoded, byte| format!("{encoded}%{byte:02x}"))
}

fn a_path_is_the_same_however_its_characters_are_encoded(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let get = |path: &str| {
        if path.contains(&*token.id) || path.contains(&encoded(&token.id)) {
            return ada.get(path);
        }
        service.call(&token.plain, Request::get(path))
    };
    let (name, current) = (&token.id, "/account/tokens/current");
    for (path, same) in [
        ("/account/tokens/%63urrent".to_owned(), current),
        (format!("/account/tokens/{}", encoded("current")), current),
        ("/%61ccount/tokens/c%75rren%74?a=%63".to_owned(), current),
        (format!("/account/tokens/{}", encoded(name)), &*token.path()),
        ("/api/%761/server%73".to_owned(), "/api/v1/servers"),
    ] {
        let (one, other) = (get(&path), get(same));
        assert_eq!((one.status, without_last_use(&one)), (200, without_last_use(&other)), "{path}");
    }
    for path in [
        "/account/tokens%2Fcurrent",
        "/account/tokens/current%2Frotate",
        "/account/tokens/%2563urrent",
        "/account/tokens/current%00",
        "/account/tokens/%",
        "/account/tokens/%6",
        "/account/tokens/%6%33urrent",
        "/account/tokens/%FF",
        "/account/tokens/%2E%2E/tokens",
        "/account/tokens/./current",
        "/account//tokens",
        "/account/tokens/Current",
    ] {
        let answer = ada.get(path);
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    let ended = Request::delete("/account/tokens/%63urrent").bearer(&token.plain).send(&service);
    assert_eq!((ended.status, service.status(&token)), (204, 401));
}

fn head_is_answered_as_get_is_and_without_the_body(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:*"]);
    let create = Request::post("/api/v1/servers").json(&json!({ "name": "web-1" }));
    let server = service.call(&token.plain, create).json()["id"].clone();
    let server = format!("/api/v1/servers/{server}");
    let current = "/account/tokens/current";
    for path in
        ["/account/tokens", &token.path(), current, "/api/v1/servers", &server, "/api/v1/servers/x"]
    {
        let send = |method| {
            let request = Request::new(method, path);
            if path.starts_with("/account") && path != current {
                return ada.send(request);
            }
            service.call(&token.plain, request)
        };
        let (get, head) = (send("GET"), send("HEAD"));
        assert!(!get.body.is_empty() && head.body.is_empty(), "{path}: {head:?}");
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path}");
        }
    }
}

fn answers_are_json_and_say_no_more_than_that(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:*"]);
    let name = json!({ "name": "web-1" });
    for answer in [
        ada.get("/account/tokens"),
        ada.create(&json!({ "name": "another" })),
        ada.send(Request::patch(&token.path()).json(&name)),
        ada.send(Request::post("/account/tokens/revoke").json(&json!({ "ids": [] }))),
        ada.act(&token, "suspend", &json!({})),
        ada.act(&token, "resume", &json!({})),
        service.call(&token.plain, Request::get("/account/tokens/current")),
        service.call(&token.plain, Request::post("/account/tokens/current/rotate")),
        ada.act(&token, "rotate", &json!({})),
        service.call(&token.plain, Request::get("/api/v1/servers")),
        service.call(&token.plain, Request::post("/api/v1/servers").json(&name)),
    ] {
        assert!((200..=201).contains(&answer.status), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
    }
    let deleted = ada.send(Request::delete(&token.path()));
    assert_eq!((deleted.status, deleted.headers, deleted.body), (204, vec![], String::new()));
}
