//! As long as the new secret was not used, whoever lost it asks again.

use time::Duration;

use super::{at, grace, previous, rotate, rotated, tried, until_first_use};
use crate::support::store_ext::StoreExt;
use crate::support::{World, after, on_every_store};
use keyfob::{RotateError, TokenRotation};

on_every_store! {
    a_retry_replaces_the_secret_that_was_lost
    a_retry_leaves_the_grace_where_it_was
    a_retry_ends_the_grace_where_that_is_asked
    a_retry_when_the_grace_is_over_does_not_begin_it_anew
    a_retry_of_one_until_first_use_stays_so
    a_retry_may_give_another_expiry
    a_secret_that_is_in_use_is_never_retried
    a_use_that_was_recorded_elsewhere_counts
}

async fn a_retry_replaces_the_secret_that_was_lost(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let mut lost = Vec::new();
    let mut new = rotated(&tokens, &old, TokenRotation::new()).await;
    for _ in 0..3 {
        lost.push(new);
        new = rotated(&tokens, &old, TokenRotation::new()).await;
        assert_eq!(new.record.generation, 1);
        assert_eq!(
            previous(&new.record).digest,
            old.record.digest,
            "the old one stays the old one"
        );
    }
    world.events.take();
    for lost in &lost {
        assert_eq!(tried(&tokens, lost).await, "wrong_secret");
    }
    assert!(!world.events.take().iter().any(|event| event.starts_with("RetiredSecretUsed")));
    assert!(world.stored(&old).await.has_unused_secret());
    assert_eq!(tried(&tokens, &old).await, "good");
    assert_eq!(tried(&tokens, &new).await, "good");
    for lost in &lost {
        assert_eq!(tried(&tokens, lost).await, "wrong_secret");
    }
}

async fn a_retry_leaves_the_grace_where_it_was(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let _ = rotated(&tokens, &old, grace(100)).await;
    at(&world, 50);
    for other in [TokenRotation::new(), grace(0), grace(1_000), grace(10), until_first_use()] {
        let new = rotated(&tokens, &old, other).await;
        let previous = previous(&new.record);
        assert_eq!((previous.ends_at, previous.ends_on_first_use), (Some(after(100)), false));
        assert_eq!(new.record.rotated_at, Some(after(50)));
        assert_eq!(tried(&tokens, &old).await, "good");
    }
    let new = rotated(&tokens, &old, grace(1_000)).await;
    assert_eq!(tried(&tokens, &new).await, "good");
    at(&world, 99);
    assert_eq!(tried(&tokens, &old).await, "good");
    at(&world, 100);
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
}

async fn a_retry_ends_the_grace_where_that_is_asked(world: World) {
    let tokens = world.tokens();
    for first in [grace(100), until_first_use()] {
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let lost = rotated(&tokens, &old, first).await;
        at(&world, 10);
        let new = rotated(&tokens, &old, grace(500).end_running_grace()).await;
        assert_eq!(new.record.generation, 1);
        assert_eq!(tried(&tokens, &old).await, "retired_secret");
        assert_eq!(tried(&tokens, &lost).await, "wrong_secret");
        assert_eq!(tried(&tokens, &new).await, "good");
    }
}

async fn a_retry_when_the_grace_is_over_does_not_begin_it_anew(world: World) {
    let tokens = world.tokens();
    for first in [grace(10), grace(0)] {
        let begin = tokens.now();
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let _ = rotated(&tokens, &old, first).await;
        world.clock.advance(Duration::seconds(10));
        for retry in [grace(1_000), grace(0).end_running_grace(), until_first_use()] {
            let new = rotated(&tokens, &old, retry).await;
            assert_eq!(new.record.generation, 1);
            let end = previous(&new.record).ends_at.unwrap();
            assert!(end <= begin.checked_add(Duration::seconds(10)).unwrap(), "{end}");
            assert_eq!(tried(&tokens, &old).await, "retired_secret");
        }
    }
}

async fn a_retry_of_one_until_first_use_stays_so(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let _ = rotated(&tokens, &old, until_first_use()).await;
    let new = rotated(&tokens, &old, grace(10)).await;
    let kept = previous(&new.record);
    assert_eq!((kept.ends_at, kept.ends_on_first_use), (None, true));
    at(&world, 1_000);
    assert_eq!(tried(&tokens, &old).await, "good");
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
}

async fn a_retry_may_give_another_expiry(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a").expires_at(after(1_000))).await.unwrap();
    let _ = rotated(&tokens, &old, grace(100).expires_at(after(2_000))).await;
    let new = rotated(&tokens, &old, grace(100)).await;
    assert_eq!(new.record.expires_at, Some(after(2_000)));
    let new = rotated(&tokens, &old, grace(100).expires_at(after(50))).await;
    assert_eq!(new.record.expires_at, Some(after(50)));
    at(&world, 50);
    for ended in [&old, &new] {
        assert_eq!(tried(&tokens, ended).await, "expired");
    }
}

async fn a_secret_that_is_in_use_is_never_retried(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&tokens, &old, grace(0)).await;
    assert_eq!(tried(&tokens, &new).await, "good");
    let next = rotated(&tokens, &old, grace(10)).await;
    assert_eq!(next.record.generation, 2);
    assert_eq!(tried(&tokens, &new).await, "good", "it has a grace as any other");
    assert_eq!(tried(&tokens, &old).await, "wrong_secret");
}

async fn a_use_that_was_recorded_elsewhere_counts(world: World) {
    let (here, there) = (world.tokens(), world.tokens());
    let old = here.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&here, &old, grace(100)).await;
    assert_eq!(tried(&there, &new).await, "good");
    let refused = rotate(&here, &old, TokenRotation::new()).await;
    assert!(matches!(refused, Err(RotateError::InGrace)), "{refused:?}");
    let digest = world.stored(&old).await.digest.clone();
    assert!(!world.store.mark_first_use(old.record.id, &digest, after(9)).await.unwrap());
}
