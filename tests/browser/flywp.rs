//! `FlyWP`: the tokens of an account of a hosting panel. The panel is the example service.

use std::process::Command;

use serde_json::json;

use crate::support::{Browser, Fleet, How, http::send};

on_every_server! {
    f1_a_token_has_a_name_and_only_the_permissions_that_were_chosen,
    f2_permissions_are_read_create_update_and_delete_over_resources,
    f3_the_token_is_shown_once_with_a_copy_button,
    f4_a_table_has_the_tokens_of_the_account,
    f5_a_deleted_token_is_refused_at_once,
    f6_every_request_has_the_token_as_bearer,
    f7_each_person_has_tokens_of_their_own,
}

async fn open(server: &str) -> (Fleet, Browser) {
    let fleet = Fleet::start(server, &[]);
    let browser = Browser::open(&fleet.base, How::default()).await;
    browser.go("/").await;
    browser.follow("Log in as ada").await;
    (fleet, browser)
}

/// Creates a token as a person does, and returns what is shown.
pub async fn create(browser: &Browser, name: &str, abilities: &[&str]) -> String {
    browser.go("/settings/tokens/new").await;
    browser.fill("#kf-name", name).await;
    for ability in abilities {
        browser.click(&format!("[value='{ability}']")).await;
    }
    browser.follow("Create token").await;
    browser.value("#kf-token").await
}

async fn f1_a_token_has_a_name_and_only_the_permissions_that_were_chosen(server: &str) {
    let (fleet, browser) = open(server).await;
    browser.follow("New token").await;
    browser.fill("#kf-name", "ci-deploy-pipeline").await;
    browser.press("List and show servers servers:read").await;
    browser.press("Create sites sites:create").await;
    browser.follow("Create token").await;
    assert_eq!(browser.text("h1").await, "Token created");
    let token = browser.value("#kf-token").await;
    let server = json!({ "name": "web-1" });
    assert_eq!(fleet.get("/api/v1/servers", &token).await.status, 200);
    assert_eq!(fleet.call("POST", "/api/v1/servers", &token, Some(&server)).await.status, 403);
    assert_eq!(fleet.get("/api/v1/servers/1/databases", &token).await.status, 403);
    browser.follow("Yes, I saved my token").await;
    assert_eq!(browser.text(".kf-name").await, "ci-deploy-pipeline");
    assert_eq!(browser.texts("[data-label=Access] li").await, ["servers:read", "sites:create"]);
    browser.close().await;
}

async fn f2_permissions_are_read_create_update_and_delete_over_resources(server: &str) {
    let (fleet, browser) = open(server).await;
    let all = create(&browser, "all of servers", &["servers:*"]).await;
    let new = json!({ "name": "web-1", "region": "fra" });
    let made = fleet.call("POST", "/api/v1/servers", &all, Some(&new)).await;
    assert_eq!(made.status, 201);
    let path = format!("/api/v1/servers/{}", made.json()["id"]);
    let change = json!({ "region": "ams" });
    for ability in ["servers:read", "servers:create", "servers:update", "servers:delete"] {
        let token = create(&browser, ability, &[ability]).await;
        let status =
            async |method, path: &str, body| fleet.call(method, path, &token, body).await.status;
        let allowed = |it: &str, status| if ability == it { status } else { 403 };
        assert_eq!(status("GET", &path, None).await, allowed("servers:read", 200), "{ability}");
        let create = status("POST", "/api/v1/servers", Some(&new)).await;
        assert_eq!(create, allowed("servers:create", 201), "{ability}");
        let update = status("PATCH", &path, Some(&change)).await;
        assert_eq!(update, allowed("servers:update", 200), "{ability}");
        let delete = status("DELETE", &path, None).await;
        assert_eq!(delete, allowed("servers:delete", 204), "{ability}");
    }
    browser.close().await;
}

async fn f3_the_token_is_shown_once_with_a_copy_button(server: &str) {
    let (_fleet, browser) = open(server).await;
    let token = create(&browser, "once", &["servers:read"]).await;
    assert!(token.starts_with("fleet_"));
    assert!(browser.is_shown("[data-kf-copy=kf-token]").await);
    assert_eq!(
        browser.text(".kf-secret p").await,
        "Copy it now into a safe place. It is not copied yet. It can't be shown again."
    );
    browser.follow("Yes, I saved my token").await;
    assert!(!browser.source().await.contains(&token));
    browser.follow("Details of once").await;
    assert!(!browser.source().await.contains(&token));
    browser.close().await;
}

