//! States that pass: suspended for now or until a date, not valid yet. From outside all of them look alike.

use futures_util::FutureExt;
use keyfob::{
    ManageError, NewToken, Policy, RotateError, Timestamp, TokenChange, TokenId, TokenRotation,
    TokenState, VerifyError,
    store::{StoreError, contract::Selection},
    token::{Actor, Reason, Revocation, Suspension},
    web::{Problem, Realm},
};
use time::Duration;

use crate::support::store_ext::StoreExt;
use crate::support::{
    World, after, checked, code_of, on_every_store, secret_of, verdict, wrong_field, wrong_fields,
};

on_every_store! {
    a_suspension_holds_until_somebody_ends_it
    a_suspension_until_a_date_ends_at_its_second
    a_suspension_that_is_over_before_it_begins_is_refused
    a_second_suspension_takes_the_place_of_the_first
    resuming_what_is_not_suspended_changes_nothing
    what_has_ended_is_neither_suspended_nor_resumed
    a_token_of_somebody_else_is_neither_suspended_nor_resumed
    a_suspension_counts_on_every_node_and_for_open_connections
    a_revocation_meanwhile_wins
    a_revocation_outlasts_a_suspension
    a_store_that_fails_suspends_nothing_and_resumes_nothing
    a_use_is_shown_also_where_it_is_written_while_the_token_is_suspended
    a_token_is_good_from_its_first_second_on
    the_first_instant_can_be_changed
    a_token_has_to_begin_before_it_ends
    a_rotation_lets_no_token_end_before_it_begins
    all_refusals_are_equal_to_the_byte
    an_unknown_token_costs_a_cold_store_what_a_wrong_secret_does
}

fn reason(text: &str) -> Reason {
    Reason::new(text).unwrap()
}

async fn a_suspension_holds_until_somebody_ends_it(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner).by(Actor::new("admin:1").unwrap());
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let id = issued.record.id;
    assert_eq!(verdict(&tokens, &issued).await, "good");
    world.events.take();

    world.at(5);
    let suspended = own.clone().because(reason("unpaid")).suspend(id).await.unwrap();
    let mut expected = Suspension::new(after(5));
    expected.reason = Some(reason("unpaid"));
    assert_eq!(suspended.suspension.as_deref(), Some(&expected));
    assert_eq!(suspended.state_at(tokens.now()), TokenState::Suspended);
    let events = world.events.take();
    assert!(events.len() == 1 && events[0].starts_with("Suspended"), "{events:?}");
    assert!(events[0].contains("admin:1") && events[0].contains("unpaid"), "{events:?}");

    for seconds in [5, 6, 1_000_000_000] {
        world.at(seconds);
        assert_eq!(verdict(&tokens, &issued).await, "suspended");
    }
    world.events.take();
    let resumed = own.resume(id).await.unwrap();
    expected.until = Some(after(1_000_000_000));
    assert_eq!(resumed.suspension.as_deref(), Some(&expected), "why stays");
    assert_eq!(*world.stored(&issued).await.suspension.as_deref().unwrap(), expected);
    let events = world.events.take();
    assert!(events.len() == 1 && events[0].starts_with("Resumed"), "{events:?}");
    assert!(events[0].contains("admin:1"), "{events:?}");
    assert_eq!(verdict(&tokens, &issued).await, "good");
}

async fn a_suspension_until_a_date_ends_at_its_second(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let suspended = own.suspend_until(issued.record.id, after(100)).await.unwrap();
    assert_eq!(suspended.suspension.unwrap().until, Some(after(100)));
    for (seconds, expected) in
        [(0, "suspended"), (99, "suspended"), (100, "good"), (101, "good"), (1_000, "good")]
    {
        world.at(seconds);
        assert_eq!(verdict(&tokens, &issued).await, expected, "{seconds}");
    }
    // Before its date somebody can end it as well.
    own.suspend_until(issued.record.id, after(2_000)).await.map(drop).unwrap();
    world.at(1_001);
    assert_eq!(verdict(&tokens, &issued).await, "suspended");
    let resumed = own.resume(issued.record.id).await.unwrap();
    assert_eq!(resumed.suspension.unwrap().until, Some(after(1_001)));
    assert_eq!(verdict(&tokens, &issued).await, "good");
}

