//! What happens to a token between two steps of a rotation or of a first use.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use keyfob::{
    ApiTokens, IssuedToken, ManageError, RotateError, TokenChange, TokenRotation, TokenState,
    VerifyError,
};

use super::{grace, previous, rotate, rotated, tried, until_first_use};
use crate::support::{World, after, on_every_store, once};

on_every_store! {
    a_retry_against_a_first_use_leaves_the_secret_that_was_used
    a_secret_that_is_replaced_while_it_is_verified_does_not_pass
    a_loser_is_told_also_where_the_winner_is_in_use_already
    a_token_that_is_revoked_meanwhile_is_not_rotated
    a_revocation_while_a_first_use_is_recorded_is_no_pass
    a_suspension_meanwhile_stays
    an_expiry_that_changes_meanwhile_is_the_one_that_counts
    a_rename_meanwhile_stays
    a_token_that_is_erased_meanwhile_is_not_found
    a_token_that_changes_all_the_time_is_not_rotated
}

async fn a_retry_against_a_first_use_leaves_the_secret_that_was_used(world: World) {
    let tokens = world.tokens();
    for first in [grace(100), grace(0), until_first_use()] {
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let new = Arc::new(rotated(&tokens, &old, first.clone()).await);
        let (used, elsewhere) = (new.clone(), world.tokens());
        world.store.before(
            "rotate",
            once(move || {
                Box::pin(async move { assert_eq!(tried(&elsewhere, &used).await, "good") })
            }),
        );
        let outcome = rotate(&tokens, &old, TokenRotation::new()).await;
        world.store.heal();
        assert_eq!(tried(&tokens, &new).await, "good", "{first:?}");
        match outcome {
            Err(RotateError::InGrace) => assert_eq!(tried(&tokens, &old).await, "good"),
            // There is no grace that would be cut off: it is a rotation as any other, with a grace for what is used.
            Ok(next) => {
                assert_eq!(next.record.generation, 2);
                assert_eq!(tried(&tokens, &next).await, "good");
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn a_secret_that_is_replaced_while_it_is_verified_does_not_pass(world: World) {
    let tokens = world.tokens();
    for (hook, step) in [("after", "find"), ("before", "first_use")] {
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let lost = rotated(&tokens, &old, grace(100)).await;
        let kept = Arc::new(Mutex::new(None));
        let (own, id, out) = (world.tokens().owned_by(&world.owner), old.record.id, kept.clone());
        let retry = once(move || {
            Box::pin(async move {
                let new = own.rotate(id, grace(100)).await.unwrap();
                *out.lock().unwrap() = Some(new);
            })
        });
        if hook == "after" {
            world.store.after(step, retry);
        } else {
            world.store.before(step, retry);
        }
        world.events.take();
        let refused = tokens.verify(lost.plain.expose_secret()).await;
        assert!(matches!(refused, Err(VerifyError::WrongSecret)), "{hook} {step}: {refused:?}");
        world.store.heal();
        assert_eq!(world.events.count("FirstUse"), 0);
        let new = kept.lock().unwrap().take().unwrap();
        assert!(world.stored(&old).await.has_unused_secret());
        assert_eq!(tried(&tokens, &new).await, "good");
    }
}

async fn a_loser_is_told_also_where_the_winner_is_in_use_already(world: World) {
    let tokens = world.tokens();
    for first in [grace(0), grace(100), until_first_use()] {
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let _ = rotated(&tokens, &old, first.clone()).await;
        let kept = Arc::new(Mutex::new(None));
        let (elsewhere, out) = (world.tokens(), kept.clone());
        let (own, id) = (elsewhere.owned_by(&world.owner), old.record.id);
        let retry = once(move || {
            Box::pin(async move {
                let new = own.rotate(id, TokenRotation::new()).await.unwrap();
                assert_eq!(tried(&elsewhere, &new).await, "good");
                *out.lock().unwrap() = Some(new);
            })
        });
        world.store.after("find", retry);
        let outcome = rotate(&tokens, &old, grace(0)).await;
        world.store.heal();
        assert!(matches!(outcome, Err(RotateError::Conflict)), "{first:?}: {outcome:?}");
        let new = kept.lock().unwrap().take().unwrap();
        assert_eq!(tried(&tokens, &new).await, "good");
    }
}

/// Does something to a token just before a rotation is written, and tells what became of that.
async fn meanwhile<F: Future<Output = ()> + Send + 'static>(
    world: &World,
    issued: &IssuedToken,
    rotation: TokenRotation,
    act: impl FnOnce(ApiTokens) -> F + Send + 'static,
) -> Result<IssuedToken, RotateError> {
    let elsewhere = world.tokens();
    world.store.before("rotate", once(move || Box::pin(act(elsewhere))));
    let outcome = rotate(&world.tokens(), issued, rotation).await;
    world.store.heal();
    outcome
}

async fn a_token_that_is_revoked_meanwhile_is_not_rotated(world: World) {
    let old = world.tokens().issue(world.new_token("a")).await.unwrap();
    let (owner, id) = (world.owner.clone(), old.record.id);
    let outcome = meanwhile(&world, &old, grace(100), move |tokens| async move {
        tokens.owned_by(&owner).revoke(id).await.unwrap();
    });
    let outcome = outcome.await;
    assert!(
        matches!(outcome, Err(RotateError::Manage(ManageError::NotActive(TokenState::Revoked)))),
        "{outcome:?}"
    );
    let stored = world.stored(&old).await;
    assert_eq!((stored.generation, &stored.digest), (0, &old.record.digest));
    assert_eq!(tried(&world.tokens(), &old).await, "revoked");
}

async fn a_revocation_while_a_first_use_is_recorded_is_no_pass(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    let (own, id) = (world.tokens().owned_by(&world.owner), old.record.id);
    let revoke = once(move || Box::pin(async move { own.revoke(id).await.unwrap() }));
    world.store.before("first_use", revoke);
    assert_eq!(tried(&tokens, &new).await, "revoked");
    assert_eq!(tried(&tokens, &old).await, "revoked");
    assert_eq!(world.stored(&old).await.first_used_at, None);
}

async fn a_suspension_meanwhile_stays(world: World) {
    let old = world.tokens().issue(world.new_token("a")).await.unwrap();
    let (owner, id) = (world.owner.clone(), old.record.id);
    let outcome = meanwhile(&world, &old, grace(100), move |tokens| async move {
        tokens.owned_by(&owner).suspend(id).await.map(drop).unwrap();
    });
    let new = outcome.await.unwrap();
    assert!(new.record.suspension.is_some());
    for issued in [&old, &new] {
        assert_eq!(tried(&world.tokens(), issued).await, "suspended");
    }
}

async fn an_expiry_that_changes_meanwhile_is_the_one_that_counts(world: World) {
    let tokens = world.tokens();
    for (before, during) in [(None, Some(50)), (Some(1_000), Some(50)), (Some(50), Some(1_000))] {
        let mut new = world.new_token("a");
        if let Some(before) = before {
            new = new.expires_at(after(before));
        }
        let old = tokens.issue(new).await.unwrap();
        let (owner, id) = (world.owner.clone(), old.record.id);
        let change = TokenChange::new().expires_at(after(during.unwrap()));
        let outcome = meanwhile(&world, &old, grace(100), move |tokens| async move {
            tokens.owned_by(&owner).change(id, change).await.map(drop).unwrap();
        });
        let new = outcome.await.unwrap();
        assert_eq!((new.record.expires_at, new.record.generation), (during.map(after), 1));
        let end = during.unwrap().min(100);
        assert_eq!(previous(&new.record).ends_at, Some(after(end)), "the grace too");
    }

    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let (owner, id, clock) = (world.owner.clone(), old.record.id, world.clock.clone());
    let outcome = meanwhile(&world, &old, grace(100), move |tokens| async move {
        let change = TokenChange::new().expires_at(after(10));
        tokens.owned_by(&owner).change(id, change).await.map(drop).unwrap();
        clock.set(after(10).datetime());
    });
    let outcome = outcome.await;
    assert!(
        matches!(outcome, Err(RotateError::Manage(ManageError::NotActive(TokenState::Expired)))),
        "{outcome:?}"
    );
    assert_eq!(world.stored(&old).await.generation, 0);
}

async fn a_rename_meanwhile_stays(world: World) {
    let old = world.tokens().issue(world.new_token("a")).await.unwrap();
    let (owner, id) = (world.owner.clone(), old.record.id);
    let outcome = meanwhile(&world, &old, grace(100), move |tokens| async move {
        tokens.owned_by(&owner).rename(id, "b").await.map(drop).unwrap();
    });
    assert_eq!(outcome.await.unwrap().record.name.as_str(), "b");
}

async fn a_token_that_is_erased_meanwhile_is_not_found(world: World) {
    let old = world.tokens().issue(world.new_token("a")).await.unwrap();
    let owner = world.owner.clone();
    let outcome = meanwhile(&world, &old, grace(100), move |tokens| async move {
        tokens.owned_by(&owner).erase().await.map(drop).unwrap();
    });
    let outcome = outcome.await;
    assert!(matches!(outcome, Err(RotateError::Manage(ManageError::NotFound))), "{outcome:?}");
}

async fn a_token_that_changes_all_the_time_is_not_rotated(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let (own, id) = (world.tokens().owned_by(&world.owner), old.record.id);
    let count = Arc::new(AtomicUsize::new(1_000));
    world.store.before("rotate", move || {
        let (own, count) = (own.clone(), count.clone());
        Box::pin(async move {
            let end = i64::try_from(count.fetch_add(1, SeqCst)).unwrap();
            let change = TokenChange::new().expires_at(after(end));
            own.change(id, change).await.map(drop).unwrap();
        })
    });
    let outcome = rotate(&tokens, &old, grace(100)).await;
    assert!(matches!(outcome, Err(RotateError::Manage(ManageError::Store(_)))), "{outcome:?}");
    assert_eq!(world.stored(&old).await.generation, 0);
    assert_eq!(tried(&tokens, &old).await, "good");
}
