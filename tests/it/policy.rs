//! Rules of the application's own on what clients ask for.

use keyfob::{
    Abilities, ApiTokens, InvalidFields, IssueError, ManageError, NewToken, Policy, RotateError,
    TokenChange, TokenRotation,
    store::MemoryStore,
    token::{Ability, Actor, Expiry, RequestedAbilities},
    web::request,
};
use time::Duration;

use crate::support::{World, after, on_every_store};

on_every_store! {
    each_owner_has_a_limit_of_their_own
    a_rule_on_abilities_knows_owner_and_actor
    all_abilities_can_be_forbidden
    a_lifetime_has_a_minimum
    a_client_names_no_expiry_where_the_application_sets_it
}

fn broken(invalid: &InvalidFields) -> Vec<String> {
    invalid.errors.iter().map(|it| format!("{} {}", it.name, it.rule)).collect()
}

async fn issue(tokens: &ApiTokens, new: NewToken) -> Vec<String> {
    match tokens.issue(new).await {
        Ok(_) => Vec::new(),
        Err(IssueError::Invalid(invalid)) => broken(&invalid),
        Err(other) => vec![other.to_string()],
    }
}

async fn each_owner_has_a_limit_of_their_own(world: World) {
    let plan = |owner: &keyfob::Owner| match owner.as_str() {
        "user:42" => Some(1),
        _ => None,
    };
    let tokens = world.with(Policy::new().limit_per_owner(0).limit(plan));
    let ends = world.new_token("a").expires_at(after(100));
    let first = tokens.issue(ends).await.unwrap();
    let second = tokens.issue(world.new_token("b")).await;
    assert!(matches!(second, Err(IssueError::LimitReached { limit: 1 })), "{second:?}");
    for name in ["a", "b", "c"] {
        assert_eq!(issue(&tokens, NewToken::new(&world.stranger, name)).await, [""; 0]);
    }
    let own = tokens.owned_by(&world.owner);
    own.revoke(first.record.id).await.unwrap();
    let third = world.new_token("c").expires_at(after(100));
    let third = tokens.issue(third).await.unwrap();

    // A later expiry is decided as a new token is.
    let none = world.with(Policy::new().limit(|_| Some(0)));
    let own = none.owned_by(&world.owner);
    let later = TokenChange::new().expires_at(after(200));
    let changed = own.change(third.record.id, later).await;
    assert!(matches!(changed, Err(ManageError::LimitReached { limit: 0 })), "{changed:?}");
    let rotated = own.rotate(third.record.id, TokenRotation::new().expires_at(after(200))).await;
    assert!(
        matches!(rotated, Err(RotateError::Manage(ManageError::LimitReached { limit: 0 }))),
        "{rotated:?}"
    );
    let last = world.with(Policy::new().limit(|_| None).limit_per_owner(1));
    let fourth = last.issue(world.new_token("d")).await;
    assert!(matches!(fourth, Err(IssueError::LimitReached { limit: 1 })), "the last one counts");
}

