//! Every refusal, to the byte.

use serde_json::json;

use super::{Account, Issued, Request, Response, Server, Service};
use crate::support::checked;

on_every_server! {
    no_credentials_and_other_schemes_are_asked_for_a_bearer_token,
    credentials_that_cannot_be_read_are_a_malformed_request,
    all_tokens_that_are_not_good_are_refused_alike,
    a_token_without_the_ability_is_told_which_one_it_lacks,
    a_token_that_holds_nothing_opens_nothing,
    what_is_wrong_with_a_request_is_told_in_one_form,
    a_body_may_have_16_kib_and_a_much_longer_one_is_answered_too,
    a_refusal_reaches_a_client_that_is_still_sending,
    a_database_that_somebody_holds_is_unavailable_and_costs_no_client_its_token,
    a_fault_of_the_service_is_logged_and_not_told,
}

const MISSING: &str = r#"Bearer realm="Fleet""#;
const MALFORMED: &str = r#"Bearer realm="Fleet", error="invalid_request""#;
const INVALID: &str = r#"Bearer realm="Fleet", error="invalid_token", error_description="The access token is invalid""#;

/// What is refused with this status, and the body written out; `headers` are those beside the ones of every refusal.
pub(super) fn refusal(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let length = body.len().to_string();
    let of_all = [
        ("cache-control", "no-store"),
        ("content-length", length.as_str()),
        ("content-type", "application/problem+json"),
    ];
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let mut headers: Vec<_> = of_all.iter().chain(headers).map(owned).collect();
    headers.sort();
    Response { status, headers, body: body.to_owned() }
}

fn challenge(text: &str) -> [(&str, &str); 1] {
    [("www-authenticate", text)]
}

/// What a token is told of its rate limit after its first request.
const FIRST: [(&str, &str); 2] = [("x-ratelimit-limit", "60"), ("x-ratelimit-remaining", "59")];

fn after_one(text: &str) -> Vec<(&str, &str)> {
    [&challenge(text)[..], &FIRST].concat()
}

pub(super) fn invalid_token() -> Response {
    let body =
        r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"invalid_token"}"#;
    refusal(401, &challenge(INVALID), body)
}

pub(super) fn missing_credentials() -> Response {
    let body = r#"{"type":"about:blank","title":"Unauthorized","status":401,"code":"missing_credentials"}"#;
    refusal(401, &challenge(MISSING), body)
}

fn no_credentials_and_other_schemes_are_asked_for_a_bearer_token(server: Server) {
    let service = Service::start(server);
    let expected = missing_credentials();
    let request = Request::get("/api/v1/servers");
    assert_eq!(request.send(&service), expected);
    let basic = request.header("authorization", "Basic dXNlcjpwYXNz");
    assert_eq!(basic.send(&service), expected);
}

fn credentials_that_cannot_be_read_are_a_malformed_request(server: Server) {
    let service = Service::start(server);
    let body =
        r#"{"type":"about:blank","title":"Bad Request","status":400,"code":"invalid_request"}"#;
    let expected = refusal(400, &challenge(MALFORMED), body);
    let request = Request::get("/api/v1/servers");
    assert_eq!(request.clone().bearer("a b").send(&service), expected);
    assert_eq!(request.bearer("a").bearer("a").send(&service), expected);
}

