//! Counts, for each owner and for each pepper key, and the canaries of the keys.

use futures_util::future::join_all;

use super::fixture::*;
use crate::{
    store::{OwnerCount, TokenStore},
    token::{KeyId, PreviousSecret},
};

/// The tokens of an owner are counted, revoked ones apart from the others, which may have expired.
pub async fn the_tokens_of_an_owner_are_counted(store: &dyn TokenStore) {
    let owner = new_owner();
    assert_eq!(store.count(&owner).await.answered(), OwnerCount::default());
    let records =
        [plain(&owner), full(&owner), with(&plain(&owner), |it| it.expires_at = Some(at(1)))];
    insert_all(store, &records).await;
    insert_all(store, &[revoked(plain(&owner), at(1)), full(&new_owner())]).await;
    let count = store.count(&owner).await.answered();
    assert_eq!(count, OwnerCount { not_revoked: 3, revoked: 1 });
    revoke(store, records[0].id).await;
    let count = store.count(&owner).await.answered();
    assert_eq!(count, OwnerCount { not_revoked: 2, revoked: 2 });
}

/// Current digests of tokens that are not revoked are counted for each key, and for none; previous ones are not.
pub async fn current_digests_are_counted_for_each_key(store: &dyn TokenStore) {
    let [key, previous, gone, next] = [new_key(), new_key(), new_key(), new_key()];
    let without_key = count_of(store, None).await;
    let by = |key| with(&plain(&new_owner()), |it| it.digest = new_digest(key));
    let mut expired = by(Some(&key));
    expired.expires_at = Some(at(1));
    expired.previous = Some(Box::new(PreviousSecret::until(new_digest(Some(&previous)), at(2))));
    let last = by(Some(&gone));
    let records = [expired, by(Some(&key)), revoked(by(Some(&key)), at(1)), by(None), last];
    insert_all(store, &records).await;
    revoke(store, records[4].id).await;
    for (key, count) in [(&key, 2), (&previous, 0), (&gone, 0), (&next, 0)] {
        assert_eq!(count_of(store, Some(key)).await, count);
    }
    assert_eq!(count_of(store, None).await, without_key + 1);

    assert!(
        store.rekey(records[3].id, &records[3].digest, &new_digest(Some(&next))).await.answered()
    );
    assert_eq!(count_of(store, Some(&next)).await, 1, "a token is counted for its new key");
    assert_eq!(count_of(store, None).await, without_key, "and no longer for none");
}

async fn count_of(store: &dyn TokenStore, key: Option<&KeyId>) -> u64 {
    let counts = store.count_by_key().await.answered();
    let counts: Vec<_> = counts.iter().filter(|it| it.0.as_ref() == key).map(|it| it.1).collect();
    assert!(counts.len() <= 1, "a key has one count");
    counts.first().copied().unwrap_or_default()
}

/// The first canary of a key is kept, and answered from then on; another key has its own.
pub async fn the_first_canary_of_a_key_is_kept(store: &dyn TokenStore) {
    let (key, other) = (new_key(), new_key());
    for canary in [[0xC1; 32], [0xC2; 32], [0; 32]] {
        assert_eq!(store.canary(&key, &canary).await.answered(), [0xC1; 32], "the first is kept");
    }
    assert_eq!(store.canary(&other, &[0; 32]).await.answered(), [0; 32], "another key's own");
}

/// Of any number of concurrent canaries of a key one is kept, and all are answered that one.
pub async fn concurrent_canaries_agree_on_one(store: &dyn TokenStore) {
    let key = new_key();
    let canaries: Vec<_> = (0..8).map(|i| [i; 32]).collect();
    let answers = join_all(canaries.iter().map(|canary| store.canary(&key, canary))).await;
    let kept = store.canary(&key, &[0xFF; 32]).await.answered();
    assert!(canaries.contains(&kept), "one of them is kept");
    for answer in answers {
        assert_eq!(answer.answered(), kept, "all are answered the one that is kept");
    }
}
