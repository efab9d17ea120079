//! A change that overtakes a look-up, and a change of which nobody knows what has become.

use std::{future, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use keyfob::{
    ApiTokens, IssuedToken, TokenChange, TokenId, TokenRotation,
    store::contract::{InsertOutcome, InsertRules, Peek},
};
use time::Duration;
use tokio::sync::mpsc::unbounded_channel;

use super::{STALENESS, cache, node, remembered, revoke_elsewhere, warm};
use crate::support::cached::{Cached, ROOM};
use crate::support::store_ext::StoreExt;
use crate::support::{World, on_every_store, once, verdict};

on_every_store! {
    a_change_between_a_read_and_its_answer_shows_in_the_next_verification
    what_is_forgotten_between_a_read_and_its_answer_is_not_filled_by_it
    a_revocation_that_nobody_waited_for_shows_in_the_next_verification
    a_revocation_whose_answer_is_lost_shows_in_the_next_verification
    an_earlier_answer_does_not_take_the_place_of_a_later_one
    an_earlier_lookup_that_brings_a_revocation_is_remembered
    who_is_known_to_be_revoked_is_not_revived_by_an_older_answer
    who_was_read_as_revoked_is_not_revived_by_an_older_answer
    who_reads_past_memory_is_told_as_well_that_a_token_is_revoked
}

type Act = fn(Arc<World>, ApiTokens, TokenId) -> BoxFuture<'static, ()>;

/// Changes by this node, and what becomes of the secret by them.
const ACTS: [(Act, &str); 5] = [
    (|world, tokens, it| revoke(world, tokens, it).boxed(), "revoked"),
    (|world, tokens, it| revoke_all(world, tokens, it).boxed(), "revoked"),
    (|world, tokens, it| suspend(world, tokens, it).boxed(), "suspended"),
    (|world, tokens, it| expire(world, tokens, it).boxed(), "expired"),
    (|world, tokens, it| rotate(world, tokens, it).boxed(), "retired_secret"),
];

async fn revoke(world: Arc<World>, tokens: ApiTokens, id: TokenId) {
    tokens.owned_by(&world.owner).revoke(id).await.unwrap();
}

async fn revoke_all(world: Arc<World>, tokens: ApiTokens, _: TokenId) {
    tokens.owned_by(&world.owner).revoke_all().await.unwrap();
}

async fn suspend(world: Arc<World>, tokens: ApiTokens, id: TokenId) {
    tokens.owned_by(&world.owner).suspend(id).await.unwrap();
}

/// It ends in a second, which passes.
async fn expire(world: Arc<World>, tokens: ApiTokens, id: TokenId) {
    let change = TokenChange::new().expires_in(Duration::SECOND);
    tokens.owned_by(&world.owner).change(id, change).await.unwrap();
    world.clock.advance(Duration::SECOND);
}

async fn rotate(world: Arc<World>, tokens: ApiTokens, id: TokenId) {
    let rotation = TokenRotation::new().grace(Duration::ZERO);
    drop(tokens.owned_by(&world.owner).rotate(id, rotation).await.unwrap());
}

async fn a_change_between_a_read_and_its_answer_shows_in_the_next_verification(world: World) {
    let world = Arc::new(world);
    let tokens = node(&world);
    for (act, expected) in ACTS {
        for was_warm in [false, true] {
            let issued = tokens.issue(world.new_token("a")).await.unwrap();
            if was_warm {
                assert_eq!(verdict(&tokens, &issued).await, "good");
                world.clock.advance(STALENESS * 2);
            }
            let (there, by, id) = (world.clone(), tokens.clone(), issued.record.id);
            world.store.after("find", once(move || act(there, by, id)));
            // It began before, so it may still be let in.
            let overtaken = verdict(&tokens, &issued).await;
            assert!(["good", expected].contains(&overtaken), "{overtaken}");
            world.store.heal();
            assert_eq!(verdict(&tokens, &issued).await, expected, "warm: {was_warm}");
        }
    }
}

/// As when a signal tells that a token was changed elsewhere.
async fn what_is_forgotten_between_a_read_and_its_answer_is_not_filled_by_it(world: World) {
    let world = Arc::new(world);
    let cache = Arc::new(cache(&world, ROOM));
    let forget: [fn(&Cached, TokenId); 2] = [Cached::evict, |cache, _| cache.clear()];
    for forget in forget {
        for step in ["find", "find_many"] {
            let id = world.plant(|_| ()).await.record.id;
            let (there, held) = (world.clone(), cache.clone());
            let overtake = async move {
                revoke_elsewhere(&there, id).await;
                forget(&held, id);
            };
            world.store.after(step, once(move || overtake.boxed()));
            let read = match step {
                "find" => cache.one(id).await.unwrap().unwrap(),
                _ => cache.find(&[id, TokenId::from_u128(1)]).await.unwrap().records[0].clone(),
            };
            assert_eq!(read.revocation, None, "it was read before");
            assert_eq!(cache.tokens.cache_stats().unwrap().entries, 0);
            world.store.heal();
            assert!(cache.one(id).await.unwrap().unwrap().revocation.is_some());
            cache.clear();
        }
    }
}

async fn a_revocation_that_nobody_waited_for_shows_in_the_next_verification(world: World) {
    let tokens = node(&world);
    for all in [false, true] {
        let issued = warm(&world, &tokens).await;
        let (reached, mut revoked) = unbounded_channel();
        world.store.after("revoke", move || {
            reached.send(()).unwrap();
            future::pending().boxed()
        });
        let own = tokens.owned_by(&world.owner);
        let revoke = async {
            if all { own.revoke_all().await.map(drop) } else { own.revoke(issued.record.id).await }
        };
        tokio::select! {
            outcome = revoke => panic!("it hangs: {outcome:?}"),
            _ = revoked.recv() => {}
        }
        world.store.heal();
        assert_eq!(verdict(&tokens, &issued).await, "revoked", "all: {all}");
    }
}

/// The step is done, and the deadline is over before its answer comes.
async fn a_revocation_whose_answer_is_lost_shows_in_the_next_verification(world: World) {
    let tokens = node(&world);
    let issued = warm(&world, &tokens).await;
    let (reached, mut done) = unbounded_channel();
    world.store.after("revoke", move || {
        let _ = reached.send(());
        future::pending().boxed()
    });
    tokens.owned_by(&world.owner).revoke(issued.record.id).await.unwrap_err();
    done.recv().await.unwrap();
    world.store.heal();
    assert_eq!(verdict(&tokens, &issued).await, "revoked");
}

/// Two look-ups are under way, and the one that was sent first is answered last.
async fn an_earlier_answer_does_not_take_the_place_of_a_later_one(world: World) {
    let world = Arc::new(world);
    let cache = Arc::new(cache(&world, ROOM));
    let id = world.plant(|_| ()).await.record.id;
    let (there, later) = (world.clone(), cache.clone());
    let overtake = async move {
        let elsewhere = ApiTokens::builder_on(there.store.inner()).prefix("acme").build().unwrap();
        elsewhere.owned_by(&there.owner).suspend(id).await.unwrap();
        later.one(id).await.unwrap();
    };
    world.store.after("find", once(move || overtake.boxed()));
    let read = cache.one(id).await.unwrap().unwrap();
    assert_eq!(read.suspension, None, "it was read before");
    world.store.forget();
    let Peek::Cached(held) = cache.peek(id) else { panic!() };
    assert!(held.suspension.is_some());
}

/// The look-up that was sent first waits, and reads the token once it is revoked.
async fn an_earlier_lookup_that_brings_a_revocation_is_remembered(world: World) {
    let world = Arc::new(world);
    let cache = Arc::new(cache(&world, ROOM));
    let id = world.plant(|_| ()).await.record.id;
    let (there, later) = (world.clone(), cache.clone());
    let overtake = async move {
        assert!(later.one(id).await.unwrap().unwrap().revocation.is_none());
        revoke_elsewhere(&there, id).await;
    };
    world.store.before("find", once(move || overtake.boxed()));
    assert!(cache.one(id).await.unwrap().unwrap().revocation.is_some());
    world.store.forget();
    let Peek::Found(held) = cache.peek(id) else { panic!("{:?}", cache.peek(id)) };
    assert!(held.revocation.is_some());
}

async fn who_is_known_to_be_revoked_is_not_revived_by_an_older_answer(world: World) {
    let tokens = node(&world);
    let issued = warm(&world, &tokens).await;
    tokens.owned_by(&world.owner).revoke(issued.record.id).await.unwrap();
    stays_revoked(&world, &tokens, &issued).await;
}

async fn who_was_read_as_revoked_is_not_revived_by_an_older_answer(world: World) {
    let tokens = node(&world);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    revoke_elsewhere(&world, issued.record.id).await;
    assert_eq!(verdict(&tokens, &issued).await, "revoked");
    stays_revoked(&world, &tokens, &issued).await;
}

async fn who_reads_past_memory_is_told_as_well_that_a_token_is_revoked(world: World) {
    let cache = cache(&world, ROOM);
    let issued = world.plant(|_| ()).await;
    let id = issued.record.id;
    revoke_elsewhere(&world, id).await;
    assert!(cache.one(id).await.unwrap().unwrap().revocation.is_some());
    goes_back(&world, &issued).await;
    assert!(cache.one(id).await.unwrap().unwrap().revocation.is_some());
    let page = cache.find(&[id]).await.unwrap();
    assert!(page.records[0].revocation.is_some());
}

async fn stays_revoked(world: &World, tokens: &ApiTokens, issued: &IssuedToken) {
    goes_back(world, issued).await;
    for pause in [Duration::ZERO, STALENESS, Duration::DAY] {
        world.clock.advance(pause);
        assert_eq!(remembered(world, tokens, issued).await, "revoked");
    }
}

/// The store goes back to what it was before, as a replica that lags does.
async fn goes_back(world: &World, issued: &IssuedToken) {
    let store = world.store.inner();
    store.erase(&world.owner).await.unwrap();
    let outcome = store.insert(&issued.record, &InsertRules::none()).await.unwrap();
    assert_eq!(outcome, InsertOutcome::Inserted);
    assert_eq!(world.stored(issued).await.revocation, None);
}
