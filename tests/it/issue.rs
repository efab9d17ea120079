//! Issuing: the plain text is shown once, every field is checked, and nothing is stored by halves.

use std::{io, sync::Mutex};

use keyfob::{
    Abilities, ApiTokens, InvalidFields, IssueError, ListTokens, NewToken, Policy, Timestamp,
    testing::Entropy,
    token::{Actor, IdempotencyKey, NamePolicy},
};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::support::{World, after, on_every_store};

on_every_store! {
    a_token_is_shown_once_and_verifies
    a_token_holds_what_was_asked_for
    everything_that_is_wrong_is_told_at_once
    a_name_can_be_taken_once
    an_expired_token_frees_its_name_and_its_place
    an_owner_has_as_many_tokens_as_the_limit_says
    one_request_issues_one_token
    nothing_is_stored_where_the_generator_fails
    nothing_is_stored_where_the_generator_repeats_itself
    a_failed_insert_issues_nothing
    a_token_for_an_owner_is_never_that_of_another
}

#[track_caller]
fn assert_broken(invalid: &InvalidFields, rules: &[(&str, &str)]) {
    let told: Vec<_> = invalid.errors.iter().map(|it| (it.name, it.rule.to_string())).collect();
    let told: Vec<_> = told.iter().map(|(name, rule)| (*name, rule.as_str())).collect();
    assert_eq!(told, rules);
}

async fn refused(tokens: &ApiTokens, new: NewToken) -> InvalidFields {
    match tokens.issue(new).await {
        Err(IssueError::Invalid(invalid)) => invalid,
        other => panic!("{other:?}"),
    }
}

async fn a_token_is_shown_once_and_verifies(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("ci")).await.unwrap();
    let plain = issued.plain.expose_secret();
    assert!(plain.starts_with(&format!("acme_{}_", issued.record.id)));
    assert_eq!(plain.len(), 4 + 1 + 22 + 1 + 43 + 6);

    let verified = tokens.verify(plain).await.unwrap();
    assert_eq!((verified.id(), verified.owner()), (issued.record.id, &world.owner));
    let own = tokens.owned_by(&world.owner);
    let shown = [
        format!("{:?}", own.get(issued.record.id).await.unwrap()),
        format!("{:?}", own.list(ListTokens::new()).await.unwrap()),
        format!("{verified:?} {issued:?} {:?}", world.events.take()),
    ];
    let secret = &plain[28..71];
    assert!(shown.iter().all(|text| !text.contains(secret)), "{shown:?}");
}

async fn a_token_holds_what_was_asked_for(world: World) {
    let new = world
        .new_token("ci deploy")
        .abilities(["servers:read", "sites:*", "servers:read"])
        .expires_in(Duration::seconds(90) + Duration::milliseconds(999))
        .metadata(json!({ "a": { "b": [1, 2.5, null, "é"] } }))
        .created_by(Actor::new("user:7").unwrap())
        .idempotency_key(IdempotencyKey::new("deploy 1").unwrap());
    let issued = world.tokens().issue(new).await.unwrap();
    let stored = world.stored(&issued).await;
    assert_eq!(*stored, issued.record, "what is answered is what is stored");

    assert_eq!(stored.name.as_str(), "ci deploy");
    assert_eq!(stored.abilities, Abilities::set(["servers:read", "sites:*"]).unwrap());
    assert_eq!((stored.created_at, stored.expires_at), (after(0), Some(after(90))));
    assert_eq!(stored.metadata().unwrap().get("a"), Some(json!({ "b": [1, 2.5, null, "é"] })));
    assert_eq!(stored.created_by().unwrap().as_str(), "user:7");
    assert_eq!(world.events.count("Issued"), 1);
}

async fn a_token_for_an_owner_is_never_that_of_another(world: World) {
    let tokens = world.tokens();
    let member = Actor::new("user:7").unwrap();
    let own = tokens.owned_by(&world.owner).by(member.clone());
    let issued = own.issue(NewToken::named("a")).await.unwrap();
    assert_eq!(issued.record.owner, world.owner);
    assert_eq!(issued.record.created_by(), Some(&member));
    let other = Actor::new("user:8").unwrap();
    let issued = own.issue(NewToken::named("b").created_by(other.clone())).await.unwrap();
    assert_eq!(issued.record.created_by(), Some(&other), "what is said of one token comes first");
    let same = own.issue(world.new_token("c")).await.unwrap();
    assert_eq!(same.record.owner, world.owner);

    world.store.take_calls();
    let theirs = || NewToken::new(&world.stranger, "d");
    for refused in [
        own.issue(theirs()).await,
        own.issue_within(&*world.store.inner(), theirs()).await.map(|_| panic!("issued")),
        tokens.issue(NewToken::named("d")).await,
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, IssueError::WrongOwner), "{error:?}");
        assert_eq!(keyfob::web::Problem::from(&error).status(), 500, "the client is not at fault");
    }
    assert_eq!(world.store.take_calls(), [""; 0]);
}

