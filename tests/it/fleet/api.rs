//! The panel's API that tokens open.

use serde_json::{Value, json};

use super::{Account, Request, Server, Service};

on_every_server! {
    every_route_asks_for_its_own_ability_and_no_other,
    a_token_opens_what_belongs_to_its_account_and_nothing_else_is_there,
    what_is_not_there_is_not_found,
    objects_are_kept_changed_and_deleted_with_what_is_on_them,
    a_body_that_is_no_json_is_told_from_fields_that_are_wrong,
    a_text_that_can_not_be_kept_or_has_a_token_in_it_is_refused,
}

fn unrestricted(account: &Account) -> String {
    let created = account.create(&json!({ "name": "all", "abilities": "*" }));
    created.json()["token"].as_str().unwrap().to_owned()
}

/// A server and a site on it, each the first of its account.
fn server_and_site(service: &Service, token: &str) -> (Value, Value) {
    let name = json!({ "name": "first" });
    let server = service.call(token, Request::post("/api/v1/servers").json(&name));
    assert_eq!(server.status, 201, "{server:?}");
    let server = server.json()["id"].clone();
    let sites = format!("/api/v1/servers/{server}/sites");
    let site = service.call(token, Request::post(&sites).json(&name));
    assert_eq!(site.status, 201, "{site:?}");
    (server, site.json()["id"].clone())
}

/// Every route with the ability that it asks for and the answer to a token that has it.
fn routes(server: &Value, site: &Value) -> Vec<(Request, &'static str, u16)> {
    let name = json!({ "name": "second" });
    let servers = |rest: &str| format!("/api/v1/servers/{server}{rest}");
    let backups = format!("/api/v1/sites/{site}/backups");
    vec![
        (Request::get("/api/v1/servers"), "servers:read", 200),
        (Request::post("/api/v1/servers").json(&name), "servers:create", 201),
        (Request::get(&servers("")), "servers:read", 200),
        (Request::patch(&servers("")).json(&name), "servers:update", 200),
        (Request::get(&servers("/sites")), "sites:read", 200),
        (Request::post(&servers("/sites")).json(&name), "sites:create", 201),
        (Request::get(&servers("/databases")), "databases:read", 200),
        (Request::get(&servers("/ssh-keys")), "ssh-keys:read", 200),
        (Request::post(&servers("/ssh-keys")).json(&name), "ssh-keys:create", 201),
        (Request::get(&servers("/crons")), "crons:read", 200),
        (Request::post(&servers("/crons")).json(&name), "crons:create", 201),
        (Request::get(&backups), "backups:read", 200),
        (Request::post(&backups).json(&name), "backups:create", 201),
        (Request::delete(&servers("")), "servers:delete", 204),
    ]
}

const ABILITIES: [&str; 13] = [
    "servers:read",
    "servers:create",
    "servers:update",
    "servers:delete",
    "sites:read",
    "sites:create",
    "databases:read",
    "ssh-keys:read",
    "ssh-keys:create",
    "crons:read",
    "crons:create",
    "backups:read",
    "backups:create",
];

fn every_route_asks_for_its_own_ability_and_no_other(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let (server, site) = server_and_site(&service, &unrestricted(&ada));
    for (number, (request, ability, status)) in routes(&server, &site).into_iter().enumerate() {
        let others: Vec<_> = ABILITIES.into_iter().filter(|it| *it != ability).collect();
        assert_eq!(others.len(), ABILITIES.len() - 1, "{ability}");

        let lacking = ada.issue(&format!("all but {ability} {number}"), &others);
        let refused = service.call(&lacking.plain, request.clone());
        assert_eq!((refused.status, &refused.json()["required"]), (403, &json!([ability])));

        let holding = ada.issue(&format!("only {ability} {number}"), &[ability]);
        let answer = service.call(&holding.plain, request);
        assert_eq!(answer.status, status, "{ability} {number}: {answer:?}");
    }
}

fn a_token_opens_what_belongs_to_its_account_and_nothing_else_is_there(server: Server) {
    let service = Service::start(server);
    let (ada, grace) = (service.log_in("ada"), service.log_in("grace"));
    let (hers, others) = (unrestricted(&ada), unrestricted(&grace));
    let (server, site) = server_and_site(&service, &hers);

    for (request, ability, _) in routes(&server, &site) {
        let answer = service.call(&others, request.clone());
        match (ability, answer.status) {
            ("servers:read", 200) => assert_eq!(answer.json(), json!({ "servers": [] })),
            ("servers:create", 201) => assert_eq!(answer.json()["name"], "second"),
            (_, status) => assert_eq!(status, 404, "{ability}"),
        }
    }
    let servers = service.call(&hers, Request::get("/api/v1/servers")).json();
    assert_eq!(servers, json!({ "servers": [{ "id": server, "name": "first" }] }));
}

