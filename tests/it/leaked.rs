//! A token that was found where it should not be is revoked by presenting it, whatever else is to be said of it.

use keyfob::{
    Ability, ApiTokens, IssuedToken, Policy, TokenId, TokenRotation, TokenState, VerifyError,
    store::StoreError,
    token::{MalformedToken, Revocation},
};
use time::Duration;

use crate::support::{World, after, checked, code_of, on_every_store, secret_of, verdict};

on_every_store! {
    whoever_finds_a_token_can_end_it
    a_token_that_is_not_good_is_ended_all_the_same
    a_secret_in_its_grace_ends_the_token_and_a_retired_one_does_not
    a_retired_secret_is_told_and_suspends_where_that_is_wanted
    an_unused_secret_from_before_a_retry_ends_nothing
    what_is_not_proven_ends_nothing
    a_revocation_stays_as_it_was
    nothing_else_is_revoked
    a_store_that_fails_says_so
    a_token_that_is_gone_is_unknown
}

async fn revoke(tokens: &ApiTokens, text: &str) -> &'static str {
    code_of(&tokens.revoke_presented(text).await)
}

async fn revocation(world: &World, issued: &IssuedToken) -> Option<Revocation> {
    world.stored(issued).await.revocation.as_deref().cloned()
}

async fn whoever_finds_a_token_can_end_it(world: World) {
    for cold in [false, true] {
        if cold {
            world.store.forget();
        }
        let tokens = world.tokens();
        let issued = tokens.issue(world.new_token("a")).await.unwrap();
        let plain = issued.plain.expose_secret();
        let token = tokens.verify(plain).await.unwrap();
        world.events.take();
        assert_eq!(tokens.revoke_presented(plain).await.unwrap(), issued.record.id);
        let events = world.events.take();
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(events[0].starts_with("Revoked"), "{events:?}");
        assert!(events[0].contains(&format!("{:?}", issued.record.id)), "{events:?}");
        assert!(events[0].contains("presented to be revoked"), "{events:?}");
        assert!(!events[0].contains(secret_of(&issued)));
        let revocation = revocation(&world, &issued).await.unwrap();
        assert_eq!((revocation.at, revocation.by), (after(0), None));
        assert_eq!(revocation.reason.unwrap().as_str(), "presented to be revoked");
        assert_eq!(verdict(&tokens, &issued).await, "revoked");
        assert_eq!(code_of(&tokens.revalidate(&token).await), "revoked");
    }
}

async fn a_token_that_is_not_good_is_ended_all_the_same(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let new = |name: &str| world.new_token(name);
    let expired = tokens.issue(new("a").expires_at(after(10))).await.unwrap();
    let suspended = tokens.issue(new("b")).await.unwrap();
    own.suspend(suspended.record.id).await.map(drop).unwrap();
    let idle = tokens.issue(new("c").idle_period(Duration::seconds(10))).await.unwrap();
    let early = tokens.issue(new("d").not_before(after(1_000))).await.unwrap();
    let elsewhere = tokens.issue(new("e").allowed_addresses(["192.0.2.1"])).await.unwrap();
    world.at(10);
    for (issued, state) in [
        (&expired, TokenState::Expired),
        (&suspended, TokenState::Suspended),
        (&idle, TokenState::Idle),
        (&early, TokenState::NotYetValid),
        (&elsewhere, TokenState::Active),
    ] {
        assert_eq!(world.stored(issued).await.state_at(tokens.now()), state);
        assert_ne!(verdict(&tokens, issued).await, "good");
        world.events.take();
        assert_eq!(revoke(&tokens, issued.plain.expose_secret()).await, "good", "{state}");
        assert_eq!(world.events.count("Revoked"), 1, "{state}");
        assert_eq!(revocation(&world, issued).await.unwrap().at, after(10));
        assert_eq!(verdict(&tokens, issued).await, "revoked");
    }
}

async fn a_secret_in_its_grace_ends_the_token_and_a_retired_one_does_not(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    for (seconds, expected) in [(99, "good"), (100, "retired_secret")] {
        let start = tokens.now();
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let rotation = TokenRotation::new().grace(Duration::seconds(100));
        let new = own.rotate(old.record.id, rotation).await.unwrap();
        world.clock.set(start.datetime() + Duration::seconds(seconds));
        assert_eq!(revoke(&tokens, old.plain.expose_secret()).await, expected);
        let verdicts = if expected == "good" { "revoked" } else { "good" };
        assert_eq!(verdict(&tokens, &new).await, verdicts);
        assert_eq!(revoke(&tokens, new.plain.expose_secret()).await, "good");
        assert_eq!(verdict(&tokens, &new).await, "revoked");
    }
}

async fn a_retired_secret_is_told_and_suspends_where_that_is_wanted(world: World) {
    for suspends in [false, true] {
        let tokens = world.with(Policy::new().suspend_on_retired_secret(suspends));
        let own = tokens.owned_by(&world.owner);
        let old = tokens.issue(world.new_token("a")).await.unwrap();
        let rotation = TokenRotation::new().grace(Duration::ZERO);
        let (id, owner) = (old.record.id, &world.owner);
        let new = own.rotate(id, rotation).await.unwrap();
        assert_eq!(verdict(&tokens, &new).await, "good");
        world.events.take();
        world.store.take_calls();
        assert_eq!(revoke(&tokens, old.plain.expose_secret()).await, "retired_secret");
        let calls = world.store.take_calls();
        assert!(!calls.contains(&"revoke"), "{calls:?}");
        assert_eq!(calls.contains(&"suspend"), suspends, "{calls:?}");
        let mut events = world.events.take();
        let told = format!("RetiredSecretUsed {{ id: {id:?}, owner: {owner:?}, from: None }}");
        assert_eq!(events.remove(0), told);
        let refused = format!(
            "Refused {{ id: Some({id:?}), owner: None, from: None, reason: \"retired_secret\" }}"
        );
        assert_eq!(events.pop().unwrap(), refused);
        assert_eq!(events.len(), usize::from(suspends));
        assert!(events.iter().all(|it| it.starts_with("Suspended")), "{events:?}");
        assert_eq!(revocation(&world, &old).await, None);
        let state = if suspends { "suspended" } else { "good" };
        assert_eq!(verdict(&tokens, &new).await, state);
    }
}

