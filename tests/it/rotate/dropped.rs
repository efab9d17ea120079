//! A client goes away at any moment: each await of a rotation and of a first use is where its future may be dropped.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use keyfob::{
    ApiTokens, IssuedToken, Policy, TokenRotation,
    store::contract::{Change, UpdateOutcome},
};

use super::{grace, rotated, tried, until_first_use};
use crate::support::store_ext::StoreExt;
use crate::support::{Spy, World, on_every_store};

/// How often a future is polled before it is dropped. A store with threads of its own may need many.
fn counts() -> impl Iterator<Item = usize> {
    (0..12).chain([20, 50, 100, 200, 500, usize::MAX])
}

on_every_store! {
    a_rotation_that_is_dropped_loses_no_token
    a_retry_that_is_dropped_loses_no_token
    a_first_use_that_is_dropped_loses_no_secret
    a_suspension_for_a_retired_secret_that_is_dropped_lets_nobody_in
}

/// Polls a future so often and drops it; tells what it came to, if it did.
async fn poll<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Lets every step wait once, before it or before its answer.
fn wait(store: &Spy, is_before: bool) {
    store.heal();
    for step in ["find", "rotate", "first_use", "suspend"] {
        if is_before {
            store.before(step, || Box::pin(tokio::task::yield_now()));
        } else {
            store.after(step, || Box::pin(tokio::task::yield_now()));
        }
    }
}

/// Waits until what a dropped future has left to the store is done: one that writes is written after it.
async fn settle(world: &World, issued: &IssuedToken) {
    world.store.heal();
    let outcome = world.store.change(issued.record.id, None, &Change::default()).await.unwrap();
    assert!(matches!(outcome, UpdateOutcome::Updated(_)), "{outcome:?}");
}

/// Whatever has happened, the owner gets a secret that works, and there is one.
async fn recovers(world: &World, tokens: &ApiTokens, old: &IssuedToken) -> IssuedToken {
    world.store.heal();
    let new = rotated(tokens, old, TokenRotation::new().end_running_grace()).await;
    assert_eq!(tried(tokens, &new).await, "good");
    new
}

async fn a_rotation_that_is_dropped_loses_no_token(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let (mut done, mut undone) = (0, 0);
    for is_before in [true, false] {
        for rotation in [grace(100), grace(0), until_first_use()] {
            for polls in counts() {
                world.store.heal();
                let old = tokens.issue(world.new_token("a")).await.unwrap();
                wait(&world.store, is_before);
                let rotating = own.rotate(old.record.id, rotation.clone());
                let outcome = poll(rotating, polls).await.transpose().unwrap();
                settle(&world, &old).await;
                let stored = world.stored(&old).await;
                if stored.generation == 0 {
                    assert!(outcome.is_none());
                    assert_eq!((&stored.digest, &stored.previous), (&old.record.digest, &None));
                    assert_eq!(tried(&tokens, &old).await, "good", "nothing has happened");
                    undone += 1;
                } else {
                    assert!(stored.has_unused_secret(), "whoever lost it asks again");
                    assert_eq!(stored.generation, 1);
                    let is_over = tried(&tokens, &old).await == "retired_secret";
                    let has_none = stored.previous.as_ref().unwrap().ends_at == Some(tokens.now());
                    assert_eq!(is_over, has_none);
                    if let Some(new) = outcome {
                        assert_eq!(tried(&tokens, &new).await, "good");
                    }
                    done += 1;
                }
                let new = recovers(&world, &tokens, &old).await;
                assert!(new.record.generation <= 2);
            }
        }
    }
    assert!(done > 0 && undone > 0, "{done} {undone}");
}

async fn a_retry_that_is_dropped_loses_no_token(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    for is_before in [true, false] {
        for polls in counts() {
            world.store.heal();
            let old = tokens.issue(world.new_token("a")).await.unwrap();
            let first = rotated(&tokens, &old, grace(100)).await;
            wait(&world.store, is_before);
            let retried = poll(own.rotate(old.record.id, grace(0)), polls).await;
            settle(&world, &old).await;
            let stored = world.stored(&old).await;
            assert!(stored.has_unused_secret() && stored.generation == 1);
            let replaced = stored.digest != first.record.digest;
            assert!(replaced || retried.is_none());
            assert_eq!(tried(&tokens, &old).await, "good");
            let expected = if replaced { "wrong_secret" } else { "good" };
            assert_eq!(tried(&tokens, &first).await, expected);
            let _ = recovers(&world, &tokens, &old).await;
        }
    }
}

async fn a_first_use_that_is_dropped_loses_no_secret(world: World) {
    let tokens = world.tokens();
    let (mut marked, mut unmarked) = (0, 0);
    for is_before in [true, false] {
        for polls in counts() {
            world.store.heal();
            let old = tokens.issue(world.new_token("a")).await.unwrap();
            let new = rotated(&tokens, &old, until_first_use()).await;
            wait(&world.store, is_before);
            let verified = poll(tokens.verify(new.plain.expose_secret()), polls).await;
            settle(&world, &old).await;
            let is_marked = world.stored(&old).await.first_used_at.is_some();
            assert!(is_marked || verified.is_none(), "no pass without the mark");
            let expected = if is_marked { "retired_secret" } else { "good" };
            assert_eq!(tried(&tokens, &old).await, expected);
            assert_eq!(tried(&tokens, &new).await, "good", "it is good either way");
            if is_marked { marked += 1 } else { unmarked += 1 }
        }
    }
    assert!(marked > 0 && unmarked > 0, "{marked} {unmarked}");
}

async fn a_suspension_for_a_retired_secret_that_is_dropped_lets_nobody_in(world: World) {
    let tokens = world.with(Policy::new().suspend_on_retired_secret(true));
    for is_before in [true, false] {
        for polls in counts() {
            world.store.heal();
            let old = tokens.issue(world.new_token("a")).await.unwrap();
            let new = rotated(&tokens, &old, grace(0)).await;
            wait(&world.store, is_before);
            let refused = poll(tokens.verify(old.plain.expose_secret()), polls).await;
            settle(&world, &new).await;
            assert!(refused.as_ref().is_none_or(Result::is_err), "{refused:?}");
            let is_suspended = world.stored(&old).await.suspension.is_some();
            assert!(is_suspended || refused.is_none(), "before the refusal");
            let expected = if is_suspended { "suspended" } else { "good" };
            assert_eq!(tried(&tokens, &new).await, expected);
        }
    }
}
