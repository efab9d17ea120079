//! The owner gate: asked on every verification that would pass, never instead of the rest, and never a pass by failing.

mod meanwhile;

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use futures_util::{FutureExt, future::BoxFuture};
use keyfob::{
    Ability, ApiTokens, ApiTokensBuilder, IssuedToken, NewToken, Owner, OwnerGate, Policy, TokenId,
    TokenRotation, VerifyError,
    store::StoreError,
    web::{Problem, Realm},
};
use time::Duration;

use crate::support::{
    SleepyClock, World, after, checked, code_of, on_every_store, secret_of, verdict,
};

on_every_store! {
    a_disabled_owner_is_refused_as_anybody_else
    the_state_comes_before_the_owner_and_the_owner_before_the_address
    the_gate_is_asked_once_and_only_where_the_token_is_good
    a_gate_that_fails_is_never_a_pass
    a_gate_that_hangs_is_never_a_pass
    without_staleness_it_is_asked_each_time
    an_answer_from_before_the_machine_slept_is_asked_for_again
    an_answer_is_kept_no_longer_than_allowed
    an_answer_counts_from_when_it_was_asked_for
    what_failed_is_not_kept
    a_changed_owner_is_asked_for_again
    an_answer_that_was_under_way_at_a_change_is_not_kept
    an_older_answer_never_takes_the_place_of_a_newer_one
    a_clock_that_is_put_back_keeps_no_answer_longer
    open_connections_ask_as_well
    a_disabled_owner_issues_nothing_through_a_token
    owners_are_kept_apart
    a_gate_stands_before_the_first_use_of_a_new_secret
    staleness_is_at_most_a_minute
}

/// Says of every owner but the disabled one that he may use tokens, and counts how often it was asked.
#[derive(Clone, Default)]
struct Gate(Arc<Inside>);

#[derive(Default)]
struct Inside {
    asked: AtomicUsize,
    disabled: Mutex<Option<Owner>>,
    max_staleness: Mutex<Duration>,
    fails: AtomicBool,
    hangs: AtomicBool,
    /// What happens between the question and the answer, once.
    meanwhile: Mutex<Option<BoxFuture<'static, ()>>>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

#[async_trait]
impl OwnerGate for Gate {
    async fn is_enabled(&self, owner: &Owner) -> Result<bool, StoreError> {
        self.0.asked.fetch_add(1, SeqCst);
        let enabled = self.0.disabled.lock().unwrap().as_ref() != Some(owner);
        let meanwhile = self.0.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        if self.0.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.0.fails.load(SeqCst) {
            return Err(StoreError::Unavailable("no accounts".into()));
        }
        Ok(enabled)
    }

    fn max_staleness(&self) -> Duration {
        *self.0.max_staleness.lock().unwrap()
    }
}

impl Gate {
    fn disable(&self, owner: &Owner) {
        *self.0.disabled.lock().unwrap() = Some(owner.clone());
    }

    fn may_be_old_for(&self, staleness: Duration) {
        *self.0.max_staleness.lock().unwrap() = staleness;
    }

    fn enable(&self) {
        *self.0.disabled.lock().unwrap() = None;
    }

    /// How often it was asked since the last time.
    fn asked(&self) -> usize {
        self.0.asked.swap(0, SeqCst)
    }

    fn meanwhile(&self, happens: impl Future<Output = ()> + Send + 'static) {
        *self.0.meanwhile.lock().unwrap() = Some(happens.boxed());
    }
}

fn gated(world: &World) -> (ApiTokensBuilder, Gate) {
    let gate = Gate::default();
    (world.builder().owner_gate(gate.clone()), gate)
}

async fn kept_for(world: &World, staleness: i64) -> (ApiTokens, Gate, IssuedToken) {
    let (builder, gate) = gated(world);
    gate.may_be_old_for(Duration::seconds(staleness));
    let tokens = builder.build().unwrap();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    (tokens, gate, issued)
}

async fn a_disabled_owner_is_refused_as_anybody_else(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 0).await;
    let theirs = tokens.issue(NewToken::new(&world.stranger, "theirs")).await.unwrap();
    assert_eq!(verdict(&tokens, &issued).await, "good");
    let before = world.stored(&issued).await;
    gate.disable(&world.owner);
    world.events.take();
    let refused = tokens.verify(issued.plain.expose_secret()).await.unwrap_err();
    let (id, owner) = (issued.record.id, &world.owner);
    assert!(matches!(refused, VerifyError::OwnerDisabled(it) if it == id));
    let of = format!("id: Some({id:?}), owner: Some({owner:?}), from: None");
    let expected = format!("Refused {{ {of}, reason: \"owner_disabled\" }}");
    assert_eq!(world.events.take(), [expected]);
    let problem = |it: &_| Problem::refused(&Realm::new("Acme API").unwrap(), it);
    let (told, unknown) = (problem(&refused), problem(&VerifyError::Unknown));
    assert_eq!((told.status(), told), (401, unknown));
    assert_eq!(verdict(&tokens, &theirs).await, "good");
    assert_eq!(*world.stored(&issued).await, *before, "the token is as it was");
    gate.enable();
    assert_eq!(verdict(&tokens, &issued).await, "good");
}

