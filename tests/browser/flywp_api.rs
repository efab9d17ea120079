//! `FlyWP` API: the JSON API that the tokens of the page open. The panel is the example service.

use serde_json::{Value, json};

use crate::{
    flywp::create,
    support::{Browser, Fleet, How, http::send},
};

on_every_server! {
    a1_the_resources_are_there,
    a2_json_goes_in_and_out,
    a3_sixty_requests_a_minute_are_let_through_and_told,
    a4_each_status_says_what_it_says,
}

/// The service, and a token for everything that the page has made.
async fn open(server: &str, more: &[&str]) -> (Fleet, Browser, String) {
    let fleet = Fleet::start(server, more);
    let browser = Browser::open(&fleet.base, How::default()).await;
    browser.go("/").await;
    browser.follow("Log in as ada").await;
    browser.go("/settings/tokens/new").await;
    browser.fill("#kf-name", "everything").await;
    browser.click("[name=access][value=all]").await;
    browser.follow("Create token").await;
    let token = browser.value("#kf-token").await;
    (fleet, browser, token)
}

async fn a1_the_resources_are_there(server: &str) {
    let (fleet, browser, token) = open(server, &[]).await;
    let make = async |path: &str, body: Value| {
        let made = fleet.call("POST", path, &token, Some(&body)).await;
        assert_eq!(made.status, 201, "{path}");
        made.json()["id"].to_string()
    };
    let list = async |path: &str| fleet.get(path, &token).await.json();
    let web = make("/api/v1/servers", json!({ "name": "web-1", "region": "fra" })).await;
    let of = format!("/api/v1/servers/{web}");
    assert_eq!(list("/api/v1/servers").await["servers"][0]["name"], "web-1");
    assert_eq!(list(&of).await["region"], "fra");
    let site = make(&format!("{of}/sites"), json!({ "name": "blog" })).await;
    assert_eq!(list(&format!("{of}/sites")).await["sites"][0]["name"], "blog");
    assert_eq!(list(&format!("{of}/databases")).await, json!({ "databases": [] }));
    make(&format!("{of}/ssh-keys"), json!({ "name": "laptop", "public_key": "ssh-ed25519 A" }))
        .await;
    assert_eq!(list(&format!("{of}/ssh-keys")).await["ssh_keys"][0]["name"], "laptop");
    make(&format!("{of}/crons"), json!({ "name": "nightly", "schedule": "0 3 * * *" })).await;
    assert_eq!(list(&format!("{of}/crons")).await["crons"][0]["name"], "nightly");
    let backups = format!("/api/v1/sites/{site}/backups");
    assert_eq!(fleet.call("POST", &backups, &token, None).await.status, 201);
    assert_eq!(list(&backups).await["backups"].as_array().unwrap().len(), 1);
    let changed = fleet.call("PATCH", &of, &token, Some(&json!({ "region": "ams" }))).await;
    assert_eq!(changed.json()["region"], "ams");
    assert_eq!(fleet.call("DELETE", &of, &token, None).await.status, 204);
    assert_eq!(fleet.get(&of, &token).await.status, 404);
    browser.close().await;
}

async fn a2_json_goes_in_and_out(server: &str) {
    let (fleet, browser, token) = open(server, &[]).await;
    let made = fleet.call("POST", "/api/v1/servers", &token, Some(&json!({ "name": "web" }))).await;
    assert_eq!(made.header("content-type"), Some("application/json"));
    let refused = fleet.get("/api/v1/servers/999", &token).await;
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    browser.close().await;
}

async fn a3_sixty_requests_a_minute_are_let_through_and_told(server: &str) {
    let (fleet, browser, token) = open(server, &[]).await;
    for used in 1..=60 {
        let answer = fleet.get("/api/v1/servers", &token).await;
        assert_eq!(answer.header("x-ratelimit-limit"), Some("60"));
        assert!(answer.header("x-ratelimit-remaining").is_some());
        assert_eq!(answer.status, 200, "{used}");
    }
    // A slow machine has earned another request meanwhile, one a second.
    let refused = async {
        loop {
            let answer = fleet.get("/api/v1/servers", &token).await;
            if answer.status == 429 {
                return answer;
            }
        }
    };
    let refused = refused.await;
    assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(refused.json()["code"], "rate_limited");
    // Another token has requests of its own.
    let other = create(&browser, "other", &["servers:read"]).await;
    assert_eq!(fleet.get("/api/v1/servers", &other).await.status, 200);
    browser.close().await;
}

async fn a4_each_status_says_what_it_says(server: &str) {
    let (fleet, browser, token) = open(server, &[]).await;
    let reader = create(&browser, "reader", &["servers:read"]).await;
    let post = async |token: &str, body: &Value| {
        fleet.call("POST", "/api/v1/servers", token, Some(body)).await
    };
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let malformed = send(fleet.address(), "POST", "/api/v1/servers", &headers, "{").await;
    assert_eq!(malformed.status, 400);
    assert_eq!(fleet.get("/api/v1/servers", &token).await.status, 200);
    assert_eq!(post(&token, &json!({ "name": "web" })).await.status, 201);
    assert_eq!(fleet.get("/api/v1/servers", "fleet_nonsense").await.status, 401);
    assert_eq!(post(&reader, &json!({ "name": "web" })).await.status, 403);
    assert_eq!(fleet.get("/api/v1/servers/999", &token).await.status, 404);
    let invalid = post(&token, &json!({ "name": 7 })).await;
    assert_eq!(invalid.status, 422);
    assert!(invalid.json()["errors"]["name"].is_array());
    browser.close().await;
}
