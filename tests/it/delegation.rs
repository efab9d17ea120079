//! A token that issues others: none goes beyond it, and all of them end with it where somebody wants that.

mod revocation;

use keyfob::{
    Abilities, Ability, ApiTokens, ApiTokensBuilder, IssueError, IssuedToken, NewToken, Policy,
    TokenChange, TokenRotation, VerifiedToken, token::RateLimit,
};
use time::Duration;

use crate::support::{Random, World, after, on_every_store, verdict, wrong_fields};

on_every_store! {
    nobody_delegates_unless_it_is_configured
    what_allows_delegation_is_an_ability_and_no_pattern
    a_token_without_the_ability_delegates_nothing
    a_token_that_is_not_good_any_more_delegates_nothing
    a_secret_in_its_grace_delegates_nothing
    a_child_knows_its_parent_and_is_reported
    no_field_goes_beyond_the_parent
    what_is_not_asked_for_is_inherited
    the_default_counts_where_it_is_less
    a_child_without_an_owner_has_that_of_its_parent
    a_child_begins_before_its_parent_ends
    all_that_is_wrong_is_told_at_once
    grandchildren_hold_no_more_than_anyone_above_them
    a_child_is_never_granted_what_its_parent_lacks
}

fn delegating(world: &World) -> ApiTokensBuilder {
    world.builder().policy(delegation())
}

fn delegation() -> Policy {
    Policy::new().delegation(Ability::new("tokens:issue").unwrap())
}

fn seconds(seconds: i64) -> Duration {
    Duration::seconds(seconds)
}

async fn verified(tokens: &ApiTokens, issued: &IssuedToken) -> VerifiedToken {
    tokens.verify(issued.plain.expose_secret()).await.unwrap()
}

async fn parent(tokens: &ApiTokens, new: NewToken) -> VerifiedToken {
    verified(tokens, &tokens.issue(new).await.unwrap()).await
}

#[track_caller]
fn assert_not_allowed(outcome: &Result<IssuedToken, IssueError>) {
    assert!(matches!(outcome, Err(IssueError::DelegationNotAllowed)), "{outcome:?}");
}

async fn nobody_delegates_unless_it_is_configured(world: World) {
    let tokens = world.tokens();
    let parent = parent(&tokens, world.new_token("a").all_abilities()).await;
    world.store.take_calls();
    assert_not_allowed(&tokens.issue_on_behalf_of(&parent, world.new_token("b")).await);
    assert_eq!(world.store.take_calls(), [""; 0]);
}

async fn what_allows_delegation_is_an_ability_and_no_pattern(world: World) {
    for text in ["tokens:*", "*", "", "a::b", "a b"] {
        let built = Ability::new(text).and_then(|ability| {
            let policy = Policy::new().delegation(ability);
            world.builder().policy(policy).build().map(drop)
        });
        assert!(built.is_err(), "{text:?}");
    }
}

async fn a_token_without_the_ability_delegates_nothing(world: World) {
    let tokens = delegating(&world).build().unwrap();
    for (abilities, may) in [
        (&[][..], false),
        (&["tokens:issue:all"], false),
        (&["tokens"], false),
        (&["tokens:issue:*"], false),
        (&["tokens:issue"], true),
        (&["tokens:*"], true),
    ] {
        let new = world.new_token("a").abilities(abilities.iter().copied());
        let parent = parent(&tokens, new).await;
        let child = tokens.issue_on_behalf_of(&parent, world.new_token("b")).await;
        assert_eq!(child.is_ok(), may, "{abilities:?}");
        if !may {
            assert_not_allowed(&child);
        }
    }
    // It had it when it was verified.
    let issued = tokens.issue(world.new_token("a").all_abilities()).await.unwrap();
    let parent = verified(&tokens, &issued).await;
    let less = TokenChange::new().abilities(["servers:read"]);
    tokens.owned_by(&world.owner).change(parent.id(), less).await.map(drop).unwrap();
    assert_not_allowed(&tokens.issue_on_behalf_of(&parent, world.new_token("b")).await);
}

