//! What the routes do beside their answers.

use futures_util::future::join_all;
use keyfob::{NewToken, Owner, Policy, TokenId, TokenState, token::Actor};
use serde_json::{Value, json};

use super::app::{PROJECT, Panel, Switches, TOKENS, list, send};
use crate::{
    support::{STEPS, after},
    web::{app::Framework, http::Response},
};

on_both! {
    who_may_do_what_to_which_token
    the_creator_is_the_actor_and_the_owner_is_never_taken_from_a_body
    of_two_who_edit_one_version_one_is_told
    a_create_that_is_repeated_is_done_once
    a_path_is_the_same_however_it_is_written
    other_methods_and_paths_are_refused
    the_location_is_where_the_client_finds_the_token
    a_list_is_filtered_ordered_and_turned_by_its_query
    abilities_are_those_that_the_account_may_grant
    the_current_token_learns_its_abilities_and_its_limit
    a_token_ends_itself_in_any_state_and_whatever_its_limit
    all_tokens_are_revoked_and_counted
    tokens_manage_nothing_unless_the_application_says_so
    a_token_of_another_project_manages_nothing_here
    a_store_that_is_away_is_503
    inside_of_a_layer_that_takes_sessions_all_is_the_same
    a_condition_is_refused_where_it_has_no_meaning
    an_account_without_abilities_is_refused_for_a_token_too
    a_parameter_of_the_mount_is_decoded_alike
}

fn json(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap_or_else(|error| panic!("{error}: {response}"))
}