async fn the_state_comes_before_the_owner_and_the_owner_before_the_address(world: World) {
    let (tokens, gate, _) = kept_for(&world, 0).await;
    let new = |name: &str| world.new_token(name).allowed_addresses(["192.0.2.1"]);
    let issued = tokens.issue(new("a").expires_at(after(10))).await.unwrap();
    let text = issued.plain.expose_secret();
    let (right, wrong) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    let from = async |address| code_of(&tokens.verify_from(text, address).await);
    assert_eq!(from(Some(right)).await, "good");
    assert_eq!(from(Some(wrong)).await, "address_not_allowed");
    gate.disable(&world.owner);
    for address in [Some(right), Some(wrong), None] {
        assert_eq!(from(address).await, "owner_disabled");
    }
    let own = tokens.owned_by(&world.owner);
    own.suspend(issued.record.id).await.map(drop).unwrap();
    assert_eq!(from(Some(wrong)).await, "suspended");
    world.at(10);
    assert_eq!(from(Some(wrong)).await, "expired");
    own.revoke(issued.record.id).await.unwrap();
    assert_eq!(from(Some(wrong)).await, "revoked");
}

async fn the_gate_is_asked_once_and_only_where_the_token_is_good(world: World) {
    for cold in [false, true] {
        let (tokens, gate, good) = kept_for(&world, 0).await;
        if cold {
            world.store.forget();
        }
        let own = tokens.owned_by(&world.owner);
        let other = tokens.issue(world.new_token("b")).await.unwrap();
        let suspended = tokens.issue(world.new_token("c")).await.unwrap();
        own.suspend(suspended.record.id).await.map(drop).unwrap();
        let idle = world.new_token("d").idle_period(Duration::SECOND);
        let idle = tokens.issue(idle).await.unwrap();
        let early = tokens.issue(world.new_token("e").not_before(after(1_000))).await.unwrap();
        world.clock.advance(Duration::SECOND);
        let wrong = checked(&format!("acme_{}_{}", good.record.id, secret_of(&other)));
        let unknown = checked(&format!("acme_{}_{}", TokenId::from_u128(7), secret_of(&other)));
        for text in ["acme_", &wrong, &unknown] {
            tokens.verify(text).await.unwrap_err();
        }
        for issued in [&suspended, &idle, &early] {
            tokens.verify(issued.plain.expose_secret()).await.unwrap_err();
        }
        assert_eq!(gate.asked(), 0);
        assert_eq!(verdict(&tokens, &good).await, "good");
        assert_eq!(gate.asked(), 1);
    }
}

async fn a_gate_that_fails_is_never_a_pass(world: World) {
    for staleness in [0, 60] {
        let (tokens, gate, issued) = kept_for(&world, staleness).await;
        let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
        world.clock.advance(Duration::seconds(61));
        gate.0.fails.store(true, SeqCst);
        for disabled in [false, true] {
            if disabled {
                gate.disable(&world.owner);
            }
            world.events.take();
            for refused in [
                tokens.verify(issued.plain.expose_secret()).await.map(drop),
                tokens.revalidate(&token).await.map(drop),
            ] {
                let refused = refused.unwrap_err();
                assert!(matches!(refused, VerifyError::Store(StoreError::Unavailable(_))));
                let problem = Problem::refused(&Realm::new("Acme API").unwrap(), &refused);
                assert_eq!(problem.status(), 503);
            }
            let events = world.events.take();
            assert_eq!(events.len(), 2, "{events:?}");
            assert!(events.iter().all(|event| event.starts_with("StoreFailed")), "{events:?}");
        }
        gate.0.fails.store(false, SeqCst);
        gate.enable();
        assert_eq!(verdict(&tokens, &issued).await, "good");
    }
}

