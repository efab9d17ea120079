//! A store that does not answer, or is busy: nobody waits for it for ever, and nobody is let in.

use std::{
    fmt::Display,
    sync::Arc,
    task::{Context, Waker},
};

use futures_util::FutureExt;
use keyfob::{
    ApiTokens, IssuedToken, LastUsed, ListTokens, NewToken, Timestamp, TokenId, TokenRotation,
    VerifyError,
    store::StoreError,
    token::{Pepper, PepperKey},
};
use time::Duration;

use crate::support::{STEPS, Spy, TROUBLES, World, on_every_store};

on_every_store! {
    a_store_that_does_not_answer_is_unavailable
    a_deadline_is_at_least_a_millisecond
}

async fn a_store_that_does_not_answer_is_unavailable(world: World) {
    let issued = world.issue_many(&world.tokens(), 1).await.remove(0);
    let plain = issued.plain.expose_secret();
    let token = world.tokens().verify(plain).await.unwrap();

    let tokens = world.builder().deadline(Duration::MILLISECOND).build().unwrap();
    world.store.forget();
    world.store.hang("find");
    for refused in [tokens.verify(plain).await, tokens.revalidate(&token).await] {
        let Err(VerifyError::Store(StoreError::Unavailable(_))) = refused else {
            panic!("{refused:?}");
        };
    }
    let reported = ["FirstUse", "StoreFailed", "StoreFailed"];
    assert_eq!(world.events.kinds(), reported, "and it is reported");
}

async fn a_deadline_is_at_least_a_millisecond(world: World) {
    for deadline in [Duration::ZERO, Duration::seconds(-1), Duration::MICROSECOND] {
        let built = world.builder().deadline(deadline).build();
        let rule = "deadline must be at least one millisecond and at most one hour";
        assert_eq!(built.map(drop).unwrap_err().to_string(), rule);
    }
}

/// A handle with something to do for every step, and a token that each can be done with.
struct Scene {
    world: World,
    tokens: ApiTokens,
    issued: IssuedToken,
    rotated: IssuedToken,
}

impl Scene {
    async fn new(deadline: Duration) -> Self {
        let world = World::memory().await;
        let key =
            |name, seed| PepperKey::new(name, (seed..seed + 32).collect::<Vec<u8>>()).unwrap();
        let before = world.builder().pepper(Pepper::new(key("old", 1))).build().unwrap();
        let new = world.new_token("a").abilities(["a"]).expires_in(Duration::DAY);
        let issued = before.issue(new).await.unwrap();
        let own = before.owned_by(&world.owner);
        let rotated = before.issue(NewToken::new(world.owner.clone(), "b")).await.unwrap();
        let rotated = own.rotate(rotated.record.id, TokenRotation::new()).await.unwrap();
        let pepper = Pepper::new(key("new", 2)).accept(key("old", 1));
        let tokens = world
            .builder()
            .pepper(pepper)
            .last_used(LastUsed::default().track_abilities(true))
            .deadline(deadline);
        let tokens = tokens.build().unwrap();
        world.store.take_calls();
        Self { world, tokens, issued, rotated }
    }

    /// Does something that takes the step.
    async fn take(&self, step: &str) -> Result<(), String> {
        let (tokens, id) = (&self.tokens, self.issued.record.id);
        let (own, all) = (tokens.owned_by(&self.world.owner), tokens.operator());
        match step {
            "find" => told(own.get(id).await),
            "find_many" => self.verify_together().boxed().await,
            "insert" => told(tokens.issue(self.world.new_token("c")).await),
            "page" => told(own.list(ListTokens::new()).await),
            "change" => told(own.rename(id, "d").await),
            "rotate" => told(own.rotate(id, TokenRotation::new()).await),
            "first_use" => told(tokens.verify(self.rotated.plain.expose_secret()).await),
            "revoke" => told(own.revoke(id).await),
            "suspend" => told(own.suspend(id).await),
            "resume" => {
                own.suspend(id).await.unwrap();
                told(own.resume(id).await)
            }
            "rekey" | "record_uses" => {
                let token = tokens.verify(self.issued.plain.expose_secret()).await.unwrap();
                assert!(token.can("a"));
                told(tokens.flush().await)
            }
            "notice" | "expiring" => told(all.expiring_within(Duration::days(2)).next_page().await),
            "unused" => told(all.unused_since(Timestamp::MAX).next_page().await),
            "count" => told(own.count().await),
            "count_by_key" => told(all.count_by_key().await),
            "prune" => told(tokens.prune(Timestamp::MAX).await),
            "erase" => told(own.erase().await),
            "key_fingerprint" => told(tokens.check().await),
            other => panic!("nothing here takes {other}"),
        }
    }

    /// Three verifications, of which two gather while the first is under way; tells what came of the second.
    async fn verify_together(&self) -> Result<(), String> {
        let store = &self.world.store;
        store.forget();
        store.before("find", || tokio::task::yield_now().boxed());
        let [a, b] = [&self.issued, &self.rotated].map(|it| it.plain.expose_secret());
        let (first, second, third) =
            tokio::join!(self.tokens.verify(a), self.tokens.verify(a), self.tokens.verify(b));
        told(first)?;
        // Two that gather are answered alike, unless one of them is over before.
        let is_late = |outcome: &Result<_, _>| told(outcome.as_ref().map(drop)) == unavailable();
        assert!(second.is_ok() == third.is_ok() || is_late(&second) || is_late(&third));
        told(second)
    }
}

