//! Rotating: what stays, how long the old secret may be used, and who is told no.

mod bearer;
mod dropped;
mod first_use;
mod meanwhile;
mod races;
mod refusals;
mod retired;
mod retries;

use keyfob::{
    ApiTokens, IssuedToken, ManageError, NewToken, Policy, RotateError, TokenChange, TokenRecord,
    TokenRotation, TokenState,
    token::{PreviousSecret, RateLimit},
};
use time::Duration;

use crate::support::{World, after, checked, on_every_store, secret_of};

const DAY: i64 = 86_400;

on_every_store! {
    a_rotation_changes_the_secret_and_nothing_else
    an_old_secret_is_good_to_the_second_of_its_grace
    without_a_grace_the_old_secret_ends_at_once
    a_grace_never_outlasts_the_token
    the_first_use_of_the_new_secret_ends_the_old_one_where_that_is_asked
    each_rotation_that_is_not_a_retry_counts
    while_a_grace_runs_and_the_new_secret_is_in_use_nothing_is_rotated
    a_grace_that_runs_is_ended_where_that_is_asked
    when_the_grace_is_over_a_token_is_rotated_again
    the_longest_lifetime_counts_from_the_rotation
    a_suspended_token_is_rotated_and_stays_suspended
    a_token_that_is_not_valid_yet_is_rotated_and_stays_so
    a_token_keeps_the_prefix_that_it_was_issued_under
    a_revocation_ends_both_secrets
    a_connection_that_is_open_lasts_as_long_as_its_secret
    a_new_secret_says_how_long_it_is_good
}

fn grace(seconds: i64) -> TokenRotation {
    TokenRotation::new().grace(Duration::seconds(seconds))
}

fn until_first_use() -> TokenRotation {
    TokenRotation::new().until_first_use()
}

async fn rotate(
    tokens: &ApiTokens,
    issued: &IssuedToken,
    rotation: TokenRotation,
) -> Result<IssuedToken, RotateError> {
    tokens.owned_by(&issued.record.owner).rotate(issued.record.id, rotation).await
}

async fn rotated(tokens: &ApiTokens, issued: &IssuedToken, rotation: TokenRotation) -> IssuedToken {
    rotate(tokens, issued, rotation).await.unwrap()
}

/// Whether a secret is `good`, or the code of the refusal.
async fn tried(tokens: &ApiTokens, issued: &IssuedToken) -> &'static str {
    match tokens.verify(issued.plain.expose_secret()).await {
        Ok(token) => {
            assert_eq!(token.id(), issued.record.id);
            "good"
        }
        Err(refused) => refused.code(),
    }
}

fn previous(record: &TokenRecord) -> &PreviousSecret {
    record.previous.as_deref().unwrap()
}

fn at(world: &World, seconds: i64) {
    world.clock.set(after(seconds).datetime());
}

