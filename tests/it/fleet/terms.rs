//! From where and from when on a token may be used, and for how long it may lie unused.

use serde_json::{Value, json};

use super::{
    Account, Issued, Request, Server, Service, assert_refused,
    refusals::{invalid_token, refusal},
};

on_every_server! {
    a_new_token_holds_and_shows_what_makes_it_less,
    a_token_is_good_from_the_addresses_that_it_allows,
    a_token_is_refused_as_any_bad_one_before_it_is_valid,
    a_token_that_lies_unused_for_too_long_is_refused_as_any_bad_one,
    terms_that_cannot_be_are_refused,
}

fn issue(account: &Account, name: &str, field: &str, value: &Value) -> Issued {
    let body = json!({ "name": name, "abilities": ["servers:read"], field: value });
    Issued::read(&account.create(&body))
}

fn a_new_token_holds_and_shows_what_makes_it_less(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let body = json!({
        "name": "ci",
        "allowed_addresses": ["127.0.0.1", "2001:db8::/32"],
        "not_before": "2030-01-31T09:00:00.5+01:00",
        "idle_seconds": 3_600,
    });
    let token = Issued::read(&ada.create(&body));
    for shown in [&token.json, &ada.get(&token.path()).json()] {
        assert_eq!(shown["allowed_addresses"], json!(["127.0.0.1/32", "2001:db8::/32"]));
        assert_eq!(shown["not_before"], "2030-01-31T08:00:00Z");
        assert_eq!(shown["idle_seconds"], 3_600);
    }
    let nulls = json!({ "allowed_addresses": null, "not_before": null, "idle_seconds": null });
    let changed = ada.send(Request::patch(&token.path()).json(&nulls));
    assert_eq!(changed.status, 200, "{changed:?}");
    for member in ["allowed_addresses", "not_before", "idle_seconds"] {
        assert!(changed.json()[member].is_null(), "{member}");
    }
}

fn a_token_is_good_from_the_addresses_that_it_allows(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let here = issue(&ada, "here", "allowed_addresses", &json!(["192.0.2.0/24", "127.0.0.1"]));
    let elsewhere = issue(&ada, "elsewhere", "allowed_addresses", &json!(["192.0.2.0/24"]));
    assert_eq!(service.status(&here), 200);
    let body =
        r#"{"type":"about:blank","title":"Forbidden","status":403,"code":"address_not_allowed"}"#;
    for path in ["/api/v1/servers", "/account/tokens/current"] {
        let forwarded = Request::get(path).header("x-forwarded-for", "192.0.2.7");
        assert_eq!(service.call(&elsewhere.plain, forwarded), refusal(403, &[], body), "{path}");
    }
    let move_here = json!({ "allowed_addresses": ["127.0.0.0/8"] });
    assert_eq!(ada.send(Request::patch(&elsewhere.path()).json(&move_here)).status, 200);
    assert_eq!(service.status(&elsewhere), 200);
}

fn a_token_is_refused_as_any_bad_one_before_it_is_valid(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = issue(&ada, "ci", "not_before", &json!("9000-01-01T00:00:00Z"));
    assert_eq!(token.json["state"], "not_yet_valid");
    let call = || service.call(&token.plain, Request::get("/api/v1/servers"));
    assert_eq!(call(), invalid_token());
    let at_once = Request::patch(&token.path()).json(&json!({ "not_before": null }));
    assert_eq!(ada.send(at_once).json()["state"], "active");
    assert_eq!(call().status, 200);
}

fn a_token_that_lies_unused_for_too_long_is_refused_as_any_bad_one(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = issue(&ada, "ci", "idle_seconds", &json!(3_600));
    // More than what uses may be written late.
    service.tamper("UPDATE keyfob_tokens SET created_at = created_at - 100000");
    assert_eq!(service.call(&token.plain, Request::get("/api/v1/servers")), invalid_token());
    assert_eq!(ada.get(&token.path()).json()["state"], "idle");
    let rotate = ada.act(&token, "rotate", &json!({}));
    assert_refused(&rotate, 409, "token_not_active");
}

fn terms_that_cannot_be_are_refused(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    for (field, value) in [
        ("idle_seconds", json!(0)),
        ("idle_seconds", json!(-1)),
        ("idle_seconds", json!("3600")),
        ("not_before", json!("soon")),
        ("allowed_addresses", json!([])),
        ("allowed_addresses", json!("127.0.0.1")),
        ("allowed_addresses", json!(["localhost"])),
    ] {
        let refused = ada.create(&json!({ "name": "refused", field: value }));
        assert_eq!(refused.fields(), [field], "{value}");
    }
    let never =
        json!({ "name": "refused", "not_before": "9000-01-01T00:00:00Z", "expires_in_days": 1 });
    assert_eq!(ada.create(&never).fields(), ["not_before"]);
    assert!(ada.names("?state=any").is_empty());
}
