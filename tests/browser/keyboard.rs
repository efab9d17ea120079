//! The keyboard alone: through create, rotate and revoke, and where the focus is after each step.

use fantoccini::key::Key;
use keyfob::{NewToken, Owner};

use crate::support::{App, Browser, How, Setup};

keyfob::abilities! {
    enum Access {
        Read = "servers:read", "List servers";
        Create = "servers:create", "Create servers";
    }
}

async fn open(names: &[&str]) -> (App, Browser) {
    let app = App::start(Setup::new("acme", Access::ALL)).await;
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    for name in names {
        let new = NewToken::named(*name).abilities(["servers:read"]);
        let _ = own.issue(new).await.unwrap();
    }
    let browser = Browser::open(&app.base(), How::default()).await;
    browser.go("/as/ada").await;
    (app, browser)
}

/// Presses Tab until something of this name has the focus, which is visible.
async fn tab_to(browser: &Browser, name: &str) {
    let mut passed = Vec::new();
    loop {
        browser.keys(&[Key::Tab]).await;
        let focus = browser.focus().await;
        let outline = "const it = getComputedStyle(document.activeElement); \
             return it.outlineStyle !== 'none' && it.outlineWidth !== '0px'";
        assert_eq!(browser.run(outline).await, true, "the focus on {focus} can't be seen");
        if focus == name {
            return;
        }
        passed.push(focus);
        assert!(passed.len() < 60, "no {name} among {passed:?}");
    }
}

async fn enter(browser: &Browser) {
    browser.next_document(browser.keys(&[Key::Enter])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_created_and_rotated() {
    let (app, browser) = open(&[]).await;
    tab_to(&browser, "New token").await;
    enter(&browser).await;
    assert_eq!(browser.focus().await, "kf-name");
    browser.type_text("ci").await;
    // Enter sends the form, and not a preset. The first thing that is read then is what is wrong.
    enter(&browser).await;
    assert_eq!(browser.run("return document.activeElement.className").await, "kf-summary");
    tab_to(&browser, "Access").await;
    browser.keys(&[Key::Enter]).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "kf-access");
    browser.keys(&[Key::Tab]).await;
    browser.keys(&[Key::Tab]).await;
    browser.keys(&[Key::Tab]).await;
    browser.keys(&[Key::Space]).await;
    assert!(browser.is_checked("[value='servers:read']").await);
    tab_to(&browser, "Create token").await;
    enter(&browser).await;
    assert_eq!(browser.focus().await, "kf-token", "the token is selected");
    let token = browser.value("#kf-token").await;
    tab_to(&browser, "Yes, I saved my token").await;
    enter(&browser).await;
    tab_to(&browser, "Rotate ci").await;
    enter(&browser).await;
    assert_eq!(browser.focus().await, "Cancel");
    browser.next_document(browser.keys(&[Key::Escape])).await;
    assert_eq!(browser.text("h1").await, "ci", "Escape cancels");
    browser.back().await;
    tab_to(&browser, "Rotate ci").await;
    enter(&browser).await;
    assert_eq!(browser.focus().await, "kf-token");
    assert_ne!(browser.value("#kf-token").await, token);
    assert_eq!(app.call("/api/who", &token).await.0, 200);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tokens_are_revoked() {
    let (app, browser) = open(&["one", "two", "three"]).await;
    tab_to(&browser, "Select three").await;
    browser.keys(&[Key::Space]).await;
    tab_to(&browser, "Select two").await;
    browser.keys(&[Key::Space]).await;
    // The button stands above the table.
    let mut back = 0;
    while browser.focus().await != "Revoke selected…" {
        browser.chord(&[Key::Shift], &[Key::Tab]).await;
        back += 1;
        assert!(back < 40);
    }
    browser.keys(&[Key::Enter]).await;
    assert_eq!(browser.focus().await, "Cancel");
    browser.keys(&[Key::Escape]).await;
    assert_eq!(browser.focus().await, "Revoke selected…", "the focus returns");
    browser.keys(&[Key::Enter]).await;
    // The dialog keeps the focus.
    browser.keys(&[Key::Tab]).await;
    assert_eq!(browser.focus().await, "Revoke 2 tokens");
    enter(&browser).await;
    assert_eq!(browser.focus().await, "2 tokens were revoked.");
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    assert_eq!(own.count().await.unwrap().active, 1);
    browser.close().await;
}
