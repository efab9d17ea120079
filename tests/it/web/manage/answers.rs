//! Every route × everybody who may come, as one file.

use std::fmt::Write;

use keyfob::Policy;

use super::app::{Panel, Switches, scrubbed, send};
use crate::web::{app::Framework, golden::hold_to, http::Request};

on_both! {
    every_route_answers_everybody_as_on_file
}

/// Each route, with a body that does something.
pub const ROUTES: [(&str, &str, &str); 15] = [
    ("GET", "", ""),
    ("POST", "", r#"{"name":"ci","abilities":["servers:read"],"expires_in_days":30}"#),
    ("GET", "/abilities", ""),
    ("GET", "/openapi.json", ""),
    ("POST", "/revoke", r#"{"ids":["{id}"]}"#),
    ("POST", "/revoke-presented", r#"{"tokens":["a text"]}"#),
    ("GET", "/current", ""),
    ("POST", "/current/rotate", ""),
    ("GET", "/{id}", ""),
    ("PATCH", "/{id}", r#"{"name":"renamed"}"#),
    ("DELETE", "/{id}", ""),
    ("POST", "/{id}/rotate", r#"{"grace_seconds":60}"#),
    ("POST", "/{id}/suspend", r#"{"reason":"lost"}"#),
    ("POST", "/{id}/resume", ""),
    ("DELETE", "/current", ""),
];

type Caller = (&'static str, fn(Request) -> Request);

/// Everybody who may come.
const CALLERS: [Caller; 12] = [
    ("nobody", |it| it),
    ("the owner", |it| it.by("owner")),
    ("the owner, from another site", |it| {
        it.header("cookie", "owner").header("sec-fetch-site", "cross-site")
    }),
    ("another account", |it| it.by("stranger")),
    ("a member who may only see", |it| it.by("viewer")),
    ("a restricted account", |it| it.by("restricted")),
    ("an account without abilities", |it| it.by("nothing")),
    ("an account that must give its password first", |it| it.by("careful")),
    ("a token without abilities", |it| it.with("none")),
    ("a token with abilities", |it| it.with("reader")),
    ("a token that may manage", |it| it.with("manager")),
    ("a bad token beside a session", |it| it.authorization("Bearer acme_bad").by("owner")),
];

async fn every_route_answers_everybody_as_on_file(framework: Framework) {
    let mut text = String::new();
    for (method, path, body) in ROUTES {
        for (caller, add) in CALLERS {
            let panel = Panel::with(framework, Policy::new(), Switches::ALL, |it| it).await;
            let id = panel.target().await.to_string();
            let filled = |text: &str| text.replace("{id}", &id);
            let mut answer = panel.send(add(send(method, &filled(path), &filled(body)))).await;
            if path == "/openapi.json" && answer.status == 200 {
                // It is a file of its own.
                answer.body.clear();
            }
            let answer = scrubbed(&answer.to_string());
            write!(text, "## {method} {path}: {caller}\n→ {answer}\n").unwrap();
        }
    }
    hold_to("manage/answers.txt", &text, framework == Framework::Axum);
}