async fn a_rule_on_abilities_knows_owner_and_actor(world: World) {
    let read = Abilities::set(["servers:read"]).unwrap();
    let tokens = world.with(Policy::new().abilities(move |owner, actor, asked| {
        let is_admin = actor.is_some_and(|it| it.as_str() == "admin:1");
        let is_good = is_admin || (owner.as_str() == "user:42" && read.cover(asked));
        if is_good { Ok(()) } else { Err("must be those of a member".to_owned()) }
    }));
    let refused = ["abilities must be those of a member"];
    let admin = || Actor::new("admin:1").unwrap();
    for (new, expected) in [
        (world.new_token("a").abilities(["servers:read"]), &[][..]),
        (world.new_token("b"), &[]),
        (world.new_token("c").abilities(["servers:*"]), &refused),
        (world.new_token("c").all_abilities(), &refused),
        (world.new_token("c").all_abilities().created_by(admin()), &[]),
        (NewToken::new(&world.stranger, "d").abilities(["servers:read"]), &refused),
        (NewToken::new(&world.stranger, "d"), &refused),
    ] {
        assert_eq!(issue(&tokens, new.clone()).await, expected, "{new:?}");
    }
    let issued = tokens.issue(world.new_token("e")).await.unwrap();
    let own = tokens.owned_by(&world.owner);
    let more = TokenChange::new().abilities(["servers:delete"]);
    match own.change(issued.record.id, more.clone()).await {
        Err(ManageError::Invalid(invalid)) => assert_eq!(broken(&invalid), refused),
        other => panic!("{other:?}"),
    }
    own.rename(issued.record.id, "f").await.unwrap();
    own.clone().by(admin()).change(issued.record.id, more).await.unwrap();
    let rotated = own.rotate(issued.record.id, TokenRotation::new()).await;
    assert!(rotated.is_ok(), "it asks for no abilities");
}

async fn all_abilities_can_be_forbidden(world: World) {
    let policy = || Policy::new().allow_all_abilities(false);
    let tokens = world.with(policy());
    let refused = ["abilities must be a list, and not all"];
    assert_eq!(issue(&tokens, world.new_token("a").all_abilities()).await, refused);
    assert_eq!(issue(&tokens, world.new_token("a").abilities(["servers:*"])).await, [""; 0]);
    let issued = tokens.issue(world.new_token("b")).await.unwrap();
    let own = tokens.owned_by(&world.owner);
    match own.change(issued.record.id, TokenChange::new().all_abilities()).await {
        Err(ManageError::Invalid(invalid)) => assert_eq!(broken(&invalid), refused),
        other => panic!("{other:?}"),
    }
    let builder = || ApiTokens::builder(MemoryStore::new()).prefix("acme");
    let all = policy().default_abilities(Abilities::all());
    assert_eq!(builder().policy(all).build().unwrap_err().name, "default_abilities");
}

async fn a_lifetime_has_a_minimum(world: World) {
    let seconds = Duration::seconds;
    let issuing = Ability::new("tokens:issue").unwrap();
    let policy = Policy::new().minimum_lifetime(seconds(100)).delegation(issuing);
    let tokens = world.with(policy.clone());
    let too_short = ["expires_at must be at least 1m40s after the token was issued"];
    for (new, expected) in [
        (world.new_token("a"), &[][..]),
        (world.new_token("b").expires_in(seconds(100)), &[]),
        (world.new_token("c").expires_in(seconds(99)), &too_short),
        (world.new_token("c").expires_at(after(99)), &too_short),
        (world.new_token("c").expires_at(after(100)), &[]),
    ] {
        assert_eq!(issue(&tokens, new.clone()).await, expected, "{new:?}");
    }
    let parent = world.new_token("d").expires_in(seconds(150)).abilities(["tokens:issue"]);
    let parent = tokens.issue(parent).await.unwrap();
    world.clock.advance(seconds(60));
    let own = tokens.owned_by(&world.owner);
    let change = |end| own.change(parent.record.id, TokenChange::new().expires_at(after(end)));
    match change(99).await {
        Err(ManageError::Invalid(invalid)) => assert_eq!(broken(&invalid), too_short),
        other => panic!("{other:?}"),
    }
    change(120).await.unwrap();
    match own.rotate(parent.record.id, TokenRotation::new().expires_at(after(159))).await {
        Err(RotateError::Manage(ManageError::Invalid(invalid))) => {
            assert_eq!(broken(&invalid), too_short);
        }
        other => panic!("it counts from the rotation: {other:?}"),
    }
    let bearer = tokens.verify(parent.plain.expose_secret()).await.unwrap();
    let child = tokens.issue_on_behalf_of(&bearer, NewToken::named("job")).await.unwrap();
    assert_eq!(child.record.expires_at, Some(after(120)), "it ends with its parent");

    let builder = || ApiTokens::builder(MemoryStore::new()).prefix("acme");
    for (policy, name) in [
        (policy.clone().default_lifetime(seconds(99)), Some("minimum_lifetime")),
        (policy.clone().max_lifetime(seconds(99)), Some("minimum_lifetime")),
        (policy.clone().default_lifetime(seconds(100)), None),
        (policy.minimum_lifetime(Duration::ZERO), Some("minimum_lifetime")),
    ] {
        let built = builder().policy(policy).build();
        assert_eq!(built.err().map(|it| it.name), name);
    }
}

