use keyfob::{
    NewToken, TokenRotation,
    web::manage::page::{ColorScheme, PageOptions},
};

use super::app::{PAGE, Setup, Site, form_to, see};
use crate::web::{
    app::Framework,
    http::{Response, get},
};

on_both! {
    every_document_has_the_headers_that_guard_it
    the_files_need_no_login_and_never_change
    other_methods_and_paths_are_documents_too
    a_proxy_that_takes_a_prefix_away_is_named
    a_path_of_another_host_is_nowhere
    the_secret_has_a_layout_of_its_own
    the_language_is_that_of_the_person
    fifty_tokens_are_sixty_kibibytes_at_most
    a_store_that_is_away_is_503_and_loses_no_form
    a_colour_is_checked
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

fn is_guarded(response: &Response) {
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", POLICY),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(response.header(name), Some(value), "{response}");
    }
    for part in ["<style", " style=", "<script>", "onclick", "data:", "http://", "https://"] {
        assert!(!response.body.contains(part), "{part} in {response}");
    }
}

async fn every_document_has_the_headers_that_guard_it(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    for (path, status) in [
        ("", 200),
        ("/new", 200),
        ("/revoke?all=1", 200),
        (&format!("/{id}"), 200),
        (&format!("/{id}/rotate"), 200),
        (&format!("/{id}/suspend"), 200),
        (&format!("/{id}/revoke"), 200),
        ("/nothing", 404),
        ("?state=broken", 422),
    ] {
        let document = site.look(path).await;
        assert_eq!(document.status, status, "{path}");
        is_guarded(&document);
    }
    let rotated = site
        .submit(&format!("/{id}/rotate"), "version=0&shown=2026-01-31T08:00:00Z&grace=day")
        .await;
    assert_eq!(rotated.heading(), "Token rotated");
    is_guarded(&rotated);
    is_guarded(&site.send(form_to("/new", "").header("cookie", "owner")).await);
}

