//! Rotation by whoever bears the token: with less power than its owner.

use keyfob::{
    ApiTokens, IssuedToken, ManageError, RotateError, TokenRotation, TokenState, VerifiedToken,
};

use super::{at, grace, previous, rotate, rotated, tried, until_first_use, wrong};
use crate::support::{World, after, on_every_store};

on_every_store! {
    the_current_secret_rotates_its_token
    a_secret_in_grace_replaces_a_new_one_that_was_lost
    a_secret_in_grace_rotates_nothing_once_the_new_one_is_in_use
    a_secret_in_grace_ends_no_grace
    a_secret_that_its_owner_has_replaced_rotates_nothing
    a_token_that_is_suspended_meanwhile_is_not_rotated
    a_secret_whose_grace_has_ended_meanwhile_rotates_nothing
    the_expiry_can_only_become_earlier
    another_generation_is_a_conflict
    a_secret_that_was_replaced_meanwhile_rotates_nothing
    the_current_secret_ends_a_running_grace_where_that_is_asked
    a_token_that_has_ended_meanwhile_is_not_rotated
}

async fn bear(tokens: &ApiTokens, issued: &IssuedToken) -> VerifiedToken {
    tokens.verify(issued.plain.expose_secret()).await.unwrap()
}

#[track_caller]
fn is_conflict(outcome: &Result<IssuedToken, RotateError>) {
    assert!(matches!(outcome, Err(RotateError::Conflict)), "{outcome:?}");
}

async fn the_current_secret_rotates_its_token(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let token = bear(&tokens, &old).await;
    let new = tokens.rotate_presented(&token, grace(100)).await.unwrap();
    assert_eq!((new.record.id, new.record.generation), (old.record.id, 1));
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(tried(&tokens, &old).await, "good");
    let token = bear(&tokens, &new).await;
    let refused = tokens.rotate_presented(&token, grace(0)).await;
    assert!(matches!(refused, Err(RotateError::InGrace)), "{refused:?}");
    at(&world, 100);
    let next = tokens.rotate_presented(&token, grace(0)).await.unwrap();
    assert_eq!(next.record.generation, 2);
    assert_eq!(tried(&tokens, &new).await, "retired_secret");
}

async fn a_secret_in_grace_replaces_a_new_one_that_was_lost(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let lost = tokens.rotate_presented(&bear(&tokens, &old).await, grace(100)).await.unwrap();
    at(&world, 10);
    let token = bear(&tokens, &old).await;
    assert!(!token.is_current());
    let new = tokens.rotate_presented(&token, grace(1_000)).await.unwrap();
    assert_eq!(new.record.generation, 1);
    assert_eq!(previous(&new.record).ends_at, Some(after(100)), "it can't prolong itself");
    assert_eq!(tried(&tokens, &lost).await, "wrong_secret");
    let new = tokens.rotate_presented(&token, until_first_use()).await.unwrap();
    assert_eq!(previous(&new.record).ends_at, Some(after(100)));
    assert_eq!(tried(&tokens, &new).await, "good");
}

async fn a_secret_in_grace_rotates_nothing_once_the_new_one_is_in_use(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    let early = bear(&tokens, &old).await;
    assert_eq!(tried(&tokens, &new).await, "good");
    for token in [&early, &bear(&tokens, &old).await] {
        for rotation in [TokenRotation::new(), grace(0).end_running_grace(), grace(0).generation(1)]
        {
            is_conflict(&tokens.rotate_presented(token, rotation).await);
        }
    }
    at(&world, 100);
    for rotation in [TokenRotation::new(), grace(0).end_running_grace()] {
        is_conflict(&tokens.rotate_presented(&early, rotation).await);
    }
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(world.stored(&old).await.generation, 1);
}

async fn a_secret_in_grace_ends_no_grace(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let _ = tokens.rotate_presented(&bear(&tokens, &old).await, grace(100)).await.unwrap();
    let token = bear(&tokens, &old).await;
    let new = tokens.rotate_presented(&token, grace(0).end_running_grace()).await.unwrap();
    assert_eq!(previous(&new.record).ends_at, Some(after(100)));
    assert_eq!(tried(&tokens, &old).await, "good");
}

/// An owner rotates because somebody else may have the secret, and he would otherwise take the token over. That the
/// owner has asked for a new one in place of one that a bearer asked for is the same.
async fn a_secret_that_its_owner_has_replaced_rotates_nothing(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    let thief = bear(&tokens, &old).await;
    for rotation in [TokenRotation::new(), grace(0), grace(0).generation(1)] {
        is_conflict(&tokens.rotate_presented(&thief, rotation).await);
    }
    assert_eq!(tried(&tokens, &new).await, "good");

    let old = tokens.issue(world.new_token("b")).await.unwrap();
    let thief = bear(&tokens, &old).await;
    let theirs = tokens.rotate_presented(&thief, grace(100)).await.unwrap();
    let new = rotated(&tokens, &old, grace(0)).await;
    is_conflict(&tokens.rotate_presented(&thief, grace(0)).await);
    is_conflict(&tokens.rotate_presented(&bear(&tokens, &old).await, grace(0)).await);
    assert_eq!(tried(&tokens, &theirs).await, "wrong_secret");
    assert_eq!(tried(&tokens, &new).await, "good");
}