fn told<T>(outcome: Result<T, impl Display>) -> Result<(), String> {
    outcome.map(drop).map_err(|error| error.to_string())
}

fn unavailable() -> Result<(), String> {
    Err("the token store is unavailable".to_owned())
}

fn busy() -> Result<(), String> {
    Err("the token store is busy".to_owned())
}

#[tokio::test]
async fn every_step_that_hangs_ends_with_the_deadline() {
    for &step in STEPS {
        let scene = Scene::new(Duration::milliseconds(20)).await;
        scene.world.store.hang(step);
        assert_eq!(scene.take(step).await, unavailable(), "{step}");
        assert!(scene.world.store.take_calls().contains(&step), "{step}");
        scene.world.store.heal();
        assert_eq!(scene.take(step).await, Ok(()), "{step} goes on where it does not hang");
    }
}

#[tokio::test]
async fn every_step_that_is_busy_is_tried_again() {
    for &step in STEPS {
        for (times, tries, expected) in [(2, 3, Ok(())), (usize::MAX, 4, busy())] {
            let scene = Scene::new(Duration::MINUTE).await;
            scene.world.store.fail_times(&[step], times, || StoreError::Busy("locked".into()));
            assert_eq!(scene.take(step).await, expected, "{step}");
            // The fingerprint of the second key comes after that of the first.
            let tries = tries + usize::from(step == "key_fingerprint" && expected.is_ok());
            let calls = scene.world.store.take_calls();
            assert_eq!(calls.iter().filter(|it| **it == step).count(), tries, "{step}: {calls:?}");
        }
    }
}

#[tokio::test]
async fn nothing_else_is_tried_again() {
    for &step in STEPS {
        for trouble in TROUBLES {
            if matches!(trouble(), StoreError::Busy(_)) {
                continue;
            }
            let scene = Scene::new(Duration::MINUTE).await;
            scene.world.store.fail_with(&[step], trouble);
            assert_eq!(scene.take(step).await, Err(trouble().to_string()), "{step}");
            let calls = scene.world.store.take_calls();
            assert_eq!(calls.iter().filter(|it| **it == step).count(), 1, "{step}: {calls:?}");
        }
    }
}

#[tokio::test]
async fn a_busy_store_is_not_tried_beyond_the_deadline() {
    for &step in STEPS {
        let scene = Scene::new(Duration::MILLISECOND).await;
        scene.world.store.fail_with(&[step], || StoreError::Busy("locked".into()));
        let outcome = scene.take(step).await;
        // What comes before can last longer than a millisecond where the machine is busy too.
        assert!(outcome == busy() || outcome == unavailable(), "{step}: {outcome:?}");
        let calls = scene.world.store.take_calls();
        assert!(calls.iter().filter(|it| **it == step).count() <= 1, "{step}: {calls:?}");
    }
}

#[tokio::test]
async fn what_is_dropped_or_late_does_not_go_on() {
    for is_late in [false, true] {
        let deadline = if is_late { Duration::milliseconds(20) } else { Duration::MINUTE };
        let scene = Scene::new(deadline).await;
        let held = Arc::new(());
        let under_way = held.clone();
        scene.world.store.before("revoke", move || {
            let under_way = under_way.clone();
            async move {
                std::future::pending::<()>().await;
                drop(under_way);
            }
            .boxed()
        });
        let mut revoking = Box::pin(scene.take("revoke"));
        if is_late {
            assert_eq!(revoking.await, unavailable());
        } else {
            let mut context = Context::from_waker(Waker::noop());
            assert!(revoking.poll_unpin(&mut context).is_pending());
            assert_eq!(Arc::strong_count(&held), 3);
            drop(revoking);
        }
        assert_eq!(Arc::strong_count(&held), 2, "the store's own future is gone");
    }
}

#[tokio::test]
async fn a_step_in_a_transaction_that_hangs_ends_with_the_deadline() {
    let scene = Scene::new(Duration::milliseconds(20)).await;
    let (tokens, id) = (&scene.tokens, scene.issued.record.id);
    let own = tokens.owned_by(&scene.world.owner);
    let transaction = Spy::new(scene.world.store.inner());
    let new = || scene.world.new_token("c");
    let rotation = TokenRotation::new;
    let elsewhere = TokenId::from_u128(1);

    transaction.hang("insert");
    assert_eq!(told(tokens.issue_within(&transaction, new()).await), unavailable());
    for step in ["find", "rotate"] {
        transaction.heal();
        transaction.hang(step);
        assert_eq!(told(own.rotate_within(&transaction, id, rotation()).await), unavailable());
    }
    transaction.hang("revoke");
    assert_eq!(told(own.revoke_within(&transaction, elsewhere).await), unavailable());
    assert_eq!(told(own.revoke_within(&transaction, id).await), unavailable());
    assert_eq!(told(own.revoke_many_within(&transaction, &[id]).await), unavailable());
    assert_eq!(told(own.revoke_all_within(&transaction).await), unavailable());

    transaction.heal();
    told(tokens.issue_within(&transaction, new()).await).unwrap();
    told(own.rotate_within(&transaction, id, rotation()).await).unwrap();
    told(own.revoke_within(&transaction, id).await).unwrap();
}