async fn the_files_need_no_login_and_never_change(framework: Framework) {
    let site = Site::new(framework).await;
    let list = site.look("").await;
    for (ending, media_type) in
        [("css", "text/css; charset=utf-8"), ("js", "text/javascript; charset=utf-8")]
    {
        let place = list.body.find(&format!(".{ending}\"")).unwrap();
        let start = list.body[..place].rfind('"').unwrap() + 1;
        let path = &list.body[start..=place + ending.len()];
        assert!(path.starts_with(&format!("{PAGE}/assets/")), "{path}");
        let file = site.send(get(path)).await;
        assert_eq!(file.status, 200);
        assert_eq!(file.header("content-type"), Some(media_type));
        assert_eq!(file.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        let other = path.replace(&path[PAGE.len() + 8..][..8], "00000000");
        assert_eq!(site.send(get(other)).await.status, 404);
    }
}

async fn other_methods_and_paths_are_documents_too(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    let mut put = see("").by("owner");
    put.method = "PUT";
    let refused = site.send(put).await;
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET,HEAD")));
    is_guarded(&refused);
    let mut head = see("").by("owner");
    head.method = "HEAD";
    assert_eq!(site.send(head).await.status, 200);
    let got = site.look(&format!("/{id}/resume")).await;
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")));
    assert_eq!(site.look(&format!("/{id}/nothing")).await.heading(), "There is no such page here");
    assert_eq!(site.look("/0000000000000000000000").await.heading(), "There is no such token here");
    assert_eq!(site.look("/not-an-id").await.heading(), "There is no such token here");
}

async fn a_proxy_that_takes_a_prefix_away_is_named(framework: Framework) {
    let public_path = Some("/app/{project}/tokens/");
    let site = Site::with(framework, Setup { public_path, ..Setup::default() }).await;
    let id = site.token().await;
    let list = site.look("").await;
    assert!(
        list.body.contains("href=\"/app/7/tokens/new\"") && !list.body.contains(PAGE),
        "{list}"
    );
    let form = "version=0&name=new&expires=keep&access=some&ability=servers:read";
    let changed = site.submit(&format!("/{id}"), form).await;
    let location = format!("/app/7/tokens/{id}?done=changed");
    assert_eq!((changed.status, changed.header("location")), (303, Some(location.as_str())));
    assert_eq!(changed.header("cache-control"), Some("no-store"));
    // A parameter is no more than a segment.
    let odd = get("/projects/%2F%2Facme.example/settings/tokens").by("owner");
    let odd = site.send(odd).await;
    assert!(odd.body.contains("\"/app/%2F%2Facme%2Eexample/tokens/new\""), "{odd}");
}

async fn a_path_of_another_host_is_nowhere(framework: Framework) {
    let site = Site::new(framework).await;
    let response = site.send(get(format!("/{PAGE}")).by("owner")).await;
    assert_eq!(response.status, 404);
    assert!(!response.body.contains("//projects"), "{response}");
}

async fn the_secret_has_a_layout_of_its_own(framework: Framework) {
    let form = "key=k&name=ci&expires=90&access=some&ability=servers:read";
    let site = Site::with(framework, Setup { in_layout: true, ..Setup::default() }).await;
    let list = site.look("").await;
    assert!(list.body.starts_with("<html><title>API tokens · Acme</title>"), "{list}");
    assert!(list.body.contains("<nav></nav>") && list.body.contains("kf-page"));
    assert_eq!(list.header("content-security-policy"), None, "it is the application's");
    assert_eq!(list.header("x-frame-options"), Some("DENY"));
    let refused = site.look("/nothing").await;
    assert!(refused.body.contains("<nav></nav>"), "{refused}");
    let issued = site.submit("/new", form).await;
    assert_eq!(issued.heading(), "Token created");
    assert!(!issued.body.contains("<nav></nav>"), "{issued}");
    is_guarded(&issued);

    let options = PageOptions::new().secret_in_layout(true);
    let site = Site::with(framework, Setup { in_layout: true, options, ..Setup::default() }).await;
    let issued = site.submit("/new", form).await;
    assert!(issued.body.contains("<nav></nav>") && issued.body.contains("id=\"kf-token\""));
}

async fn the_language_is_that_of_the_person(framework: Framework) {
    let site = Site::new(framework).await;
    let german =
        |path: &str| see(path).by("owner").header("accept-language", "fr, de-CH;q=0.8, en;q=0.5");
    let list = site.send(german("")).await;
    assert!(list.body.contains("<html lang=\"de\" dir=\"ltr\">"), "{list}");
    let refused = site.send(german("/nothing")).await;
    assert_eq!(refused.heading(), "Hier gibt es kein solches Token");
    assert!(refused.body.contains("<title>Fehler: Hier"), "{refused}");
}

async fn fifty_tokens_are_sixty_kibibytes_at_most(framework: Framework) {
    let site = Site::new(framework).await;
    for n in 0..60 {
        let new = NewToken::named(format!("deploy-shop-{n}"));
        let new =
            new.abilities(["servers:read", "sites:read"]).expires_in(time::Duration::days(90));
        let id = site.issue(new).await.id;
        if n % 5 == 0 {
            let _ = site.own().rotate(id, TokenRotation::new()).await.unwrap();
        }
    }
    let list = site.look("?per_page=50").await;
    assert_eq!(list.body.matches("<tr role=row").count(), 50);
    assert!(list.body.len() <= 60 * 1024, "{} bytes", list.body.len());
}

async fn a_store_that_is_away_is_503_and_loses_no_form(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    let form = site.look("/new").await;
    let key = form.field("name=\"key\"");
    site.world.store.fail(crate::support::STEPS);
    let list = site.look("").await;
    assert_eq!((list.status, list.header("retry-after")), (503, Some("1")));
    assert_eq!(list.heading(), "Tokens can&#39;t be read right now");
    assert!(list.body.contains("They go on working or not as before."));
    assert!(list.body.contains(&format!("href=\"{PAGE}/new\"")), "{list}");
    is_guarded(&list);
    assert_eq!(site.look("/new").await.status, 200, "a form needs no store");

    let filled = format!("key={key}&name=typed+name&expires=90&access=some&ability=servers%3Aread");
    let kept = site.submit("/new", &filled).await;
    assert_eq!(kept.status, 503);
    assert_eq!(kept.field("name=\"name\""), "typed name");
    assert_eq!(kept.field("name=\"key\""), key, "sent again, it makes no second token");
    assert!(kept.body.contains("value=\"servers:read\" checked"));
    for (path, form) in [
        ("/revoke", ""),
        ("/suspend", "version=0&until=&reason="),
        ("/rotate", "version=0&shown=2026-01-31T08:00:00Z&grace=day"),
        ("", "version=0&name=x&expires=keep&access=some&ability=servers:read"),
    ] {
        let refused = site.submit(&format!("/{id}{path}"), form).await;
        assert_eq!(refused.status, 503, "{path}");
        assert!(refused.body.contains("This could not be done right now"), "{refused}");
    }
    site.world.store.heal();
    assert_eq!(site.submit("/new", &filled).await.heading(), "Token created");
    assert_eq!(site.submit("/new", &filled).await.status, 409);
    assert_eq!(site.count().await, 2);
}

async fn a_colour_is_checked(framework: Framework) {
    for bad in ["", "1a7f5a", "#1a7f5", "red", "#12345g", "#fff;}</style>"] {
        assert!(PageOptions::new().accent(bad).is_err(), "{bad}");
    }
    let options = PageOptions::new().accent("#1a7f5a").unwrap().color_scheme(ColorScheme::Dark);
    let site = Site::with(framework, Setup { options, ..Setup::default() }).await;
    let list = site.look("").await;
    let place = list.body.find(".css\"").unwrap();
    let start = list.body[..place].rfind('"').unwrap() + 1;
    let css = site.send(get(&list.body[start..place + 4])).await.body;
    assert!(css.contains("--kf-accent: #1a7f5a;") && css.contains("color-scheme: dark;"));
}
