//! Inserts keep to their rules, alone and all at once.

use futures_util::future::join_all;

use super::fixture::*;
use crate::{
    store::{
        TokenStore,
        contract::{InsertOutcome, InsertRules},
    },
    token::Suspension,
};

fn unique() -> InsertRules {
    InsertRules { unique_name: true, ..InsertRules::at(at(2_000)) }
}

fn limit(limit: u32) -> InsertRules {
    InsertRules { limit_per_owner: Some(limit), ..InsertRules::at(at(2_000)) }
}

/// A token whose id is taken is not added, and the one that is there stays as it is.
pub async fn an_insert_never_replaces_a_token(store: &dyn TokenStore) {
    let record = full(&new_owner());
    insert(store, &record).await;
    for owner in [record.owner.clone(), new_owner()] {
        let other = with(&named(&owner, "other"), |it| it.id = record.id);
        let outcome = store.insert(&other, &InsertRules::none()).await.answered();
        assert_eq!(outcome, InsertOutcome::IdTaken, "an id is taken, whoever the owner is");
    }
    assert_stored(store, &record, "an insert that was refused changes nothing").await;
}

/// Of any number of concurrent inserts with one id, one gets in, whole.
pub async fn concurrent_inserts_of_one_id_let_one_in(store: &dyn TokenStore) {
    let owner = new_owner();
    let records: Vec<_> = (0..8).map(|i| named(&owner, &format!("n{i}"))).collect();
    let id = records[0].id;
    let records: Vec<_> = records.iter().map(|it| with(it, |it| it.id = id)).collect();
    let rules = InsertRules::none();
    let inserts = records.iter().map(|record| store.insert(record, &rules));
    let outcomes = join_all(inserts).await.into_iter().map(Answered::answered);
    let won: Vec<_> = outcomes.zip(&records).filter(|it| it.0 == InsertOutcome::Inserted).collect();
    assert_eq!(won.len(), 1, "one of the inserts with the same id gets in");
    assert_stored(store, won[0].1, "the token that got in is there whole").await;
}

/// A name that a token of the owner has is refused where names are unique, and no token is added.
pub async fn a_taken_name_is_refused(store: &dyn TokenStore) {
    let owner = new_owner();
    insert(store, &named(&owner, "ci")).await;
    let twin = named(&owner, "ci");
    assert_eq!(store.insert(&twin, &unique()).await.answered(), InsertOutcome::NameTaken);
    assert!(find(store, twin.id).await.is_none(), "a refused token is not there");
    let other = named(&owner, "ci2");
    assert_eq!(store.insert(&other, &unique()).await.answered(), InsertOutcome::Inserted);
}

/// Names may repeat where the rule is off, and for another owner.
pub async fn names_may_repeat_where_no_rule_says_otherwise(store: &dyn TokenStore) {
    let owner = new_owner();
    let first = named(&owner, "ci");
    assert_eq!(store.insert(&first, &unique()).await.answered(), InsertOutcome::Inserted);
    insert(store, &named(&owner, "ci")).await;
    let elsewhere = named(&new_owner(), "ci");
    assert_eq!(store.insert(&elsewhere, &unique()).await.answered(), InsertOutcome::Inserted);
}

/// A living token keeps its name: one that is suspended, not valid yet, or expires after the instant of the insert.
pub async fn a_living_token_keeps_its_name(store: &dyn TokenStore) {
    let owner = new_owner();
    let suspended = Suspension::new(at(1_000));
    for record in [
        with(&named(&owner, "suspended"), |it| it.suspension = Some(Box::new(suspended.clone()))),
        with(&named(&owner, "early"), |it| it.not_before = Some(at(9_000))),
        with(&named(&owner, "expiring"), |it| it.expires_at = Some(at(2_001))),
    ] {
        insert(store, &record).await;
        let twin = named(&owner, record.name.as_str());
        let outcome = store.insert(&twin, &unique()).await.answered();
        assert_eq!(outcome, InsertOutcome::NameTaken, "the name of a token that is {}", twin.name);
    }
}

/// A token that is revoked, or expired at the instant of the insert, frees its name.
pub async fn a_token_that_has_ended_frees_its_name(store: &dyn TokenStore) {
    let owner = new_owner();
    let first = named(&owner, "ci");
    let expired = with(&named(&owner, "ci"), |it| it.expires_at = Some(at(2_000)));
    insert_all(store, &[first.clone(), expired]).await;
    revoke(store, first.id).await;
    for (record, outcome) in [
        (named(&owner, "ci"), InsertOutcome::Inserted),
        (named(&owner, "ci"), InsertOutcome::NameTaken),
    ] {
        assert_eq!(store.insert(&record, &unique()).await.answered(), outcome);
    }
}

/// Of any number of concurrent inserts with one name, one gets in where names are unique.
pub async fn concurrent_inserts_of_one_name_let_one_in(store: &dyn TokenStore) {
    let owner = new_owner();
    let records: Vec<_> = (0..16).map(|_| named(&owner, "ci")).collect();
    let rules = unique();
    let outcomes = join_all(records.iter().map(|record| store.insert(record, &rules))).await;
    assert_let_in(outcomes.into_iter().map(Answered::answered), 1, InsertOutcome::NameTaken);
    assert_eq!(owned_by(store, &owner).await.len(), 1, "what was refused is not there");
}

