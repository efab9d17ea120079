//! cPanel: the API tokens of a hosting account.

use fantoccini::key::Key;
use keyfob::{Policy, token::NamePolicy, web::manage::page::PageOptions};

use crate::support::{App, Browser, Fleet, How, Setup, app::is_token};

keyfob::abilities! {
    enum Feature {
        Email = "email:manage", "Manage e-mail accounts";
        Dns = "dns:edit", "Edit DNS zones";
        Files = "files:read", "Read files";
    }
}

async fn open() -> (App, Browser) {
    let policy = Policy::new().name_policy(NamePolicy::strict()).unique_names(true);
    let options = PageOptions::new().application("Hosting");
    let app = App::start(Setup { policy, options, ..Setup::new("cp", Feature::ALL) }).await;
    let browser = Browser::open(&app.base(), How::default()).await;
    browser.go("/as/alice").await;
    (app, browser)
}

/// Creates a token, and returns what is shown.
async fn create(browser: &Browser, name: &str) -> String {
    browser.go("/settings/tokens/new").await;
    browser.fill("#kf-name", name).await;
    browser.click("[value='dns:edit']").await;
    browser.follow("Create token").await;
    browser.value("#kf-token").await
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_a_name_has_fifty_plain_characters_and_is_unique() {
    let (_app, browser) = open().await;
    browser.follow("New token").await;
    let rule = browser.text("#kf-name-rule").await;
    assert_eq!(rule, "At most 50 characters: letters, digits, - and _. Unique.");
    assert_eq!(browser.attr("#kf-name", "maxlength").await.as_deref(), Some("50"));

    // The browser refuses it before it is sent, and the server if it is.
    browser.fill("#kf-name", "two words").await;
    browser.click("[value='dns:edit']").await;
    browser.press("Create token").await;
    assert!(!browser.title().await.starts_with("Error"));
    browser.run("document.querySelector('.kf-form').noValidate = true").await;
    browser.follow("Create token").await;
    assert_eq!(browser.title().await, "Error: New token · Hosting");
    assert_eq!(browser.value("#kf-name").await, "two words");
    assert!(browser.is_checked("[value='dns:edit']").await);
    assert_eq!(
        browser.text("#kf-name-problem").await,
        "Must contain only letters of a to z and A to Z, digits, hyphens and underscores."
    );

    let longest = "a".repeat(50);
    assert!(is_token("cp", &create(&browser, &longest).await));
    browser.follow("Yes, I saved my token").await;
    browser.go("/settings/tokens/new").await;
    browser.fill("#kf-name", &longest).await;
    browser.click("[value='dns:edit']").await;
    browser.follow("Create token").await;
    assert_eq!(browser.text("#kf-name-problem").await, "That name is taken.");
    browser.close().await;
}

on_every_server! {
    c1_the_example_has_the_rule_behind_a_switch,
}

async fn c1_the_example_has_the_rule_behind_a_switch(server: &str) {
    let fleet = Fleet::start(server, &["--name-policy", "strict"]);
    let browser = Browser::open(&fleet.base, How::WITHOUT_SCRIPTS).await;
    browser.go("/").await;
    browser.follow("Log in as ada").await;
    browser.follow("New token").await;
    let rule = "At most 50 characters: letters, digits, - and _. Unique.";
    assert_eq!(browser.text("#kf-name-rule").await, rule);
    assert!(browser.attr("#kf-name", "pattern").await.is_some());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_the_token_is_shown_once_and_the_form_goes_on_with_the_next() {
    let (app, browser) = open().await;
    browser.follow("New token").await;
    browser.fill("#kf-name", "first").await;
    browser.click("[value='email:manage']").await;
    browser.press("Create another afterwards").await;
    browser.follow("Create token").await;
    let first = browser.value("#kf-token").await;
    assert_eq!(app.call("/api/can/email:manage", &first).await.0, 200);

    browser.follow("Yes, I saved my token").await;
    assert_eq!(browser.text("h1").await, "New token");
    assert_eq!(browser.value("#kf-name").await, "");
    assert!(browser.is_checked("[value='email:manage']").await, "the next one has the same access");
    assert!(browser.is_checked("[name=another]").await);
    browser.fill("#kf-name", "second").await;
    browser.press("Create another afterwards").await;
    browser.follow("Create token").await;
    let second = browser.value("#kf-token").await;
    assert_ne!(first, second);
    browser.follow("Yes, I saved my token").await;
    assert_eq!(browser.texts(".kf-name").await, ["second", "first"]);
    assert!(!browser.source().await.contains(&second));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_the_list_has_pages_of_the_size_that_is_chosen() {
    let (app, browser) = open().await;
    let own = app.tokens.owned_by(keyfob::Owner::new("user:alice").unwrap());
    for n in 0..23 {
        let _ = own.issue(keyfob::NewToken::named(format!("token-{n:02}"))).await.unwrap();
    }
    browser.reload().await;
    assert_eq!(browser.count("tbody tr").await, 23);
    browser.choose_label("[name=per_page]", "10").await;
    browser.follow("Filter").await;
    let mut names = browser.texts(".kf-name").await;
    assert_eq!(names.len(), 10);
    browser.follow("Older").await;
    names.extend(browser.texts(".kf-name").await);
    browser.follow("Older").await;
    names.extend(browser.texts(".kf-name").await);
    assert_eq!(names.len(), 23);
    assert!(names.is_sorted_by(|one, other| one > other), "the newest is first");
    assert_eq!(browser.count("tbody [data-label=Created] time").await, 3);
    browser.back().await;
    assert_eq!(browser.count("tbody tr").await, 10, "back is newer");
    browser.follow("Newest").await;
    assert_eq!(browser.texts(".kf-name").await[0], "token-22");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_a_token_is_renamed() {
    let (app, browser) = open().await;
    let token = create(&browser, "old-name").await;
    browser.follow("Yes, I saved my token").await;
    browser.follow("Details of old-name").await;
    browser.fill("#kf-name", "new-name").await;
    browser.follow("Save").await;
    assert_eq!(browser.text("h1").await, "new-name");
    assert_eq!(browser.text(".kf-outcome").await, "The token was changed.");
    assert_eq!(browser.focus().await, "The token was changed.");
    assert_eq!(app.call("/api/who", &token).await, (200, "user:alice".to_owned()));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_one_several_or_all_of_a_page_are_revoked_after_a_question() {
    let (app, browser) = open().await;
    let mut tokens = Vec::new();
    for name in ["one", "two", "three", "four", "five"] {
        tokens.push(create(&browser, name).await);
        browser.follow("Yes, I saved my token").await;
    }
    assert!(!browser.is_shown(".kf-bulk").await, "nothing is selected");

    // One, and first not.
    browser.press("Revoke one").await;
    assert_eq!(browser.text("dialog h2").await, "Revoke one?");
    assert_eq!(browser.focus().await, "Cancel");
    browser.keys(&[Key::Escape]).await;
    assert!(!browser.is_there("dialog").await);
    assert_eq!(browser.focus().await, "Revoke one", "the focus is where it was");
    browser.press("Revoke one").await;
    browser.follow_to("dialog .kf-danger").await;
    assert_eq!(browser.text(".kf-outcome").await, "1 token was revoked.");
    assert_eq!(app.call("/api/who", &tokens[0]).await.0, 401);

    // Two.
    browser.click("[aria-label='Select two']").await;
    browser.click("[aria-label='Select three']").await;
    assert_eq!(browser.text(".kf-bulk span").await, "Selected: 2");
    assert_eq!(
        browser.run("return document.querySelector('[data-kf-all]').indeterminate").await,
        true
    );
    browser.press("Revoke selected…").await;
    assert_eq!(browser.text("dialog h2").await, "Revoke 2 tokens?");
    assert_eq!(browser.texts("dialog li").await, ["three", "two"]);
    browser.follow_to("dialog .kf-danger").await;
    assert_eq!(browser.text(".kf-outcome").await, "2 tokens were revoked.");

    // The page, by the box in the header.
    browser.click("[data-kf-all]").await;
    assert_eq!(browser.text(".kf-bulk span").await, "Selected: 2");
    browser.press("Revoke selected…").await;
    browser.follow_to("dialog .kf-danger").await;
    assert_eq!(browser.text(".kf-outcome").await, "2 tokens were revoked.");
    for token in &tokens {
        assert_eq!(app.call("/api/who", token).await.0, 401);
    }
    browser.choose("[name=state]", "revoked").await;
    browser.follow("Filter").await;
    assert_eq!(browser.count("tbody tr").await, 5, "revoked ones are found, and not gone");
    assert_eq!(browser.count("tbody [name=id]").await, 0);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_a_token_is_unrestricted_or_limited_to_features() {
    let (app, browser) = open().await;
    let limited = create(&browser, "limited").await;
    assert_eq!(app.call("/api/can/dns:edit", &limited).await.0, 200);
    assert_eq!(app.call("/api/can/email:manage", &limited).await.0, 403);

    browser.follow("Yes, I saved my token").await;
    browser.follow("New token").await;
    assert!(browser.is_shown("[value='dns:edit']").await);
    browser.fill("#kf-name", "unrestricted").await;
    browser.click("[name=access][value=all]").await;
    assert!(!browser.is_shown("[value='dns:edit']").await);
    browser.follow("Create token").await;
    let all = browser.value("#kf-token").await;
    for ability in ["dns:edit", "email:manage", "files:read"] {
        assert_eq!(app.call(&format!("/api/can/{ability}"), &all).await.0, 200);
    }
    browser.follow("Yes, I saved my token").await;
    let access = browser.texts("[data-label=Access]").await;
    assert_eq!(access, ["Everything", "dns:edit"]);
    browser.close().await;
}
