//! Verifying: what is let through, what is refused and why, and what it costs.

use std::{
    future::Future,
    net::IpAddr,
    num::NonZeroU32,
    pin::pin,
    task::{Context, Poll, Waker},
};

use keyfob::{
    ApiTokens, IssuedToken, NewToken, TokenId, TokenState, VerifiedToken, VerifyError,
    store::{CorruptRecord, StoreError},
    testing::rare_of,
    token::{
        AllowedAddresses, KeyId, MalformedToken, Prefix, PreviousSecret, Revocation, Suspension,
        TokenDigest,
    },
};
use sha2::{Digest, Sha256};
use time::Duration;

use crate::support::store_ext::StoreExt;
use crate::support::{TROUBLES, WRITES, World, after, checked, on_every_store, secret_of};

on_every_store! {
    an_unknown_token_and_a_wrong_secret_are_told_apart_in_the_log_alone
    a_token_of_another_prefix_is_refused
    a_token_ends_at_the_second_of_its_expiry
    a_revoked_token_is_refused_at_once
    a_suspended_token_is_refused_until_the_end_of_its_suspension
    a_token_is_refused_before_its_time
    an_idle_token_is_refused
    a_previous_secret_is_good_until_the_end_of_its_grace
    the_first_use_of_the_new_secret_can_end_the_grace
    revoking_ends_every_secret_of_a_token
    a_digest_under_an_unknown_key_is_our_fault
    a_token_is_good_from_its_own_addresses_alone
    trouble_in_the_store_is_never_anything_else
    a_record_that_cannot_be_read_is_reported
    what_has_not_the_form_of_a_token_never_reaches_the_store
    tokens_are_verified_while_nothing_can_be_written
    a_verification_that_is_dropped_changes_nothing
    the_start_up_check_tells_what_does_not_work
}

async fn verify(tokens: &ApiTokens, issued: &IssuedToken) -> Result<VerifiedToken, VerifyError> {
    tokens.verify(issued.plain.expose_secret()).await
}

fn state(outcome: Result<VerifiedToken, VerifyError>) -> TokenState {
    match outcome {
        Ok(_) => TokenState::Active,
        Err(VerifyError::Expired(_)) => TokenState::Expired,
        Err(VerifyError::Idle(_)) => TokenState::Idle,
        Err(VerifyError::Revoked(_)) => TokenState::Revoked,
        Err(VerifyError::Suspended(_)) => TokenState::Suspended,
        Err(VerifyError::NotYetValid(_)) => TokenState::NotYetValid,
        other => panic!("{other:?}"),
    }
}

