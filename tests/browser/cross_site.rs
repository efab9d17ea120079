//! Other sites: what they make a browser send has no effect.

use axum::{Router, response::Html, routing::get};
use keyfob::{ListTokens, NewToken, Owner};
use tokio::net::TcpListener;

use crate::support::{App, Browser, How, Setup, http::send};

keyfob::abilities! {
    enum Access {
        Read = "servers:read", "List servers";
    }
}

/// Serves one document at every path, and returns its port.
async fn serve(document: String) -> u16 {
    let router = Router::new().fallback(get(move || async { Html(document) }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    port
}

/// The application, with one token, and a browser that is logged in.
async fn open() -> (App, Browser, String) {
    let app = App::start(Setup::new("acme", Access::ALL)).await;
    let browser = Browser::open(&app.at("app.acme.test"), How::default()).await;
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    let id = own.issue(NewToken::named("ci")).await.unwrap().record.id;
    browser.go("/as/ada").await;
    (app, browser, id.to_string())
}

/// The one token is as it was.
async fn is_untouched(app: &App) {
    let own = app.tokens.owned_by(Owner::new("user:ada").unwrap());
    let tokens = own.list(ListTokens::new().any_state()).await.unwrap().tokens;
    assert_eq!(tokens.len(), 1);
    assert!(tokens[0].revocation.is_none() && tokens[0].suspension.is_none());
    assert_eq!(tokens[0].version, 0);
}

fn forms(app: &App, id: &str) -> [(String, &'static str); 4] {
    let at = |path: &str| format!("{}/settings/tokens{path}", app.at("app.acme.test"));
    [
        (at(&format!("/{id}/revoke")), ""),
        (at(&format!("/{id}/suspend")), "<input name=reason value=x>"),
        (
            at("/revoke"),
            "<input name=all value=1><input name=confirmed value=1><input name=typed value=1>",
        ),
        (
            at("/new"),
            "<input name=key value=k><input name=name value=mine><input name=ability value=servers:read>",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_or_of_a_sibling_does_nothing() {
    let (app, browser, id) = open().await;
    for host in ["evil.test", "sibling.acme.test"] {
        for (action, fields) in forms(&app, &id) {
            let form =
                format!("<form method=post action={action}>{fields}<button>Win</button></form>");
            let port = serve(form).await;
            // The cookie is fresh, so the browser sends it.
            browser.go("/as/ada").await;
            browser.go(&format!("http://{host}:{port}/")).await;
            browser.follow("Win").await;
            let heading = browser.text("h1").await;
            let refused = "This request came from another site. Nothing was done";
            assert!(heading == refused || heading == "Log in", "{host} {action}: {heading}");
            if host == "sibling.acme.test" {
                assert_eq!(heading, refused, "a sibling's form has the cookie");
            }
            is_untouched(&app).await;
        }
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_another_site_does_nothing() {
    let (app, browser, id) = open().await;
    for host in ["evil.test", "sibling.acme.test"] {
        let port = serve("<h1>evil</h1>".to_owned()).await;
        browser.go("/as/ada").await;
        browser.go(&format!("http://{host}:{port}/")).await;
        for (action, _) in forms(&app, &id) {
            let script = format!(
                "await fetch('{action}', {{ method: 'POST', mode: 'no-cors', credentials: 'include', \
                 body: new URLSearchParams({{ confirmed: '1', all: '1', typed: '1', key: 'k', name: 'mine' }}) }}); return 'sent'"
            );
            assert_eq!(browser.wait_for(&script).await, "sent");
        }
        is_untouched(&app).await;
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_an_origin_does_nothing() {
    let (app, browser, id) = open().await;
    let (action, _) = &forms(&app, &id)[0];
    let inner =
        format!("<form method=post action={action} target=_top><button>Win</button></form>");
    let document =
        format!("<iframe sandbox='allow-forms allow-top-navigation' srcdoc=\"{inner}\"></iframe>");
    let port = serve(document).await;
    browser.go("/as/ada").await;
    browser.go(&format!("http://sibling.acme.test:{port}/")).await;
    browser.enter_frame().await;
    browser.press("Win").await;
    browser.leave_frame().await;
    browser.until("document.querySelector('h1') !== null").await;
    assert_eq!(browser.text("h1").await, "This request came from another site. Nothing was done");
    is_untouched(&app).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_can_not_be_framed() {
    let (app, browser, _) = open().await;
    let page = format!("{}/settings/tokens", app.at("app.acme.test"));
    let framed = async |host: &str, framed: &str| {
        let port = serve(format!("<iframe src='{framed}'></iframe>")).await;
        browser.go(&format!("http://{host}:{port}/")).await;
        browser.enter_frame().await;
        let source = browser.source().await;
        browser.leave_frame().await;
        source
    };
    for host in ["evil.test", "sibling.acme.test", "app.acme.test"] {
        let page = framed(host, &page).await;
        assert!(!page.contains("kf-page"), "{host}: {page}");
        let other = framed(host, &app.at("app.acme.test")).await;
        assert!(other.contains("Log in"), "a document that can be framed is: {other}");
    }
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_needs_a_header_that_says_whose_it_is() {
    let (app, browser, id) = open().await;
    let address = format!("127.0.0.1:{}", app.port);
    let path = format!("/settings/tokens/{id}/revoke");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let cookie = ("cookie", "person=ada");
    let own = format!("http://{address}");
    for headers in [
        vec![],
        vec![("origin", "null")],
        vec![("origin", "http://evil.test")],
        vec![("sec-fetch-site", "cross-site"), ("origin", own.as_str())],
        vec![("sec-fetch-site", "same-site"), ("origin", own.as_str())],
        vec![("sec-fetch-site", "same-origin, none")],
    ] {
        let mut all = vec![form, cookie];
        all.extend(&headers);
        let answer = send(&address, "POST", &path, &all, "").await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert!(answer.body.contains("This request came from another site"), "{headers:?}");
        is_untouched(&app).await;
    }
    let answer = send(&address, "POST", &path, &[form, cookie, ("origin", &own)], "").await;
    assert_eq!(answer.status, 303, "its own is admitted");
    browser.close().await;
}
