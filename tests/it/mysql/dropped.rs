use std::{future::Future, pin::pin, task::Poll};

use futures_util::{FutureExt, future::poll_fn};
use keyfob::store::{InsertOutcome, InsertRules, MySqlStore, TokenStore};
use sqlx::{Connection, mysql::MySqlPoolOptions};

use super::{Tables, id, insert, record};

/// Polls as often as this and then drops; tells whether it came to its end.
async fn polled<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(move |context| {
        if let Poll::Ready(done) = future.poll_unpin(context) {
            return Poll::Ready(Some(done));
        }
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        Poll::Pending
    })
    .await
}

#[tokio::test]
async fn after_a_dropped_step_the_pool_answers_what_it_is_asked() {
    let tables = Tables::new();
    let pool = MySqlPoolOptions::new().max_connections(1).connect_with(Tables::options());
    let store = MySqlStore::with_prefix(pool.await.unwrap(), &tables.prefix).await.unwrap();
    let rules = InsertRules { unique_name: true, limit_per_owner: Some(1_000) };
    for number in 1..=3 {
        insert(&store, &record(number)).await;
    }
    let (mut dropped, mut new) = (0, 100);
    for times in 0..24 {
        dropped += usize::from(polled(store.find(id(1)), times).await.is_none());
        let found = store.find(id(2)).await.unwrap().unwrap();
        assert_eq!(found.id, id(2), "after {times} polls");

        new += 1;
        let inserted = polled(store.insert(&record(new), rules), times).await;
        dropped += usize::from(inserted.is_none());
        let many = store.find_many(&[id(1), id(3), id(new)]).await.unwrap().records;
        assert!(many.len() >= 2, "after {times} polls");
        let again = store.insert(&record(new), rules).await.unwrap();
        let expected = match many.len() {
            2 => InsertOutcome::Inserted,
            _ => InsertOutcome::IdTaken,
        };
        assert_eq!(again, expected, "after {times} polls");
    }
    assert!(dropped > 3, "{dropped} were dropped");
}

#[tokio::test]
async fn a_transaction_in_which_a_step_was_dropped_takes_no_other() {
    let tables = Tables::new();
    let store = tables.store().await;
    let mut connection = Tables::connection().await;
    let mut transaction = connection.begin().await.unwrap();
    let on = store.on(&mut transaction);
    assert!(polled(on.find(id(1)), 0).await.is_none());
    let refused = on.insert(&record(1), InsertRules::default()).await;
    assert!(matches!(refused, Err(keyfob::store::StoreError::Unavailable(_))), "{refused:?}");
}
