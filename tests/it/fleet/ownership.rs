//! Who may manage which tokens: the login says so, and nothing in a request.

use serde_json::json;

use super::{Issued, Request, Response, Server, Service};

on_every_server! {
    every_management_route_asks_for_the_owner_who_is_logged_in,
    fields_that_are_not_the_clients_to_say_are_refused,
    the_query_does_not_say_whose_tokens_are_listed,
    a_login_of_another_service_is_none_here,
    a_login_is_one_signed_cookie_that_scripts_and_other_sites_do_not_get,
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
    let before = ada.get("/account/tokens").body;

    let (name, _) = ada.cookie.split_once('=').unwrap();
    let (_, grace_value) = grace.cookie.split_once('=').unwrap();
    let strangers: [(&str, &dyn Fn(Request) -> Request); 6] = [
        ("anonymous", &|it| it),
        ("bearer in place of a cookie", &|it| it.bearer(all)),
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
    let log_in = |body| Request::post("/login").json(&body).send(&service);
    let answer = log_in(json!({ "account": "ada" }));
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let cookie = answer.header("set-cookie").unwrap();
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.starts_with("fleet_login=ada;"), "it is signed: {cookie}");

    for body in [json!({}), json!({ "account": "eve" }), json!({ "account": ["ada"] })] {
        let refused = log_in(body);
        assert_eq!(refused.fields(), ["account"]);
        assert_eq!(refused.header("set-cookie"), None);
    }
    let form = Request::post("/login").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(form.body("account=ada").send(&service).status, 415);
}
