//! On a connection that the application holds.

use keyfob::store::{
    StoreError, TokenStore,
    contract::{InsertOutcome, InsertRules, Selection},
};
use keyfob::token::Revocation;
use sqlx::{Connection, Executor};

use super::{Tables, at, id, insert, owner, record};
use crate::support::store_ext::StoreExt;

const RULES: InsertRules =
    InsertRules { unique_name: true, limit_per_owner: Some(2), ..InsertRules::none() };

/// `REPEATABLE READ` shows what was there when the transaction first looked.
#[tokio::test]
async fn rules_count_what_was_committed_after_the_transaction_first_looked() {
    let tables = Tables::new();
    let store = tables.store().await;
    let mut connection = Tables::connection().await;
    let mut transaction = connection.begin().await.unwrap();
    let on = store.on(&mut transaction);
    assert_eq!(on.count_of(&owner()).await.0, 0);
    for number in 1..=2 {
        insert(&store, &record(number)).await;
    }
    assert_eq!(on.count_of(&owner()).await.0, 0, "it looks at what was");
    assert_eq!(on.insert(&record(3), &RULES).await.unwrap(), InsertOutcome::LimitReached);
    let mut same = record(4);
    same.name = record(2).name;
    let unique = InsertRules { unique_name: true, limit_per_owner: None, ..InsertRules::none() };
    assert_eq!(on.insert(&same, &unique).await.unwrap(), InsertOutcome::NameTaken);

    let revocation = Revocation::new(at(5_000));
    let revoked = on.end(&Selection::AllOf(owner()), &revocation).await.unwrap();
    assert_eq!(revoked, [id(1), id(2)]);
}

/// The server takes back all of a transaction that it ends for a deadlock: whatever came after would be committed at
/// once.
#[tokio::test]
async fn a_deadlock_ends_the_transaction_and_no_step_comes_after_it() {
    let tables = Tables::new();
    let store = tables.store().await;
    insert(&store, &record(1)).await;
    insert(&store, &record(2)).await;
    let lock = "SELECT 1 FROM {tokens} WHERE id = UNHEX(LPAD('1', 32, '0')) FOR UPDATE";
    let weigh = "UPDATE {owners} SET changes = changes + 1";
    tables.run("INSERT INTO {owners} VALUES ('a', 1), ('b', 1), ('c', 1)").await;

    let (mut one, mut two) = (Tables::connection().await, Tables::connection().await);
    let mut other = one.begin().await.unwrap();
    // The server ends the one that has changed less.
    other.execute(tables.named(weigh)).await.unwrap();
    other.execute(tables.named(lock)).await.unwrap();
    let mut transaction = two.begin().await.unwrap();
    let on = store.on(&mut transaction);
    let ended = Revocation::new(at(5_000));
    let revoke = async |number| {
        let selection = Selection::Tokens { ids: vec![id(number)], owner: None };
        on.end(&selection, &ended).await
    };
    assert_eq!(revoke(2).await.unwrap(), [id(2)]);
    let lock = lock.replace("'1'", "'2'");
    let (first, second) =
        tokio::join!(revoke(1), async { other.execute(tables.named(&lock)).await.map(drop) });
    second.unwrap();
    assert!(matches!(first, Err(StoreError::Busy(_))), "{first:?}");
    let after = revoke(2).await;
    assert!(matches!(after, Err(StoreError::Unavailable(_))), "{after:?}");
    let anew = store.on(&mut transaction);
    let after = anew.insert(&record(3), &InsertRules::none()).await;
    assert!(matches!(after, Err(StoreError::Unavailable(_))), "{after:?}");
    assert!(store.one(id(3)).await.unwrap().is_none());
    other.rollback().await.unwrap();
    assert!(store.one(id(2)).await.unwrap().unwrap().revocation.is_none());
}
