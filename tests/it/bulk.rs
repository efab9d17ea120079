//! Thousands of tokens of one owner are ended in steps, each committed: nothing waits for all of them, and what was
//! done before a step failed stays done. And one owner makes no other's tokens be forgotten.

use std::{
    convert::Infallible,
    future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Instant,
};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream};
use keyfob::{
    ApiTokens, Cache, ManageError, Owner, TokenId, TokenRecord,
    cluster::{Changed, OwnerMark, Signal, SignalError, SignalMessage},
    store::{
        StoreError,
        contract::{InsertOutcome, InsertRules},
    },
    testing::rare_of,
};
use time::Duration;

use crate::support::{World, on_every_store, once, owner, verdict};

const MANY: u128 = 3_500;

on_every_store! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)] =>
    thousands_of_descendants_are_ended_in_steps_and_then_erased
    what_was_ended_before_a_step_failed_stays_so_and_the_next_call_goes_on
    an_owner_makes_no_other_owners_tokens_be_forgotten
    parents_that_form_a_circle_come_to_an_end
    a_revocation_with_an_end_stops_between_two_steps_and_goes_on
}

/// Keeps what is told.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<Changed>>>);

#[async_trait]
impl Signal for Told {
    async fn send(&self, changed: &Changed) -> Result<(), SignalError> {
        self.0.lock().unwrap().push(changed.clone());
        Ok(())
    }

    async fn listen(
        &self,
        _: &(dyn Fn(SignalMessage) + Send + Sync),
    ) -> Result<Infallible, SignalError> {
        future::pending().await
    }
}

