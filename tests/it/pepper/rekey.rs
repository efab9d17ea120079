//! Another key: digests are made anew as tokens are used, off the path of requests, and nothing is lost on the way.

mod waiting;

use std::{
    pin::pin,
    task::{Context, Waker},
};

use futures_util::FutureExt;
use keyfob::{
    ApiTokens, LastUsed, NewToken, TokenRotation,
    token::{KeyedChecksum, Pepper, TokenDigest},
};
use time::Duration;

use super::{hmac_of, id, issue, kept, key, peppered, tamper, tried, with};
use crate::support::{TROUBLES, WRITES, World, after, on_every_store, once, owner};

on_every_store! {
    a_use_and_a_flush_bring_a_token_under_the_current_key
    a_verification_writes_nothing_for_it
    many_uses_are_one_write
    the_secret_in_grace_is_brought_under_the_current_key_too
    a_secret_that_a_rotation_made_is_recorded_first
    what_was_rotated_meanwhile_is_not_overwritten
    what_another_node_has_made_anew_is_not_overwritten
    the_next_key_is_read_and_left_as_it_is
    a_pepper_is_brought_in_node_by_node
    what_can_not_be_written_is_kept_and_tried_again
    a_flush_that_is_dropped_loses_nothing
    the_background_future_writes_it
    a_revoked_token_is_left_alone
    a_connection_goes_on_under_another_key
    the_numbers_tell_when_a_key_can_go
    a_secret_that_is_refused_is_not_made_anew
}

/// One with the new key that accepts the old one.
fn moving(world: &World) -> ApiTokens {
    with(world, Pepper::new(key("new", 2)).accept(key("old", 1)))
}

fn old(world: &World) -> ApiTokens {
    peppered(world, "old", 1)
}

fn grace(seconds: i64) -> TokenRotation {
    TokenRotation::new().grace(Duration::seconds(seconds))
}

async fn rekeys(world: &World, tokens: &ApiTokens) -> usize {
    world.store.take_calls();
    tokens.flush().await.unwrap();
    world.store.take_calls().iter().filter(|step| **step == "rekey").count()
}

async fn a_use_and_a_flush_bring_a_token_under_the_current_key(world: World) {
    let tokens = moving(&world);
    let issued = issue(&world, &old(&world)).await;
    let before = world.stored(&issued).await;
    assert_eq!(tried(&tokens, &issued).await, "good");
    assert_eq!(kept(&world, &issued).await.0.as_deref(), Some("old"));
    tokens.flush().await.unwrap();
    let stored = world.stored(&issued).await;
    assert_eq!(stored.digest, TokenDigest::from_bytes(hmac_of(2, &issued), Some(id("new"))));
    let mut expected = (*before).clone();
    expected.digest = stored.digest.clone();
    expected.last_used_at = Some(after(0));
    expected.version = 1;
    assert_eq!(*stored, expected, "and nothing else");
    for tokens in [&tokens, &peppered(&world, "new", 2)] {
        assert_eq!(tried(tokens, &issued).await, "good");
    }
    assert_eq!(tried(&old(&world), &issued).await, "unknown_key");
    assert_eq!(rekeys(&world, &tokens).await, 0);
}

async fn a_verification_writes_nothing_for_it(world: World) {
    let tokens = moving(&world);
    let issued = issue(&world, &old(&world)).await;
    world.store.fail(WRITES);
    world.store.take_calls();
    for _ in 0..3 {
        assert_eq!(tried(&tokens, &issued).await, "good");
    }
    let calls = world.store.take_calls();
    assert!(calls.iter().all(|step| ["peek", "find"].contains(step)), "{calls:?}");
}

async fn many_uses_are_one_write(world: World) {
    let tokens = moving(&world);
    let issued = [issue(&world, &old(&world)).await, issue(&world, &old(&world)).await];
    for _ in 0..5 {
        for issued in &issued {
            assert_eq!(tried(&tokens, issued).await, "good");
        }
    }
    assert_eq!(rekeys(&world, &tokens).await, 2);
    assert_eq!(rekeys(&world, &tokens).await, 0);
    let fresh = issue(&world, &tokens).await;
    assert_eq!(tried(&tokens, &fresh).await, "good");
    assert_eq!(rekeys(&world, &tokens).await, 0, "there is nothing to be done");
}

