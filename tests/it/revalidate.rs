//! Verifying once more, for connections that are kept open: what ends them, when, and what it leaves behind.

use std::{net::IpAddr, num::NonZeroU32};

use keyfob::{
    ApiTokens, IssuedToken, NewToken, TokenChange, TokenRecord, VerifiedToken, VerifyError,
    store::{
        TokenStore,
        contract::{Change, InsertOutcome, InsertRules, UpdateOutcome},
    },
    token::{AllowedAddresses, KeyId, PreviousSecret, Suspension, TokenDigest},
};
use time::Duration;

use crate::support::store_ext::StoreExt;
use crate::support::{TROUBLES, WRITES, World, after, checked, on_every_store, secret_of};

on_every_store! {
    a_token_that_is_still_good_is_the_same_token
    a_revoked_token_ends_its_connections
    a_suspension_ends_them_and_is_over_when_it_is_over
    a_connection_ends_at_the_second_of_the_expiry
    an_expiry_that_was_moved_is_the_one_that_counts
    an_idle_token_ends_its_connections
    a_connection_keeps_its_token_awake
    a_token_that_is_gone_is_unknown
    the_address_is_that_of_the_verification
    a_secret_in_grace_is_good_until_the_grace_ends
    a_grace_never_outlasts_the_token
    the_first_use_of_the_new_secret_ends_the_grace_of_a_connection
    a_rotation_with_grace_leaves_a_connection_until_its_end
    a_rotation_without_grace_ends_a_connection
    the_second_rotation_ends_a_connection_whatever_the_grace
    a_rotation_that_keeps_the_generation_ends_a_connection
    a_secret_under_another_key_is_the_same_secret
    the_answer_has_the_abilities_of_now
    a_connection_is_a_use_from_its_address
    trouble_in_the_store_is_reported_and_never_a_pass
    it_asks_the_store_once_and_writes_nothing
}

async fn open(tokens: &ApiTokens, issued: &IssuedToken) -> VerifiedToken {
    tokens.verify(issued.plain.expose_secret()).await.unwrap()
}

/// Whether it is still `good`, or the code of the refusal, which was reported.
async fn again(world: &World, tokens: &ApiTokens, token: &VerifiedToken) -> &'static str {
    world.events.take();
    let outcome = tokens.revalidate(token).await;
    let events = world.events.take();
    match outcome {
        Ok(same) => {
            assert_eq!(same.id(), token.id());
            assert_eq!(events, [""; 0]);
            "good"
        }
        Err(refused) => {
            let (id, reason) = (refused.proven_id(), refused.code());
            assert_eq!(events.len(), 1);
            assert!(events[0].starts_with(&format!("Refused {{ id: {id:?}, owner: ")));
            assert!(events[0].ends_with(&format!(", reason: {reason:?} }}")), "{events:?}");
            let is_unknown = matches!(refused, VerifyError::Unknown);
            assert_eq!(id, (!is_unknown).then_some(token.id()), "the secret was proven before");
            reason
        }
    }
}

/// Puts another record in the place of a token's: what a rotation leaves, for one.
async fn rewrite(world: &World, issued: &IssuedToken, alter: impl FnOnce(&mut TokenRecord)) {
    let mut record = (*world.stored(issued).await).clone();
    alter(&mut record);
    assert_eq!(world.store.erase(&world.owner).await.unwrap(), [record.id], "it is the only one");
    let outcome = world.store.insert(&record, &InsertRules::none()).await.unwrap();
    assert_eq!(outcome, InsertOutcome::Inserted);
}

/// Replaces the secret; the one from before is good until an instant, if there is one.
async fn rotate(world: &World, issued: &IssuedToken, seconds: i64, grace_until: Option<i64>) {
    rewrite(world, issued, |it| {
        let before = std::mem::replace(&mut it.digest, digest(seconds));
        let end = grace_until.unwrap_or(0);
        it.previous = Some(Box::new(PreviousSecret::until(before, after(end))));
        it.generation += 1;
        it.rotated_at = Some(after(seconds));
        it.first_used_at = None;
    })
    .await;
}

/// That of a secret that nobody has.
fn digest(seconds: i64) -> TokenDigest {
    TokenDigest::from_bytes([u8::try_from(seconds % 251).unwrap() + 1; 32], None)
}

async fn change(world: &World, issued: &IssuedToken, alter: impl FnOnce(&mut Change)) {
    let mut change = Change::default();
    alter(&mut change);
    let expiry = world.stored(issued).await.expires_at;
    let outcome = world.store.change(issued.record.id, expiry, &change).await.unwrap();
    assert!(matches!(outcome, UpdateOutcome::Updated(_)), "{outcome:?}");
}