async fn a_suspension_that_is_over_before_it_begins_is_refused(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let id = issued.record.id;
    world.events.take();
    for until in [Timestamp::MIN, after(-1), after(0)] {
        assert_eq!(wrong_field(own.suspend_until(id, until).await), "until");
    }
    let almost = after(0).datetime() + Duration::milliseconds(999);
    assert_eq!(wrong_field(own.suspend_until(id, almost).await), "until");
    assert_eq!(*world.stored(&issued).await, issued.record);
    assert_eq!(world.events.take(), [""; 0]);
    own.suspend_until(id, after(1)).await.map(drop).unwrap();
    own.suspend_until(id, Timestamp::MAX).await.map(drop).unwrap();
}

async fn a_second_suspension_takes_the_place_of_the_first(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let id = issued.record.id;
    own.clone().because(reason("first")).suspend_until(id, after(100)).await.map(drop).unwrap();
    world.at(10);
    let longer = own.suspend(id).await.unwrap();
    assert_eq!(longer.suspension.as_deref(), Some(&Suspension::new(after(10))));
    world.at(100);
    assert_eq!(verdict(&tokens, &issued).await, "suspended");
    let shorter = own.clone().because(reason("third")).suspend_until(id, after(102)).await.unwrap();
    let mut expected = Suspension::new(after(100));
    (expected.until, expected.reason) = (Some(after(102)), Some(reason("third")));
    assert_eq!(shorter.suspension.as_deref(), Some(&expected));
    for (seconds, expected) in [(101, "suspended"), (102, "good")] {
        world.at(seconds);
        assert_eq!(verdict(&tokens, &issued).await, expected);
    }
}

async fn resuming_what_is_not_suspended_changes_nothing(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let id = issued.record.id;
    world.events.take();
    assert_eq!(own.resume(id).await.unwrap(), issued.record);
    assert_eq!(*world.stored(&issued).await, issued.record);

    own.suspend_until(id, after(10)).await.map(drop).unwrap();
    world.at(20);
    world.events.take();
    let over = own.resume(id).await.unwrap();
    assert_eq!(over.suspension.unwrap().until, Some(after(10)), "it ended when it ended");
    assert_eq!(world.events.take(), [""; 0], "what changes nothing is no event");
}

async fn what_has_ended_is_neither_suspended_nor_resumed(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let new = world.new_token("a").expires_in(Duration::seconds(100));
    let expired = tokens.issue(new).await.unwrap();
    let revoked = tokens.issue(world.new_token("b")).await.unwrap();
    for issued in [&expired, &revoked] {
        own.suspend(issued.record.id).await.map(drop).unwrap();
    }
    own.revoke(revoked.record.id).await.unwrap();
    world.at(99);
    own.resume(expired.record.id).await.map(drop).unwrap();
    own.suspend(expired.record.id).await.map(drop).unwrap();
    world.at(100);
    world.events.take();
    for (issued, state) in [(&expired, TokenState::Expired), (&revoked, TokenState::Revoked)] {
        let before = world.stored(issued).await;
        for outcome in [
            own.suspend(issued.record.id).await,
            own.suspend_until(issued.record.id, after(1_000)).await,
            own.suspend_until(issued.record.id, after(0)).await,
            own.resume(issued.record.id).await,
        ] {
            assert!(
                matches!(outcome, Err(ManageError::NotActive(it)) if it == state),
                "{outcome:?}"
            );
        }
        assert_eq!(*world.stored(issued).await, *before);
        assert_eq!(verdict(&tokens, issued).await, state.as_str());
    }
    assert_eq!(world.events.count("Suspended"), 0);
}