async fn a_client_names_no_expiry_where_the_application_sets_it(world: World) {
    let policy = Policy::new().expiry_by_client(false).default_lifetime(Duration::DAY);
    let tokens = world.with(policy);
    let refused = ["expires_at must not be given, because the application sets it"];
    let ask = |body: &str| request::new_token(world.owner.clone(), body.as_bytes()).unwrap();
    for body in [
        r#"{"name":"a","expires_in_days":1}"#,
        r#"{"name":"a","expires_at":"2100-01-01T00:00:00Z"}"#,
        r#"{"name":"a","expires_at":null}"#,
    ] {
        assert_eq!(issue(&tokens, ask(body)).await, refused, "{body}");
        let set = ask(body).expires_in(Duration::HOUR);
        let issued = tokens.issue(set).await.unwrap();
        assert_eq!(issued.record.expires_at, Some(after(3_600)), "the application has");
        tokens.owned_by(&world.owner).revoke(issued.record.id).await.unwrap();
    }
    let issued = tokens.issue(ask(r#"{"name":"b"}"#)).await.unwrap();
    assert_eq!(issued.record.expires_at, Some(after(86_400)));
    let own = tokens.owned_by(&world.owner);
    let body = br#"{"expires_at":null}"#;
    match own.change(issued.record.id, request::token_change(body).unwrap()).await {
        Err(ManageError::Invalid(invalid)) => assert_eq!(broken(&invalid), refused),
        other => panic!("{other:?}"),
    }
    match own.rotate(issued.record.id, request::rotation(body).unwrap()).await {
        Err(RotateError::Manage(ManageError::Invalid(invalid))) => {
            assert_eq!(broken(&invalid), refused);
        }
        other => panic!("{other:?}"),
    }
    own.change(issued.record.id, TokenChange::new().expires_at(None)).await.unwrap();
}

#[test]
fn an_application_can_look_at_what_is_asked_for() {
    let body = br#"{"name":"ci","abilities":"*","expires_in_days":7,"metadata":{"a":1}}"#;
    let new = request::new_token(keyfob::Owner::new("user:42").unwrap(), body).unwrap();
    let asked = new.requested();
    assert_eq!(asked.name(), Some("ci"));
    assert_eq!(asked.abilities(), Some(&RequestedAbilities::All));
    assert_eq!(asked.expiry(), Some(Expiry::In(Duration::days(7))));
    assert_eq!(asked.metadata(), Some(&serde_json::json!({"a": 1})));
    assert_eq!((asked.not_before(), asked.idle_period(), asked.rate_limit()), (None, None, None));
    assert_eq!(asked.allowed_addresses(), None);

    let body = br#"{"abilities":["a:b"],"idle_seconds":9,"not_before":null,"allowed_addresses":["192.0.2.1"]}"#;
    let change = request::token_change(body).unwrap();
    let asked = change.requested();
    let abilities = RequestedAbilities::Set(vec!["a:b".to_owned()]);
    assert_eq!((asked.name(), asked.abilities()), (None, Some(&abilities)));
    assert_eq!(asked.idle_period(), Some(Some(Duration::seconds(9))));
    assert_eq!((asked.not_before(), asked.expiry()), (Some(None), None));
    assert_eq!(asked.allowed_addresses(), Some(Some(&["192.0.2.1".to_owned()][..])));
}