async fn a_token_that_is_not_good_any_more_delegates_nothing(world: World) {
    let tokens = delegating(&world).build().unwrap();
    let own = tokens.owned_by(&world.owner);
    let new = |name: &str| world.new_token(name).all_abilities();
    let revoked = parent(&tokens, new("revoked")).await;
    let suspended = parent(&tokens, new("suspended")).await;
    let expired = parent(&tokens, new("expired").expires_at(after(10))).await;
    let idle = parent(&tokens, new("idle").idle_period(seconds(10))).await;
    let new_elsewhere = new("elsewhere").allowed_addresses(["192.0.2.1"]);
    let elsewhere = tokens.issue(new_elsewhere).await.unwrap();
    let from = Some([192, 0, 2, 1].into());
    let elsewhere = tokens.verify_from(elsewhere.plain.expose_secret(), from).await.unwrap();
    let erased = NewToken::new(world.stranger.clone(), "erased").all_abilities();
    let erased = parent(&tokens, erased).await;
    tokens.owned_by(&world.stranger).erase().await.unwrap();
    own.revoke(revoked.id()).await.unwrap();
    own.suspend(suspended.id()).await.map(drop).unwrap();
    let moved = TokenChange::new().allowed_addresses(["192.0.2.2"]);
    own.change(elsewhere.id(), moved).await.map(drop).unwrap();
    tokens.flush().await.unwrap();
    world.at(10);
    world.store.take_calls();
    for parent in [&revoked, &suspended, &expired, &idle, &elsewhere, &erased] {
        let child = NewToken::new(parent.owner().clone(), "child");
        assert_not_allowed(&tokens.issue_on_behalf_of(parent, child).await);
    }
    assert!(!world.store.take_calls().contains(&"insert"));
    own.resume(suspended.id()).await.map(drop).unwrap();
    tokens.issue_on_behalf_of(&suspended, world.new_token("b")).await.map(drop).unwrap();
}

async fn a_secret_in_its_grace_delegates_nothing(world: World) {
    let tokens = delegating(&world).build().unwrap();
    let own = tokens.owned_by(&world.owner);
    let old = tokens.issue(world.new_token("a").all_abilities()).await.unwrap();
    let before = verified(&tokens, &old).await;
    let new = own.rotate(old.record.id, TokenRotation::new()).await.unwrap();
    let after = verified(&tokens, &old).await;
    for parent in [&before, &after] {
        assert_not_allowed(&tokens.issue_on_behalf_of(parent, world.new_token("b")).await);
    }
    let current = verified(&tokens, &new).await;
    tokens.issue_on_behalf_of(&current, world.new_token("b")).await.map(drop).unwrap();
}

async fn a_child_knows_its_parent_and_is_reported(world: World) {
    let tokens = delegating(&world).build().unwrap();
    let parent = parent(&tokens, world.new_token("a").all_abilities()).await;
    world.events.take();
    let child = tokens.issue_on_behalf_of(&parent, world.new_token("b")).await.unwrap();
    assert_eq!(child.record.parent(), Some(parent.id()));
    assert_eq!(world.stored(&child).await.parent(), Some(parent.id()));
    assert_eq!(world.events.count("Issued"), 1);
    assert_eq!(verdict(&tokens, &child).await, "good");
}

fn full_parent(world: &World) -> NewToken {
    let limit = RateLimit::new(60, Duration::MINUTE).unwrap();
    world
        .new_token("parent")
        .abilities(["tokens:issue", "servers:*", "sites:read"])
        .expires_at(after(10_000))
        .idle_period(seconds(1_000))
        .rate_limit(limit)
        .allowed_addresses(["192.0.2.0/24", "2001:db8::/32"])
}

async fn full(world: &World, tokens: &ApiTokens) -> VerifiedToken {
    let issued = tokens.issue(full_parent(world)).await.unwrap();
    let from = Some([192, 0, 2, 1].into());
    tokens.verify_from(issued.plain.expose_secret(), from).await.unwrap()
}

