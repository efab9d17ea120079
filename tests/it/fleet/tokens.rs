//! What an account can do with its tokens.

use serde_json::{Value, json};

use super::{Request, Server, Service};

on_every_server! {
    a_token_holds_what_was_asked_for_and_nothing_unknown,
    an_unrestricted_token_may_do_everything_and_a_branch_what_lies_under_it,
    an_expiry_is_an_instant_a_number_of_days_or_never,
    all_the_fields_that_are_wrong_are_told_at_once,
    names_come_back_as_they_were_given_and_are_free_again_after_a_revocation,
    a_new_token_says_where_it_is_and_is_not_cached,
    a_change_is_seen_by_the_next_request,
    a_token_that_has_ended_cannot_be_changed,
    a_list_comes_in_pages_of_the_size_that_was_asked_for,
    revoked_tokens_are_listed_where_they_are_asked_for,
    a_listing_that_cannot_be_is_refused,
    several_or_all_tokens_are_revoked_together,
}

fn a_token_holds_what_was_asked_for_and_nothing_unknown(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let create =
        |name: &str, abilities: Value| ada.create(&json!({ "name": name, "abilities": abilities }));
    for (name, abilities) in [
        ("some", json!(["servers:read", "backups:create"])),
        ("branch", json!(["servers:*"])),
        ("none", json!([])),
        ("all", json!("*")),
    ] {
        let created = create(name, abilities.clone());
        assert_eq!((created.status, &created.json()["abilities"]), (201, &abilities));
    }
    for abilities in [
        json!(["servers:raed"]),
        json!(["servers:read", "databases:create"]),
        json!(["*"]),
        json!(["servers:*:read"]),
        json!(["tokens:*"]),
        json!("all"),
        json!("servers:read"),
        json!(null),
        json!([1]),
        json!({}),
    ] {
        assert_eq!(create("refused", abilities.clone()).fields(), ["abilities"], "{abilities}");
    }
    assert_eq!(ada.names("?state=any"), ["all", "none", "branch", "some"]);
}

fn an_unrestricted_token_may_do_everything_and_a_branch_what_lies_under_it(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = |abilities: Value| {
        let created = ada.create(&json!({ "name": abilities.to_string(), "abilities": abilities }));
        created.json()["token"].as_str().unwrap().to_owned()
    };
    let server = json!({ "name": "web-1" });
    let create = Request::post("/api/v1/servers").json(&server);
    for (abilities, servers, sites) in
        [(json!("*"), 201, 200), (json!(["servers:*"]), 201, 403), (json!(["sites:*"]), 403, 200)]
    {
        let token = token(abilities);
        assert_eq!(service.call(&token, create.clone()).status, servers);
        let sites_of_first = Request::get("/api/v1/servers/1/sites");
        assert_eq!(service.call(&token, sites_of_first).status, sites);
    }
}

fn an_expiry_is_an_instant_a_number_of_days_or_never(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let expiry = |name: &str, field: &str, value: Value| {
        let created = ada.create(&json!({ "name": name, field: value }));
        assert_eq!(created.status, 201, "{created:?}");
        created.json()["expires_at"].clone()
    };
    assert_eq!(expiry("a", "expires_at", json!(null)), json!(null));
    assert_eq!(expiry("b", "expires_in_days", json!(30)).as_str().unwrap().len(), 20);
    let instant = expiry("c", "expires_at", json!("9998-12-31T23:59:59.999+01:00"));
    assert_eq!(instant, "9998-12-31T22:59:59Z");
    for (field, value) in [
        ("expires_at", json!("2001-01-01T00:00:00Z")),
        ("expires_at", json!("tomorrow")),
        ("expires_at", json!(1_900_000_000)),
        ("expires_in_days", json!(0)),
        ("expires_in_days", json!("30")),
    ] {
        let refused = ada.create(&json!({ "name": "refused", field: value }));
        assert_eq!(refused.fields(), [field], "{value}");
    }
}

