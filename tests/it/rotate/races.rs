//! Rotations against each other and against everything else that happens to a token at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use keyfob::{IssuedToken, RotateError, TokenRotation};
use time::Duration;
use tokio::sync::Barrier;

use super::{at, grace, rotated, tried, until_first_use};
use crate::support::{World, after, on_every_store};

on_every_store! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 8)] =>
    of_many_rotations_of_a_generation_one_is_done
    of_two_retries_that_read_the_same_one_is_done
    of_two_rotations_that_read_the_same_one_is_done
    rotations_in_any_order_leave_one_live_successor
    rotations_and_uses_in_any_order_never_kill_a_secret_that_was_used
    a_rotation_against_flushes_and_renames_undoes_nothing
}

/// Rotates at once, from handles that share nothing but the store.
async fn rotate_at_once(
    world: &World,
    issued: &IssuedToken,
    count: usize,
    rotation: &TokenRotation,
) -> Vec<Result<IssuedToken, RotateError>> {
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let own = world.tokens().owned_by(&world.owner);
            let (id, rotation) = (issued.record.id, rotation.clone());
            tokio::spawn(async move { own.rotate(id, rotation).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

/// Lets the first so many reads of the store go on together.
fn read_together(world: &World, count: usize) {
    let (barrier, calls) = (Arc::new(Barrier::new(count)), AtomicUsize::new(0));
    world.store.after("find", move || {
        let barrier = barrier.clone();
        let waits = calls.fetch_add(1, SeqCst) < count;
        Box::pin(async move {
            if waits {
                barrier.wait().await;
            }
        })
    });
}

/// The one that was done; the others are conflicts.
#[track_caller]
fn winner(outcomes: Vec<Result<IssuedToken, RotateError>>) -> IssuedToken {
    let lost = outcomes.iter().filter(|it| matches!(it, Err(RotateError::Conflict))).count();
    assert_eq!(lost, outcomes.len() - 1, "{outcomes:?}");
    outcomes.into_iter().flatten().next().unwrap()
}

async fn of_many_rotations_of_a_generation_one_is_done(world: World) {
    let tokens = world.tokens();
    for _ in 0..30 {
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let outcomes = rotate_at_once(&world, &old, 6, &grace(100).generation(0)).await;
        let new = winner(outcomes);
        assert_eq!(new.record.generation, 1);
        assert_eq!(tried(&tokens, &new).await, "good");
        assert_eq!(tried(&tokens, &old).await, "good");
    }
}

async fn of_two_rotations_that_read_the_same_one_is_done(world: World) {
    let tokens = world.tokens();
    for _ in 0..10 {
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        for rotation in [grace(100), grace(0), until_first_use()] {
            world.store.heal();
            tried(&tokens, &old).await;
            read_together(&world, 2);
            let outcomes = rotate_at_once(&world, &old, 2, &rotation).await;
            world.store.heal();
            let new = winner(outcomes);
            assert_eq!(tried(&tokens, &new).await, "good");
            at(&world, tokens.now().unix_seconds() - after(0).unix_seconds() + 100);
        }
        assert_eq!(world.stored(&old).await.generation, 3);
    }
}

async fn of_two_retries_that_read_the_same_one_is_done(world: World) {
    let tokens = world.tokens();
    for _ in 0..20 {
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let lost = rotated(&tokens, &old, grace(100)).await;
        read_together(&world, 2);
        let outcomes = rotate_at_once(&world, &old, 2, &grace(100)).await;
        world.store.heal();
        let new = winner(outcomes);
        assert_eq!(new.record.generation, 1);
        assert_eq!(tried(&tokens, &lost).await, "wrong_secret");
        assert_eq!(tried(&tokens, &old).await, "good");
        assert_eq!(tried(&tokens, &new).await, "good");
    }
}

async fn rotations_in_any_order_leave_one_live_successor(world: World) {
    let tokens = world.tokens();
    for _ in 0..30 {
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let outcomes = rotate_at_once(&world, &old, 4, &grace(100)).await;
        let mut live = 0;
        for outcome in outcomes {
            match outcome {
                Ok(new) => {
                    let verified = tried(&tokens, &new).await;
                    assert!(["good", "wrong_secret"].contains(&verified), "{verified}");
                    live += usize::from(verified == "good");
                }
                Err(error) => assert!(matches!(error, RotateError::Conflict), "{error:?}"),
            }
        }
        assert_eq!(live, 1);
        assert_eq!(world.stored(&old).await.generation, 1, "what came later was a retry");
    }
}

async fn rotations_and_uses_in_any_order_never_kill_a_secret_that_was_used(world: World) {
    for _ in 0..30 {
        let tokens = world.tokens();
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let new = Arc::new(rotated(&tokens, &old, grace(100)).await);
        let using = tokio::spawn({
            let (tokens, new) = (world.tokens(), new.clone());
            async move { tried(&tokens, &new).await }
        });
        let outcomes = rotate_at_once(&world, &old, 2, &grace(100)).await;
        let used = using.await.unwrap();
        let replaced = outcomes.iter().flatten().count();
        if used == "good" {
            assert_eq!(replaced, 0, "a secret that was used is not replaced: {outcomes:?}");
            assert_eq!(tried(&tokens, &new).await, "good");
        } else {
            assert!(used == "wrong_secret" && replaced >= 1, "{used} {outcomes:?}");
            assert_eq!(tried(&tokens, &new).await, "wrong_secret");
        }
        assert_eq!(tried(&tokens, &old).await, "good");
    }
}

async fn a_rotation_against_flushes_and_renames_undoes_nothing(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let mut current = tokens.issue(world.new_token("a")).await.unwrap();
    for round in 1..=20 {
        world.clock.advance(Duration::SECOND);
        assert_eq!(tried(&tokens, &current).await, "good");
        let used = tokens.now();
        let name = format!("renamed {round}");
        let (flushed, renamed, rotated) = tokio::join!(
            tokio::spawn({
                let tokens = tokens.clone();
                async move { tokens.flush().await }
            }),
            tokio::spawn({
                let (own, id, name) = (own.clone(), current.record.id, name.clone());
                async move { own.rename(id, &name).await }
            }),
            tokio::spawn({
                let (own, id) = (own.clone(), current.record.id);
                async move { own.rotate(id, grace(0)).await }
            }),
        );
        flushed.unwrap().unwrap();
        renamed.unwrap().unwrap();
        let new = rotated.unwrap().unwrap();
        tokens.flush().await.unwrap();
        let stored = world.stored(&new).await;
        assert_eq!((stored.generation, stored.name.as_str()), (round, name.as_str()));
        assert_eq!((stored.last_used_at, stored.first_used_at), (Some(used), None));
        assert_eq!(stored.digest, new.record.digest);
        assert_eq!(tried(&tokens, &current).await, "retired_secret");
        current = new;
    }
}
