//! Which requests of other sites a session may make.

use keyfob::web::Authenticator;

use super::Sessions;
use crate::web::{
    app::{Framework, Setup, take_handled},
    http::{Request, get},
    scene::{Scene, is},
};

on_both! {
    a_session_changes_something_only_from_its_own_origin
    an_own_origin_that_is_set_is_compared_whole
    a_check_of_the_applications_own_takes_the_place_of_ours
    what_is_not_a_session_is_not_concerned
}

const OWN: &str = "https://acme.example";
const TRUSTED: &str = "https://app.acme.example:8443";

/// The headers that a browser sends, and whether they are those of a page that may use the session.
const PAGES: &[(&[(&str, &str)], bool)] = &[
    (&[("sec-fetch-site", "same-origin")], true),
    (&[("sec-fetch-site", "same-origin"), ("origin", OWN)], true),
    (&[("sec-fetch-site", "none")], true),
    (&[("sec-fetch-site", "same-site"), ("origin", "https://www.acme.example")], false),
    (&[("sec-fetch-site", "same-site"), ("origin", TRUSTED)], true),
    (&[("sec-fetch-site", "same-site")], false),
    (&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], false),
    (&[("sec-fetch-site", "cross-site"), ("origin", TRUSTED)], true),
    (&[("sec-fetch-site", "cross-site"), ("origin", OWN)], false),
    (&[("sec-fetch-site", "cross-site"), ("origin", "null")], false),
    (&[("sec-fetch-site", "cross-site")], false),
    (&[("sec-fetch-site", "unheard-of"), ("origin", OWN)], false),
    (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], false),
    (&[("origin", OWN)], true),
    (&[("origin", "HTTPS://ACME.example:443")], true),
    (&[("origin", TRUSTED)], true),
    (&[("origin", "https://app.acme.example")], false),
    (&[("origin", "https://evil.example")], false),
    (&[("origin", "https://acme.example.evil.example")], false),
    (&[("origin", "https://acme.example:8443")], false),
    (&[("origin", "null")], false),
    (&[("origin", "")], false),
    (&[("origin", OWN), ("origin", OWN)], false),
    (&[("origin", OWN), ("origin", "https://evil.example")], false),
    (&[("origin", "https://acme.example, https://evil.example")], false),
    (&[("referer", "https://acme.example/")], false),
    (&[], false),
];

const METHODS: &[(&str, bool)] = &[
    ("GET", false),
    ("HEAD", false),
    ("OPTIONS", false),
    ("POST", true),
    ("PUT", true),
    ("PATCH", true),
    ("DELETE", true),
    ("PURGE", true),
];

fn request(method: &'static str, page: &[(&'static str, &'static str)]) -> Request {
    let request = Request { method, ..get("/any-method").header("host", "acme.example") };
    page.iter().fold(request, |request, (name, value)| request.header(name, *value))
}

fn trusting(authenticator: Authenticator) -> Authenticator {
    authenticator.trusted_origins([TRUSTED]).unwrap()
}

async fn a_session_changes_something_only_from_its_own_origin(framework: Framework) {
    let scene = Scene::new(framework).await;
    for authenticator in [trusting(scene.require()), trusting(scene.identify())] {
        let setup = Setup::new(authenticator).or_session(&Sessions::default());
        let client = scene.client_of(setup).await;
        for (page, may) in PAGES {
            for (method, is_unsafe) in METHODS {
                for upgrades in [false, true] {
                    let mut request = request(method, page);
                    if upgrades {
                        request = request.header("upgrade", "websocket");
                    }
                    take_handled();
                    scene.world.events.take();
                    let answer = client.send(request.clone().session("member")).await;
                    if *may || !(*is_unsafe || upgrades) {
                        assert_eq!((answer.status, take_handled()), (200, 1), "{request}");
                        continue;
                    }
                    assert_eq!((answer.status, take_handled()), (403, 0), "{request}");
                    assert_eq!(answer.header("cache-control"), Some("no-store"));
                    assert_eq!(answer.header("www-authenticate"), None);
                    if *method != "HEAD" {
                        assert_eq!(answer.told().1, "cross_site_request", "{request}");
                    }
                    let who = r#"owner: Owner("project:7"), actor: Actor("user:42"), from: None"#;
                    let event = format!("CrossSiteRefused {{ {who} }}");
                    assert_eq!(scene.world.events.take(), [event]);

                    // No browser adds a token by itself.
                    let token = client.send(request.clone().session("member").with("good")).await;
                    assert_eq!((token.status, take_handled()), (200, 1), "{request}");
                }
            }
        }
    }
}

async fn an_own_origin_that_is_set_is_compared_whole(framework: Framework) {
    let scene = Scene::new(framework).await;
    let set = scene.require().origin("https://acme.example").unwrap();
    let set = scene.client_of(Setup::new(set).or_session(&Sessions::default())).await;
    let unset = scene.client_of(Setup::new(scene.require()).or_session(&Sessions::default())).await;
    for (host, origin, if_set, if_unset) in [
        ("acme.example", "https://acme.example", true, true),
        ("acme.example", "http://acme.example", false, true),
        ("ACME.example:443", "https://acme.example", true, true),
        ("acme.example:80", "http://acme.example", false, true),
        ("acme.example:80", "https://acme.example", true, false),
        ("internal:3000", "https://acme.example", true, false),
        ("internal:3000", "http://internal:3000", false, true),
        ("internal:3000", "http://internal", false, false),
        ("[2001:db8::1]:3000", "http://[2001:db8::1]:3000", false, true),
        ("acme.example", "wss://acme.example", false, false),
        ("", "https://acme.example", true, false),
        ("acme.example, evil.example", "https://evil.example", false, false),
        ("user@acme.example", "https://acme.example", true, false),
    ] {
        let request = Request { method: "POST", ..get("/any-method") };
        let request = request.header("host", host).header("origin", origin).session("ada");
        for (client, may) in [(&set, if_set), (&unset, if_unset)] {
            let status = if may { 200 } else { 403 };
            assert_eq!(client.send(request.clone()).await.status, status, "{request}");
        }
    }
    for bad in ["acme.example", "https://acme.example/", "*", "null", "https://"] {
        assert_eq!(scene.require().origin(bad).unwrap_err().name, "origin");
        assert_eq!(scene.require().trusted_origins([bad]).unwrap_err().name, "trusted_origins");
    }
}

async fn a_check_of_the_applications_own_takes_the_place_of_ours(framework: Framework) {
    let scene = Scene::new(framework).await;
    let setup = Setup::new(scene.require()).or_session(&Sessions::with_own_check());
    let client = scene.client_of(setup).await;
    for (page, _) in PAGES {
        for (method, is_unsafe) in METHODS {
            let request = request(method, page).session("ada");
            let status = if *is_unsafe { 403 } else { 200 };
            assert_eq!(client.send(request.clone()).await.status, status, "{request}");
            let proven = request.header("x-csrf-token", "0a1b");
            assert_eq!(client.send(proven.clone()).await.status, 200, "{proven}");
        }
    }
}

async fn what_is_not_a_session_is_not_concerned(framework: Framework) {
    let scene = Scene::new(framework).await;
    let setup = Setup::new(scene.identify()).or_session(&Sessions::default());
    let client = scene.client_of(setup).await;
    let evil = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let told = client.told(request("POST", &evil).session("ended")).await;
    assert_eq!(told, is(401, "missing_credentials"), "nobody is logged in");
    let told = client.told(request("POST", &evil).session("stranger")).await;
    assert_eq!(told, is(403, "cross_site_request"), "before its abilities are looked at");
}