async fn the_secret_in_grace_is_brought_under_the_current_key_too(world: World) {
    let (before, tokens) = (old(&world), moving(&world));
    let one = issue(&world, &before).await;
    let own = before.owned_by(&world.owner);
    let new = own.rotate(one.record.id, grace(100)).await.unwrap();
    assert_eq!(tried(&before, &new).await, "good");
    assert_eq!(tried(&tokens, &one).await, "good");
    assert_eq!(rekeys(&world, &tokens).await, 1);
    assert_eq!(kept(&world, &one).await, (Some("old".into()), Some("new".into())));
    let stored = world.stored(&one).await;
    assert_eq!(stored.previous.as_ref().unwrap().digest.as_bytes(), &hmac_of(2, &one));
    assert_eq!(stored.previous.as_ref().unwrap().ends_at, Some(after(100)));
    assert_eq!(tried(&tokens, &one).await, "good");
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(rekeys(&world, &tokens).await, 1);
    assert_eq!(kept(&world, &one).await, (Some("new".into()), Some("new".into())));

    let both = issue(&world, &before).await;
    let new = own.rotate(both.record.id, grace(100)).await.unwrap();
    assert_eq!(tried(&tokens, &both).await, "good");
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(rekeys(&world, &tokens).await, 2, "at once");
    assert_eq!(kept(&world, &both).await, (Some("new".into()), Some("new".into())));
    let strict = peppered(&world, "new", 2);
    for issued in [&both, &new] {
        assert_eq!(tried(&strict, issued).await, "good");
    }
    world.clock.set(after(100).datetime());
    assert_eq!(tried(&strict, &both).await, "retired_secret");
}

async fn a_secret_that_a_rotation_made_is_recorded_first(world: World) {
    let (before, tokens) = (old(&world), moving(&world));
    let one = issue(&world, &before).await;
    let new = before.owned_by(&world.owner).rotate(one.record.id, grace(0)).await.unwrap();
    world.clock.set(after(5).datetime());
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(rekeys(&world, &tokens).await, 1);
    let stored = world.stored(&new).await;
    assert_eq!((stored.first_used_at, stored.generation), (Some(after(5)), 1));
    assert_eq!(stored.digest.as_bytes(), &hmac_of(2, &new));
    assert_eq!(tried(&tokens, &new).await, "good");
}

async fn what_was_rotated_meanwhile_is_not_overwritten(world: World) {
    let tokens = moving(&world);
    for (rotations, previous) in [(1, "new"), (2, "new")] {
        let one = issue(&world, &old(&world)).await;
        assert_eq!(tried(&tokens, &one).await, "good");
        let (elsewhere, owner, issued) = (moving(&world), world.owner.clone(), one.record.id);
        let rotate = once(move || {
            Box::pin(async move {
                let own = elsewhere.owned_by(&owner);
                for _ in 0..rotations {
                    let new = own.rotate(issued, grace(0)).await.unwrap();
                    assert_eq!(tried(&elsewhere, &new).await, "good");
                }
            })
        });
        world.store.before("rekey", rotate);
        tokens.flush().await.unwrap();
        world.store.heal();
        let stored = world.stored(&one).await;
        assert_eq!(stored.generation, rotations);
        assert_ne!(stored.digest.as_bytes(), &hmac_of(2, &one), "the new secret lives");
        assert_eq!(kept(&world, &one).await, (Some("new".into()), Some(previous.into())));
        let refused = if rotations == 1 { "retired_secret" } else { "wrong_secret" };
        assert_eq!(tried(&tokens, &one).await, refused);
        assert_eq!(rekeys(&world, &tokens).await, 0, "it is not tried again");
    }

    // And the other way round: what is made anew between the two steps of a rotation.
    let one = issue(&world, &old(&world)).await;
    assert_eq!(tried(&tokens, &one).await, "good");
    let flushing = tokens.clone();
    let flush = once(move || Box::pin(async move { flushing.flush().await.unwrap() }));
    world.store.before("rotate", flush);
    let new = tokens.owned_by(&world.owner).rotate(one.record.id, grace(100)).await.unwrap();
    world.store.heal();
    assert_eq!(kept(&world, &one).await, (Some("new".into()), Some("new".into())));
    for issued in [&one, &new] {
        assert_eq!(tried(&tokens, issued).await, "good");
    }
}

async fn what_another_node_has_made_anew_is_not_overwritten(world: World) {
    let (tokens, issued) = (moving(&world), issue(&world, &old(&world)).await);
    let newest =
        with(&world, Pepper::new(key("newest", 3)).accept(key("old", 1)).accept(key("new", 2)));
    assert_eq!(tried(&tokens, &issued).await, "good");
    assert_eq!(tried(&newest, &issued).await, "good");
    newest.flush().await.unwrap();
    assert_eq!(rekeys(&world, &tokens).await, 1);
    assert_eq!(kept(&world, &issued).await.0.as_deref(), Some("newest"));
    assert_eq!(rekeys(&world, &tokens).await, 0, "and is given up");
    assert_eq!(tried(&newest, &issued).await, "good");
}

