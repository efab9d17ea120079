//! `FlagPal`: the tokens of a project, for its SDKs.

use std::sync::Arc;

use keyfob::{
    Owner, Policy,
    token::Actor,
    web::{Problem, auth::Account, manage::page::PageOptions},
};
use time::Duration;

use crate::support::{App, Browser, Fleet, How, Setup};

keyfob::abilities! {
    enum Access {
        Read = "read", "Evaluate feature flags";
        Write = "write", "Change feature flags";
        Metrics = "metrics", "Send metrics";
    }
}

/// The shop has an admin and a viewer.
async fn open(person: &str) -> (App, Browser) {
    let setup = Setup {
        policy: Policy::new().default_lifetime(Duration::days(365)),
        options: PageOptions::new().application("FlagPal").back("Back to the shop", "/"),
        path: "/projects/{project}/settings/tokens",
        know: Arc::new(|person, asked| {
            let project = asked.parameter("project").filter(|it| *it == "shop");
            let project = project.ok_or(Problem::not_found())?;
            let is_admin = person == "admin";
            let account = Account::new(Owner::new(format!("project:{project}"))?);
            let member = account.by(Actor::new(format!("user:{person}"))?);
            Ok(member.may_create(is_admin).may_change(is_admin).into())
        }),
        ..Setup::new("flagpal", Access::ALL)
    };
    let app = App::start(setup).await;
    let browser = Browser::open(&app.base(), How::default()).await;
    browser.go(&format!("/as/{person}")).await;
    (app, browser)
}

on_every_server! {
    g3_the_example_has_a_project_whose_members_see_its_tokens,
}

async fn g3_the_example_has_a_project_whose_members_see_its_tokens(server: &str) {
    let fleet = Fleet::start(server, &[]);
    let browser = Browser::open(&fleet.base, How::default()).await;
    let page = "/projects/storefront/settings/tokens";
    browser.go(page).await;
    assert_eq!(browser.text("h1").await, "Fleet", "who has not logged in can do so");
    browser.follow("Log in as ada").await;
    browser.go(&format!("{page}/new")).await;
    browser.fill("#kf-name", "Shopify App Production").await;
    browser.click("[value='servers:read']").await;
    browser.follow("Create token").await;
    let token = browser.value("#kf-token").await;
    assert_eq!(fleet.get("/api/v1/servers", &token).await.status, 200);
    browser.press("Yes, I saved my token").await;
    browser.go("/settings/tokens").await;
    assert_eq!(browser.count(".kf-name").await, 0, "it is not hers");

    browser.go("/").await;
    browser.follow("Log in as grace").await;
    browser.go(page).await;
    assert_eq!(browser.texts(".kf-name").await, ["Shopify App Production"]);
    assert_eq!(browser.text("[data-label=Created] small").await, "by ada");
    assert_eq!(browser.count("form[method=post], [type=checkbox], .kf-main").await, 0);
    browser.go("/projects/other/settings/tokens").await;
    assert!(browser.text("body").await.contains("not_found"));
    browser.close().await;
}

async fn create(browser: &Browser, name: &str, abilities: &[&str]) -> String {
    browser.go("/projects/shop/settings/tokens/new").await;
    browser.fill("#kf-name", name).await;
    for ability in abilities {
        browser.click(&format!("[value='{ability}']")).await;
    }
    browser.follow("Create token").await;
    browser.value("#kf-token").await
}

