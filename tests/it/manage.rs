//! Managing: an owner reaches all tokens of his own and none of anybody else's.

use std::collections::BTreeSet;

use futures_util::{FutureExt, future::join_all};
use keyfob::{
    Abilities, ApiTokensBuilder, ListTokens, ManageError, NewToken, Policy, RotateError,
    TokenChange, TokenId, TokenRotation, TokenState,
    store::{
        StoreError, TokenStore,
        contract::{Change, Selection},
    },
    token::{Actor, Reason, Revocation},
};
use serde_json::json;
use time::Duration;

use crate::support::store_ext::StoreExt;
use crate::support::{World, after, eventually, ids, on_every_store, once, wrong_field};

on_every_store! {
    each_field_is_changed_and_no_other
    a_change_is_checked_as_an_issue_is
    the_maximum_lifetime_counts_from_the_issue
    what_is_revoked_or_expired_is_not_changed
    a_token_of_somebody_else_is_not_found
    a_change_never_revives_a_token_that_expired_meanwhile
    a_change_that_never_gets_its_turn_says_so
    of_several_who_edit_a_token_one_is_done_and_the_others_are_told
    a_later_expiry_is_refused_where_name_or_place_were_taken_meanwhile
    a_revocation_says_who_and_why_and_stays_as_it_was
    many_are_revoked_and_only_what_changed_is_told
    all_tokens_of_an_owner_are_erased
    erasing_works_in_steps_and_goes_on_where_it_failed
    pruning_spares_the_living
    pruning_works_in_batches
    what_ended_long_ago_is_pruned_in_the_background
    counts_tell_the_revoked_from_the_others
}

async fn each_field_is_changed_and_no_other(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let new = world.new_token("ci").abilities(["a"]).metadata(json!({ "a": 1 }));
    let mut expected = tokens.issue(new).await.unwrap().record;
    world.events.take();

    expected.name = "renamed".parse().unwrap();
    expected.version = 1;
    assert_eq!(own.rename(expected.id, "renamed").await.unwrap(), expected);
    expected.abilities = Abilities::set(["b:*"]).unwrap();
    expected.version = 2;
    let change = TokenChange::new().abilities(["b:*"]);
    assert_eq!(own.change(expected.id, change).await.unwrap(), expected);
    expected.abilities = Abilities::all();
    expected.version = 3;
    let change = TokenChange::new().all_abilities();
    assert_eq!(own.change(expected.id, change).await.unwrap(), expected);
    expected.expires_at = Some(after(60));
    expected.version = 4;
    let change = TokenChange::new().expires_in(Duration::MINUTE);
    assert_eq!(own.change(expected.id, change).await.unwrap(), expected);
    expected.expires_at = None;
    expected.version = 5;
    let change = TokenChange::new().expires_at(None);
    assert_eq!(own.change(expected.id, change).await.unwrap(), expected);
    let change = TokenChange::new().metadata(json!({ "b": 2 }));
    let changed = own.change(expected.id, change).await.unwrap();
    assert_eq!(serde_json::to_value(changed.metadata()).unwrap(), json!({ "b": 2 }));

    assert_eq!(own.get(expected.id).await.unwrap(), changed);
    let told = ["Renamed", "Changed", "Changed", "Changed", "Changed", "Changed"];
    assert_eq!(world.events.kinds(), told);
}

async fn a_change_is_checked_as_an_issue_is(world: World) {
    let tokens = world.with(Policy::new().unique_names(true));
    let own = tokens.owned_by(&world.owner);
    let issued = world.issue_many(&tokens, 2).await;
    let id = issued[0].record.id;
    let other = || TokenChange::new().name("other");
    for (change, field) in [
        (TokenChange::new().all_abilities().name(" "), "name"),
        (other().abilities(["a::b"]), "abilities"),
        (other().expires_at(after(0)), "expires_at"),
        (other().expires_in(Duration::MAX), "expires_at"),
        (other().metadata(json!("x")), "metadata"),
    ] {
        assert_eq!(wrong_field(own.change(id, change.clone()).await), field);
    }
    let taken = own.rename(id, "token 1").await;
    assert!(matches!(taken, Err(ManageError::NameTaken)), "{taken:?}");
    own.rename(id, "token 0").await.map(drop).unwrap();
    let mut expected = issued[0].record.clone();
    expected.version = 1;
    assert_eq!(own.get(id).await.unwrap(), expected, "nothing was changed");
}

