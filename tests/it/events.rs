//! Events: everything that happens is told, to everybody who listens, and never a secret.

#[cfg(all(feature = "metrics", feature = "axum", feature = "redis"))]
mod metrics;
mod queued;
mod secrets;

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex},
};

use keyfob::{
    ApiTokens, Event, LastUsed, NewToken, Policy, TokenChange, TokenRotation,
    event::Observer,
    store::{CorruptRecord, StoreError},
    token::{Actor, KeyId, Reason, TokenDigest},
};
use time::Duration;

use crate::support::{World, after, checked, on_every_store, secret_of};

on_every_store! {
    an_issue_is_told_with_the_token
    each_change_is_told_with_who_made_it
    a_suspension_and_its_end_are_told
    a_rotation_and_the_first_use_of_its_secret_are_told
    a_new_address_is_told_once
    a_retired_secret_is_told_and_suspends_where_it_should
    revocations_are_told_with_what_was_revoked
    what_is_deleted_is_told
    a_token_that_expires_soon_is_told_once
    refusals_are_told_with_an_id_only_where_it_is_proven
    what_the_store_fails_at_is_told_with_its_causes
    a_missing_key_is_told_by_its_name
    trouble_with_uses_is_told
    verifications_are_told_where_it_is_asked_for
}

/// Keeps every event.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Event>>>);

