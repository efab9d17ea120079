//! Expired means that now is not before the expiry, and nothing puts it off: no step of the clock, no rotation, nothing
//! that is kept in memory.

use async_trait::async_trait;
use keyfob::{
    ApiTokens, IssuedToken, ManageError, Owner, OwnerGate, Policy, RotateError, TokenChange,
    TokenRotation, TokenState, store::StoreError,
};
use time::Duration;

use crate::support::{Random, World, after, code_of, on_every_store, verdict};

on_every_store! {
    what_has_expired_stays_expired_where_the_clock_is_put_back
    a_grace_that_is_over_stays_over_where_the_clock_is_put_back
    what_is_idle_stays_idle_where_the_clock_is_put_back
    what_has_begun_does_not_end_where_the_clock_is_put_back
    what_is_issued_while_the_clock_is_behind_ends_in_time
    a_rotation_without_a_new_expiry_puts_nothing_off
    a_grace_ends_with_the_token
    a_new_expiry_counts_from_its_second_on
    what_has_expired_is_not_revived
    an_answer_of_the_gate_that_is_kept_puts_nothing_off
    a_connection_that_is_kept_open_ends_with_its_token
    whatever_the_clock_does_an_expiry_is_never_put_off
}

async fn expiring(world: &World, tokens: &ApiTokens, second: i64) -> IssuedToken {
    tokens.issue(world.new_token("a").expires_at(after(second))).await.unwrap()
}

async fn what_has_expired_stays_expired_where_the_clock_is_put_back(world: World) {
    let (tokens, other) = (world.tokens(), world.tokens());
    let issued = expiring(&world, &tokens, 100).await;
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    world.at(99);
    assert_eq!(verdict(&tokens, &issued).await, "good");
    assert_eq!(verdict(&other, &issued).await, "good");
    world.clock.advance(Duration::SECOND);
    for node in [&tokens, &other] {
        assert_eq!(verdict(node, &issued).await, "expired");
    }
    for back in [Duration::SECOND, Duration::HOUR, Duration::days(40_000)] {
        world.clock.advance(-back);
        for node in [&tokens, &other] {
            assert_eq!(verdict(node, &issued).await, "expired", "{back}");
            assert_eq!(code_of(&node.revalidate(&token).await), "expired", "{back}");
            assert!(node.now() >= after(100));
        }
        world.clock.advance(Duration::milliseconds(10));
    }
    world.at(1_000);
    assert_eq!(verdict(&tokens, &issued).await, "expired");
}

async fn a_grace_that_is_over_stays_over_where_the_clock_is_put_back(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    let rotation = TokenRotation::new().grace(Duration::seconds(100));
    let own = tokens.owned_by(&world.owner);
    let new = own.rotate(issued.record.id, rotation).await.unwrap();
    world.at(99);
    assert_eq!(verdict(&tokens, &issued).await, "good");
    world.at(100);
    for back in [Duration::ZERO, Duration::SECOND, Duration::HOUR] {
        world.clock.advance(-back);
        assert_eq!(verdict(&tokens, &issued).await, "retired_secret");
        assert_eq!(code_of(&tokens.revalidate(&token).await), "retired_secret");
        assert_eq!(verdict(&tokens, &new).await, "good");
    }
}

async fn what_is_idle_stays_idle_where_the_clock_is_put_back(world: World) {
    let tokens = world.tokens();
    let new = world.new_token("a").idle_period(Duration::seconds(100));
    let issued = tokens.issue(new).await.unwrap();
    world.at(100);
    for back in [Duration::ZERO, Duration::SECOND, Duration::HOUR] {
        world.clock.advance(-back);
        assert_eq!(verdict(&tokens, &issued).await, "idle");
    }
}