fn all_the_fields_that_are_wrong_are_told_at_once(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let body = json!({ "name": "", "abilities": ["servers:raed"], "expires_at": "2001-01-01T00:00:00Z", "metadata": [] });
    assert_eq!(ada.create(&body).fields(), ["abilities", "expires_at", "metadata", "name"]);
    let body = json!({ "name": 7, "abilities": 7, "expires_at": 7 });
    assert_eq!(ada.create(&body).fields(), ["abilities", "expires_at", "name"]);
    assert_eq!(ada.create(&json!([])).fields(), ["body"]);
    let token = ada.issue("ci", &[]);
    let body = json!({ "name": " ", "abilities": ["*"], "expires_at": "x" });
    let change = Request::patch(&token.path()).json(&body);
    assert_eq!(ada.send(change).fields(), ["expires_at"], "what has no form is told first");
    let body = json!({ "name": " ", "abilities": ["*"] });
    let change = Request::patch(&token.path()).json(&body);
    assert_eq!(ada.send(change).fields(), ["abilities", "name"]);
    assert_eq!(ada.names("?state=any"), ["ci"]);
}

fn names_come_back_as_they_were_given_and_are_free_again_after_a_revocation(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    for name in [
        "Shopify App Production",
        "<script>alert(1)</script>",
        "'; DROP TABLE panel;--",
        "👩\u{200D}💻",
    ] {
        assert_eq!(ada.issue(name, &[]).json["name"], name);
    }
    let token = ada.issue("ci", &[]);
    let again = ada.create(&json!({ "name": "ci" }));
    assert_eq!((again.status, again.code().as_str()), (409, "name_taken"));
    service.log_in("grace").issue("ci", &[]);
    ada.send(Request::delete(&token.path()));
    ada.issue("ci", &[]);
}

fn a_new_token_says_where_it_is_and_is_not_cached(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let created = ada.create(&json!({ "name": "ci", "metadata": { "app": "shop" } }));
    let id = created.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(created.header("location"), Some(&*format!("/account/tokens/{id}")));
    assert_eq!(created.header("cache-control"), Some("no-store"));
    assert_eq!(created.header("content-type"), Some("application/json"));
    let shown = ada.get(created.header("location").unwrap());
    assert_eq!((shown.status, &shown.json()["metadata"]["app"]), (200, &json!("shop")));
}

fn a_change_is_seen_by_the_next_request(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let change = |body: Value| ada.send(Request::patch(&token.path()).json(&body));

    let renamed = change(json!({ "name": "ci-deploy", "metadata": { "team": "ops" } }));
    assert_eq!(renamed.status, 200);
    assert_eq!(renamed.json()["name"], "ci-deploy");
    assert_eq!(renamed.json()["abilities"], json!(["servers:read"]));
    assert_eq!(ada.get(&token.path()).body, renamed.body);

    let servers = Request::get("/api/v1/servers");
    assert_eq!(service.call(&token.plain, servers.clone()).status, 200);
    assert_eq!(change(json!({ "abilities": ["sites:read"] })).status, 200);
    assert_eq!(service.call(&token.plain, servers.clone()).status, 403);
    assert_eq!(
        change(json!({ "abilities": "*", "expires_at": "9000-01-01T00:00:00Z" })).status,
        200
    );
    assert_eq!(service.call(&token.plain, servers).status, 200);
    assert_eq!(change(json!({ "expires_at": null })).json()["expires_at"], json!(null));

    ada.issue("taken", &[]);
    assert_eq!(change(json!({ "name": "taken" })).code(), "name_taken");
}

fn a_token_that_has_ended_cannot_be_changed(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let (expired, revoked) = (ada.issue("expired", &[]), ada.issue("revoked", &[]));
    service.tamper("UPDATE keyfob_tokens SET expires_at = created_at WHERE name = 'expired'");
    ada.send(Request::delete(&revoked.path()));
    for token in [&expired, &revoked] {
        let revive = json!({ "name": "alive", "expires_at": null });
        let refused = ada.send(Request::patch(&token.path()).json(&revive));
        assert_eq!((refused.status, refused.code().as_str()), (409, "token_not_active"));
        assert_eq!(ada.get(&token.path()).json()["state"], token.json["name"]);
    }
}

