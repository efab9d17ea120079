use keyfob::{NewToken, Policy, TokenRotation, token::NamePolicy, web::manage::page::PageOptions};
use serde_json::json;
use time::Duration;

use super::app::{Setup, Site, form_to, see};
use crate::{support::START, web::app::Framework};

on_both! {
    both_frameworks_answer_with_the_same_bytes
    a_form_that_the_page_did_not_send_is_refused
    everything_that_is_wrong_is_told_at_once_and_comes_back_as_typed
    a_token_that_was_pasted_into_a_form_is_not_shown_again
    a_date_is_the_end_of_the_day_in_the_zone_of_the_browser
    of_two_who_change_a_token_one_is_told
    a_change_keeps_what_it_does_not_name
    a_branch_covers_its_abilities
    a_token_that_has_ended_can_not_be_changed
    names_and_limits_are_told
    one_like_another_is_filled_in
    an_idempotency_key_is_needed
}

const NEW: &str = "key=k&name=new&expires=90&access=some&ability=servers:read";

async fn both_frameworks_answer_with_the_same_bytes(framework: Framework) {
    // The answers of both frameworks are compared.
    let all = async |framework| {
        let site = Site::new(framework).await;
        let id = site.token().await;
        let mut answers = Vec::new();
        for request in [
            see("").by("owner"),
            see("?sort=name&q=c").by("owner"),
            see("/new").by("owner"),
            form_to("/new", NEW).by("owner"),
            form_to("/new", NEW).by("owner"),
            form_to("/new", "key=k2&name=&expires=90").by("owner"),
            form_to("/new", "what=1").by("owner"),
            form_to("/new", NEW).header("cookie", "owner"),
            see(&format!("/{id}")).by("owner"),
            see(&format!("/{id}")).by("viewer"),
            form_to(
                &format!("/{id}"),
                "version=0&name=b&expires=30&access=some&ability=sites:read",
            )
            .by("owner"),
            form_to(&format!("/{id}"), "version=0&name=c").by("owner"),
            see(&format!("/{id}/rotate")).by("owner"),
            form_to(&format!("/{id}/rotate"), "version=1&shown=2026-01-31T08:00:00Z&grace=used")
                .by("owner"),
            form_to(&format!("/{id}/rotate"), "version=1&shown=2026-01-31T08:00:00Z&grace=used")
                .by("owner"),
            see(&format!("/{id}/suspend")).by("owner"),
            form_to(&format!("/{id}/suspend"), "version=2&reason=why").by("owner"),
            see("?state=suspended").by("owner"),
            form_to(&format!("/{id}/resume"), "version=3").by("owner"),
            form_to("/revoke", &format!("id={id}")).by("owner"),
            see("/revoke?all=1").by("owner"),
            form_to(&format!("/{id}/revoke"), "").by("owner"),
            form_to(&format!("/{id}/suspend"), "version=4").by("owner"),
            form_to("/revoke", "all=1&confirmed=1&typed=1").by("owner"),
            see("/nowhere/at-all").by("owner"),
            see(""),
        ] {
            answers.push(site.send(request).await);
        }
        answers
    };
    let other = if framework == Framework::Axum { Framework::Actix } else { Framework::Axum };
    let (one, other) = (all(framework).await, all(other).await);
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
    let statuses: Vec<_> = one.iter().map(|it| it.status).collect();
    assert_eq!(
        statuses,
        [
            200, 200, 200, 200, 409, 422, 422, 403, 200, 200, 303, 409, 200, 200, 409, 200, 303,
            200, 303, 200, 200, 303, 409, 303, 404, 401
        ]
    );
}