async fn no_field_goes_beyond_the_parent(world: World) {
    let tokens = delegating(&world).build().unwrap();
    let parent = full(&world, &tokens).await;
    let new = || world.new_token("child");
    let limit =
        |requests, period| new().rate_limit(RateLimit::new(requests, seconds(period)).unwrap());
    for (child, field) in [
        (new(), ""),
        (new().abilities(["tokens:issue", "servers:*", "sites:read"]), ""),
        (new().abilities(["servers:read", "servers:42:*"]), ""),
        (new().abilities(["sites:*"]), "abilities"),
        (new().abilities(["servers"]), "abilities"),
        (new().abilities(["servers:read", "dns:read"]), "abilities"),
        (new().all_abilities(), "abilities"),
        (new().expires_at(after(10_000)), ""),
        (new().expires_in(seconds(9_999)), ""),
        (new().expires_at(after(10_001)), "expires_at"),
        (new().expires_at(None), "expires_at"),
        (new().idle_period(seconds(1_000)), ""),
        (new().idle_period(seconds(1)), ""),
        (new().idle_period(seconds(1_001)), "idle_seconds"),
        (new().idle_period(None), "idle_seconds"),
        (limit(60, 60), ""),
        (limit(1, 1), ""),
        (limit(60, 3_600), ""),
        (limit(61, 3_600), "rate_limit"),
        (limit(60, 59), "rate_limit"),
        (limit(2, 1), "rate_limit"),
        (new().rate_limit(None), "rate_limit"),
        (new().allowed_addresses(["192.0.2.0/24", "2001:db8::/32"]), ""),
        (new().allowed_addresses(["192.0.2.0/25", "192.0.2.255", "2001:db8:1::/48"]), ""),
        (new().allowed_addresses(["::ffff:192.0.2.7"]), ""),
        (new().allowed_addresses(["192.0.2.0/23"]), "allowed_addresses"),
        (new().allowed_addresses(["192.0.2.7", "192.0.3.0"]), "allowed_addresses"),
        (new().allowed_addresses(["::/0"]), "allowed_addresses"),
        (new().allowed_addresses(["::ffff:0.0.0.0/96"]), "allowed_addresses"),
        (new().any_address(), "allowed_addresses"),
        (NewToken::new(world.stranger.clone(), "child"), "owner"),
    ] {
        let asked = format!("{child:?}");
        let outcome = tokens.issue_on_behalf_of(&parent, child).await;
        if field.is_empty() {
            outcome.map_or_else(|error| panic!("{asked}: {error}"), drop);
        } else {
            assert_eq!(wrong_fields(outcome), [field], "{asked}");
        }
    }
    // Where the parent has the application's limit, nobody knows what would be more.
    let plain = world.new_token("a").all_abilities();
    let plain = self::parent(&tokens, plain).await;
    assert_eq!(wrong_fields(tokens.issue_on_behalf_of(&plain, limit(1, 60)).await), ["rate_limit"]);
}

async fn what_is_not_asked_for_is_inherited(world: World) {
    let policy = delegation()
        .default_abilities(Abilities::set(["sites:read"]).unwrap())
        .default_lifetime(seconds(20_000));
    let tokens = world.with(policy);
    let parent = full(&world, &tokens).await;
    let child = tokens.issue_on_behalf_of(&parent, world.new_token("child")).await.unwrap().record;
    let expected = tokens.owned_by(&world.owner).get(parent.id()).await.unwrap();
    assert_eq!(child.abilities, Abilities::set(["sites:read"]).unwrap(), "as the application says");
    assert_eq!(child.expires_at, expected.expires_at);
    assert_eq!(child.idle_seconds, expected.idle_seconds);
    assert_eq!(child.rate_limit(), expected.rate_limit());
    assert_eq!(child.allowed_addresses(), expected.allowed_addresses());

    let policy = delegation().default_abilities(Abilities::all());
    let tokens = world.with(policy);
    let more = tokens.issue_on_behalf_of(&parent, world.new_token("child")).await;
    assert_eq!(wrong_fields(more), ["abilities"], "a default is no way past the parent");
}

async fn a_child_without_an_owner_has_that_of_its_parent(world: World) {
    let tokens = delegating(&world).build().unwrap();
    let theirs = NewToken::new(&world.stranger, "a").all_abilities();
    let parent = self::parent(&tokens, theirs).await;
    let child = tokens.issue_on_behalf_of(&parent, NewToken::named("child")).await.unwrap();
    assert_eq!(child.record.owner, world.stranger);
}

async fn the_default_counts_where_it_is_less(world: World) {
    let policy = delegation().default_lifetime(seconds(500)).default_idle_period(seconds(50));
    let tokens = world.with(policy);
    let parent = full(&world, &tokens).await;
    let child = tokens.issue_on_behalf_of(&parent, world.new_token("child")).await.unwrap().record;
    assert_eq!(child.expires_at, Some(after(500)));
    assert_eq!(child.idle_seconds.map(u32::from), Some(50));

    let new = world.new_token("a").all_abilities().expires_at(None).idle_period(None);
    let parent = self::parent(&tokens, new).await;
    let child = tokens.issue_on_behalf_of(&parent, world.new_token("child")).await.unwrap().record;
    assert_eq!(child.expires_at, Some(after(500)));
    assert_eq!(child.idle_seconds.map(u32::from), Some(50));
    let child = world.new_token("child").expires_at(None).idle_period(None);
    let child = tokens.issue_on_behalf_of(&parent, child).await.unwrap().record;
    assert_eq!((child.expires_at, child.idle_seconds), (None, None));
}

async fn a_child_begins_before_its_parent_ends(world: World) {
    let policy = delegation().default_lifetime(seconds(50_000));
    let tokens = world.with(policy);
    let parent = full(&world, &tokens).await;
    for begin in [10_000, 10_001] {
        let child = world.new_token("child").not_before(after(begin));
        let child = tokens.issue_on_behalf_of(&parent, child).await;
        assert_eq!(wrong_fields(child), ["not_before"], "it would end with its parent");
    }
    let child = world.new_token("child").not_before(after(9_999));
    tokens.issue_on_behalf_of(&parent, child).await.map(drop).unwrap();
}

