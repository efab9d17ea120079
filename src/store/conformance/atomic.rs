//! Steps that run at once do not mix.

use futures_util::future::{LocalBoxFuture, join_all};

use super::fixture::*;
use crate::{
    store::{
        TokenStore,
        contract::{Change, Patch, Siblings, Use},
    },
    token::{Suspension, TokenRecord},
};

/// One patch of each kind that applies to a token whose secret was not used; a rotation comes last.
pub(super) fn one_of_each(record: &TokenRecord) -> [Patch; 7] {
    // Not the current digest: the first use expects that one.
    let previous = &record.previous.as_ref().expect("the token was rotated").digest;
    let mut bytes = *previous.as_bytes();
    bytes.reverse();
    let digest = crate::token::TokenDigest::from_bytes(bytes, None);
    [
        change_of(record, Change { name: Some(name("new")), ..Change::default() }),
        Patch::Suspend(Suspension::new(at(1_650))),
        Patch::Resume { at: at(2_000) },
        notice(record, 14),
        Patch::Rekey { expected: previous.clone(), digest },
        first_use(record, 2_000),
        rotate(record, rotation_of(record)),
    ]
}

/// Concurrent steps on one token are all done: none writes back what it read before the others.
pub async fn concurrent_steps_on_a_token_are_all_done(store: &dyn TokenStore) {
    let record = unused(&new_owner());
    insert(store, &record).await;
    // Two steps on one suspension are not the same in another order, and a rotation makes others outdated.
    let [change, suspend, _, notice, rekey, first_use, _] = one_of_each(&record);
    let patches = [change, suspend, notice, rekey, first_use];
    let uses = [Use { abilities: [ability("new")].into(), ..Use::new(record.id, at(2_000)) }];
    let mut steps: Vec<LocalBoxFuture<'_, ()>> =
        vec![Box::pin(async { store.record_uses(&uses).await.answered() })];
    for patch in &patches {
        steps.push(Box::pin(async { drop(store.update(record.id, patch).await.updated()) }));
    }
    join_all(steps).await;
    let expected = with(&record, |it| {
        for patch in &patches {
            assert_eq!(patch.apply(it, &Siblings::default()), Ok(()));
        }
        it.last_used_at = Some(at(2_000));
        it.last_used_from = None;
        it.rare_mut().used_abilities.insert(ability("new"));
    });
    assert_stored(store, &expected, "concurrent steps are all done").await;
}

/// A revocation stays whatever runs beside it, whichever begins first.
pub async fn a_revocation_stays_whatever_runs_beside_it(store: &dyn TokenStore) {
    for first in 0..9 {
        let record = unused(&new_owner());
        insert(store, &record).await;
        let (selection, revocation) = (only(record.id), revocation(at(5_000)));
        let patches = one_of_each(&record);
        let uses = [Use { abilities: [ability("new")].into(), ..Use::new(record.id, at(2_000)) }];
        let mut steps: Vec<LocalBoxFuture<'_, ()>> = vec![
            Box::pin(async { store.record_uses(&uses).await.answered() }),
            Box::pin(async {
                let changed = end(store, &selection, &revocation).await.answered();
                assert_eq!(changed, [record.id], "it was not revoked before");
            }),
        ];
        // What they answer depends on which came first.
        for patch in &patches {
            steps.push(Box::pin(async {
                let _ = store.update(record.id, patch).await.answered();
            }));
        }
        steps.rotate_left(first);
        join_all(steps).await;
        let found = read(store, record.id).await;
        assert_eq!(found.revocation.as_deref(), Some(&revocation), "a revocation stays");
    }
}
