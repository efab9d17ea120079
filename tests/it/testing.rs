//! Help for the tests of applications: what it makes is what the application's own tokens are.

use std::collections::BTreeSet;

use keyfob::{
    ApiTokens, ApiTokensBuilder, ListTokens, NewToken, Owner, Policy, TokenState,
    store::MemoryStore, testing, token::NamePolicy,
};
use time::{Duration, macros::datetime};

fn builder() -> ApiTokensBuilder {
    ApiTokens::builder(MemoryStore::new()).prefix("acme")
}

#[tokio::test]
async fn a_world_in_memory_stands_still_until_its_clock_is_moved() {
    let (tokens, clock) = testing::in_memory("acme");
    let start = datetime!(2026-01-01 00:00 UTC).into();
    assert_eq!(tokens.now(), start);
    assert_eq!(tokens.format().prefix().as_str(), "acme");

    let owner: Owner = "user:42".parse().unwrap();
    let new = NewToken::new(owner.clone(), "ci").expires_in(Duration::HOUR);
    let issued = tokens.issue(new).await.unwrap();
    assert_eq!(issued.record.created_at, start);
    clock.advance(Duration::HOUR);
    assert_eq!(tokens.now(), datetime!(2026-01-01 01:00 UTC).into());
    let record = tokens.owned_by(&owner).get(issued.record.id).await.unwrap();
    assert_eq!(record.state_at(tokens.now()), TokenState::Expired);
}

#[tokio::test]
async fn worlds_in_memory_share_nothing() {
    let [(one, clock), (other, _)] = [testing::in_memory("acme"), testing::in_memory("acme")];
    let ada = testing::acting_as(&one, "user:42", ["x:read"]).await;
    clock.advance(Duration::HOUR);
    assert!(one.now() > other.now());
    one.verify(ada.plain.expose_secret()).await.map(drop).unwrap();
    assert_eq!(other.verify(ada.plain.expose_secret()).await.unwrap_err().code(), "unknown");
}

#[test]
#[should_panic(expected = "prefix")]
fn a_world_needs_a_prefix_that_is_one() {
    drop(testing::in_memory("not a prefix"));
}

#[tokio::test]
async fn one_acts_as_an_owner_with_these_abilities_and_no_others() {
    let (tokens, _) = testing::in_memory("acme");
    let ada = testing::acting_as(&tokens, "user:42", ["servers:read", "sites:*"]).await;
    let nobody = testing::acting_as(&tokens, "user:43", [""; 0]).await;
    let (name, value) = ada.header();
    let presented = value.strip_prefix("Bearer ").unwrap();
    assert_eq!((name, presented), ("authorization", ada.plain.expose_secret()));

    let token = tokens.verify(presented).await.unwrap();
    assert_eq!((token.id(), token.owner().as_str()), (ada.record.id, "user:42"));
    assert!(token.can("servers:read") && token.can("sites:write") && !token.can("servers:delete"));
    assert_eq!(token.expires_at(), None);
    let token = tokens.verify(nobody.plain.expose_secret()).await.unwrap();
    assert!(token.abilities().is_none() && token.owner().as_str() == "user:43");
}

#[tokio::test]
async fn several_act_as_one_owner_whatever_the_rules_for_names() {
    for tokens in [
        builder().policy(Policy::new().unique_names(true)).build().unwrap(),
        builder()
            .policy(Policy::new().unique_names(true).name_policy(NamePolicy::strict()))
            .build()
            .unwrap(),
        testing::in_memory("acme").0,
    ] {
        let mut names = BTreeSet::new();
        for _ in 0..12 {
            let issued = testing::acting_as(&tokens, "user:42", ["x:read"]).await;
            tokens.verify(issued.plain.expose_secret()).await.map(drop).unwrap();
            names.insert(issued.record.name.as_str().to_owned());
        }
        assert_eq!(names.len(), 12, "{names:?}");
        let own = tokens.owned_by("user:42".parse::<keyfob::Owner>().unwrap());
        assert_eq!(own.list(ListTokens::new()).await.unwrap().tokens.len(), 12);
    }
}

#[tokio::test]
#[should_panic(expected = "the owner has 1 tokens already")]
async fn acting_as_an_owner_who_has_too_many_tokens_panics() {
    let tokens = builder().policy(Policy::new().limit_per_owner(1)).build().unwrap();
    for _ in 0..2 {
        drop(testing::acting_as(&tokens, "user:42", ["x:read"]).await);
    }
}

#[tokio::test]
#[should_panic(expected = "must not be empty")]
async fn acting_as_nobody_panics() {
    drop(testing::acting_as(&testing::in_memory("acme").0, "", ["x:read"]).await);
}

#[tokio::test]
#[should_panic(expected = "abilities")]
async fn acting_with_what_is_no_ability_panics() {
    drop(testing::acting_as(&testing::in_memory("acme").0, "user:42", ["not an ability"]).await);
}