async fn the_maximum_lifetime_counts_from_the_issue(world: World) {
    let tokens = world.with(Policy::new().max_lifetime(Duration::seconds(100)));
    let own = tokens.owned_by(&world.owner);
    let new = world.new_token("a").expires_in(Duration::seconds(60));
    let id = tokens.issue(new).await.unwrap().record.id;
    world.clock.advance(Duration::seconds(50));
    for (change, good) in [
        (TokenChange::new().expires_at(after(100)), true),
        (TokenChange::new().expires_in(Duration::seconds(50)), true),
        (TokenChange::new().expires_at(after(101)), false),
        (TokenChange::new().expires_in(Duration::seconds(51)), false),
        (TokenChange::new().expires_at(None), false),
    ] {
        assert_eq!(own.change(id, change.clone()).await.is_ok(), good, "{change:?}");
    }
    assert_eq!(own.get(id).await.unwrap().expires_at, Some(after(100)));
}

async fn what_is_revoked_or_expired_is_not_changed(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let new = world.new_token("a").expires_in(Duration::seconds(100));
    let expired = tokens.issue(new).await.unwrap().record;
    let revoked = tokens.issue(world.new_token("b")).await.unwrap().record;
    own.revoke(revoked.id).await.unwrap();
    world.clock.set(after(99).datetime());
    own.rename(expired.id, "still good").await.map(drop).unwrap();
    world.clock.set(after(100).datetime());
    for (id, state) in [(expired.id, TokenState::Expired), (revoked.id, TokenState::Revoked)] {
        for change in [TokenChange::new().name("x"), TokenChange::new().expires_at(None)] {
            let refused = own.change(id, change).await;
            assert!(matches!(refused, Err(ManageError::NotActive(it)) if it == state));
        }
    }
    assert_eq!(own.get(expired.id).await.unwrap().expires_at, Some(after(100)));
}

async fn a_token_of_somebody_else_is_not_found(world: World) {
    let tokens = world.tokens();
    let theirs = tokens.owned_by(&world.stranger);
    let issued = world.issue_many(&tokens, 1).await;
    for id in [issued[0].record.id, TokenId::from_u128(7)] {
        for outcome in [
            theirs.get(id).await.map(drop),
            theirs.rename(id, "x").await.map(drop),
            theirs.change(id, TokenChange::new().all_abilities()).await.map(drop),
            theirs.revoke(id).await,
        ] {
            assert!(matches!(outcome, Err(ManageError::NotFound)), "{outcome:?}");
        }
        assert_eq!(theirs.revoke_many(&[id]).await.unwrap(), []);
    }
    assert_eq!(theirs.revoke_all().await.unwrap(), []);
    assert_eq!(theirs.erase().await.unwrap(), 0);
    assert!(theirs.list(ListTokens::new().any_state()).await.unwrap().tokens.is_empty());
    assert_eq!(*world.stored(&issued[0]).await, issued[0].record);
    for twin in ["User:42", "user:42 ", "user:4", "user:420", "user:4２"] {
        let twin = tokens.owned_by(twin.parse::<keyfob::Owner>().unwrap());
        assert!(matches!(twin.get(issued[0].record.id).await, Err(ManageError::NotFound)));
    }
}

