//! Digests that wait to be written: all of them are, and none holds up another, nor anything else.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Waker},
};

use futures_util::{FutureExt, future::ready};
use keyfob::{
    ApiTokens, IssuedToken, LastUsed, ListTokens, VerifyError,
    store::{CorruptRecord, StoreError},
    token::{Pepper, TokenDigest},
};

use super::{grace, moving, old, rekeys};
use crate::support::store_ext::StoreExt;
use crate::{
    pepper::{hmac_of, id, issue, kept, key, tried},
    support::{TROUBLES, World, on_every_store},
};

on_every_store! {
    a_flush_writes_all_however_many_wait
    the_background_future_writes_some_at_a_time
    one_that_can_not_be_written_does_not_hold_up_the_others
    a_flush_goes_on_behind_one_that_can_not_be_written
    uses_of_abilities_that_can_not_be_written_hold_up_nothing
    a_listing_makes_no_digest_anew
    a_token_that_others_keep_making_anew_is_busy
}

/// How many are written at a time.
const BATCH: usize = 500;

/// So many tokens of the old key, each of which was used.
async fn used(world: &World, tokens: &ApiTokens, count: usize) -> Vec<IssuedToken> {
    let issued = world.issue_many(&old(world), count).await;
    for issued in &issued {
        assert_eq!(tried(tokens, issued).await, "good");
    }
    world.events.take();
    issued
}

/// How many of them are under the new key.
async fn moved(world: &World, issued: &[IssuedToken]) -> usize {
    let mut moved = 0;
    for issued in issued {
        moved += usize::from(kept(world, issued).await.0.as_deref() == Some("new"));
    }
    moved
}

/// Fails the next time that a digest is written, and no more.
fn fail_once(world: &World, trouble: fn() -> StoreError) {
    let store = world.store.clone();
    world.store.fail_with(&["rekey"], move || {
        store.heal();
        trouble()
    });
}

async fn a_flush_writes_all_however_many_wait(world: World) {
    let tokens = moving(&world);
    for count in [BATCH - 1, BATCH, BATCH + 1] {
        let issued = used(&world, &tokens, count).await;
        assert_eq!(rekeys(&world, &tokens).await, count);
        assert_eq!(moved(&world, &issued).await, count);
        assert_eq!(rekeys(&world, &tokens).await, 0);
    }
}

async fn the_background_future_writes_some_at_a_time(world: World) {
    let pepper = Pepper::new(key("new", 2)).accept(key("old", 1));
    // Half of what may wait wakes the future before its time.
    let tokens = world
        .builder()
        .pepper(pepper)
        .last_used(LastUsed::default().capacity(2 * BATCH))
        .build()
        .unwrap();
    let mut background = pin!(tokens.background());
    let mut context = Context::from_waker(Waker::noop());
    assert!(background.poll_unpin(&mut context).is_pending());
    let issued = used(&world, &tokens, BATCH + 20).await;
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    world.store.after("rekey", move || {
        count.fetch_add(1, SeqCst);
        ready(()).boxed()
    });
    while written.load(SeqCst) < BATCH {
        assert!(background.poll_unpin(&mut context).is_pending());
        tokio::task::yield_now().await;
    }
    for _ in 0..50 {
        assert!(background.poll_unpin(&mut context).is_pending());
        tokio::task::yield_now().await;
    }
    assert_eq!(written.load(SeqCst), BATCH, "last-used comes before the rest");
    assert_eq!(rekeys(&world, &tokens).await, 20);
    assert_eq!(moved(&world, &issued).await, issued.len());
}