async fn an_unused_secret_from_before_a_retry_ends_nothing(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let first = tokens.issue(world.new_token("a")).await.unwrap();
    let id = first.record.id;
    let lost = own.rotate(id, TokenRotation::new()).await.unwrap();
    let kept = own.rotate(id, TokenRotation::new()).await.unwrap();
    assert_eq!(revoke(&tokens, lost.plain.expose_secret()).await, "wrong_secret");
    assert_eq!(verdict(&tokens, &kept).await, "good");
    assert_eq!(revoke(&tokens, first.plain.expose_secret()).await, "good");
    assert_eq!(verdict(&tokens, &kept).await, "revoked");
}

async fn what_is_not_proven_ends_nothing(world: World) {
    let tokens = world.tokens();
    let [one, other] =
        [tokens.issue(world.new_token("a")).await, tokens.issue(world.new_token("b")).await]
            .map(Result::unwrap);
    let plain = one.plain.expose_secret();
    let forged = |id: TokenId, secret: &str| checked(&format!("acme_{id}_{secret}"));
    world.events.take();
    world.store.take_calls();
    let malformed =
        [String::new(), "acme_".to_owned(), format!("{plain} "), one.record.public_part()];
    for text in &malformed {
        let refused = tokens.revoke_presented(text).await;
        assert!(matches!(refused, Err(VerifyError::Malformed(_))), "{refused:?}");
    }
    assert_eq!(world.store.take_calls(), [""; 0]);
    let mistyped =
        format!("{}{}", &plain[..plain.len() - 1], if plain.ends_with('0') { '1' } else { '0' });
    let refused = tokens.revoke_presented(&mistyped).await;
    assert!(matches!(refused, Err(VerifyError::Malformed(MalformedToken::WrongChecksum))));
    let wrong = forged(one.record.id, secret_of(&other));
    assert_eq!(revoke(&tokens, &wrong).await, "wrong_secret");
    let unknown = forged(TokenId::from_u128(7), secret_of(&one));
    assert_eq!(revoke(&tokens, &unknown).await, "unknown");
    assert!(!world.store.take_calls().contains(&"revoke"));
    let events = world.events.take();
    assert_eq!(events.len(), malformed.len() + 3, "{events:?}");
    assert!(events.iter().all(|it| it.starts_with("Refused { id: None")), "{events:?}");
    assert_eq!(verdict(&tokens, &one).await, "good");
    assert_eq!(verdict(&tokens, &other).await, "good");
}

async fn a_revocation_stays_as_it_was(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let before = tokens.issue(world.new_token("b")).await.unwrap();
    tokens.owned_by(&world.owner).revoke(before.record.id).await.unwrap();
    for issued in [&issued, &before] {
        let plain = issued.plain.expose_secret();
        assert_eq!(tokens.revoke_presented(plain).await.unwrap(), issued.record.id);
        let first = revocation(&world, issued).await;
        world.clock.advance(Duration::HOUR);
        world.events.take();
        assert_eq!(tokens.revoke_presented(plain).await.unwrap(), issued.record.id);
        assert_eq!(revocation(&world, issued).await, first);
        assert_eq!(world.events.take(), [""; 0], "what changes nothing is no event");
    }
    assert_eq!(revocation(&world, &before).await.unwrap().reason, None);
}

async fn nothing_else_is_revoked(world: World) {
    let tokens = world.with(Policy::new().delegation(Ability::new("x").unwrap()));
    let issued = tokens.issue(world.new_token("a").all_abilities()).await.unwrap();
    let sibling = tokens.issue(world.new_token("b")).await.unwrap();
    let parent = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    let child = tokens.issue_on_behalf_of(&parent, world.new_token("c")).await.unwrap();
    assert_eq!(revoke(&tokens, child.plain.expose_secret()).await, "good");
    assert_eq!(verdict(&tokens, &issued).await, "good");
    assert_eq!(revoke(&tokens, issued.plain.expose_secret()).await, "good");
    assert_eq!(verdict(&tokens, &sibling).await, "good");
}

async fn a_store_that_fails_says_so(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    for step in ["find", "revoke"] {
        world.store.fail(&[step]);
        let refused = tokens.revoke_presented(issued.plain.expose_secret()).await;
        assert!(
            matches!(refused, Err(VerifyError::Store(StoreError::Unavailable(_)))),
            "{refused:?}"
        );
        world.store.heal();
        assert_eq!(verdict(&tokens, &issued).await, "good");
    }
    let tokens = world.builder().deadline(Duration::MILLISECOND).build().unwrap();
    world.store.hang("find");
    let refused = tokens.revoke_presented(issued.plain.expose_secret()).await;
    assert!(matches!(refused, Err(VerifyError::Store(StoreError::Unavailable(_)))), "{refused:?}");
}

async fn a_token_that_is_gone_is_unknown(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    tokens.owned_by(&world.owner).erase().await.unwrap();
    assert_eq!(revoke(&tokens, issued.plain.expose_secret()).await, "unknown");
}
