//! Every document, for everybody: axe-core finds nothing serious, nothing is cut or scrolls sideways, the browser complains
//! about nothing. A picture of each is kept under `target/screenshots`.

use std::sync::Arc;

use keyfob::{
    NewToken, Owner, Policy, TokenId, TokenRotation,
    token::{NamePolicy, Reason},
    web::{
        auth::Account,
        manage::page::{Choice, PageOptions, Visitor},
    },
};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::support::{App, Browser, How, Setup};

keyfob::abilities! {
    enum Access {
        ServersRead = "servers:read", "List and show servers";
        ServersCreate = "servers:create", "Create servers";
        ServersDelete = "servers:delete", "Delete servers and all that is on them";
        SitesRead = "sites:read", "List sites";
        BackupsRead = "backups:read", "List the backups of a site";
        BackupsCreate = "backups:create", "Back a site up";
        ProjectWrite = "projects:{project}:write", "Change a project";
        Metrics = "metrics", "Send metrics";
    }
}

struct Ids {
    ci: TokenId,
    rotated: TokenId,
    revoked: TokenId,
}

async fn open() -> (App, Browser, Ids) {
    let know = |person: &str, _: &_| {
        let account = Account::new(Owner::new(format!("user:{person}"))?);
        let projects = (1..=24).map(|n| {
            Choice::new(format!("projects:{n}:write"), format!("Change the project “Shop {n}”"))
        });
        Ok(Visitor::new(account).choices(projects))
    };
    let options = PageOptions::new()
        .application("Acme")
        .back("Back to Acme", "/")
        .documentation("/docs")
        .api_url("https://api.acme.example/v1/servers")
        .snippet("Acme CLI", "acme login --token-from {variable}")
        .descriptions(true)
        .limits(true)
        .preset("Read only", ["servers:read", "sites:read", "backups:read"])
        .unwrap();
    let policy = Policy::new()
        .unique_names(true)
        .limit_per_owner(20)
        .name_policy(NamePolicy::strict())
        .max_lifetime(Duration::days(400));
    let setup = Setup { options, policy, know: Arc::new(know), ..Setup::new("acme", Access::ALL) };
    let app = App::start(setup).await;
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    let issue = async |name: &str, abilities: &[&str], days: i64| {
        let new = NewToken::named(name).abilities(abilities.to_vec());
        let new = new.expires_in(Duration::days(days));
        let new = new.metadata(json!({ "description": "Made for the pictures" }));
        own.issue(new).await.unwrap()
    };
    let all = Access::ALL.iter().map(|it| it.name).filter(|it| !it.contains('{'));
    let all: Vec<_> = all.collect();
    let ci = issue("ci-deploy", &["servers:read", "backups:create"], 90).await;
    let many = issue("backup-job-of-the-big-database-at-night", &all, 400).await;
    let everything = NewToken::named("laptop").all_abilities();
    let _ = own.issue(everything).await.unwrap();
    let suspended = issue("contractor", &["sites:read", "projects:7:write"], 30).await.record.id;
    let reason = Reason::new("invoice unpaid").unwrap();
    own.clone().because(reason).suspend(suspended).await.unwrap();
    let rotated = issue("rotated", &["servers:*"], 365).await.record.id;
    let _ = own.rotate(rotated, TokenRotation::new()).await.unwrap();
    let _ = issue("ends-soon", &["servers:read"], 300).await;
    let revoked = issue("stolen", &["servers:read"], 30).await.record.id;
    own.clone().because(Reason::new("laptop stolen").unwrap()).revoke(revoked).await.unwrap();
    for token in [&ci, &many] {
        app.call("/api/who", token.plain.expose_secret()).await;
    }
    app.tokens.flush().await.unwrap();
    let ago = |days| OffsetDateTime::now_utc() - Duration::days(days);
    app.alter("ends-soon", "created_at", ago(295)).await;
    app.alter("ends-soon", "expires_at", ago(-5)).await;
    app.alter("ends-soon", "last_used_at", ago(120)).await;
    let browser = Browser::open(&app.base(), How::default()).await;
    browser.go("/as/ada").await;
    (app, browser, Ids { ci: ci.record.id, rotated, revoked })
}