async fn one_that_can_not_be_written_does_not_hold_up_the_others(world: World) {
    let tokens = moving(&world);
    for trouble in TROUBLES {
        let issued = used(&world, &tokens, 5).await;
        let is_gone = matches!(trouble(), StoreError::Unavailable(_) | StoreError::Busy(_));
        if is_gone {
            world.store.fail_with(&["rekey"], trouble);
        } else {
            fail_once(&world, trouble);
        }
        let error = tokens.flush().await.unwrap_err();
        world.store.heal();
        assert_eq!(error.to_string(), trouble().to_string());
        assert_eq!(world.events.take().len(), 1, "told once");
        if is_gone {
            assert_eq!(moved(&world, &issued).await, 0, "nobody is there to write to");
            assert_eq!(rekeys(&world, &tokens).await, 5);
        } else {
            assert_eq!(moved(&world, &issued).await, 4);
            assert_eq!(rekeys(&world, &tokens).await, 0, "the next use tries it again");
            for issued in &issued {
                assert_eq!(tried(&tokens, issued).await, "good");
            }
            assert_eq!(rekeys(&world, &tokens).await, 1);
        }
        assert_eq!(moved(&world, &issued).await, 5);
    }
}

async fn a_flush_goes_on_behind_one_that_can_not_be_written(world: World) {
    let tokens = moving(&world);
    let issued = used(&world, &tokens, BATCH + 20).await;
    fail_once(&world, || CorruptRecord::new(None, "digest").into());
    let error = tokens.flush().await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
    assert_eq!(moved(&world, &issued).await, BATCH + 19);
}

async fn uses_of_abilities_that_can_not_be_written_hold_up_nothing(world: World) {
    let pepper = Pepper::new(key("new", 2)).accept(key("old", 1));
    let tokens = world
        .builder()
        .pepper(pepper)
        .last_used(LastUsed::default().track_abilities(true))
        .build()
        .unwrap();
    let issued = old(&world).issue(world.new_token("a").abilities(["a"])).await.unwrap();
    assert!(tokens.verify(issued.plain.expose_secret()).await.unwrap().can("a"));
    for trouble in TROUBLES {
        world.store.fail_with(&["record_uses"], trouble);
        let error = tokens.flush().await.unwrap_err();
        assert_eq!(error.to_string(), trouble().to_string());
        assert_eq!(kept(&world, &issued).await.0.as_deref(), Some("new"));
    }
}

async fn a_listing_makes_no_digest_anew(world: World) {
    let tokens = moving(&world);
    let issued = used(&world, &tokens, 3).await;
    world.at(100_000);
    world.store.take_calls();
    tokens.owned_by(&world.owner).list(ListTokens::new()).await.unwrap();
    let calls = world.store.take_calls();
    assert!(calls.contains(&"record_uses"), "what is late is written: {calls:?}");
    assert!(!calls.contains(&"rekey"), "{calls:?}");
    assert_eq!(moved(&world, &issued).await, 0);
    assert_eq!(rekeys(&world, &tokens).await, 3);
}

async fn a_token_that_others_keep_making_anew_is_busy(world: World) {
    let (before, tokens) = (old(&world), moving(&world));
    let one = issue(&world, &before).await;
    let own = before.owned_by(&world.owner);
    let new = own.rotate(one.record.id, grace(0)).await.unwrap();
    let digests = [(1, "old"), (2, "new")];
    let digests =
        digests.map(|(seed, name)| TokenDigest::from_bytes(hmac_of(seed, &new), Some(id(name))));
    let (store, token) = (world.store.inner(), new.record.id);
    world.store.before("first_use", move || {
        let (store, [one, other]) = (store.clone(), digests.clone());
        Box::pin(async move {
            let there = store.rekey(token, &one, &other).await.unwrap();
            assert!(there || store.rekey(token, &other, &one).await.unwrap());
        })
    });
    world.events.take();
    world.store.take_calls();
    let refused = tokens.verify(new.plain.expose_secret()).await;
    assert!(matches!(refused, Err(VerifyError::Store(StoreError::Busy(_)))), "{refused:?}");
    assert_eq!(world.events.kinds(), ["StoreFailed"], "and it is reported, once");
    let tries = world.store.take_calls();
    assert_eq!(tries.iter().filter(|step| **step == "first_use").count(), 5);
    world.store.heal();
    assert_eq!(tried(&tokens, &new).await, "good");
}
