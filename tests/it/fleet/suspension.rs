//! A token that is refused for a time.

use serde_json::json;

use super::{Request, Server, Service, assert_refused, refusals::invalid_token};

on_every_server! {
    a_suspended_token_is_refused_as_any_bad_one_and_good_again_once_it_is_resumed,
    a_suspension_says_until_when_and_why_and_another_takes_its_place,
    a_suspension_ends_when_it_said,
    what_is_wrong_with_a_suspension_is_told_and_nothing_is_suspended,
    a_token_that_has_ended_is_neither_suspended_nor_resumed,
}

/// What is shown of a suspension only while it lasts.
const MEMBERS: [&str; 3] = ["suspended_at", "suspended_until", "suspended_because"];

fn a_suspended_token_is_refused_as_any_bad_one_and_good_again_once_it_is_resumed(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let call = || service.call(&token.plain, Request::get("/api/v1/servers"));
    assert_eq!(call().status, 200);

    let suspended = ada.send(Request::post(&format!("{}/suspend", token.path())));
    assert_eq!(suspended.status, 200, "{suspended:?}");
    assert_eq!(suspended.json()["state"], "suspended");
    assert!(suspended.json()["suspended_at"].is_string() && suspended.json()["token"].is_null());
    assert_eq!(call(), invalid_token());
    assert_eq!(ada.get(&token.path()).json(), suspended.json());

    for _ in 0..2 {
        let resumed = ada.send(Request::post(&format!("{}/resume", token.path())));
        assert_eq!(resumed.status, 200, "{resumed:?}");
        assert_eq!(resumed.json()["state"], "active");
        assert!(MEMBERS.iter().all(|member| resumed.json()[member].is_null()), "{resumed:?}");
        assert_eq!(call().status, 200);
    }
}

fn a_suspension_says_until_when_and_why_and_another_takes_its_place(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let until = "9000-01-01T00:00:00Z";
    for (asked, shown_until, shown_reason) in [
        (json!({ "until": until, "reason": "unpaid" }), json!(until), json!("unpaid")),
        (json!({ "reason": "leaked?" }), json!(null), json!("leaked?")),
        (json!({ "until": "9000-01-01T02:00:00.5+02:00" }), json!(until), json!(null)),
        (json!({ "until": null, "reason": null }), json!(null), json!(null)),
    ] {
        let suspended = ada.act(&token, "suspend", &asked);
        assert_eq!(suspended.status, 200, "{suspended:?}");
        for shown in [suspended.json(), ada.get(&token.path()).json()] {
            assert_eq!(shown["state"], "suspended", "{asked}");
            assert_eq!(shown["suspended_until"], shown_until, "{asked}");
            assert_eq!(shown["suspended_because"], shown_reason, "{asked}");
        }
        assert_eq!(service.status(&token), 401);
    }
    assert_eq!(ada.names(""), ["ci"], "it is listed");
}

fn a_suspension_ends_when_it_said(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let asked = json!({ "until": "9000-01-01T00:00:00Z", "reason": "unpaid" });
    assert_eq!(ada.act(&token, "suspend", &asked).status, 200);
    service.tamper(
        "UPDATE keyfob_tokens SET created_at = created_at - 9, suspended_since = suspended_since - 9,
             suspended_until = suspended_since - 5",
    );
    assert_eq!(service.status(&token), 200);
    let shown = ada.get(&token.path()).json();
    assert_eq!(shown["state"], "active");
    assert!(MEMBERS.iter().all(|member| shown[member].is_null()), "{shown}");
}

fn what_is_wrong_with_a_suspension_is_told_and_nothing_is_suspended(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    for (field, value) in [
        ("until", json!("2001-01-01T00:00:00Z")),
        ("until", json!("tomorrow")),
        ("until", json!(4_000_000_000_i64)),
        ("reason", json!("")),
        ("reason", json!(7)),
        ("reason", json!("a".repeat(256))),
    ] {
        let refused = ada.act(&token, "suspend", &json!({ field: value }));
        assert_eq!(refused.fields(), [field], "{value}");
    }
    assert_eq!(ada.act(&token, "suspend", &json!("now")).fields(), ["body"]);
    assert_eq!(ada.get(&token.path()).json()["state"], "active");
    assert_eq!(service.status(&token), 200);
}

fn a_token_that_has_ended_is_neither_suspended_nor_resumed(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let (expired, revoked) = (ada.issue("expired", &[]), ada.issue("revoked", &[]));
    service.tamper("UPDATE keyfob_tokens SET expires_at = created_at WHERE name = 'expired'");
    ada.act(&revoked, "suspend", &json!({}));
    ada.send(Request::delete(&revoked.path()));
    for token in [&expired, &revoked] {
        for verb in ["suspend", "resume"] {
            assert_refused(&ada.act(token, verb, &json!({})), 409, "token_not_active");
        }
        assert_eq!(ada.get(&token.path()).json()["state"], token.json["name"]);
    }
}