async fn all_that_is_wrong_is_told_at_once(world: World) {
    let tokens = delegating(&world).build().unwrap();
    let parent = full(&world, &tokens).await;
    let child = NewToken::new(world.stranger.clone(), " ").all_abilities().expires_at(None);
    let child = child.idle_period(None).rate_limit(None).any_address();
    let mut fields = wrong_fields(tokens.issue_on_behalf_of(&parent, child).await);
    fields.sort_unstable();
    let expected = [
        "abilities",
        "allowed_addresses",
        "expires_at",
        "idle_seconds",
        "name",
        "owner",
        "rate_limit",
    ];
    assert_eq!(fields, expected);
}

async fn grandchildren_hold_no_more_than_anyone_above_them(world: World) {
    let tokens = delegating(&world).build().unwrap();
    let top = parent(&tokens, world.new_token("top").all_abilities()).await;
    let middle =
        world.new_token("middle").abilities(["tokens:issue", "a:*"]).expires_at(after(100));
    let middle = tokens.issue_on_behalf_of(&top, middle).await.unwrap();
    let middle = verified(&tokens, &middle).await;
    let child = world.new_token("child").abilities(["a:b"]).expires_at(after(101));
    assert_eq!(wrong_fields(tokens.issue_on_behalf_of(&middle, child).await), ["expires_at"]);
    let child = world.new_token("child").abilities(["a:b"]);
    let child = tokens.issue_on_behalf_of(&middle, child).await.unwrap();
    assert_eq!(child.record.expires_at, Some(after(100)));
    let child = verified(&tokens, &child).await;
    assert_not_allowed(&tokens.issue_on_behalf_of(&child, world.new_token("x")).await);
}

fn some_abilities(random: &mut Random) -> Abilities {
    const HELD: [&str; 14] = [
        "a", "b", "a:*", "b:*", "a:a", "a:b", "a:a:*", "a:b:*", "b:a", "b:a:b", "a:a:a", "a:a:b",
        "ab:a", "ab:*",
    ];
    match random.below(12) {
        0 => Abilities::all(),
        _ => Abilities::set((0..random.below(5)).map(|_| random.pick(&HELD)).collect::<Vec<_>>())
            .unwrap(),
    }
}

#[test]
fn one_set_covers_another_exactly_where_it_permits_all_of_it() {
    // One more segment, and one more letter, than is held: a branch can't be made up for by what is in it.
    let letters = ["a", "b", "c", "ab"];
    let mut universe: Vec<String> = letters.map(str::to_owned).into();
    for depth in 0..3 {
        let longest = universe.iter().filter(|it| it.matches(':').count() == depth);
        let longer: Vec<_> =
            longest.flat_map(|it| letters.map(|letter| format!("{it}:{letter}"))).collect();
        universe.extend(longer);
    }
    let mut random = Random(7);
    let (mut yes, mut no) = (0, 0);
    for _ in 0..20_000 {
        let (parent, child) = (some_abilities(&mut random), some_abilities(&mut random));
        let lacks = universe.iter().find(|it| child.permit(it) && !parent.permit(it));
        let covers = parent.cover(&child);
        let expected = lacks.is_none() && (!child.is_all() || parent.is_all());
        assert_eq!(covers, expected, "{parent:?} {child:?} {lacks:?}");
        *(if covers { &mut yes } else { &mut no }) += 1;
    }
    assert!(yes > 1_000 && no > 1_000, "{yes} {no}");
}

async fn a_child_is_never_granted_what_its_parent_lacks(world: World) {
    let tokens = world.with(Policy::new().delegation(Ability::new("a").unwrap()));
    let mut random = Random(11);
    let mut issued = 0;
    for _ in 0..150 {
        let (parent, child) = (some_abilities(&mut random), some_abilities(&mut random));
        let with = |new: NewToken, abilities: &Abilities| match abilities.as_set() {
            None => new.all_abilities(),
            Some(set) => new.abilities(set.iter().map(ToString::to_string)),
        };
        let token = self::parent(&tokens, with(world.new_token("parent"), &parent)).await;
        let outcome = tokens.issue_on_behalf_of(&token, with(world.new_token("b"), &child)).await;
        let expected = parent.permit("a") && parent.cover(&child);
        assert_eq!(outcome.is_ok(), expected, "{parent:?} {child:?}");
        issued += usize::from(expected);
    }
    assert!(issued > 10, "{issued}");
}
