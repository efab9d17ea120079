//! Changes: the given columns of a token that is not revoked, and nothing else.

use std::num::NonZeroU32;

use futures_util::future::{join, join_all};

use super::fixture::*;
use crate::{
    store::{Change, ChangeOutcome, InsertRules, TokenStore},
    token::{Abilities, Metadata, RateLimit, Timestamp, TokenRecord},
};

/// A change to one column, and what the token has to be after it.
type Column = (Change, fn(&mut TokenRecord));

fn new_values() -> Vec<Column> {
    let limit = || RateLimit::new(7, time::Duration::HOUR).ok();
    let none = Change::default;
    vec![
        (Change { name: Some(name("new")), ..none() }, |it| it.name = name("new")),
        (Change { abilities: Some(Abilities::all()), ..none() }, |it| {
            it.abilities = Abilities::all();
        }),
        (Change { expires_at: Some(Some(at(8_000))), ..none() }, |it| {
            it.expires_at = Some(at(8_000));
            it.rare_mut().notices.clear();
        }),
        (Change { not_before: Some(Some(at(7))), ..none() }, |it| it.not_before = Some(at(7))),
        (Change { idle_seconds: Some(NonZeroU32::new(7)), ..none() }, |it| {
            it.idle_seconds = NonZeroU32::new(7);
        }),
        (Change { metadata: Some(metadata(r#"{"b":7}"#)), ..none() }, |it| {
            it.rare_mut().metadata = metadata(r#"{"b":7}"#);
        }),
        (Change { rate_limit: Some(limit()), ..none() }, |it| {
            it.rare_mut().rate_limit = RateLimit::new(7, time::Duration::HOUR).ok();
        }),
        (Change { allowed_addresses: Some(Some(addresses(&["::7/128"]))), ..none() }, |it| {
            it.rare_mut().allowed_addresses = Some(addresses(&["::7/128"]));
        }),
    ]
}

fn no_values() -> Vec<Column> {
    let none = Change::default;
    vec![
        (Change { abilities: Some(Abilities::none()), ..none() }, |it| {
            it.abilities = Abilities::none();
        }),
        (Change { expires_at: Some(None), ..none() }, |it| {
            it.expires_at = None;
            it.rare_mut().notices.clear();
        }),
        (Change { not_before: Some(None), ..none() }, |it| it.not_before = None),
        (Change { idle_seconds: Some(None), ..none() }, |it| it.idle_seconds = None),
        (Change { metadata: Some(Metadata::default()), ..none() }, |it| {
            it.rare_mut().metadata = Metadata::default();
        }),
        (Change { rate_limit: Some(None), ..none() }, |it| it.rare_mut().rate_limit = None),
        (Change { allowed_addresses: Some(None), ..none() }, |it| {
            it.rare_mut().allowed_addresses = None;
        }),
    ]
}

/// A change of one column, to a new value or to none, changes this column and no other, of this token and no other.
pub async fn a_change_changes_its_columns_and_no_other(store: &dyn TokenStore) {
    let (bystander, stranger) = (full(&new_owner()), full(&new_owner()));
    insert_all(store, &[bystander.clone(), stranger.clone()]).await;
    for (change, expected) in new_values().into_iter().chain(no_values()) {
        for record in [full(&bystander.owner), plain(&bystander.owner)] {
            insert(store, &record).await;
            let changed = store.change(record.id, record.expires_at, &change).await.changed();
            let expected = with(&record, expected);
            assert_same(&changed, &expected, "a change answers the token as it is now");
            assert_stored(store, &expected, "a change changes its columns and no other").await;
        }
    }
    assert_stored(store, &bystander, "another token of the owner stays as it is").await;
    assert_stored(store, &stranger, "a token of another owner stays as it is").await;
}

/// A change of all columns at once changes them all, and one of none changes nothing.
pub async fn a_change_may_have_all_columns_or_none(store: &dyn TokenStore) {
    let record = full(&new_owner());
    insert(store, &record).await;
    let same = store.change(record.id, record.expires_at, &Change::default()).await.changed();
    assert_same(&same, &record, "a change of no column answers the token");
    assert_stored(store, &record, "a change of no column changes nothing").await;

    let mut all = Change::default();
    let mut expected = record.clone();
    for (one, change) in new_values() {
        change(&mut expected);
        all = Change {
            name: one.name.or(all.name),
            unique_name: true,
            abilities: one.abilities.or(all.abilities),
            expires_at: one.expires_at.or(all.expires_at),
            not_before: one.not_before.or(all.not_before),
            idle_seconds: one.idle_seconds.or(all.idle_seconds),
            metadata: one.metadata.or(all.metadata),
            rate_limit: one.rate_limit.or(all.rate_limit),
            allowed_addresses: one.allowed_addresses.or(all.allowed_addresses),
        };
    }
    let changed = store.change(record.id, record.expires_at, &all).await.changed();
    assert_same(&changed, &expected, "a change of all columns answers the token as it is now");
    assert_stored(store, &expected, "a change of all columns changes them all").await;
}

/// A change is refused where the stored expiry is not the expected one.
pub async fn a_change_on_an_outdated_expiry_is_refused(store: &dyn TokenStore) {
    let expiring = full(&new_owner());
    let lasting = plain(&new_owner());
    insert_all(store, &[expiring.clone(), lasting.clone()]).await;
    for (change, _) in new_values().into_iter().chain(no_values()) {
        for (record, wrong) in [
            (&expiring, None),
            (&expiring, Some(at(8_999))),
            (&expiring, Some(at(9_001))),
            (&lasting, Some(at(0))),
            (&lasting, Some(Timestamp::MAX)),
        ] {
            let outcome = store.change(record.id, wrong, &change).await.answered();
            assert_eq!(outcome, ChangeOutcome::Outdated, "{wrong:?} is not its expiry");
            assert_stored(store, record, "a change that is refused changes nothing").await;
        }
    }
}

/// A revoked token can't be changed, and an unknown one isn't there.
pub async fn a_revoked_or_unknown_token_is_not_changed(store: &dyn TokenStore) {
    let record = revoked(full(&new_owner()), at(1_800));
    insert(store, &record).await;
    for (change, _) in new_values().into_iter().chain(no_values()) {
        let outcome = store.change(record.id, record.expires_at, &change).await.answered();
        assert_eq!(outcome, ChangeOutcome::Revoked);
        let outcome = store.change(new_id(), None, &change).await.answered();
        assert_eq!(outcome, ChangeOutcome::NotFound);
    }
    assert_stored(store, &record, "a revoked token stays as it is").await;
}

/// A token that has expired, is suspended or is not valid yet can be changed: a store does not judge.
pub async fn an_expired_or_suspended_token_can_be_changed(store: &dyn TokenStore) {
    for instant in [Timestamp::MIN, Timestamp::MAX] {
        let record = with(&full(&new_owner()), |it| {
            it.expires_at = Some(Timestamp::MIN);
            it.not_before = Some(instant);
            it.suspension = Some(Box::new(crate::token::Suspension::new(instant)));
        });
        insert(store, &record).await;
        let change = Change { name: Some(name("new")), ..Change::default() };
        store.change(record.id, record.expires_at, &change).await.changed();
    }
}

/// A new name that another token of the owner has is refused where names are unique, with all of the change; an
/// expired token keeps its name.
pub async fn a_taken_name_refuses_the_change(store: &dyn TokenStore) {
    let owner = new_owner();
    let record = with(&full(&owner), |it| it.name = name("mine"));
    let expired = with(&named(&owner, "expired"), |it| it.expires_at = Some(at(1)));
    insert_all(store, &[named(&owner, "taken"), expired, record.clone()]).await;
    for taken in ["taken", "expired"] {
        for (change, _) in new_values() {
            let change = Change { name: Some(name(taken)), unique_name: true, ..change };
            let outcome = store.change(record.id, record.expires_at, &change).await.answered();
            assert_eq!(outcome, ChangeOutcome::NameTaken, "the name is {taken}");
            assert_stored(store, &record, "a change that is refused changes nothing").await;
        }
    }
}

/// A new name is good where it is the token's own, a revoked token's or another owner's, or where names may repeat;
/// a change of other columns does not ask for the name.
pub async fn a_name_that_is_free_is_taken_by_a_change(store: &dyn TokenStore) {
    let owner = new_owner();
    let record = named(&owner, "mine");
    let gone = named(&owner, "gone");
    insert_all(store, &[record.clone(), gone.clone(), named(&new_owner(), "elsewhere")]).await;
    insert(store, &named(&owner, "twice")).await;
    revoke(store, gone.id).await;
    for (text, unique_name) in
        [("mine", true), ("gone", true), ("elsewhere", true), ("twice", false)]
    {
        let change = Change { name: Some(name(text)), unique_name, ..Change::default() };
        let changed = store.change(record.id, None, &change).await.changed();
        assert_eq!(changed.name, name(text));
    }
    let change = Change { unique_name: true, not_before: Some(Some(at(7))), ..Change::default() };
    store.change(record.id, None, &change).await.changed();
    let rules = InsertRules { unique_name: true, limit_per_owner: None };
    let outcome = store.insert(&named(&owner, "mine"), rules).await.answered();
    assert_eq!(outcome, crate::store::InsertOutcome::Inserted, "a name that was given up is free");
}

/// Of any number of concurrent changes and inserts with one name, one is done where names are unique.
pub async fn concurrent_changes_to_one_name_let_one_in(store: &dyn TokenStore) {
    let owner = new_owner();
    let records: Vec<_> = (0..8).map(|i| named(&owner, &format!("n{i}"))).collect();
    insert_all(store, &records).await;
    let change = Change { name: Some(name("ci")), unique_name: true, ..Change::default() };
    let new = named(&owner, "ci");
    let rules = InsertRules { unique_name: true, limit_per_owner: None };
    let changes = join_all(records.iter().map(|record| store.change(record.id, None, &change)));
    let (changes, insert) = join(changes, store.insert(&new, rules)).await;
    let (_, _) = (changes.into_iter().map(Answered::answered).count(), insert.answered());
    let there = owned_by(store, &owner).await;
    assert_eq!(there.iter().filter(|it| it.name == new.name).count(), 1, "one has the name");
}

/// A new expiry forgets the notices that were claimed for the old one; the same expiry keeps them.
pub async fn a_new_expiry_forgets_its_notices(store: &dyn TokenStore) {
    for (expires_at, forgets) in
        [(Some(at(9_000)), false), (Some(at(9_001)), true), (Some(at(8_999)), true), (None, true)]
    {
        let record = full(&new_owner());
        insert(store, &record).await;
        let change = Change { expires_at: Some(expires_at), ..Change::default() };
        store.change(record.id, record.expires_at, &change).await.changed();
        let rare = read(store, record.id).await.rare.clone().unwrap_or_default();
        let none = rare.notices.is_empty();
        assert_eq!(none, forgets, "from 9000 to {expires_at:?}, are the notices forgotten?");
    }
}

/// Concurrent changes of different columns are all done: none writes back what it read before the other.
pub async fn concurrent_changes_of_different_columns_all_stay(store: &dyn TokenStore) {
    let record = plain(&new_owner());
    insert(store, &record).await;
    // Each change of an expiry makes the others outdated; it is not among these.
    let columns: Vec<_> =
        new_values().into_iter().filter(|(change, _)| change.expires_at.is_none()).collect();
    let changes = columns.iter().map(|(change, _)| store.change(record.id, None, change));
    for outcome in join_all(changes).await {
        outcome.changed();
    }
    let expected = with(&record, |it| columns.iter().for_each(|(_, change)| change(it)));
    assert_stored(store, &expected, "all of the concurrent changes are done").await;
}