async fn everything_that_is_wrong_is_told_at_once(world: World) {
    let tokens = world.with(Policy::new().name_policy(NamePolicy::strict()));
    let new = world
        .new_token("not strict")
        .abilities(["a::b"])
        .expires_in(Duration::ZERO)
        .metadata(json!([1]));
    let invalid = refused(&tokens, new).await;
    let expected = [
        ("name", "must contain only letters of a to z and A to Z, digits, hyphens and underscores"),
        ("abilities", "must each have at least one character in every segment"),
        ("expires_at", "must be in the future"),
        ("metadata", "must be a JSON object"),
    ];
    assert_broken(&invalid, &expected);
    assert_eq!(world.store.take_calls(), [""; 0], "what is wrong does not reach the store");
}

#[tokio::test]
async fn abilities_are_what_was_asked_for_or_the_default_and_nothing_is_a_value_of_its_own() {
    let world = World::memory().await;
    let default = Abilities::set(["external-api"]).unwrap();
    let plain = world.tokens();
    let defaulted = world.with(Policy::new().default_abilities(default.clone()));
    let none: [&str; 0] = [];
    for (tokens, new, held) in [
        (&plain, world.new_token("a"), Abilities::none()),
        (&plain, world.new_token("b").all_abilities(), Abilities::all()),
        (&defaulted, world.new_token("c"), default.clone()),
        (&defaulted, world.new_token("d").abilities(none), Abilities::none()),
        (&defaulted, world.new_token("e").abilities(["x"]), Abilities::set(["x"]).unwrap()),
    ] {
        assert_eq!(tokens.issue(new).await.unwrap().record.abilities, held);
    }
    for many in [101, 10_000] {
        let new = world.new_token("many").abilities((0..many).map(|i| format!("a:{i}")));
        assert_eq!(refused(&plain, new).await.errors[0].name, "abilities");
    }
    assert_eq!(refused(&plain, world.new_token("f").abilities(["*"])).await.errors.len(), 1);
}

#[tokio::test]
async fn only_declared_abilities_are_issued() {
    keyfob::abilities! {
        enum Panel {
            ServersRead = "servers:read", "List and show servers";
            SitesCreate = "sites:create", "Create sites";
        }
    }
    let world = World::memory().await;
    let tokens = world.builder().declare(Panel::ALL).build().unwrap();
    for good in [vec![Panel::ServersRead.as_str()], vec!["servers:*", "sites:create"], vec![]] {
        tokens.issue(world.new_token("good").abilities(good)).await.map(drop).unwrap();
    }
    assert_eq!(Panel::SitesCreate.description(), "Create sites");
    for bad in ["servers:write", "servers", "servers:read:*", "Servers:read", "site:*"] {
        let invalid = refused(&tokens, world.new_token("bad").abilities([bad])).await;
        assert_broken(&invalid, &[("abilities", "must be among those that are declared")]);
    }
}

#[tokio::test]
async fn an_expiry_is_in_the_future_and_before_the_year_10000() {
    let world = World::memory().await;
    let tokens = world.tokens();
    let last = Timestamp::MAX.since(after(0));
    let (past, beyond) = ("must be in the future", "must not be after the year 9999");
    for (lifetime, expected) in [
        (Duration::SECOND, Ok(after(1))),
        (last, Ok(Timestamp::MAX)),
        (Duration::milliseconds(999), Err(past)),
        (Duration::ZERO, Err(past)),
        (Duration::seconds(-1), Err(past)),
        (Duration::MIN, Err(past)),
        (Duration::seconds(i64::MIN), Err(past)),
        (last + Duration::SECOND, Err(beyond)),
        (Duration::MAX, Err(beyond)),
        (Duration::seconds(i64::MAX), Err(beyond)),
    ] {
        let outcome = tokens.issue(world.new_token("a").expires_in(lifetime)).await;
        match (outcome, expected) {
            (Ok(issued), Ok(end)) => assert_eq!(issued.record.expires_at, Some(end)),
            (Err(IssueError::Invalid(invalid)), Err(message)) => {
                assert_broken(&invalid, &[("expires_at", message)]);
            }
            (other, _) => panic!("{lifetime}: {other:?}"),
        }
    }
    for (instant, good) in [
        (Timestamp::MIN, false),
        (after(0), false),
        (after(1), true),
        (Timestamp::MAX, true),
        (OffsetDateTime::UNIX_EPOCH.into(), false),
    ] {
        let outcome = tokens.issue(world.new_token("a").expires_at(instant)).await;
        assert_eq!(outcome.is_ok(), good, "{instant}");
    }
}

