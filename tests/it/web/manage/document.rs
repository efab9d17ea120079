//! The OpenAPI document: the routes that there are, and every status that they declare.

use keyfob::{
    Owner, Policy,
    store::{CorruptRecord, StoreError},
    token::RateLimit,
};
use serde_json::{Value, json};

use super::{
    answers::ROUTES,
    app::{PROJECT, Panel, Switches, TOKENS, send},
};
use crate::{
    support::STEPS,
    web::{
        app::Framework,
        golden::hold_to,
        http::{Request, Response, get},
    },
};

on_both! {
    the_document_is_the_one_on_file
    the_document_names_the_mount_and_the_settings
    the_table_of_answers_names_every_route
    every_status_that_is_declared_is_produced
}

async fn the_document_is_the_one_on_file(framework: Framework) {
    let panel = Panel::new(framework).await;
    let shown = panel.send(send("GET", "/openapi.json", "")).await;
    assert_eq!(shown.status, 200);
    let document: Value = serde_json::from_str(&shown.body).unwrap();
    assert_eq!(document, panel.contract.document, "as it is printed");
    let text = format!("{document:#}\n");
    hold_to("manage/openapi.json", &text, framework == Framework::Axum);
}

async fn the_document_names_the_mount_and_the_settings(framework: Framework) {
    let switches = Switches {
        tokens_manage: false,
        revoke_presented: false,
        public_path: Some("/panel/tokens/"),
        ..Switches::ALL
    };
    let panel = Panel::with(framework, Policy::new(), switches, |it| it).await;
    let document = (panel.send_unchecked(get(format!("{TOKENS}/openapi.json"))).await).body;
    let document: Value = serde_json::from_str(&document).unwrap();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    assert!(paths.iter().all(|path| path.starts_with("/panel/tokens")), "{paths:?}");
    assert!(!paths.iter().any(|path| path.ends_with("revoke-presented")));
    let list = &document["paths"]["/panel/tokens"]["get"];
    assert_eq!(list["security"], json!([{ "session": [] }]), "no token manages others");
    let all = Panel::new(framework).await.contract.document;
    let list = &all["paths"][TOKENS]["get"];
    assert_eq!(list["security"], json!([{ "session": [] }, { "token": [] }]));
    let abilities = &all["components"]["schemas"]["Ability"]["examples"];
    assert_eq!(abilities[0], "servers:read");
}

async fn the_table_of_answers_names_every_route(framework: Framework) {
    let panel = Panel::new(framework).await;
    let declared: Vec<_> = panel.contract.declared().into_iter().map(|(route, _)| route).collect();
    for route in &declared {
        let is_in_table = ROUTES.iter().any(|(method, path, _)| {
            let path = if path.is_empty() { "/" } else { path };
            *route == format!("{method} {path}")
        });
        assert!(is_in_table, "{route} is missing");
    }
    assert_eq!(declared.len(), ROUTES.len());
}

/// A request that is answered with a status, by an application that is made for it.
async fn produce(framework: Framework, route: &str, status: u16) -> Response {
    let (method, path) = route.split_once(' ').unwrap();
    let (method, path) = ROUTES
        .iter()
        .map(|it| (it.0, if it.1.is_empty() { "/" } else { it.1 }))
        .find(|it| *it == (method, path))
        .unwrap();
    let is_bearer = path.starts_with("/current");
    let limit = RateLimit::new(1, time::Duration::MINUTE).unwrap();
    let panel = Panel::with(framework, Policy::new(), Switches::ALL, |it| {
        if status == 429 { it.rate_limit(limit) } else { it }
    })
    .await;
    let own = panel.tokens.owned_by(Owner::new(PROJECT).unwrap());
    let id = panel.target().await;
    let mut body = ROUTES
        .iter()
        .find(|it| it.0 == method && it.1 == path.trim_end_matches('/'))
        .map(|it| it.2.replace("{id}", &id.to_string()))
        .unwrap();
    let mut path = path.trim_end_matches('/').replace("{id}", &id.to_string());
    let mut headers = vec![("content-type", "application/json".to_owned())];
    let mut token = if is_bearer { Some("reader") } else { None };
    match status {
        400 if body.is_empty() || path == "/current/rotate" || route.contains("{id}") => {
            headers.push(("authorization", "Bearer acme_two tokens".to_owned()));
            token = None;
        }
        400 => "{".clone_into(&mut body),
        401 => token = Some("bad"),
        403 => token = Some("none"),
        404 => path = path.replace(&id.to_string(), "0000000000000000000007"),
        409 if path.is_empty() => headers.push(("idempotency-key", "once".to_owned())),
        409 if path.contains("rotate") => r#"{"generation":9}"#.clone_into(&mut body),
        409 => own.revoke(id).await.unwrap(),
        412 => headers.push(("if-match", "\"99\"".to_owned())),
        413 => body = " ".repeat(128 * 1024 + 1),
        415 => {
            "text/plain".clone_into(&mut headers[0].1);
            if body.is_empty() {
                "{}".clone_into(&mut body);
            }
        }
        422 if method == "DELETE" => headers.push(("if-match", "\"0\"".to_owned())),
        422 if method == "GET" => path.push_str("?sort=id"),
        422 => r#"{"member":1}"#.clone_into(&mut body),
        429 if !is_bearer => token = Some("manager"),
        500 | 503 => {
            let error: fn() -> StoreError = match status {
                500 => || CorruptRecord::new(None, "digest").into(),
                _ => || StoreError::Unavailable("gone".into()),
            };
            panel.world.store.forget();
            panel.world.store.fail_with(STEPS, error);
            panel.world.store.fail_with(&["page"], error);
            if path == "/abilities" {
                token = Some("manager");
            }
            if path == "/revoke-presented" {
                let text = panel.text("reader");
                body = json!({ "tokens": [text] }).to_string();
            }
        }
        _ => {}
    }
    let mut request =
        Request { method, ..crate::web::http::post(&format!("{TOKENS}{path}"), body.clone()) };
    for (name, value) in headers {
        if name != "content-type" || !body.is_empty() {
            request = request.header(name, value);
        }
    }
    let request = match token {
        Some("bad") => request.authorization("Bearer acme_bad"),
        Some(token) => request.with(token),
        None if is_bearer => request,
        None => request.by("owner"),
    };
    if matches!(status, 409 if path.is_empty()) || (status == 429 && path != "/revoke-presented") {
        let _ = panel.send(request.clone()).await;
    }
    if status == 429 && path == "/revoke-presented" {
        for _ in 0..60 {
            let _ = panel.send(request.clone()).await;
        }
    }
    panel.send(request).await
}

async fn every_status_that_is_declared_is_produced(framework: Framework) {
    let panel = Panel::new(framework).await;
    let mut missing = Vec::new();
    for (route, statuses) in panel.contract.declared() {
        for status in statuses {
            let produced = produce(framework, &route, status).await;
            if produced.status != status {
                missing.push(format!("{route} {status}: {}", produced.status));
            }
        }
    }
    assert_eq!(missing, [""; 0]);
}
