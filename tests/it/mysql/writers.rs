use std::sync::Arc;

use futures_util::future::join_all;
use keyfob::{
    Owner,
    store::{InsertOutcome, InsertRules, MySqlStore, TokenStore},
};
use sqlx::mysql::MySqlPoolOptions;

use super::{Tables, record};
use crate::support::sixteen_writers_break_no_rule;

/// With a connection for each writer.
async fn wide(tables: &Tables) -> MySqlStore {
    let pool = MySqlPoolOptions::new().max_connections(16);
    let pool = pool.connect_with(Tables::options()).await.unwrap();
    MySqlStore::with_prefix(pool, &tables.prefix).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixteen_writers_at_once_break_no_rule() {
    let tables = Tables::new();
    sixteen_writers_break_no_rule(Arc::new(wide(&tables).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_64_concurrent_inserts_over_two_pools_as_many_get_in_as_the_limit_says() {
    let tables = Tables::new();
    let stores = [wide(&tables).await, wide(&tables).await];
    let rules = InsertRules { limit_per_owner: Some(10), unique_name: true };
    for round in 0..4 {
        let owner = Owner::new(format!("user:{round}")).unwrap();
        let inserts = (0..64).map(|number| {
            let store = stores[number % 2].clone();
            let mut record = record((round << 64) + number as u128);
            record.owner = owner.clone();
            tokio::spawn(async move { store.insert(&record, rules).await.unwrap() })
        });
        let inserted = join_all(inserts.collect::<Vec<_>>()).await.into_iter();
        let inserted = inserted.filter(|it| *it.as_ref().unwrap() == InsertOutcome::Inserted);
        assert_eq!(inserted.count(), 10, "in round {round}");
        assert_eq!(stores[0].count(&owner).await.unwrap().not_revoked, 10, "in round {round}");
    }
}

/// None of them has a row to lock, so that gaps would be all that there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_who_are_new_at_the_same_time_are_not_in_each_others_way() {
    let tables = Tables::new();
    let store = wide(&tables).await;
    let rules = InsertRules { limit_per_owner: Some(1), unique_name: true };
    let inserts = (0..200).map(|number| {
        let store = store.clone();
        let mut record = record(number);
        record.owner = Owner::new(format!("new:{number}")).unwrap();
        tokio::spawn(async move { store.insert(&record, rules).await.unwrap() })
    });
    for inserted in join_all(inserts.collect::<Vec<_>>()).await {
        assert_eq!(inserted.unwrap(), InsertOutcome::Inserted);
    }
}