#[tokio::test]
async fn the_maximum_lifetime_holds_also_where_nothing_is_asked_for() {
    let world = World::memory().await;
    let days = |days: i64| after(days * 86_400);
    let capped = world.with(Policy::new().max_lifetime(Duration::days(30)));
    let both = world
        .with(Policy::new().max_lifetime(Duration::days(30)).default_lifetime(Duration::days(7)));
    let expiry = |tokens: &ApiTokens, new: NewToken| {
        let tokens = tokens.clone();
        async move { tokens.issue(new).await.ok().map(|issued| issued.record.expires_at) }
    };
    let new = || world.new_token("a");
    assert_eq!(expiry(&world.tokens(), new()).await, Some(None));
    assert_eq!(expiry(&capped, new()).await, Some(Some(days(30))));
    assert_eq!(expiry(&both, new()).await, Some(Some(days(7))));
    assert_eq!(expiry(&both, new().expires_in(Duration::days(30))).await, Some(Some(days(30))));
    let beyond = Duration::days(30) + Duration::SECOND;
    for refused in
        [new().expires_at(None), new().expires_in(beyond), new().expires_at(Timestamp::MAX)]
    {
        assert_eq!(expiry(&both, refused).await, None);
    }
}

#[tokio::test]
async fn names_are_what_the_policy_allows() {
    let world = World::memory().await;
    let with = |policy| world.with(Policy::new().name_policy(policy));
    let own = NamePolicy::custom(|name| {
        let fits = name.as_str().starts_with("ci");
        fits.then_some(()).ok_or_else(|| "must begin with ci".to_owned())
    });
    let (free, strict, own) = (world.tokens(), with(NamePolicy::strict()), with(own));
    for (name, allowed) in [
        ("ci-1", [true, true, true]),
        ("ci 1", [true, false, true]),
        ("Shopify_App", [true, true, false]),
        ("日本語", [true, false, false]),
        (&"c".repeat(100), [true, false, false]),
        (&"c".repeat(101), [false; 3]),
        ("ci\n", [false; 3]),
        ("", [false; 3]),
    ] {
        for (tokens, allowed) in [&free, &strict, &own].into_iter().zip(allowed) {
            let issued = tokens.issue(world.new_token(name)).await;
            assert_eq!(issued.is_ok(), allowed, "{name:?}");
        }
    }
    let told = refused(&own, world.new_token("deploy")).await;
    assert_broken(&told, &[("name", "must begin with ci")]);
}

async fn a_name_can_be_taken_once(world: World) {
    let tokens = world.with(Policy::new().unique_names(true));
    let first = tokens.issue(world.new_token("ci")).await.unwrap();
    let again = tokens.issue(world.new_token("ci")).await;
    assert!(matches!(again, Err(IssueError::NameTaken)), "{again:?}");
    for other in ["CI", "ci ", "cí"] {
        let issued = tokens.issue(world.new_token(other)).await;
        assert_eq!(issued.is_ok(), other.trim() == other, "{other:?}");
    }
    let theirs = NewToken::new(world.stranger.clone(), "ci");
    tokens.issue(theirs).await.map(drop).unwrap();
    tokens.owned_by(&world.owner).revoke(first.record.id).await.unwrap();
    tokens.issue(world.new_token("ci")).await.map(drop).unwrap();
}

async fn an_expired_token_frees_its_name_and_its_place(world: World) {
    let tokens = world.with(Policy::new().unique_names(true).limit_per_owner(1));
    tokens.issue(world.new_token("ci").expires_in(Duration::minutes(1))).await.map(drop).unwrap();
    world.clock.advance(Duration::seconds(59));
    let (taken, full) =
        (tokens.issue(world.new_token("ci")).await, tokens.issue(world.new_token("b")).await);
    assert!(matches!(taken, Err(IssueError::NameTaken)), "{taken:?}");
    assert!(matches!(full, Err(IssueError::LimitReached { limit: 1 })), "{full:?}");
    world.clock.advance(Duration::SECOND);
    tokens.issue(world.new_token("ci")).await.map(drop).unwrap();
}