#[tokio::test(flavor = "multi_thread")]
async fn g1_a_token_belongs_to_the_project() {
    let (app, browser) = open("admin").await;
    let token = create(&browser, "Shopify App Production", &["read"]).await;
    assert_eq!(app.call("/api/who", &token).await, (200, "project:shop".to_owned()));
    browser.go("/projects/other/settings/tokens").await;
    assert!(browser.text("body").await.contains("not_found"), "of no other project");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_a_token_has_a_name_abilities_and_a_validity_period() {
    let (app, browser) = open("admin").await;
    browser.follow("New token").await;
    assert_eq!(browser.value("#kf-expires").await, "365", "the default of the application");
    browser.fill("#kf-name", "Metrics of the app").await;
    browser.press("Send metrics metrics").await;
    browser.choose("#kf-expires", "30").await;
    browser.follow("Create token").await;
    let token = browser.value("#kf-token").await;
    for (ability, status) in [("metrics", 200), ("read", 403), ("write", 403)] {
        assert_eq!(app.call(&format!("/api/can/{ability}"), &token).await.0, status);
    }
    let id = app.tokens.verify(&token).await.unwrap().id();
    let shop = Owner::new("project:shop").unwrap();
    let record = app.tokens.owned_by(shop).get(id).await.unwrap();
    let life = record.expires_at.unwrap().since(record.created_at);
    assert_eq!(life, Duration::days(30));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_members_see_names_and_dates_and_never_the_value() {
    let (app, browser) = open("admin").await;
    let token = create(&browser, "Shopify App Staging", &["read"]).await;
    let id = app.tokens.verify(&token).await.unwrap().id();
    browser.press("Yes, I saved my token").await;

    browser.go("/as/viewer").await;
    assert_eq!(browser.texts(".kf-name").await, ["Shopify App Staging"]);
    assert_eq!(browser.count("[data-label=Created] time").await, 1);
    assert_eq!(browser.text("[data-label=Created] small").await, "by user:admin");
    let secret = &token[token.rfind('_').unwrap() + 1..];
    assert!(!browser.source().await.contains(secret));
    assert_eq!(browser.count("[type=checkbox], form[method=post], .kf-main").await, 0);
    assert_eq!(browser.texts(".kf-actions a").await, ["Details"]);
    browser.follow("Details of Shopify App Staging").await;
    assert_eq!(browser.count("form, .kf-buttons").await, 0);
    assert!(!browser.source().await.contains(secret));
    for path in ["/new", &format!("/{id}/rotate"), &format!("/{id}/revoke"), "/revoke?all=1"] {
        browser.go(&format!("/projects/shop/settings/tokens{path}")).await;
        assert_eq!(browser.text("h1").await, "You may not do this here", "{path}");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_token_is_rotated_without_downtime() {
    let (app, browser) = open("admin").await;
    let old = create(&browser, "SDK", &["read"]).await;
    browser.go("/projects/shop/settings/tokens").await;
    browser.follow("Rotate SDK").await;
    assert_eq!(browser.text("h1").await, "Rotate SDK?");
    assert!(browser.is_checked("[name=grace][value=day]").await);
    browser.follow_to("form .kf-main").await;
    assert_eq!(browser.text("h1").await, "Token rotated");
    let new = browser.value("#kf-token").await;
    assert_ne!(old, new);
    assert!(browser.text(".kf-facts").await.contains("Old secret works until"));
    // The app is updated while both work.
    assert_eq!(app.call("/api/can/read", &old).await.0, 200);
    assert_eq!(app.call("/api/can/read", &new).await.0, 200);

    browser.follow("Yes, I saved my token").await;
    assert!(browser.text("[data-label=State]").await.contains("Old secret works until"));
    browser.follow("Rotate SDK").await;
    assert!(browser.text(".kf-notice").await.contains("Rotating again ends it now."));
    browser.click("[name=grace][value=none]").await;
    browser.follow_to("form .kf-main").await;
    let newest = browser.value("#kf-token").await;
    assert!(browser.text(".kf-facts").await.contains("is refused from now on"));
    assert_eq!(app.call("/api/can/read", &old).await.0, 401);
    assert_eq!(app.call("/api/can/read", &new).await.0, 401);
    assert_eq!(app.call("/api/can/read", &newest).await.0, 200);

    browser.follow("Yes, I saved my token").await;
    browser.press("Revoke SDK").await;
    browser.follow_to("dialog .kf-danger").await;
    assert_eq!(app.call("/api/can/read", &newest).await.0, 401);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g5_each_environment_has_a_token_that_is_revoked_alone() {
    let (app, browser) = open("admin").await;
    let production = create(&browser, "Shopify App Production", &["read"]).await;
    let staging = create(&browser, "Shopify App Staging", &["read"]).await;
    browser.go("/projects/shop/settings/tokens?q=staging").await;
    assert_eq!(browser.texts(".kf-name").await, ["Shopify App Staging"]);
    browser.press("Revoke Shopify App Staging").await;
    browser.follow_to("dialog .kf-danger").await;
    assert_eq!(app.call("/api/who", &staging).await.0, 401);
    assert_eq!(app.call("/api/who", &production).await.0, 200);
    browser.close().await;
}
