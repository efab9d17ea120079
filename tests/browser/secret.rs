//! The secret is in the one answer, and nowhere else.

use keyfob::{ListTokens, NewToken, Owner};
use serde_json::json;

use crate::support::{App, Browser, How, Setup};

keyfob::abilities! {
    enum Access {
        Read = "servers:read", "List servers";
    }
}

async fn open() -> (App, Browser) {
    let app = App::start(Setup::new("acme", Access::ALL)).await;
    let browser = Browser::open(&app.base(), How::default()).await;
    browser.go("/as/ada").await;
    (app, browser)
}

async fn create(browser: &Browser) -> String {
    browser.follow("New token").await;
    browser.fill("#kf-name", "ci").await;
    browser.click("[value='servers:read']").await;
    browser.follow("Create token").await;
    let token = browser.value("#kf-token").await;
    token[token.rfind('_').unwrap() + 1..].to_owned()
}

async fn count(app: &App) -> usize {
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    own.list(ListTokens::new().any_state()).await.unwrap().tokens.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn back_forward_tabs_and_the_source_do_not_show_it() {
    let (app, browser) = open().await;
    let secret = create(&browser).await;
    let is_clean = async |place: &str| {
        let field = "return [...document.querySelectorAll('input')].map(it => it.value).join()";
        let fields = browser.run(field).await.to_string();
        let is_clean = !browser.source().await.contains(&secret) && !fields.contains(&secret);
        assert!(is_clean, "{place} shows it");
    };
    assert!(!browser.title().await.contains(&secret));
    assert!(!browser.path().await.contains(&secret));
    browser.back().await;
    is_clean("back").await;
    browser.forward().await;
    is_clean("forward").await;
    browser.go("/settings/tokens").await;
    is_clean("the list").await;
    browser.back().await;
    is_clean("back from the list").await;
    browser.new_tab().await;
    browser.go("/settings/tokens/new").await;
    is_clean("another tab").await;
    browser.go(&format!("view-source:{}/settings/tokens/new", app.base())).await;
    is_clean("the source").await;
    assert_eq!(count(&app).await, 1);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_the_storage_and_the_disk_do_not_keep_it() {
    let (_app, browser) = open().await;
    let secret = create(&browser).await;
    let history = browser.devtools("Page.getNavigationHistory", json!({})).await.to_string();
    assert!(history.contains("/settings/tokens/new") && !history.contains(&secret));
    let stores = "return JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }, history.state, \
         await caches.keys(), await indexedDB.databases()])";
    let stores = browser.wait_for(stores).await;
    assert_eq!(stores, "[\"\",{},{},null,[],[]]");
    browser.press("Yes, I saved my token").await;
    browser.go("/settings/tokens").await;
    let disk = browser.stored();
    assert!(disk.len() > 10_000, "the browser keeps something");
    let is_kept = disk.windows(secret.len()).any(|it| it == secret.as_bytes());
    assert!(!is_kept, "the browser keeps it on disk");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_sent_again_makes_no_second_token() {
    let (app, browser) = open().await;
    let secret = create(&browser).await;
    browser.next_document(browser.reload()).await;
    assert_eq!(
        browser.text("h1").await,
        "This token was created already; its secret can't be shown again"
    );
    assert!(!browser.source().await.contains(&secret));
    assert_eq!(count(&app).await, 1);
    browser.follow("Rotate").await;
    assert_eq!(browser.text("h1").await, "Rotate ci?");

    // The same form, in another tab.
    let key = "document.querySelector('[name=key]')";
    browser.go("/settings/tokens/new").await;
    let sent = browser.run(&format!("return {key}.value")).await;
    browser.fill("#kf-name", "second").await;
    browser.click("[value='servers:read']").await;
    browser.follow("Create token").await;
    browser.new_tab().await;
    browser.go("/settings/tokens/new").await;
    browser.run(&format!("{key}.value = {sent}")).await;
    browser.fill("#kf-name", "third").await;
    browser.click("[value='servers:read']").await;
    browser.follow("Create token").await;
    assert!(browser.text("h1").await.starts_with("This token was created already"));
    assert_eq!(count(&app).await, 2);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_sent_again_kills_no_copied_secret() {
    let (app, browser) = open().await;
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    let id = own.issue(NewToken::named("ci").abilities(["servers:read"])).await.unwrap().record.id;
    for _ in 0..2 {
        // The second time, the secret of the first was never used.
        browser.go(&format!("/settings/tokens/{id}/rotate")).await;
        browser.follow_to("form .kf-main").await;
        let copied = browser.value("#kf-token").await;
        browser.next_document(browser.reload()).await;
        assert!(browser.title().await.starts_with("Error: "));
        let alert = browser.text("[role=alert]").await;
        assert!(alert.starts_with("It was rotated already on "), "{alert}");
        assert!(alert.ends_with("If you did not save the new secret, rotate again."), "{alert}");
        assert!(!browser.source().await.contains(&copied));
        assert_eq!(app.call("/api/who", &copied).await.0, 200, "the copied secret goes on");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_asks_until_it_is_saved() {
    let (_app, browser) = open().await;
    create(&browser).await;
    let asks = "const event = new Event('beforeunload', { cancelable: true }); dispatchEvent(event); \
         return event.defaultPrevented";
    assert_eq!(browser.run(asks).await, true);
    browser.run("document.querySelector('[data-kf-saved]').addEventListener('click', event => event.preventDefault())").await;
    browser.press("Yes, I saved my token").await;
    assert_eq!(browser.run(asks).await, false);
    browser.run("dispatchEvent(new Event('pagehide'))").await;
    assert_eq!(browser.value("#kf-token").await, "", "the field is emptied");
    browser.close().await;
}
