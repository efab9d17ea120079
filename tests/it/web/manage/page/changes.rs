//! Forms of which something has changed since they were shown.

use keyfob::{
    ApiTokens, NewToken, Policy, TokenRotation,
    store::{
        TokenStore,
        contract::{InsertOutcome, InsertRules},
    },
    token::{NamePolicy, Reason},
    web::manage::page::PageOptions,
};
use serde_json::json;
use time::Duration;

use super::app::{Setup, Site, see};
use crate::web::app::Framework;

on_both! {
    an_unused_secret_that_was_used_meanwhile_is_told
    a_rotation_that_is_refused_keeps_the_grace_that_was_chosen
    a_suspension_that_somebody_made_meanwhile_stays
    a_change_that_fails_comes_back_as_typed
    abilities_that_are_gone_are_kept_until_others_are_chosen
    a_rename_changes_nothing_else
    a_preset_is_no_more_than_it_says
    an_older_token_is_offered_what_it_can_get
    a_page_at_the_root_leads_back_to_the_root
    who_may_create_and_not_change_is_offered_no_change
}

async fn an_unused_secret_that_was_used_meanwhile_is_told(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    let rotation = TokenRotation::new().grace(Duration::ZERO);
    let second = site.own().rotate(id, rotation).await.unwrap();
    site.world.clock.advance(Duration::SECOND);
    let form = site.look(&format!("/{id}/rotate")).await;
    assert!(form.body.contains("The new one replaces it at once."));
    let (version, shown) = (form.field("name=\"version\""), form.field("name=\"shown\""));
    let grace = form.field("name=\"grace\"");
    let used = second.plain.expose_secret();
    site.tokens.verify(used).await.unwrap();
    let sent = format!("version={version}&shown={shown}&grace={grace}");
    let told = site.submit(&format!("/{id}/rotate"), &sent).await;
    assert_eq!(told.status, 409);
    assert!(told.body.contains("The token was changed meanwhile."), "{told}");
    assert!(!told.body.contains("replaces it at once"), "a used secret has a grace to choose");
    assert!(site.tokens.verify(used).await.is_ok(), "nothing was done");
}

async fn a_rotation_that_is_refused_keeps_the_grace_that_was_chosen(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    let _ = site.own().rotate(id, TokenRotation::new().grace(Duration::ZERO)).await.unwrap();
    site.world.clock.advance(Duration::SECOND);
    let form = site.look(&format!("/{id}/rotate")).await;
    let shown = form.field("name=\"shown\"");
    site.own().rename(id, "renamed").await.unwrap();
    let sent = format!("version=1&shown={shown}&grace=none");
    let refused = site.submit(&format!("/{id}/rotate"), &sent).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body.contains("The token was changed meanwhile."), "{refused}");
    assert!(!refused.body.contains("It was rotated already"));
    assert_eq!(refused.field("name=\"version\""), "2");

    let other = site.issue(NewToken::named("other").abilities(["servers:read"])).await.id;
    site.own().rename(other, "renamed too").await.unwrap();
    let refused = site
        .submit(&format!("/{other}/rotate"), "version=0&shown=2026-01-31T08:00:00Z&grace=none")
        .await;
    assert!(refused.body.contains("name=\"grace\" value=\"none\" checked"), "{refused}");
    let _ = site.own().rotate(other, TokenRotation::new()).await.unwrap();
    let refused = site
        .submit(&format!("/{other}/rotate"), "version=1&shown=2026-01-31T08:00:00Z&grace=hour")
        .await;
    assert!(refused.body.contains("It was rotated already on <time"), "{refused}");
}

