//! Who may do what to which token: a manager who may not grant everything gains nothing by managing.

use keyfob::{
    Abilities, Ability, ApiTokens, InvalidFields, IssueError, ManageError, NewToken, OwnerTokens,
    RotateError, TokenChange, TokenId, TokenRotation, VerifiedToken,
    store::contract::{Change, Selection},
    token::{Actor, Revocation, Suspension},
};
use time::Duration;

use crate::support::{World, after, on_every_store, once, store_ext::StoreExt};

on_every_store! {
    each_manager_takes_each_step_on_weaker_equal_and_stronger_tokens
    abilities_that_a_manager_may_not_grant_are_taken_away_and_never_added
    a_change_that_lets_a_stronger_token_do_more_is_refused_whatever_the_field
    a_token_does_not_manage_itself
    a_managing_token_is_the_parent_of_what_it_issues
    a_managing_token_that_is_revoked_or_replaced_grants_nothing
    a_token_that_became_stronger_meanwhile_is_judged_again
    a_shorter_suspension_is_a_resumption
    a_suspension_that_would_wake_an_idle_token_is_a_resumption
    a_manager_does_not_lend_its_abilities_to_a_token_that_outlives_it
    a_token_that_lost_the_ability_manages_no_more
    a_rotation_by_a_manager_that_is_revoked_meanwhile_shows_no_secret
    what_a_token_does_is_told_as_its_own
}

fn manage() -> Ability {
    Ability::new("tokens:manage").unwrap()
}

const HELD: [&str; 2] = ["servers:*", "tokens:manage"];