async fn a_token_of_somebody_else_is_neither_suspended_nor_resumed(world: World) {
    let tokens = world.tokens();
    let theirs = tokens.owned_by(&world.stranger);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let suspended = tokens.issue(world.new_token("b")).await.unwrap();
    let own = tokens.owned_by(&world.owner);
    own.suspend(suspended.record.id).await.map(drop).unwrap();
    world.store.take_calls();
    world.events.take();
    for id in [issued.record.id, suspended.record.id, TokenId::from_u128(7)] {
        for outcome in [
            theirs.suspend(id).await,
            theirs.suspend_until(id, after(100)).await,
            theirs.suspend_until(id, after(0)).await,
            theirs.resume(id).await,
        ] {
            assert!(matches!(outcome, Err(ManageError::NotFound)), "{outcome:?}");
        }
    }
    assert!(world.store.take_calls().iter().all(|call| *call == "find"));
    assert_eq!(world.events.take(), [""; 0]);
    assert_eq!(verdict(&tokens, &issued).await, "good");
    assert_eq!(verdict(&tokens, &suspended).await, "suspended");
}

async fn a_suspension_counts_on_every_node_and_for_open_connections(world: World) {
    let (here, there) = (world.tokens(), world.tokens());
    let issued = here.issue(world.new_token("a")).await.unwrap();
    let (own, id) = (here.owned_by(&world.owner), issued.record.id);
    let token = there.verify(issued.plain.expose_secret()).await.unwrap();
    for _ in 0..3 {
        own.suspend(id).await.map(drop).unwrap();
        assert_eq!(verdict(&here, &issued).await, "suspended");
        assert_eq!(verdict(&there, &issued).await, "suspended");
        assert_eq!(code_of(&there.revalidate(&token).await), "suspended");
        own.resume(id).await.map(drop).unwrap();
        assert_eq!(verdict(&there, &issued).await, "good");
        assert_eq!(code_of(&there.revalidate(&token).await), "good");
        // A use that waits does not undo it, nor does it the use.
        there.flush().await.unwrap();
    }
}

async fn a_revocation_meanwhile_wins(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    for step in ["suspend", "resume"] {
        let issued = tokens.issue(world.new_token(step)).await.unwrap();
        let id = issued.record.id;
        if step == "resume" {
            own.suspend(id).await.map(drop).unwrap();
        }
        let inner = world.store.inner();
        world.store.before(step, move || {
            let inner = inner.clone();
            let selection = Selection::Tokens { ids: vec![id], owner: None };
            async move { drop(inner.end(&selection, &Revocation::new(after(0))).await.unwrap()) }
                .boxed()
        });
        let outcome = if step == "resume" { own.resume(id).await } else { own.suspend(id).await };
        world.store.heal();
        assert!(matches!(outcome, Err(ManageError::NotActive(TokenState::Revoked))), "{outcome:?}");
        assert_eq!(verdict(&tokens, &issued).await, "revoked");
    }
    assert_eq!(world.events.count("Resumed"), 0);
}

async fn a_revocation_outlasts_a_suspension(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    own.suspend_until(issued.record.id, after(100)).await.map(drop).unwrap();
    own.revoke(issued.record.id).await.unwrap();
    for seconds in [0, 99, 100, 101] {
        world.at(seconds);
        assert_eq!(verdict(&tokens, &issued).await, "revoked");
    }
}

async fn a_store_that_fails_suspends_nothing_and_resumes_nothing(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let suspended = tokens.issue(world.new_token("b")).await.unwrap();
    own.suspend(suspended.record.id).await.map(drop).unwrap();
    world.events.take();
    world.store.fail(&["suspend", "resume"]);
    for outcome in [own.suspend(issued.record.id).await, own.resume(suspended.record.id).await] {
        assert!(matches!(outcome, Err(ManageError::Store(StoreError::Unavailable(_)))));
    }
    let events = world.events.take();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events.iter().all(|it| it.starts_with("StoreFailed")), "{events:?}");
    assert_eq!(verdict(&tokens, &issued).await, "good");
    assert_eq!(verdict(&tokens, &suspended).await, "suspended");
}

