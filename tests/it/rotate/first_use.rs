//! The first use of a new secret: recorded before anybody is let in with it, and recorded once.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use futures_util::FutureExt;
use keyfob::{
    TokenChange, TokenRotation, VerifyError,
    store::StoreError,
    web::{IssuedTokenResource, TokenResource},
};
use serde_json::{Value, to_value};
use time::Duration;

use super::{at, grace, rotated, tried, until_first_use};
use crate::support::{TROUBLES, WRITES, World, after, on_every_store};

on_every_store! {
    it_is_recorded_before_the_answer
    what_can_not_be_recorded_is_no_pass
    once_it_is_recorded_nothing_more_is_written
    a_secret_that_no_rotation_made_is_never_marked
    the_old_secret_is_no_use_of_the_new_one
    what_is_refused_is_no_use
    it_is_told_once_with_its_generation
    a_second_node_does_not_record_it_again
    what_is_in_memory_may_be_outdated
    until_then_the_owner_is_shown_that_it_ends_the_old_one
    a_first_use_keeps_the_token_awake
    a_first_use_keeps_the_token_awake_also_after_another_rotation
}

async fn it_is_recorded_before_the_answer(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    at(&world, 7);
    world.store.take_calls();
    assert_eq!(tried(&tokens, &new).await, "good");
    let mut calls = world.store.take_calls();
    calls.dedup();
    assert_eq!(calls, ["peek", "find", "first_use"]);
    let stored = world.stored(&new).await;
    assert_eq!((stored.first_used_at, stored.last_used_at), (Some(after(7)), None));

    let new = rotated(&tokens, &new, grace(0).end_running_grace()).await;
    world.store.hang("first_use");
    let mut verifying = pin!(tokens.verify(new.plain.expose_secret()));
    let mut context = Context::from_waker(Waker::noop());
    while !world.store.take_calls().contains(&"first_use") {
        assert!(verifying.poll_unpin(&mut context).is_pending());
        tokio::task::yield_now().await;
    }
    assert!(verifying.poll_unpin(&mut context).is_pending(), "no answer before it is recorded");
}

async fn what_can_not_be_recorded_is_no_pass(world: World) {
    let tokens = world.tokens();
    for rotation in [grace(100), until_first_use(), TokenRotation::new()] {
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let new = rotated(&tokens, &old, rotation).await;
        for trouble in TROUBLES {
            world.store.fail_with(&["first_use"], trouble);
            world.events.take();
            let refused = tokens.verify(new.plain.expose_secret()).await;
            let Err(VerifyError::Store(error)) = &refused else { panic!("{refused:?}") };
            assert_eq!(error.to_string(), trouble().to_string());
            let events = world.events.take();
            assert_eq!(events.len(), 1, "{events:?}");
            assert!(events[0].starts_with("StoreFailed") || events[0].starts_with("Corrupt"));
            assert_eq!(tried(&tokens, &old).await, "good");
        }
        world.store.heal();
        assert!(world.stored(&old).await.has_unused_secret());
        assert_eq!(tried(&tokens, &old).await, "good");
        assert_eq!(tried(&tokens, &new).await, "good");
    }

    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    world.store.hang("first_use");
    let impatient = world.builder().deadline(Duration::MILLISECOND).build().unwrap();
    let refused = impatient.verify(new.plain.expose_secret()).await;
    assert!(matches!(refused, Err(VerifyError::Store(StoreError::Unavailable(_)))), "{refused:?}");
    assert_eq!(tried(&tokens, &old).await, "good");
}

async fn once_it_is_recorded_nothing_more_is_written(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    assert_eq!(tried(&tokens, &new).await, "good");
    world.store.fail(WRITES);
    world.store.take_calls();
    for _ in 0..3 {
        world.clock.advance(Duration::SECOND);
        assert_eq!(tried(&tokens, &new).await, "good");
        assert_eq!(tried(&tokens, &old).await, "good");
        let token = tokens.verify(new.plain.expose_secret()).await.unwrap();
        assert!(tokens.revalidate(&token).await.is_ok());
    }
    let calls = world.store.take_calls();
    assert!(calls.iter().all(|step| ["peek", "find"].contains(step)), "{calls:?}");
    assert_eq!(world.stored(&new).await.first_used_at, Some(after(0)));
}

async fn a_secret_that_no_rotation_made_is_never_marked(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    world.store.fail(WRITES);
    world.store.take_calls();
    assert_eq!(tried(&tokens, &issued).await, "good");
    assert!(!world.store.take_calls().contains(&"first_use"));
    assert_eq!(world.stored(&issued).await.first_used_at, None);
}

async fn the_old_secret_is_no_use_of_the_new_one(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let connection = tokens.verify(old.plain.expose_secret()).await.unwrap();
    let _ = rotated(&tokens, &old, until_first_use()).await;
    world.store.take_calls();
    for _ in 0..3 {
        assert_eq!(tried(&tokens, &old).await, "good");
        assert!(tokens.revalidate(&connection).await.is_ok());
    }
    assert!(!world.store.take_calls().contains(&"first_use"));
    assert!(world.stored(&old).await.has_unused_secret());
}

