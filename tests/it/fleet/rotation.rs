//! A new secret for a token that is in use, while the old one still works.

use serde_json::{Value, json};

use super::{Account, Issued, Request, Server, Service, assert_refused, refusals::invalid_token};

on_every_server! {
    after_a_rotation_the_old_and_the_new_secret_work,
    a_rotation_is_repeated_as_long_as_the_new_secret_was_not_used,
    a_rotation_of_another_generation_than_was_meant_is_a_conflict,
    a_new_secret_that_is_used_is_rotated_again_only_where_the_oldest_may_end,
    without_a_grace_the_old_secret_ends_at_once,
    a_grace_may_last_until_the_new_secret_is_used,
    a_rotation_may_set_another_expiry,
    what_is_wrong_with_a_rotation_is_told_and_nothing_is_rotated,
    a_token_that_has_ended_is_not_rotated,
    a_suspended_token_is_rotated_and_stays_suspended,
    a_revocation_ends_all_secrets,
}

fn rotate(account: &Account, token: &Issued, body: &Value) -> Issued {
    Issued::read(&account.act(token, "rotate", body))
}

fn after_a_rotation_the_old_and_the_new_secret_work(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let old = ada.issue("ci", &["servers:read"]);
    assert_eq!(service.status(&old), 200);

    let answer = ada.send(Request::post(&format!("{}/rotate", old.path())));
    assert_eq!(answer.header("location"), Some(&*old.path()));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let new = Issued::read(&answer);
    assert_eq!((&new.id, &new.json["name"]), (&old.id, &json!("ci")));
    assert_ne!(new.plain, old.plain);
    assert_eq!((&old.json["generation"], &new.json["generation"]), (&json!(0), &json!(1)));
    for instant in ["rotated_at", "grace_ends_at"] {
        assert!(old.json[instant].is_null() && new.json[instant].is_string(), "{instant}");
    }
    assert_eq!([&old, &new, &old].map(|it| service.status(it)), [200; 3]);

    let shown = ada.get(&new.path());
    let secret = new.plain.rsplit('_').next().unwrap();
    assert!(shown.json()["token"].is_null() && !shown.body.contains(secret), "{shown:?}");
    for member in ["generation", "rotated_at", "grace_ends_at", "created_at", "abilities"] {
        assert_eq!(shown.json()[member], new.json[member], "{member}");
    }
}

fn a_rotation_is_repeated_as_long_as_the_new_secret_was_not_used(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let old = ada.issue("ci", &["servers:read"]);
    let lost = rotate(&ada, &old, &json!({}));
    let new = rotate(&ada, &old, &json!({ "generation": 1 }));
    assert_eq!((&lost.json["generation"], &new.json["generation"]), (&json!(1), &json!(1)));
    assert_eq!(new.json["grace_ends_at"], lost.json["grace_ends_at"], "it is not made longer");
    assert_eq!([&lost, &new, &old].map(|it| service.status(it)), [401, 200, 200]);
}

fn a_rotation_of_another_generation_than_was_meant_is_a_conflict(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let old = ada.issue("ci", &["servers:read"]);
    let early = ada.act(&old, "rotate", &json!({ "generation": 1 }));
    assert_refused(&early, 409, "rotation_conflict");
    let new = rotate(&ada, &old, &json!({ "generation": 0 }));
    let stale = ada.act(&old, "rotate", &json!({ "generation": 0, "end_grace": true }));
    assert_refused(&stale, 409, "rotation_conflict");
    assert_eq!([&old, &new].map(|it| service.status(it)), [200, 200]);
}

fn a_new_secret_that_is_used_is_rotated_again_only_where_the_oldest_may_end(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let old = ada.issue("ci", &["servers:read"]);
    let new = rotate(&ada, &old, &json!({}));
    assert_eq!(service.status(&new), 200);
    let refused = ada.act(&old, "rotate", &json!({}));
    assert_refused(&refused, 409, "rotation_in_grace");
    assert_eq!([&old, &new].map(|it| service.status(it)), [200, 200]);

    let newest = rotate(&ada, &old, &json!({ "end_grace": true }));
    assert_eq!(newest.json["generation"], 2);
    assert_eq!([&old, &new, &newest].map(|it| service.status(it)), [401, 200, 200]);
}