async fn a_use_is_shown_also_where_it_is_written_while_the_token_is_suspended(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let id = issued.record.id;
    for (seconds, step) in [(10, "suspend"), (20, "resume"), (30, "rotate")] {
        world.at(seconds);
        own.resume(id).await.map(drop).unwrap();
        assert_eq!(verdict(&tokens, &issued).await, "good");
        if step == "resume" {
            own.suspend(id).await.map(drop).unwrap();
        }
        let flushing = tokens.clone();
        world.store.after(step, move || {
            let tokens = flushing.clone();
            async move { tokens.flush().await.unwrap() }.boxed()
        });
        let shown = match step {
            "suspend" => own.suspend(id).await.unwrap(),
            "resume" => own.resume(id).await.unwrap(),
            _ => own.rotate(id, TokenRotation::new()).await.unwrap().record,
        };
        assert_eq!(shown.last_used_at, Some(after(seconds)), "{step}");
        world.store.heal();
    }
}

async fn a_token_is_good_from_its_first_second_on(world: World) {
    let tokens = world.tokens();
    let new = world.new_token("a").not_before(after(100)).expires_at(after(101));
    let issued = tokens.issue(new).await.unwrap();
    assert_eq!(issued.record.not_before, Some(after(100)));
    for (seconds, expected) in
        [(0, "not_yet_valid"), (99, "not_yet_valid"), (100, "good"), (101, "expired")]
    {
        world.at(seconds);
        assert_eq!(verdict(&tokens, &issued).await, expected, "{seconds}");
    }
    let past = tokens.issue(world.new_token("b").not_before(after(0))).await.unwrap();
    assert_eq!(verdict(&tokens, &past).await, "good");
}

async fn the_first_instant_can_be_changed(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let id = issued.record.id;
    let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    let later = own.change(id, TokenChange::new().not_before(after(10))).await.unwrap();
    assert_eq!(later.not_before, Some(after(10)));
    world.at(9);
    assert_eq!(verdict(&tokens, &issued).await, "not_yet_valid");
    assert_eq!(code_of(&tokens.revalidate(&token).await), "not_yet_valid");
    own.rename(id, "renamed").await.map(drop).unwrap();
    assert_eq!(verdict(&tokens, &issued).await, "not_yet_valid", "another change leaves it");
    let at_once = own.change(id, TokenChange::new().not_before(None)).await.unwrap();
    assert_eq!(at_once.not_before, None);
    assert_eq!(verdict(&tokens, &issued).await, "good");
    own.change(id, TokenChange::new().not_before(after(11))).await.map(drop).unwrap();
    world.at(10);
    assert_eq!(verdict(&tokens, &issued).await, "not_yet_valid");
    // Suspended or not is another question, and comes first.
    own.suspend(id).await.map(drop).unwrap();
    assert_eq!(verdict(&tokens, &issued).await, "suspended");
    own.resume(id).await.map(drop).unwrap();
    world.at(11);
    assert_eq!(verdict(&tokens, &issued).await, "good");
}

async fn a_token_has_to_begin_before_it_ends(world: World) {
    let tokens = world.with(Policy::new().default_lifetime(Duration::seconds(100)));
    let own = tokens.owned_by(&world.owner);
    let new = || world.new_token("a");
    for begin in [after(100), after(101), Timestamp::MAX] {
        assert_eq!(wrong_fields(tokens.issue(new().not_before(begin)).await), ["not_before"]);
    }
    let both = new().not_before(after(50)).expires_at(after(50));
    assert_eq!(wrong_fields(tokens.issue(both).await), ["not_before"]);
    tokens.issue(new().expires_at(None).not_before(Timestamp::MAX)).await.map(drop).unwrap();

    let id = tokens.issue(new().not_before(after(99))).await.unwrap().record.id;
    for (change, field) in [
        (TokenChange::new().not_before(after(100)), "not_before"),
        (TokenChange::new().expires_at(after(99)), "expires_at"),
        (TokenChange::new().expires_in(Duration::seconds(99)), "expires_at"),
        (TokenChange::new().not_before(after(60)).expires_at(after(60)), "not_before"),
    ] {
        assert_eq!(wrong_field(own.change(id, change).await), field);
    }
    let both = TokenChange::new().not_before(after(60)).expires_at(after(61));
    own.change(id, both).await.map(drop).unwrap();
    let at_once = TokenChange::new().not_before(None).expires_at(after(1));
    own.change(id, at_once).await.map(drop).unwrap();
}