/// While the nodes change over one by one, none undoes what another has made anew.
async fn the_next_key_is_read_and_left_as_it_is(world: World) {
    let next = with(&world, Pepper::new(key("old", 1)).accept_next(key("new", 2)));
    let issued = issue(&world, &peppered(&world, "new", 2)).await;
    assert_eq!(tried(&next, &issued).await, "good");
    assert_eq!(rekeys(&world, &next).await, 0);
    assert_eq!(kept(&world, &issued).await.0.as_deref(), Some("new"));
    let issued = issue(&world, &next).await;
    assert_eq!(kept(&world, &issued).await.0.as_deref(), Some("old"), "it makes none yet");
}

/// At each step the nodes of two steps stand beside each other, and take each other's tokens.
async fn a_pepper_is_brought_in_node_by_node(world: World) {
    let pepper = || Pepper::new(key("new", 2)).keyed_checksum(KeyedChecksum::Prefer);
    let nodes = [
        world.tokens(),
        with(&world, pepper().accept_only()),
        with(&world, pepper().accept_unpeppered()),
        with(&world, pepper()),
    ];
    let mut issued = Vec::new();
    for pair in nodes.windows(2) {
        for node in pair {
            issued.push(issue(&world, node).await);
            for issued in &issued {
                for node in pair {
                    assert_eq!(tried(node, issued).await, "good");
                }
            }
            for node in pair {
                node.flush().await.unwrap();
            }
        }
    }
    for (number, issued) in issued.iter().enumerate() {
        assert_eq!(kept(&world, issued).await.0.as_deref(), Some("new"), "{number}");
    }
}

async fn what_can_not_be_written_is_kept_and_tried_again(world: World) {
    let (tokens, issued) = (moving(&world), issue(&world, &old(&world)).await);
    assert_eq!(tried(&tokens, &issued).await, "good");
    for trouble in TROUBLES {
        world.store.fail_with(&["rekey"], trouble);
        world.events.take();
        let error = tokens.flush().await.unwrap_err();
        assert_eq!(error.to_string(), trouble().to_string());
        assert_eq!(world.events.take().len(), 1);
        assert_eq!(kept(&world, &issued).await.0.as_deref(), Some("old"));
        assert_eq!(tried(&tokens, &issued).await, "good");
    }
    world.store.heal();
    assert_eq!(rekeys(&world, &tokens).await, 1);
    assert_eq!(kept(&world, &issued).await.0.as_deref(), Some("new"));

    let other = issue(&world, &old(&world)).await;
    assert_eq!(tried(&tokens, &other).await, "good");
    world.store.fail(&["record_uses"]);
    tokens.flush().await.unwrap_err();
    assert_eq!(
        kept(&world, &other).await.0.as_deref(),
        Some("new"),
        "one does not hold up the other"
    );
}