async fn a_token_that_is_still_good_is_the_same_token(world: World) {
    let tokens = world.tokens();
    let new = world.new_token("a").abilities(["x:read"]).expires_in(Duration::HOUR);
    let issued = tokens.issue(new).await.unwrap();
    let mut token = open(&tokens, &issued).await;
    for seconds in [0, 1, 60, 3_599] {
        world.clock.set(after(seconds).datetime());
        assert_eq!(again(&world, &tokens, &token).await, "good");
        token = tokens.revalidate(&token).await.unwrap();
        assert_eq!((token.id(), token.owner()), (issued.record.id, &world.owner));
        assert_eq!(token.valid_until(), Some(after(3_600)));
        assert!(token.can("x:read") && !token.can("x:write"));
    }
}

async fn a_revoked_token_ends_its_connections(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let other = tokens.issue(world.new_token("b")).await.unwrap();
    let connections = [open(&tokens, &issued).await, open(&tokens, &issued).await];
    let elsewhere = open(&tokens, &other).await;
    tokens.owned_by(&world.owner).revoke(issued.record.id).await.unwrap();
    for token in &connections {
        assert_eq!(again(&world, &tokens, token).await, "revoked");
    }
    assert_eq!(again(&world, &tokens, &elsewhere).await, "good");
}

async fn a_suspension_ends_them_and_is_over_when_it_is_over(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = open(&tokens, &issued).await;
    let mut suspension = Suspension::new(after(0));
    suspension.until = Some(after(100));
    world.store.suspend(issued.record.id, &suspension).await.map(drop).unwrap();
    for (seconds, expected) in [(0, "suspended"), (99, "suspended"), (100, "good")] {
        world.clock.set(after(seconds).datetime());
        assert_eq!(again(&world, &tokens, &token).await, expected, "{seconds}");
    }
}

async fn a_connection_ends_at_the_second_of_the_expiry(world: World) {
    let tokens = world.tokens();
    let new = world.new_token("a").expires_in(Duration::seconds(100));
    let token = open(&tokens, &tokens.issue(new).await.unwrap()).await;
    assert_eq!(token.valid_until(), Some(after(100)));
    for (seconds, expected) in [(99, "good"), (100, "expired"), (101, "expired")] {
        world.clock.set(after(seconds).datetime());
        assert_eq!(again(&world, &tokens, &token).await, expected, "{seconds}");
    }
}

async fn an_expiry_that_was_moved_is_the_one_that_counts(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = open(&tokens, &issued).await;
    assert_eq!(token.valid_until(), None);
    let expiry = TokenChange::new().expires_at(after(100));
    tokens.owned_by(&world.owner).change(issued.record.id, expiry).await.unwrap();
    assert_eq!(tokens.revalidate(&token).await.unwrap().valid_until(), Some(after(100)));
    for (seconds, expected) in [(99, "good"), (100, "expired")] {
        world.clock.set(after(seconds).datetime());
        assert_eq!(again(&world, &tokens, &token).await, expected, "{seconds}");
    }
}

async fn an_idle_token_ends_its_connections(world: World) {
    let tokens = world.tokens();
    let issued = world.plant(|it| it.idle_seconds = NonZeroU32::new(1_000)).await;
    let token = open(&tokens, &issued).await;
    world.clock.set(after(1_000).datetime());
    assert_eq!(again(&world, &tokens, &token).await, "idle");
}

async fn a_connection_keeps_its_token_awake(world: World) {
    let tokens = world.tokens();
    let issued = world.plant(|it| it.idle_seconds = NonZeroU32::new(1_000)).await;
    let token = open(&tokens, &issued).await;
    for seconds in [999, 1_998, 2_997] {
        world.clock.set(after(seconds).datetime());
        assert_eq!(again(&world, &tokens, &token).await, "good", "{seconds}");
    }
    // Another record comes from the store, and no use is written yet.
    change(&world, &issued, |it| it.name = Some("renamed".parse().unwrap())).await;
    world.clock.set(after(3_996).datetime());
    assert_eq!(again(&world, &tokens, &token).await, "good");
    tokens.verify(issued.plain.expose_secret()).await.map(drop).unwrap();
    world.clock.set(after(4_996).datetime());
    assert_eq!(again(&world, &tokens, &token).await, "idle");
}

async fn a_token_that_is_gone_is_unknown(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = open(&tokens, &issued).await;
    tokens.owned_by(&world.owner).erase().await.unwrap();
    assert_eq!(again(&world, &tokens, &token).await, "unknown");
}

