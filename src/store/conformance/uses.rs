//! Uses: written where they are later than what is there, and never anything else.

use std::net::IpAddr;

use futures_util::future::{join_all, join3};

use super::fixture::*;
use crate::{
    store::{
        TokenStore,
        contract::{Change, Use},
    },
    token::{Timestamp, TokenId, TokenRecord},
};

const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)));

fn used(id: TokenId, second: i64) -> Use {
    Use { from: HERE, ..Use::new(id, at(second)) }
}

fn after(record: &TokenRecord, second: i64) -> TokenRecord {
    with(record, |it| {
        it.last_used_at = Some(at(second));
        it.last_used_from = HERE;
    })
}

/// A use that is later than the last writes its instant and its address, or that there was none, and nothing else.
pub async fn a_later_use_is_written_and_nothing_else(store: &dyn TokenStore) {
    let bystander = full(&new_owner());
    insert(store, &bystander).await;
    for record in [full(&bystander.owner), plain(&bystander.owner)] {
        insert(store, &record).await;
        store.record_uses(&[used(record.id, 1_501)]).await.answered();
        assert_stored(store, &after(&record, 1_501), "a later use is written, and that is all")
            .await;
        store.record_uses(&[Use { from: None, ..used(record.id, 1_502) }]).await.answered();
        let expected = with(&after(&record, 1_502), |it| it.last_used_from = None);
        assert_stored(store, &expected, "a use without an address leaves none").await;
        let from = "2001:db8::1".parse().ok();
        store.record_uses(&[Use { from, ..used(record.id, 1_503) }]).await.answered();
        let expected = with(&after(&record, 1_503), |it| it.last_used_from = from);
        assert_stored(store, &expected, "an address may be of IPv6").await;
    }
    assert_stored(store, &bystander, "another token stays as it is").await;
}

/// A use that is earlier than the last, or at the same instant, changes nothing, not even the address.
pub async fn last_used_never_moves_backwards(store: &dyn TokenStore) {
    let record = full(&new_owner());
    insert(store, &record).await;
    for second in [1_500, 1_499, 0, -1] {
        store.record_uses(&[used(record.id, second)]).await.answered();
        assert_stored(store, &record, "a use that is not later changes nothing").await;
    }
}

/// The first use is written whatever its instant.
pub async fn a_first_use_is_written_whatever_its_instant(store: &dyn TokenStore) {
    for instant in [Timestamp::MIN, at(-1), at(0), Timestamp::MAX] {
        let record = plain(&new_owner());
        insert(store, &record).await;
        store.record_uses(&[Use::new(record.id, instant)]).await.answered();
        let expected = with(&record, |it| it.last_used_at = Some(instant));
        assert_stored(store, &expected, "the first use is written").await;
    }
}

/// A use makes no token: ids that are not there are passed over, and the others are written.
pub async fn a_use_makes_no_token(store: &dyn TokenStore) {
    let (record, erased) = (plain(&new_owner()), plain(&new_owner()));
    insert_all(store, &[record.clone(), erased.clone()]).await;
    erase(store, &erased.owner).await;
    let unknown = new_id();
    let uses = [unknown, record.id, erased.id].map(|id| used(id, 2_000));
    store.record_uses(&uses).await.answered();
    for id in [unknown, erased.id] {
        assert!(find(store, id).await.is_none(), "a use makes no token");
    }
    assert!(owned_by(store, &erased.owner).await.is_empty());
    assert_stored(store, &after(&record, 2_000), "the others of the batch are written").await;
}

/// A use revives nothing: a revoked token stays revoked, and a token that has expired or is suspended stays so.
pub async fn a_use_revives_nothing(store: &dyn TokenStore) {
    let record = revoked(full(&new_owner()), at(1_800));
    insert(store, &record).await;
    store.record_uses(&[used(record.id, 2_000)]).await.answered();
    // Whether the use of a revoked token is written is the store's choice.
    let mut found = (*read(store, record.id).await).clone();
    found.last_used_at = record.last_used_at;
    found.last_used_from = record.last_used_from;
    assert_same(&found, &record, "a use of a revoked token changes nothing but last-used");
}

/// A batch may be large, may be empty, and writes each token's own use.
pub async fn a_large_batch_writes_each_use(store: &dyn TokenStore) {
    store.record_uses(&[]).await.answered();
    let owner = new_owner();
    let records: Vec<_> = (0..10).map(|_| plain(&owner)).collect();
    insert_all(store, &records).await;
    let mut uses: Vec<_> = (0..1_500).map(|_| used(new_id(), 2_000)).collect();
    for (place, (i, record)) in uses.iter_mut().step_by(149).zip((2_000..).zip(&records)) {
        *place = used(record.id, i);
    }
    store.record_uses(&uses).await.answered();
    for (i, record) in (2_000..).zip(&records) {
        assert_stored(store, &after(record, i), "each token has its own use").await;
    }
}

/// Where a batch has several uses of one token, the latest is written, in whatever order they come.
pub async fn the_latest_use_in_a_batch_is_written(store: &dyn TokenStore) {
    for seconds in [[2_000, 2_001, 2_002], [2_002, 2_001, 2_000], [2_001, 2_002, 2_000]] {
        let record = plain(&new_owner());
        insert(store, &record).await;
        let uses = seconds.map(|second| {
            let latest = second == 2_002;
            Use { from: HERE.filter(|_| latest), ..used(record.id, second) }
        });
        store.record_uses(&uses).await.answered();
        assert_stored(store, &after(&record, 2_002), "the latest use is written").await;
    }
}

/// Of concurrent batches the latest use stays, and what others change meanwhile stays as well.
pub async fn concurrent_uses_leave_the_latest(store: &dyn TokenStore) {
    let records = [plain(&new_owner()), plain(&new_owner())];
    insert_all(store, &records).await;
    let batches: Vec<_> = (0..8)
        .map(|i| {
            // Every other batch in the opposite order: a store that locks row by row must not wait in a circle.
            let [first, second] = if i % 2 == 0 { [0, 1] } else { [1, 0] };
            [used(records[first].id, 2_000 + i), used(records[second].id, 2_000 + i)]
        })
        .collect();
    let uses = join_all(batches.iter().map(|batch| store.record_uses(batch)));
    let revocation = revocation(at(5_000));
    let selection = only(records[0].id);
    let change = Change { name: Some(name("new")), ..Change::default() };
    let change = change_of(&records[1], change);
    let (uses, revoked, changed) =
        join3(uses, end(store, &selection, &revocation), store.update(records[1].id, &change))
            .await;
    uses.into_iter().for_each(Answered::answered);
    assert_eq!(revoked.answered(), [records[0].id]);
    changed.updated();
    let found = read(store, records[0].id).await;
    assert_eq!(found.revocation.as_deref(), Some(&revocation), "a use revives nothing");
    let expected = with(&after(&records[1], 2_007), |it| {
        it.name = name("new");
        it.version = 1;
    });
    assert_stored(store, &expected, "the latest use and the change are there").await;
}