async fn what_is_refused_is_no_use(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&tokens, &old, until_first_use()).await;
    let office = TokenChange::new().allowed_addresses(["192.0.2.0/24"]);
    own.change(old.record.id, office).await.unwrap();
    assert_eq!(tried(&tokens, &new).await, "address_not_allowed");
    own.change(old.record.id, TokenChange::new().any_address()).await.unwrap();
    own.suspend(old.record.id).await.unwrap();
    assert_eq!(tried(&tokens, &new).await, "suspended");
    own.resume(old.record.id).await.unwrap();
    assert!(world.stored(&old).await.has_unused_secret());
    assert_eq!(tried(&tokens, &old).await, "good");
}

async fn it_is_told_once_with_its_generation(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    assert_eq!(tried(&tokens, &old).await, "good");
    let new = rotated(&tokens, &old, grace(100)).await;
    assert_eq!(tried(&tokens, &old).await, "good");
    world.events.take();
    let from = Some([192, 0, 2, 1].into());
    for _ in 0..3 {
        tokens.verify_from(new.plain.expose_secret(), from).await.unwrap();
        assert_eq!(tried(&world.tokens(), &new).await, "good");
    }
    let events = world.events.take();
    let told: Vec<_> = events.iter().filter(|event| event.starts_with("FirstUse")).collect();
    assert_eq!(told.len(), 1, "{events:?}");
    assert!(told[0].contains("generation: 1, from: Some(192.0.2.1)"), "{told:?}");
    assert!(told[0].contains(&world.owner.to_string()), "{told:?}");
}

async fn a_second_node_does_not_record_it_again(world: World) {
    let (here, there) = (world.tokens(), world.tokens());
    let old = here.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&here, &old, grace(100)).await;
    assert_eq!(tried(&here, &new).await, "good");
    at(&world, 50);
    world.store.fail(WRITES);
    assert_eq!(tried(&there, &new).await, "good");
    assert_eq!(world.stored(&new).await.first_used_at, Some(after(0)));
}

async fn what_is_in_memory_may_be_outdated(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    world.store.invent(&new.record);
    assert_eq!(tried(&tokens, &new).await, "good");
    world.store.take_calls();
    assert_eq!(tried(&tokens, &new).await, "good", "the store knows better");
    assert_eq!(world.store.take_calls(), ["find"]);
    let next = rotated(&tokens, &new, grace(0).end_running_grace()).await;
    assert_eq!(tried(&tokens, &new).await, "retired_secret");
    assert!(
        tokens.verify(next.plain.expose_secret()).await.is_err(),
        "no pass by what is outdated"
    );
}

async fn until_then_the_owner_is_shown_that_it_ends_the_old_one(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let shown = async || {
        let record = own.get(old.record.id).await.unwrap();
        to_value(TokenResource::new(&record, tokens.now())).unwrap()
    };
    let member = |json: &Value| json.get("grace_until_first_use").cloned();
    assert_eq!(member(&shown().await), None);
    let new = rotated(&tokens, &old, until_first_use()).await;
    for json in [to_value(IssuedTokenResource::new(&new)).unwrap(), shown().await] {
        assert_eq!(member(&json), Some(Value::Bool(true)));
        assert_eq!(json.get("grace_ends_at"), None, "no instant ends it");
    }
    assert_eq!(tried(&tokens, &old).await, "good");
    at(&world, 1_000_000);
    assert_eq!(member(&shown().await), Some(Value::Bool(true)), "nobody has used the new one");
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(member(&shown().await), None);
    let _ = rotated(&tokens, &new, grace(100)).await;
    let json = shown().await;
    assert_eq!(member(&json), None);
    assert!(json["grace_ends_at"].is_string(), "{json}");
}

async fn a_first_use_keeps_the_token_awake(world: World) {
    let tokens = world.tokens();
    let new = world.new_token("a").idle_period(Duration::seconds(1_000));
    let old = tokens.issue(new).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    at(&world, 999);
    assert_eq!(tried(&tokens, &new).await, "good");
    let elsewhere = world.tokens();
    at(&world, 1_998);
    assert_eq!(tried(&elsewhere, &new).await, "good", "also where that is not known otherwise");
    at(&world, 10_000);
    assert_eq!(tried(&tokens, &new).await, "idle");
}

/// The mark of the first use goes with the next rotation. Where the process dies before a flush, nothing else would
/// tell of the use.
async fn a_first_use_keeps_the_token_awake_also_after_another_rotation(world: World) {
    let tokens = world.tokens();
    let new = world.new_token("a").idle_period(Duration::seconds(1_000));
    let oldest = tokens.issue(new).await.unwrap();
    let old = rotated(&tokens, &oldest, grace(0)).await;
    at(&world, 999);
    assert_eq!(tried(&tokens, &old).await, "good");
    drop(tokens);
    let tokens = world.tokens();
    let new = rotated(&tokens, &old, grace(1_000)).await;
    at(&world, 1_900);
    assert_eq!(tried(&tokens, &old).await, "good");
    assert_eq!(tried(&tokens, &new).await, "good");
}