async fn the_address_is_that_of_the_verification(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let text = issued.plain.expose_secret();
    let [inside, outside] = [[192, 0, 2, 7], [198, 51, 100, 1]].map(IpAddr::from);
    let [inside, outside, nowhere] = [
        tokens.verify_from(text, Some(inside)).await.unwrap(),
        tokens.verify_from(text, Some(outside)).await.unwrap(),
        tokens.verify(text).await.unwrap(),
    ];
    let networks = AllowedAddresses::new(["192.0.2.0/24"]).unwrap();
    change(&world, &issued, |it| it.allowed_addresses = Some(Some(networks))).await;
    assert_eq!(again(&world, &tokens, &inside).await, "good");
    assert_eq!(again(&world, &tokens, &outside).await, "address_not_allowed");
    assert_eq!(again(&world, &tokens, &nowhere).await, "address_not_allowed");
    let renewed = tokens.revalidate(&inside).await.unwrap();
    assert_eq!(again(&world, &tokens, &renewed).await, "good", "the answer knows the address");
}

async fn a_secret_in_grace_is_good_until_the_grace_ends(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    rotate(&world, &issued, 0, Some(100)).await;
    let token = open(&tokens, &issued).await;
    assert_eq!(token.expires_at(), None);
    assert_eq!(token.valid_until(), Some(after(100)));
    for (seconds, expected) in [(99, "good"), (100, "retired_secret"), (101, "retired_secret")] {
        world.clock.set(after(seconds).datetime());
        assert_eq!(again(&world, &tokens, &token).await, expected, "{seconds}");
    }
}

async fn a_grace_never_outlasts_the_token(world: World) {
    for (grace, expiry, end, reason) in
        [(100, 200, 100, "retired_secret"), (200, 100, 100, "expired"), (50, 50, 50, "")]
    {
        // For one handle, the time does not go back.
        world.clock.set(after(0).datetime());
        let tokens = world.tokens();
        let new = world.new_token("a").expires_at(after(expiry));
        let issued = tokens.issue(new).await.unwrap();
        rotate(&world, &issued, 0, Some(grace)).await;
        let token = open(&tokens, &issued).await;
        assert_eq!(token.valid_until(), Some(after(end)));
        world.clock.set(after(end - 1).datetime());
        assert_eq!(again(&world, &tokens, &token).await, "good");
        world.clock.set(after(end).datetime());
        let ended = again(&world, &tokens, &token).await;
        assert!(ended == reason || (reason.is_empty() && ended != "good"), "{ended}");
        tokens.owned_by(&world.owner).erase().await.unwrap();
    }
}

async fn the_first_use_of_the_new_secret_ends_the_grace_of_a_connection(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = open(&tokens, &issued).await;
    rotate(&world, &issued, 0, Some(1_000)).await;
    rewrite(&world, &issued, |it| {
        it.previous.as_mut().unwrap().ends_on_first_use = true;
    })
    .await;
    assert_eq!(again(&world, &tokens, &token).await, "good");
    let current = world.stored(&issued).await.digest.clone();
    assert!(world.store.mark_first_use(issued.record.id, &current, after(0)).await.unwrap());
    assert_eq!(again(&world, &tokens, &token).await, "retired_secret");
}

async fn a_rotation_with_grace_leaves_a_connection_until_its_end(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = open(&tokens, &issued).await;
    rotate(&world, &issued, 10, Some(100)).await;
    let renewed = tokens.revalidate(&token).await.unwrap();
    assert_eq!((token.valid_until(), renewed.valid_until()), (None, Some(after(100))));
    for (seconds, expected) in [(99, "good"), (100, "retired_secret")] {
        world.clock.set(after(seconds).datetime());
        for token in [&token, &renewed] {
            assert_eq!(again(&world, &tokens, token).await, expected, "{seconds}");
        }
    }
}

async fn a_rotation_without_grace_ends_a_connection(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = open(&tokens, &issued).await;
    rotate(&world, &issued, 10, None).await;
    assert_eq!(again(&world, &tokens, &token).await, "retired_secret");
}

async fn the_second_rotation_ends_a_connection_whatever_the_grace(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = open(&tokens, &issued).await;
    rotate(&world, &issued, 10, Some(1_000)).await;
    assert_eq!(again(&world, &tokens, &token).await, "good");
    rotate(&world, &issued, 20, Some(1_000)).await;
    assert_eq!(again(&world, &tokens, &token).await, "retired_secret");
}

