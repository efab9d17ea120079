//! On a connection that the application holds.

use futures_util::future::join_all;
use keyfob::{
    store::{
        PostgresStore, StoreError, TokenStore,
        contract::{InsertOutcome, InsertRules, Selection},
    },
    token::Revocation,
};
use sqlx::{Connection, Executor, PgConnection};

use super::{Schema, at, id, insert, owner, record};
use crate::support::store_ext::StoreExt;

const RULES: InsertRules =
    InsertRules { unique_name: true, limit_per_owner: Some(2), ..InsertRules::none() };
const LEVELS: [&str; 3] = [
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    "BEGIN ISOLATION LEVEL REPEATABLE READ",
    "BEGIN ISOLATION LEVEL SERIALIZABLE",
];

/// The transaction sees what was there when it first looked, unless it is `READ COMMITTED`.
#[tokio::test]
async fn rules_never_go_by_what_was() {
    for level in LEVELS {
        let schema = Schema::new();
        let store = schema.store().await;
        let mut connection = schema.connection().await;
        let mut transaction = connection.begin_with(level).await.unwrap();
        {
            let on = store.on(&mut transaction);
            assert_eq!(on.count_of(&owner()).await.0, 0);
            for number in 1..=2 {
                let inserted = store.insert(&record(number), &RULES).await.unwrap();
                assert_eq!(inserted, InsertOutcome::Inserted);
            }
            let third = on.insert(&record(3), &RULES).await;
            let is_right = match third {
                Ok(InsertOutcome::LimitReached) => level == LEVELS[0],
                Err(StoreError::Busy(_)) => level != LEVELS[0],
                _ => false,
            };
            assert!(is_right, "{level}: {third:?}");
            assert!(on.one(id(3)).await.unwrap().is_none(), "the transaction goes on");
        }
        transaction.rollback().await.unwrap();
        assert_eq!(store.count_of(&owner()).await.0, 2, "{level}");
    }
}

/// A revocation of all tokens that leaves out the last one would be worse than none.
#[tokio::test]
async fn no_token_is_left_out_because_it_came_after_the_transaction_first_looked() {
    for level in LEVELS {
        let schema = Schema::new();
        let store = schema.store().await;
        let mut connection = schema.connection().await;
        let mut transaction = connection.begin_with(level).await.unwrap();
        {
            let on = store.on(&mut transaction);
            assert_eq!(on.count_of(&owner()).await.0, 0);
            insert(&store, &record(1)).await;
            let all = on.end(&Selection::AllOf(owner()), &Revocation::new(at(5_000))).await;
            let erased = on.erase(&owner()).await;
            let is_right = match (&all, &erased) {
                (Ok(revoked), Ok(erased)) => {
                    level == LEVELS[0] && *revoked == [id(1)] && *erased == [id(1)]
                }
                (Err(StoreError::Faulty(_)), Err(StoreError::Faulty(_))) => level != LEVELS[0],
                _ => false,
            };
            assert!(is_right, "{level}: {all:?}, {erased:?}");
        }
        transaction.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_transactions_reach_the_limit_and_do_not_pass_it() {
    for level in LEVELS {
        let schema = Schema::new();
        let store = schema.store().await;
        let inserts = (0..8).map(|number| {
            let (store, record) = (store.clone(), record(number));
            tokio::spawn(async move {
                let mut connection = PgConnection::connect_with(&Schema::options()).await.unwrap();
                let mut transaction = connection.begin_with(level).await.unwrap();
                let inserted = store.on(&mut transaction).insert(&record, &RULES).await;
                let is_committed = transaction.commit().await.is_ok();
                match inserted {
                    Ok(InsertOutcome::Inserted) => is_committed,
                    Ok(InsertOutcome::LimitReached) | Err(StoreError::Busy(_)) => false,
                    other => panic!("{level}: {other:?}"),
                }
            })
        });
        let inserted = join_all(inserts.collect::<Vec<_>>()).await;
        let inserted = inserted.into_iter().filter(|it| *it.as_ref().unwrap()).count();
        assert!((1..=2).contains(&inserted), "{level}: {inserted}");
        let (count, _) = store.count_of(&owner()).await;
        assert_eq!(count, inserted as u64, "{level}");
    }
}

#[tokio::test]
async fn what_others_changed_meanwhile_is_busy_and_not_undone() {
    for level in &LEVELS[1..] {
        let schema = Schema::new();
        let store = schema.store().await;
        insert(&store, &record(1)).await;
        let mut connection = schema.connection().await;
        let mut transaction = connection.begin_with(*level).await.unwrap();
        let on = store.on(&mut transaction);
        assert!(on.one(id(1)).await.unwrap().is_some());
        let selection = Selection::Tokens { ids: vec![id(1)], owner: None };
        store.end(&selection, &Revocation::new(at(4_000))).await.unwrap();
        let again = on.end(&selection, &Revocation::new(at(5_000))).await;
        assert!(matches!(again, Err(StoreError::Busy(_))), "{level}: {again:?}");
        let found = on.one(id(1)).await.unwrap().unwrap();
        assert!(found.revocation.is_none(), "{level}: it looks at what was");
    }
}

/// The server ends the one that is first to find it.
#[tokio::test]
async fn a_deadlock_is_busy_and_leaves_the_transaction_as_it_was() {
    let schema = Schema::new();
    let pool = schema.pool_with(&[("deadlock_timeout", "10")]).await;
    let store = PostgresStore::in_schema(pool.clone(), &schema.name).await.unwrap();
    for number in 1..=3 {
        insert(&store, &record(number)).await;
    }
    let lock = |number: u128| {
        schema.named(&format!("SELECT 1 FROM {{tokens}} WHERE id = '{number:032x}' FOR UPDATE"))
    };
    let patient = schema.known().options([("deadlock_timeout", "1h")]);
    let mut other = PgConnection::connect_with(&patient).await.unwrap();
    other.execute("BEGIN").await.unwrap();
    other.execute(lock(1)).await.unwrap();

    let mut transaction = pool.begin().await.unwrap();
    let on = store.on(&mut transaction);
    let revoke = async |number| {
        let selection = Selection::Tokens { ids: vec![id(number)], owner: None };
        on.end(&selection, &Revocation::new(at(5_000))).await
    };
    assert_eq!(revoke(2).await.unwrap(), [id(2)]);
    let lock = lock(2);
    let waiting = tokio::spawn(async move { other.execute(lock).await.map(drop) });
    schema.waits().await;
    let ended = revoke(1).await;
    assert!(matches!(ended, Err(StoreError::Busy(_))), "{ended:?}");
    assert_eq!(revoke(3).await.unwrap(), [id(3)]);
    transaction.commit().await.unwrap();
    waiting.await.unwrap().unwrap();
    let is_revoked =
        async |number| store.one(id(number)).await.unwrap().unwrap().revocation.is_some();
    assert_eq!(
        [is_revoked(1).await, is_revoked(2).await, is_revoked(3).await],
        [false, true, true]
    );
}