/// Looks at the document in every size and both schemes.
async fn look(browser: &Browser, name: &str) {
    for scheme in ["light", "dark"] {
        for width in [320, 768, 1280] {
            browser.set_look(width, scheme).await;
            let widths = "return [document.documentElement.scrollWidth, innerWidth]";
            let widths = browser.run(widths).await;
            assert!(
                widths[0].as_u64() <= widths[1].as_u64(),
                "{name} scrolls sideways at {width}: {widths}"
            );
            browser.picture(&format!("{name}-{width}-{scheme}")).await;
            if width != 768 {
                let faults = browser.faults().await;
                assert!(faults.is_empty(), "{name} at {width}, {scheme}: {faults:#?}");
            }
        }
    }
    browser.set_look(1280, "light").await;
    small_targets(browser, name).await;
    let complaints = browser.complaints().await.into_iter();
    let complaints = complaints.filter(|it| !it.contains("favicon") && !it.contains("status of 4"));
    let complaints: Vec<_> = complaints.collect();
    assert!(complaints.is_empty(), "{name}: {complaints:#?}");
}

/// Everything that can be pressed is at least 24 pixels high and wide, and main buttons 44 high.
async fn small_targets(browser: &Browser, name: &str) {
    let small = browser.run(
        "return [...document.querySelectorAll('.kf-page :is(a, button, input, select, summary)')] \
         .filter(it => it.checkVisibility() && !it.closest('label, p, h1, h2, li, dd')) \
         .filter(it => { const { width, height } = it.getBoundingClientRect(); \
             return width < 24 || height < (it.matches('.kf-button') ? 44 : 24); }) \
         .map(it => it.outerHTML)",
    );
    let small = small.await;
    assert_eq!(small, json!([]), "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list() {
    let (_app, browser, _) = open().await;
    look(&browser, "list").await;
    browser.go("/settings/tokens?state=revoked&done=revoked&n=2").await;
    look(&browser, "list-outcome").await;
    browser.go("/settings/tokens?q=nothing").await;
    look(&browser, "list-no-match").await;
    browser.go("/settings/tokens?state=broken").await;
    look(&browser, "list-bad-filter").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_and_dialogs() {
    let (_app, browser, _) = open().await;
    browser.press("Revoke ci-deploy").await;
    look(&browser, "dialog-revoke").await;
    browser.press("Cancel").await;
    browser.click("[data-kf-all]").await;
    browser.press("Revoke selected…").await;
    look(&browser, "dialog-revoke-several").await;
    browser.go("/as/grace").await;
    look(&browser, "list-empty").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token() {
    let (_app, browser, _) = open().await;
    browser.follow("New token").await;
    look(&browser, "new").await;
    browser.run("document.querySelector('form').noValidate = true").await;
    browser.fill("#kf-name", "two words").await;
    browser.press("Limits").await;
    browser.fill("#kf-addresses", "nowhere").await;
    browser.fill("#kf-idle_days", "soon").await;
    browser.follow("Create token").await;
    assert_eq!(browser.count(".kf-summary li").await, 4);
    look(&browser, "new-refused").await;
    browser.fill("#kf-name", "fresh").await;
    browser.fill("#kf-addresses", "").await;
    browser.fill("#kf-idle_days", "").await;
    browser.click("[value='servers:read']").await;
    browser.follow("Create token").await;
    look(&browser, "created").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token() {
    let (_app, browser, ids) = open().await;
    browser.go(&format!("/settings/tokens/{}", ids.ci)).await;
    look(&browser, "token").await;
    browser.go(&format!("/settings/tokens/{}", ids.revoked)).await;
    look(&browser, "token-revoked").await;
    browser.go("/settings/tokens/0000000000000000000000").await;
    look(&browser, "not-found").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_questions() {
    let (_app, browser, ids) = open().await;
    for (name, path) in [
        ("rotate", format!("/{}/rotate", ids.ci)),
        ("rotate-again", format!("/{}/rotate", ids.rotated)),
        ("suspend", format!("/{}/suspend", ids.ci)),
        ("revoke", format!("/{}/revoke", ids.ci)),
        ("revoke-all", "/revoke?all=1".to_owned()),
    ] {
        browser.go(&format!("/settings/tokens{path}")).await;
        look(&browser, name).await;
    }
    browser.close().await;
}