async fn an_owner_has_as_many_tokens_as_the_limit_says(world: World) {
    let tokens = world.with(Policy::new().limit_per_owner(2));
    let first = tokens.issue(world.new_token("a")).await.unwrap();
    tokens.issue(world.new_token("a")).await.map(drop).unwrap();
    let third = tokens.issue(world.new_token("b")).await;
    assert!(matches!(third, Err(IssueError::LimitReached { limit: 2 })), "{third:?}");
    tokens.owned_by(&world.owner).revoke(first.record.id).await.unwrap();
    tokens.issue(world.new_token("b")).await.map(drop).unwrap();
    let closed = world.with(Policy::new().limit_per_owner(0));
    let none = closed.issue(NewToken::new(world.stranger.clone(), "a")).await;
    assert!(matches!(none, Err(IssueError::LimitReached { limit: 0 })), "{none:?}");
}

async fn one_request_issues_one_token(world: World) {
    let tokens = world.tokens();
    let key = || IdempotencyKey::new("request 1").unwrap();
    let first = tokens.issue(world.new_token("a").idempotency_key(key())).await.unwrap();
    let again = tokens.issue(world.new_token("b").idempotency_key(key())).await;
    assert!(matches!(again, Err(IssueError::AlreadyIssued(id)) if id == first.record.id));
    tokens.owned_by(&world.owner).revoke_all().await.unwrap();
    let again = tokens.issue(world.new_token("a").idempotency_key(key())).await;
    assert!(matches!(again, Err(IssueError::AlreadyIssued(id)) if id == first.record.id));
    let theirs = NewToken::new(world.stranger.clone(), "a").idempotency_key(key());
    tokens.issue(theirs).await.map(drop).unwrap();
}

/// Answers what it was told to, one after the other, and the last one again and again.
#[derive(Debug)]
struct Script(Mutex<Vec<Option<u8>>>);

impl Script {
    fn of(bytes: &[Option<u8>]) -> Self {
        Self(Mutex::new(bytes.iter().rev().copied().collect()))
    }
}

impl Entropy for Script {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        let mut script = self.0.lock().unwrap();
        let next = if script.len() > 1 { script.pop() } else { script.last().copied() };
        bytes.fill(next.flatten().ok_or_else(|| io::Error::other("none"))?);
        bytes[bytes.len() - 1] = 1;
        Ok(())
    }
}

/// Stops before the secret begins.
#[derive(Debug)]
struct Short;

impl Entropy for Short {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        bytes[..10].copy_from_slice(&[3, 1, 4, 1, 5, 9, 2, 6, 5, 3]);
        Ok(())
    }
}

async fn nothing_is_stored_where_the_generator_fails(world: World) {
    let tokens = world.builder().entropy(Script::of(&[None])).build().unwrap();
    let issued = tokens.issue(world.new_token("a")).await;
    assert!(matches!(issued, Err(IssueError::Entropy(_))), "{issued:?}");
    assert!(tokens.check().await.is_err());
    assert_eq!(world.store.take_calls(), [""; 0]);
    assert_eq!(world.events.take(), [""; 0]);
}

async fn nothing_is_stored_where_the_generator_repeats_itself(world: World) {
    let tokens = world.builder().entropy(Script::of(&[Some(7), Some(9)])).build().unwrap();
    for _ in 0..2 {
        tokens.issue(world.new_token("a")).await.map(drop).unwrap();
    }
    for _ in 0..3 {
        let again = tokens.clone().issue(world.new_token("a")).await;
        assert!(matches!(again, Err(IssueError::Entropy(_))), "{again:?}");
    }
    assert!(tokens.check().await.is_err());
    // A generator that says that it worked, and left the bytes as they were.
    let stuck = world.builder().entropy(Script::of(&[Some(1)])).build().unwrap();
    assert!(matches!(stuck.issue(world.new_token("a")).await, Err(IssueError::Entropy(_))));
    assert!(stuck.check().await.is_err());
    let short = world.builder().entropy(Short).build().unwrap();
    assert!(matches!(short.issue(world.new_token("a")).await, Err(IssueError::Entropy(_))));
    assert_eq!(tokens.owned_by(&world.owner).count().await.unwrap().not_revoked(), 2);
}

async fn a_failed_insert_issues_nothing(world: World) {
    let tokens = world.tokens();
    world.store.fail(&["insert"]);
    let issued = tokens.issue(world.new_token("a")).await;
    assert!(matches!(issued, Err(IssueError::Store(_))), "{issued:?}");
    assert_eq!(world.events.count("Issued"), 0);
    world.store.heal();
    assert!(tokens.owned_by(&world.owner).list(ListTokens::new()).await.unwrap().tokens.is_empty());
}
