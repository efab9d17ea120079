//! A secret that comes back after its grace: what is told of it, and what it does where the application wants that.

use keyfob::{Cache, IssuedToken, Policy, TokenId, VerifyError};
use time::Duration;

use super::{at, grace, rotated, tried, until_first_use};
use crate::support::{TROUBLES, World, after, checked, on_every_store, secret_of};

on_every_store! {
    a_retired_secret_is_told_each_time
    a_secret_that_never_was_is_no_event
    a_connection_that_its_grace_has_ended_is_no_event
    a_retired_secret_suspends_nothing_unless_that_is_wanted
    a_retired_secret_suspends_the_token_before_it_is_refused
    a_token_that_has_ended_is_not_suspended
    a_suspension_that_is_there_is_left_as_it_is
    a_retired_secret_is_refused_also_where_nothing_can_be_written
    a_retired_secret_is_told_of_a_token_that_has_ended
}

/// A token whose old secret is retired, and the new one.
async fn retired(world: &World, name: &str) -> [IssuedToken; 2] {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token(name).expires_at(after(1_000))).await.unwrap();
    let new = rotated(&tokens, &old, grace(0)).await;
    [old, new]
}

fn told(world: &World) -> Vec<String> {
    let events = world.events.take();
    events.into_iter().filter(|event| event.starts_with("RetiredSecretUsed")).collect()
}

fn strict(world: &World) -> keyfob::ApiTokens {
    let builder = world.builder().policy(Policy::new().suspend_on_retired_secret(true));
    builder.cache(Cache::for_up_to(Duration::MINUTE)).build().unwrap()
}

async fn a_retired_secret_is_told_each_time(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    assert_eq!(tried(&tokens, &old).await, "good");
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(told(&world), [""; 0], "it is in its grace");
    at(&world, 100);
    let from = Some([192, 0, 2, 1].into());
    for _ in 0..2 {
        let refused = tokens.verify_from(old.plain.expose_secret(), from).await;
        assert!(matches!(refused, Err(VerifyError::RetiredSecret(id)) if id == old.record.id));
        let events = world.events.take();
        let (id, owner) = (old.record.id, &world.owner);
        let expected = [
            format!("RetiredSecretUsed {{ id: {id:?}, owner: {owner:?}, from: {from:?} }}"),
            format!(
                "Refused {{ id: Some({id:?}), owner: None, from: {from:?}, reason: \"retired_secret\" }}"
            ),
        ];
        assert_eq!(events, expected);
    }
    let other = tokens.issue(world.new_token("b")).await.unwrap();
    let next = rotated(&tokens, &other, until_first_use()).await;
    assert_eq!(tried(&tokens, &next).await, "good");
    world.events.take();
    assert_eq!(tried(&tokens, &other).await, "retired_secret");
    assert_eq!(told(&world).len(), 1);
}

async fn a_secret_that_never_was_is_no_event(world: World) {
    let tokens = strict(&world);
    let [old, new] = retired(&world, "a").await;
    let other = tokens.issue(world.new_token("b")).await.unwrap();
    for text in [
        checked(&format!("acme_{}_{}", old.record.id, secret_of(&other))),
        checked(&format!("acme_{}_{}", TokenId::from_u128(7), secret_of(&old))),
        checked(&format!("acme_{}_{}", other.record.id, secret_of(&old))),
        format!("{}x", old.plain.expose_secret()),
    ] {
        assert!(tokens.verify(&text).await.is_err());
    }
    assert_eq!(told(&world), [""; 0]);
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(tried(&tokens, &other).await, "good");
}

async fn a_connection_that_its_grace_has_ended_is_no_event(world: World) {
    let tokens = strict(&world);
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let connection = tokens.verify(old.plain.expose_secret()).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    let renewed = tokens.revalidate(&connection).await.unwrap();
    at(&world, 100);
    for connection in [&connection, &renewed] {
        let ended = tokens.revalidate(connection).await.unwrap_err();
        assert_eq!(ended.code(), "retired_secret");
    }
    assert_eq!(told(&world), [""; 0]);
    assert_eq!(tried(&tokens, &new).await, "good", "and nothing is suspended for it");
}