fn a_list_comes_in_pages_of_the_size_that_was_asked_for(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    for name in ["1", "2", "3", "4", "5"] {
        ada.issue(name, &[]);
    }
    assert_eq!(ada.names(""), ["5", "4", "3", "2", "1"]);

    let (mut pages, mut query) = (Vec::new(), "?per_page=2".to_owned());
    loop {
        pages.push(ada.names(&query));
        let list = ada.get(&format!("/account/tokens{query}")).json();
        let Some(cursor) = list["next_cursor"].as_str() else { break };
        query = format!("?per_page=2&cursor={cursor}");
        // What is new does not move what is listed after it.
        ada.issue(&format!("new {}", pages.len()), &[]);
    }
    assert_eq!(pages.concat(), ["5", "4", "3", "2", "1"]);
    assert_eq!(pages.len(), 3);
}

fn revoked_tokens_are_listed_where_they_are_asked_for(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    ada.issue("good", &[]);
    let revoked = ada.issue("revoked", &[]);
    ada.send(Request::delete(&revoked.path()));
    assert_eq!(ada.names(""), ["good"]);
    assert_eq!(ada.names("?state=revoked"), ["revoked"]);
    assert_eq!(ada.names("?state=any"), ["revoked", "good"]);
    assert_eq!(ada.get(&revoked.path()).json()["state"], "revoked");
}

fn a_listing_that_cannot_be_is_refused(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    for name in ["1", "2", "3"] {
        ada.issue(name, &[]);
    }
    let list = |query: &str| ada.get(&format!("/account/tokens?{query}"));
    for (query, field) in [
        ("per_page=0", "per_page"),
        ("per_page=201", "per_page"),
        ("per_page=abc", "per_page"),
        ("per_page=-1", "per_page"),
        ("per_page=", "per_page"),
        ("per_page=99999999999999999999", "per_page"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=", "cursor"),
        ("state=broken", "state"),
        ("state=", "state"),
    ] {
        assert_eq!(list(query).fields(), [field], "{query}");
    }
    assert_eq!(list("per_page=0&cursor=x").fields(), ["cursor", "per_page"]);

    let cursor = list("per_page=1").json()["next_cursor"].as_str().unwrap().to_owned();
    assert_eq!(list(&format!("per_page=200&cursor={cursor}")).status, 200);
    assert_eq!(list(&format!("state=any&cursor={cursor}")).fields(), ["cursor"]);
    let grace = service.log_in("grace");
    let foreign = grace.get(&format!("/account/tokens?cursor={cursor}"));
    assert_eq!(foreign.fields(), ["cursor"]);
}

fn several_or_all_tokens_are_revoked_together(server: Server) {
    let service = Service::start(server);
    let (ada, grace) = (service.log_in("ada"), service.log_in("grace"));
    let tokens = ["1", "2", "3", "4"].map(|name| ada.issue(name, &["servers:read"]));
    let foreign = grace.issue("hers", &["servers:read"]);
    let revoke = |body: Value| ada.send(Request::post("/account/tokens/revoke").json(&body));
    let status = |token: &str| service.call(token, Request::get("/api/v1/servers")).status;
    let revoked = |answer: &super::Response| {
        assert_eq!(answer.status, 200, "{answer:?}");
        let ids = answer.json()["revoked"].as_array().unwrap().clone();
        let mut ids: Vec<_> = ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };

    let some = revoke(
        json!({ "ids": [tokens[0].id, tokens[1].id, foreign.id, "0000000000000000000007"] }),
    );
    assert_eq!(revoked(&some), [tokens[0].id.clone(), tokens[1].id.clone()]);
    assert_eq!(tokens.each_ref().map(|token| status(&token.plain)), [401, 401, 200, 200]);

    assert!(revoked(&revoke(json!({ "ids": [tokens[0].id] }))).is_empty());
    let all = revoke(json!({ "all": true })).json();
    assert_eq!(all, json!({ "count": 2, "more": false }));
    assert_eq!(tokens.each_ref().map(|token| status(&token.plain)), [401; 4]);
    assert_eq!(status(&foreign.plain), 200);

    for body in [
        json!({}),
        json!({ "all": false }),
        json!({ "all": true, "ids": [] }),
        json!({ "ids": ["x"] }),
        json!({ "ids": "x" }),
    ] {
        assert_eq!(revoke(body).fields(), ["ids"]);
    }
}