/// A rotation that replaces a secret whose first use is not recorded leaves the generation as it is.
async fn a_rotation_that_keeps_the_generation_ends_a_connection(world: World) {
    let tokens = world.tokens();
    let oldest = tokens.issue(world.new_token("a")).await.unwrap();
    let next = tokens.issue(NewToken::new(world.stranger.clone(), "b")).await.unwrap();
    let with_oldest = open(&tokens, &oldest).await;
    rotate(&world, &oldest, 10, Some(1_000)).await;
    rewrite(&world, &oldest, |it| it.digest = next.record.digest.clone()).await;
    let next = checked(&format!("acme_{}_{}", oldest.record.id, secret_of(&next)));
    let with_next = tokens.verify(&next).await.unwrap();
    assert_eq!(again(&world, &tokens, &with_next).await, "good");

    rewrite(&world, &oldest, |it| {
        it.digest = digest(20);
        it.rotated_at = Some(after(20));
    })
    .await;
    assert!(matches!(tokens.verify(&next).await, Err(VerifyError::WrongSecret)));
    assert_eq!(again(&world, &tokens, &with_next).await, "retired_secret");
    assert_eq!(again(&world, &tokens, &with_oldest).await, "good", "it is still in its grace");
}

async fn a_secret_under_another_key_is_the_same_secret(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = open(&tokens, &issued).await;
    let key = KeyId::new("2026-11").unwrap();
    let (id, before) = (issued.record.id, &issued.record.digest);
    let keyed = TokenDigest::from_bytes([7; 32], Some(key));
    assert!(world.store.rekey(id, before, &keyed).await.unwrap());
    assert_eq!(again(&world, &tokens, &token).await, "good");
}

async fn the_answer_has_the_abilities_of_now(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a").abilities(["x:read"])).await.unwrap();
    let token = open(&tokens, &issued).await;
    for (abilities, read, write) in [(&["x:write"][..], false, true), (&[], false, false)] {
        let abilities = TokenChange::new().abilities(abilities.iter().copied());
        tokens.owned_by(&world.owner).change(issued.record.id, abilities).await.unwrap();
        let renewed = tokens.revalidate(&token).await.unwrap();
        assert_eq!((renewed.can("x:read"), renewed.can("x:write")), (read, write));
        assert!(token.can("x:read"), "what was true then is not changed");
    }
}

async fn a_connection_is_a_use_from_its_address(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let own = tokens.owned_by(&world.owner);
    let from = Some(IpAddr::from([192, 0, 2, 7]));
    let mut token = tokens.verify_from(issued.plain.expose_secret(), from).await.unwrap();
    for seconds in [10, 20] {
        world.clock.set(after(seconds).datetime());
        tokens.verify(issued.plain.expose_secret()).await.map(drop).unwrap();
        world.clock.set(after(seconds + 5).datetime());
        token = tokens.revalidate(&token).await.unwrap();
        let shown = own.get(issued.record.id).await.unwrap();
        let used = (Some(after(seconds + 5)), from);
        assert_eq!((shown.last_used_at, shown.last_used_from), used);
        tokens.flush().await.unwrap();
        let stored = world.stored(&issued).await;
        assert_eq!((stored.last_used_at, stored.last_used_from), used);
    }
    own.revoke(issued.record.id).await.unwrap();
    world.clock.set(after(100).datetime());
    assert_eq!(again(&world, &tokens, &token).await, "revoked");
    let shown = own.get(issued.record.id).await.unwrap();
    assert_eq!(shown.last_used_at, Some(after(25)), "what is refused is no use");
}

async fn trouble_in_the_store_is_reported_and_never_a_pass(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = open(&tokens, &issued).await;
    world.store.forget();
    let events = ["StoreFailed", "StoreFailed", "StoreFailed", "Corrupt"];
    for (trouble, event) in TROUBLES.into_iter().zip(events) {
        world.store.fail_with(&["find"], trouble);
        world.events.take();
        let refused = tokens.revalidate(&token).await.unwrap_err();
        let VerifyError::Store(error) = &refused else { panic!("{refused:?}") };
        assert_eq!(error.to_string(), trouble().to_string());
        let events = world.events.take();
        assert!(events.len() == 1 && events[0].starts_with(event), "{events:?}");
    }
    world.store.heal();
    assert_eq!(again(&world, &tokens, &token).await, "good", "the token was not at fault");
}

async fn it_asks_the_store_once_and_writes_nothing(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let token = open(&tokens, &issued).await;
    world.store.fail(WRITES);
    for is_cold in [false, true] {
        if is_cold {
            world.store.forget();
        }
        world.store.take_calls();
        assert_eq!(again(&world, &tokens, &token).await, "good");
        let calls = world.store.take_calls();
        assert!(calls == ["peek", "find"] || (calls == ["peek"] && !is_cold), "{calls:?}");
    }
}