fn digest(secret: &str) -> TokenDigest {
    TokenDigest::from_bytes(Sha256::digest(secret).into(), None)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The text of a token with this id and the secret of another.
fn forged(id: TokenId, secret: &str) -> String {
    checked(&format!("acme_{id}_{secret}"))
}

async fn an_unknown_token_and_a_wrong_secret_are_told_apart_in_the_log_alone(world: World) {
    let tokens = world.tokens();
    let [one, other] =
        [tokens.issue(world.new_token("a")).await, tokens.issue(world.new_token("b")).await]
            .map(Result::unwrap);
    let wrong = forged(one.record.id, secret_of(&other));
    let unknown = forged(TokenId::from_u128(7), secret_of(&one));
    world.events.take();
    let mut calls = Vec::new();
    for (text, expected) in [(wrong, "WrongSecret"), (unknown, "Unknown")] {
        world.store.take_calls();
        let refused = tokens.verify(&text).await.unwrap_err();
        assert_eq!(format!("{refused:?}"), expected);
        assert_eq!(refused.proven_id(), None, "nothing is proven of it");
        assert_eq!(
            world.events.take(),
            [format!(
                "Refused {{ id: None, owner: None, from: None, reason: {:?} }}",
                refused.code()
            )]
        );
        calls.push(world.store.take_calls());
    }
    assert_eq!(calls[0], calls[1], "both cost the same");
    assert!(calls[0].len() <= 2, "{calls:?}");
}

async fn a_token_of_another_prefix_is_refused(world: World) {
    let renamed = world.builder().prefix("newco").accept_prefix("acme").build().unwrap();
    let (old, new) = (
        world.tokens().issue(world.new_token("old")).await.unwrap(),
        renamed.issue(world.new_token("new")).await.unwrap(),
    );
    assert!(verify(&renamed, &old).await.is_ok(), "a rename kills no token");
    assert!(verify(&renamed, &new).await.is_ok());
    let refused = verify(&world.tokens(), &new).await;
    assert!(matches!(refused, Err(VerifyError::Malformed(MalformedToken::UnknownPrefix))));

    for (issued, prefix) in [(&old, "newco"), (&new, "acme")] {
        let text = checked(&format!("{prefix}_{}_{}", issued.record.id, secret_of(issued)));
        let refused = renamed.verify(&text).await;
        assert!(matches!(refused, Err(VerifyError::WrongPrefix(id)) if id == issued.record.id));
    }
}

async fn a_token_ends_at_the_second_of_its_expiry(world: World) {
    let tokens = world.tokens();
    let new = world.new_token("a").expires_in(Duration::seconds(100));
    let issued = tokens.issue(new).await.unwrap();
    for (step, expected) in [
        (Duration::seconds(99), TokenState::Active),
        (Duration::milliseconds(999), TokenState::Active),
        (Duration::milliseconds(1), TokenState::Expired),
        (Duration::SECOND, TokenState::Expired),
        (Duration::days(365), TokenState::Expired),
    ] {
        world.clock.advance(step);
        assert_eq!(state(verify(&tokens, &issued).await), expected, "{step}");
    }
}

async fn a_revoked_token_is_refused_at_once(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let mut issued = Vec::new();
    for name in ["one", "many", "more", "all", "rest"] {
        issued.push(tokens.issue(world.new_token(name)).await.unwrap());
        verify(&tokens, &issued[issued.len() - 1]).await.unwrap();
    }
    let theirs = tokens.issue(NewToken::new(world.stranger.clone(), "theirs")).await.unwrap();

    own.revoke(issued[0].record.id).await.unwrap();
    assert_eq!(state(verify(&tokens, &issued[0]).await), TokenState::Revoked);
    own.revoke_many(&[issued[1].record.id, issued[2].record.id]).await.unwrap();
    for issued in &issued[1..3] {
        assert_eq!(state(verify(&tokens, issued).await), TokenState::Revoked);
    }
    verify(&tokens, &issued[3]).await.unwrap();
    own.revoke_all().await.unwrap();
    for issued in &issued {
        assert_eq!(state(verify(&tokens, issued).await), TokenState::Revoked);
    }
    own.erase().await.unwrap();
    for issued in &issued {
        assert!(matches!(verify(&tokens, issued).await, Err(VerifyError::Unknown)));
    }
    verify(&tokens, &theirs).await.unwrap();
}

async fn a_suspended_token_is_refused_until_the_end_of_its_suspension(world: World) {
    let tokens = world.tokens();
    let mut suspension = Suspension::new(after(0));
    let for_good = world.plant(|it| it.suspension = Some(Box::new(suspension.clone()))).await;
    suspension.until = Some(after(100));
    let for_now = world.plant(|it| it.suspension = Some(Box::new(suspension))).await;
    for (seconds, expected) in [(99, TokenState::Suspended), (100, TokenState::Active)] {
        world.clock.set(after(seconds).datetime());
        assert_eq!(state(verify(&tokens, &for_now).await), expected);
        assert_eq!(state(verify(&tokens, &for_good).await), TokenState::Suspended);
    }
    world.store.resume(for_good.record.id, after(100)).await.map(drop).unwrap();
    assert_eq!(state(verify(&tokens, &for_good).await), TokenState::Active);
}

async fn a_token_is_refused_before_its_time(world: World) {
    let tokens = world.tokens();
    let early = world.plant(|it| it.not_before = Some(after(10))).await;
    for (seconds, expected) in [(9, TokenState::NotYetValid), (10, TokenState::Active)] {
        world.clock.set(after(seconds).datetime());
        assert_eq!(state(verify(&tokens, &early).await), expected);
    }
}

async fn an_idle_token_is_refused(world: World) {
    let tokens = world.tokens();
    let idle = world.plant(|it| it.idle_seconds = NonZeroU32::new(1_000)).await;
    world.clock.set(after(999).datetime());
    assert_eq!(state(verify(&tokens, &idle).await), TokenState::Active);
    tokens.flush().await.unwrap();
    for (seconds, expected) in [(1_998, TokenState::Active), (2_997, TokenState::Active)] {
        world.clock.set(after(seconds).datetime());
        assert_eq!(state(verify(&tokens, &idle).await), expected, "a use puts it off");
        tokens.flush().await.unwrap();
    }
    world.clock.set(after(3_996).datetime());
    assert_eq!(state(verify(&tokens, &idle).await), TokenState::Active);
    tokens.owned_by(&world.owner).rename(idle.record.id, "renamed").await.unwrap();
    world.clock.set(after(4_995).datetime());
    let unwritten = state(verify(&tokens, &idle).await);
    assert_eq!(unwritten, TokenState::Active, "a use that is not written yet puts it off as well");
    world.clock.set(after(5_995).datetime());
    assert_eq!(state(verify(&tokens, &idle).await), TokenState::Idle);
}

async fn a_previous_secret_is_good_until_the_end_of_its_grace(world: World) {
    let tokens = world.tokens();
    let before = tokens.issue(world.new_token("before")).await.unwrap();
    let old = secret_of(&before).to_owned();
    let previous = PreviousSecret::until(digest(&old), after(100));
    let rotated = world
        .plant(|it| {
            it.previous = Some(Box::new(previous));
            it.generation = 1;
        })
        .await;
    let old = forged(rotated.record.id, &old);

    world.clock.set(after(99).datetime());
    verify(&tokens, &rotated).await.unwrap();
    assert_eq!(tokens.verify(&old).await.unwrap().id(), rotated.record.id);
    world.clock.set(after(100).datetime());
    verify(&tokens, &rotated).await.unwrap();
    let refused = tokens.verify(&old).await;
    assert!(matches!(refused, Err(VerifyError::RetiredSecret(id)) if id == rotated.record.id));
}

async fn the_first_use_of_the_new_secret_can_end_the_grace(world: World) {
    let tokens = world.tokens();
    let before = tokens.issue(world.new_token("before")).await.unwrap();
    let mut previous = PreviousSecret::until(digest(secret_of(&before)), after(1_000));
    previous.ends_on_first_use = true;
    let rotated = world
        .plant(|it| {
            it.previous = Some(Box::new(previous));
            it.generation = 1;
        })
        .await;
    let old = forged(rotated.record.id, secret_of(&before));
    tokens.verify(&old).await.unwrap();
    let current = world.stored(&rotated).await.digest.clone();
    assert!(world.store.mark_first_use(rotated.record.id, &current, after(1)).await.unwrap());
    let refused = tokens.verify(&old).await;
    assert!(matches!(refused, Err(VerifyError::RetiredSecret(_))), "{refused:?}");
}

async fn revoking_ends_every_secret_of_a_token(world: World) {
    let tokens = world.tokens();
    let before = tokens.issue(world.new_token("before")).await.unwrap();
    let previous = PreviousSecret::until(digest(secret_of(&before)), after(1_000));
    let rotated = world.plant(|it| it.previous = Some(Box::new(previous))).await;
    let old = forged(rotated.record.id, secret_of(&before));
    tokens.verify(&old).await.unwrap();
    tokens.owned_by(&world.owner).revoke(rotated.record.id).await.unwrap();
    for text in [&old, rotated.plain.expose_secret()] {
        assert_eq!(state(tokens.verify(text).await), TokenState::Revoked);
    }
}

async fn a_digest_under_an_unknown_key_is_our_fault(world: World) {
    let tokens = world.tokens();
    let key = KeyId::new("2026-11").unwrap();
    let peppered = world
        .plant(|it| it.digest = TokenDigest::from_bytes(*it.digest.as_bytes(), Some(key.clone())))
        .await;
    let refused = verify(&tokens, &peppered).await;
    assert!(matches!(refused, Err(VerifyError::UnknownKey(it)) if it == key));
    let missing = format!("PepperKeyMissing {{ key: {key:?} }}");
    let refused = "Refused { id: None, owner: None, from: None, reason: \"unknown_key\" }";
    assert_eq!(world.events.take(), [refused, &missing]);

    let other = TokenDigest::from_bytes([7; 32], None);
    let in_grace = world
        .plant(|it| {
            let old = TokenDigest::from_bytes([9; 32], Some(key.clone()));
            it.digest = other.clone();
            it.previous = Some(Box::new(PreviousSecret::until(old, after(60))));
        })
        .await;
    let refused = verify(&tokens, &in_grace).await;
    assert!(matches!(refused, Err(VerifyError::UnknownKey(_))), "it may be the secret in grace");
    world.clock.set(after(60).datetime());
    let refused = verify(&tokens, &in_grace).await;
    assert!(matches!(refused, Err(VerifyError::WrongSecret)), "that is over");

    let rotated = world
        .plant(|it| {
            it.previous = Some(Box::new(PreviousSecret::until(it.digest.clone(), after(120))));
            it.digest = TokenDigest::from_bytes([9; 32], Some(key.clone()));
        })
        .await;
    verify(&tokens, &rotated).await.map(drop).unwrap();
}

async fn a_token_is_good_from_its_own_addresses_alone(world: World) {
    let tokens = world.tokens();
    let networks = ["192.0.2.0/24", "2001:db8::/32"];
    let office = world
        .plant(|it| {
            rare_of(it).allowed_addresses = Some(AllowedAddresses::new(networks).unwrap());
        })
        .await;
    let text = office.plain.expose_secret();
    for inside in ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7", "2001:db8::1"] {
        tokens.verify_from(text, Some(address(inside))).await.unwrap();
    }
    let outside = ["192.0.3.0", "198.51.100.1", "2001:db9::", "::ffff:192.0.3.1", "::192.0.2.7"];
    for outside in outside.map(|it| Some(address(it))).into_iter().chain([None]) {
        let refused = tokens.verify_from(text, outside).await;
        assert!(matches!(refused, Err(VerifyError::AddressNotAllowed(_))), "{outside:?}");
    }
}

