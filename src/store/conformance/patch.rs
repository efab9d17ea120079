//! Patches: applied to the stored record in one step, as [`Patch::apply`] decides.

use std::num::NonZeroU32;

use futures_util::future::join_all;

use super::fixture::*;
use crate::{
    store::{
        TokenStore,
        contract::{
            Change, Expected, InsertRules, Patch, PatchError, Rotation, Siblings, UpdateOutcome,
        },
    },
    token::{
        Abilities, KeyId, Metadata, PreviousSecret, RateLimit, Suspension, Timestamp, TokenDigest,
        TokenRecord,
    },
};

/// Every field, changed to a new value and to none.
pub(super) fn changes() -> Vec<Change> {
    let none = Change::default;
    vec![
        none(),
        Change { name: Some(name("new")), ..none() },
        Change { abilities: Some(Abilities::all()), ..none() },
        Change { abilities: Some(Abilities::none()), ..none() },
        Change { expires_at: Some(Some(at(8_000))), ..none() },
        Change { expires_at: Some(Some(at(9_000))), ..none() },
        Change { expires_at: Some(None), ..none() },
        Change { not_before: Some(Some(at(7))), ..none() },
        Change { not_before: Some(None), ..none() },
        Change { idle_seconds: Some(NonZeroU32::new(7)), ..none() },
        Change { idle_seconds: Some(None), ..none() },
        Change { metadata: Some(metadata(r#"{"b":7}"#)), ..none() },
        Change { metadata: Some(Metadata::default()), ..none() },
        Change { rate_limit: Some(RateLimit::new(7, time::Duration::HOUR).ok()), ..none() },
        Change { rate_limit: Some(None), ..none() },
        Change { allowed_addresses: Some(Some(addresses(&["::7/128"]))), ..none() },
        Change { allowed_addresses: Some(None), ..none() },
        Change {
            name: Some(name("all")),
            abilities: Some(Abilities::all()),
            expires_at: Some(Some(at(9_001))),
            not_before: Some(Some(at(8))),
            idle_seconds: Some(NonZeroU32::new(8)),
            metadata: Some(metadata(r#"{"c":[]}"#)),
            rate_limit: Some(RateLimit::new(8, time::Duration::MINUTE).ok()),
            allowed_addresses: Some(Some(addresses(&["192.0.2.8/32"]))),
        },
    ]
}

/// Rotations that keep or raise the generation, with each way in which the secret before can end.
fn rotations(record: &TokenRecord) -> Vec<Patch> {
    let ends = [
        (Some(at(6_000)), false, false),
        (Some(at(6_000)), true, true),
        (Some(Timestamp::MAX), false, true),
        (None, true, false),
    ];
    let rotation = |(ends_at, ends_on_first_use, may_ask_again)| {
        let previous = PreviousSecret {
            digest: record.digest.clone(),
            ends_at,
            ends_on_first_use,
            may_ask_again,
        };
        Rotation { previous: Some(previous), ..rotation_of(record) }
    };
    let mut rotations: Vec<_> = ends.map(rotation).into();
    rotations.push(Rotation { digest: new_digest(None), ..rotation_of(record) });
    rotations.push(Rotation { expires_at: Some(at(8_000)), ..rotation_of(record) });
    rotations.push(Rotation { expires_at: None, ..rotation_of(record) });
    rotations.into_iter().map(|rotation| rotate(record, rotation)).collect()
}

fn suspensions() -> Vec<Patch> {
    let since = Suspension::new(at(2_000));
    let suspend = [
        since.clone(),
        Suspension { until: Some(at(3_000)), reason: Some(reason("abuse")), ..since.clone() },
        Suspension { until: Some(at(1_000)), ..since },
        Suspension { reason: Some(reason("unpaid")), ..Suspension::new(Timestamp::MIN) },
    ];
    let resume = [at(1_600), at(1_700), at(5_000), Timestamp::MIN].map(|at| Patch::Resume { at });
    suspend.map(Patch::Suspend).into_iter().chain(resume).collect()
}

/// Digests that are replaced: the current one, and the one before.
fn rekeyings(record: &TokenRecord) -> Vec<Patch> {
    let previous = record.previous.iter().map(|it| &it.digest);
    let digests = std::iter::once(&record.digest).chain(previous);
    let keys = [None, Some(key("next"))];
    let patches = digests.flat_map(|it| keys.each_ref().map(|key| rekey(it, key.as_ref())));
    patches.collect()
}

fn rekey(expected: &TokenDigest, key: Option<&KeyId>) -> Patch {
    Patch::Rekey { expected: expected.clone(), digest: new_digest(key) }
}

/// Tokens, each with patches that apply to it.
fn table() -> Vec<(TokenRecord, Vec<Patch>)> {
    let mut table = Vec::new();
    for record in [full(&new_owner()), plain(&new_owner())] {
        let mut patches: Vec<_> = changes().into_iter().map(|it| change_of(&record, it)).collect();
        patches.extend(rotations(&record));
        patches.extend(rekeyings(&record));
        patches.extend(suspensions());
        table.push((record, patches));
    }
    for record in [rotated_once(&new_owner()), unused(&new_owner())] {
        let patches = vec![first_use(&record, 2_000), first_use(&record, 1_000)];
        table.push((record, patches));
    }
    let expiring = with(&plain(&new_owner()), |it| it.expires_at = Some(at(9_000)));
    for record in [full(&new_owner()), expiring] {
        let days = [14, 0, 10, 17, u16::MAX];
        table.push((record.clone(), days.map(|days| notice(&record, days)).into()));
    }
    table
}

/// A patch is written to the token, and nothing else is. The answer is the token as it is then.
pub async fn a_patch_is_written_and_nothing_else(store: &dyn TokenStore) {
    let stranger = full(&new_owner());
    insert(store, &stranger).await;
    for (template, patches) in table() {
        let bystander = full(&template.owner);
        insert(store, &bystander).await;
        for patch in patches {
            let record = with(&template, |it| {
                it.id = new_id();
                it.rare_mut().idempotency_key = None;
            });
            insert(store, &record).await;
            let mut expected = record.clone();
            assert_eq!(patch.apply(&mut expected, &Siblings::default()), Ok(()), "{patch:?}");
            let updated = store.update(record.id, &patch).await.updated();
            assert_same(&updated, &expected, "a patch answers the token as it is now");
            assert_stored(store, &expected, "a patch is written and nothing else").await;
        }
        assert_stored(store, &bystander, "another token of the owner stays as it is").await;
    }
    assert_stored(store, &stranger, "a token of another owner stays as it is").await;
}

/// Several patches add up: each is applied to what the one before has left.
pub async fn patches_add_up(store: &dyn TokenStore) {
    let mut record = with(&plain(&new_owner()), |it| it.expires_at = Some(at(9_000)));
    insert(store, &record).await;
    for round in 0..3 {
        for patch in [
            notice(&record, round),
            rotate(&record, rotation_of(&record)),
            Patch::Suspend(Suspension::new(at(2_000 + i64::from(round)))),
            change_of(
                &record,
                Change { not_before: Some(Some(at(round.into()))), ..Change::default() },
            ),
        ] {
            assert_eq!(patch.apply(&mut record, &Siblings::default()), Ok(()));
            store.update(record.id, &patch).await.updated();
            assert_stored(store, &record, "each patch goes on from the last").await;
        }
    }
}

/// A patch is refused where the token is not as it expects, and then nothing changes.
pub async fn a_patch_on_what_is_outdated_is_refused(store: &dyn TokenStore) {
    for record in [full(&new_owner()), plain(&new_owner())] {
        insert(store, &record).await;
        for patch in outdated(&record) {
            let outcome = store.update(record.id, &patch).await.answered();
            assert_eq!(outcome, UpdateOutcome::Refused(PatchError::Outdated), "{patch:?}");
        }
        assert_stored(store, &record, "a patch that is refused changes nothing").await;
    }
}

fn outdated(record: &TokenRecord) -> Vec<Patch> {
    let mut patches = Vec::new();
    for expiry in [None, Some(8_999), Some(9_000), Some(9_001), Some(0)] {
        let expected_expiry = expiry.map(at);
        if expected_expiry == record.expires_at {
            continue;
        }
        for change in changes() {
            let rules = InsertRules::at(at(2_000));
            patches.push(Patch::Change { expected_expiry, change, rules });
        }
        if let Some(expected_expiry) = expected_expiry {
            patches.push(Patch::Notice { expected_expiry, days: 14 });
        }
    }
    for version in [record.version.wrapping_sub(1), record.version + 1] {
        let (expected_expiry, rules) = (record.expires_at, InsertRules::at(at(2_000)));
        let change = Patch::Change { expected_expiry, change: Change::default(), rules };
        let suspend = Patch::Suspend(Suspension::new(at(2_000)));
        let others = [change, suspend, Patch::Resume { at: at(2_000) }];
        patches.extend(others.map(|it| it.if_version(Some(version))));
    }
    let wrong: [fn(&mut Expected); 11] = [
        |it| it.digest = new_digest(it.digest.key()),
        |it| it.digest = of_another_key(&it.digest),
        |it| it.generation += 1,
        |it| it.generation = it.generation.wrapping_sub(1),
        |it| it.first_used_at = None,
        |it| it.first_used_at = Some(at(1_099)),
        |it| it.first_used_at = Some(at(1_101)),
        |it| it.first_used_at = Some(at(0)),
        |it| it.expires_at = None,
        |it| it.expires_at = Some(at(8_999)),
        |it| it.expires_at = Some(at(0)),
    ];
    for wrong in wrong {
        let mut expected = Expected::of(record);
        wrong(&mut expected);
        if expected != Expected::of(record) {
            let rotation = Rotation { expires_at: expected.expires_at, ..rotation_of(record) };
            let rules = InsertRules::at(at(2_500));
            patches.push(Patch::Rotate { expected, rotation, rules });
        }
    }
    let digests = [new_digest(record.digest.key()), of_another_key(&record.digest)];
    for expected in digests {
        patches.push(Patch::FirstUse { expected: expected.clone(), at: at(2_000) });
        patches.push(rekey(&expected, Some(&key("next"))));
    }
    if let Some(previous) = &record.previous {
        patches.push(Patch::FirstUse { expected: previous.digest.clone(), at: at(2_000) });
        patches.push(rekey(&of_another_key(&previous.digest), None));
        // It was used before, and its notice was claimed.
        patches.push(first_use(record, 2_000));
        patches.push(notice(record, 7));
    }
    patches
}

/// The same bytes, as another pepper key would have made them.
fn of_another_key(digest: &TokenDigest) -> TokenDigest {
    let other = if digest.key().is_some() { None } else { Some(key("other")) };
    TokenDigest::from_bytes(*digest.as_bytes(), other)
}

/// A revoked token can't be patched, and an unknown one isn't there.
pub async fn a_revoked_or_unknown_token_is_not_patched(store: &dyn TokenStore) {
    for (template, patches) in table() {
        let record = revoked(template, at(1_800));
        insert(store, &record).await;
        for patch in patches {
            let outcome = store.update(record.id, &patch).await.answered();
            assert_eq!(outcome, UpdateOutcome::Refused(PatchError::Revoked), "{patch:?}");
            let outcome = store.update(new_id(), &patch).await.answered();
            assert_eq!(outcome, UpdateOutcome::NotFound, "{patch:?}");
        }
        assert_stored(store, &record, "a revoked token stays as it is").await;
    }
}

/// A patch that happens at or after the expiry of its token is refused. A token that is suspended or not valid yet can
/// be patched.
pub async fn an_expired_token_is_not_patched(store: &dyn TokenStore) {
    let record = with(&unused(&new_owner()), |it| {
        it.expires_at = Some(at(2_000));
        it.not_before = Some(at(1_999));
        it.suspension = Some(Box::new(Suspension::new(at(1_000))));
    });
    insert(store, &record).await;
    for (second, outcome) in
        [(2_001, Err(PatchError::Expired)), (2_000, Err(PatchError::Expired)), (1_999, Ok(()))]
    {
        let rules = InsertRules::at(at(second));
        let expected_expiry = record.expires_at;
        let change = Change { expires_at: Some(None), ..Change::default() };
        let rotation = Rotation { at: at(second), ..rotation_of(&record) };
        for patch in [
            Patch::Change { expected_expiry, change, rules },
            Patch::Rotate { expected: Expected::of(&record), rotation, rules },
            first_use(&record, second),
            Patch::Suspend(Suspension::new(at(second))),
            Patch::Resume { at: at(second) },
        ] {
            let record = with(&record, |it| it.id = new_id());
            let record = with(&record, |it| it.rare_mut().idempotency_key = None);
            insert(store, &record).await;
            let found = match store.update(record.id, &patch).await.answered() {
                UpdateOutcome::Updated(_) => Ok(()),
                UpdateOutcome::Refused(refused) => Err(refused),
                UpdateOutcome::NotFound => panic!("it is there"),
            };
            assert_eq!(found, outcome, "at {second}: {patch:?}");
            if outcome.is_err() {
                assert_stored(store, &record, "an expired token stays as it is").await;
            }
        }
    }
}

/// Of any number of concurrent patches with one expectation, one is done, and the others are told. So it is where
/// rotations keep the generation, as a retry does that replaces a secret which was never used.
pub async fn concurrent_patches_with_one_expectation_have_one_winner(store: &dyn TokenStore) {
    let (full, rotated, lasting) =
        (full(&new_owner()), rotated_once(&new_owner()), plain(&new_owner()));
    let rotations = |record: &TokenRecord, step| {
        let generation = record.generation + step;
        let rotation = || Rotation { generation, ..rotation_of(record) };
        (0..8).map(|_| rotate(record, rotation())).collect()
    };
    let first_uses = (0..8).map(|i| first_use(&rotated, 2_000 + i)).collect();
    let rekeyings = (0..8).map(|_| rekey(&lasting.digest, Some(&key("next")))).collect();
    let notices = (0..8).map(|_| notice(&full, 14)).collect();
    let races: [(&TokenRecord, Vec<Patch>); 5] = [
        (&full, rotations(&full, 1)),
        (&rotated, rotations(&rotated, 0)),
        (&rotated, first_uses),
        (&lasting, rekeyings),
        (&full, notices),
    ];
    for (template, patches) in races {
        let record = with(template, |it| {
            it.id = new_id();
            it.rare_mut().idempotency_key = None;
        });
        insert(store, &record).await;
        let updates = join_all(patches.iter().map(|it| store.update(record.id, it))).await;
        let outcomes = updates.into_iter().map(Answered::answered).zip(&patches);
        let (won, lost): (Vec<_>, Vec<_>) =
            outcomes.partition(|(outcome, _)| matches!(outcome, UpdateOutcome::Updated(_)));
        assert_eq!(won.len(), 1, "one of the concurrent patches is done");
        let outdated = UpdateOutcome::Refused(PatchError::Outdated);
        assert!(lost.iter().all(|it| it.0 == outdated), "the others are told: {lost:?}");
        let mut expected = record.clone();
        assert_eq!(won[0].1.apply(&mut expected, &Siblings::default()), Ok(()));
        assert_stored(store, &expected, "what the winner wrote is kept").await;
    }
}

/// Concurrent patches of different fields are all done: none writes back what it read before the others.
pub async fn concurrent_patches_of_different_fields_all_stay(store: &dyn TokenStore) {
    let record = plain(&new_owner());
    insert(store, &record).await;
    let none = Change::default;
    let limit = RateLimit::new(7, time::Duration::HOUR).ok();
    let changes = [
        Change { name: Some(name("new")), ..none() },
        Change { abilities: Some(Abilities::all()), ..none() },
        Change { not_before: Some(Some(at(7))), ..none() },
        Change { idle_seconds: Some(NonZeroU32::new(7)), ..none() },
        Change { metadata: Some(metadata(r#"{"b":7}"#)), ..none() },
        Change { rate_limit: Some(limit), ..none() },
        Change { allowed_addresses: Some(Some(addresses(&["::7/128"]))), ..none() },
    ];
    let mut patches: Vec<_> = changes.map(|it| change_of(&record, it)).into();
    patches.push(Patch::Suspend(Suspension::new(at(2_000))));
    patches.push(rekey(&record.digest, Some(&key("next"))));
    for outcome in join_all(patches.iter().map(|it| store.update(record.id, it))).await {
        outcome.updated();
    }
    let expected = with(&record, |it| {
        for patch in &patches {
            assert_eq!(patch.apply(it, &Siblings::default()), Ok(()));
        }
    });
    assert_stored(store, &expected, "all of the concurrent patches are done").await;
}
