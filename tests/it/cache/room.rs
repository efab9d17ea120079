//! What the cache spares the store, and how little room it takes.

use std::sync::Arc;

use futures_util::{FutureExt, future::join_all};
use keyfob::{
    Cache, IssuedToken, TokenId, TokenRecord, TokenRotation,
    store::{
        MemoryStore,
        contract::{InsertOutcome, InsertRules, Peek, Selection},
    },
    testing::rare_of,
    token::{Abilities, Metadata, Revocation},
};
use serde_json::json;
use time::Duration;

use super::{STALENESS, building, cache, node, remembered, revoke_elsewhere};
use crate::support::cached::Cached;
use crate::support::store_ext::StoreExt;
use crate::support::{World, checked, code_of, once, secret_of, verdict};

#[tokio::test]
async fn ten_thousand_verifications_of_one_cold_token_are_one_query() {
    let world = World::memory().await;
    let tokens = building(&world).deadline(Duration::MINUTE).build().unwrap();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    for step in ["find", "find_many"] {
        world.store.before(step, || tokio::task::yield_now().boxed());
    }
    let text = issued.plain.expose_secret();
    let verdicts = join_all((0..10_000).map(|_| tokens.verify(text))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(world.store.take_lookups(), [[issued.record.id]]);
}

#[tokio::test]
async fn a_flood_of_one_dead_token_is_one_query_for_as_long_as_that_is_good() {
    let world = World::memory().await;
    let tokens = node(&world);
    let new = |name| world.new_token(name);
    let good = tokens.issue(new("good")).await.unwrap();
    let [revoked, suspended, retired] = [
        tokens.issue(new("a")).await.unwrap(),
        tokens.issue(new("b")).await.unwrap(),
        tokens.issue(new("c")).await.unwrap(),
    ];
    let expired = tokens.issue(new("d").expires_in(Duration::MINUTE)).await.unwrap();
    revoke_elsewhere(&world, revoked.record.id).await;
    let own = tokens.owned_by(&world.owner);
    own.suspend(suspended.record.id).await.unwrap();
    let rotation = TokenRotation::new().grace(Duration::ZERO);
    drop(own.rotate(retired.record.id, rotation).await.unwrap());
    world.clock.advance(Duration::MINUTE);

    let text = |it: &IssuedToken| it.plain.expose_secret().to_owned();
    let made_up = |id| checked(&format!("acme_{id}_{}", secret_of(&expired)));
    let dead = [
        (text(&revoked), "revoked"),
        (text(&suspended), "suspended"),
        (text(&retired), "retired_secret"),
        (text(&expired), "expired"),
        (made_up(good.record.id), "wrong_secret"),
        (made_up(TokenId::from_u128(1)), "unknown"),
    ];
    world.store.take_lookups();
    // Of the revoked one nothing is ever asked again.
    for queries in [6, 5, 5] {
        for _ in 0..1_000 {
            for (text, expected) in &dead {
                assert_eq!(code_of(&tokens.verify(text).await), *expected);
            }
        }
        assert_eq!(world.store.take_lookups().len(), queries);
        assert_eq!(verdict(&tokens, &good).await, "good");
        world.store.take_lookups();
        world.clock.advance(STALENESS);
    }
}

#[tokio::test]
async fn a_refusal_is_as_old_as_the_query_that_brought_it() {
    for (slow, queries) in [(STALENESS - Duration::SECOND, 1), (STALENESS, 2)] {
        let world = World::memory().await;
        let tokens = node(&world);
        let issued = tokens.issue(world.new_token("a")).await.unwrap();
        let text = checked(&format!("acme_{}_{}", TokenId::from_u128(7), secret_of(&issued)));
        let clock = world.clock.clone();
        let wait = move || {
            clock.advance(slow);
            async {}.boxed()
        };
        world.store.after("find", once(wait));
        for _ in 0..2 {
            assert_eq!(code_of(&tokens.verify(&text).await), "unknown");
        }
        assert_eq!(world.store.take_lookups().len(), queries, "it took {slow}");
    }
}

#[tokio::test]
async fn unknown_ids_take_no_room_and_push_nobody_out() {
    let world = World::memory().await;
    let tokens =
        building(&world).cache(Cache::for_up_to(Duration::MINUTE).capacity(10)).build().unwrap();
    let hot = world.issue_many(&tokens, 10).await;
    for it in &hot {
        assert_eq!(verdict(&tokens, it).await, "good");
    }
    for number in 0..100_000 {
        let id = TokenId::from_u128(number);
        let text = checked(&format!("acme_{id}_{}", secret_of(&hot[0])));
        assert_eq!(code_of(&tokens.verify(&text).await), "unknown");
    }
    let stats = tokens.cache_stats().unwrap();
    assert_eq!((stats.entries, stats.capacity, stats.lookups), (10, 10, 100_010));
    for it in &hot {
        assert_eq!(remembered(&world, &tokens, it).await, "good");
    }
}

#[tokio::test]
async fn what_has_been_read_never_takes_more_room_than_there_is() {
    let world = World::memory().await;
    let mut record = world.plant(|_| ()).await.record;
    for capacity in [1, 2, 1_000] {
        let cache = Cached::new(Arc::new(MemoryStore::new()), STALENESS, capacity, None);
        for number in 0..50_000_u128 {
            record.id = TokenId::from_u128(number);
            let outcome = cache.insert(&record, &InsertRules::none()).await.unwrap();
            assert_eq!(outcome, InsertOutcome::Inserted);
            assert!(cache.one(record.id).await.unwrap().is_some());
            let entries = cache.tokens.cache_stats().unwrap().entries;
            assert_eq!(entries, capacity.min(usize::try_from(number).unwrap() + 1));
            if number % 7 == 0 {
                cache.evict(record.id);
                assert!(cache.one(record.id).await.unwrap().is_some());
            }
        }
    }
}

/// A record that takes about 20 KiB.
fn heavy(record: &TokenRecord) -> TokenRecord {
    let ability = |number| format!("a{number:0>99}");
    let abilities = Abilities::set((0..100).map(ability)).unwrap();
    let mut record = record.clone();
    record.abilities = abilities;
    rare_of(&mut record).metadata = Metadata::new(&json!({ "a": "x".repeat(4_000) })).unwrap();
    record
}

fn with_id(record: &TokenRecord, id: TokenId) -> TokenRecord {
    let mut record = record.clone();
    record.id = id;
    record
}

#[tokio::test]
async fn what_has_been_read_takes_no_more_than_a_kib_for_each_token() {
    let world = World::memory().await;
    let plain = world.plant(|_| ()).await.record;
    let heavy = heavy(&plain);
    let (capacity, most) = (1_000, 1_000 * 1_024);
    let cache = cache(&world, capacity);
    let ids: Vec<_> = (1..3_000).map(TokenId::from_u128).collect();
    for (number, id) in ids.iter().enumerate() {
        let record = if number % 3 == 0 { &plain } else { &heavy };
        let record = with_id(record, *id);
        let _ = cache.insert(&record, &InsertRules::none()).await.unwrap();
        assert!(cache.one(*id).await.unwrap().is_some());
        assert!(!matches!(cache.peek(*id), Peek::Miss), "who came last stays");
        assert!(
            cache.tokens.cache_stats().unwrap().bytes <= most,
            "{:?}",
            cache.tokens.cache_stats().unwrap()
        );
    }
    let full = cache.tokens.cache_stats().unwrap();
    assert!(full.entries < 150 && full.bytes > most * 9 / 10, "{full:?}");
    for _ in 0..100 {
        cache.one(ids[ids.len() - 1]).await.unwrap();
    }
    assert_eq!(
        (cache.tokens.cache_stats().unwrap().entries, cache.tokens.cache_stats().unwrap().bytes),
        (full.entries, full.bytes)
    );
    let revocation = Revocation::new(plain.created_at);
    for id in &ids {
        let one = Selection::Tokens { ids: vec![*id], owner: None };
        cache.end(&one, &revocation).await.unwrap();
        assert!(cache.one(*id).await.unwrap().is_some());
        assert!(
            cache.tokens.cache_stats().unwrap().bytes <= most,
            "{:?}",
            cache.tokens.cache_stats().unwrap()
        );
    }
    cache.erase(&plain.owner).await.unwrap();
    assert_eq!(
        (cache.tokens.cache_stats().unwrap().entries, cache.tokens.cache_stats().unwrap().bytes),
        (0, 0),
        "all were weighed rightly"
    );
}

#[tokio::test]
async fn of_tokens_that_take_much_those_in_use_stay() {
    let world = World::memory().await;
    let heavy = heavy(&world.plant(|_| ()).await.record);
    let cache = cache(&world, 1_000);
    for number in 1..500_u128 {
        let record = with_id(&heavy, TokenId::from_u128(number));
        let _ = cache.insert(&record, &InsertRules::none()).await.unwrap();
        cache.one(record.id).await.unwrap();
        for hot in 1..=number.min(10) {
            assert!(
                !matches!(cache.peek(TokenId::from_u128(hot)), Peek::Miss),
                "{hot} at {number}"
            );
        }
    }
}

#[test]
fn who_remembers_nothing_has_nothing_to_tell() {
    let world = futures_executor::block_on(World::memory());
    assert_eq!(world.tokens().cache_stats(), None);
}