async fn f4_a_table_has_the_tokens_of_the_account(server: &str) {
    let (fleet, browser) = open(server).await;
    let token = create(&browser, "used", &["servers:read"]).await;
    create(&browser, "not used", &["servers:read"]).await;
    assert_eq!(fleet.get("/api/v1/servers", &token).await.status, 200);
    browser.go("/settings/tokens").await;
    let header = browser.texts("thead th").await;
    let header: Vec<_> = header.iter().filter_map(|it| it.lines().next()).collect();
    assert_eq!(header[..5], ["Name", "Access", "Last used", "Created", "Expires"]);
    assert_eq!(browser.texts(".kf-name").await, ["not used", "used"]);
    let used = browser.texts("[data-label='Last used'] ").await;
    assert_eq!(used[0], "Never");
    assert!(used[1].contains("ago") || used[1].contains("now"), "{used:?}");
    assert!(used[1].contains("from 127.0.0.1"), "{used:?}");
    assert_eq!(browser.count("[data-label=Created] time").await, 2);
    let actions = browser.texts("tbody tr:first-child .kf-actions a").await;
    assert_eq!(actions, ["Details", "Rotate", "Revoke"]);
    browser.close().await;
}

async fn f5_a_deleted_token_is_refused_at_once(server: &str) {
    let (fleet, browser) = open(server).await;
    let token = create(&browser, "leaked", &["servers:read"]).await;
    assert_eq!(fleet.get("/api/v1/servers", &token).await.status, 200);
    browser.go("/settings/tokens").await;
    browser.press("Revoke leaked").await;
    browser.follow_to("dialog .kf-danger").await;
    let refused = fleet.get("/api/v1/servers", &token).await;
    assert_eq!((refused.status, &refused.json()["code"]), (401, &json!("invalid_token")));
    assert!(!browser.is_there(".kf-name").await);
    browser.close().await;
}

async fn f6_every_request_has_the_token_as_bearer(server: &str) {
    let (fleet, browser) = open(server).await;
    let token = create(&browser, "ci", &["servers:read"]).await;
    let line = browser.text("#kf-snippet-1").await;
    let api = format!("{}/api/v1/servers", fleet.base);
    assert_eq!(line, format!("curl -H \"Authorization: Bearer $FLEET_TOKEN\" {api}"));
    // The line is true: a shell runs it.
    let line = format!("{line} -sS -f");
    let output =
        Command::new("sh").args(["-c", &line]).env("FLEET_TOKEN", &token).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), r#"{"servers":[]}"#);
    let without = send(fleet.address(), "GET", "/api/v1/servers", &[], "").await;
    assert_eq!(without.status, 401);
    browser.close().await;
}

async fn f7_each_person_has_tokens_of_their_own(server: &str) {
    let (fleet, browser) = open(server).await;
    let adas = create(&browser, "of ada", &["servers:*"]).await;
    let made = fleet.call("POST", "/api/v1/servers", &adas, Some(&json!({ "name": "adas" }))).await;
    assert_eq!(made.status, 201);
    browser.go("/settings/tokens").await;
    browser.follow("Details of of ada").await;
    let details = browser.path().await;

    browser.go("/").await;
    browser.follow("Log in as grace").await;
    assert!(browser.text(".kf-empty").await.starts_with("You have no tokens yet."));
    browser.go(&details).await;
    assert_eq!(browser.text("h1").await, "There is no such token here");
    browser.go(&format!("{details}/revoke")).await;
    assert_eq!(browser.text("h1").await, "There is no such token here");
    let graces = create(&browser, "of grace", &["servers:*"]).await;
    assert_eq!(fleet.get("/api/v1/servers", &graces).await.body, r#"{"servers":[]}"#);
    assert_eq!(fleet.get("/api/v1/servers", &adas).await.json()["servers"][0]["name"], "adas");
    browser.close().await;
}
