//! How many uses wait, and how much memory they take.

use std::collections::BTreeSet;

use keyfob::{LastUsed, TokenId};
use time::Duration;

use super::poll;
use crate::support::{World, after, checked, secret_of};

#[tokio::test]
async fn uses_that_wait_take_no_more_than_a_kib_for_each_token_that_may() {
    let world = World::memory().await;
    let abilities: Vec<_> = (0..100).map(|it| format!("a{it:0>99}")).collect();
    let new = world.new_token("heavy").abilities(&abilities);
    let issued =
        world.tokens().issue(new.metadata(serde_json::json!({ "a": "x".repeat(4_000) }))).await;
    let issued = issued.unwrap();
    world.store.invent(&issued.record);
    let tokens = world.builder().last_used(LastUsed::default().capacity(1_000)).build().unwrap();
    world.store.fail(&["record_uses"]);
    for number in 0..1_000 {
        let id = TokenId::from_u128(number);
        let text = checked(&format!("acme_{id}_{}", secret_of(&issued)));
        tokens.verify(&text).await.map(drop).unwrap();
    }
    world.store.heal();
    world.events.take();
    tokens.flush().await.unwrap();
    let written = world.store.take_batches().concat().len();
    assert!((20..100).contains(&written), "{written} of about 20 KiB each");
    let dropped = format!("UsesDropped {{ uses: {} }}", 1_000 - written);
    assert_eq!(world.events.take(), [dropped]);
    for _ in 0..5 {
        world.clock.advance(Duration::SECOND);
        for number in 0..20 {
            let id = TokenId::from_u128(number);
            let text = checked(&format!("acme_{id}_{}", secret_of(&issued)));
            tokens.verify(&text).await.map(drop).unwrap();
        }
        tokens.flush().await.unwrap();
        assert_eq!(world.store.take_batches().concat().len(), 20, "there is room again");
    }
    let events = world.events.take();
    assert!(!events.iter().any(|it| it.starts_with("UsesDropped")), "{events:?}");
}

#[tokio::test]
async fn uses_that_take_half_of_the_room_are_written_before_their_time() {
    let world = World::memory().await;
    let abilities: Vec<_> = (0..100).map(|it| format!("a{it:0>99}")).collect();
    let issued = world.tokens().issue(world.new_token("heavy").abilities(&abilities)).await;
    let issued = issued.unwrap();
    world.store.invent(&issued.record);
    let tokens = world.builder().last_used(LastUsed::default().capacity(1_000)).build().unwrap();
    let mut background = Box::pin(tokens.background());
    let mut writes = Vec::new();
    for number in 0..100 {
        let text = checked(&format!("acme_{}_{}", TokenId::from_u128(number), secret_of(&issued)));
        tokens.verify(&text).await.map(drop).unwrap();
        assert!(poll(background.as_mut()).is_pending());
        writes.push(world.store.take_batches().len());
    }
    assert_eq!(writes[..25], [0; 25], "that is less than half, and their time has not come");
    assert!(writes.contains(&1), "{writes:?}");
}

/// A world in which every id is a token, and the text of each.
async fn crowd() -> (World, impl Fn(usize) -> String) {
    let world = World::memory().await;
    let issued = world.tokens().issue(world.new_token("one of many")).await.unwrap();
    let secret = secret_of(&issued).to_owned();
    world.store.invent(&issued.record);
    let text =
        move |number| checked(&format!("acme_{}_{secret}", TokenId::from_u128(number as u128)));
    (world, text)
}

#[tokio::test]
async fn many_uses_are_written_in_batches_and_memory_stays_bounded() {
    let (world, text) = crowd().await;
    let tokens = world.tokens();
    let mut background = Box::pin(tokens.background());
    assert!(poll(background.as_mut()).is_pending());
    world.store.fail(&["record_uses"]);

    for number in 0..49_999 {
        tokens.verify(&text(number)).await.map(drop).unwrap();
    }
    assert!(poll(background.as_mut()).is_pending());
    assert_eq!(world.store.take_batches().len(), 0, "half full, and its time has not come");
    for number in 49_999..100_010 {
        tokens.verify(&text(number)).await.map(drop).unwrap();
        if number % 10_000 == 0 {
            assert!(poll(background.as_mut()).is_pending());
        }
    }
    assert_eq!(world.store.take_batches().len(), 1, "what fails is not tried again at once");

    world.clock.advance(Duration::SECOND);
    tokens.verify(&text(99_999)).await.map(drop).unwrap();
    world.store.heal();
    world.events.take();
    tokens.flush().await.unwrap();
    let batches = world.store.take_batches();
    assert!(batches.iter().all(|it| it.len() <= 1_000));
    let uses: Vec<_> = batches.into_iter().flatten().collect();
    let ids: BTreeSet<_> = uses.iter().map(|it| it.id).collect();
    assert_eq!((uses.len(), ids.len()), (100_000, 100_000));
    let last = uses.iter().find(|it| it.id == TokenId::from_u128(99_999)).unwrap();
    assert_eq!(last.at, after(1), "a token that waits is noted also where there is no more room");
    assert_eq!(world.events.take(), ["UsesDropped { uses: 10 }"]);

    tokens.verify(&text(200_000)).await.map(drop).unwrap();
    tokens.flush().await.unwrap();
    assert_eq!(world.store.take_batches().concat().len(), 1, "there is room again");
    assert_eq!(world.events.kinds(), ["FirstUse"]);
}