async fn a_form_that_the_page_did_not_send_is_refused(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    for (path, form) in [
        ("/new", format!("{NEW}&owner=project:8")),
        ("/new", format!("{NEW}&name=again")),
        ("/new", format!("{NEW}&metadata=x")),
        ("/new", format!("{NEW}&another=yes")),
        ("/new", NEW.replace("access=some", "access=most")),
        ("/revoke", "all=2".to_owned()),
        ("/revoke", "id=nonsense".to_owned()),
    ] {
        let refused = site.submit(path, &form).await;
        assert_eq!(
            (refused.status, refused.heading()),
            (422, "The form could not be read. Nothing was done"),
            "{form}"
        );
    }
    for (path, form) in [
        ("", "name=x"),
        ("", "version=zero&name=x"),
        ("/rotate", "version=0&shown=2026-01-31T08:00:00Z&grace=month"),
        ("/rotate", "grace=day"),
        ("/suspend", "forever=1"),
        ("/resume", "x=1"),
        ("/revoke", "x=1"),
    ] {
        assert_eq!(site.submit(&format!("/{id}{path}"), form).await.status, 422, "{path} {form}");
    }
    let json = form_to("/new", r#"{"name":"x"}"#).by("owner");
    let json = crate::web::http::Request { headers: Vec::new(), ..json };
    let json = json.by("owner").header("content-type", "application/json");
    assert_eq!(site.send(json).await.status, 415);
    let long = format!("{NEW}&description={}", "x".repeat(64 * 1024));
    assert_eq!(site.submit("/new", &long).await.status, 413);
    assert_eq!(site.count().await, 1);
    assert_eq!(site.get(id).await.version, 0);
}

async fn everything_that_is_wrong_is_told_at_once_and_comes_back_as_typed(framework: Framework) {
    let options = PageOptions::new().descriptions(true).limits(true);
    let policy = Policy::new().name_policy(NamePolicy::strict()).max_lifetime(Duration::days(30));
    let site = Site::with(framework, Setup { policy, options, ..Setup::default() }).await;
    let form = format!(
        "key=k&name=two+words&description={}&expires=365&access=some&addresses=nowhere&idle_days=soon&begins=x",
        "d".repeat(300)
    );
    let refused = site.submit("/new", &form).await;
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.problems(),
        [
            "name: Must contain only letters of a to z and A to Z, digits, hyphens and underscores.",
            "description: Must be at most 255 characters long.",
            "expires: At most 30 days here.",
            "access: Choose at least one.",
            "addresses: Must be addresses or networks such as 192.0.2.0/24.",
            "idle_days: Must be a whole number of days, 1 to 36500.",
            "begins: Must be a date such as 2030-12-31.",
        ]
    );
    assert!(refused.body.contains("<title>Error: New token</title>"), "{refused}");
    assert_eq!(refused.field("name=\"name\""), "two words");
    assert_eq!(refused.field("name=\"idle_days\""), "soon");
    assert!(refused.body.contains(">nowhere</textarea>"));
    // Expiries beyond the maximum are not offered, and neither is never.
    let form = site.look("/new").await;
    for value in ["60", "90", "365", "never"] {
        assert!(!form.body.contains(&format!("<option value=\"{value}\"")), "{value} in {form}");
    }
    assert!(form.body.contains("<option value=\"30\" selected"), "{form}");
    assert_eq!(site.count().await, 0);
}

async fn a_token_that_was_pasted_into_a_form_is_not_shown_again(framework: Framework) {
    let options = PageOptions::new().descriptions(true).limits(true);
    let site = Site::with(framework, Setup { options, ..Setup::default() }).await;
    let new = NewToken::named("pasted").abilities(["servers:read"]);
    let issued = site.own().issue(new).await.unwrap();
    let (plain, id) = (issued.plain.expose_secret(), issued.record.id);
    for form in [
        format!("key=k&name={plain}&expires=90&access=some&ability=servers:read"),
        format!("key=k&name=x&description={plain}&expires=90&access=some&ability=servers:read"),
        format!("key=k&name=x&expires=90&access=some&ability={plain}"),
        format!("key=k&name=x&expires=date&date={plain}&access=some&ability=servers:read"),
        format!("key=k&name=x&expires={plain}&access=some&ability=servers:read"),
        format!("key=k&name=x&expires=90&access=some&ability=servers:read&addresses={plain}"),
        format!("key={plain}&name=x&expires=90&access=some&ability=servers:read"),
    ] {
        let refused = site.submit("/new", &form).await;
        assert_eq!(refused.status, 422, "{form}");
        assert!(!refused.body.contains(plain), "{refused}");
    }
    let refused =
        site.submit(&format!("/{id}/suspend"), &format!("version=0&until=x&reason={plain}")).await;
    assert!(refused.status == 422 && !refused.body.contains(plain), "{refused}");
    for query in ["q", "state", "ability", "sort", "cursor", "done", "new", "from"] {
        for path in ["", "/new"] {
            let answer = site.look(&format!("{path}?{query}={plain}")).await;
            assert!(!answer.body.contains(plain), "{query}: {answer}");
        }
    }
    assert_eq!(site.count().await, 1);
}

