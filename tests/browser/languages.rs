//! The languages of the page.

use std::sync::Arc;

use keyfob::{
    NewToken, Owner,
    web::{
        auth::Account,
        manage::page::{Direction, PageOptions, Texts, Visitor},
    },
};

use crate::support::{App, Browser, How, Setup};

keyfob::abilities! {
    enum Access {
        Read = "servers:read", "List servers";
        Create = "servers:create", "Create servers";
    }
}

fn options() -> PageOptions {
    PageOptions::new().descriptions(true).limits(true).describe(|language, name| {
        match (language, name) {
            ("de", "servers") => Some("Server".into()),
            ("de", "servers:read") => Some("Server auflisten".into()),
            ("de", "servers:create") => Some("Server anlegen".into()),
            _ => None,
        }
    })
}

async fn open(options: PageOptions, language: &'static str) -> (App, Browser, Vec<String>) {
    let app = App::start(Setup { options, ..Setup::new("acme", Access::ALL) }).await;
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    let mut paths = vec![String::new(), "/new".to_owned(), "/revoke?all=1".to_owned()];
    for name in ["eins", "zwei"] {
        let new = NewToken::named(name).abilities(["servers:read"]);
        let id = own.issue(new).await.unwrap().record.id;
        paths.extend(["", "/rotate", "/suspend", "/revoke"].map(|step| format!("/{id}{step}")));
    }
    paths.push("/0000000000000000000000".to_owned());
    let browser = Browser::open(&app.base(), How::in_language(language)).await;
    browser.go("/as/ada").await;
    (app, browser, paths)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_document_is_german_for_somebody_who_reads_german() {
    let (_app, browser, paths) = open(options(), "de-AT").await;
    for path in &paths {
        browser.go(&format!("/settings/tokens{path}")).await;
        assert_eq!(browser.attr("html", "lang").await.as_deref(), Some("de"));
        let body = browser.text("body").await;
        for english in [" the ", "Create", "Never", "Rotate", "Revoke", "Cancel", "{"] {
            assert!(!body.contains(english), "{path}: {english} in\n{body}");
        }
    }
    for (name, path) in [("list", ""), ("new", "/new"), ("rotate", &paths[4])] {
        browser.go(&format!("/settings/tokens{path}")).await;
        for width in [320, 1280] {
            browser.set_look(width, "light").await;
            browser.picture(&format!("{name}-german-{width}-light")).await;
        }
    }
    browser.go("/settings/tokens").await;
    assert_eq!(browser.text("h1").await, "API-Token");
    let created = browser.text("[data-label=Erstellt] time").await;
    assert!(created.contains('.'), "a German date: {created}");
    browser.go("/settings/tokens/new").await;
    assert_eq!(browser.text(".kf-group legend").await, "Server");
    browser.follow("Abbrechen").await;
    browser.press("eins widerrufen").await;
    assert_eq!(browser.text("dialog h2").await, "eins widerrufen?");
    browser.go("/settings/tokens/new").await;
    browser.run("document.querySelector('form').noValidate = true").await;
    browser.follow("Token erstellen").await;
    assert_eq!(browser.text("#kf-name-problem").await, "Darf nicht leer sein.");
    assert!(browser.title().await.starts_with("Fehler: "));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_cut_if_texts_are_longer() {
    let (_app, browser, paths) = open(options(), "en").await;
    let lengthen = "const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); \
         while (walk.nextNode()) { const it = walk.currentNode; const n = Math.ceil(it.data.trim().length * 0.4); \
             if (n) it.data = it.data.trimEnd() + ' ' + 'mmmm '.repeat(n / 5 + 1).slice(0, n) + ' '; }";
    for path in paths {
        for width in [320, 1280] {
            browser.set_look(width, "light").await;
            browser.go(&format!("/settings/tokens{path}")).await;
            browser.run(lengthen).await;
            let cut = browser.run(
                "return [...document.querySelectorAll('.kf-page *')].filter(it => \
                 !it.closest('.kf-hidden, .kf-public, svg, select, dialog, option') && \
                 (it.scrollWidth > it.clientWidth + 1 && it.clientWidth > 0 && getComputedStyle(it).overflow !== 'visible' \
                  || it.getBoundingClientRect().right > innerWidth + 1)).map(it => it.outerHTML.slice(0, 200))",
            );
            let cut = cut.await;
            assert_eq!(cut, serde_json::json!([]), "{path} at {width}");
        }
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_language_of_the_application_from_right_to_left() {
    let mut hebrew = Texts::english();
    hebrew.language = "he".into();
    hebrew.direction = Direction::RightToLeft;
    hebrew.title = "אסימונים".into();
    let know = |person: &str, _: &_| {
        let account = Account::new(Owner::new(format!("user:{person}"))?);
        Ok(Visitor::new(account).language("he"))
    };
    let setup = Setup {
        options: options().texts(hebrew),
        know: Arc::new(know),
        ..Setup::new("acme", Access::ALL)
    };
    let app = App::start(setup).await;
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    let _ = own.issue(NewToken::named("ci").abilities(["servers:read"])).await.unwrap();
    let browser = Browser::open(&app.base(), How::in_language("en")).await;
    browser.go("/as/ada").await;
    assert_eq!(browser.text("h1").await, "אסימונים");
    assert_eq!(browser.attr("html", "dir").await.as_deref(), Some("rtl"));
    let is_right = "const [h1, button] = ['h1', '.kf-main'].map(it => \
         document.querySelector(it).getBoundingClientRect()); return h1.right > button.right";
    assert_eq!(browser.run(is_right).await, true);
    assert_eq!(browser.text(".kf-main").await, "New token", "what is missing is English");
    for width in [320, 1280] {
        browser.set_look(width, "light").await;
        let widths = browser.run("return [document.documentElement.scrollWidth, innerWidth]").await;
        assert!(widths[0].as_u64() <= widths[1].as_u64(), "it scrolls sideways: {widths}");
        browser.picture(&format!("list-right-to-left-{width}-light")).await;
    }
    browser.close().await;
}