async fn a_change_never_revives_a_token_that_expired_meanwhile(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let new = world.new_token("a").expires_in(Duration::seconds(100));
    let id = tokens.issue(new).await.unwrap().record.id;
    let (inner, clock) = (world.store.inner(), world.clock.clone());
    // Between the look and the change, somebody shortens the token's life, and it ends.
    world.store.before("change", move || {
        let (inner, clock) = (inner.clone(), clock.clone());
        Box::pin(async move {
            let mut sooner = Change::default();
            sooner.expires_at = Some(Some(after(10)));
            let _ = inner.change(id, Some(after(100)), &sooner).await.unwrap();
            clock.set(after(10).datetime());
        })
    });
    let refused = own.change(id, TokenChange::new().expires_at(None)).await;
    assert!(matches!(refused, Err(ManageError::NotActive(TokenState::Expired))), "{refused:?}");
    assert_eq!(own.get(id).await.unwrap().expires_at, Some(after(10)));

    let id = tokens.issue(world.new_token("b")).await.unwrap().record.id;
    let inner = world.store.inner();
    world.store.before("change", move || {
        let inner = inner.clone();
        let selection = Selection::Tokens { ids: vec![id], owner: None };
        Box::pin(async move {
            inner.end(&selection, &Revocation::new(after(10))).await.unwrap();
        })
    });
    let refused = own.rename(id, "renamed").await;
    assert!(matches!(refused, Err(ManageError::NotActive(TokenState::Revoked))), "{refused:?}");
}

/// The token expires between the look and the change, and another one takes its name and its place.
async fn a_later_expiry_is_refused_where_name_or_place_were_taken_meanwhile(world: World) {
    let builders: [fn(ApiTokensBuilder) -> ApiTokensBuilder; 2] = [
        |it| it.policy(Policy::new().unique_names(true)),
        |it| it.policy(Policy::new().limit_per_owner(1)),
    ];
    for (builder, step) in builders.into_iter().flat_map(|it| [(it, "change"), (it, "rotate")]) {
        let tokens = builder(world.builder()).build().unwrap();
        let new = world.new_token("a").expires_in(Duration::MINUTE);
        let id = tokens.issue(new).await.unwrap().record.id;
        let (other, clock, new) = (world.tokens(), world.clock.clone(), world.new_token("a"));
        world.store.before(
            step,
            once(move || {
                async move {
                    clock.advance(Duration::MINUTE);
                    other.issue(new).await.map(drop).unwrap();
                }
                .boxed()
            }),
        );
        let own = tokens.owned_by(&world.owner);
        let refused = if step == "change" {
            own.change(id, TokenChange::new().expires_at(None)).await.map(drop).unwrap_err()
        } else {
            let rotation = TokenRotation::new().expires_at(None);
            match own.rotate(id, rotation).await.map(drop).unwrap_err() {
                RotateError::Manage(ManageError::NameTaken) => ManageError::NameTaken,
                RotateError::Manage(ManageError::LimitReached { limit }) => {
                    ManageError::LimitReached { limit }
                }
                other => panic!("{other:?}"),
            }
        };
        let is_told =
            matches!(refused, ManageError::NameTaken | ManageError::LimitReached { limit: 1 });
        assert!(is_told, "{refused:?}");
        world.store.heal();
        assert_eq!(own.get(id).await.unwrap().state_at(tokens.now()), TokenState::Expired);
        assert_eq!(own.revoke_all().await.unwrap().len(), 2);
    }
}

async fn a_change_that_never_gets_its_turn_says_so(world: World) {
    let tokens = world.tokens();
    let id = tokens.issue(world.new_token("a")).await.unwrap().record.id;
    let inner = world.store.inner();
    world.store.before("change", move || {
        let inner = inner.clone();
        Box::pin(async move {
            let now = inner.one(id).await.unwrap().unwrap().expires_at;
            let mut later = Change::default();
            later.expires_at =
                Some(Some(after(now.map_or(1_000, |it| it.since(after(0)).whole_seconds() + 1))));
            let _ = inner.change(id, now, &later).await.unwrap();
        })
    });
    let refused = tokens.owned_by(&world.owner).rename(id, "renamed").await;
    assert!(matches!(refused, Err(ManageError::Store(StoreError::Busy(_)))), "{refused:?}");
}