async fn a_date_is_the_end_of_the_day_in_the_zone_of_the_browser(framework: Framework) {
    let site = Site::new(framework).await;
    let mut keys = 0;
    for (date, zone, expires_at) in [
        ("2026-03-01", "", Ok("2026-03-01T23:59:59Z")),
        ("2026-03-01", "0", Ok("2026-03-01T23:59:59Z")),
        ("2026-03-01", "-60", Ok("2026-03-01T22:59:59Z")),
        ("2026-03-01", "300", Ok("2026-03-02T04:59:59Z")),
        ("2026-03-01", "841", Err("Must be a date such as 2030-12-31.")),
        ("2026-03-01", "x", Err("Must be a date such as 2030-12-31.")),
        ("2026-02-30", "", Err("Must be a date such as 2030-12-31.")),
        ("", "", Err("Must be given.")),
        ("2026-01-30", "", Err("Must be in the future.")),
        ("9999-12-31", "840", Err("Must not be after the year 9999.")),
    ] {
        keys += 1;
        let form = format!(
            "key={keys}&name=t{keys}&expires=date&date={date}&zone={zone}&access=some&ability=servers:read"
        );
        let answer = site.submit("/new", &form).await;
        match expires_at {
            Err(problem) => {
                assert_eq!(answer.problems(), [format!("expires: {problem}")], "{date} {zone}");
            }
            Ok(expires_at) => {
                assert_eq!(answer.heading(), "Token created", "{date} {zone}");
                assert!(
                    answer.body.contains(&format!("<time datetime=\"{expires_at}\">")),
                    "{answer}"
                );
            }
        }
    }
    let id = site.token().await;
    let suspended =
        site.submit(&format!("/{id}/suspend"), "version=0&until=2026-02-10&zone=-60&reason=").await;
    assert_eq!(suspended.status, 303);
    let until = site.get(id).await.suspension.unwrap().until.unwrap();
    assert_eq!(until.to_string(), "2026-02-10T22:59:59Z");
}

async fn of_two_who_change_a_token_one_is_told(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    let form =
        |name: &str| format!("version=0&name={name}&expires=keep&access=some&ability=servers:read");
    assert_eq!(site.submit(&format!("/{id}"), &form("first")).await.status, 303);
    let late = site.submit(&format!("/{id}"), &form("second")).await;
    assert_eq!(late.status, 409);
    assert!(late.body.contains("The token was changed meanwhile. This is how it is now."));
    assert_eq!(late.field("name=\"name\""), "first");
    assert_eq!(late.field("name=\"version\""), "1");
    assert_eq!(site.get(id).await.name.as_str(), "first");
}

async fn a_change_keeps_what_it_does_not_name(framework: Framework) {
    let options = PageOptions::new().descriptions(true).limits(true);
    let site = Site::with(framework, Setup { options, ..Setup::default() }).await;
    let new = NewToken::named("ci")
        .abilities(["servers:read"])
        .expires_in(Duration::days(10))
        .idle_period(Duration::hours(36))
        .allowed_addresses(["192.0.2.0/24", "198.51.100.7"])
        .not_before(keyfob::Timestamp::from(START + Duration::days(1)))
        .metadata(json!({ "description": "old", "team": "shop" }));
    let before = site.issue(new).await;
    let path = format!("/{}", before.id);
    let shown = site.look(&path).await;
    assert_eq!(shown.field("name=\"idle_days\""), "1.5");
    assert_eq!(shown.field("name=\"begins\""), "2026-02-01");
    let same = "version=0&name=ci&expires=keep&access=some&ability=servers:read&idle_days=1.5\
         &begins=2026-02-01&addresses=192.0.2.0%2F24%0D%0A198.51.100.7";
    let answer = site.submit(&path, &format!("{same}&description=new")).await;
    assert_eq!(answer.status, 303, "{answer}");
    let after = site.get(before.id).await;
    assert_eq!(
        after.metadata().unwrap().to_object(),
        *json!({ "description": "new", "team": "shop" }).as_object().unwrap()
    );
    assert_eq!(
        (
            after.expires_at,
            after.idle_seconds,
            after.not_before,
            after.allowed_addresses(),
            &after.abilities
        ),
        (
            before.expires_at,
            before.idle_seconds,
            before.not_before,
            before.allowed_addresses(),
            &before.abilities
        )
    );
    // A field that is emptied takes its value away.
    let cleared = "version=1&name=ci&expires=never&access=some&ability=servers:read&idle_days=&begins=&addresses=&description=";
    assert_eq!(site.submit(&path, cleared).await.status, 303);
    let after = site.get(before.id).await;
    assert_eq!(
        after.metadata().unwrap().to_object(),
        *json!({ "team": "shop" }).as_object().unwrap()
    );
    assert!(after.expires_at.is_none() && after.idle_seconds.is_none());
    assert!(after.not_before.is_none() && after.allowed_addresses().is_none());
}

