//! What the application looks for among the tokens of all owners: what expires soon, and what nobody uses.

use super::fixture::*;
use crate::{
    store::{Position, Sort, SortKey, TokenStore},
    token::{Timestamp, TokenId, TokenRecord},
};

async fn expiring(store: &dyn TokenStore, from: i64, until: i64, ours: &[TokenId]) -> Vec<TokenId> {
    walk(1_000, ours, async |after| {
        store.expiring(at(from), at(until), after.as_ref(), 1_000).await
    })
    .await
}

async fn unused(store: &dyn TokenStore, since: i64, ours: &[TokenId]) -> Vec<TokenId> {
    walk(1_000, ours, async |after| store.unused(at(since), after.as_ref(), 1_000).await).await
}

/// Tokens of different owners, in order of their ids.
fn each(expiries: [Option<i64>; 8]) -> Vec<TokenRecord> {
    let all = new_ids::<8>().into_iter().zip(expiries);
    let record = |(id, expiry): (_, Option<_>)| {
        with(&plain(&new_owner()), |it| {
            it.id = id;
            it.expires_at = expiry.map(at);
        })
    };
    all.map(record).collect()
}

/// Tokens expire after the one instant and not after the other, by expiry and then by id, whosever they are.
pub async fn expiring_tokens_lie_between_two_instants(store: &dyn TokenStore) {
    let records =
        each([Some(200), Some(100), Some(201), Some(150), Some(99), None, Some(150), Some(101)]);
    insert_all(store, &records).await;
    let ours = ids(&records);
    let found = expiring(store, 100, 200, &ours).await;
    assert_eq!(found, [7, 3, 6, 0].map(|i: usize| records[i].id), "after 100, not after 200");
    assert_eq!(expiring(store, 150, 150, &ours).await, [], "after 150 and not after it is never");
    let found = expiring(store, 149, 150, &ours).await;
    assert_eq!(found, [records[3].id, records[6].id], "those that expire at 150");
    let all = store.expiring(Timestamp::MIN, Timestamp::MAX, None, u32::MAX).await.answered();
    let found = ids_on(&all).into_iter().filter(|id| ours.contains(id)).count();
    assert_eq!(found, 7, "one of them never expires");
}

/// A revoked token does not expire; one that is suspended, or not valid yet, does.
pub async fn revoked_tokens_are_not_expiring(store: &dyn TokenStore) {
    let record = with(&full(&new_owner()), |it| it.expires_at = Some(at(150)));
    let gone = revoked(with(&full(&new_owner()), |it| it.expires_at = Some(at(150))), at(1));
    let soon = with(&plain(&new_owner()), |it| it.expires_at = Some(at(150)));
    insert_all(store, &[record.clone(), gone.clone(), soon.clone()]).await;
    revoke(store, soon.id).await;
    let found = expiring(store, 100, 200, &[record.id, gone.id, soon.id]).await;
    assert_eq!(found, [record.id]);
}

/// Pages of expiring tokens neither skip nor repeat, also where tokens are revoked or added between them.
pub async fn pages_of_expiring_tokens_neither_skip_nor_repeat(store: &dyn TokenStore) {
    for limit in [1, 2, 3] {
        let expiries = [150, 101, 150, 150, 200, 150, 101, 102].map(Some);
        let records = each(expiries);
        insert_all(store, &records).await;
        let mut rounds = 0;
        let seen = walk(limit, &ids(&records), async |after| {
            let page = store.expiring(at(100), at(200), after.as_ref(), limit).await;
            // Whoever has dealt with a token may have revoked it.
            for record in page.iter().flat_map(|page| &page.records) {
                end(store, &only(record.id), &revocation(at(5_000))).await.answered();
            }
            rounds += 1;
            if rounds <= 4 {
                insert_all(store, &each(expiries)).await;
            }
            page
        })
        .await;
        let order = [1, 6, 7, 0, 2, 3, 5, 4].map(|i: usize| records[i].id);
        assert_eq!(seen, order, "by expiry, then by id, in pages of {limit}");
    }
    let records = each([Some(150); 8]);
    insert_all(store, &records[4..]).await;
    let gone = Position { key: SortKey::Instant(Some(150)), id: records[3].id };
    let page = store.expiring(at(100), at(150), Some(&gone), u32::MAX).await.answered();
    let found = ids_on(&page).into_iter().filter(|id| ids(&records).contains(id));
    assert_eq!(found.collect::<Vec<_>>(), ids(&records[4..]), "after a token that is gone");
}

/// Tokens are unused that were created before an instant and not used since, whosever they are; used or created at
/// that very second, they are not.
pub async fn unused_tokens_were_neither_created_nor_used_since(store: &dyn TokenStore) {
    let [old, older] = [99, 1].map(Some);
    let [now, later] = [100, 101].map(Some);
    let all = [
        (old, None, true),
        (old, older, true),
        (older, old, true),
        (old, now, false),
        (old, later, false),
        (now, None, false),
        (later, None, false),
        (later, old, false),
    ];
    let records: Vec<_> = each([None; 8])
        .into_iter()
        .zip(all)
        .map(|(record, (created, used, _))| {
            with(&record, |it| {
                it.created_at = at(created.unwrap_or_default());
                it.last_used_at = used.map(at);
            })
        })
        .collect();
    insert_all(store, &records).await;
    let expected = records.iter().zip(all).filter(|it| it.1.2).map(|it| it.0.id);
    let expected: Vec<_> = expected.collect();
    assert_eq!(unused(store, 100, &ids(&records)).await, expected, "by id");
}

/// A revoked token is not unused; one that has expired, or is suspended, is: a store does not judge.
pub async fn revoked_tokens_are_not_unused(store: &dyn TokenStore) {
    let old = |record: TokenRecord| {
        with(&record, |it| {
            it.created_at = at(1);
            it.last_used_at = None;
            it.last_used_from = None;
        })
    };
    let expired = with(&old(plain(&new_owner())), |it| it.expires_at = Some(at(2)));
    let suspended = old(full(&new_owner()));
    let gone = revoked(old(plain(&new_owner())), at(1));
    let soon = old(plain(&new_owner()));
    let records = [expired, suspended, gone, soon];
    insert_all(store, &records).await;
    revoke(store, records[3].id).await;
    assert_eq!(unused(store, 100, &ids(&records)).await, ids(&records[..2]));
}

/// Pages of unused tokens neither skip nor repeat, also where tokens are revoked between them.
pub async fn pages_of_unused_tokens_neither_skip_nor_repeat(store: &dyn TokenStore) {
    for limit in [1, 2, 3] {
        let records: Vec<_> = each([None; 8])
            .iter()
            .map(|record| with(record, |it| it.created_at = Timestamp::MIN))
            .collect();
        insert_all(store, &records).await;
        let seen = walk(limit, &ids(&records), async |after| {
            let page = store.unused(at(100), after.as_ref(), limit).await;
            for record in page.iter().flat_map(|page| &page.records) {
                if ids(&records).contains(&record.id) {
                    end(store, &only(record.id), &revocation(at(5_000))).await.answered();
                }
            }
            page
        })
        .await;
        assert_eq!(seen, ids(&records), "by id, in pages of {limit}");
    }
    let records = each([None; 8]);
    insert_all(store, &records[4..]).await;
    let gone = Sort::Oldest.position(&records[3]);
    let page = store.unused(at(1_001), Some(&gone), u32::MAX).await.answered();
    let found = ids_on(&page).into_iter().filter(|id| ids(&records).contains(id));
    assert_eq!(found.collect::<Vec<_>>(), ids(&records[4..]), "after a token that is gone");
}
