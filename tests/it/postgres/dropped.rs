use std::future::Future;

use futures_util::future::{Either, select};
use keyfob::store::{
    PostgresStore, StoreError, TokenStore,
    contract::{InsertRules, Use},
};
use sqlx::{Connection, Executor};

use super::{Schema, answer, at, id, insert, record};
use crate::support::store_ext::StoreExt;

impl Schema {
    /// Drops a step while the server keeps it waiting, be it that it prepares a statement or runs one.
    async fn dropped_midway<T>(&self, step: impl Future<Output = T>, lock: &str) {
        let mut locking = self.connection().await;
        let mut held = locking.begin().await.unwrap();
        held.execute(self.named(lock)).await.unwrap();
        let (step, waits) = (Box::pin(step), Box::pin(self.waits()));
        match select(step, waits).await {
            Either::Left(_) => panic!("it does not wait"),
            Either::Right((_, step)) => drop(step),
        }
        held.rollback().await.unwrap();
    }

    /// Waits until no connection of the pool is in a transaction.
    async fn comes_to_rest(&self) {
        let open = "SELECT count(*)::text FROM pg_stat_activity
            WHERE application_name = '{}' AND xact_start IS NOT NULL";
        answer(async || (self.text(open).await.as_deref() == Some("0")).then_some(())).await;
    }
}

const PREPARING: &str = "LOCK TABLE {tokens}";
const RUNNING: &str = "SELECT id FROM {tokens} FOR UPDATE";
/// What was written in a transaction stands in the way of a lock of the tokens, but not of this one.
const OWNERS: &str = "LOCK TABLE {owners}";

#[tokio::test]
async fn after_a_dropped_step_the_pool_answers_what_it_is_asked_and_nothing_is_left_open() {
    let schema = Schema::new();
    let store = schema.store_with(&[]).await;
    for number in 1..=2 {
        insert(&store, &record(number)).await;
    }
    let uses = [1, 2].map(|number| Use::new(id(number), at(2_000)));
    let rules = InsertRules { unique_name: true, limit_per_owner: Some(1), ..InsertRules::none() };
    for _ in 0..3 {
        schema.dropped_midway(store.one(id(1)), PREPARING).await;
        assert_eq!(store.one(id(2)).await.unwrap().unwrap().id, id(2));
        schema.comes_to_rest().await;
        schema.dropped_midway(store.insert(&record(3), &rules), PREPARING).await;
        schema.comes_to_rest().await;
        assert!(store.one(id(3)).await.unwrap().is_none());
        schema.dropped_midway(store.record_uses(&uses), RUNNING).await;
        schema.comes_to_rest().await;
        let found = store.one(id(2)).await.unwrap().unwrap();
        assert_eq!((found.id, found.last_used_at), (id(2), None));
        schema.dropped_midway(store.rekey(id(1), &found.digest, &found.digest), RUNNING).await;
        assert_eq!(store.one(id(2)).await.unwrap().unwrap().id, id(2));
        schema.comes_to_rest().await;
    }
}

/// The server does not notice that nobody waits any more. What it has locked for the step would be in the way of
/// others.
#[tokio::test]
async fn a_dropped_step_does_not_wait_for_a_lock_without_end() {
    let schema = Schema::new();
    let store = schema.store_with(&[]).await;
    for number in 1..=2 {
        insert(&store, &record(number)).await;
    }
    let mut locking = schema.connection().await;
    let mut held = locking.begin().await.unwrap();
    let last = "SELECT id FROM {tokens} ORDER BY id DESC LIMIT 1 FOR UPDATE";
    held.execute(schema.named(last)).await.unwrap();
    let uses = [1, 2].map(|number| Use::new(id(number), at(2_000)));
    let (step, waits) = (Box::pin(store.record_uses(&uses)), Box::pin(schema.waits()));
    match select(step, waits).await {
        Either::Left(_) => panic!("it does not wait"),
        Either::Right((_, step)) => drop(step),
    }
    let first = "SELECT id FROM {tokens} ORDER BY id LIMIT 1 FOR UPDATE";
    schema.run(first).await;
    held.rollback().await.unwrap();
}

#[tokio::test]
async fn a_transaction_in_which_a_step_was_dropped_takes_no_other_and_can_be_rolled_back() {
    let schema = Schema::new();
    let pool = schema.pool_with(&[]).await;
    let store = PostgresStore::in_schema(pool.clone(), &schema.name).await.unwrap();
    let rules = InsertRules { unique_name: true, limit_per_owner: None, ..InsertRules::none() };
    let mut transaction = pool.begin().await.unwrap();
    {
        let on = store.on(&mut transaction);
        insert(&on, &record(1)).await;
        schema.dropped_midway(on.insert(&record(2), &rules), OWNERS).await;
        let refused = on.insert(&record(3), &InsertRules::none()).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    }
    transaction.rollback().await.unwrap();
    for number in 1..=3 {
        assert!(store.one(id(number)).await.unwrap().is_none());
    }
}
