//! On a connection that the application holds.

use keyfob::store::contract::{InsertOutcome, InsertRules};

use super::*;
use crate::support::store_ext::StoreExt;

on_every_engine! {
    what_is_done_in_a_transaction_comes_and_goes_with_it
    a_conflict_leaves_the_transaction_as_it_was
    a_connection_outside_a_transaction_commits_each_step
}

const RULES: InsertRules =
    InsertRules { unique_name: true, limit_per_owner: Some(2), ..InsertRules::none() };

async fn what_is_done_in_a_transaction_comes_and_goes_with_it<E: Engine>() {
    let place = Place::<E>::new().await;
    let (store, mut connection) = (place.some_store().await, place.connection().await);
    for (end, is_kept) in [("ROLLBACK", false), ("COMMIT", true)] {
        E::execute(&mut connection, "BEGIN").await;
        {
            let on = E::on(&store, &mut connection);
            assert_eq!(on.insert(&record(1), &RULES).await.unwrap(), InsertOutcome::Inserted);
            assert!(on.one(id(1)).await.unwrap().is_some());
            assert!(store.one(id(1)).await.unwrap().is_none());
        }
        E::execute(&mut connection, end).await;
        assert_eq!(store.one(id(1)).await.unwrap().is_some(), is_kept);
    }
}

async fn a_conflict_leaves_the_transaction_as_it_was<E: Engine>() {
    for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let place = Place::<E>::new().await;
        let store = place.some_store().await;
        insert(&store, &record(1)).await;
        let mut connection = place.connection().await;
        for begin in E::begin(level) {
            E::execute(&mut connection, &begin).await;
        }
        {
            let on = E::on(&store, &mut connection);
            assert_eq!(on.insert(&record(2), &RULES).await.unwrap(), InsertOutcome::Inserted);
            let taken = on.insert(&record(1), &InsertRules::none()).await.unwrap();
            assert_eq!(taken, InsertOutcome::IdTaken);
            let mut namesake = record(3);
            namesake.name = record(1).name;
            assert_eq!(on.insert(&namesake, &RULES).await.unwrap(), InsertOutcome::NameTaken);
            assert_eq!(on.insert(&record(3), &RULES).await.unwrap(), InsertOutcome::LimitReached);
        }
        E::execute(&mut connection, "COMMIT").await;
        assert!(store.one(id(2)).await.unwrap().is_some(), "{level}");
        assert_eq!(store.count_of(&owner()).await.0, 2, "{level}");
    }
}

async fn a_connection_outside_a_transaction_commits_each_step<E: Engine>() {
    let place = Place::<E>::new().await;
    let (store, mut connection) = (place.some_store().await, place.connection().await);
    let on = E::on(&store, &mut connection);
    assert_eq!(on.insert(&record(1), &RULES).await.unwrap(), InsertOutcome::Inserted);
    assert!(store.one(id(1)).await.unwrap().is_some());
}