async fn trouble_in_the_store_is_never_anything_else(world: World) {
    let tokens = world.tokens();
    let good = tokens.issue(world.new_token("good")).await.unwrap();
    let revoked = world.plant(|it| it.revocation = Some(Box::new(Revocation::new(after(0))))).await;
    let unknown = forged(TokenId::from_u128(7), secret_of(&good));
    world.store.forget();
    for trouble in TROUBLES {
        world.store.fail_with(&["find"], trouble);
        world.events.take();
        for text in [good.plain.expose_secret(), revoked.plain.expose_secret(), &unknown] {
            let refused = tokens.verify(text).await.unwrap_err();
            let VerifyError::Store(error) = &refused else { panic!("{refused:?}") };
            assert_eq!(error.to_string(), trouble().to_string());
            assert_eq!(refused.code(), "store");
        }
        let events = world.events.take();
        assert_eq!(events.len(), 3, "{events:?}");
        assert!(events.iter().all(|event| !event.starts_with("Refused")), "{events:?}");
    }
    world.store.heal();
    verify(&tokens, &good).await.unwrap();
}

async fn a_record_that_cannot_be_read_is_reported(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let id = issued.record.id;
    world.store.forget();
    world.store.fail_with(&["find"], move || CorruptRecord::new(Some(id), "digest").into());
    world.events.take();
    let refused = verify(&tokens, &issued).await;
    assert!(
        matches!(refused, Err(VerifyError::Store(StoreError::Corrupt(it))) if it.id == Some(id))
    );
    assert_eq!(world.events.count("Corrupt { record: CorruptRecord { id: Some"), 1);
}