fn what_is_not_there_is_not_found(server: Server) {
    let service = Service::start(server);
    let token = unrestricted(&service.log_in("ada"));
    let (server, site) = server_and_site(&service, &token);
    for path in [
        "/api/v1/servers/999".to_owned(),
        "/api/v1/servers/nonsense".to_owned(),
        "/api/v1/servers/%FF".to_owned(),
        "/api/v1/servers/-1/sites".to_owned(),
        "/api/v1/servers/99999999999999999999/sites".to_owned(),
        format!("/api/v1/servers/{site}"),
        format!("/api/v1/sites/{server}/backups"),
        "/api/v1".to_owned(),
        "/api/v1/nothing".to_owned(),
    ] {
        let answer = service.call(&token, Request::get(&path));
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    assert_eq!(service.call(&token, Request::delete("/api/v1/servers/999")).status, 404);
}

fn objects_are_kept_changed_and_deleted_with_what_is_on_them(server: Server) {
    let service = Service::start(server);
    let token = unrestricted(&service.log_in("ada"));
    let (server, site) = server_and_site(&service, &token);
    let path = format!("/api/v1/servers/{server}");

    let change = json!({ "region": "fsn", "id": 7, "account": "grace", "parent": 1 });
    let changed = service.call(&token, Request::patch(&path).json(&change));
    let expected = json!({ "id": server, "name": "first", "region": "fsn" });
    assert_eq!((changed.status, changed.json()), (200, expected.clone()));
    assert_eq!(service.call(&token, Request::get(&path)).json(), expected);

    let backups = format!("/api/v1/sites/{site}/backups");
    let triggered = service.call(&token, Request::post(&backups));
    assert_eq!(triggered.status, 201, "a backup needs no body: {triggered:?}");
    let listed = service.call(&token, Request::get(&backups)).json();
    assert_eq!(listed, json!({ "backups": [triggered.json()] }));

    assert_eq!(service.call(&token, Request::delete(&path)).status, 204);
    for gone in [&path, &backups] {
        assert_eq!(service.call(&token, Request::get(gone)).status, 404, "{gone}");
    }
}

fn a_body_that_is_no_json_is_told_from_fields_that_are_wrong(server: Server) {
    let service = Service::start(server);
    let token = unrestricted(&service.log_in("ada"));
    let create = |body: &str| {
        let json = Request::post("/api/v1/servers").header("content-type", "application/json");
        service.call(&token, json.body(body))
    };
    for body in ["", "{", "name=web-1", "\u{0}", "{\"name\":\"\\ud800\"}"] {
        let answer = create(body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "malformed_body"), "{body:?}");
    }
    for (body, fields) in [
        ("{}", &["name"][..]),
        (r#"{"name":null}"#, &["name"]),
        (r#"{"name":"","region":7}"#, &["name", "region"]),
        ("[]", &["body"]),
    ] {
        assert_eq!(create(body).fields(), fields, "{body}");
    }
    let plain_text = Request::post("/api/v1/servers").header("content-type", "text/plain");
    assert_eq!(service.call(&token, plain_text.body("{}")).status, 415);
    let long = json!({ "name": "a".repeat(20_000) });
    assert_eq!(create(&long.to_string()).status, 413);
    assert_eq!(service.call(&token, Request::get("/api/v1/servers")).body, r#"{"servers":[]}"#);
}

fn a_text_that_can_not_be_kept_or_has_a_token_in_it_is_refused(server: Server) {
    let service = Service::start(server);
    let token = unrestricted(&service.log_in("ada"));
    let (server, _) = server_and_site(&service, &token);
    let path = format!("/api/v1/servers/{server}");
    let before = service.call(&token, Request::get(&path)).body;
    let bare = token.strip_prefix("fleet_").unwrap();
    for text in ["a\0b".to_owned(), token.clone(), format!("Bearer {token},"), bare.to_owned()] {
        let name = json!({ "name": text });
        for request in [Request::post("/api/v1/servers"), Request::patch(&path)] {
            let refused = service.call(&token, request.json(&name));
            assert_eq!(refused.fields(), ["name"], "{text:?}");
        }
    }
    assert_eq!(service.call(&token, Request::get(&path)).body, before);
}