async fn a_flush_that_is_dropped_loses_nothing(world: World) {
    let tokens = moving(&world);
    for polls in 0..6 {
        world.store.heal();
        let issued = issue(&world, &old(&world)).await;
        assert_eq!(tried(&tokens, &issued).await, "good");
        world.store.after("rekey", || Box::pin(tokio::task::yield_now()));
        {
            let mut flushing = pin!(tokens.flush());
            for _ in 0..polls {
                let mut context = Context::from_waker(Waker::noop());
                if flushing.poll_unpin(&mut context).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(tried(&tokens, &issued).await, "good");
        tokens.flush().await.unwrap();
        assert_eq!(kept(&world, &issued).await.0.as_deref(), Some("new"));
        assert_eq!(tried(&tokens, &issued).await, "good");
    }
}

async fn the_background_future_writes_it(world: World) {
    let pepper = Pepper::new(key("new", 2)).accept(key("old", 1));
    // Half of what may wait wakes the future before its time.
    let tokens =
        world.builder().pepper(pepper).last_used(LastUsed::default().capacity(2)).build().unwrap();
    let issued = issue(&world, &old(&world)).await;
    let mut background = pin!(tokens.background());
    let mut context = Context::from_waker(Waker::noop());
    assert!(background.poll_unpin(&mut context).is_pending());
    assert_eq!(tried(&tokens, &issued).await, "good");
    while kept(&world, &issued).await.0.as_deref() == Some("old") {
        assert!(background.poll_unpin(&mut context).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(kept(&world, &issued).await.0.as_deref(), Some("new"));
}

async fn a_revoked_token_is_left_alone(world: World) {
    let (tokens, issued) = (moving(&world), issue(&world, &old(&world)).await);
    assert_eq!(tried(&tokens, &issued).await, "good");
    tokens.owned_by(&world.owner).revoke(issued.record.id).await.unwrap();
    assert_eq!(rekeys(&world, &tokens).await, 1);
    assert_eq!(kept(&world, &issued).await.0.as_deref(), Some("old"));
    assert_eq!(rekeys(&world, &tokens).await, 0);
    let gone = issue(&world, &old(&world)).await;
    assert_eq!(tried(&tokens, &gone).await, "good");
    tokens.owned_by(&world.owner).erase().await.unwrap();
    assert_eq!(rekeys(&world, &tokens).await, 1);
    assert_eq!(tried(&tokens, &gone).await, "unknown");
}

async fn a_connection_goes_on_under_another_key(world: World) {
    let (tokens, issued) = (moving(&world), issue(&world, &old(&world)).await);
    let own = tokens.owned_by(&world.owner);
    let open = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    tokens.flush().await.unwrap();
    assert!(tokens.revalidate(&open).await.is_ok());
    let new = own.rotate(issued.record.id, grace(100)).await.unwrap();
    assert!(tokens.revalidate(&open).await.is_ok(), "it is in its grace");
    assert_eq!(tried(&tokens, &new).await, "good");
    let _ = own.rotate(issued.record.id, grace(100).end_running_grace()).await.unwrap();
    assert_eq!(tokens.revalidate(&open).await.unwrap_err().code(), "retired_secret");
}

async fn the_numbers_tell_when_a_key_can_go(world: World) {
    let (before, tokens) = (old(&world), moving(&world));
    let counts = async |tokens: &ApiTokens| {
        let counts = tokens.operator().count_by_key().await.unwrap();
        let mut counts: Vec<_> = counts
            .into_iter()
            .map(|it| {
                (it.key.map_or(String::new(), |key| key.to_string()), it.current, it.previous)
            })
            .collect();
        counts.sort();
        counts
    };
    let expect = |expected: &[(&str, u64, u64)]| -> Vec<_> {
        expected.iter().map(|it| (it.0.to_owned(), it.1, it.2)).collect()
    };
    let one = issue(&world, &before).await;
    let theirs = before.issue(NewToken::new(owner("user:7"), "b")).await.unwrap();
    let revoked = issue(&world, &before).await;
    tokens.owned_by(&world.owner).revoke(revoked.record.id).await.unwrap();
    assert_eq!(counts(&tokens).await, expect(&[("old", 2, 0)]));
    let own = tokens.owned_by(&world.owner);
    let new = own.rotate(one.record.id, grace(100)).await.unwrap();
    assert_eq!(counts(&tokens).await, expect(&[("new", 1, 0), ("old", 1, 1)]));
    assert_eq!(tried(&tokens, &theirs).await, "good");
    tokens.flush().await.unwrap();
    assert_eq!(counts(&tokens).await, expect(&[("new", 2, 0), ("old", 0, 1)]));
    assert_eq!(tried(&tokens, &one).await, "good");
    tokens.flush().await.unwrap();
    assert_eq!(counts(&tokens).await, expect(&[("new", 2, 1)]), "the old key can go");
    let strict = peppered(&world, "new", 2);
    for issued in [&one, &new, &theirs] {
        assert_eq!(tried(&strict, issued).await, "good");
    }
}

async fn a_secret_that_is_refused_is_not_made_anew(world: World) {
    let tokens = moving(&world);
    let own = tokens.owned_by(&world.owner);
    let suspended = issue(&world, &old(&world)).await;
    own.suspend(suspended.record.id).await.unwrap();
    let retired = issue(&world, &old(&world)).await;
    let _ = own.rotate(retired.record.id, grace(0)).await.unwrap();
    let planted = issue(&world, &old(&world)).await;
    assert_eq!(tried(&tokens, &suspended).await, "suspended");
    assert_eq!(tried(&tokens, &retired).await, "retired_secret");
    assert_eq!(rekeys(&world, &tokens).await, 0);
    tamper(&world, &planted, |it| {
        it.digest = TokenDigest::from_bytes([7; 32], Some(id("old")));
    })
    .await;
    assert_eq!(tried(&tokens, &planted).await, "wrong_secret");
    assert_eq!(rekeys(&world, &tokens).await, 0);
}