fn without_a_grace_the_old_secret_ends_at_once(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let old = ada.issue("ci", &["servers:read"]);
    assert_eq!(service.status(&old), 200);
    let new = rotate(&ada, &old, &json!({ "grace_seconds": 0 }));
    assert_eq!(new.json["grace_ends_at"], Value::Null);
    let servers = || Request::get("/api/v1/servers");
    assert_eq!(service.call(&old.plain, servers()), invalid_token());
    assert_eq!(service.status(&new), 200);
    // No grace is running that could be in the way.
    let newest = rotate(&ada, &old, &json!({ "grace_seconds": 2_592_000 }));
    assert_eq!([&old, &new, &newest].map(|it| service.status(it)), [401, 200, 200]);
}

fn a_grace_may_last_until_the_new_secret_is_used(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let old = ada.issue("ci", &["servers:read"]);
    let new = rotate(&ada, &old, &json!({ "until_first_use": true }));
    assert_eq!(
        [&old, &old, &new, &old, &new].map(|it| service.status(it)),
        [200, 200, 200, 401, 200]
    );
    let newest = rotate(&ada, &old, &json!({}));
    assert_eq!(newest.json["generation"], 2);
}

fn a_rotation_may_set_another_expiry(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let expiry = json!("9000-01-01T00:00:00Z");
    assert_eq!(rotate(&ada, &token, &json!({ "expires_at": expiry })).json["expires_at"], expiry);
    assert_eq!(rotate(&ada, &token, &json!({})).json["expires_at"], expiry);
    let never = json!(null);
    assert_eq!(rotate(&ada, &token, &json!({ "expires_at": never })).json["expires_at"], never);
}

fn what_is_wrong_with_a_rotation_is_told_and_nothing_is_rotated(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    for (field, value) in [
        ("grace_seconds", json!(2_592_001)),
        ("grace_seconds", json!(-1)),
        ("grace_seconds", json!(1.5)),
        ("grace_seconds", json!("3600")),
        ("grace_seconds", json!(9_223_372_036_854_775_807_i64)),
        ("generation", json!(-1)),
        ("generation", json!(4_294_967_296_i64)),
        ("generation", json!("0")),
        ("expires_at", json!("2001-01-01T00:00:00Z")),
        ("expires_at", json!("soon")),
        ("until_first_use", json!("yes")),
        ("end_grace", json!(1)),
    ] {
        let refused = ada.act(&token, "rotate", &json!({ field: value }));
        assert_eq!(refused.fields(), [field], "{value}");
    }
    let all = json!({ "grace_seconds": -1, "expires_at": "2001-01-01T00:00:00Z" });
    assert_eq!(ada.act(&token, "rotate", &all).fields(), ["expires_at", "grace_seconds"]);
    assert_eq!(ada.act(&token, "rotate", &json!([])).fields(), ["body"]);
    let path = format!("{}/rotate", token.path());
    let no_json = Request::post(&path).header("content-type", "application/json").body("{");
    assert_refused(&ada.send(no_json), 400, "malformed_body");
    assert_refused(&ada.send(Request::post(&path).body("{}")), 415, "unsupported_media_type");
    assert_eq!(ada.get(&token.path()).json()["generation"], 0);
}

fn a_token_that_has_ended_is_not_rotated(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let (expired, revoked) = (ada.issue("expired", &[]), ada.issue("revoked", &[]));
    service.tamper("UPDATE keyfob_tokens SET expires_at = created_at WHERE name = 'expired'");
    ada.send(Request::delete(&revoked.path()));
    for token in [&expired, &revoked] {
        let revive = json!({ "expires_at": null, "end_grace": true });
        assert_refused(&ada.act(token, "rotate", &revive), 409, "token_not_active");
        assert_eq!(ada.get(&token.path()).json()["state"], token.json["name"]);
    }
}

fn a_suspended_token_is_rotated_and_stays_suspended(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let old = ada.issue("ci", &["servers:read"]);
    ada.act(&old, "suspend", &json!({}));
    let new = rotate(&ada, &old, &json!({ "grace_seconds": 60 }));
    assert_eq!(new.json["state"], "suspended");
    assert_eq!([&old, &new].map(|it| service.status(it)), [401, 401]);
    ada.act(&old, "resume", &json!({}));
    assert_eq!([&old, &new].map(|it| service.status(it)), [200, 200]);
}

fn a_revocation_ends_all_secrets(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let old = ada.issue("ci", &["servers:read"]);
    let new = rotate(&ada, &old, &json!({}));
    assert_eq!([&old, &new].map(|it| service.status(it)), [200, 200]);
    assert_eq!(ada.send(Request::delete(&old.path())).status, 204);
    for token in [&old, &new] {
        let refused = service.call(&token.plain, Request::get("/api/v1/servers"));
        assert_eq!(refused, invalid_token());
    }
}
