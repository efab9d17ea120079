//! Tokens are found by id, whatever their state, and a look without asking is never wrong.

use super::fixture::*;
use crate::{
    store::{
        TokenStore,
        contract::{Patch, Peek},
    },
    token::{Suspension, TokenRecord},
};

/// There is no token with an id that nobody inserted.
pub async fn an_unknown_token_is_none(store: &dyn TokenStore) {
    let record = plain(&new_owner());
    insert(store, &record).await;
    for id in [new_id(), crate::token::TokenId::from_u128(record.id.as_u128() ^ 1)] {
        assert!(find(store, id).await.is_none(), "no token has the id {id}");
        assert!(ids_on(&store.find(&[id]).await.answered()).is_empty());
    }
}

/// Tokens that are revoked, expired, suspended or not yet valid are found like any other.
pub async fn revoked_and_expired_tokens_are_found(store: &dyn TokenStore) {
    let owner = new_owner();
    let records = [
        with(&plain(&owner), |it| it.expires_at = Some(at(1))),
        revoked(plain(&owner), at(1)),
        full(&owner),
        with(&plain(&owner), |it| it.not_before = Some(crate::token::Timestamp::MAX)),
    ];
    insert_all(store, &records).await;
    for record in &records {
        assert_stored(store, record, "a token is found whatever its state").await;
    }
    let page = store.find(&records.each_ref().map(|record| record.id)).await.answered();
    assert_eq!(sorted(ids_on(&page)), ids(&records), "find finds whatever the state");
}

/// Many tokens are found at once, each once though asked for twice, those of other owners as well. Ids without a token
/// are passed over, and a token that was not asked for is not found.
pub async fn many_are_found_at_once_and_each_once(store: &dyn TokenStore) {
    assert!(ids_on(&store.find(&[]).await.answered()).is_empty(), "no ids, no tokens");
    let records: Vec<_> = (0..5).map(|_| plain(&new_owner())).collect();
    insert_all(store, &records).await;
    insert(store, &plain(&records[0].owner)).await;
    let mut wanted: Vec<_> = (0..1_500).map(|_| new_id()).collect();
    wanted.extend(ids(&records));
    wanted.extend(ids(&records));
    let page = store.find(&wanted).await.answered();
    assert_eq!(sorted(ids_on(&page)), ids(&records));
    assert_eq!(page.end, None, "find gives all at once");
}

/// A look without asking finds the token as the steps of this store have left it, or says that it has to be asked for.
pub async fn a_peek_is_never_wrong(store: &dyn TokenStore) {
    let mut record = plain(&new_owner());
    let seen = store.peek(record.id);
    assert!(found(&seen).is_none(), "nobody has inserted that: {seen:?}");
    insert(store, &record).await;
    for _ in 0..2 {
        assert_peeked(store, &record, "after the insert");
        // What a find has read may be in memory from now on.
        assert_stored(store, &record, "find").await;
    }
    assert_peeked(store, &record, "after a find");
    let suspend = Patch::Suspend(Suspension::new(at(4_000)));
    store.update(record.id, &suspend).await.updated();
    record.suspension = Some(Box::new(Suspension::new(at(4_000))));
    record.version = 1;
    assert_peeked(store, &record, "after a suspension");
    assert_stored(store, &record, "find").await;
    revoke(store, record.id).await;
    record = revoked(record, at(5_000));
    assert_peeked(store, &record, "after a revocation");
    assert_stored(store, &record, "find").await;
    erase(store, &record.owner).await;
    let seen = store.peek(record.id);
    assert!(found(&seen).is_none(), "the token is erased: {seen:?}");
}

fn found(peek: &Peek) -> Option<&TokenRecord> {
    match peek {
        Peek::Found(record) | Peek::Cached(record) => Some(record),
        Peek::Absent | Peek::Miss => None,
    }
}

#[track_caller]
fn assert_peeked(store: &dyn TokenStore, record: &TokenRecord, when: &str) {
    let seen = store.peek(record.id);
    assert!(!matches!(seen, Peek::Absent), "the token is not absent {when}");
    if let Some(found) = found(&seen) {
        assert_same(found, record, &format!("what a peek finds {when}"));
    }
}