async fn a_branch_covers_its_abilities(framework: Framework) {
    let site = Site::new(framework).await;
    let form = "key=k&name=ci&expires=90&access=some&ability=servers:*&ability=servers:read&ability=sites:read";
    assert_eq!(site.submit("/new", form).await.heading(), "Token created");
    let tokens = site.own().list(keyfob::ListTokens::new()).await.unwrap().tokens;
    let abilities: Vec<_> =
        tokens[0].abilities.as_set().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(abilities, ["servers:*", "sites:read"]);
}

async fn a_token_that_has_ended_can_not_be_changed(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    site.own().revoke(id).await.unwrap();
    for (path, form) in [
        ("", "version=0&name=x&expires=keep&access=some&ability=servers:read"),
        ("/rotate", "version=0&shown=2026-01-31T08:00:00Z&grace=day"),
        ("/suspend", "version=0"),
        ("/resume", "version=0"),
    ] {
        let refused = site.submit(&format!("/{id}{path}"), form).await;
        assert_eq!(refused.status, 409, "{path}");
        assert!(refused.body.contains("It was revoked on <time"), "{path}: {refused}");
        assert!(!refused.body.contains("method=\"post\""), "{path}");
    }
    for path in ["/rotate", "/suspend", "/revoke"] {
        assert_eq!(site.look(&format!("/{id}{path}")).await.status, 409, "{path}");
    }
}

async fn names_and_limits_are_told(framework: Framework) {
    let policy = Policy::new().unique_names(true).limit_per_owner(2);
    let site = Site::with(framework, Setup { policy, ..Setup::default() }).await;
    let id = site.token().await;
    let taken = site.submit("/new", &NEW.replace("name=new", "name=ci")).await;
    assert_eq!(
        (taken.status, taken.problems()),
        (409, vec!["name: That name is taken.".to_owned()])
    );
    let list = site.look("").await;
    assert!(
        list.body.contains("1 of 2 tokens.") && !list.body.contains("No more tokens"),
        "{list}"
    );
    assert_eq!(site.submit("/new", NEW).await.status, 200);
    let list = site.look("").await;
    assert!(
        list.body.contains("2 of 2 tokens.") && list.body.contains("No more tokens can be created"),
        "{list}"
    );
    let full = site.submit("/new", &NEW.replace("new", "third").replace("key=k", "key=k3")).await;
    assert_eq!(full.status, 409);
    assert!(full.body.contains("The limit of 2 tokens is reached"), "{full}");
    assert_eq!(full.field("name=\"name\""), "third", "the form is kept");
    let rename = "version=0&name=new&expires=keep&access=some&ability=servers:read";
    let taken = site.submit(&format!("/{id}"), rename).await;
    assert_eq!(
        (taken.status, taken.problems()),
        (409, vec!["name: That name is taken.".to_owned()])
    );
}

async fn one_like_another_is_filled_in(framework: Framework) {
    let site = Site::new(framework).await;
    let new = NewToken::named("ci").abilities(["servers:read", "projects:7:write"]);
    let id = site.issue(new.expires_in(Duration::days(45))).await.id;
    let _ = site.own().rotate(id, TokenRotation::new()).await.unwrap();
    let form = site.look(&format!("/new?from={id}")).await;
    assert_eq!(form.field("name=\"name\""), "ci");
    assert!(form.body.contains("<option value=\"45\" selected"), "{form}");
    for ability in ["servers:read", "projects:7:write"] {
        assert!(form.body.contains(&format!("value=\"{ability}\" checked")), "{ability}");
    }
    let next = site.look(&format!("/new?from={id}&another=1")).await;
    assert_eq!(next.field("name=\"name\""), "");
    assert!(next.body.contains("name=\"another\" value=\"1\" checked"));
}

async fn an_idempotency_key_is_needed(framework: Framework) {
    let site = Site::new(framework).await;
    for form in
        ["name=new&expires=90&access=some&ability=servers:read", &NEW.replace("key=k", "key=")]
    {
        assert_eq!(site.submit("/new", form).await.status, 422, "{form}");
    }
    let (one, other) = (site.look("/new").await, site.look("/new").await);
    assert_ne!(one.field("name=\"key\""), other.field("name=\"key\""));
    assert_eq!(site.count().await, 0);
}