async fn of_several_who_edit_a_token_one_is_done_and_the_others_are_told(world: World) {
    let tokens = world.builder().deadline(Duration::HOUR).build().unwrap();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let (own, id) = (tokens.owned_by(&world.owner), issued.record.id);
    // A use is no change.
    tokens.verify(issued.plain.expose_secret()).await.unwrap();
    tokens.flush().await.unwrap();
    for version in 0..3 {
        let edits = (0..8).map(|it| {
            let change = TokenChange::new().name(format!("{version}-{it}")).if_version(version);
            own.change(id, change)
        });
        let (done, refused): (Vec<_>, Vec<_>) =
            join_all(edits).await.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), refused.len()), (1, 7));
        let is_told = |it: &Result<_, _>| matches!(it, Err(ManageError::VersionMismatch { version: now }) if *now == version + 1);
        assert!(refused.iter().all(is_told), "{refused:?}");
        assert_eq!(own.get(id).await.unwrap(), done.into_iter().next().unwrap().unwrap());
    }
    let suspended = own.suspend(id).await.unwrap();
    let late = own.change(id, TokenChange::new().name("late").if_version(3)).await;
    assert!(matches!(late, Err(ManageError::VersionMismatch { version: 4 })), "{late:?}");
    assert_eq!(own.get(id).await.unwrap(), suspended);
}

async fn a_revocation_says_who_and_why_and_stays_as_it_was(world: World) {
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 1).await;
    let own = tokens.owned_by(&world.owner);
    let by = own.clone().by(Actor::new("admin:1").unwrap()).because(Reason::new("leaked").unwrap());
    by.revoke(issued[0].record.id).await.unwrap();
    let first = own.get(issued[0].record.id).await.unwrap();
    let revocation = first.revocation.clone().unwrap();
    assert_eq!(revocation.at, after(0));
    assert_eq!(revocation.by.unwrap().as_str(), "admin:1");
    assert_eq!(revocation.reason.unwrap().as_str(), "leaked");
    assert_eq!(world.events.count("Revoked"), 1);

    world.clock.advance(Duration::HOUR);
    own.revoke(first.id).await.unwrap();
    assert_eq!(own.get(first.id).await.unwrap(), first);
    assert_eq!(world.events.take(), [""; 0], "what changes nothing is no event");
}

async fn many_are_revoked_and_only_what_changed_is_told(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = ids(&world.issue_many(&tokens, 4).await);
    let theirs = tokens.issue(NewToken::new(world.stranger.clone(), "theirs")).await.unwrap();
    own.revoke(issued[0]).await.unwrap();
    let asked =
        [issued[0], issued[1], issued[1], issued[2], theirs.record.id, TokenId::from_u128(7)];
    let changed: BTreeSet<_> = own.revoke_many(&asked).await.unwrap().into_iter().collect();
    assert_eq!(changed, BTreeSet::from([issued[1], issued[2]]));
    assert!(world.stored(&theirs).await.revocation.is_none());
    assert_eq!(own.revoke_many(&[]).await.unwrap(), []);
    assert_eq!(own.revoke_all().await.unwrap(), [issued[3]]);
    assert_eq!(own.revoke_all().await.unwrap(), []);
}

async fn all_tokens_of_an_owner_are_erased(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = ids(&world.issue_many(&tokens, 3).await);
    let theirs = tokens.issue(NewToken::new(world.stranger.clone(), "theirs")).await.unwrap();
    own.revoke(issued[0]).await.unwrap();
    assert_eq!(own.erase().await.unwrap(), 3);
    assert!(own.list(ListTokens::new().any_state()).await.unwrap().tokens.is_empty());
    assert!(matches!(own.get(issued[1]).await, Err(ManageError::NotFound)));
    tokens.verify(theirs.plain.expose_secret()).await.unwrap();
    assert_eq!(world.events.count("Erased"), 1);
}

/// Each step is committed and told, also where a later one fails; another try goes on.
async fn erasing_works_in_steps_and_goes_on_where_it_failed(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    world.issue_many(&tokens, 2_300).await;
    let other = tokens.issue(NewToken::new(world.stranger.clone(), "theirs")).await.unwrap();
    world.events.take();
    let store = world.store.clone();
    world.store.after("erase", once(move || async move { store.fail(&["erase"]) }.boxed()));
    let failed = own.erase().await;
    assert!(matches!(failed, Err(ManageError::Store(StoreError::Unavailable(_)))), "{failed:?}");
    world.store.heal();
    world.store.take_calls();
    assert_eq!(own.erase().await.unwrap(), 1_300);
    assert_eq!(world.store.take_calls().iter().filter(|it| **it == "erase").count(), 2);
    let events = world.events.take();
    let erased: Vec<_> = events.iter().filter(|it| it.starts_with("Erased")).collect();
    let sizes = ["tokens: 1000", "tokens: 1000", "tokens: 300"];
    assert!(erased.iter().zip(sizes).all(|(it, size)| it.contains(size)), "{erased:?}");
    assert_eq!(erased.len(), 3);
    tokens.verify(other.plain.expose_secret()).await.unwrap();
}