/// The two managers: a person with these abilities, and a token with these that expires in 1,000 seconds.
async fn managers(world: &World, tokens: &ApiTokens) -> [(&'static str, OwnerTokens); 2] {
    let person = tokens.owned_by(&world.owner).restricted_to(Abilities::set(HELD).unwrap());
    let (_, token) = managing(world, tokens, NewToken::named("manager")).await;
    [("person", person), ("token", tokens.managed_by(&token, manage()))]
}

async fn managing(world: &World, tokens: &ApiTokens, new: NewToken) -> (TokenId, VerifiedToken) {
    let new = new.abilities(HELD).expires_at(after(1_000));
    let issued = tokens.owned_by(&world.owner).issue(new).await.unwrap();
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    (token.id(), token)
}

async fn issue(world: &World, tokens: &ApiTokens, abilities: &[&str], end: i64) -> TokenId {
    let new = NewToken::named("other").abilities(abilities.to_vec()).expires_at(after(end));
    tokens.owned_by(&world.owner).issue(new).await.unwrap().record.id
}

fn code<T>(outcome: Result<T, impl Into<Refused>>) -> String {
    match outcome.map_err(Into::into) {
        Ok(_) => "done".to_owned(),
        Err(Refused(code)) => code,
    }
}

struct Refused(String);

fn fields(invalid: &InvalidFields) -> String {
    let names: Vec<_> = invalid.errors.iter().map(|it| it.name).collect();
    names.join(" ")
}

impl From<ManageError> for Refused {
    fn from(error: ManageError) -> Self {
        Self(match error {
            ManageError::BeyondAccount => "beyond".to_owned(),
            ManageError::Invalid(invalid) => fields(&invalid),
            other => other.to_string(),
        })
    }
}

impl From<RotateError> for Refused {
    fn from(error: RotateError) -> Self {
        Self(match error {
            RotateError::Manage(ManageError::BeyondAccount) => "beyond".to_owned(),
            other => other.to_string(),
        })
    }
}

impl From<IssueError> for Refused {
    fn from(error: IssueError) -> Self {
        Self(match error {
            IssueError::Invalid(invalid) => fields(&invalid),
            other => other.to_string(),
        })
    }
}

async fn each_manager_takes_each_step_on_weaker_equal_and_stronger_tokens(world: World) {
    let tokens = world.tokens();
    for (manager, own) in managers(&world, &tokens).await {
        for (abilities, end, is_stronger) in [
            (&["servers:read"][..], 900, false),
            (&HELD, 1_000, false),
            (&["servers:read", "sites:read"], 900, true),
            // A person grants any expiry. A token grants none beyond its own.
            (&["servers:read"], 1_100, manager == "token"),
        ] {
            let case = format!("{manager} {abilities:?} {end}");
            let guarded = if is_stronger { "beyond" } else { "done" };
            let id = issue(&world, &tokens, abilities, end).await;
            let before = own.get(id).await.unwrap();

            let new = NewToken::named("new").abilities(abilities.to_vec()).expires_at(after(end));
            let issued = code(own.issue(new).await);
            assert_eq!(issued == "done", !is_stronger, "{case}: {issued}");

            let rotated = code(own.rotate(id, TokenRotation::new()).await);
            assert_eq!(rotated, guarded, "{case}");
            let extended = own.change(id, TokenChange::new().expires_at(after(end + 1))).await;
            let is_later = manager == "token" && end == 1_000;
            assert_eq!(code(extended), if is_later { "beyond" } else { guarded }, "{case}");
            assert_eq!(code(own.resume(id).await), guarded, "{case}");
            if is_stronger {
                assert_eq!(own.get(id).await.unwrap(), before, "{case}: nothing has changed");
            }

            assert_eq!(code(own.rename(id, "renamed").await), "done", "{case}");
            let earlier = TokenChange::new().expires_at(after(500));
            assert_eq!(code(own.change(id, earlier).await), "done", "{case}");
            assert_eq!(code(own.suspend(id).await), "done", "{case}");
            // The earlier expiry is one that either may grant.
            let is_stronger = abilities.contains(&"sites:read");
            let resumed = if is_stronger { "beyond" } else { "done" };
            assert_eq!(code(own.resume(id).await), resumed, "{case}");
            assert_eq!(code(own.revoke(id).await), "done", "{case}");
        }
    }
}

async fn abilities_that_a_manager_may_not_grant_are_taken_away_and_never_added(world: World) {
    let tokens = world.tokens();
    for (manager, own) in managers(&world, &tokens).await {
        let set = |abilities: &[&str]| TokenChange::new().abilities(abilities.to_vec());
        for (before, after, outcome) in [
            (&["sites:read"][..], &["sites:read", "servers:read"][..], "done"),
            (&["sites:read", "servers:read"], &["servers:delete"], "done"),
            (&["sites:*"], &["sites:read"], "done"),
            (&["sites:read"], &["sites:*"], "abilities"),
            (&["servers:read"], &["servers:read", "sites:read"], "abilities"),
            (&[], &["backups:read"], "abilities"),
            (&["sites:read"], &[], "done"),
        ] {
            let id = issue(&world, &tokens, before, 900).await;
            let changed = code(own.change(id, set(after)).await);
            assert_eq!(changed, outcome, "{manager}: {before:?} to {after:?}");
        }
        let id = issue(&world, &tokens, &["servers:read"], 900).await;
        let all = TokenChange::new().all_abilities();
        assert_eq!(code(own.change(id, all.clone()).await), "abilities");
        let everything = NewToken::named("everything").all_abilities().expires_at(after(900));
        let everything = tokens.owned_by(&world.owner).issue(everything).await.unwrap();
        let id = everything.record.id;
        assert_eq!(code(own.change(id, all).await), "done", "it has them already");
        assert_eq!(code(own.change(id, set(&["sites:read"])).await), "done", "that is less");
    }
}

async fn a_change_that_lets_a_stronger_token_do_more_is_refused_whatever_the_field(world: World) {
    let tokens = world.tokens();
    let new = || TokenChange::new();
    let more = [
        new().expires_at(None),
        new().not_before(after(10)),
        new().not_before(None),
        new().idle_period(Duration::seconds(601)),
        new().idle_period(None),
        new().allowed_addresses(["192.0.2.0/23"]),
        new().any_address(),
    ];
    let less = [
        new().expires_at(after(899)),
        new().not_before(after(30)),
        new().idle_period(Duration::seconds(599)),
        new().allowed_addresses(["192.0.2.7"]),
        new().metadata(serde_json::json!({ "a": 1 })),
    ];
    for (manager, own) in managers(&world, &tokens).await {
        for (changes, outcome) in [(&more[..], "beyond"), (&less, "done")] {
            for change in changes {
                let stronger = NewToken::named("stronger")
                    .abilities(["sites:read"])
                    .expires_at(after(900))
                    .not_before(after(20))
                    .idle_period(Duration::seconds(600))
                    .allowed_addresses(["192.0.2.0/24"]);
                let stronger = tokens.owned_by(&world.owner).issue(stronger).await.unwrap();
                let changed = own.change(stronger.record.id, change.clone()).await;
                assert_eq!(code(changed), outcome, "{manager}: {change:?}");
            }
        }
    }
}

async fn a_token_does_not_manage_itself(world: World) {
    let tokens = world.tokens();
    let (id, token) = managing(&world, &tokens, NewToken::named("manager")).await;
    let own = tokens.managed_by(&token, manage());
    assert_eq!(code(own.rename(id, "renamed").await), "beyond");
    assert_eq!(code(own.rotate(id, TokenRotation::new()).await), "beyond");
    assert_eq!(code(own.resume(id).await), "beyond");
    assert_eq!(own.get(id).await.unwrap().id, id);
    assert_eq!(code(own.revoke(id).await), "done", "it can be ended");
}

async fn a_managing_token_is_the_parent_of_what_it_issues(world: World) {
    let tokens = world.tokens();
    let (id, token) = managing(&world, &tokens, NewToken::named("manager")).await;
    let own = tokens.managed_by(&token, manage());
    let child = own.issue(NewToken::named("child").abilities(["servers:read"])).await.unwrap();
    assert_eq!(child.record.parent(), Some(id));
    assert_eq!(child.record.expires_at, Some(after(1_000)), "as its parent");
    let foreign = NewToken::new(&world.stranger, "foreign");
    assert!(matches!(own.issue(foreign).await, Err(IssueError::WrongOwner)));
    let mut revoked = tokens.owned_by(&world.owner).revoke_with_descendants(id).await.unwrap();
    revoked.sort();
    assert_eq!(revoked, [id, child.record.id]);
}

async fn a_managing_token_that_is_revoked_or_replaced_grants_nothing(world: World) {
    let tokens = world.tokens();
    let owner = tokens.owned_by(&world.owner);
    let weaker = issue(&world, &tokens, &["servers:read"], 900).await;
    let (replaced, token) = managing(&world, &tokens, NewToken::named("replaced")).await;
    let by_replaced = tokens.managed_by(&token, manage());
    let new = owner.rotate(replaced, TokenRotation::new()).await.unwrap();
    let _ = tokens.verify(new.plain.expose_secret()).await.unwrap();
    let (revoked, token) = managing(&world, &tokens, NewToken::named("revoked")).await;
    let by_revoked = tokens.managed_by(&token, manage());
    owner.revoke(revoked).await.unwrap();
    for own in [by_replaced, by_revoked] {
        let issued = own.issue(NewToken::named("child")).await;
        assert!(matches!(issued, Err(IssueError::DelegationNotAllowed)), "{issued:?}");
        assert_eq!(code(own.rotate(weaker, TokenRotation::new()).await), "beyond");
        assert_eq!(code(own.rename(weaker, "renamed").await), "beyond");
        assert_eq!(code(own.resume(weaker).await), "beyond");
    }
}

/// Between the look at the token and the step itself, its owner makes it stronger.
async fn a_token_that_became_stronger_meanwhile_is_judged_again(world: World) {
    let tokens = world.tokens();
    for (manager, own) in managers(&world, &tokens).await {
        for step in ["rotate", "change", "resume", "suspend"] {
            let id = issue(&world, &tokens, &["servers:read"], 900).await;
            if step == "resume" {
                own.suspend(id).await.unwrap();
            }
            let inner = world.store.inner();
            let strengthen = once(move || {
                let inner = inner.clone();
                Box::pin(async move {
                    let mut stronger = Change::default();
                    stronger.abilities = Some(Abilities::set(["sites:read"]).unwrap());
                    let _ = inner.change(id, Some(after(900)), &stronger).await.unwrap();
                    if step == "suspend" {
                        let _ = inner.suspend(id, &Suspension::new(after(0))).await.unwrap();
                    }
                })
            });
            world.store.before(step, strengthen);
            let refused = match step {
                "rotate" => code(own.rotate(id, TokenRotation::new()).await),
                "change" => code(own.change(id, TokenChange::new().expires_at(after(901))).await),
                "resume" => code(own.resume(id).await),
                _ => code(own.suspend_until(id, after(1)).await),
            };
            world.store.heal();
            assert_eq!(refused, "beyond", "{manager} {step}");
            let token = own.get(id).await.unwrap();
            assert_eq!((token.generation, token.expires_at), (0, Some(after(900))), "{step}");
            assert_eq!(token.suspension.is_some(), step == "resume" || step == "suspend");
        }
    }
}

async fn a_shorter_suspension_is_a_resumption(world: World) {
    let tokens = world.tokens();
    for (manager, own) in managers(&world, &tokens).await {
        for (abilities, outcome) in [("servers:read", "done"), ("sites:read", "beyond")] {
            let id = issue(&world, &tokens, &[abilities], 900).await;
            let owner = tokens.owned_by(&world.owner);
            let suspended = owner.suspend_until(id, after(100)).await.unwrap();
            let case = format!("{manager} {abilities}");
            assert_eq!(code(own.suspend_until(id, after(99)).await), outcome, "{case}");
            if outcome == "beyond" {
                assert_eq!(own.get(id).await.unwrap(), suspended);
            }
            assert_eq!(code(own.suspend_until(id, after(101)).await), "done", "{case}");
            assert_eq!(code(own.suspend(id).await), "done", "{case}");
            assert_eq!(code(own.suspend_until(id, after(800)).await), outcome, "{case}");
        }
    }
}

/// At the end of a suspension, an idle token is valid again.
async fn a_suspension_that_would_wake_an_idle_token_is_a_resumption(world: World) {
    let tokens = world.tokens();
    for (manager, own) in managers(&world, &tokens).await {
        let idle = NewToken::named("idle").abilities(["sites:read"]).expires_at(after(900));
        let idle = idle.idle_period(Duration::seconds(10));
        let id = tokens.owned_by(&world.owner).issue(idle).await.unwrap().record.id;
        assert_eq!(code(own.suspend_until(id, after(2)).await), "beyond", "{manager}");
        assert_eq!(own.get(id).await.unwrap().suspension, None);
        assert_eq!(code(own.suspend(id).await), "done", "{manager}: until it is resumed");
    }
}

async fn a_manager_does_not_lend_its_abilities_to_a_token_that_outlives_it(world: World) {
    let tokens = world.tokens();
    let add = || TokenChange::new().abilities(["servers:read"]);
    for (manager, own) in managers(&world, &tokens).await {
        let id = issue(&world, &tokens, &[], 1_001).await;
        let outcome = if manager == "token" { "beyond" } else { "done" };
        assert_eq!(code(own.change(id, add()).await), outcome, "{manager}");
        let sooner = add().expires_at(after(1_000));
        assert_eq!(code(own.change(id, sooner).await), "done", "{manager}: it ends with it");
    }
}

async fn a_token_that_lost_the_ability_manages_no_more(world: World) {
    let tokens = world.tokens();
    let (id, token) = managing(&world, &tokens, NewToken::named("manager")).await;
    let weaker = issue(&world, &tokens, &["servers:read"], 900).await;
    let less = TokenChange::new().abilities(["servers:*"]);
    let _ = tokens.owned_by(&world.owner).change(id, less).await.unwrap();
    let own = tokens.managed_by(&token, manage());
    assert_eq!(code(own.rotate(weaker, TokenRotation::new()).await), "beyond");
    let issued = own.issue(NewToken::named("child")).await;
    assert!(matches!(issued, Err(IssueError::DelegationNotAllowed)), "{issued:?}");
}

async fn a_rotation_by_a_manager_that_is_revoked_meanwhile_shows_no_secret(world: World) {
    let tokens = world.tokens();
    let (id, token) = managing(&world, &tokens, NewToken::named("manager")).await;
    let weaker = issue(&world, &tokens, &["servers:read"], 900).await;
    let inner = world.store.inner();
    world.store.after(
        "rotate",
        once(move || {
            Box::pin(async move {
                let selection = Selection::Tokens { ids: vec![id], owner: None };
                inner.end(&selection, &Revocation::new(after(0))).await.unwrap();
            })
        }),
    );
    let own = tokens.managed_by(&token, manage());
    assert_eq!(code(own.rotate(weaker, TokenRotation::new()).await), "beyond");
}

async fn what_a_token_does_is_told_as_its_own(world: World) {
    let tokens = world.tokens();
    let (id, token) = managing(&world, &tokens, NewToken::named("manager")).await;
    let weaker = issue(&world, &tokens, &["servers:read"], 900).await;
    let own = tokens.managed_by(&token, manage());
    own.revoke(weaker).await.unwrap();
    let by = Some(Actor::new(format!("token:{id}")).unwrap());
    assert_eq!(own.get(weaker).await.unwrap().revocation.unwrap().by, by);
}