impl Kept {
    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Observer for Kept {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

/// The events that were told since the last time, taken apart. There are no others.
macro_rules! told {
    ($kept:expr, [$($event:pat),*] => $value:expr) => {{
        let told = $kept.take();
        match &told[..] {
            [$($event),*] => $value,
            _ => panic!("{told:#?}"),
        }
    }};
}
use told;

fn kept(world: &World) -> (Kept, ApiTokens) {
    let kept = Kept::default();
    (kept.clone(), world.builder().inline_observer(kept).build().unwrap())
}

fn actor() -> Actor {
    Actor::new("admin:1").unwrap()
}

fn reason() -> Reason {
    Reason::new("unpaid").unwrap()
}

fn address(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

async fn an_issue_is_told_with_the_token(world: World) {
    let (kept, tokens) = kept(&world);
    let new = world.new_token("ci").created_by(actor()).expires_in(Duration::HOUR);
    let issued = tokens.issue(new).await.unwrap();
    told!(kept, [Event::Issued { token, .. }] => assert_eq!(**token, issued.record));
    assert_eq!(issued.record.created_by(), Some(&actor()));
    tokens.issue(world.new_token(" ")).await.unwrap_err();
    told!(kept, [] => {});
}

async fn each_change_is_told_with_who_made_it(world: World) {
    let (kept, tokens) = kept(&world);
    let id = tokens.issue(world.new_token("before")).await.unwrap().record.id;
    kept.take();
    let own = tokens.owned_by(&world.owner);
    let acting = own.clone().by(actor());

    let renamed = acting.rename(id, "after").await.unwrap();
    told!(kept, [Event::Renamed { token, before, by, .. }] => {
        assert_eq!((&**token, before.as_str(), by), (&renamed, "before", &Some(actor())));
        assert_eq!(token.name.as_str(), "after");
    });
    let changed = own.change(id, TokenChange::new().abilities(["a"])).await.unwrap();
    told!(kept, [Event::Changed { token, by, .. }] => {
        assert_eq!((&**token, by), (&changed, &None));
    });
    let both = TokenChange::new().name("both").expires_in(Duration::HOUR);
    let changed = acting.change(id, both).await.unwrap();
    told!(kept, [Event::Renamed { before, .. }, Event::Changed { token, by, .. }] => {
        assert_eq!((&**token, before.as_str(), by), (&changed, "after", &Some(actor())));
    });
    own.rename(id, "both").await.unwrap();
    told!(kept, [] => {});
    own.rename(id, " ").await.unwrap_err();
    told!(kept, [] => {});
}

async fn a_suspension_and_its_end_are_told(world: World) {
    let (kept, tokens) = kept(&world);
    let id = tokens.issue(world.new_token("a")).await.unwrap().record.id;
    kept.take();
    let own = tokens.owned_by(&world.owner).by(actor());
    world.clock.set(after(5).datetime());
    own.clone().because(reason()).suspend_until(id, after(60)).await.unwrap();
    told!(kept, [Event::Suspended { token, by, .. }] => {
        let suspension = token.suspension.as_deref().unwrap();
        assert_eq!((token.id, &token.owner, by), (id, &world.owner, &Some(actor())));
        assert_eq!((suspension.since, suspension.until), (after(5), Some(after(60))));
        assert_eq!(suspension.reason, Some(reason()));
    });
    world.clock.set(after(20).datetime());
    own.resume(id).await.unwrap();
    told!(kept, [Event::Resumed { token, by, .. }] => {
        assert_eq!((token.id, by), (id, &Some(actor())));
        assert_eq!(token.suspension.as_deref().unwrap().until, Some(after(20)));
    });
    own.resume(id).await.unwrap();
    told!(kept, [] => {});
}

async fn a_rotation_and_the_first_use_of_its_secret_are_told(world: World) {
    let (kept, tokens) = kept(&world);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    kept.take();
    let id = issued.record.id;
    for _ in 0..2 {
        tokens.verify(issued.plain.expose_secret()).await.unwrap();
    }
    told!(kept, [Event::FirstUse { id: it, owner, generation: 0, from: None, .. }] => {
        assert_eq!((*it, owner), (id, &world.owner));
    });

    let own = tokens.owned_by(&world.owner).by(actor());
    world.clock.set(after(5).datetime());
    let rotated = own.rotate(id, TokenRotation::new()).await.unwrap();
    told!(kept, [Event::Rotated { token, by, .. }] => {
        assert_eq!((token.id, token.generation, by), (id, 1, &Some(actor())));
        assert_eq!(token.rotated_at, Some(after(5)));
    });
    tokens.verify(issued.plain.expose_secret()).await.unwrap();
    told!(kept, [] => {});
    for _ in 0..2 {
        tokens.verify_from(rotated.plain.expose_secret(), Some(address(1))).await.unwrap();
    }
    told!(kept, [
        Event::FirstUse { id: it, owner, generation: 1, from, .. },
        Event::NewAddress { .. }
    ] => {
        assert_eq!((*it, owner, *from), (id, &world.owner, Some(address(1))));
    });
    // What is recorded is told by one process alone, and by none that comes later.
    let (kept, later) = self::kept(&world);
    later.verify(rotated.plain.expose_secret()).await.unwrap();
    told!(kept, [] => {});
}

async fn a_new_address_is_told_once(world: World) {
    let (kept, tokens) = kept(&world);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let text = issued.plain.expose_secret();
    tokens.verify_from(text, Some(address(1))).await.unwrap();
    kept.take();
    for last in [1, 2, 1, 2, 1] {
        tokens.verify_from(text, Some(address(last))).await.unwrap();
    }
    told!(kept, [Event::NewAddress { id, owner, from, .. }] => {
        assert_eq!((*id, owner, *from), (issued.record.id, &world.owner, address(2)));
    });
    tokens.flush().await.unwrap();

    // Another process knows the last address alone.
    let (kept, later) = self::kept(&world);
    later.verify_from(text, Some(address(1))).await.unwrap();
    told!(kept, [] => {});
    later.verify(text).await.unwrap();
    told!(kept, [] => {});
    later.verify_from(text, Some(address(2))).await.unwrap();
    told!(kept, [Event::NewAddress { from, .. }] => assert_eq!(*from, address(2)));
}

async fn a_retired_secret_is_told_and_suspends_where_it_should(world: World) {
    for suspends in [false, true] {
        let kept = Kept::default();
        let builder = world.builder().policy(Policy::new().suspend_on_retired_secret(suspends));
        let tokens = builder.inline_observer(kept.clone()).build().unwrap();
        let issued = tokens.issue(world.new_token("a")).await.unwrap();
        let own = tokens.owned_by(&world.owner);
        let rotation = TokenRotation::new().grace(Duration::ZERO);
        let rotated = own.rotate(issued.record.id, rotation).await.unwrap();
        kept.take();
        let old = issued.plain.expose_secret();
        tokens.verify_from(old, Some(address(9))).await.unwrap_err();
        let (sign, refused) = match (&kept.take()[..], suspends) {
            ([sign, refused], false) => (sign.clone(), refused.clone()),
            ([sign, Event::Suspended { token, by: None, .. }, refused], true) => {
                assert_eq!(token.id, issued.record.id);
                assert!(token.suspension.as_deref().unwrap().reason.is_some());
                (sign.clone(), refused.clone())
            }
            (told, _) => panic!("{told:#?}"),
        };
        let Event::RetiredSecretUsed { id, owner, from, .. } = &sign else { panic!("{sign:?}") };
        assert_eq!((*id, owner, *from), (issued.record.id, &world.owner, Some(address(9))));
        let Event::Refused { id, reason: "retired_secret", .. } = &refused else {
            panic!("{refused:?}")
        };
        assert_eq!(*id, Some(issued.record.id));
        assert_eq!(tokens.verify(rotated.plain.expose_secret()).await.is_err(), suspends);
    }
}

async fn revocations_are_told_with_what_was_revoked(world: World) {
    let (kept, tokens) = kept(&world);
    let mut ids = Vec::new();
    for name in ["a", "b", "c", "d"] {
        ids.push(tokens.issue(world.new_token(name)).await.unwrap().record.id);
    }
    let presented = tokens.issue(world.new_token("e")).await.unwrap();
    kept.take();
    world.clock.set(after(5).datetime());
    let own = tokens.owned_by(&world.owner).by(actor()).because(reason());
    own.revoke_many(&[ids[0], ids[1]]).await.unwrap();
    told!(kept, [Event::Revoked { ids: revoked, revocation, .. }] => {
        assert!(revoked.len() == 2 && ids[..2].iter().all(|id| revoked.contains(id)));
        assert_eq!((revocation.at, &revocation.by), (after(5), &Some(actor())));
        assert_eq!(revocation.reason, Some(reason()));
    });
    own.revoke(ids[0]).await.unwrap();
    told!(kept, [] => {});
    own.revoke_with_descendants(ids[2]).await.unwrap();
    told!(kept, [Event::Revoked { ids: revoked, owner, .. }] => {
        assert_eq!((&**revoked, owner.as_ref()), (&[ids[2]][..], Some(&world.owner)));
    });
    tokens.operator().by(actor()).revoke_many(&ids).await.unwrap();
    told!(kept, [Event::Revoked { ids: revoked, revocation, .. }] => {
        assert_eq!((&**revoked, &revocation.by), (&[ids[3]][..], &Some(actor())));
    });
    tokens.revoke_presented(presented.plain.expose_secret()).await.unwrap();
    told!(kept, [Event::Revoked { ids: revoked, revocation, .. }] => {
        assert_eq!((&**revoked, &revocation.by), (&[presented.record.id][..], &None));
        assert!(revocation.reason.is_some());
    });
}

async fn what_is_deleted_is_told(world: World) {
    let (kept, tokens) = kept(&world);
    let issued = world.issue_many(&tokens, 3).await;
    let own = tokens.owned_by(&world.owner).by(actor());
    own.revoke(issued[0].record.id).await.unwrap();
    kept.take();
    world.clock.advance(Duration::HOUR);
    tokens.prune(after(60)).await.unwrap();
    told!(kept, [Event::Pruned { tokens: 1, .. }] => {});
    own.erase().await.unwrap();
    told!(kept, [Event::Erased { owner, tokens: 2, by, .. }] => {
        assert_eq!((owner, by), (&world.owner, &Some(actor())));
    });
}

async fn a_token_that_expires_soon_is_told_once(world: World) {
    let (kept, tokens) = kept(&world);
    let soon = world.new_token("soon").expires_in(Duration::days(3));
    let soon = tokens.issue(soon).await.unwrap().record;
    let later = world.new_token("later").expires_in(Duration::days(30));
    tokens.issue(later).await.map(drop).unwrap();
    kept.take();
    for expected in [1, 0] {
        let mut pages = tokens.operator().expiring_within(Duration::days(7));
        while pages.next_page().await.unwrap().is_some() {}
        let told = kept.take();
        assert_eq!(told.len(), expected);
        if let Some(event) = told.first() {
            let Event::ExpiringSoon { token, days: 7, .. } = event else { panic!("{event:?}") };
            assert_eq!((token.id, &token.owner), (soon.id, &world.owner));
            assert_eq!(token.expires_at, soon.expires_at);
        }
    }
}

async fn refusals_are_told_with_an_id_only_where_it_is_proven(world: World) {
    let (kept, tokens) = kept(&world);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let other = tokens.issue(NewToken::new(world.stranger.clone(), "b")).await.unwrap();
    let (id, text) = (issued.record.id, issued.plain.expose_secret());
    tokens.owned_by(&world.owner).revoke(id).await.unwrap();
    kept.take();
    let forged = checked(&format!("acme_{id}_{}", secret_of(&other)));
    for (presented, expected, told) in [
        (text, Some(id), "revoked"),
        (&forged, None, "wrong_secret"),
        ("acme_x", None, "malformed"),
    ] {
        tokens.verify(presented).await.unwrap_err();
        told!(kept, [Event::Refused { id, reason, .. }] => {
            assert_eq!((*id, *reason), (expected, told));
        });
    }
}

async fn what_the_store_fails_at_is_told_with_its_causes(world: World) {
    let (kept, tokens) = kept(&world);
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    kept.take();
    world.store.forget();
    world.store.fail_with(&["find"], || StoreError::Unavailable("the disk is gone".into()));
    tokens.verify(issued.plain.expose_secret()).await.unwrap_err();
    told!(kept, [Event::StoreFailed { error, .. }] => {
        assert_eq!(error.code, "unavailable");
        assert_eq!(error.message, "the token store is unavailable: the disk is gone");
        assert_eq!(error.to_string(), error.message);
    });
    let id = issued.record.id;
    world.store.fail_with(&["find"], move || CorruptRecord::new(Some(id), "digest").into());
    tokens.owned_by(&world.owner).get(id).await.unwrap_err();
    told!(kept, [Event::Corrupt { record, .. }] => assert_eq!(record.id, Some(id)));
}

async fn a_missing_key_is_told_by_its_name(world: World) {
    let (kept, tokens) = kept(&world);
    let name = KeyId::new("2026-11").unwrap();
    let key = Some(name.clone());
    let planted =
        world.plant(|it| it.digest = TokenDigest::from_bytes(*it.digest.as_bytes(), key)).await;
    tokens.verify(planted.plain.expose_secret()).await.unwrap_err();
    told!(kept, [
        Event::Refused { id: None, reason: "unknown_key", .. },
        Event::PepperKeyMissing { key, .. }
    ] => assert_eq!(*key, name));
}

async fn trouble_with_uses_is_told(world: World) {
    let kept = Kept::default();
    let builder = world.builder().last_used(LastUsed::every(Duration::SECOND).capacity(1));
    let tokens = builder.inline_observer(kept.clone()).build().unwrap();
    let issued = world.issue_many(&tokens, 3).await;
    for issued in &issued {
        tokens.verify(issued.plain.expose_secret()).await.unwrap();
    }
    kept.take();
    world.clock.advance(Duration::MINUTE);
    world.store.fail(&["record_uses"]);
    tokens.owned_by(&world.owner).list(keyfob::ListTokens::new()).await.unwrap();
    told!(kept, [
        Event::BackgroundNotDriven,
        Event::UsesDropped { uses: 2, .. },
        Event::UsesNotWritten { error, waiting: 1, .. }
    ] => assert_eq!(error.code, "unavailable"));
}

async fn verifications_are_told_where_it_is_asked_for(world: World) {
    for (one_of, expected) in [(None, 0), (Some(1), 30), (Some(10), 3), (Some(7), 4)] {
        let kept = Kept::default();
        let mut builder = world.builder().inline_observer(kept.clone());
        if let Some(one_of) = one_of {
            builder = builder.report_verified(NonZeroU32::new(one_of).unwrap());
        }
        let tokens = builder.build().unwrap();
        let issued = tokens.issue(world.new_token("a")).await.unwrap();
        let text = issued.plain.expose_secret();
        let token = tokens.verify(text).await.unwrap();
        for _ in 1..29 {
            tokens.verify(text).await.unwrap();
        }
        tokens.revalidate(&token).await.unwrap();
        tokens.verify("acme_nonsense").await.unwrap_err();
        let told = kept.take();
        let verified = told.iter().filter(|it| matches!(it, Event::Verified { .. }));
        for event in verified.clone() {
            let Event::Verified { id, owner, of, .. } = event else { unreachable!() };
            assert_eq!((*id, owner, Some(*of)), (issued.record.id, &world.owner, one_of));
        }
        assert_eq!(verified.count(), expected, "one of {one_of:?}");
        assert_eq!(told.len(), expected + 3, "issued, first used, refused");
    }
}