async fn pruning_spares_the_living(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let mut living = Vec::new();
    living.push(tokens.issue(world.new_token("for ever")).await.unwrap());
    let year = world.new_token("for a year").expires_in(Duration::days(365));
    living.push(tokens.issue(year).await.unwrap());
    let short = world.new_token("expired").expires_in(Duration::seconds(10));
    tokens.issue(short).await.map(drop).unwrap();
    own.revoke(tokens.issue(world.new_token("revoked")).await.unwrap().record.id).await.unwrap();

    world.clock.advance(Duration::DAY);
    assert_eq!(tokens.prune(after(0)).await.unwrap(), 0);
    assert_eq!(tokens.prune(after(1)).await.unwrap(), 1, "what was revoked");
    assert_eq!(tokens.prune(after(10)).await.unwrap(), 0);
    assert_eq!(tokens.prune(after(11)).await.unwrap(), 1, "what expired");
    assert_eq!(tokens.prune(keyfob::Timestamp::MAX).await.unwrap(), 0, "also before a day to come");
    for issued in &living {
        tokens.verify(issued.plain.expose_secret()).await.unwrap();
    }
}

async fn what_ended_long_ago_is_pruned_in_the_background(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = world.issue_many(&tokens, 3).await;
    own.revoke(issued[0].record.id).await.unwrap();
    world.at(10);
    own.revoke(issued[1].record.id).await.unwrap();
    world.at(100);
    let background = tokio::spawn(tokens.background().prune_after(Duration::seconds(90)));
    eventually(async || world.events.count("Pruned") > 0).await;
    tokens.close().await.unwrap();
    background.await.unwrap();
    let left = own.list(ListTokens::new().any_state()).await.unwrap().tokens;
    let left: Vec<_> = left.iter().map(|it| it.id).collect();
    assert_eq!(
        left,
        [issued[2].record.id, issued[1].record.id],
        "one ended before the tenth second"
    );

    // Without being told to, it deletes nothing.
    world.at(10_000);
    let background = tokio::spawn(tokens.background());
    tokens.flush().await.unwrap();
    tokens.close().await.unwrap();
    background.await.unwrap();
    assert_eq!(own.count().await.unwrap().revoked, 1);
}

async fn pruning_works_in_batches(world: World) {
    let tokens = world.tokens();
    let template = world.plant(|_| ()).await.record;
    for number in 0..2_100_u32 {
        let mut record = template.clone();
        record.id = TokenId::from_u128(number.into());
        record.expires_at = Some(after((number % 7).into()));
        let outcome =
            world.store.insert(&record, &keyfob::store::contract::InsertRules::none()).await;
        assert_eq!(outcome.unwrap(), keyfob::store::contract::InsertOutcome::Inserted);
    }
    world.store.take_calls();
    world.clock.advance(Duration::HOUR);
    assert_eq!(tokens.prune(after(100)).await.unwrap(), 2_100);
    assert_eq!(world.store.take_calls(), ["prune"; 3]);
    assert_eq!(world.events.take(), ["Pruned { tokens: 2100 }"]);
    let owner = tokens.owned_by(&world.owner);
    assert_eq!(owner.count().await.unwrap().not_revoked(), 1);
}

async fn counts_tell_the_revoked_from_the_others(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = world.issue_many(&tokens, 3).await;
    own.revoke(issued[0].record.id).await.unwrap();
    let count = own.count().await.unwrap();
    assert_eq!((count.not_revoked(), count.revoked), (2, 1));
}