async fn what_has_begun_does_not_end_where_the_clock_is_put_back(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let early = tokens.issue(world.new_token("a").not_before(after(100))).await.unwrap();
    let suspended = tokens.issue(world.new_token("b")).await.unwrap();
    own.suspend_until(suspended.record.id, after(100)).await.map(drop).unwrap();
    world.at(100);
    for back in [Duration::ZERO, Duration::SECOND, Duration::HOUR] {
        world.clock.advance(-back);
        assert_eq!(verdict(&tokens, &early).await, "good");
        assert_eq!(verdict(&tokens, &suspended).await, "good");
    }
}

async fn what_is_issued_while_the_clock_is_behind_ends_in_time(world: World) {
    let tokens = world.tokens();
    world.at(1_000);
    assert_eq!(tokens.now(), after(1_000));
    world.clock.advance(-Duration::HOUR);
    let new = world.new_token("a").expires_in(Duration::seconds(100));
    let issued = tokens.issue(new).await.unwrap();
    assert_eq!(issued.record.created_at, after(1_000), "by the time that goes on");
    assert_eq!(issued.record.expires_at, Some(after(1_100)));
    world.clock.advance(Duration::seconds(99));
    assert_eq!(verdict(&tokens, &issued).await, "good");
    world.clock.advance(Duration::SECOND);
    assert_eq!(verdict(&tokens, &issued).await, "expired", "100 seconds have truly gone by");
}

async fn a_rotation_without_a_new_expiry_puts_nothing_off(world: World) {
    let tokens = world.with(Policy::new().default_lifetime(Duration::DAY));
    let own = tokens.owned_by(&world.owner);
    let mut issued = expiring(&world, &tokens, 100).await;
    for second in [10, 50, 98] {
        world.at(second);
        let rotation = TokenRotation::new().grace(Duration::ZERO).end_running_grace();
        let rotated = if second == 50 {
            let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
            tokens.rotate_presented(&token, rotation).await
        } else {
            own.rotate(issued.record.id, rotation).await
        };
        issued = rotated.unwrap();
        assert_eq!(issued.record.expires_at, Some(after(100)));
        assert_eq!(verdict(&tokens, &issued).await, "good");
    }
    world.at(99);
    assert_eq!(verdict(&tokens, &issued).await, "good");
    world.at(100);
    assert_eq!(verdict(&tokens, &issued).await, "expired");
}

async fn a_grace_ends_with_the_token(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    for rotation in [
        TokenRotation::new().grace(Duration::days(30)),
        TokenRotation::new(),
        TokenRotation::new().until_first_use(),
        TokenRotation::new().expires_at(after(50)),
    ] {
        world.events.take();
        let start = tokens.now();
        let old = world.new_token("a").expires_in(Duration::seconds(1_000));
        let old = tokens.issue(old).await.unwrap();
        let rotation = if format!("{rotation:?}").contains("At(") {
            rotation.expires_at(start.checked_add(Duration::seconds(50)).unwrap())
        } else {
            rotation
        };
        let new = own.rotate(old.record.id, rotation).await.unwrap();
        let end = new.record.expires_at.unwrap();
        let grace = new.record.previous.as_ref().unwrap().ends_at;
        assert!(grace.is_none_or(|it| it <= end));
        world.clock.set(end.datetime() - Duration::SECOND);
        let token = tokens.verify(old.plain.expose_secret()).await.unwrap();
        assert_eq!(token.valid_until(), Some(end));
        world.clock.set(end.datetime());
        assert_ne!(verdict(&tokens, &old).await, "good");
        assert_eq!(verdict(&tokens, &new).await, "expired");
    }
}

async fn a_new_expiry_counts_from_its_second_on(world: World) {
    let (tokens, other) = (world.tokens(), world.tokens());
    let own = tokens.owned_by(&world.owner);
    let issued = expiring(&world, &tokens, 100).await;
    assert_eq!(verdict(&other, &issued).await, "good");
    let sooner = TokenChange::new().expires_at(after(50));
    own.change(issued.record.id, sooner).await.map(drop).unwrap();
    let same = TokenRotation::new().expires_at(after(40));
    let rotated = own.rotate(issued.record.id, same).await.unwrap();
    for (seconds, expected) in [(39, "good"), (40, "expired")] {
        world.at(seconds);
        for node in [&tokens, &other] {
            assert_eq!(verdict(node, &rotated).await, expected);
        }
    }
}