/// An owner who has as many tokens as the limit says gets no other, and nobody else is held to that.
pub async fn the_limit_is_kept_for_each_owner(store: &dyn TokenStore) {
    let owner = new_owner();
    for outcome in [InsertOutcome::Inserted, InsertOutcome::Inserted, InsertOutcome::LimitReached] {
        let record = plain(&owner);
        assert_eq!(store.insert(&record, &limit(2)).await.answered(), outcome);
        let found = find(store, record.id).await;
        assert_eq!(found.is_some(), outcome == InsertOutcome::Inserted);
    }
    let elsewhere = plain(&new_owner());
    assert_eq!(store.insert(&elsewhere, &limit(1)).await.answered(), InsertOutcome::Inserted);
    assert_eq!(store.insert(&plain(&owner), &limit(3)).await.answered(), InsertOutcome::Inserted);
    let none = store.insert(&plain(&new_owner()), &limit(0)).await.answered();
    assert_eq!(none, InsertOutcome::LimitReached, "a limit of zero lets nothing in");
    insert(store, &plain(&owner)).await;
}

/// The limit counts living tokens: those that are neither revoked nor expired at the instant of the insert.
pub async fn the_limit_counts_living_tokens(store: &dyn TokenStore) {
    let owner = new_owner();
    let expired = with(&plain(&owner), |it| it.expires_at = Some(at(2_000)));
    let living = with(&plain(&owner), |it| it.expires_at = Some(at(2_001)));
    insert_all(store, &[expired, living.clone()]).await;
    let wanted = plain(&owner);
    assert_eq!(store.insert(&wanted, &limit(1)).await.answered(), InsertOutcome::LimitReached);
    revoke(store, living.id).await;
    assert_eq!(store.insert(&wanted, &limit(1)).await.answered(), InsertOutcome::Inserted);
}

/// Of any number of concurrent inserts, exactly as many get in as the limit says.
pub async fn concurrent_inserts_reach_the_limit_exactly(store: &dyn TokenStore) {
    for _ in 0..3 {
        let owner = new_owner();
        insert_all(store, &[plain(&owner), plain(&owner), plain(&owner)]).await;
        let records: Vec<_> = (0..40).map(|_| plain(&owner)).collect();
        let rules = limit(10);
        let outcomes = join_all(records.iter().map(|record| store.insert(record, &rules))).await;
        assert_let_in(outcomes.into_iter().map(Answered::answered), 7, InsertOutcome::LimitReached);
        let count = count_of(store, &owner).await;
        assert_eq!(count, (10, 0), "as the limit says");
    }
}

/// A second insert of the owner with the same idempotency key adds nothing and is told the first token, before any
/// other rule and whatever became of that token.
pub async fn an_idempotency_key_is_answered_with_the_first_token(store: &dyn TokenStore) {
    let owner = new_owner();
    let first = full(&owner);
    insert(store, &first).await;
    for state in ["there", "revoked"] {
        for rules in [InsertRules { limit_per_owner: Some(1), ..unique() }, InsertRules::none()] {
            let second = with(&full(&owner), |it| {
                it.rare_mut().idempotency_key = first.idempotency_key().cloned();
            });
            let outcome = store.insert(&second, &rules).await.answered();
            assert_eq!(outcome, InsertOutcome::AlreadyIssued(first.id), "the first is {state}");
            assert!(find(store, second.id).await.is_none());
        }
        if state == "there" {
            assert_stored(store, &first, "a repeated insert changes nothing").await;
            revoke(store, first.id).await;
        }
    }
}

/// An idempotency key is its owner's: somebody else may have the same, and none is no key.
pub async fn an_idempotency_key_belongs_to_its_owner(store: &dyn TokenStore) {
    let first = full(&new_owner());
    let other = with(&full(&new_owner()), |it| {
        it.rare_mut().idempotency_key = first.idempotency_key().cloned();
    });
    insert_all(store, &[first.clone(), other, full(&first.owner)]).await;
    insert_all(store, &[plain(&first.owner), plain(&first.owner)]).await;
}

/// Of any number of concurrent inserts with one idempotency key, one gets in, and the others are told its id.
pub async fn concurrent_inserts_of_one_idempotency_key_let_one_in(store: &dyn TokenStore) {
    let owner = new_owner();
    let key = new_idempotency_key();
    let records: Vec<_> = (0..16)
        .map(|_| with(&plain(&owner), |it| it.rare_mut().idempotency_key = Some(key.clone())))
        .collect();
    let rules = InsertRules { unique_name: true, ..limit(1) };
    let outcomes = join_all(records.iter().map(|record| store.insert(record, &rules))).await;
    let there = owned_by(store, &owner).await;
    assert_eq!(there.len(), 1, "one of the inserts with the same key gets in");
    let outcomes = outcomes.into_iter().map(Answered::answered);
    assert_let_in(outcomes, 1, InsertOutcome::AlreadyIssued(there[0].id));
}

/// An owner's key, name and place are free again once the token is deleted.
pub async fn a_deleted_token_leaves_nothing_behind(store: &dyn TokenStore) {
    let record = full(&new_owner());
    let rules = InsertRules { unique_name: true, ..limit(1) };
    for _ in 0..2 {
        assert_eq!(store.insert(&record, &rules).await.answered(), InsertOutcome::Inserted);
        assert_eq!(erase(store, &record.owner).await, [record.id]);
    }
}

#[track_caller]
fn assert_let_in(
    outcomes: impl Iterator<Item = InsertOutcome>,
    count: usize,
    refusal: InsertOutcome,
) {
    let (in_, refused): (Vec<_>, Vec<_>) =
        outcomes.partition(|outcome| *outcome == InsertOutcome::Inserted);
    assert_eq!(in_.len(), count, "so many of the concurrent inserts get in");
    assert!(refused.iter().all(|outcome| *outcome == refusal), "the others are told: {refused:?}");
}
