//! The button that copies: what is pasted is the token, and "Copied" never lies.

use serde_json::json;

use fantoccini::key::Key;

use crate::support::{App, Browser, How, Setup};

keyfob::abilities! {
    enum Access {
        Read = "servers:read", "List servers";
    }
}

async fn open(host: &str) -> (App, Browser) {
    let app = App::start(Setup::new("acme", Access::ALL)).await;
    let browser = Browser::open(&app.at(host), How::default()).await;
    browser.go("/as/ada").await;
    browser.follow("New token").await;
    browser.fill("#kf-name", "ci").await;
    browser.click("[value='servers:read']").await;
    browser.follow("Create token").await;
    (app, browser)
}

async fn copied_and_pasted(browser: &Browser) {
    let token = browser.value("#kf-token").await;
    let button = "document.querySelector('[data-kf-copy=kf-token]')";
    let width = format!("return [{button}.offsetWidth, document.body.scrollHeight]");
    let before = browser.run(&width).await;
    browser.click("[data-kf-copy=kf-token]").await;
    browser.until("document.querySelector('.kf-said').textContent === 'Copied'").await;
    assert_eq!(browser.text("[data-kf-copy=kf-token]").await, "Copied");
    assert_eq!(browser.run(&width).await, before, "nothing moves");
    browser.until(&format!("{button}.textContent === 'Copy'")).await;
    assert_eq!(browser.run("return document.querySelector('.kf-said').textContent").await, "");

    browser.follow("Yes, I saved my token").await;
    browser.click("[name=q]").await;
    browser.chord(&[Key::Control], &['v']).await;
    assert_eq!(browser.value("[name=q]").await, token);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_secure_page_the_clipboard_gets_it() {
    let (app, browser) = open("127.0.0.1").await;
    let permissions = json!({ "origin": app.base(), "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"] });
    browser.devtools("Browser.grantPermissions", permissions).await;
    assert_eq!(browser.run("return isSecureContext && !!navigator.clipboard").await, true);
    copied_and_pasted(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_plain_http_it_is_copied_too() {
    let (_app, browser) = open("app.acme.test").await;
    assert_eq!(browser.run("return isSecureContext || !!navigator.clipboard").await, false);
    copied_and_pasted(&browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_clipboard_is_no_lie() {
    let (app, browser) = open("127.0.0.1").await;
    let denied = json!({ "origin": app.base(), "permission": { "name": "clipboard-write" }, "setting": "denied" });
    browser.devtools("Browser.setPermission", denied).await;
    // The older way is closed as well.
    browser.run("document.execCommand = () => false").await;
    browser.click("[data-kf-copy=kf-token]").await;
    browser.until("document.querySelector('.kf-said').textContent !== ''").await;
    assert_eq!(browser.text(".kf-said").await, "Press Ctrl+C");
    assert_eq!(browser.text("[data-kf-copy=kf-token]").await, "Copy");
    assert_eq!(browser.run("return document.activeElement.id").await, "kf-token");
    let selected = "const it = document.activeElement; return it.value.slice(it.selectionStart, it.selectionEnd) === it.value";
    assert_eq!(browser.run(selected).await, true, "the keys that it names copy it");
    browser.close().await;
}