async fn what_has_expired_is_not_revived(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = expiring(&world, &tokens, 100).await;
    let id = issued.record.id;
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    own.suspend_until(id, after(200)).await.map(drop).unwrap();
    world.at(100);
    for back in [Duration::ZERO, Duration::HOUR] {
        world.clock.advance(-back);
        for outcome in [
            own.change(id, TokenChange::new().expires_at(None)).await,
            own.change(id, TokenChange::new().expires_at(after(1_000))).await,
            own.resume(id).await,
            own.suspend(id).await,
        ] {
            assert!(
                matches!(outcome, Err(ManageError::NotActive(TokenState::Expired))),
                "{outcome:?}"
            );
        }
        for outcome in [
            own.rotate(id, TokenRotation::new().expires_at(None)).await,
            tokens.rotate_presented(&token, TokenRotation::new()).await,
        ] {
            assert!(
                matches!(
                    outcome,
                    Err(RotateError::Manage(ManageError::NotActive(TokenState::Expired)))
                ),
                "{outcome:?}"
            );
        }
        assert_eq!(verdict(&tokens, &issued).await, "expired");
    }
}

#[derive(Debug)]
struct Open;

#[async_trait]
impl OwnerGate for Open {
    async fn is_enabled(&self, _: &Owner) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn max_staleness(&self) -> Duration {
        Duration::MINUTE
    }
}

async fn an_answer_of_the_gate_that_is_kept_puts_nothing_off(world: World) {
    let builder = world.builder().owner_gate(Open);
    let tokens = builder.build().unwrap();
    let issued = expiring(&world, &tokens, 30).await;
    for (seconds, expected) in [(0, "good"), (29, "good"), (30, "expired"), (31, "expired")] {
        world.at(seconds);
        assert_eq!(verdict(&tokens, &issued).await, expected);
    }
}

async fn a_connection_that_is_kept_open_ends_with_its_token(world: World) {
    let tokens = world.tokens();
    let issued = expiring(&world, &tokens, 100).await;
    let mut token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    for second in (0..100).step_by(9) {
        world.at(second);
        token = tokens.revalidate(&token).await.unwrap();
        assert_eq!(token.valid_until(), Some(after(100)));
    }
    world.at(100);
    assert_eq!(code_of(&tokens.revalidate(&token).await), "expired");
}

/// Random steps of the clock, back and forth. The time that has truly gone by is what was stepped forward.
async fn whatever_the_clock_does_an_expiry_is_never_put_off(world: World) {
    for seed in 0..60 {
        let mut random = Random(seed);
        let tokens = world.tokens();
        let start = tokens.now();
        let lifetime = i64::try_from(1 + random.below(300)).unwrap();
        let new = world.new_token("a").expires_in(Duration::seconds(lifetime));
        let issued = tokens.issue(new).await.unwrap();
        let (mut gone_by, mut latest) = (Duration::ZERO, start);
        for step in 0..60 {
            let length = Duration::milliseconds(i64::try_from(random.below(20_000)).unwrap());
            if random.below(3) == 0 {
                world.clock.advance(-length * random.pick(&[1, 1, 500]));
            } else {
                world.clock.advance(length);
                gone_by += length;
            }
            let now = tokens.now();
            assert!(now >= latest, "seed {seed}, step {step}: {now} after {latest}");
            // Where both were cut to whole seconds, one may be a second short.
            let held = now.since(start);
            assert!(held + Duration::SECOND >= gone_by - Duration::SECOND, "seed {seed}: {held}");
            latest = now;
            let expected = if held.whole_seconds() >= lifetime { "expired" } else { "good" };
            assert_eq!(verdict(&tokens, &issued).await, expected, "seed {seed}, step {step}");
        }
    }
}