impl Told {
    fn take(&self) -> Vec<Changed> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Puts copies of a token into the store, with other ids.
async fn copies(world: &World, template: &TokenRecord) -> Vec<TokenId> {
    let store = world.store.inner();
    let ids: Vec<_> = (1..=MANY).map(|it| TokenId::from_u128(u128::MAX - it)).collect();
    let inserts = ids.iter().map(|id| {
        let (store, mut record) = (store.clone(), template.clone());
        record.id = *id;
        async move { store.insert(&record, &InsertRules::none()).await }
    });
    let outcomes: Vec<_> = stream::iter(inserts).buffer_unordered(16).collect().await;
    assert!(outcomes.into_iter().all(|it| matches!(it, Ok(InsertOutcome::Inserted))));
    ids
}

fn count(calls: &[&str], step: &str) -> usize {
    calls.iter().filter(|it| **it == step).count()
}

async fn thousands_of_descendants_are_ended_in_steps_and_then_erased(world: World) {
    let told = Told::default();
    let tokens = world.builder().signal(told.clone()).build().unwrap();
    let own = tokens.owned_by(&world.owner);
    let parent = tokens.issue(world.new_token("parent")).await.unwrap().record;
    let mut child = parent.clone();
    rare_of(&mut child).parent = Some(parent.id);
    let ids = copies(&world, &child).await;
    world.events.take();
    world.store.take_calls();
    told.take();

    let mut ended = own.revoke_with_descendants(parent.id).await.unwrap();
    ended.sort_unstable();
    let mut all = [&ids[..], &[parent.id]].concat();
    all.sort_unstable();
    assert_eq!(ended, all);
    // The parent; the children, a thousand a step; and 35 steps that find no grandchildren.
    assert_eq!(count(&world.store.take_calls(), "revoke"), 1 + 4 + 35);
    assert_eq!(world.events.count("Revoked"), 1 + 4, "a step without tokens is no event");
    assert_eq!(told.take(), [Changed::All]);
    world.events.take();

    assert_eq!(own.erase().await.unwrap(), ended.len());
    assert_eq!(count(&world.store.take_calls(), "erase"), 4);
    assert_eq!(world.events.count("Erased"), 4);
    assert_eq!(told.take(), [Changed::Owner(OwnerMark::of(&world.owner))]);
}

async fn what_was_ended_before_a_step_failed_stays_so_and_the_next_call_goes_on(world: World) {
    let told = Told::default();
    world.store.forget();
    let tokens = world.builder().cache(Cache::for_up_to(Duration::seconds(5))).signal(told.clone());
    let tokens = tokens.build().unwrap();
    let own = tokens.owned_by(&world.owner);
    let template = tokens.issue(world.new_token("template")).await.unwrap().record;
    own.erase().await.unwrap();
    let ids = copies(&world, &template).await;
    world.store.take_calls();
    told.take();
    world.events.take();

    // The second step is done, and the third is not.
    let failing = world.store.clone();
    world.store.after("revoke", {
        let steps = AtomicU32::new(0);
        move || {
            let (failing, is_second) = (failing.clone(), steps.fetch_add(1, SeqCst) == 1);
            Box::pin(async move {
                if is_second {
                    failing.fail(&["revoke"]);
                }
            })
        }
    });
    let failed = own.revoke_all().await;
    assert!(matches!(failed, Err(ManageError::Store(StoreError::Unavailable(_)))), "{failed:?}");
    world.store.heal();
    assert_eq!(own.count().await.unwrap().not_revoked(), 1_500);
    assert_eq!(world.events.count("Revoked"), 2);
    let mark = Changed::Owner(OwnerMark::of(&world.owner));
    assert_eq!(told.take(), [mark.clone(), mark.clone()], "at the start, and when it failed");

    world.events.take();
    assert_eq!(own.revoke_all().await.unwrap().len(), 1_500);
    assert_eq!(world.events.count("Revoked"), 2);
    assert_eq!(told.take(), [mark.clone(), mark.clone()], "at the start and at the end");
    assert_eq!(own.revoke_many(&ids).await.unwrap(), [], "they are revoked");
    assert_eq!(told.take(), [mark], "and told once more");
}

/// All that an owner without tokens can do in bulk.
async fn bother(tokens: &ApiTokens, stranger: &Owner, other: TokenId) {
    let own = tokens.owned_by(stranger);
    let invented: Vec<_> = (0..500).map(TokenId::from_u128).chain([other]).collect();
    assert_eq!(own.revoke_all().await.unwrap(), []);
    assert_eq!(own.revoke_many(&invented).await.unwrap(), []);
    let theirs = own.revoke_with_descendants(other).await;
    assert!(matches!(theirs, Err(ManageError::NotFound)), "{theirs:?}");
    assert_eq!(own.erase().await.unwrap(), 0);
}

/// Neither tokens that are remembered, nor those that are being looked up.
async fn an_owner_makes_no_other_owners_tokens_be_forgotten(world: World) {
    world.store.forget();
    let tokens = world.builder().cache(Cache::for_up_to(Duration::seconds(5))).build().unwrap();
    let issued = world.issue_many(&tokens, 20).await;
    // One owner in a thousand shares a place with the owner of the tokens.
    let mut asked = 0;
    for number in 0..10 {
        let stranger = owner(&format!("stranger:{number}"));
        for it in &issued {
            let (bothering, stranger, id) = (tokens.clone(), stranger.clone(), it.record.id);
            let bother = move || {
                let (tokens, stranger) = (bothering.clone(), stranger.clone());
                async move { bother(&tokens, &stranger, id).await }.boxed()
            };
            world.store.after("find", once(bother));
            assert_eq!(verdict(&tokens, it).await, "good");
            world.store.heal();
        }
        bother(&tokens, &stranger, issued[0].record.id).await;
        let before = tokens.cache_stats().unwrap().lookups;
        for it in &issued {
            assert_eq!(verdict(&tokens, it).await, "good");
        }
        asked = tokens.cache_stats().unwrap().lookups - before;
        if asked == 0 {
            break;
        }
        world.clock.advance(Duration::seconds(5));
    }
    assert_eq!(asked, 0, "a stranger made tokens be looked up");
    tokens.owned_by(&world.owner).revoke_all().await.unwrap();
    for it in &issued {
        assert_eq!(verdict(&tokens, it).await, "revoked");
    }
}

/// Only damage brings that about.
async fn parents_that_form_a_circle_come_to_an_end(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let ids = [1, 2, 3, 4].map(TokenId::from_u128);
    let template = tokens.issue(world.new_token("template")).await.unwrap().record;
    for (id, parent) in [(0, 2), (1, 0), (2, 1), (3, 3)] {
        let mut record = template.clone();
        record.id = ids[id];
        rare_of(&mut record).parent = Some(ids[parent]);
        let outcome = world.store.inner().insert(&record, &InsertRules::none()).await.unwrap();
        assert_eq!(outcome, InsertOutcome::Inserted);
    }
    assert_eq!(own.revoke_with_descendants(ids[0]).await.unwrap(), ids[..3]);
    assert_eq!(own.revoke_with_descendants(ids[3]).await.unwrap(), ids[3..]);
    assert_eq!(own.revoke_with_descendants(ids[1]).await.unwrap(), []);
}

async fn a_revocation_with_an_end_stops_between_two_steps_and_goes_on(world: World) {
    let template = world.plant(|_| {}).await.record;
    copies(&world, &template).await;
    let tokens = world.builder().deadline(Duration::MINUTE).build().unwrap();
    let own = tokens.owned_by(&world.owner);
    // The end is over, so each call takes one step.
    let over = Instant::now();
    let mut revoked = Vec::new();
    for _ in 0..4 {
        let (count, more) = own.revoke_all_until(over).await.unwrap();
        assert_eq!(own.count().await.unwrap().not_revoked() == 0, !more);
        revoked.push(count);
    }
    assert_eq!(revoked, [1_000, 1_000, 1_000, 501]);
    assert_eq!(own.revoke_all_until(over).await.unwrap(), (0, false));
}
