//! Steps that run at once do not mix.

use futures_util::future::{LocalBoxFuture, join_all};

use super::fixture::*;
use crate::{
    store::{AbilityUse, Change, Expected, Rotation, TokenStore, Use},
    token::{PreviousSecret, Suspension, TokenRecord},
};

pub(super) fn rename() -> Change {
    Change { name: Some(name("new")), unique_name: true, ..Change::default() }
}

/// Concurrent steps on one token are all done: none writes back what it read before the others.
pub async fn concurrent_steps_on_a_token_are_all_done(store: &dyn TokenStore) {
    let record = with(&full(&new_owner()), |it| it.first_used_at = None);
    insert(store, &record).await;
    let (suspension, change) = (Suspension::new(at(2_000)), rename());
    let (digest, uses) = (new_digest(None), [Use { id: record.id, at: at(2_000), from: None }]);
    let ability_uses = [AbilityUse { id: record.id, ability: ability("new") }];
    // The digest from before the rotation: the first use expects the current one.
    let previous = &record.previous.as_ref().expect("a full record was rotated").digest;
    let steps: Vec<LocalBoxFuture<'_, ()>> = vec![
        Box::pin(async {
            drop(store.change(record.id, record.expires_at, &change).await.changed());
        }),
        Box::pin(async {
            drop(store.suspend(record.id, &suspension).await.changed());
        }),
        Box::pin(async { store.record_uses(&uses).await.answered() }),
        Box::pin(async { store.record_ability_uses(&ability_uses).await.answered() }),
        Box::pin(async { assert!(claim(store, &record, 14).await.answered()) }),
        Box::pin(async {
            assert!(store.rekey(record.id, previous, &digest).await.answered());
        }),
        Box::pin(async {
            let at = at(2_000);
            assert!(store.mark_first_use(record.id, &record.digest, at).await.answered());
        }),
    ];
    join_all(steps).await;
    let expected = with(&record, |it| {
        it.name = name("new");
        it.suspension = Some(Box::new(suspension.clone()));
        it.last_used_at = Some(at(2_000));
        it.last_used_from = None;
        it.rare_mut().notices.insert(14);
        it.rare_mut().used_abilities.insert(ability("new"));
        it.previous.as_mut().expect("a full record was rotated").digest = digest.clone();
        it.first_used_at = Some(at(2_000));
    });
    assert_stored(store, &expected, "concurrent steps are all done").await;
}

/// A revocation stays whatever runs beside it, whichever begins first.
pub async fn a_revocation_stays_whatever_runs_beside_it(store: &dyn TokenStore) {
    for first in 0..9 {
        let record = with(&full(&new_owner()), |it| it.first_used_at = None);
        insert(store, &record).await;
        let (selection, revocation) = (only(record.id), revocation(at(5_000)));
        let (suspension, change) = (Suspension::new(at(2_000)), rename());
        let uses = [Use { id: record.id, at: at(2_000), from: None }];
        let ability_uses = [AbilityUse { id: record.id, ability: ability("new") }];
        let digest = new_digest(None);
        let (expected, rotation) = rotation_of(&record);
        // What the others answer depends on which came first.
        let mut steps: Vec<LocalBoxFuture<'_, ()>> = vec![
            Box::pin(async {
                let _ = store.change(record.id, record.expires_at, &change).await.answered();
            }),
            Box::pin(async {
                let _ = store.suspend(record.id, &suspension).await.answered();
            }),
            Box::pin(async { store.record_uses(&uses).await.answered() }),
            Box::pin(async { store.record_ability_uses(&ability_uses).await.answered() }),
            Box::pin(async {
                let _ = store.rotate(record.id, &expected, &rotation).await.answered();
            }),
            Box::pin(async {
                let changed = store.revoke(&selection, &revocation).await.answered();
                assert_eq!(changed, [record.id], "it was not revoked before");
            }),
            Box::pin(async {
                claim(store, &record, 14).await.answered();
            }),
            Box::pin(async {
                store.rekey(record.id, &record.digest, &digest).await.answered();
            }),
            Box::pin(async {
                let _ = store.resume(record.id, at(2_000)).await.answered();
            }),
        ];
        steps.rotate_left(first);
        join_all(steps).await;
        let found = read(store, record.id).await;
        assert_eq!(found.revocation.as_deref(), Some(&revocation), "a revocation stays");
    }
}

pub(super) fn rotation_of(record: &TokenRecord) -> (Expected, Rotation) {
    let expected = Expected::of(record);
    let rotation = Rotation {
        digest: record.previous.as_ref().map_or_else(|| new_digest(None), |it| it.digest.clone()),
        generation: record.generation + 1,
        at: at(2_500),
        previous: Some(PreviousSecret::until(record.digest.clone(), at(6_000))),
        expires_at: Some(at(9_999)),
    };
    (expected, rotation)
}
