//! What the tests of the stores on database servers share.

use keyfob::{
    Owner, Timestamp, TokenId, TokenName, TokenRecord,
    store::{
        CorruptRecord, Order, SortBy, StoreError, TokenStore,
        contract::{InsertOutcome, InsertRules, Selection},
    },
    token::{Prefix, Revocation, TokenDigest},
};

use super::answer_within;
use super::store_ext::{StoreExt, all_of};

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).unwrap()
}

pub fn owner() -> Owner {
    Owner::new("user:42").unwrap()
}

pub fn id(number: u128) -> TokenId {
    TokenId::from_u128(number)
}

pub fn record(number: u128) -> TokenRecord {
    TokenRecord::new(
        id(number),
        Prefix::new("acme").unwrap(),
        owner(),
        TokenName::new(format!("token {number:04}")).unwrap(),
        TokenDigest::from_bytes([7; 32], None),
        at(1_000),
    )
}

pub async fn insert(store: &dyn TokenStore, record: &TokenRecord) {
    let outcome = store.insert(record, &InsertRules::none()).await.unwrap();
    assert_eq!(outcome, InsertOutcome::Inserted);
}

/// What a database answers once there is something, a minute later at most.
pub async fn answer<T>(ask: impl AsyncFnMut() -> Option<T>) -> T {
    answer_within(60, ask).await
}

/// Damages a token in the middle of three, in each way: the column that can't be read is named, and the token can be
/// revoked and erased. The others are as good as before.
///
/// Takes what somebody wrote into the row, with the column that is to be named.
pub async fn what_is_damaged_is_named_and_spares_the_others(
    store: &dyn TokenStore,
    all_damage: &[(&str, &'static str)],
    inflict: impl AsyncFn(&str, TokenId),
) {
    for (round, (damage, field)) in all_damage.iter().enumerate() {
        let ids = [1, 2, 3].map(|number| 10 * round as u128 + number);
        for number in ids {
            insert(store, &record(number)).await;
        }
        let ids = ids.map(id);
        inflict(damage, ids[1]).await;
        let corrupt = CorruptRecord::new(Some(ids[1]), field);
        match store.one(ids[1]).await {
            Err(StoreError::Corrupt(found)) => assert_eq!(found, corrupt, "{damage}"),
            other => panic!("{damage}: {other:?}"),
        }
        let many = store.find(&ids).await.unwrap();
        assert_eq!((many.records.len(), many.corrupt), (2, vec![corrupt]), "{damage}");

        // With a damaged owner it is nobody's.
        let seen = if *field == "owner" { 2 } else { 3 };
        for sort in
            [Order::NEWEST, Order::OLDEST, Order::by(SortBy::Name), Order::by(SortBy::LastUsed)]
        {
            assert_eq!(listed(store, sort).await, seen, "{damage}, {sort:?}");
        }
        let selection = Selection::Tokens { ids: vec![ids[1]], owner: None };
        let revoked = store.end(&selection, &Revocation::new(at(5_000))).await.unwrap();
        assert_eq!(revoked, [ids[1]], "{damage}");
        assert_eq!(store.erase(&owner()).await.unwrap().len(), seen, "{damage}");
    }
}

/// How many tokens are listed, page by page, readable or not.
async fn listed(store: &dyn TokenStore, order: Order) -> usize {
    let mut query = all_of(&owner(), order);
    query.limit = 1;
    let mut listed = 0;
    loop {
        let page = store.list(&query).await.unwrap();
        listed += page.records.len() + page.corrupt.len();
        query.after = page.end;
        if query.after.is_none() {
            return listed;
        }
    }
}
