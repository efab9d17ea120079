use std::future::Future;

use futures_util::future::{Either, select};
use keyfob::store::{
    MySqlStore, StoreError, TokenStore,
    contract::{InsertOutcome, InsertRules, Use},
};
use sqlx::{AssertSqlSafe, Connection, Executor, mysql::MySqlPoolOptions};

use super::{Tables, answer, at, id, insert, record};
use crate::support::store_ext::StoreExt;

impl Tables {
    /// Drops a step while the server keeps it waiting, be it that it prepares a statement or runs one.
    async fn dropped_midway<T>(&self, step: impl Future<Output = T>, lock: &str) {
        let mut locking = Self::connection().await;
        locking.execute(self.named(lock)).await.unwrap();
        let waiting = "SELECT state FROM information_schema.processlist
            WHERE info LIKE '%{tokens}%' AND id <> CONNECTION_ID()
                AND command IN ('Prepare', 'Execute')";
        let waits = answer(async || self.text(waiting).await);
        let (step, waits) = (Box::pin(step), Box::pin(waits));
        match select(step, waits).await {
            Either::Left(_) => panic!("it does not wait"),
            Either::Right((_, step)) => drop(step),
        }
        locking.execute("ROLLBACK").await.unwrap();
        locking.close().await.unwrap();
    }
}

const PREPARING: &str = "LOCK TABLES {tokens} WRITE";
const RUNNING: &str = "BEGIN; SELECT id FROM {tokens} FOR UPDATE";

#[tokio::test]
async fn after_a_dropped_step_the_pool_answers_what_it_is_asked() {
    let tables = Tables::new();
    let pool = MySqlPoolOptions::new().max_connections(1).connect_with(Tables::options());
    let store = MySqlStore::with_prefix(pool.await.unwrap(), &tables.prefix).await.unwrap();
    for number in 1..=2 {
        insert(&store, &record(number)).await;
    }
    let uses = [1, 2].map(|number| Use::new(id(number), at(2_000)));
    let rules = InsertRules { unique_name: true, limit_per_owner: Some(1), ..InsertRules::none() };
    for _ in 0..3 {
        tables.dropped_midway(store.one(id(1)), PREPARING).await;
        assert_eq!(store.one(id(2)).await.unwrap().unwrap().id, id(2));
        tables.dropped_midway(store.insert(&record(3), &rules), PREPARING).await;
        assert!(store.one(id(3)).await.unwrap().is_none());
        tables.dropped_midway(store.record_uses(&uses), RUNNING).await;
        let found = store.one(id(2)).await.unwrap().unwrap();
        assert_eq!((found.id, found.last_used_at), (id(2), None));
        tables.dropped_midway(store.rekey(id(1), &found.digest, &found.digest), RUNNING).await;
        assert_eq!(store.one(id(2)).await.unwrap().unwrap().id, id(2));
    }
}

/// The server does not notice that nobody waits any more. What it has locked for the step would be in the way of
/// others.
#[tokio::test]
async fn a_dropped_step_does_not_wait_for_a_lock_without_end() {
    let tables = Tables::new();
    let store = tables.store().await;
    for number in 1..=2 {
        insert(&store, &record(number)).await;
    }
    let last =
        "BEGIN; SELECT id FROM {tokens} FORCE INDEX (PRIMARY) ORDER BY id DESC LIMIT 1 FOR UPDATE";
    let mut locking = Tables::connection().await;
    locking.execute(tables.named(last)).await.unwrap();
    let uses = [1, 2].map(|number| Use::new(id(number), at(2_000)));
    let waiting = "SELECT state FROM information_schema.processlist
        WHERE info LIKE '%{tokens}%' AND id <> CONNECTION_ID() AND command = 'Execute'";
    let waits = Box::pin(answer(async || tables.text(waiting).await));
    match select(Box::pin(store.record_uses(&uses)), waits).await {
        Either::Left(_) => panic!("it does not wait"),
        Either::Right((_, step)) => drop(step),
    }
    let first = "SET innodb_lock_wait_timeout = 30;
        SELECT id FROM {tokens} WHERE id = UNHEX(LPAD('1', 32, '0')) FOR UPDATE";
    tables.run(first).await;
    locking.execute("ROLLBACK").await.unwrap();
}

/// The time that the application has set for locks is its own affair, whatever becomes of a step.
#[tokio::test]
async fn each_step_leaves_the_session_as_it_was() {
    let tables = Tables::new();
    let store = tables.store().await;
    let mut connection = Tables::connection().await;
    for (set, left) in [(3, 3), (50, 50)] {
        let set = format!("SET innodb_lock_wait_timeout = {set}");
        connection.execute(AssertSqlSafe(set)).await.unwrap();
        let on = store.on(&mut connection);
        insert(&on, &record(left)).await;
        let again = on.insert(&record(left), &InsertRules::none()).await.unwrap();
        assert_eq!(again, InsertOutcome::IdTaken);
        drop(on);
        let wait = "SELECT @@innodb_lock_wait_timeout";
        let wait: u64 = sqlx::query_scalar(wait).fetch_one(&mut connection).await.unwrap();
        assert_eq!(u128::from(wait), left);
    }
}

#[tokio::test]
async fn a_transaction_in_which_a_step_was_dropped_takes_no_other() {
    let tables = Tables::new();
    let store = tables.store().await;
    let mut connection = Tables::connection().await;
    let mut transaction = connection.begin().await.unwrap();
    let on = store.on(&mut transaction);
    tables.dropped_midway(on.one(id(1)), PREPARING).await;
    let refused = on.insert(&record(1), &InsertRules::none()).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
}