fn all_tokens_that_are_not_good_are_refused_alike(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let issue = |name| ada.issue(name, &["servers:read"]);
    let (good, revoked, other) = (issue("good"), issue("revoked"), issue("other"));
    ada.send(Request::delete(&revoked.path()));
    let expired = expired(&service, &ada);

    let body = |token: &Issued| token.plain[..token.plain.len() - 6].to_owned();
    let secret = |token: &Issued| body(token)[body(token).len() - 43..].to_owned();
    let cases = [
        ("checksum", format!("{}000000", body(&good))),
        ("unknown id", checked(&format!("fleet_{:022}_{}", 7, secret(&good)))),
        ("secret of another", checked(&format!("fleet_{}_{}", good.id, secret(&other)))),
        ("other prefix", checked(&format!("fleets_{}_{}", good.id, secret(&good)))),
        ("no prefix", checked(&format!("{}_{}", good.id, secret(&good)))),
        ("public part", format!("fleet_{}", good.id)),
        ("expired", expired.plain),
        ("revoked", revoked.plain),
        ("not ours", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln".to_owned()),
    ];
    let call = |token: &str| service.call(token, Request::get("/api/v1/servers"));
    for (case, token) in cases {
        assert_eq!(call(&token), invalid_token(), "{case}");
    }
    assert_eq!(checked(&body(&good)), good.plain, "what was sealed here was not refused for that");
    assert_eq!(call(&good.plain).status, 200);
}

/// A token that was good, is not revoked, and has expired.
fn expired(service: &Service, account: &Account) -> Issued {
    let token = account.issue("expired", &["servers:read"]);
    assert_eq!(service.call(&token.plain, Request::get("/api/v1/servers")).status, 200);
    service.tamper("UPDATE keyfob_tokens SET expires_at = created_at WHERE name = 'expired'");
    assert_eq!(account.get(&token.path()).json()["state"], "expired");
    token
}

fn a_token_without_the_ability_is_told_which_one_it_lacks(server: Server) {
    let service = Service::start(server);
    let token = service.log_in("ada").issue("ci", &["servers:read", "sites:*"]);
    let create = Request::post("/api/v1/servers").json(&json!({ "name": "web-1" }));
    let header = r#"Bearer realm="Fleet", error="insufficient_scope", scope="servers:create""#;
    let body = r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"insufficient_scope","required":["servers:create"]}"#;
    assert_eq!(service.call(&token.plain, create), refusal(403, &after_one(header), body));
}

fn a_token_that_holds_nothing_opens_nothing(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let header = r#"Bearer realm="Fleet", error="insufficient_scope""#;
    let body = r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"insufficient_scope","required":[]}"#;
    let unsaid = ada.create(&json!({ "name": "nothing said" })).json();
    assert_eq!(unsaid["abilities"], json!([]));
    for token in [&ada.issue("nothing", &[]).plain, unsaid["token"].as_str().unwrap()] {
        let answer = service.call(token, Request::get("/api/v1/servers"));
        assert_eq!(answer, refusal(403, &after_one(header), body));
    }
}

