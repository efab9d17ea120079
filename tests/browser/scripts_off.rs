//! Every step with scripts disabled in the browser.

use keyfob::{NewToken, Owner, web::manage::page::PageOptions};

use crate::support::{App, Browser, How, Setup};

keyfob::abilities! {
    enum Access {
        Read = "servers:read", "List servers";
        Create = "servers:create", "Create servers";
    }
}

async fn open() -> (App, Browser) {
    let options = PageOptions::new().application("Acme").preset("Read only", ["servers:read"]);
    let setup = Setup { options: options.unwrap(), ..Setup::new("acme", Access::ALL) };
    let app = App::start(setup).await;
    let browser = Browser::open(&app.base(), How::WITHOUT_SCRIPTS).await;
    browser.go("/as/ada").await;
    (app, browser)
}

async fn issue(app: &App, name: &str) -> String {
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    own.issue(NewToken::named(name).abilities(["servers:read"]))
        .await
        .unwrap()
        .plain
        .expose_secret()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_created_and_changed() {
    let (app, browser) = open().await;
    browser.follow("New token").await;
    assert_eq!(browser.text("#kf-until").await, "A date means the end of that day, 23:59 UTC.");
    assert!(!browser.is_shown("[data-kf-group]").await, "it needs a script");
    browser.follow("Read only").await;
    assert!(browser.is_checked("[value='servers:read']").await);
    browser.fill("#kf-name", "ci").await;
    browser.follow("Create token").await;
    assert!(!browser.is_shown("[data-kf-copy]").await, "it needs a script");
    let token = browser.value("#kf-token").await;
    assert_eq!(app.call("/api/can/servers:read", &token).await.0, 200);
    browser.follow("Yes, I saved my token").await;
    browser.follow("Details of ci").await;
    browser.fill("#kf-name", "ci-2").await;
    browser.click("[value='servers:create']").await;
    browser.click("[value='servers:read']").await;
    browser.follow("Save").await;
    assert_eq!(browser.text("h1").await, "ci-2");
    let less = "The token was changed. It can do less now, from the next request on.";
    assert_eq!(browser.text(".kf-outcome").await, less);
    assert_eq!(app.call("/api/can/servers:read", &token).await.0, 403);
    assert_eq!(app.call("/api/can/servers:create", &token).await.0, 200);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_rotated_suspended_and_resumed() {
    let (app, browser) = open().await;
    let old = issue(&app, "ci").await;
    browser.reload().await;
    browser.follow("Rotate ci").await;
    browser.click("[value=none]").await;
    browser.follow_to("form .kf-main").await;
    let new = browser.value("#kf-token").await;
    assert_eq!(app.call("/api/who", &old).await.0, 401);
    assert_eq!(app.call("/api/who", &new).await.0, 200);
    browser.follow("Yes, I saved my token").await;
    browser.follow("Details of ci").await;
    browser.follow("Suspend").await;
    browser.fill("#kf-reason", "laptop lost").await;
    browser.follow_to("form .kf-main").await;
    assert_eq!(browser.text(".kf-outcome").await, "The token was suspended.");
    let state = browser.text("[data-label=State]").await;
    assert!(state.contains("Suspended until resumed") && state.contains("laptop lost"), "{state}");
    assert_eq!(app.call("/api/who", &new).await.0, 401);
    browser.follow("Details of ci").await;
    browser.follow("Resume").await;
    assert_eq!(browser.text(".kf-outcome").await, "The token was resumed.");
    assert_eq!(app.call("/api/who", &new).await.0, 200);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_many_and_all_tokens_are_revoked() {
    let (app, browser) = open().await;
    let mut tokens = Vec::new();
    for n in 0..6 {
        tokens.push(issue(&app, &format!("t{n}")).await);
    }
    let refused = async |range: std::ops::Range<usize>| {
        for token in &tokens[range] {
            assert_eq!(app.call("/api/who", token).await.0, 401);
        }
    };
    browser.reload().await;
    browser.follow("Revoke t0").await;
    assert_eq!(browser.text("h1").await, "Revoke t0?");
    browser.follow("Cancel").await;
    assert_eq!(app.call("/api/who", &tokens[0]).await.0, 200);
    browser.follow("Revoke t0").await;
    browser.follow_to("form .kf-danger").await;
    assert_eq!(browser.text(".kf-outcome").await, "1 token was revoked.");
    refused(0..1).await;

    assert!(browser.is_shown(".kf-bulk").await, "without a script it is always there");
    browser.follow("Revoke selected…").await;
    assert_eq!(browser.text("h1").await, "No token is selected.");
    browser.follow("All tokens").await;
    browser.click("[aria-label='Select t1']").await;
    browser.click("[aria-label='Select t2']").await;
    browser.follow("Revoke selected…").await;
    assert_eq!(browser.text("h1").await, "Revoke 2 tokens?");
    let mut names = browser.texts("li").await;
    names.sort();
    assert_eq!(names, ["t1", "t2"]);
    browser.follow_to("form .kf-danger").await;
    assert_eq!(browser.text(".kf-outcome").await, "2 tokens were revoked.");
    refused(1..3).await;

    browser.follow("Revoke all 3").await;
    browser.fill("#kf-typed", "2").await;
    browser.follow_to("form .kf-danger").await;
    assert!(browser.text("[role=alert]").await.contains("Nothing was revoked."));
    assert_eq!(app.call("/api/who", &tokens[3]).await.0, 200);
    assert_eq!(browser.text("label").await, "Type 3 to confirm");
    browser.fill("#kf-typed", "3").await;
    browser.follow_to("form .kf-danger").await;
    assert_eq!(browser.text(".kf-outcome").await, "3 tokens were revoked.");
    refused(3..6).await;
    browser.close().await;
}
