//! What is not rotated, and that nothing is changed then.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
};

use keyfob::{
    IssuedToken, ManageError, RotateError, TokenId, TokenRotation, TokenState,
    testing::{Entropy, SystemEntropy},
    token::{Pepper, PepperKey},
};
use time::Duration;

use super::{DAY, at, grace, rotate, rotated, tried, wrong};
use crate::support::{TROUBLES, World, after, on_every_store};

on_every_store! {
    a_grace_is_at_most_30_days_and_never_negative
    all_that_is_wrong_is_told_at_once
    a_token_that_has_ended_is_not_rotated
    a_token_of_somebody_else_is_not_found
    without_a_secret_nothing_is_changed
    a_generator_that_repeats_itself_is_found_out
    trouble_in_the_store_is_told_and_changes_nothing
}

/// Gives what the system gives, the same bytes each time, or nothing.
#[derive(Clone, Debug, Default)]
struct Moody(Arc<AtomicU8>);

impl Entropy for Moody {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        match self.0.load(SeqCst) {
            0 => SystemEntropy.fill(bytes),
            1 => {
                bytes.iter_mut().zip(1..).for_each(|(byte, count)| *byte = count);
                Ok(())
            }
            2 => {
                bytes.fill(9);
                Ok(())
            }
            _ => Err(io::Error::other("none")),
        }
    }
}

fn pepper() -> Pepper {
    Pepper::new(PepperKey::new("k", [1, 2].repeat(16)).unwrap())
}

async fn untouched(world: &World, issued: &IssuedToken) {
    let stored = world.stored(issued).await;
    assert_eq!((stored.generation, &stored.previous), (0, &None));
    assert_eq!(stored.digest, issued.record.digest);
    assert_eq!(world.events.count("Rotated"), 0);
}

async fn a_grace_is_at_most_30_days_and_never_negative(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    world.store.take_calls();
    for grace in [
        Duration::seconds(30 * DAY + 1),
        -Duration::SECOND,
        Duration::MAX,
        Duration::MIN,
        Duration::nanoseconds(-1),
    ] {
        let rotation = TokenRotation::new().grace(grace);
        assert_eq!(wrong(rotate(&tokens, &issued, rotation.clone()).await), ["grace_seconds"]);
        let rotation = rotation.until_first_use();
        assert_eq!(wrong(rotate(&tokens, &issued, rotation).await), ["grace_seconds"]);
    }
    assert!(!world.store.take_calls().contains(&"rotate"));
    untouched(&world, &issued).await;
    let _ = rotated(&tokens, &issued, grace(30 * DAY)).await;
}

async fn all_that_is_wrong_is_told_at_once(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let rotation = grace(-1).expires_at(after(0));
    assert_eq!(wrong(rotate(&tokens, &issued, rotation).await), ["expires_at", "grace_seconds"]);
    untouched(&world, &issued).await;
}

async fn a_token_that_has_ended_is_not_rotated(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let new = |name| world.new_token(name);
    let revoked = tokens.issue(new("revoked")).await.unwrap();
    own.revoke(revoked.record.id).await.unwrap();
    let expired = tokens.issue(new("expired").expires_at(after(100))).await.unwrap();
    let idle = tokens.issue(new("idle").idle_period(Duration::seconds(100))).await.unwrap();
    let both = tokens.issue(new("both").expires_at(after(100))).await.unwrap();
    own.suspend(both.record.id).await.unwrap();
    let awake = tokens.issue(new("awake").idle_period(Duration::seconds(100))).await.unwrap();
    at(&world, 99);
    assert_eq!(tried(&tokens, &awake).await, "good");
    at(&world, 100);
    for rotation in [TokenRotation::new(), grace(0).end_running_grace(), grace(0).generation(0)] {
        for (issued, expected) in [
            (&revoked, TokenState::Revoked),
            (&expired, TokenState::Expired),
            (&idle, TokenState::Idle),
            (&both, TokenState::Expired),
        ] {
            let later = rotation.clone().expires_at(None);
            for rotation in [rotation.clone(), later] {
                let refused = rotate(&tokens, issued, rotation).await;
                let is_it = matches!(refused, Err(RotateError::Manage(ManageError::NotActive(it))) if it == expected);
                assert!(is_it, "{refused:?} of {expected}");
            }
            untouched(&world, issued).await;
        }
    }
    assert_eq!(rotated(&tokens, &awake, grace(10)).await.record.generation, 1);
}

async fn a_token_of_somebody_else_is_not_found(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let other = tokens.owned_by(&world.stranger);
    for id in [issued.record.id, TokenId::from_u128(7)] {
        for rotation in [TokenRotation::new(), grace(0).generation(0), grace(-1)] {
            let refused = other.rotate(id, rotation).await;
            assert!(
                matches!(refused, Err(RotateError::Manage(ManageError::NotFound))),
                "{refused:?}"
            );
        }
    }
    untouched(&world, &issued).await;
    assert_eq!(tried(&tokens, &issued).await, "good");
}

async fn without_a_secret_nothing_is_changed(world: World) {
    let moody = Moody::default();
    let tokens = world.builder().entropy(moody.clone()).build().unwrap();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    world.store.take_calls();
    for mood in [2, 3] {
        moody.0.store(mood, SeqCst);
        let refused = rotate(&tokens, &issued, grace(0)).await;
        assert!(matches!(refused, Err(RotateError::Entropy(_))), "{refused:?}");
    }
    assert!(!world.store.take_calls().contains(&"rotate"));
    untouched(&world, &issued).await;
    assert_eq!(tried(&tokens, &issued).await, "good");
    moody.0.store(0, SeqCst);
    let new = rotated(&tokens, &issued, grace(0)).await;
    moody.0.store(3, SeqCst);
    assert!(rotate(&tokens, &issued, grace(0)).await.is_err());
    assert_eq!(tried(&tokens, &new).await, "good", "a retry that failed has not replaced it");
}

async fn a_generator_that_repeats_itself_is_found_out(world: World) {
    for with_pepper in [false, true] {
        let moody = Moody::default();
        let mut builder = world.builder().entropy(moody.clone());
        if with_pepper {
            builder = builder.pepper(pepper());
        }
        let tokens = builder.build().unwrap();
        let [one, other] = [
            tokens.issue(world.new_token("a")).await.unwrap(),
            tokens.issue(world.new_token("b")).await.unwrap(),
        ];
        moody.0.store(1, SeqCst);
        let new = rotated(&tokens, &one, grace(10)).await;
        for issued in [&one, &other] {
            let refused = rotate(&tokens, issued, grace(0)).await;
            assert!(matches!(refused, Err(RotateError::Entropy(_))), "{refused:?}");
        }
        assert!(tokens.issue(world.new_token("c")).await.is_err());
        assert_eq!(tried(&tokens, &one).await, "good");
        assert_eq!(tried(&tokens, &new).await, "good");
        world.events.take();
        untouched(&world, &other).await;
    }
}

async fn trouble_in_the_store_is_told_and_changes_nothing(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    for step in ["find", "rotate"] {
        for trouble in TROUBLES {
            world.store.fail_with(&[step], trouble);
            world.events.take();
            let refused = rotate(&tokens, &issued, grace(0)).await;
            let Err(RotateError::Manage(ManageError::Store(error))) = &refused else {
                panic!("{refused:?}")
            };
            assert_eq!(error.to_string(), trouble().to_string());
            let events = world.events.take();
            assert_eq!(events.len(), 1, "{events:?}");
        }
        world.store.heal();
    }
    untouched(&world, &issued).await;
    assert_eq!(tried(&tokens, &issued).await, "good");
}