fn what_is_wrong_with_a_request_is_told_in_one_form(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("taken", &["servers:create"]);
    let create =
        || ada.request(Request::post("/account/tokens")).header("content-type", "application/json");
    let problem = |status: u16, title: &str, code: &str| {
        format!(r#"{{"type":"about:blank","title":"{title}","status":{status},"code":"{code}"}}"#)
    };
    let allow = |methods| [("allow", methods)];
    let long = json!({ "name": "a".repeat(16 * 1024) }).to_string();
    let plain_text =
        ada.request(Request::post("/account/tokens")).header("content-type", "text/plain");
    for (request, expected) in [
        (create().body("{"), refusal(400, &[], &problem(400, "Bad Request", "malformed_body"))),
        (create(), refusal(400, &[], &problem(400, "Bad Request", "malformed_body"))),
        (
            Request::get("/account/tokens"),
            refusal(401, &[], &problem(401, "Unauthorized", "login_required")),
        ),
        (Request::get("/nowhere"), refusal(404, &[], &problem(404, "Not Found", "not_found"))),
        (
            Request::get("/account/tokens/nonsense").header("cookie", &ada.cookie),
            refusal(404, &[], &problem(404, "Not Found", "not_found")),
        ),
        (
            Request::new("PUT", "/account/tokens").header("cookie", &ada.cookie),
            refusal(
                405,
                &allow("GET,HEAD,POST"),
                &problem(405, "Method Not Allowed", "method_not_allowed"),
            ),
        ),
        (
            Request::new("PUT", "/api/v1/servers/1").bearer(&token.plain),
            refusal(
                405,
                &allow("GET,HEAD,PATCH,DELETE"),
                &problem(405, "Method Not Allowed", "method_not_allowed"),
            ),
        ),
        (
            create().body(r#"{"name":"taken"}"#),
            refusal(409, &[], &problem(409, "Conflict", "name_taken")),
        ),
        (
            create().body(&long),
            refusal(413, &[], &problem(413, "Content Too Large", "content_too_large")),
        ),
        (
            plain_text.body("{}"),
            refusal(415, &[], &problem(415, "Unsupported Media Type", "unsupported_media_type")),
        ),
        (
            ada.request(Request::post("/account/tokens")).body("{}"),
            refusal(415, &[], &problem(415, "Unsupported Media Type", "unsupported_media_type")),
        ),
        (
            create().body("{}"),
            refusal(
                422,
                &[],
                r#"{"type":"about:blank","title":"Unprocessable Content","status":422,"code":"validation_failed","errors":{"name":["must be given"]}}"#,
            ),
        ),
    ] {
        assert_eq!(request.send(&service), expected);
    }
}

fn a_body_may_have_16_kib_and_a_much_longer_one_is_answered_too(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    for (length, status) in [(16 * 1024, 201), (16 * 1024 + 1, 413), (5_000_000, 413)] {
        let padding = " ".repeat(length - r#"{"name":"ci"}"#.len());
        let body = format!(r#"{{"name":"ci"{padding}}}"#);
        let create = Request::post("/account/tokens").header("content-type", "application/json");
        let create = ada.request(create.body(&body));
        assert_eq!(create.send_much(&service).status, status, "{length}");
    }
}

fn a_refusal_reaches_a_client_that_is_still_sending(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]).plain;
    let long = " ".repeat(8 * 1024 * 1024);
    let post = |path: &str| Request::post(path).body(&long);
    for (request, status, code) in [
        (post("/api/v1/servers"), 401, "missing_credentials"),
        (post("/api/v1/servers").bearer("fleet_x"), 401, "invalid_token"),
        (post("/api/v1/servers").bearer("a b"), 400, "invalid_request"),
        (post("/api/v1/servers").bearer(&token), 403, "insufficient_scope"),
        (post("/account/tokens/current/rotate").bearer(&token), 415, "unsupported_media_type"),
    ] {
        let answer = request.send_much(&service);
        assert_eq!((answer.status, answer.code().as_str()), (status, code));
    }
}

fn a_database_that_somebody_holds_is_unavailable_and_costs_no_client_its_token(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let body = r#"{"type":"about:blank","title":"Service Unavailable","status":503,"code":"store_unavailable"}"#;
    service.while_locked(|| {
        let answer = ada.create(&json!({ "name": "another" }));
        assert_eq!(answer, refusal(503, &[("retry-after", "1")], body));
        let answer = service.call(&token.plain, Request::get("/api/v1/servers"));
        assert_eq!(answer.status, 200, "what only reads goes on: {answer:?}");
    });
    ada.issue("another", &[]);
}

fn a_fault_of_the_service_is_logged_and_not_told(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let body =
        r#"{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal"}"#;
    service.tamper("ALTER TABLE panel RENAME TO lost_panel");
    let servers = Request::get("/api/v1/servers");
    assert_eq!(service.call(&token.plain, servers.clone()), refusal(500, &FIRST, body));
    service.tamper("ALTER TABLE keyfob_tokens RENAME TO lost_tokens");
    assert_eq!(service.call(&token.plain, servers), refusal(500, &[], body));
    assert_eq!(ada.get("/account/tokens"), refusal(500, &[], body));
    service.tamper("ALTER TABLE lost_tokens RENAME TO keyfob_tokens");
    let log = service.stop();
    assert!(log.contains("no such table: panel") && log.contains("no such table: keyfob_tokens"));
}