async fn a_suspension_that_somebody_made_meanwhile_stays(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    let because = |reason: &str| site.own().because(Reason::new(reason).unwrap());
    because("stolen").suspend(id).await.unwrap();
    let path = format!("/{id}/suspend");
    let late = site.submit(&path, "version=0&until=2026-02-01&reason=holidays").await;
    assert_eq!(late.status, 409);
    assert!(late.body.contains("The token was changed meanwhile."), "{late}");
    assert_eq!(
        (late.field("name=\"until\""), late.field("name=\"reason\"")),
        ("2026-02-01".into(), "holidays".into())
    );
    let late = site.submit(&format!("/{id}/resume"), "version=0").await;
    assert_eq!(late.status, 409);
    let suspension = site.get(id).await.suspension.unwrap();
    assert_eq!((suspension.until, suspension.reason.unwrap().as_str()), (None, "stolen"));
    assert_eq!(site.submit(&format!("/{id}/resume"), "version=1").await.status, 303);
    assert_eq!(site.submit(&path, "version=2&until=&reason=").await.status, 303);
}

async fn a_change_that_fails_comes_back_as_typed(framework: Framework) {
    let site = Site::new(framework).await;
    let id = site.token().await;
    let form = "version=0&name=typed&expires=30&access=some&ability=servers:create";
    site.world.store.fail(&["change", "suspend"]);
    let kept = site.submit(&format!("/{id}"), form).await;
    assert_eq!((kept.status, kept.field("name=\"name\"").as_str()), (503, "typed"));
    assert!(kept.body.contains("This could not be done right now"), "{kept}");
    assert!(
        kept.body.contains("value=\"servers:create\" checked")
            && kept.body.contains("value=\"30\" selected")
    );
    let kept = site.submit(&format!("/{id}/suspend"), "version=0&until=&reason=typed").await;
    assert_eq!((kept.status, kept.field("name=\"reason\"").as_str()), (503, "typed"));
    site.world.store.heal();

    // The token can do more than the person may grant: it is not extended.
    let strong = site.issue(NewToken::named("strong").abilities(["servers:create"])).await.id;
    let form = "version=0&name=typed&expires=never&access=some&ability=servers:create";
    let ends = keyfob::TokenChange::new().expires_in(Duration::days(9));
    site.own().change(strong, ends).await.unwrap();
    let form = form.replace("version=0", "version=1");
    let refused =
        site.send(super::app::form_to(&format!("/{strong}"), &form).by("restricted")).await;
    assert_eq!(
        (refused.status, refused.field("name=\"name\"").as_str()),
        (403, "typed"),
        "{refused}"
    );
    assert!(refused.body.contains("This token can do more than you may grant"));
}

async fn abilities_that_are_gone_are_kept_until_others_are_chosen(framework: Framework) {
    let site = Site::new(framework).await;
    // The release before declared more.
    let store: std::sync::Arc<dyn TokenStore> = site.world.store.clone();
    let before = ApiTokens::builder_on(store)
        .prefix("acme")
        .clock(site.world.clock.clone())
        .build()
        .unwrap();
    let new = NewToken::new(keyfob::Owner::new("project:7").unwrap(), "old");
    let new = new.abilities(["servers:read", "queues:purge"]);
    let id = before.issue(new).await.unwrap().record.id;
    let form = site.look(&format!("/{id}")).await;
    assert!(form.body.contains("value=\"queues:purge\" disabled"), "{form}");
    assert!(form.body.contains("<s>queues:purge</s> <small>no longer exists</small>"));
    let rename = "version=0&name=renamed&expires=keep&access=some&ability=servers:read";
    assert_eq!(site.submit(&format!("/{id}"), rename).await.status, 303);
    assert!(site.get(id).await.abilities.permit("queues:purge"), "a rename takes nothing away");
    let more =
        "version=1&name=renamed&expires=keep&access=some&ability=servers:read&ability=sites:read";
    assert_eq!(site.submit(&format!("/{id}"), more).await.status, 303);
    let abilities = site.get(id).await.abilities;
    assert!(abilities.permit("sites:read") && !abilities.permit("queues:purge"));
}

