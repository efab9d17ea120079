//! For how long what was read is good.

use std::sync::Arc;

use futures_util::FutureExt;
use keyfob::{
    ApiTokens, Cache, VerifyError,
    store::{MemoryStore, StoreError},
};
use time::Duration;

use super::{STALENESS, building, node, remembered, revoke_elsewhere, warm};
use crate::support::{SleepyClock, World, on_every_store, once, verdict};

on_every_store! {
    what_another_node_revokes_is_refused_once_what_was_read_is_too_old
    the_age_counts_from_before_the_store_was_asked
    a_wall_clock_that_is_put_back_makes_nothing_younger
    what_was_read_before_the_machine_slept_is_read_again
    a_token_that_is_remembered_ends_at_the_second_of_its_expiry
    a_store_that_fails_lets_nobody_in_by_what_is_too_old
}

const NANOSECOND: Duration = Duration::nanoseconds(1);

async fn what_another_node_revokes_is_refused_once_what_was_read_is_too_old(world: World) {
    let [here, there] = [node(&world), node(&world)];
    let issued = warm(&world, &here).await;
    assert_eq!(verdict(&there, &issued).await, "good");
    there.owned_by(&world.owner).revoke(issued.record.id).await.unwrap();
    assert_eq!(verdict(&there, &issued).await, "revoked");
    assert_eq!(remembered(&world, &here, &issued).await, "good");
    world.clock.advance(STALENESS - NANOSECOND);
    assert_eq!(remembered(&world, &here, &issued).await, "good");
    world.clock.advance(NANOSECOND);
    assert_eq!(verdict(&here, &issued).await, "revoked");
    world.clock.advance(NANOSECOND);
    assert_eq!(verdict(&here, &issued).await, "revoked");
}

async fn the_age_counts_from_before_the_store_was_asked(world: World) {
    let world = Arc::new(world);
    let tokens = node(&world);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let (there, id) = (world.clone(), issued.record.id);
    let slowly = async move {
        there.clock.advance(Duration::seconds(2));
        revoke_elsewhere(&there, id).await;
        there.clock.advance(Duration::seconds(2));
    };
    // By when it is asked, and by when it answers.
    world.store.after("find", once(move || slowly.boxed()));
    assert_eq!(verdict(&tokens, &issued).await, "good");
    world.store.heal();
    world.clock.advance(Duration::SECOND - NANOSECOND);
    assert_eq!(remembered(&world, &tokens, &issued).await, "good");
    world.clock.advance(NANOSECOND);
    assert_eq!(verdict(&tokens, &issued).await, "revoked");
}

async fn what_was_read_before_the_machine_slept_is_read_again(world: World) {
    let clock = SleepyClock::new();
    let tokens = building(&world).clock(clock.clone()).build().unwrap();
    let issued = warm(&world, &tokens).await;
    revoke_elsewhere(&world, issued.record.id).await;
    clock.sleep(4);
    assert_eq!(remembered(&world, &tokens, &issued).await, "good");
    clock.sleep(1);
    assert_eq!(verdict(&tokens, &issued).await, "revoked");
}

async fn a_wall_clock_that_is_put_back_makes_nothing_younger(world: World) {
    let tokens = node(&world);
    let issued = warm(&world, &tokens).await;
    revoke_elsewhere(&world, issued.record.id).await;
    world.clock.advance(STALENESS - NANOSECOND);
    world.clock.advance(-Duration::HOUR);
    assert_eq!(remembered(&world, &tokens, &issued).await, "good");
    world.clock.advance(NANOSECOND);
    assert_eq!(verdict(&tokens, &issued).await, "revoked");
}

async fn a_token_that_is_remembered_ends_at_the_second_of_its_expiry(world: World) {
    let tokens = node(&world);
    let new = world.new_token("a").expires_in(Duration::seconds(3));
    let issued = tokens.issue(new).await.unwrap();
    assert_eq!(verdict(&tokens, &issued).await, "good");
    for (seconds, expected) in [(2, "good"), (3, "expired"), (4, "expired"), (2, "expired")] {
        world.at(seconds);
        assert_eq!(remembered(&world, &tokens, &issued).await, expected, "after {seconds} s");
    }
}

async fn a_store_that_fails_lets_nobody_in_by_what_is_too_old(world: World) {
    let tokens = node(&world);
    let [good, revoked] = [warm(&world, &tokens).await, warm(&world, &tokens).await];
    tokens.owned_by(&world.owner).revoke(revoked.record.id).await.unwrap();
    world.store.fail(&["find", "find_many"]);
    world.clock.advance(STALENESS - NANOSECOND);
    assert_eq!(remembered(&world, &tokens, &good).await, "good");
    world.clock.advance(NANOSECOND);
    for pause in [Duration::ZERO, Duration::DAY] {
        world.clock.advance(pause);
        let outcome = tokens.verify(good.plain.expose_secret()).await;
        assert!(matches!(outcome, Err(VerifyError::Store(StoreError::Unavailable(_)))));
        assert_eq!(remembered(&world, &tokens, &revoked).await, "revoked");
    }
    world.store.heal();
    assert_eq!(verdict(&tokens, &good).await, "good");
    assert_eq!(remembered(&world, &tokens, &good).await, "good");
}

#[test]
fn nothing_is_good_for_longer_than_a_minute() {
    let with = |staleness| {
        let builder = ApiTokens::builder(MemoryStore::new()).prefix("acme");
        let built = builder.cache(Cache::for_up_to(staleness)).build();
        built.map(|tokens| tokens.cache_stats().is_some())
    };
    for staleness in [NANOSECOND, Duration::MINUTE] {
        assert!(with(staleness).unwrap());
    }
    assert!(!with(Duration::ZERO).unwrap(), "nothing is remembered");
    for staleness in [-NANOSECOND, Duration::MINUTE + NANOSECOND] {
        let error = with(staleness).unwrap_err();
        assert_eq!(error.to_string(), "cache must be for at least 0 and at most 60 seconds");
    }
}
