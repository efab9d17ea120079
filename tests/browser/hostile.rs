//! Texts that try to become code, on documents without a content policy.

use std::sync::Arc;

use keyfob::{
    NewToken, Owner,
    token::{Actor, Reason},
    web::{
        auth::Account,
        manage::page::{PageOptions, Visitor},
    },
};
use serde_json::json;

use crate::support::{App, Browser, How, Setup};

keyfob::abilities! {
    enum Access {
        Read = "servers:read", "List servers <script>window.hacked = 1</script>";
    }
}

const HOSTILE: [&str; 8] = [
    "<script>window.hacked = 1</script>",
    "\"><img src=x onerror=window.hacked=1>",
    "' onfocus=window.hacked=1 autofocus '",
    "</title></textarea></select></template><svg onload=window.hacked=1>",
    "--></style><iframe srcdoc='<script>parent.hacked=1</script>'>",
    "javascript:window.hacked=1",
    "{{constructor.constructor('window.hacked=1')()}}",
    "${window.hacked=1} &lt;b&gt; \\u003cscript\\u003e",
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_people_write_is_executed() {
    let know = |person: &str, _: &_| {
        let account = Account::new(Owner::new(format!("user:{person}"))?);
        Ok(Visitor::new(account.by(Actor::new(HOSTILE[1])?)).layout(|parts| {
            format!("<!doctype html><title>Acme</title>{}{}", parts.head, parts.main)
        }))
    };
    let options = PageOptions::new()
        .application(HOSTILE[0])
        .descriptions(true)
        .limits(true)
        .secret_in_layout(true)
        .snippet(HOSTILE[1], HOSTILE[3])
        .preset(HOSTILE[2], ["servers:read"])
        .unwrap();
    let setup = Setup { options, know: Arc::new(know), ..Setup::new("acme", Access::ALL) };
    let app = App::start(setup).await;
    let browser = Browser::open(&app.base(), How::default()).await;
    browser.go("/as/ada").await;
    let own =
        app.tokens.owned_by(Owner::new("user:ada").unwrap()).by(Actor::new(HOSTILE[1]).unwrap());
    let mut ids = Vec::new();
    for text in HOSTILE {
        let new = NewToken::named(text).abilities(["servers:read"]);
        let described = new.metadata(json!({ "description": format!("{text}\u{202E}") }));
        ids.push(own.issue(described).await.unwrap().record.id);
    }
    let reason = Reason::new(HOSTILE[3]).unwrap();
    own.clone().because(reason).suspend(ids[1]).await.unwrap();

    let is_harmless = async |place: &str| {
        // Whatever would be executed had its turn.
        browser.wait_for("await new Promise(done => setTimeout(done, 0))").await;
        assert_eq!(browser.run("return window.hacked ?? null").await, json!(null), "{place}");
        assert_eq!(browser.alert().await, None, "{place}");
        let made = browser.count(
            "main script, .kf-page script, .kf-page img, .kf-page iframe, [onfocus], [onload]",
        );
        assert_eq!(made.await, 0, "{place}");
    };
    browser.go("/settings/tokens?q=%3Cscript%3E").await;
    is_harmless("a filter").await;
    browser.go("/settings/tokens?done=revoked&n=%3Cimg+src=x%3E&new=%22%3E&state=%3Cb%3E").await;
    is_harmless("a query").await;
    browser.go("/settings/tokens").await;
    is_harmless("the list").await;
    let mut names = browser.texts(".kf-name").await;
    names.reverse();
    assert_eq!(names, HOSTILE, "they are shown as they are");
    assert!(browser.text(".kf-description").await.ends_with("[U+202E]"));
    for text in HOSTILE {
        let row = HOSTILE.iter().rev().position(|it| *it == text).unwrap() + 1;
        browser.click(&format!("tbody tr:nth-child({row}) [href$=revoke]")).await;
        assert_eq!(browser.text("dialog h2").await, format!("Revoke {text}?"));
        is_harmless("a dialog").await;
        browser.press("Cancel").await;
    }
    browser.click("[data-kf-all]").await;
    browser.press("Revoke selected…").await;
    is_harmless("the dialog of many").await;
    for id in &ids {
        for path in ["", "/rotate", "/suspend", "/revoke"] {
            browser.go(&format!("/settings/tokens/{id}{path}")).await;
            is_harmless(path).await;
        }
    }
    browser.go("/settings/tokens/revoke?all=1").await;
    is_harmless("all").await;
    browser.go("/settings/tokens/new").await;
    for field in ["#kf-name", "#kf-description"] {
        browser.fill(field, HOSTILE[3]).await;
    }
    browser.follow("Create token").await;
    assert!(browser.is_there(".kf-problem").await);
    is_harmless("a form that is refused").await;
    browser.click("[value='servers:read']").await;
    browser.follow("Create token").await;
    assert_eq!(browser.text("h1").await, "Token created");
    is_harmless("the secret").await;
    browser.close().await;
}
