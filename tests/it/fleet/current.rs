//! What a token can do with itself.

use serde_json::{Value, json};

use super::{
    Issued, Request, Response, Server, Service, assert_refused,
    refusals::{invalid_token, missing_credentials},
};

on_every_server! {
    a_token_is_shown_to_whoever_bears_it,
    nothing_but_a_good_bearer_token_says_which_token_is_meant,
    current_is_no_id_and_a_token_manages_no_tokens,
    whoever_bears_a_token_rotates_it,
    whoever_bears_a_token_does_not_prolong_it,
    a_replaced_secret_replaces_only_a_new_one_that_was_not_used,
    whoever_bears_a_token_ends_it,
    whoever_proves_a_secret_can_end_its_token_whatever_else_is_to_be_said,
}

const CURRENT: &str = "/account/tokens/current";
const ROTATE: &str = "/account/tokens/current/rotate";

fn routes() -> [Request; 3] {
    [Request::get(CURRENT), Request::post(ROTATE), Request::delete(CURRENT)]
}

fn rotate(service: &Service, token: &Issued, body: &Value) -> Response {
    service.call(&token.plain, Request::post(ROTATE).json(body))
}

fn a_token_is_shown_to_whoever_bears_it(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    // No ability is asked for beyond having one.
    let tokens = [ada.issue("first", &["sites:read"]), ada.issue("second", &["servers:read"])];
    for token in &tokens {
        let shown = service.call(&token.plain, Request::get(CURRENT));
        assert_eq!((shown.status, &shown.json()["id"]), (200, &json!(token.id)), "{shown:?}");
        assert_eq!(shown.header("x-ratelimit-remaining"), Some("59"));
        // It is the resource, with what a bearer wants to know beside it.
        let (mut current, resource) = (shown.json(), ada.get(&token.path()).json());
        let current = current.as_object_mut().unwrap();
        let limit = json!({ "requests": 60, "seconds": 60 });
        assert_eq!(current.remove("rate_limit"), Some(limit));
        assert_eq!(current.remove("described_abilities").unwrap().as_array().unwrap().len(), 1);
        assert_eq!(&*current, resource.as_object().unwrap());
        for answer in [&shown, &ada.get(&token.path()), &ada.get("/account/tokens")] {
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        assert!(shown.json()["last_used_at"].is_string() && shown.json()["token"].is_null());
    }
    let nothing = service.call(&ada.issue("third", &[]).plain, Request::get(CURRENT));
    assert_refused(&nothing, 403, "insufficient_scope");
}

fn nothing_but_a_good_bearer_token_says_which_token_is_meant(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let foreign = service.log_in("grace").issue("hers", &["servers:read"]);
    let (name, _) = ada.cookie.split_once('=').unwrap();
    for request in routes() {
        assert_eq!(request.send(&service), missing_credentials());
        assert_eq!(ada.send(request.clone()), missing_credentials(), "a cookie is no token");
        let token_as_cookie = request.clone().header("cookie", &format!("{name}={}", token.plain));
        assert_eq!(token_as_cookie.send(&service), missing_credentials());
        assert_eq!(service.call(&format!("fleet_{}", token.id), request), invalid_token());
    }
    assert_eq!(ada.get(&token.path()).json()["generation"], 0);
    assert_eq!(service.status(&token), 200);

    // With both, the token counts, also where somebody else is logged in.
    let both = ada.send(Request::get(CURRENT).bearer(&foreign.plain));
    assert_eq!((both.status, &both.json()["id"]), (200, &json!(foreign.id)));
    assert_eq!(ada.send(Request::delete(CURRENT).bearer(&foreign.plain)).status, 204);
    assert_eq!([&token, &foreign].map(|it| service.status(it)), [200, 401]);
}

fn current_is_no_id_and_a_token_manages_no_tokens(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    for path in ["/account/tokens/current/suspend", "/account/tokens/current/resume"] {
        let post = Request::post(path);
        assert_refused(&service.call(&token.plain, post.clone()), 403, "insufficient_scope");
        assert_refused(&ada.send(post), 404, "not_found");
    }
    let patch = service.call(&token.plain, Request::patch(CURRENT).json(&json!({ "name": "x" })));
    assert_refused(&patch, 405, "method_not_allowed");
    let rotate = Request::post(&format!("{}/rotate", token.path()));
    assert_refused(&service.call(&token.plain, rotate), 403, "insufficient_scope");
    assert_eq!(service.status(&token), 200);
}

fn whoever_bears_a_token_rotates_it(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let old = ada.issue("ci", &["servers:read"]);
    let answer = service.call(&old.plain, Request::post(ROTATE));
    assert_eq!(answer.header("location"), Some(&*old.path()));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let new = Issued::read(&answer);
    assert_eq!((&new.id, &new.json["generation"]), (&old.id, &json!(1)));
    assert!(new.json["grace_ends_at"].is_string());
    for token in [&old, &new] {
        assert_eq!(service.status(token), 200);
        assert_eq!(service.call(&token.plain, Request::get(CURRENT)).json()["generation"], 1);
    }
    assert_refused(&rotate(&service, &new, &json!({})), 409, "rotation_in_grace");
    assert_refused(&rotate(&service, &new, &json!({ "generation": 0 })), 409, "rotation_conflict");
    let newest = Issued::read(&rotate(&service, &new, &json!({ "end_grace": true })));
    assert_eq!([&old, &new, &newest].map(|it| service.status(it)), [401, 200, 200]);
}

fn whoever_bears_a_token_does_not_prolong_it(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let body = json!({ "name": "ci", "abilities": ["servers:read"], "expires_at": "8000-01-01T00:00:00Z" });
    let token = Issued::read(&ada.create(&body));
    for later in [json!("8000-01-01T00:00:01Z"), json!("9000-01-01T00:00:00Z"), json!(null)] {
        let refused = rotate(&service, &token, &json!({ "expires_at": later }));
        assert_eq!(refused.fields(), ["expires_at"], "{later}");
    }
    let too_long = rotate(&service, &token, &json!({ "grace_seconds": 2_592_001 }));
    assert_eq!(too_long.fields(), ["grace_seconds"]);
    assert_eq!(ada.get(&token.path()).json()["generation"], 0);

    let earlier = json!("7000-01-01T00:00:00Z");
    let new = Issued::read(&rotate(&service, &token, &json!({ "expires_at": earlier })));
    assert_eq!(new.json["expires_at"], earlier);
    let back = rotate(&service, &new, &json!({ "expires_at": "8000-01-01T00:00:00Z" }));
    assert_eq!(back.fields(), ["expires_at"]);
}

fn a_replaced_secret_replaces_only_a_new_one_that_was_not_used(server: Server) {
    let service = Service::start(server);
    let old = service.log_in("ada").issue("ci", &["servers:read"]);
    let lost = Issued::read(&rotate(&service, &old, &json!({})));
    let new = Issued::read(&rotate(&service, &old, &json!({ "end_grace": true })));
    assert_eq!([&lost, &old, &new].map(|it| service.status(it)), [401, 200, 200]);
    let refused = rotate(&service, &old, &json!({ "end_grace": true }));
    assert_refused(&refused, 409, "rotation_conflict");
    assert_eq!([&old, &new].map(|it| service.status(it)), [200, 200]);
}

fn whoever_bears_a_token_ends_it(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let (old, other) = (ada.issue("ci", &["servers:read"]), ada.issue("other", &["servers:read"]));
    let new = Issued::read(&rotate(&service, &old, &json!({})));
    let ended = service.call(&old.plain, Request::delete(CURRENT));
    assert_eq!((ended.status, ended.body.as_str()), (204, ""), "{ended:?}");
    for token in [&old, &new] {
        for request in &routes()[..2] {
            assert_eq!(service.call(&token.plain, request.clone()), invalid_token());
        }
        assert_eq!(service.call(&token.plain, Request::delete(CURRENT)).status, 204, "again");
        assert_eq!(service.status(token), 401);
    }
    assert_eq!(ada.get(&old.path()).json()["state"], "revoked");
    assert_eq!(service.status(&other), 200);
}

/// A thief uses up its limit, it may do nothing, or it is suspended.
fn whoever_proves_a_secret_can_end_its_token_whatever_else_is_to_be_said(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let able = &["servers:read"][..];
    let [limited, unable, suspended] = [("limited", able), ("unable", &[]), ("suspended", able)]
        .map(|(name, it)| ada.issue(name, it));
    while service.status(&limited) != 429 {}
    assert_eq!(service.call(&unable.plain, Request::get(CURRENT)).status, 403);
    ada.send(Request::post(&format!("{}/suspend", suspended.path())));
    assert_eq!(service.status(&suspended), 401);
    for token in [&limited, &unable, &suspended] {
        assert_eq!(service.call(&token.plain, Request::delete(CURRENT)).status, 204);
        assert_eq!(ada.get(&token.path()).json()["state"], "revoked");
    }
    let wrong = ada.issue("wrong", &["servers:read"]);
    let forged = format!("{}0", &wrong.plain[..wrong.plain.len() - 1]);
    assert_eq!(service.call(&forged, Request::delete(CURRENT)), invalid_token());
    assert_eq!(service.status(&wrong), 200);
}