async fn a_retired_secret_suspends_nothing_unless_that_is_wanted(world: World) {
    let tokens = world.tokens();
    let [old, new] = retired(&world, "a").await;
    world.store.take_calls();
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
    assert!(!world.store.take_calls().contains(&"suspend"));
    assert_eq!(world.stored(&old).await.suspension, None);
    assert_eq!(tried(&tokens, &new).await, "good");
}

async fn a_retired_secret_suspends_the_token_before_it_is_refused(world: World) {
    let tokens = strict(&world);
    let [old, new] = retired(&world, "a").await;
    let connection = tokens.verify(new.plain.expose_secret()).await.unwrap();
    at(&world, 7);
    world.store.take_calls();
    world.events.take();
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
    let calls = world.store.take_calls();
    assert_eq!(calls.last(), Some(&"suspend"), "{calls:?}");
    let stored = world.stored(&old).await;
    let suspension = stored.suspension.as_ref().unwrap();
    assert_eq!((suspension.since, suspension.until), (after(7), None));
    assert!(suspension.reason.is_some());
    let events = world.events.take();
    let kinds: Vec<_> = events.iter().map(|it| it.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["RetiredSecretUsed", "Suspended", "Refused"]);

    assert_eq!(tried(&tokens, &new).await, "suspended");
    assert_eq!(tokens.revalidate(&connection).await.unwrap_err().code(), "suspended");
    world.store.take_calls();
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
    assert!(!world.store.take_calls().contains(&"suspend"), "it is suspended already");
    tokens.owned_by(&world.owner).resume(old.record.id).await.unwrap();
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
    assert_eq!(tried(&tokens, &new).await, "suspended", "each time anew");
}

async fn a_token_that_has_ended_is_not_suspended(world: World) {
    let tokens = strict(&world);
    let [old, new] = retired(&world, "expired").await;
    let [revoked, _] = retired(&world, "revoked").await;
    tokens.owned_by(&world.owner).revoke(revoked.record.id).await.unwrap();
    at(&world, 1_000);
    for issued in [&old, &revoked] {
        let before = world.stored(issued).await;
        world.store.take_calls();
        assert_eq!(tried(&tokens, issued).await, "retired_secret");
        assert!(!world.store.take_calls().contains(&"suspend"));
        assert_eq!(world.stored(issued).await, before);
    }
    assert_eq!(tried(&tokens, &new).await, "expired");
}

async fn a_suspension_that_is_there_is_left_as_it_is(world: World) {
    let tokens = strict(&world);
    let [old, _] = retired(&world, "a").await;
    let own = tokens.owned_by(&world.owner);
    own.because(keyfob::token::Reason::new("unpaid").unwrap())
        .suspend(old.record.id)
        .await
        .unwrap();
    let before = world.stored(&old).await;
    at(&world, 10);
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
    assert_eq!(world.stored(&old).await, before);
}

async fn a_retired_secret_is_refused_also_where_nothing_can_be_written(world: World) {
    let tokens = strict(&world);
    let [old, new] = retired(&world, "a").await;
    for trouble in TROUBLES {
        world.store.fail_with(&["suspend"], trouble);
        world.events.take();
        assert_eq!(tried(&tokens, &old).await, "retired_secret");
        assert_eq!(told(&world).len(), 1);
    }
    world.store.hang("suspend");
    let impatient = world.builder().policy(Policy::new().suspend_on_retired_secret(true));
    let impatient = impatient.build().unwrap();
    world.events.take();
    assert_eq!(tried(&impatient, &old).await, "retired_secret", "it has half of the time alone");
    assert_eq!(world.events.kinds(), ["RetiredSecretUsed", "StoreFailed", "Refused"]);
    world.store.heal();
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
    assert_eq!(tried(&tokens, &new).await, "suspended", "it is tried again");
}

async fn a_retired_secret_is_told_of_a_token_that_has_ended(world: World) {
    let tokens = world.tokens();
    let [old, _] = retired(&world, "a").await;
    tokens.owned_by(&world.owner).revoke(old.record.id).await.unwrap();
    world.events.take();
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
    assert_eq!(told(&world).len(), 1);
}
