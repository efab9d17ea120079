//! The rules for new names and later expiries, which a patch is decided by as an insert is.

use futures_util::future::{join, join_all};

use super::{fixture::*, patch::changes};
use crate::{
    store::{
        TokenStore,
        contract::{
            Change, Expected, InsertOutcome, InsertRules, Patch, PatchError, Rotation, RuleError,
            UpdateOutcome,
        },
    },
    token::{Suspension, TokenRecord},
};

fn unique() -> InsertRules {
    InsertRules { unique_name: true, ..InsertRules::at(at(2_000)) }
}

fn limit(limit: u32) -> InsertRules {
    InsertRules { limit_per_owner: Some(limit), ..InsertRules::at(at(2_000)) }
}

fn change_under(rules: InsertRules, record: &TokenRecord, change: Change) -> Patch {
    Patch::Change { expected_expiry: record.expires_at, change, rules }
}

fn rename(to: &str) -> Change {
    Change { name: Some(name(to)), ..Change::default() }
}

/// A new name that another living token of the owner has is refused where names are unique, with all of the change.
/// A suspended token is living, and so is one that is not valid yet.
pub async fn a_taken_name_refuses_the_change(store: &dyn TokenStore) {
    let owner = new_owner();
    let record = with(&full(&owner), |it| it.name = name("mine"));
    let suspended = with(&named(&owner, "suspended"), |it| {
        it.suspension = Some(Box::new(Suspension::new(at(1_000))));
    });
    let early = with(&named(&owner, "early"), |it| it.not_before = Some(at(9_000)));
    let expiring = with(&named(&owner, "expiring"), |it| it.expires_at = Some(at(2_001)));
    insert_all(store, &[named(&owner, "taken"), suspended, early, expiring, record.clone()]).await;
    for taken in ["taken", "suspended", "early", "expiring"] {
        for change in changes() {
            let change = Change { name: Some(name(taken)), ..change };
            let patch = change_under(unique(), &record, change);
            let outcome = store.update(record.id, &patch).await.answered();
            let refused = PatchError::Rules(RuleError::NameTaken);
            assert_eq!(outcome, UpdateOutcome::Refused(refused), "the name is {taken}");
        }
        assert_stored(store, &record, "a change that is refused changes nothing").await;
    }
}

/// A new name is free where it is the token's own, a revoked or expired token's, or another owner's, or where names may
/// repeat. A change of other fields does not ask for the name.
pub async fn a_name_that_is_free_is_taken_by_a_change(store: &dyn TokenStore) {
    let owner = new_owner();
    let record = named(&owner, "mine");
    let gone = named(&owner, "gone");
    let expired = with(&named(&owner, "expired"), |it| it.expires_at = Some(at(2_000)));
    let elsewhere = named(&new_owner(), "elsewhere");
    insert_all(store, &[record.clone(), gone.clone(), expired, elsewhere]).await;
    insert(store, &named(&owner, "twice")).await;
    revoke(store, gone.id).await;
    for (text, rules) in [
        ("mine", unique()),
        ("gone", unique()),
        ("expired", unique()),
        ("elsewhere", unique()),
        ("twice", InsertRules::at(at(2_000))),
    ] {
        let patch = change_under(rules, &record, rename(text));
        assert_eq!(store.update(record.id, &patch).await.updated().name, name(text));
    }
    let other = Change { not_before: Some(Some(at(7))), ..Change::default() };
    store.update(record.id, &change_under(unique(), &record, other)).await.updated();
    let outcome = store.insert(&named(&owner, "mine"), &unique()).await.answered();
    assert_eq!(outcome, InsertOutcome::Inserted, "a name that was given up is free");
}

/// Of any number of concurrent changes and inserts with one name, one is done where names are unique.
pub async fn concurrent_changes_to_one_name_let_one_in(store: &dyn TokenStore) {
    let owner = new_owner();
    let records: Vec<_> = (0..8).map(|i| named(&owner, &format!("n{i}"))).collect();
    insert_all(store, &records).await;
    let patch = change_under(unique(), &records[0], rename("ci"));
    let new = named(&owner, "ci");
    let rules = unique();
    let changes = join_all(records.iter().map(|record| store.update(record.id, &patch)));
    let (changes, insert) = join(changes, store.insert(&new, &rules)).await;
    let (_, _) = (changes.into_iter().map(Answered::answered).count(), insert.answered());
    let there = owned_by(store, &owner).await;
    assert_eq!(there.iter().filter(|it| it.name == new.name).count(), 1, "one has the name");
}

/// A later expiry is decided as an insert is: the token may have been expired for an insert that came meanwhile.
/// Whatever else is changed, and an earlier expiry, is not.
pub async fn a_later_expiry_is_decided_as_an_insert(store: &dyn TokenStore) {
    let refused = |by| UpdateOutcome::Refused(PatchError::Rules(by));
    for (rules, by) in [(unique(), RuleError::NameTaken), (limit(1), RuleError::LimitReached)] {
        let record = with(&plain(&new_owner()), |it| it.expires_at = Some(at(2_001)));
        insert(store, &record).await;
        let later = InsertRules { at: at(2_001), ..rules };
        let outcome = store.insert(&plain(&record.owner), &later).await.answered();
        assert_eq!(outcome, InsertOutcome::Inserted, "an expired token does not count");
        for expires_at in [Some(at(2_002)), None] {
            let change = Change { expires_at: Some(expires_at), ..Change::default() };
            let patch = change_under(rules, &record, change);
            assert_eq!(store.update(record.id, &patch).await.answered(), refused(by));
            let rotation = Rotation { at: at(2_000), expires_at, ..rotation_of(&record) };
            let patch = Patch::Rotate { expected: Expected::of(&record), rotation, rules };
            assert_eq!(store.update(record.id, &patch).await.answered(), refused(by));
        }
        assert_stored(store, &record, "what is refused changes nothing").await;

        let earlier = Change { expires_at: Some(Some(at(2_001))), ..rename("other") };
        let patch = change_under(rules, &record, earlier);
        store.update(record.id, &patch).await.updated();
        // The limit counts the others, and the name is no longer the same.
        let more = InsertRules { unique_name: true, ..limit(2) };
        let later = Change { expires_at: Some(None), ..Change::default() };
        store.update(record.id, &change_under(more, &record, later)).await.updated();
    }
}

/// Of an insert and a concurrent extension of a token that is expired for the insert, one is done.
pub async fn an_insert_beside_an_extension_lets_one_in(store: &dyn TokenStore) {
    for rules in [unique(), limit(1)] {
        for round in 0..8 {
            let record = with(&plain(&new_owner()), |it| it.expires_at = Some(at(2_001)));
            insert(store, &record).await;
            let (new, later) = (plain(&record.owner), InsertRules { at: at(2_001), ..rules });
            let change = Change { expires_at: Some(None), ..Change::default() };
            let patch = change_under(rules, &record, change);
            let (update, insert) = if round % 2 == 0 {
                join(store.update(record.id, &patch), store.insert(&new, &later)).await
            } else {
                let insert = store.insert(&new, &later);
                let (insert, update) = join(insert, store.update(record.id, &patch)).await;
                (update, insert)
            };
            let extended = matches!(update.answered(), UpdateOutcome::Updated(_));
            let inserted = insert.answered() == InsertOutcome::Inserted;
            assert!(extended != inserted, "one of the two: {extended}, {inserted}");
        }
    }
}
