//! Flusso: third-party access to an accounting product.

use std::fs;

use keyfob::{Abilities, NewToken, Owner, Policy, web::manage::page::PageOptions};
use time::{Duration, OffsetDateTime};

use crate::support::{App, Browser, How, Setup};

keyfob::abilities! {
    enum Access {
        ExternalApi = "external-api", "Use the API from outside";
        Invoices = "invoices:read", "Read invoices";
    }
}

async fn open() -> (App, Browser) {
    let default = Abilities::set(["external-api"]).unwrap();
    let policy = Policy::new().default_abilities(default);
    let options = PageOptions::new().application("Flusso");
    let app = App::start(Setup { policy, options, ..Setup::new("flusso", Access::ALL) }).await;
    let browser = Browser::open(&app.base(), How::default()).await;
    browser.go("/as/mia").await;
    (app, browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn u1_a_token_has_chosen_abilities_and_ends_on_a_date_or_never() {
    let (app, browser) = open().await;
    browser.follow("New token").await;
    assert!(browser.is_checked("[value=external-api]").await, "it is chosen at first");
    browser.fill("#kf-name", "never ends").await;
    browser.choose("#kf-expires", "never").await;
    assert_eq!(browser.text("#kf-until").await, "The token never ends by itself.");
    browser.follow("Create token").await;
    let token = browser.value("#kf-token").await;
    assert_eq!(app.call("/api/can/external-api", &token).await.0, 200);
    assert_eq!(app.call("/api/can/invoices:read", &token).await.0, 403);

    browser.go("/settings/tokens/new").await;
    browser.fill("#kf-name", "ends").await;
    browser.choose("#kf-expires", "date").await;
    let date = "document.querySelector('[name=date]')";
    browser.run(&format!("{date}.value = '2099-12-31'; {date}.onchange()")).await;
    assert!(browser.text("#kf-until").await.contains("December 31, 2099"));
    browser.follow("Create token").await;
    browser.follow("Yes, I saved my token").await;
    let expires = browser.texts("[data-label=Expires]").await;
    assert_eq!(expires, ["Dec 31, 2099", "Never"]);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn u2_only_hashes_are_stored() {
    let (app, browser) = open().await;
    browser.follow("New token").await;
    browser.fill("#kf-name", "secret").await;
    browser.follow("Create token").await;
    let token = browser.value("#kf-token").await;
    let secret = &token[token.rfind('_').unwrap() + 1..];
    let mut stored = Vec::new();
    for file in fs::read_dir(app.directory.path()).unwrap() {
        stored.extend(fs::read(file.unwrap().path()).unwrap());
    }
    let has = |text: &str| stored.windows(text.len()).any(|it| it == text.as_bytes());
    assert!(has("external-api") && !has(&token) && !has(secret) && !has(&secret[..20]));
    browser.follow("Yes, I saved my token").await;
    browser.follow("Details of secret").await;
    assert!(!browser.source().await.contains(secret));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn u3_the_table_has_name_last_used_created_and_expires() {
    let (app, browser) = open().await;
    let own = app.tokens.owned_by(Owner::new("user:mia").unwrap());
    let fresh = own.issue(NewToken::named("fresh").expires_in(Duration::days(400))).await.unwrap();
    let used = own.issue(NewToken::named("used")).await.unwrap();
    assert_eq!(app.call("/api/who", used.plain.expose_secret()).await.0, 200);
    browser.reload().await;
    assert_eq!(browser.texts(".kf-name").await, ["used", "fresh"]);
    let last_used = browser.texts("[data-label='Last used']").await;
    assert!(last_used[0].contains("from 203.0.113.9"), "{last_used:?}");
    assert_eq!(last_used[1], "Never");
    let full = browser.attr("[data-label='Last used'] time", "title").await.unwrap();
    assert!(full.contains(':') && full.contains("UTC"), "date, time and zone: {full}");
    let expires = browser.texts("[data-label=Expires]").await;
    assert_eq!(expires[0], "Never");
    let year = fresh.record.expires_at.unwrap().datetime().year().to_string();
    assert!(expires[1].ends_with(&year), "{expires:?}");
    assert_eq!(browser.count("[data-label=Created] time").await, 2);

    // Sorted both ways by a link in the header.
    browser.follow("Expires, sort in ascending order").await;
    assert_eq!(browser.texts(".kf-name").await, ["fresh", "used"]);
    browser.follow("Expires, sort in descending order").await;
    assert_eq!(browser.texts(".kf-name").await, ["used", "fresh"]);
    assert_eq!(browser.attr("[aria-sort]", "aria-sort").await.as_deref(), Some("descending"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn u4_a_revocation_is_confirmed_final_and_immediate() {
    let (app, browser) = open().await;
    let own = app.tokens.owned_by(Owner::new("user:mia").unwrap());
    let issued = own.issue(NewToken::named("bookkeeper")).await.unwrap();
    let token = issued.plain.expose_secret();
    browser.reload().await;
    browser.press("Revoke bookkeeper").await;
    let question = browser.text("dialog").await;
    for part in ["Revoke bookkeeper?", "from its next request on", "This can't be undone.", "Never"]
    {
        assert!(question.contains(part), "{question}");
    }
    browser.press("Cancel").await;
    assert_eq!(app.call("/api/who", token).await.0, 200);
    browser.press("Revoke bookkeeper").await;
    browser.follow_to("dialog .kf-danger").await;
    assert_eq!(app.call("/api/who", token).await.0, 401);

    // Nothing brings it back.
    browser.go(&format!("/settings/tokens/{}", issued.record.id)).await;
    assert!(browser.text("[data-kf-details], .kf-facts").await.contains("Revoked"));
    assert_eq!(browser.count("form, .kf-buttons a").await, 0);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn u5_stale_tokens_are_found_by_their_last_use() {
    let (app, browser) = open().await;
    let own = app.tokens.owned_by(Owner::new("user:mia").unwrap());
    let _ = own.issue(NewToken::named("new")).await.unwrap();
    let old = OffsetDateTime::now_utc() - Duration::days(200);
    let _ = own.issue(NewToken::named("stale")).await.unwrap();
    app.alter("stale", "created_at", old).await;
    browser.reload().await;
    assert_eq!(browser.text(".kf-notice").await, "1 token has not been used for 90 days");
    browser.follow("1 token has not been used for 90 days").await;
    assert_eq!(browser.texts(".kf-name").await, ["stale"]);
    assert!(browser.text("[data-label=State]").await.contains("Never used"));
    browser.follow("Clear filter").await;
    browser.follow("Last used, sort in descending order").await;
    assert_eq!(browser.count(".kf-name").await, 2);
    browser.close().await;
}
