//! The rules of a patch, decided under the lock of the owner.

use keyfob::{
    Timestamp,
    store::{
        StoreError, TokenStore,
        contract::{
            Change, InsertOutcome, InsertRules, Patch, PatchError, RuleError, UpdateOutcome,
        },
    },
};

use super::*;
use crate::support::{database::at, eventually, store_ext::StoreExt};

on_every_engine! {
    a_token_that_is_renamed_while_its_rules_wait_is_judged_anew
    a_patch_that_is_refused_leaves_no_owner_behind
}

const UNIQUE: InsertRules = InsertRules { unique_name: true, ..InsertRules::at(Timestamp::MIN) };

/// A later expiry of token 1, under unique names.
fn extend() -> Patch {
    let mut change = Change::default();
    change.expires_at = Some(None);
    Patch::Change { expected_expiry: Some(at(9_000)), change, rules: UNIQUE }
}

/// The other writer goes by no rules, and so does not wait for the owner.
async fn a_token_that_is_renamed_while_its_rules_wait_is_judged_anew<E: Engine>() {
    let place = Place::<E>::new().await;
    let store = place.some_store().await;
    let mut expiring = record(1);
    expiring.expires_at = Some(at(9_000));
    assert_eq!(store.insert(&expiring, &UNIQUE).await.unwrap(), InsertOutcome::Inserted);
    insert(&store, &record(2)).await;
    let mut other = place.connection().await;
    E::execute(&mut other, "BEGIN").await;
    E::execute(&mut other, "UPDATE keyfob_owners SET changes = changes + 1").await;
    let waits = eventually(async || place.run(E::COUNT_WAITING).await == Some(1));
    let rename = async {
        waits.await;
        let mut change = Change::default();
        change.name = Some(record(2).name);
        let renamed = store.change(id(1), Some(at(9_000)), &change).await.unwrap();
        assert!(matches!(renamed, UpdateOutcome::Updated(_)), "{renamed:?}");
        E::execute(&mut other, "COMMIT").await;
    };
    let patch = extend();
    let (extended, ()) = tokio::join!(store.update(id(1), &patch), rename);
    assert!(matches!(extended, Err(StoreError::Busy(_))), "{extended:?}");
    let extended = store.update(id(1), &patch).await.unwrap();
    let taken = UpdateOutcome::Refused(PatchError::Rules(RuleError::NameTaken));
    assert_eq!(extended, taken, "the name that it has now");
}

/// The owner may be gone by then, and its text with it.
async fn a_patch_that_is_refused_leaves_no_owner_behind<E: Engine>() {
    let place = Place::<E>::new().await;
    let store = place.some_store().await;
    insert(&store, &record(1)).await;
    let owners = async || place.run("SELECT count(*) FROM {name}.keyfob_owners").await;
    let outdated = UpdateOutcome::Refused(PatchError::Outdated);
    assert_eq!(store.update(id(1), &extend()).await.unwrap(), outdated);
    assert_eq!(owners().await, Some(0));
    assert_eq!(store.update(id(2), &extend()).await.unwrap(), UpdateOutcome::NotFound);
    assert_eq!(owners().await, Some(0));
}
