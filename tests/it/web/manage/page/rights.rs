use keyfob::NewToken;

use super::app::{Setup, Site, form_to, see};
use crate::web::app::Framework;

on_both! {
    who_may_only_see_gets_no_form_and_changes_nothing
    without_a_login_the_application_answers
    the_application_can_ask_for_the_password
    a_token_can_not_use_the_page
    a_restricted_account_grants_only_its_own
    an_ability_that_was_not_offered_is_refused
    a_token_of_another_project_is_not_found
}

const NEW: &str = "key=k&name=new&expires=90&access=some&ability=servers:read";

async fn who_may_only_see_gets_no_form_and_changes_nothing(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    let before = site.get(id).await;
    for path in ["", &format!("/{id}")] {
        let document = site.send(see(path).by("viewer")).await;
        assert_eq!(document.status, 200);
        for part in ["method=\"post\"", "type=\"checkbox\"", "/new\"", "/revoke", "/rotate"] {
            assert!(!document.body.contains(part), "{part} in {document}");
        }
    }
    for path in [
        "/new",
        "/revoke?all=1",
        &format!("/{id}/rotate"),
        &format!("/{id}/revoke"),
        &format!("/{id}/suspend"),
    ] {
        let refused = site.send(see(path).by("viewer")).await;
        assert_eq!(
            (refused.status, refused.heading()),
            (403, "You may not do this here"),
            "{path}"
        );
    }
    for (path, form) in [
        ("/new", NEW),
        ("/revoke", "all=1&confirmed=1&typed=1"),
        (&format!("/{id}"), "version=0&name=x"),
        (&format!("/{id}/rotate"), "version=0&shown=2026-01-31T08:00:00Z&grace=day"),
        (&format!("/{id}/suspend"), ""),
        (&format!("/{id}/resume"), ""),
        (&format!("/{id}/revoke"), ""),
    ] {
        let refused = site.send(form_to(path, form).by("viewer")).await;
        assert_eq!(
            (refused.status, refused.heading()),
            (403, "You may not do this here"),
            "{path}"
        );
    }
    assert_eq!((site.get(id).await, site.count().await), (before, 1));
}

async fn without_a_login_the_application_answers(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    let own = |it: crate::web::http::Response| (it.status, it.told().1);
    let login_required = || (401, "login_required".to_owned());
    assert_eq!(own(site.send(see("")).await), login_required());
    let form = form_to(&format!("/{id}/revoke"), "").header("sec-fetch-site", "same-origin");
    assert_eq!(own(site.send(form).await), login_required());
    assert!(site.get(id).await.revocation.is_none());
}

async fn the_application_can_ask_for_the_password(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    let version = format!("/{id}/rotate");
    for (path, form) in
        [("/new", NEW), (version.as_str(), "version=0&shown=2026-01-31T08:00:00Z&grace=day")]
    {
        assert_eq!(site.send(see(path).by("careful")).await.status, 200, "the form is shown");
        let asked = site.send(form_to(path, form).by("careful")).await;
        assert_eq!(asked.told(), (403, "password_required".to_owned()));
    }
    assert_eq!(
        site.send(form_to(&format!("/{id}/suspend"), "version=0").by("careful")).await.status,
        303
    );
}

async fn a_token_can_not_use_the_page(framework: Framework) {
    let site = Site::new(framework).await;
    let issued = site.own().issue(NewToken::named("all").all_abilities()).await.unwrap();
    let bearer = format!("Bearer {}", issued.plain.expose_secret());
    for request in [see(""), see("").by("owner"), form_to("/new", NEW).by("owner")] {
        let refused = site.send(request.authorization(bearer.clone())).await;
        assert_eq!((refused.status, refused.heading()), (403, "You may not do this here"));
    }
    assert_eq!(site.count().await, 1);
}

async fn a_restricted_account_grants_only_its_own(framework: Framework) {
    let site = Site::new(framework).await;
    let form = site.send(see("/new").by("restricted")).await;
    assert!(form.body.contains("value=\"servers:read\""));
    for part in ["servers:create", "servers:*", "projects:7:write", "value=\"all\""] {
        assert!(!form.body.contains(part), "{part} in {form}");
    }
    for abilities in
        ["access=some&ability=servers:create", "access=some&ability=servers:*", "access=all"]
    {
        let sent = format!("key=k&name=new&expires=90&{abilities}");
        let refused = site.send(form_to("/new", &sent).by("restricted")).await;
        assert_eq!(refused.status, 422, "{abilities}");
        assert_eq!(refused.problems(), ["access: Must not go beyond what the account may grant."]);
    }
    let sent = "key=k&name=new&expires=90&access=some&ability=servers:read";
    assert_eq!(site.send(form_to("/new", sent).by("restricted")).await.heading(), "Token created");

    // A token that can do more is not put into these hands.
    let strong = site.issue(NewToken::named("strong").abilities(["servers:create"])).await.id;
    let rotate =
        form_to(&format!("/{strong}/rotate"), "version=0&shown=2026-01-31T08:00:00Z&grace=day")
            .by("restricted");
    let refused = site.send(rotate).await;
    assert_eq!(
        (refused.status, refused.heading()),
        (403, "This token can do more than you may grant")
    );
    assert_eq!(site.get(strong).await.generation, 0);
}

async fn an_ability_that_was_not_offered_is_refused(framework: Framework) {
    let site = Site::new(framework).await;
    for (n, ability, is_offered) in [
        (1, "servers:read", true),
        (2, "servers:*", true),
        (3, "projects:7:write", true),
        (4, "projects:8:write", false),
        (5, "projects:*", false),
        (6, "nothing", false),
    ] {
        let sent = format!("key=k{n}&name=t{n}&expires=90&access=some&ability={ability}");
        let answer = site.submit("/new", &sent).await;
        assert_eq!(answer.status, if is_offered { 200 } else { 422 }, "{ability}: {answer}");
    }
    assert_eq!(site.count().await, 3);
}

async fn a_token_of_another_project_is_not_found(framework: Framework) {
    let site = Site::with(framework, Setup::default()).await;
    let other = keyfob::Owner::new("project:8").unwrap();
    let new = NewToken::named("other").abilities(["servers:read"]);
    let id = site.tokens.owned_by(&other).issue(new).await.unwrap().record.id;
    for path in ["", "/rotate", "/suspend", "/revoke"] {
        let answer = site.look(&format!("/{id}{path}")).await;
        assert_eq!((answer.status, answer.heading()), (404, "There is no such token here"));
    }
    for (path, form) in [
        ("", "version=0&name=x&expires=keep&access=some&ability=servers:read"),
        ("/rotate", "version=0&shown=2026-01-31T08:00:00Z&grace=day"),
        ("/suspend", "version=0"),
        ("/resume", "version=0"),
        ("/revoke", ""),
    ] {
        assert_eq!(site.submit(&format!("/{id}{path}"), form).await.status, 404, "{path}");
    }
    let many = site.submit("/revoke", &format!("id={id}&confirmed=1")).await;
    assert_eq!(many.header("location").unwrap().split_once('?').unwrap().1, "done=revoked&n=0");
    assert_eq!(site.look(&format!("/new?from={id}")).await.status, 404);
    let record = site.tokens.owned_by(&other).get(id).await.unwrap();
    assert!(record.revocation.is_none() && record.version == 0);
}