#[track_caller]
fn wrong(outcome: Result<IssuedToken, RotateError>) -> Vec<&'static str> {
    match outcome {
        Err(RotateError::Manage(ManageError::Invalid(invalid))) => {
            invalid.errors.iter().map(|it| it.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

async fn a_rotation_changes_the_secret_and_nothing_else(world: World) {
    let tokens = world.tokens();
    let new = world
        .new_token("ci")
        .abilities(["x:read", "y:*"])
        .metadata(serde_json::json!({ "a": [1, null] }))
        .expires_in(Duration::days(90))
        .idle_period(Duration::days(30))
        .rate_limit(RateLimit::new(7, Duration::MINUTE).unwrap())
        .created_by(keyfob::token::Actor::new("admin:1").unwrap());
    let old = tokens.issue(new).await.unwrap();
    tokens.verify(old.plain.expose_secret()).await.map(drop).unwrap();
    tokens.flush().await.unwrap();
    let before = world.stored(&old).await;
    world.events.take();
    at(&world, 10);

    let new = rotated(&tokens, &old, TokenRotation::new()).await;
    assert_ne!(secret_of(&new), secret_of(&old));
    assert_eq!(new.plain.expose_secret()[..28], old.plain.expose_secret()[..28]);
    let mut expected = (*before).clone();
    expected.digest = new.record.digest.clone();
    expected.generation = 1;
    expected.version = 1;
    expected.rotated_at = Some(after(10));
    let kept = PreviousSecret::until(before.digest.clone(), after(10 + DAY));
    expected.previous = Some(Box::new(kept));
    assert_eq!(new.record, expected);
    assert_eq!(*world.stored(&old).await, expected);
    assert_ne!(new.record.digest, before.digest);
    let events = world.events.take();
    assert!(events.len() == 1 && events[0].starts_with("Rotated {"), "{events:?}");

    assert_eq!(tried(&tokens, &new).await, "good", "at once");
    assert_eq!(tried(&tokens, &old).await, "good");
    let token = tokens.verify(new.plain.expose_secret()).await.unwrap();
    assert!(token.can("x:read") && token.can("y:z") && token.is_current());
    assert!(!tokens.verify(old.plain.expose_secret()).await.unwrap().is_current());
}

async fn an_old_secret_is_good_to_the_second_of_its_grace(world: World) {
    let tokens = world.tokens();
    let graces = [
        (grace(1), 1),
        (grace(60), 60),
        (TokenRotation::new(), DAY),
        (grace(30 * DAY), 30 * DAY),
        (TokenRotation::new().grace(Duration::milliseconds(1_999)), 1),
    ];
    let mut begin = 0;
    for (rotation, seconds) in graces {
        begin += 100 * DAY;
        at(&world, begin);
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let new = rotated(&tokens, &old, rotation).await;
        for (passed, expected) in [
            (0, "good"),
            (seconds - 1, "good"),
            (seconds, "retired_secret"),
            (seconds + 1, "retired_secret"),
            (seconds + 50 * DAY, "retired_secret"),
        ] {
            at(&world, begin + passed);
            assert_eq!(tried(&tokens, &old).await, expected, "{passed} of {seconds}");
            assert_eq!(tried(&tokens, &new).await, "good");
        }
    }
}

async fn without_a_grace_the_old_secret_ends_at_once(world: World) {
    let tokens = world.tokens();
    for rotation in [
        grace(0),
        grace(0).until_first_use(),
        TokenRotation::new().grace(Duration::milliseconds(999)),
    ] {
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let new = rotated(&tokens, &old, rotation).await;
        assert_eq!(tried(&tokens, &old).await, "retired_secret");
        assert_eq!(tried(&tokens, &new).await, "good");
        assert_eq!(tried(&tokens, &old).await, "retired_secret");
    }
}

async fn a_grace_never_outlasts_the_token(world: World) {
    let tokens = world.tokens();
    for (rotation, expiry, end) in [
        (grace(1_000), 100, Some(100)),
        (grace(50), 100, Some(50)),
        (TokenRotation::new(), 100, Some(100)),
        (grace(1_000).until_first_use(), 100, Some(100)),
        (until_first_use(), 100, None),
        (grace(1_000).expires_at(after(500)), 500, Some(500)),
        (grace(1_000).expires_at(after(50)), 50, Some(50)),
        (grace(1_000).expires_at(None), i64::MAX, Some(1_000)),
        (until_first_use().expires_at(after(50)), 50, None),
    ] {
        world.clock.set(after(0).datetime());
        let handle = world.tokens();
        let new = world.new_token("a").expires_at(after(100));
        let old = handle.issue(new).await.unwrap();
        let new = rotated(&handle, &old, rotation.clone()).await;
        assert_eq!(previous(&new.record).ends_at, end.map(after), "{rotation:?}");
        let token = handle.verify(old.plain.expose_secret()).await.unwrap();
        let end = end.unwrap_or(expiry).min(expiry);
        assert_eq!(token.valid_until(), Some(after(end)), "{rotation:?}");
        at(&world, end - 1);
        assert_eq!(tried(&handle, &old).await, "good", "{rotation:?}");
        at(&world, end);
        let ended = if end == expiry && previous(&new.record).ends_at.is_none() {
            "expired"
        } else {
            "retired_secret"
        };
        assert_eq!(tried(&handle, &old).await, ended, "{rotation:?}");
        assert_eq!(tried(&handle, &new).await == "good", end < expiry, "{rotation:?}");
    }

    at(&world, 0);
    let old = world.tokens().issue(world.new_token("a").expires_at(after(DAY))).await.unwrap();
    let _ = rotated(&world.tokens(), &old, grace(3_600)).await;
    let sooner = TokenChange::new().expires_at(after(10));
    world.tokens().owned_by(&world.owner).change(old.record.id, sooner).await.unwrap();
    at(&world, 10);
    assert_eq!(tried(&tokens, &old).await, "expired", "also where the expiry is moved later on");
}

async fn the_first_use_of_the_new_secret_ends_the_old_one_where_that_is_asked(world: World) {
    let tokens = world.tokens();
    for (rotation, end) in
        [(until_first_use(), None), (until_first_use().grace(Duration::HOUR), Some(3_600))]
    {
        let begin = (tokens.now().unix_seconds() - after(0).unix_seconds()) + 10;
        at(&world, begin);
        let [used, unused] = [
            tokens.issue(world.new_token("used")).await.unwrap(),
            tokens.issue(world.new_token("unused")).await.unwrap(),
        ];
        let new = rotated(&tokens, &used, rotation.clone()).await;
        let lost = rotated(&tokens, &unused, rotation).await;
        assert_eq!(previous(&new.record).ends_at, end.map(|it| after(begin + it)));
        assert_eq!(tried(&tokens, &used).await, "good");
        assert_eq!(tried(&tokens, &used).await, "good", "that is no use of the new one");
        assert_eq!(tried(&tokens, &new).await, "good");
        assert_eq!(tried(&tokens, &used).await, "retired_secret");

        at(&world, begin + 3_599);
        assert_eq!(tried(&tokens, &unused).await, "good");
        at(&world, begin + 3_600);
        let expected = if end.is_some() { "retired_secret" } else { "good" };
        assert_eq!(tried(&tokens, &unused).await, expected);
        at(&world, begin + 400 * DAY);
        assert_eq!(tried(&tokens, &unused).await, expected);
        assert_eq!(tried(&tokens, &lost).await, "good", "a new secret is good without being used");
        assert_eq!(tried(&tokens, &unused).await, "retired_secret");
    }
}

async fn each_rotation_that_is_not_a_retry_counts(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let mut latest = tokens.issue(world.new_token("a")).await.unwrap();
    assert_eq!(latest.record.generation, 0);
    for generation in 1..=5 {
        latest = rotated(&tokens, &latest, grace(0).generation(generation - 1)).await;
        assert_eq!(latest.record.generation, generation);
        assert_eq!(own.get(latest.record.id).await.unwrap().generation, generation);
        latest = rotated(&tokens, &latest, grace(0).generation(generation)).await;
        assert_eq!(latest.record.generation, generation, "a retry");
        for stale in [generation - 1, generation + 1, u32::MAX] {
            let refused = rotate(&tokens, &latest, grace(0).generation(stale)).await;
            assert!(matches!(refused, Err(RotateError::Conflict)), "{refused:?}");
        }
        assert_eq!(tried(&tokens, &latest).await, "good");
    }
}

async fn while_a_grace_runs_and_the_new_secret_is_in_use_nothing_is_rotated(world: World) {
    let tokens = world.tokens();
    let oldest = tokens.issue(world.new_token("a")).await.unwrap();
    let old = rotated(&tokens, &oldest, grace(100)).await;
    assert_eq!(tried(&tokens, &old).await, "good");
    let before = world.stored(&old).await;
    for seconds in [0, 99] {
        at(&world, seconds);
        for rotation in [TokenRotation::new(), grace(0), until_first_use(), grace(0).generation(1)]
        {
            let refused = rotate(&tokens, &old, rotation).await;
            assert!(matches!(refused, Err(RotateError::InGrace)), "{refused:?}");
        }
    }
    assert_eq!(world.stored(&old).await, before);
    assert_eq!(tried(&tokens, &oldest).await, "good");
    assert_eq!(tried(&tokens, &old).await, "good");
}

async fn a_grace_that_runs_is_ended_where_that_is_asked(world: World) {
    let tokens = world.tokens();
    let oldest = tokens.issue(world.new_token("a")).await.unwrap();
    let old = rotated(&tokens, &oldest, grace(100)).await;
    assert_eq!(tried(&tokens, &old).await, "good");
    let new = rotated(&tokens, &old, grace(50).end_running_grace()).await;
    assert_eq!(new.record.generation, 2);
    assert_eq!(tried(&tokens, &oldest).await, "wrong_secret", "nothing is kept of it");
    assert_eq!(tried(&tokens, &old).await, "good");
    assert_eq!(tried(&tokens, &new).await, "good");
    at(&world, 50);
    assert_eq!(tried(&tokens, &old).await, "retired_secret");

    let other = tokens.issue(world.new_token("b")).await.unwrap();
    let new = rotated(&tokens, &other, grace(10).end_running_grace()).await;
    assert_eq!(tried(&tokens, &other).await, "good", "there was none to end");
    assert_eq!(new.record.generation, 1);
}

async fn when_the_grace_is_over_a_token_is_rotated_again(world: World) {
    let tokens = world.tokens();
    let oldest = tokens.issue(world.new_token("a")).await.unwrap();
    let old = rotated(&tokens, &oldest, grace(100)).await;
    assert_eq!(tried(&tokens, &old).await, "good");
    at(&world, 100);
    let new = rotated(&tokens, &old, grace(100)).await;
    assert_eq!(new.record.generation, 2);
    assert_eq!(tried(&tokens, &oldest).await, "wrong_secret");
    assert_eq!(tried(&tokens, &old).await, "good");

    let first = tokens.issue(world.new_token("b")).await.unwrap();
    let second = rotated(&tokens, &first, until_first_use()).await;
    assert_eq!(tried(&tokens, &second).await, "good");
    let third = rotated(&tokens, &second, until_first_use()).await;
    assert_eq!(third.record.generation, 2, "the first use has ended the grace");
}

async fn the_longest_lifetime_counts_from_the_rotation(world: World) {
    let tokens = world.with(Policy::new().max_lifetime(Duration::seconds(100)));
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    assert_eq!(old.record.expires_at, Some(after(100)));
    at(&world, 50);
    for rotation in [
        grace(0).expires_in(Duration::seconds(101)),
        grace(0).expires_at(after(151)),
        grace(0).expires_at(None),
        grace(0).expires_at(after(50)),
        grace(0).expires_in(Duration::ZERO),
        grace(0).expires_in(Duration::MAX),
        grace(0).expires_in(-Duration::SECOND),
    ] {
        assert_eq!(wrong(rotate(&tokens, &old, rotation).await), ["expires_at"]);
    }
    let new = rotated(&tokens, &old, grace(0)).await;
    assert_eq!(new.record.expires_at, Some(after(100)), "it stays unless said otherwise");
    let new = rotated(&tokens, &new, grace(0).expires_in(Duration::seconds(100))).await;
    assert_eq!(new.record.expires_at, Some(after(150)));
    let change = |seconds| TokenChange::new().expires_at(after(seconds));
    let own = tokens.owned_by(&world.owner);
    own.change(new.record.id, change(120)).await.unwrap();
    own.change(new.record.id, change(150)).await.unwrap();
    own.change(new.record.id, change(151)).await.unwrap_err();
}

async fn a_suspended_token_is_rotated_and_stays_suspended(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    own.suspend(old.record.id).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    assert_eq!(new.record.state_at(tokens.now()), TokenState::Suspended);
    assert_eq!(tried(&tokens, &new).await, "suspended");
    assert_eq!(tried(&tokens, &old).await, "suspended");
    assert!(world.stored(&old).await.has_unused_secret(), "what is refused is no use");
    own.resume(old.record.id).await.unwrap();
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(tried(&tokens, &old).await, "good");
}

async fn a_token_that_is_not_valid_yet_is_rotated_and_stays_so(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a").not_before(after(100))).await.unwrap();
    let new = rotated(&tokens, &old, grace(200)).await;
    assert_eq!(tried(&tokens, &new).await, "not_yet_valid");
    assert!(world.stored(&old).await.has_unused_secret());
    for end in [50, 100] {
        let ended = rotate(&tokens, &old, grace(0).expires_at(after(end))).await;
        assert_eq!(wrong(ended), ["expires_at"], "it would end before it begins");
    }
    at(&world, 100);
    assert_eq!(tried(&tokens, &new).await, "good");
    assert_eq!(tried(&tokens, &old).await, "good");
}

async fn a_token_keeps_the_prefix_that_it_was_issued_under(world: World) {
    let old = world.tokens().issue(world.new_token("a")).await.unwrap();
    let renamed = world.builder().prefix("newco").accept_prefix("acme").build().unwrap();
    let new = rotated(&renamed, &old, grace(100)).await;
    assert!(new.plain.expose_secret().starts_with("acme_"));
    assert_eq!(new.record.prefix.as_str(), "acme");
    assert_eq!(tried(&renamed, &new).await, "good");
    assert_eq!(tried(&renamed, &old).await, "good");
    let text = checked(&format!("newco_{}_{}", new.record.id, secret_of(&new)));
    assert_eq!(renamed.verify(&text).await.unwrap_err().code(), "wrong_prefix");
    let other = renamed.issue(NewToken::new(world.stranger.clone(), "b")).await.unwrap();
    let other = rotated(&renamed, &other, grace(100)).await;
    assert!(other.plain.expose_secret().starts_with("newco_"));
}

async fn a_revocation_ends_both_secrets(world: World) {
    let tokens = world.tokens();
    for is_used in [false, true] {
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let new = rotated(&tokens, &old, grace(100)).await;
        if is_used {
            assert_eq!(tried(&tokens, &new).await, "good");
        }
        assert_eq!(tried(&tokens, &old).await, "good");
        tokens.owned_by(&world.owner).revoke(old.record.id).await.unwrap();
        assert_eq!(tried(&tokens, &new).await, "revoked");
        assert_eq!(tried(&tokens, &old).await, "revoked");
        assert_eq!(world.stored(&old).await.has_unused_secret(), !is_used);
    }
}

async fn a_connection_that_is_open_lasts_as_long_as_its_secret(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a")).await.unwrap();
    let on_old = tokens.verify(old.plain.expose_secret()).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    let on_new = tokens.verify(new.plain.expose_secret()).await.unwrap();
    let renewed = tokens.revalidate(&on_old).await.unwrap();
    assert!(!renewed.is_current() && on_new.is_current());
    assert_eq!(renewed.valid_until(), Some(after(100)));
    at(&world, 100);
    for ended in [&on_old, &renewed] {
        assert_eq!(tokens.revalidate(ended).await.unwrap_err().code(), "retired_secret");
    }
    assert!(tokens.revalidate(&on_new).await.is_ok());
    let _ = rotated(&tokens, &new, grace(0)).await;
    assert_eq!(tokens.revalidate(&on_new).await.unwrap_err().code(), "retired_secret");
}

async fn a_new_secret_says_how_long_it_is_good(world: World) {
    let tokens = world.tokens();
    let old = tokens.issue(world.new_token("a").expires_at(after(1_000))).await.unwrap();
    let new = rotated(&tokens, &old, grace(100)).await;
    let token = tokens.verify(new.plain.expose_secret()).await.unwrap();
    assert_eq!(token.valid_until(), Some(after(1_000)), "the grace is that of the old one");
}
