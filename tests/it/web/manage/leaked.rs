//! Leaked tokens that anyone sends: no claim that is not true, and nothing told about any of them.

use keyfob::{
    NewToken, Owner, Policy, TokenRotation, TokenState,
    store::{CorruptRecord, StoreError},
};
use serde_json::json;

use super::app::{PROJECT, Panel, Switches, send};
use crate::{
    support::once,
    web::{app::Framework, http::Response},
};

on_both! {
    what_is_sent_is_revoked_and_the_answer_tells_nothing
    a_store_that_fails_in_the_middle_is_asked_again
    a_record_that_cannot_be_read_keeps_no_other_alive
    an_address_may_ask_sixty_times_an_hour
    it_is_off_unless_mounted
}

async fn revoke(panel: &Panel, texts: &[String]) -> Response {
    let body = json!({ "tokens": texts }).to_string();
    panel.send(send("POST", "/revoke-presented", &body)).await
}

/// Tokens of one project, and how they look as texts.
async fn leaked(panel: &Panel, count: usize) -> Vec<String> {
    let own = panel.tokens.owned_by(Owner::new(PROJECT).unwrap());
    let mut texts = Vec::new();
    for number in 0..count {
        let issued = own.issue(NewToken::named(format!("leaked {number}"))).await.unwrap();
        texts.push(issued.plain.expose_secret().to_owned());
    }
    texts
}

async fn living(panel: &Panel) -> u64 {
    let own = panel.tokens.owned_by(Owner::new(PROJECT).unwrap());
    own.count().await.unwrap().not_revoked()
}

async fn what_is_sent_is_revoked_and_the_answer_tells_nothing(framework: Framework) {
    let panel = Panel::new(framework).await;
    let own = panel.tokens.owned_by(Owner::new(PROJECT).unwrap());
    let before = living(&panel).await;
    let rotated = own.issue(NewToken::named("rotated")).await.unwrap();
    let rotation = TokenRotation::new().grace(time::Duration::ZERO);
    let _ = own.rotate(rotated.record.id, rotation).await.unwrap();
    let suspended = own.issue(NewToken::named("suspended")).await.unwrap();
    own.suspend(suspended.record.id).await.unwrap();

    let tokens = leaked(&panel, 330).await;
    let mut texts = tokens.clone();
    texts.push(rotated.plain.expose_secret().to_owned());
    texts.push(suspended.plain.expose_secret().to_owned());
    // Wrong secrets, wrong checksums, no tokens at all, and each of some twice.
    texts.extend(tokens.iter().take(200).map(|it| format!("{}x", &it[..it.len() - 1])));
    texts.extend(tokens.iter().take(200).cloned());
    texts.extend((0..200).map(|number| format!("a text {number}")));
    texts.extend([String::new(), "acme_".to_owned(), "\u{202e}".to_owned()]);
    texts.resize(1_000, "acme_nothing".to_owned());
    panel.world.store.take_calls();
    let answer = revoke(&panel, &texts).await;
    let queries = panel.world.store.take_lookups();
    assert!(queries.iter().all(|ids| ids.len() <= 100), "at most 100 in a query");
    assert_eq!(living(&panel).await, before + 1, "a secret that was replaced ends nothing");
    let suspended = own.get(suspended.record.id).await.unwrap();
    assert_eq!(suspended.state_at(panel.tokens.now()), TokenState::Revoked);

    for none in [vec![], vec!["a text".to_owned()], tokens[..1].to_vec()] {
        let other = revoke(&panel, &none).await;
        assert_eq!(other, answer, "the answer tells nothing");
    }
    assert_eq!((answer.status, &*answer.body), (202, "{}"));
    let too_many = vec![String::new(); 1_001];
    assert_eq!(revoke(&panel, &too_many).await.status, 422);
}

async fn a_store_that_fails_in_the_middle_is_asked_again(framework: Framework) {
    for step in ["find_many", "revoke"] {
        let panel = Panel::new(framework).await;
        let before = living(&panel).await;
        let tokens = leaked(&panel, 250).await;
        let store = panel.world.store.clone();
        // The first hundred are done, the next are not.
        let fail = once(move || {
            Box::pin(async move { store.fail_with(&[step], || StoreError::Busy("locked".into())) })
        });
        panel.world.store.after("revoke", fail);
        let refused = revoke(&panel, &tokens).await;
        assert_eq!(refused.told(), (503, "store_unavailable".to_owned()), "{step}");
        panel.world.store.heal();
        assert_eq!(living(&panel).await, before + 150, "{step}");
        assert_eq!(revoke(&panel, &tokens).await.status, 202);
        assert_eq!(living(&panel).await, before, "{step}");
    }
}

async fn a_record_that_cannot_be_read_keeps_no_other_alive(framework: Framework) {
    let panel = Panel::new(framework).await;
    let before = living(&panel).await;
    let tokens = leaked(&panel, 250).await;
    let corrupt = || CorruptRecord::new(None, "digest").into();
    panel.world.store.fail_times(&["find_many"], 1, corrupt);
    let refused = revoke(&panel, &tokens).await;
    assert_eq!(refused.told(), (503, "store_unavailable".to_owned()));
    assert_eq!(living(&panel).await, before + 100, "those that were looked up with it");
}

async fn an_address_may_ask_sixty_times_an_hour(framework: Framework) {
    let panel = Panel::new(framework).await;
    for _ in 0..60 {
        assert_eq!(revoke(&panel, &[]).await.status, 202);
    }
    let refused = revoke(&panel, &[]).await;
    assert_eq!(refused.told(), (429, "rate_limited".to_owned()));
    assert!(refused.header("retry-after").is_some());
}

async fn it_is_off_unless_mounted(framework: Framework) {
    let switches = Switches { revoke_presented: false, ..Switches::ALL };
    let panel = Panel::with(framework, Policy::new(), switches, |it| it).await;
    // It is the id of no token then.
    let told = revoke(&panel, &[]).await.told();
    assert_eq!(told, (405, "method_not_allowed".to_owned()));
}