async fn what_has_not_the_form_of_a_token_never_reaches_the_store(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let text = issued.plain.expose_secret().to_owned();
    let (id, secret) = (issued.record.id, secret_of(&issued));
    world.store.take_calls();
    world.events.take();
    let mut texts = vec![
        (String::new(), MalformedToken::UnknownPrefix),
        (format!(" {text}"), MalformedToken::UnknownPrefix),
        (text.to_uppercase(), MalformedToken::UnknownPrefix),
        (format!("{text} "), MalformedToken::WrongLength),
        (format!("{text}\n"), MalformedToken::WrongLength),
        (text[..text.len() - 1].to_owned(), MalformedToken::WrongLength),
        (text.replacen('_', "-", 1), MalformedToken::UnknownPrefix),
        (format!("acme_{}", "\u{e9}".repeat(36)), MalformedToken::ForbiddenCharacter),
        (checked(&format!("acme_{id}-{secret}")), MalformedToken::ForbiddenCharacter),
        (checked(&format!("acme_{}_{secret}", "z".repeat(22))), MalformedToken::OutOfRange),
        (checked(&format!("acme_{id}_{}", "z".repeat(43))), MalformedToken::OutOfRange),
        (format!("acme_{id}_{secret}zzzzzz"), MalformedToken::WrongChecksum),
        ("x".repeat(1_000_000), MalformedToken::UnknownPrefix),
    ];
    for place in 27..text.len() {
        let other = if &text[place..=place] == "0" { "1" } else { "0" };
        let text = format!("{}{other}{}", &text[..place], &text[place + 1..]);
        let expected = if place == 27 {
            MalformedToken::ForbiddenCharacter
        } else {
            MalformedToken::WrongChecksum
        };
        texts.push((text, expected));
    }
    for (text, expected) in &texts {
        let refused = tokens.verify(text).await;
        assert!(matches!(refused, Err(VerifyError::Malformed(it)) if it == *expected), "{text}");
    }
    assert_eq!(world.store.take_calls(), [""; 0]);
    let refused = "Refused { id: None, owner: None, from: None, reason: \"malformed\" }";
    assert_eq!(world.events.count(refused), texts.len());
}