/// What was true when a connection was opened need not be any more.
async fn a_token_that_is_suspended_meanwhile_is_not_rotated(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let token = bear(&tokens, &old).await;
    tokens.owned_by(&world.owner).suspend(old.record.id).await.map(drop).unwrap();
    let refused = tokens.rotate_presented(&token, grace(0)).await;
    assert!(
        matches!(refused, Err(RotateError::Manage(ManageError::NotActive(TokenState::Suspended)))),
        "{refused:?}"
    );
}

/// Whoever ended the grace of a secret did so that nobody can use it, not even to get a new one.
async fn a_secret_whose_grace_has_ended_meanwhile_rotates_nothing(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let _ = rotated(&tokens, &old, grace(100)).await;
    let token = bear(&tokens, &old).await;
    let new = rotated(&tokens, &old, grace(0).end_running_grace()).await;
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
    is_conflict(&tokens.rotate_presented(&token, grace(0)).await);
    assert_eq!(tried(&tokens, &new).await, "good");

    let other = tokens.issue(world.new_token("b")).await.unwrap();
    let new = rotated(&tokens, &other, grace(100)).await;
    let token = bear(&tokens, &other).await;
    at(&world, 100);
    is_conflict(&tokens.rotate_presented(&token, grace(0)).await);
    assert_eq!(tried(&tokens, &new).await, "good");
}

async fn the_expiry_can_only_become_earlier(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a").expires_at(after(1_000))).await.unwrap();
    let token = bear(&tokens, &old).await;
    for later in [
        grace(0).expires_at(after(1_001)),
        grace(0).expires_at(None),
        grace(0).expires_in(time::Duration::seconds(1_001)),
    ] {
        assert_eq!(wrong(tokens.rotate_presented(&token, later).await), ["expires_at"]);
    }
    let wrong_twice = grace(-1).expires_at(None);
    let refused = wrong(tokens.rotate_presented(&token, wrong_twice).await);
    assert_eq!(refused, ["expires_at", "grace_seconds"]);
    let new = tokens.rotate_presented(&token, grace(100)).await.unwrap();
    assert_eq!(new.record.expires_at, Some(after(1_000)));
    let in_grace = bear(&tokens, &old).await;
    let later = grace(0).expires_at(None);
    assert_eq!(wrong(tokens.rotate_presented(&in_grace, later).await), ["expires_at"]);
    for end in [1_000, 500] {
        let rotation = grace(0).expires_at(after(end));
        let new = tokens.rotate_presented(&in_grace, rotation).await.unwrap();
        assert_eq!(new.record.expires_at, Some(after(end)));
    }
    let later = grace(0).expires_at(after(501));
    assert_eq!(wrong(tokens.rotate_presented(&in_grace, later).await), ["expires_at"]);

    let lasting = tokens.issue(world.new_token("b")).await.unwrap();
    let token = bear(&tokens, &lasting).await;
    let new = tokens.rotate_presented(&token, grace(0).expires_at(None)).await.unwrap();
    assert_eq!(new.record.expires_at, None);
    let token = bear(&tokens, &new).await;
    let new = tokens.rotate_presented(&token, grace(0).expires_at(after(9))).await.unwrap();
    assert_eq!(new.record.expires_at, Some(after(9)));
}

async fn another_generation_is_a_conflict(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let token = bear(&tokens, &old).await;
    for generation in [1, 2, u32::MAX] {
        is_conflict(&tokens.rotate_presented(&token, grace(0).generation(generation)).await);
    }
    let _ = tokens.rotate_presented(&token, grace(100).generation(0)).await.unwrap();
    let in_grace = bear(&tokens, &old).await;
    is_conflict(&tokens.rotate_presented(&in_grace, grace(0).generation(0)).await);
    let _ = tokens.rotate_presented(&in_grace, grace(0).generation(1)).await.unwrap();
}

async fn a_secret_that_was_replaced_meanwhile_rotates_nothing(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let token = bear(&tokens, &old).await;
    let new = rotated(&tokens, &old, grace(100)).await;
    for rotation in [TokenRotation::new(), grace(0).end_running_grace()] {
        is_conflict(&tokens.rotate_presented(&token, rotation).await);
    }
    assert_eq!(tried(&tokens, &new).await, "good");
    let refused = rotate(&tokens, &old, grace(0)).await;
    assert!(matches!(refused, Err(RotateError::InGrace)), "the owner is told more: {refused:?}");
}

async fn the_current_secret_ends_a_running_grace_where_that_is_asked(world: World) {
    let tokens = world.tokens();
    let oldest = tokens.issue(world.new_token("a")).await.unwrap();
    let old = rotated(&tokens, &oldest, grace(100)).await;
    let token = bear(&tokens, &old).await;
    let new = tokens.rotate_presented(&token, grace(0).end_running_grace()).await.unwrap();
    assert_eq!(new.record.generation, 2);
    assert_eq!(tried(&tokens, &oldest).await, "wrong_secret");
    assert_eq!(tried(&tokens, &old).await, "retired_secret");
    assert_eq!(tried(&tokens, &new).await, "good");
}

async fn a_token_that_has_ended_meanwhile_is_not_rotated(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let token = bear(&tokens, &old).await;
    tokens.owned_by(&world.owner).revoke(old.record.id).await.unwrap();
    let refused = tokens.rotate_presented(&token, grace(0)).await;
    assert!(matches!(refused, Err(RotateError::Manage(ManageError::NotActive(_)))), "{refused:?}");
    tokens.owned_by(&world.owner).erase().await.unwrap();
    let refused = tokens.rotate_presented(&token, grace(0)).await;
    assert!(matches!(refused, Err(RotateError::Manage(ManageError::NotFound))), "{refused:?}");
}