async fn a_gate_that_hangs_is_never_a_pass(world: World) {
    let (_, gate, issued) = kept_for(&world, 0).await;
    let builder = world.builder().owner_gate(gate.clone()).deadline(Duration::MILLISECOND);
    let tokens = builder.build().unwrap();
    let token = world.tokens().verify(issued.plain.expose_secret()).await.unwrap();
    gate.0.hangs.store(true, SeqCst);
    for refused in
        [tokens.verify(issued.plain.expose_secret()).await, tokens.revalidate(&token).await]
    {
        assert!(
            matches!(refused, Err(VerifyError::Store(StoreError::Unavailable(_)))),
            "{refused:?}"
        );
    }
}

async fn an_answer_from_before_the_machine_slept_is_asked_for_again(world: World) {
    let (_, gate, issued) = kept_for(&world, 60).await;
    let clock = SleepyClock::new();
    let builder = world.builder().clock(clock.clone()).owner_gate(gate.clone());
    let tokens = builder.build().unwrap();
    assert_eq!(verdict(&tokens, &issued).await, "good");
    gate.disable(&world.owner);
    clock.sleep(60);
    assert_eq!(verdict(&tokens, &issued).await, "good");
    clock.sleep(1);
    assert_eq!(verdict(&tokens, &issued).await, "owner_disabled");
}

async fn without_staleness_it_is_asked_each_time(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 0).await;
    for disabled in [false, true, false, true] {
        if disabled {
            gate.disable(&world.owner);
        } else {
            gate.enable();
        }
        let expected = if disabled { "owner_disabled" } else { "good" };
        for _ in 0..3 {
            assert_eq!(verdict(&tokens, &issued).await, expected);
            assert_eq!(gate.asked(), 1);
        }
    }
}

async fn an_answer_is_kept_no_longer_than_allowed(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 30).await;
    assert_eq!(verdict(&tokens, &issued).await, "good");
    gate.disable(&world.owner);
    world.clock.advance(Duration::seconds(29));
    assert_eq!(verdict(&tokens, &issued).await, "good");
    assert_eq!(gate.asked(), 1);
    world.clock.advance(Duration::seconds(2));
    assert_eq!(verdict(&tokens, &issued).await, "owner_disabled");
    gate.enable();
    world.clock.advance(Duration::seconds(29));
    assert_eq!(verdict(&tokens, &issued).await, "owner_disabled", "a no is kept as well");
    assert_eq!(gate.asked(), 1);
    world.clock.advance(Duration::seconds(2));
    assert_eq!(verdict(&tokens, &issued).await, "good");
}

async fn an_answer_counts_from_when_it_was_asked_for(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 30).await;
    let clock = world.clock.clone();
    gate.meanwhile(async move { clock.advance(Duration::seconds(20)) });
    assert_eq!(verdict(&tokens, &issued).await, "good");
    gate.disable(&world.owner);
    world.clock.advance(Duration::seconds(9));
    assert_eq!(verdict(&tokens, &issued).await, "good");
    world.clock.advance(Duration::seconds(2));
    assert_eq!(verdict(&tokens, &issued).await, "owner_disabled", "31 seconds after the question");
}

async fn what_failed_is_not_kept(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 30).await;
    gate.0.fails.store(true, SeqCst);
    for _ in 0..2 {
        assert_eq!(verdict(&tokens, &issued).await, "store");
        assert_eq!(gate.asked(), 1);
    }
    gate.0.fails.store(false, SeqCst);
    assert_eq!(verdict(&tokens, &issued).await, "good");
    gate.0.fails.store(true, SeqCst);
    assert_eq!(verdict(&tokens, &issued).await, "good", "what was answered is good for its time");
}

async fn a_changed_owner_is_asked_for_again(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 60).await;
    for disabled in [false, true, false] {
        if disabled {
            gate.disable(&world.owner);
        } else {
            gate.enable();
        }
        tokens.clone().owner_changed(&world.owner);
        let expected = if disabled { "owner_disabled" } else { "good" };
        assert_eq!(verdict(&tokens, &issued).await, expected);
        assert_eq!(verdict(&tokens, &issued).await, expected);
        assert_eq!(gate.asked(), 1);
    }
    world.tokens().owner_changed(&world.owner);
}

async fn an_answer_that_was_under_way_at_a_change_is_not_kept(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 60).await;
    let (changing, closing, owner) = (tokens.clone(), gate.clone(), world.owner.clone());
    gate.meanwhile(async move {
        closing.disable(&owner);
        changing.owner_changed(&owner);
    });
    verdict(&tokens, &issued).await;
    assert_eq!(verdict(&tokens, &issued).await, "owner_disabled");
}