async fn a_rename_changes_nothing_else(framework: Framework) {
    let options = PageOptions::new().descriptions(true).limits(true);
    let site = Site::with(framework, Setup { options, ..Setup::default() }).await;
    let new = NewToken::named("ci")
        .abilities(["servers:*", "servers:read"])
        .metadata(json!({ "description": " two\nlines " }));
    let before = site.issue(new).await;
    let path = format!("/{}", before.id);
    let shown = site.look(&path).await;
    assert_eq!(shown.field("name=\"description\""), "twolines");
    let form = "version=0&name=new&expires=keep&access=some&ability=servers:*&description=twolines\
         &addresses=&idle_days=&begins=";
    let answer = site.submit(&path, form).await;
    assert_eq!(answer.header("location").unwrap().split_once('?').unwrap().1, "done=changed");
    let after = site.get(before.id).await;
    assert_eq!((after.metadata(), &after.abilities), (before.metadata(), &before.abilities));
}

async fn a_preset_is_no_more_than_it_says(framework: Framework) {
    let options = PageOptions::new().preset("Read only", ["servers:read"]).unwrap();
    let site = Site::with(framework, Setup { options, ..Setup::default() }).await;
    let all = site.issue(NewToken::named("all").all_abilities()).await.id;
    let form = site.look(&format!("/new?from={all}&preset=0")).await;
    assert!(form.body.contains("value=\"some\" checked"), "{form}");
    assert!(form.body.contains("value=\"servers:read\" checked"));
    // It is not offered where it can't be granted.
    let options = PageOptions::new().preset("Create", ["servers:create"]).unwrap();
    let site = Site::with(framework, Setup { options, ..Setup::default() }).await;
    assert!(!site.send(see("/new").by("restricted")).await.body.contains("data-kf-preset"));
}

async fn an_older_token_is_offered_what_it_can_get(framework: Framework) {
    let policy = Policy::new().max_lifetime(Duration::days(100)).name_policy(NamePolicy::strict());
    let site = Site::with(framework, Setup { policy, ..Setup::default() }).await;
    let id = site.token().await;
    site.world.clock.advance(Duration::days(50));
    let form = site.look(&format!("/{id}")).await;
    for (days, is_offered) in [(7, true), (30, true), (60, false), (90, false)] {
        let option = format!("<option value=\"{days}\"");
        assert_eq!(form.body.contains(&option), is_offered, "{days}: {form}");
    }
    assert!(form.body.contains("pattern="));

    // A name from before there was a rule can stay.
    let before = Site::new(framework).await;
    let _ = before.token().await;
    let old = before.issue(NewToken::named("two words").abilities(["servers:read"])).await;
    let inserted = site.world.store.insert(&old, &InsertRules::none()).await;
    assert_eq!(inserted.unwrap(), InsertOutcome::Inserted);
    let form = site.look(&format!("/{}", old.id)).await;
    assert!(!form.body.contains("pattern="), "{form}");
}

async fn a_page_at_the_root_leads_back_to_the_root(framework: Framework) {
    let site = Site::with(framework, Setup { public_path: Some("/"), ..Setup::default() }).await;
    let id = site.token().await;
    let list = site.look("").await;
    assert!(list.body.contains("href=\"/new\"") && list.body.contains("action=\"/\""), "{list}");
    let details = site.look(&format!("/{id}")).await;
    assert!(details.body.contains("<a href=\"/\">API tokens</a>"), "{details}");
    let revoked = site.submit(&format!("/{id}/revoke"), "").await;
    assert_eq!(revoked.header("location"), Some("/?done=revoked&n=1"));
    let again = site.submit(&format!("/{id}/revoke"), "").await;
    assert_eq!(again.status, 409, "it was not revoked once more");
}

async fn who_may_create_and_not_change_is_offered_no_change(framework: Framework) {
    let site = Site::new(framework).await;
    let form = "key=k&name=new&expires=90&access=some&ability=servers:read";
    let send = async || site.send(super::app::form_to("/new", form).by("creator")).await;
    assert_eq!(send().await.heading(), "Token created");
    let again = send().await;
    assert_eq!(again.status, 409);
    assert!(!again.body.contains("/rotate") && !again.body.contains("/revoke"), "{again}");
}
