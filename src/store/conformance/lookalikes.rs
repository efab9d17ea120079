//! Texts that look alike stay apart: owners, names and keys are compared by bytes.

use super::fixture::*;
use crate::{
    store::{
        KeyCount, Order, TokenStore,
        contract::{Change, InsertOutcome, InsertRules, Patch, Selection},
    },
    token::{IdempotencyKey, PreviousSecret, TokenName},
};

/// Alike to a collation, to a pattern, to a number, or to the eye.
const TWINS: [&str; 24] = [
    "a",
    "A",
    "ä",
    "a\u{308}",
    "ab",
    "ab ",
    "ab  ",
    "a%",
    "a_",
    "a*",
    "a?",
    "ss",
    "ß",
    "i",
    "ı",
    "1",
    "1.0",
    "01",
    "\u{FF11}",
    "fi",
    "\u{FB01}",
    "K",
    "\u{212A}",
    "a\u{200D}",
];

/// Owners that differ only in case, accents, white space or the like have each their own tokens: in pages and counts,
/// under the rules of an insert, and when all of one are revoked or erased.
pub async fn owners_that_look_alike_stay_apart(store: &dyn TokenStore) {
    let base = new_owner();
    let owners = TWINS.map(|text| owner(&format!("{base}{text}")));
    let records = owners.each_ref().map(|owner| named(owner, "first"));
    let others = owners.each_ref().map(|owner| named(owner, "second"));
    for (limit, records) in [(1, &records), (2, &others)] {
        let mut rules = InsertRules::at(at(2_000));
        (rules.unique_name, rules.limit_per_owner) = (true, Some(limit));
        for record in records {
            let outcome = store.insert(record, &rules).await.answered();
            assert_eq!(outcome, InsertOutcome::Inserted, "{} has a place left", record.owner);
        }
    }
    for (first, second) in records.iter().zip(&others) {
        let owner = &first.owner;
        let both = sorted([first.id, second.id]);
        let page = store.list(&query(owner, Order::OLDEST)).await.answered();
        assert_eq!(ids_on(&page), both, "{owner} has two tokens");
        let count = count_of(store, owner).await;
        assert_eq!(count, (2, 0), "{owner} has two tokens");

        let of_these = Selection::Tokens { ids: ids(&records), owner: Some(owner.clone()) };
        for (selection, id) in [(of_these, first.id), (Selection::AllOf(owner.clone()), second.id)]
        {
            let revoked = end(store, &selection, &revocation(at(5_000))).await.answered();
            assert_eq!(revoked, [id], "only what belongs to {owner} is revoked");
        }
    }
    for (first, second) in records.iter().zip(&others) {
        let erased = erase(store, &first.owner).await;
        assert_eq!(sorted(erased), sorted([first.id, second.id]), "only {} is erased", first.owner);
    }
}

/// Names that differ only in case, accents or the like are different names, when inserted and when changed.
pub async fn names_that_look_alike_stay_apart(store: &dyn TokenStore) {
    let owner = new_owner();
    let rules = InsertRules { unique_name: true, ..InsertRules::at(at(2_000)) };
    for name in TWINS.iter().filter_map(|text| TokenName::new(text).ok()) {
        let record = named(&owner, name.as_str());
        let outcome = store.insert(&record, &rules).await.answered();
        assert_eq!(outcome, InsertOutcome::Inserted, "{name:?} is no other's name");
    }
    let other = new_owner();
    let renamed = named(&other, "renamed");
    insert_all(store, &[renamed.clone(), named(&other, "a")]).await;
    for name in TWINS.iter().skip(1).filter_map(|text| TokenName::new(text).ok()) {
        let change = Change { name: Some(name.clone()), ..Change::default() };
        let patch = Patch::Change { expected_expiry: None, change, rules };
        let changed = store.update(renamed.id, &patch).await.updated();
        assert_eq!(changed.name, name, "{name:?} is no other's name");
    }
}

/// Idempotency keys that differ only in case, accents or the like are different keys.
pub async fn idempotency_keys_that_look_alike_stay_apart(store: &dyn TokenStore) {
    let owner = new_owner();
    let records = TWINS.map(|text| {
        let key = IdempotencyKey::new(text).ok();
        with(&plain(&owner), |it| it.rare_mut().idempotency_key = key)
    });
    insert_all(store, &records).await;
    for record in &records {
        let again = with(record, |it| it.id = new_id());
        let outcome = store.insert(&again, &InsertRules::none()).await.answered();
        assert_eq!(outcome, InsertOutcome::AlreadyIssued(record.id));
    }
}

/// Keys of peppers that differ only in case, accents or the like have each their own fingerprint and their own count.
pub async fn pepper_keys_that_look_alike_stay_apart(store: &dyn TokenStore) {
    let base = new_id();
    let keys = TWINS.map(|text| key(&format!("{base}{text}")));
    let owner = new_owner();
    for (i, key) in (0..).zip(&keys) {
        assert_eq!(
            store.key_fingerprint(key, &[i; 32]).await.answered(),
            [i; 32],
            "{key} has no fingerprint yet"
        );
        let previous = PreviousSecret::until(new_digest(Some(key)), at(2));
        let record = with(&rotated_once(&owner), |it| {
            it.digest = new_digest(Some(key));
            it.previous = Some(Box::new(previous));
        });
        insert(store, &record).await;
    }
    let counts = store.count_by_key().await.answered();
    for key in &keys {
        let count: Vec<_> = counts.iter().filter(|it| it.key.as_ref() == Some(key)).collect();
        let expected = KeyCount { key: Some(key.clone()), current: 1, previous: 1 };
        assert_eq!(count, [&expected], "{key} has made one current digest and one previous");
    }
}