async fn an_older_answer_never_takes_the_place_of_a_newer_one(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 60).await;
    let issued = Arc::new(issued);
    let (other, closing, owner) = (tokens.clone(), gate.clone(), world.owner.clone());
    let (clock, shared) = (world.clock.clone(), issued.clone());
    // While an answer is under way, another request asks as well and is told sooner.
    gate.meanwhile(async move {
        clock.advance(Duration::seconds(5));
        closing.disable(&owner);
        assert_eq!(verdict(&other, &shared).await, "owner_disabled");
    });
    verdict(&tokens, &issued).await;
    assert_eq!(verdict(&tokens, &issued).await, "owner_disabled");
}

async fn a_clock_that_is_put_back_keeps_no_answer_longer(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 30).await;
    assert_eq!(verdict(&tokens, &issued).await, "good");
    gate.disable(&world.owner);
    for _ in 0..3 {
        world.clock.advance(Duration::seconds(10));
        assert_eq!(verdict(&tokens, &issued).await, "good");
        world.clock.advance(-Duration::HOUR);
    }
    world.clock.advance(Duration::SECOND);
    assert_eq!(verdict(&tokens, &issued).await, "owner_disabled");
}

async fn open_connections_ask_as_well(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 0).await;
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    gate.asked();
    assert_eq!(code_of(&tokens.revalidate(&token).await), "good");
    assert_eq!(gate.asked(), 1);
    gate.disable(&world.owner);
    assert_eq!(code_of(&tokens.revalidate(&token).await), "owner_disabled");
    tokens.owned_by(&world.owner).revoke(token.id()).await.unwrap();
    gate.asked();
    assert_eq!(code_of(&tokens.revalidate(&token).await), "revoked");
    assert_eq!(gate.asked(), 0);
}

async fn a_disabled_owner_issues_nothing_through_a_token(world: World) {
    let (builder, gate) = gated(&world);
    let tokens = builder
        .policy(Policy::new().delegation(Ability::new("tokens:issue").unwrap()))
        .build()
        .unwrap();
    let issued = tokens.issue(world.new_token("a").all_abilities()).await.unwrap();
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    gate.disable(&world.owner);
    let refused = tokens.issue_on_behalf_of(&token, world.new_token("b")).await;
    assert!(matches!(refused, Err(keyfob::IssueError::DelegationNotAllowed)), "{refused:?}");
    gate.0.fails.store(true, SeqCst);
    let refused = tokens.issue_on_behalf_of(&token, world.new_token("b")).await;
    assert!(matches!(refused, Err(keyfob::IssueError::Store(_))), "{refused:?}");
    assert_eq!(tokens.owned_by(&world.owner).count().await.unwrap().not_revoked(), 1);
}

async fn owners_are_kept_apart(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 60).await;
    let twin: Owner = "user:4".parse().unwrap();
    let theirs = tokens.issue(NewToken::new(twin.clone(), "theirs")).await.unwrap();
    gate.disable(&twin);
    for _ in 0..2 {
        assert_eq!(verdict(&tokens, &issued).await, "good");
        assert_eq!(verdict(&tokens, &theirs).await, "owner_disabled");
    }
    assert_eq!(gate.asked(), 2);
    gate.enable();
    tokens.owner_changed(&world.owner);
    assert_eq!(verdict(&tokens, &theirs).await, "owner_disabled", "another owner has changed");
}

async fn a_gate_stands_before_the_first_use_of_a_new_secret(world: World) {
    let (tokens, gate, issued) = kept_for(&world, 0).await;
    let own = tokens.owned_by(&world.owner);
    let rotation = TokenRotation::new().until_first_use();
    let rotated = own.rotate(issued.record.id, rotation).await.unwrap();
    gate.disable(&world.owner);
    assert_eq!(verdict(&tokens, &rotated).await, "owner_disabled");
    assert_eq!(world.stored(&rotated).await.first_used_at, None, "a refusal is no use");
    gate.enable();
    assert_eq!(verdict(&tokens, &issued).await, "good", "so the old secret is in its grace");
}

async fn staleness_is_at_most_a_minute(world: World) {
    let minute = Duration::MINUTE;
    let nanosecond = Duration::nanoseconds(1);
    for (staleness, good) in [
        (Duration::ZERO, true),
        (nanosecond, true),
        (minute, true),
        (minute + nanosecond, false),
        (-nanosecond, false),
        (Duration::MAX, false),
        (Duration::MIN, false),
    ] {
        let (builder, gate) = gated(&world);
        gate.may_be_old_for(staleness);
        let built = builder.build().map(drop).map_err(|error| error.to_string());
        let rule = "owner_gate must be for at least 0 and at most 60 seconds";
        assert_eq!(built, if good { Ok(()) } else { Err(rule.to_owned()) }, "{staleness}");
    }
}