async fn tokens_are_verified_while_nothing_can_be_written(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    world.store.fail(WRITES);
    for _ in 0..3 {
        world.clock.advance(Duration::HOUR);
        verify(&tokens, &issued).await.unwrap();
        tokens.flush().await.unwrap_err();
    }
    world.store.hang("record_uses");
    world.clock.advance(Duration::HOUR);
    verify(&tokens, &issued).await.unwrap();
}

async fn a_verification_that_is_dropped_changes_nothing(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    world.store.forget();
    for polls in 0..6 {
        let mut verifying = pin!(verify(&tokens, &issued));
        for _ in 0..polls {
            let mut context = Context::from_waker(Waker::noop());
            if let Poll::Ready(verified) = verifying.as_mut().poll(&mut context) {
                verified.unwrap();
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    world.store.hang("find");
    let mut verifying = Box::pin(verify(&tokens, &issued));
    let mut context = Context::from_waker(Waker::noop());
    assert!(verifying.as_mut().poll(&mut context).is_pending(), "nothing else answers for it");
    drop(verifying);
    world.store.heal();
    verify(&tokens, &issued).await.unwrap();
    assert_eq!(world.events.count("Refused"), 0);
}

async fn the_start_up_check_tells_what_does_not_work(world: World) {
    let tokens = world.tokens();
    tokens.check().await.unwrap();
    world.store.fail(&["find"]);
    let error = tokens.check().await.unwrap_err();
    assert_eq!(error.to_string(), "the token store is unavailable");
    assert_eq!(tokens.format().prefix(), &Prefix::new("acme").unwrap());
}
