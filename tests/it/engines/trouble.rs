//! What goes wrong between a store and its server, and how it is told.

use std::time::Duration;

use keyfob::{
    Timestamp, TokenId,
    store::{
        StoreError, TokenStore,
        contract::{InsertRules, Use},
    },
};

use super::*;
use crate::support::store_ext::StoreExt;
use crate::support::{database::at, eventually};

on_every_engine! {
    a_lock_that_is_not_given_up_is_busy_and_a_lookup_does_not_mind
    a_connection_that_is_ended_is_unavailable_and_the_next_one_is_good
    a_statement_that_is_interrupted_is_unavailable
    a_database_that_can_only_be_read_is_unavailable_and_still_read
    a_pool_that_is_closed_or_has_no_free_connection_is_unavailable
    tables_that_are_gone_are_faulty
    pruning_spares_a_token_whose_expiry_is_put_off_while_it_waits
}

const USE: Use = Use::new(TokenId::from_u128(1), Timestamp::MAX);
const LOCK: &str = "SELECT 1 FROM keyfob_tokens FOR UPDATE";

/// A place with one token, and a store in it whose sessions begin with a statement.
async fn one_token<E: Engine>(statement: &'static str) -> (Place<E>, E::Store) {
    let place = Place::<E>::new().await;
    insert(&place.some_store().await, &record(1)).await;
    let store = place.store(place.pool_that_says(statement).await).await;
    (place, store)
}

fn is_unavailable<T>(outcome: &Result<T, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable(_)))
}

async fn a_lock_that_is_not_given_up_is_busy_and_a_lookup_does_not_mind<E: Engine>() {
    let (place, store) = one_token::<E>(E::IMPATIENT).await;
    let mut other = place.connection().await;
    E::execute(&mut other, "BEGIN").await;
    E::execute(&mut other, LOCK).await;
    let used = store.record_uses(&[USE]).await;
    assert!(matches!(used, Err(StoreError::Busy(_))), "{used:?}");
    assert!(store.one(id(1)).await.unwrap().is_some());
    E::execute(&mut other, "ROLLBACK").await;
    store.record_uses(&[USE]).await.unwrap();
}

async fn a_connection_that_is_ended_is_unavailable_and_the_next_one_is_good<E: Engine>() {
    let (place, store) = one_token::<E>("SELECT 1").await;
    let mut other = place.connection().await;
    E::execute(&mut other, "BEGIN").await;
    E::execute(&mut other, LOCK).await;
    let waits = eventually(async || place.run(E::COUNT_WAITING).await == Some(1));
    let end = async {
        waits.await;
        place.run(E::END_WAITING).await;
    };
    let one_use = [USE];
    let (used, ()) = tokio::join!(store.record_uses(&one_use), end);
    assert!(is_unavailable(&used), "{used:?}");
    assert!(store.one(id(1)).await.unwrap().is_some());
    E::execute(&mut other, "ROLLBACK").await;
    store.record_uses(&[USE]).await.unwrap();
}

async fn a_statement_that_is_interrupted_is_unavailable<E: Engine>() {
    let (place, store) = one_token::<E>(E::HURRIED).await;
    let mut other = place.connection().await;
    E::execute(&mut other, "BEGIN").await;
    E::execute(&mut other, LOCK).await;
    let used = store.record_uses(&[USE]).await;
    assert!(is_unavailable(&used), "{used:?}");
    assert!(store.one(id(1)).await.unwrap().is_some());
}

async fn a_database_that_can_only_be_read_is_unavailable_and_still_read<E: Engine>() {
    let (_place, store) = one_token::<E>(E::ONLY_READS).await;
    let used = store.record_uses(&[USE]).await;
    assert!(is_unavailable(&used), "{used:?}");
    let inserted = store.insert(&record(2), &InsertRules::none()).await;
    assert!(is_unavailable(&inserted), "{inserted:?}");
    assert!(store.one(id(1)).await.unwrap().is_some());
}

async fn a_pool_that_is_closed_or_has_no_free_connection_is_unavailable<E: Engine>() {
    let place = Place::<E>::new().await;
    let pool = place.pool_that_waits(Duration::from_secs(8)).await;
    let store = place.store(pool.clone()).await;
    let held = pool.acquire().await.unwrap();
    assert!(is_unavailable(&store.one(id(1)).await));
    drop(held);
    eventually(async || matches!(store.one(id(1)).await, Ok(None))).await;
    pool.close().await;
    assert!(is_unavailable(&store.one(id(1)).await));
}

async fn pruning_spares_a_token_whose_expiry_is_put_off_while_it_waits<E: Engine>() {
    let place = Place::<E>::new().await;
    let store = place.some_store().await;
    let mut ended = record(1);
    ended.expires_at = Some(at(2_000));
    insert(&store, &ended).await;
    let mut other = place.connection().await;
    E::execute(&mut other, "BEGIN").await;
    E::execute(&mut other, "UPDATE keyfob_tokens SET expires_at = 9000").await;
    let waits = eventually(async || place.run(E::COUNT_WAITING).await == Some(1));
    let put_off = async {
        waits.await;
        E::execute(&mut other, "COMMIT").await;
    };
    let (pruned, ()) = tokio::join!(store.prune(at(3_000), 1_000), put_off);
    assert_eq!(pruned.unwrap(), 0);
    assert_eq!(store.one(id(1)).await.unwrap().unwrap().expires_at, Some(at(9_000)));
}

async fn tables_that_are_gone_are_faulty<E: Engine>() {
    let place = Place::<E>::new().await;
    let store = place.some_store().await;
    place.run("DROP TABLE {name}.keyfob_tokens CASCADE").await;
    let found = store.one(id(1)).await;
    assert!(matches!(found, Err(StoreError::Faulty(_))), "{found:?}");
}
