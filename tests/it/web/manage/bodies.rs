//! Bodies that are not as a client should send them.

use serde_json::{Map, Value, json};

use super::app::{Panel, TOKENS, send};
use crate::web::{
    app::Framework,
    http::{Request, post},
};

on_both! {
    members_that_nobody_asked_for_are_refused
    a_member_that_is_there_twice_is_refused
    null_and_missing_are_as_the_contract_says
    what_is_no_json_too_long_or_of_another_type_is_refused
}

/// Each route that takes a body, and one that it takes. `{id}` is a token.
const BODIES: [(&str, &str, &str); 7] = [
    ("POST", "", r#"{"name":"ci"}"#),
    ("PATCH", "/{id}", r#"{"name":"ci"}"#),
    ("POST", "/{id}/rotate", r#"{"grace_seconds":60}"#),
    ("POST", "/{id}/suspend", r#"{"reason":"lost"}"#),
    ("POST", "/{id}/resume", "{}"),
    ("POST", "/revoke", r#"{"all":true}"#),
    ("POST", "/revoke-presented", r#"{"tokens":[]}"#),
];

async fn each(
    framework: Framework,
    check: impl AsyncFn(&Panel, &'static str, String, Map<String, Value>),
) {
    for (method, path, body) in BODIES {
        let panel = Panel::new(framework).await;
        let path = path.replace("{id}", &panel.target().await.to_string());
        let Value::Object(body) = serde_json::from_str(body).unwrap() else { unreachable!() };
        check(&panel, method, path, body).await;
    }
}

async fn members_that_nobody_asked_for_are_refused(framework: Framework) {
    each(framework, async |panel, method, path, mut body| {
        let extra = (0..20).map(|number| (format!("member_{number}"), json!(number)));
        body.extend(extra);
        let text = Value::Object(body).to_string();
        let answer = panel.send(send(method, &path, &text).by("owner")).await;
        assert_eq!(answer.status, 422, "{path}: {answer}");
        let errors: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(errors["errors"]["body"].as_array().unwrap().len(), 20, "{path}");
    })
    .await;
}

async fn a_member_that_is_there_twice_is_refused(framework: Framework) {
    each(framework, async |panel, method, path, body| {
        let text = Value::Object(body).to_string();
        let twice = match text.as_str() {
            "{}" => r#"{"a":1,"a":1}"#.to_owned(),
            text => format!("{},{}", &text[..text.len() - 1], &text[1..]),
        };
        let answer = panel.send(send(method, &path, &twice).by("owner")).await;
        assert_eq!(answer.status, 422, "{path}: {answer}");
        assert!(answer.body.contains("must have each member once"), "{answer}");
    })
    .await;
}

async fn null_and_missing_are_as_the_contract_says(framework: Framework) {
    let panel = Panel::new(framework).await;
    let optional = ["expires_at", "not_before", "idle_seconds", "allowed_addresses", "metadata"];
    for member in optional {
        let body = format!(r#"{{"name":"ci","{member}":null}}"#);
        let created = panel.send(send("POST", "", &body).by("owner")).await;
        assert_eq!(created.status, 201, "{member}: {created}");
        let created: Value = serde_json::from_str(&created.body).unwrap();
        let none = if member == "metadata" { json!({}) } else { Value::Null };
        assert_eq!(created[member], none, "{member}");
        let id = panel.target().await;
        let body = format!(r#"{{"{member}":null}}"#);
        let changed = panel.send(send("PATCH", &format!("/{id}"), &body).by("owner")).await;
        let changed: Value = serde_json::from_str(&changed.body).unwrap();
        assert_eq!(changed[member], none, "{member}");
    }
    for (method, path, body) in [
        ("POST", "", r#"{"name":null}"#),
        ("POST", "", r#"{"abilities":[]}"#),
        ("POST", "", r#"{"name":"ci","abilities":null}"#),
        ("POST", "", r#"{"name":"ci","abilities":["*"]}"#),
        ("POST", "", r#"{"name":"ci","expires_in_days":null}"#),
        ("POST", "/revoke", r#"{"ids":null}"#),
        ("POST", "/revoke", "{}"),
        ("POST", "/revoke-presented", r#"{"tokens":null}"#),
        ("POST", "/revoke-presented", "{}"),
    ] {
        let told = panel.told(send(method, path, body).by("owner")).await;
        assert_eq!(told, (422, "validation_failed".to_owned()), "{path} {body}");
    }
    let empty = panel.send(send("POST", "", r#"{"name":"ci","abilities":[]}"#).by("owner")).await;
    assert_eq!(empty.status, 201, "it permits nothing");
    let all = panel.send(send("POST", "", r#"{"name":"ci","abilities":"*"}"#).by("owner")).await;
    assert_eq!(all.status, 201);
}

async fn what_is_no_json_too_long_or_of_another_type_is_refused(framework: Framework) {
    each(framework, async |panel, method, path, _| {
        let longest = if path == "/revoke-presented" { 128 * 1024 } else { 16 * 1024 };
        let plain = |body: &str| Request { method, ..post(&format!("{TOKENS}{path}"), body) };
        let json = |it: Request| it.header("content-type", "application/json").by("owner");
        for (request, status, code) in [
            (json(plain("{")), 400, "malformed_body"),
            (
                plain("{}").header("content-type", "text/plain").by("owner"),
                415,
                "unsupported_media_type",
            ),
            (plain("{}").by("owner"), 415, "unsupported_media_type"),
            (json(plain("{}")).header("content-encoding", "gzip"), 415, "unsupported_media_type"),
            (json(plain(&" ".repeat(longest + 1))), 413, "content_too_large"),
        ] {
            assert_eq!(panel.told(request).await, (status, code.to_owned()), "{path}");
        }
        let body = format!("{{{}}}", " ".repeat(longest - 2));
        assert_ne!(panel.told(json(plain(&body))).await.0, 413, "{path}");
    })
    .await;
}