async fn a_rotation_lets_no_token_end_before_it_begins(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let new = world.new_token("a").not_before(after(100)).expires_at(after(200));
    let id = tokens.issue(new).await.unwrap().record.id;
    let refused = own.rotate(id, TokenRotation::new().expires_at(after(100))).await;
    assert!(matches!(refused, Err(RotateError::Manage(ManageError::Invalid(_)))), "{refused:?}");
    own.rotate(id, TokenRotation::new().expires_at(after(101))).await.map(drop).unwrap();
}

async fn all_refusals_are_equal_to_the_byte(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let new = |name: &str| world.new_token(name);
    let good = tokens.issue(new("good")).await.unwrap();
    let other = tokens.issue(NewToken::new(world.stranger.clone(), "other")).await.unwrap();
    let expired = tokens.issue(new("a").expires_at(after(10))).await.unwrap();
    let revoked = tokens.issue(new("b")).await.unwrap();
    let suspended = tokens.issue(new("c")).await.unwrap();
    let idle = tokens.issue(new("d").idle_period(Duration::seconds(10))).await.unwrap();
    let early = tokens.issue(new("e").not_before(after(100))).await.unwrap();
    let retired = tokens.issue(new("f")).await.unwrap();
    own.revoke(revoked.record.id).await.unwrap();
    own.suspend(suspended.record.id).await.map(drop).unwrap();
    let rotation = TokenRotation::new().grace(Duration::ZERO);
    own.rotate(retired.record.id, rotation).await.map(drop).unwrap();
    world.at(10);

    let mut refusals = vec![VerifyError::OwnerDisabled(good.record.id)];
    let text = |id: TokenId| checked(&format!("acme_{id}_{}", secret_of(&other)));
    for text in [text(TokenId::from_u128(7)), text(good.record.id), "acme_".to_owned()] {
        refusals.push(tokens.verify(&text).await.unwrap_err());
    }
    for issued in [&expired, &revoked, &suspended, &idle, &early, &retired] {
        refusals.push(tokens.verify(issued.plain.expose_secret()).await.unwrap_err());
    }
    let codes: Vec<_> = refusals.iter().map(VerifyError::code).collect();
    let expected = ["owner_disabled", "unknown", "wrong_secret", "malformed", "expired", "revoked"];
    assert_eq!(codes[..6], expected);
    assert_eq!(codes[6..], ["suspended", "idle", "not_yet_valid", "retired_secret"]);
    let realm = Realm::new("Acme API").unwrap();
    let all: Vec<_> = refusals
        .iter()
        .map(|reason| {
            let problem = Problem::refused(&realm, reason);
            let headers: Vec<_> = problem.headers().map(|(n, v)| (n, v.to_owned())).collect();
            (problem.status(), headers, problem.body())
        })
        .collect();
    assert_eq!(all[0].0, 401);
    assert!(all.iter().all(|it| *it == all[0]), "{all:?}");
}

async fn an_unknown_token_costs_a_cold_store_what_a_wrong_secret_does(world: World) {
    let tokens = world.tokens();
    let good = tokens.issue(world.new_token("good")).await.unwrap();
    let suspended = tokens.issue(world.new_token("suspended")).await.unwrap();
    let own = tokens.owned_by(&world.owner);
    own.suspend(suspended.record.id).await.map(drop).unwrap();
    world.store.forget();
    let text = |id: TokenId, from| checked(&format!("acme_{id}_{}", secret_of(from)));
    let unknown = text(TokenId::from_u128(7), &good);
    let wrong = text(good.record.id, &suspended);
    let wrong_and_suspended = text(suspended.record.id, &good);
    let mut calls = Vec::new();
    for text in [&unknown, &wrong, &wrong_and_suspended, suspended.plain.expose_secret()] {
        world.store.take_calls();
        tokens.verify(text).await.unwrap_err();
        calls.push(world.store.take_calls());
    }
    assert_eq!(calls[0], ["peek", "find"]);
    assert!(calls.iter().all(|it| *it == calls[0]), "{calls:?}");
}
