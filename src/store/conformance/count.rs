//! Counts, for each owner and for each pepper key, and the fingerprints of the keys.

use futures_util::future::join_all;

use super::fixture::*;
use crate::{
    store::{
        KeyCount, TokenStore,
        contract::{Patch, Rotation},
    },
    token::{KeyId, PreviousSecret, TokenRecord},
};

fn by(key: Option<&KeyId>) -> TokenRecord {
    with(&plain(&new_owner()), |it| it.digest = new_digest(key))
}

fn rotated(key: Option<&KeyId>, previous: Option<&KeyId>) -> TokenRecord {
    let previous = PreviousSecret::until(new_digest(previous), at(2));
    with(&rotated_once(&new_owner()), |it| {
        it.digest = new_digest(key);
        it.previous = Some(Box::new(previous));
    })
}

/// Current digests of tokens that are not revoked are counted for each key, and for none.
pub async fn current_digests_are_counted_for_each_key(store: &dyn TokenStore) {
    let [key, gone, next] = [new_key(), new_key(), new_key()];
    let (without_key, _) = counts_of(store, None).await;
    let expired = with(&by(Some(&key)), |it| it.expires_at = Some(at(1)));
    let (last, none) = (by(Some(&gone)), by(None));
    let records = [expired, by(Some(&key)), revoked(by(Some(&key)), at(1)), none, last];
    insert_all(store, &records).await;
    revoke(store, records[4].id).await;
    for (key, count) in [(&key, 2), (&gone, 0), (&next, 0)] {
        assert_eq!(counts_of(store, Some(key)).await, (count, 0));
    }
    assert_eq!(counts_of(store, None).await.0, without_key + 1);

    let (expected, digest) = (records[3].digest.clone(), new_digest(Some(&next)));
    store.update(records[3].id, &Patch::Rekey { expected, digest }).await.updated();
    assert_eq!(counts_of(store, Some(&next)).await.0, 1, "a token is counted for its new key");
    assert_eq!(counts_of(store, None).await.0, without_key, "and no longer for none");
}

/// Previous digests of tokens that are not revoked are counted for each key, and for none, apart from current ones and
/// also past their end. A token that has no previous digest has none that was made without a key.
pub async fn previous_digests_are_counted_for_each_key(store: &dyn TokenStore) {
    let [key, previous, gone] = [new_key(), new_key(), new_key()];
    let (current_without, previous_without) = counts_of(store, None).await;
    let records = [
        rotated(Some(&key), Some(&previous)),
        rotated(Some(&key), Some(&key)),
        rotated(None, Some(&previous)),
        rotated(Some(&key), None),
        rotated(None, None),
        by(None),
        by(Some(&key)),
        revoked(rotated(None, Some(&previous)), at(1)),
        rotated(Some(&gone), Some(&gone)),
        rotated(Some(&gone), None),
    ];
    insert_all(store, &records).await;
    for record in &records[8..] {
        revoke(store, record.id).await;
    }
    for (key, counts) in [(&key, (4, 1)), (&previous, (0, 2)), (&gone, (0, 0))] {
        assert_eq!(counts_of(store, Some(key)).await, counts);
    }
    let without_key = counts_of(store, None).await;
    assert_eq!(without_key, (current_without + 3, previous_without + 2), "without a key");

    let [first, last] = [&records[0], &records[4]];
    let expected = first.previous.as_ref().expect("it has a previous secret").digest.clone();
    let digest = new_digest(None);
    store.update(first.id, &Patch::Rekey { expected, digest }).await.updated();
    let rotation = Rotation {
        digest: new_digest(Some(&key)),
        generation: 2,
        at: at(2_500),
        previous: Some(PreviousSecret::until(new_digest(Some(&previous)), at(2_600))),
        expires_at: None,
    };
    store.update(last.id, &rotate(last, rotation)).await.updated();
    assert_eq!(counts_of(store, Some(&previous)).await, (0, 2), "one came and one went");
    assert_eq!(counts_of(store, Some(&key)).await, (5, 1), "a rotation brings a new digest");
    let without_key = counts_of(store, None).await;
    let counts = (current_without + 2, previous_without + 2);
    assert_eq!(without_key, counts, "one digest came by re-keying, one went by rotation");
}

/// Each key that has made a digest is listed once, in order of the keys, what is without a key first.
pub async fn each_key_is_listed_once_and_in_order(store: &dyn TokenStore) {
    let base = new_id();
    let [first, second, third] = ["A", "Z", "a"].map(|text| key(&format!("{base}{text}")));
    let ended = new_key();
    let records = [
        rotated(Some(&third), Some(&second)),
        by(Some(&first)),
        rotated(Some(&first), None),
        by(Some(&third)),
        revoked(rotated(Some(&ended), Some(&ended)), at(1)),
    ];
    insert_all(store, &records).await;
    let listed = store.count_by_key().await.answered();
    let keys: Vec<_> = listed.iter().map(|it| &it.key).collect();
    assert!(keys.is_sorted_by(|one, next| one < next), "once and in order: {keys:?}");
    assert_eq!(keys.first(), Some(&&None), "a previous digest is without a key");
    assert!(listed.iter().all(|it| it.current + it.previous > 0), "no key for nothing");
    let ours = [(first, 2, 0), (second, 0, 1), (third, 2, 0)];
    let ours = ours.map(|(key, current, previous)| KeyCount { key: Some(key), current, previous });
    let found: Vec<_> = listed.into_iter().filter(|it| ours.contains(it)).collect();
    assert_eq!(found, ours);
}

/// How many current digests were made by a key, and how many previous ones.
async fn counts_of(store: &dyn TokenStore, key: Option<&KeyId>) -> (u64, u64) {
    let counts = store.count_by_key().await.answered();
    let counts: Vec<_> = counts.iter().filter(|it| it.key.as_ref() == key).collect();
    assert!(counts.len() <= 1, "a key has one count");
    counts.first().map_or((0, 0), |it| (it.current, it.previous))
}

/// The first fingerprint of a key is kept, and answered from then on; another key has its own.
pub async fn the_first_fingerprint_of_a_key_is_kept(store: &dyn TokenStore) {
    let (key, other) = (new_key(), new_key());
    for fingerprint in [[0xC1; 32], [0xC2; 32], [0; 32]] {
        assert_eq!(
            store.key_fingerprint(&key, &fingerprint).await.answered(),
            [0xC1; 32],
            "the first is kept"
        );
    }
    assert_eq!(
        store.key_fingerprint(&other, &[0; 32]).await.answered(),
        [0; 32],
        "another key's own"
    );
}

/// Of any number of concurrent fingerprints of a key one is kept, and all are answered that one.
pub async fn concurrent_fingerprints_agree_on_one(store: &dyn TokenStore) {
    let key = new_key();
    let fingerprints: Vec<_> = (0..8).map(|i| [i; 32]).collect();
    let answers =
        join_all(fingerprints.iter().map(|fingerprint| store.key_fingerprint(&key, fingerprint)))
            .await;
    let kept = store.key_fingerprint(&key, &[0xFF; 32]).await.answered();
    assert!(fingerprints.contains(&kept), "one of them is kept");
    for answer in answers {
        assert_eq!(answer.answered(), kept, "all are answered the one that is kept");
    }
}