/// A token that may do more than the restricted account, one that may do as much, and one that may do less.
async fn who_may_do_what_to_which_token(framework: Framework) {
    let panel = Panel::new(framework).await;
    let beyond = (403, "beyond_account".to_owned());
    for (caller, is_token) in [("restricted", false), ("manager", true)] {
        for (strength, abilities) in
            [("weaker", &[][..]), ("equal", &["servers:read"]), ("stronger", &["servers:create"])]
        {
            for (method, step, body) in [
                ("PATCH", "", r#"{"expires_at":null}"#),
                ("POST", "/rotate", ""),
                ("POST", "/resume", ""),
                ("PATCH", "", r#"{"name":"renamed"}"#),
                ("PATCH", "", r#"{"abilities":[]}"#),
                ("POST", "/suspend", ""),
                ("DELETE", "", ""),
            ] {
                let new = NewToken::named("target").abilities(abilities.to_vec());
                let id = panel.issue("target", new.expires_at(after(9_000))).await.record.id;
                let request = send(method, &format!("/{id}{step}"), body);
                let request = if is_token { request.with(caller) } else { request.by(caller) };
                let told = panel.told(request).await;
                let is_guarded =
                    body.contains("expires_at") || step == "/rotate" || step == "/resume";
                let case = format!("{caller} {strength} {method} {step} {body}: {told:?}");
                if is_guarded && strength == "stronger" {
                    assert_eq!(told, beyond, "{case}");
                } else {
                    assert!((200..300).contains(&told.0), "{case}");
                }
            }
        }
    }
    let own = panel.tokens.owned_by(Owner::new(PROJECT).unwrap());
    let page = own.list(keyfob::ListTokens::new()).await.unwrap();
    let manager = page.tokens.iter().find(|it| it.name.as_str() == "manager").unwrap().id;
    for (method, path, body) in
        [("PATCH", "", r#"{"name":"self"}"#), ("POST", "/rotate", ""), ("POST", "/resume", "")]
    {
        let request = send(method, &format!("/{manager}{path}"), body).with("manager");
        assert_eq!(panel.told(request).await, beyond, "{method} {path}");
    }
    let more = || send("POST", "", r#"{"name":"more","abilities":["servers:create"]}"#);
    for (request, rule) in [
        (more().by("restricted"), "must not go beyond what the account may grant"),
        (more().with("manager"), "must not go beyond the token that issues it"),
    ] {
        let refused = panel.send(request).await;
        assert_eq!((refused.status, &json(&refused)["errors"]["abilities"]), (422, &json!([rule])));
    }
}

async fn the_creator_is_the_actor_and_the_owner_is_never_taken_from_a_body(framework: Framework) {
    let panel = Panel::new(framework).await;
    let created = panel.send(send("POST", "", r#"{"name":"ci"}"#).by("owner")).await;
    assert_eq!((created.status, &json(&created)["created_by"]), (201, &json!("user:owner")));
    let id: TokenId = json(&created)["id"].as_str().unwrap().parse().unwrap();
    let record = panel.tokens.owned_by(Owner::new(PROJECT).unwrap()).get(id).await.unwrap();
    assert_eq!(record.created_by(), Some(&Actor::new("user:owner").unwrap()));
    for member in ["owner", "owner_id", "user", "created_by", "project"] {
        let body = format!(r#"{{"name":"ci","{member}":"project:8"}}"#);
        assert_eq!(panel.told(send("POST", "", &body).by("owner")).await.0, 422, "{member}");
    }
    let elsewhere = panel.told(send("GET", &format!("/{id}"), "").by("stranger")).await;
    assert_eq!(elsewhere, (404, "not_found".to_owned()));
    let child = panel.send(send("POST", "", r#"{"name":"child"}"#).with("manager")).await;
    assert!(json(&child)["parent"].is_string(), "{child}");
}

async fn of_two_who_edit_one_version_one_is_told(framework: Framework) {
    let panel = Panel::new(framework).await;
    for (method, path, body) in [("PATCH", "", r#"{"name":"a"}"#), ("POST", "/rotate", "")] {
        let id = panel.target().await;
        let seen = json(&panel.send(send("GET", &format!("/{id}"), "").by("owner")).await);
        let version = format!("\"{}\"", seen["version"]);
        let edit = || {
            let request = send(method, &format!("/{id}{path}"), body);
            panel.told(request.header("if-match", version.clone()).by("owner"))
        };
        let mut told: Vec<_> =
            join_all([edit(), edit()]).await.into_iter().map(|it| it.0).collect();
        told.sort_unstable();
        assert_eq!(told, [if path.is_empty() { 200 } else { 201 }, 412], "{method} {path}");
        let (status, code) = edit().await;
        assert_eq!((status, &*code), (412, "version_mismatch"));
        for (value, status) in [
            ("*", 200),
            ("\"99\"", 412),
            ("3", 422),
            ("W/\"3\"", 422),
            ("\"1\", \"2\"", 422),
            ("\"\"", 422),
            ("", 422),
        ] {
            let request = send("PATCH", &format!("/{id}"), r#"{"name":"b"}"#);
            let told = panel.told(request.header("if-match", value).by("owner")).await;
            assert_eq!(told.0, status, "{value}: {told:?}");
        }
    }
}

async fn a_create_that_is_repeated_is_done_once(framework: Framework) {
    let panel = Panel::new(framework).await;
    let create = || {
        let request = send("POST", "", r#"{"name":"once"}"#).by("owner");
        panel.send(request.header("idempotency-key", "request-1"))
    };
    let answers = join_all((0..16).map(|_| create())).await;
    let created: Vec<_> = answers.iter().filter(|it| it.status == 201).collect();
    assert_eq!(created.len(), 1);
    let id = &json(created[0])["id"];
    for repeated in answers.iter().filter(|it| it.status != 201) {
        let repeated = json(repeated);
        assert_eq!((&repeated["code"], &repeated["id"]), (&json!("already_issued"), id));
        assert_eq!(repeated["token"], Value::Null);
    }
    let list = json(&panel.send(list("?q=once").by("owner")).await);
    assert_eq!(list["tokens"].as_array().unwrap().len(), 1);
    for bad in ["a b", "", "é", &"a".repeat(256)] {
        let request = send("POST", "", r#"{"name":"bad"}"#).by("owner");
        let told = panel.told(request.header("idempotency-key", bad.as_bytes())).await;
        assert_eq!(told, (422, "validation_failed".to_owned()), "{bad}");
    }
}

async fn a_path_is_the_same_however_it_is_written(framework: Framework) {
    let panel = Panel::new(framework).await;
    let id = panel.target().await.to_string();
    let encoded: String = id.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
    for path in [format!("/{id}"), format!("/{encoded}")] {
        let answer = panel.send(send("GET", &path, "").by("owner")).await;
        assert_eq!((answer.status, &json(&answer)["id"]), (200, &json!(id)), "{path}");
    }
    for path in ["/current", "/%63urrent", "/curren%74"] {
        let answer = panel.send(send("GET", path, "").with("reader")).await;
        assert_eq!((answer.status, &json(&answer)["name"]), (200, &json!("reader")), "{path}");
    }
    let rotated = panel.told(send("POST", "/%63urrent/%72otate", "").with("reader")).await;
    assert_eq!(rotated.0, 201);
    for path in ["/current%2Frotate", "/%2e%2e", "/\u{66}oo", "/%ff", "/current%00", "/CURRENT"] {
        let told = panel.told(send("GET", path, "").by("owner")).await;
        assert_eq!(told, (404, "not_found".to_owned()), "{path}");
    }
}

async fn other_methods_and_paths_are_refused(framework: Framework) {
    let panel = Panel::new(framework).await;
    let id = panel.target().await;
    for (method, path, allow) in [
        ("PUT", String::new(), "GET,HEAD,POST"),
        ("OPTIONS", String::new(), "GET,HEAD,POST"),
        ("BREW", String::new(), "GET,HEAD,POST"),
        ("POST", format!("/{id}"), "GET,HEAD,PATCH,DELETE"),
        ("GET", format!("/{id}/rotate"), "POST"),
        ("POST", "/current".to_owned(), "GET,HEAD,DELETE"),
        ("GET", "/revoke".to_owned(), "POST"),
        ("DELETE", "/abilities".to_owned(), "GET,HEAD"),
    ] {
        let answer = panel.send(send(method, &path, "").by("owner")).await;
        assert_eq!(answer.told(), (405, "method_not_allowed".to_owned()), "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    let told = panel.told(send("POST", &format!("/{id}/explode"), "").by("owner")).await;
    assert_eq!(told, (404, "not_found".to_owned()));
    let head = panel.send(send("HEAD", &format!("/{id}"), "").by("owner")).await;
    let got = panel.send(send("GET", &format!("/{id}"), "").by("owner")).await;
    assert_eq!((head.status, head.headers), (got.status, got.headers));
}

async fn the_location_is_where_the_client_finds_the_token(framework: Framework) {
    let switches = Switches { public_path: Some("/panel/tokens/"), ..Switches::ALL };
    for (switches, mount) in [(Switches::ALL, TOKENS), (switches, "/panel/tokens")] {
        let panel = Panel::with(framework, Policy::new(), switches, |it| it).await;
        let id = panel.target().await;
        for (path, is_bearer) in [
            (String::new(), false),
            (format!("/{id}/rotate"), false),
            ("/current/rotate".to_owned(), true),
        ] {
            let request =
                send("POST", &path, if path.is_empty() { r#"{"name":"ci"}"# } else { "{}" });
            let request = if is_bearer { request.with("reader") } else { request.by("owner") };
            let answer = panel.send(request).await;
            let expected = format!("{mount}/{}", json(&answer)["id"].as_str().unwrap());
            assert_eq!(answer.header("location"), Some(&*expected), "{path}");
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
    }
}

async fn a_list_is_filtered_ordered_and_turned_by_its_query(framework: Framework) {
    let panel = Panel::new(framework).await;
    let names = async |query: &str| -> Vec<String> {
        let answer = panel.send(list(query).by("viewer")).await;
        assert_eq!(answer.status, 200, "{answer}");
        let page = json(&answer);
        let tokens = page["tokens"].as_array().unwrap();
        tokens.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("?sort=name").await, ["manager", "none", "reader"]);
    assert_eq!(names("?sort=-name&q=E").await, ["reader", "none", "manager"]);
    assert_eq!(names("?ability=tokens%3Amanage").await, ["manager"]);
    assert_eq!(names("?state=revoked").await, [""; 0]);
    let first = json(&panel.send(list("?sort=name&per_page=2").by("viewer")).await);
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(names(&format!("?sort=name&per_page=2&cursor={cursor}")).await, ["reader"]);
    for (query, field) in
        [("?sort=id", "sort"), ("?per_page=0", "per_page"), ("?cursor=x", "cursor")]
    {
        let answer = panel.send(list(query).by("viewer")).await;
        assert_eq!(answer.status, 422);
        assert!(json(&answer)["errors"][field].is_array(), "{answer}");
    }
}

async fn abilities_are_those_that_the_account_may_grant(framework: Framework) {
    let panel = Panel::new(framework).await;
    let abilities = async |request: crate::web::http::Request| {
        let answer = json(&panel.send(request).await);
        let names = answer["abilities"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        (names.join(" "), answer["all"].as_bool().unwrap())
    };
    let get = || send("GET", "/abilities", "");
    let all = "servers:read servers:create projects:{project}:write tokens:manage";
    assert_eq!(abilities(get().by("owner")).await, (all.to_owned(), true));
    assert_eq!(abilities(get().by("restricted")).await, ("servers:read".to_owned(), false));
    let held = "servers:read tokens:manage".to_owned();
    assert_eq!(abilities(get().with("manager")).await, (held, false));
    let policy = Policy::new().allow_all_abilities(false);
    let panel = Panel::with(framework, policy, Switches::ALL, |it| it).await;
    assert_eq!(json(&panel.send(get().by("owner")).await)["all"], json!(false));
}

async fn the_current_token_learns_its_abilities_and_its_limit(framework: Framework) {
    let panel = Panel::new(framework).await;
    let current = panel.send(send("GET", "/current", "").with("reader")).await;
    assert_eq!(current.quota(), Some((60, 59)));
    let current = json(&current);
    assert_eq!(current["rate_limit"], json!({ "requests": 60, "seconds": 60 }));
    let described = json!([{ "name": "servers:read", "description": "List and show servers" }]);
    assert_eq!(current["described_abilities"], described);
    let told = panel.told(send("GET", "/current", "").by("owner")).await;
    assert_eq!(told, (401, "missing_credentials".to_owned()), "a session is no token");
}

async fn a_token_ends_itself_in_any_state_and_whatever_its_limit(framework: Framework) {
    let one = keyfob::token::RateLimit::new(1, time::Duration::MINUTE).unwrap();
    let panel = Panel::with(framework, Policy::new(), Switches::ALL, |it| it.rate_limit(one)).await;
    assert_eq!(panel.told(send("GET", "/current", "").with("reader")).await.0, 200);
    assert_eq!(panel.told(send("GET", "/current", "").with("reader")).await.0, 429);
    let own = panel.tokens.owned_by(Owner::new(PROJECT).unwrap());
    let suspended = panel.target().await;
    own.suspend(suspended).await.unwrap();
    for name in ["reader", "none", "target"] {
        let ended = panel.send(send("DELETE", "/current", "").with(name)).await;
        assert_eq!((ended.status, ended.quota()), (204, None), "{name}: {ended}");
        let again = panel.told(send("DELETE", "/current", "").with(name)).await;
        assert_eq!(again.0, 204, "{name}: who proves the secret is told that it is ended");
    }
    assert_eq!(own.get(suspended).await.unwrap().state_at(panel.tokens.now()), TokenState::Revoked);
    let told = panel.told(send("DELETE", "/current", "").authorization("Bearer acme_bad")).await;
    assert_eq!(told, (401, "invalid_token".to_owned()));
    let told = panel.told(send("DELETE", "/current", "").by("owner")).await;
    assert_eq!(told, (401, "missing_credentials".to_owned()));
}

async fn all_tokens_are_revoked_and_counted(framework: Framework) {
    let panel = Panel::new(framework).await;
    let all = || panel.send(send("POST", "/revoke", r#"{"all":true}"#).by("owner"));
    assert_eq!(json(&all().await), json!({ "count": 3, "more": false }));
    assert_eq!(json(&all().await), json!({ "count": 0, "more": false }));
    assert_eq!(panel.told(send("GET", "/current", "").with("reader")).await.0, 401);
    let (one, two) = (panel.target().await, TokenId::from_u128(7));
    let body = json!({ "ids": [one, two] }).to_string();
    let revoked = json(&panel.send(send("POST", "/revoke", &body).by("owner")).await);
    assert_eq!(revoked, json!({ "revoked": [one] }));
}

async fn tokens_manage_nothing_unless_the_application_says_so(framework: Framework) {
    let switches = Switches { tokens_manage: false, ..Switches::ALL };
    let panel = Panel::with(framework, Policy::new(), switches, |it| it).await;
    let _ = panel.issue("everything", NewToken::named("everything").all_abilities()).await;
    for token in ["manager", "everything"] {
        for (method, path) in [("GET", ""), ("GET", "/abilities"), ("POST", "")] {
            let refused = panel.send(send(method, path, "").with(token)).await;
            assert_eq!(refused.told(), (403, "insufficient_scope".to_owned()), "{token} {path}");
            assert_eq!(refused.required(), json!([]));
        }
        assert_eq!(panel.told(send("GET", "/current", "").with(token)).await.0, 200);
    }
}

async fn a_token_of_another_project_manages_nothing_here(framework: Framework) {
    let panel = Panel::new(framework).await;
    let other = Owner::new("project:8").unwrap();
    let new = NewToken::new(&other, "other").all_abilities();
    panel.name("other", &panel.tokens.issue(new).await.unwrap());
    for (method, path) in [("GET", ""), ("POST", ""), ("POST", "/revoke")] {
        let told = panel.told(send(method, path, "").with("other")).await;
        assert_eq!(told, (403, "insufficient_scope".to_owned()), "{method} {path}");
    }
}

async fn a_store_that_is_away_is_503(framework: Framework) {
    let panel = Panel::new(framework).await;
    let id = panel.target().await;
    panel.world.store.forget();
    panel.world.store.fail(STEPS);
    panel.world.store.fail(&["page"]);
    for (method, path, body) in [
        ("GET", String::new(), ""),
        ("POST", String::new(), r#"{"name":"ci"}"#),
        ("GET", format!("/{id}"), ""),
        ("PATCH", format!("/{id}"), r#"{"name":"b"}"#),
        ("DELETE", format!("/{id}"), ""),
        ("POST", format!("/{id}/rotate"), ""),
        ("POST", format!("/{id}/suspend"), ""),
        ("POST", format!("/{id}/resume"), ""),
        ("POST", "/revoke".to_owned(), r#"{"all":true}"#),
    ] {
        let answer = panel.send(send(method, &path, body).by("owner")).await;
        assert_eq!(answer.told(), (503, "store_unavailable".to_owned()), "{method} {path}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    for (method, path) in [("GET", "/current"), ("DELETE", "/current"), ("POST", "/current/rotate")]
    {
        let told = panel.told(send(method, path, "").with("reader")).await;
        assert_eq!(told, (503, "store_unavailable".to_owned()), "{method} {path}");
    }
}

/// The layer has found a session of its own. The account is still that of the mount.
async fn inside_of_a_layer_that_takes_sessions_all_is_the_same(framework: Framework) {
    let switches = Switches { inside: true, ..Switches::ALL };
    let limit = keyfob::token::RateLimit::new(60, time::Duration::MINUTE).unwrap();
    let panel = Panel::with(framework, Policy::new(), switches, |it| it.rate_limit(limit)).await;
    let created = panel.send(send("POST", "", r#"{"name":"ci"}"#).by("owner")).await;
    assert_eq!((created.status, &json(&created)["created_by"]), (201, &json!("user:owner")));
    let other_site = send("POST", "", r#"{"name":"ci"}"#).header("cookie", "owner");
    let other_site = panel.told(other_site.header("sec-fetch-site", "cross-site")).await;
    assert_eq!(other_site, (403, "cross_site_request".to_owned()));
    assert_eq!(panel.told(send("POST", "", "").by("viewer")).await.1, "step_not_allowed");
    let nobody = panel.told(send("GET", "", "")).await;
    assert_eq!(nobody, (401, "missing_credentials".to_owned()), "by the layer");
    let listed = panel.send(send("GET", "", "").with("manager")).await;
    assert_eq!((listed.status, listed.quota()), (200, Some((60, 59))), "charged once");
}

async fn a_condition_is_refused_where_it_has_no_meaning(framework: Framework) {
    let panel = Panel::new(framework).await;
    let id = panel.target().await;
    for (method, path) in [
        ("DELETE", format!("/{id}")),
        ("POST", format!("/{id}/suspend")),
        ("POST", format!("/{id}/resume")),
        ("POST", "/revoke".to_owned()),
    ] {
        let request = send(method, &path, if path == "/revoke" { r#"{"all":true}"# } else { "" });
        let told = panel.told(request.header("if-match", "\"0\"").by("owner")).await;
        assert_eq!(told, (422, "validation_failed".to_owned()), "{method} {path}");
    }
}

async fn an_account_without_abilities_is_refused_for_a_token_too(framework: Framework) {
    let panel = Panel::new(framework).await;
    let new = NewToken::named("blunt").abilities(["tokens:manage"]);
    let _ = panel.issue("blunt", new).await;
    let told = panel.told(send("GET", "", "").with("blunt")).await;
    assert_eq!(told, (403, "insufficient_scope".to_owned()));
}

async fn a_parameter_of_the_mount_is_decoded_alike(framework: Framework) {
    let panel = Panel::new(framework).await;
    for (segment, project) in [("a%2Fb", "a/b"), ("%2541", "%41"), ("a%2Bb", "a+b"), ("a+b", "a+b")]
    {
        let path = format!("/projects/{segment}/tokens");
        let create = crate::web::http::post(&path, r#"{"name":"ci"}"#).by("owner");
        let created = panel.send(create.header("content-type", "application/json")).await;
        assert_eq!(created.status, 201, "{segment}: {created}");
        let owner = Owner::new(format!("project:{project}")).unwrap();
        let own = panel.tokens.owned_by(&owner);
        let listed = own.list(keyfob::ListTokens::new()).await.unwrap();
        assert!(!listed.tokens.is_empty(), "{segment}");
        let location = created.header("location").unwrap();
        assert!(location.starts_with(&format!("{path}/")), "{location}");
    }
}
