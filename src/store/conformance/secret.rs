//! Secrets: rotated once for each expectation, marked once at their first use, re-keyed where they are as expected.

use futures_util::future::join_all;

use super::fixture::*;
use crate::{
    store::{Expected, RotateOutcome, Rotation, TokenStore},
    token::{KeyId, PreviousSecret, Timestamp, TokenDigest, TokenRecord},
};

fn next(record: &TokenRecord) -> Rotation {
    Rotation {
        digest: new_digest(Some(&key("next"))),
        generation: record.generation + 1,
        at: at(2_500),
        previous: Some(PreviousSecret::until(record.digest.clone(), at(6_000))),
        expires_at: record.expires_at,
    }
}

fn rotated(record: &TokenRecord, rotation: &Rotation) -> TokenRecord {
    with(record, |it| {
        it.digest = rotation.digest.clone();
        it.generation = rotation.generation;
        it.rotated_at = Some(rotation.at);
        it.first_used_at = None;
        it.previous = rotation.previous.clone().map(Box::new);
        it.expires_at = rotation.expires_at;
    })
}

/// A rotation replaces secret, generation, previous secret and expiry, takes the first-use mark away, and changes
/// nothing else.
pub async fn a_rotation_replaces_the_secret_and_nothing_else(store: &dyn TokenStore) {
    let bystander = full(&new_owner());
    insert(store, &bystander).await;
    for record in [full(&bystander.owner), plain(&bystander.owner)] {
        insert(store, &record).await;
        let rotation = next(&record);
        let changed = store.rotate(record.id, &Expected::of(&record), &rotation).await.changed();
        let expected = rotated(&record, &rotation);
        assert_same(&changed, &expected, "a rotation answers the token as it is now");
        assert_stored(store, &expected, "a rotation replaces the secret and nothing else").await;

        // Back to a digest without a key, another secret in grace, and the generation that it has.
        let last = Rotation {
            digest: new_digest(None),
            generation: expected.generation,
            at: at(2_600),
            previous: Some(PreviousSecret {
                digest: new_digest(None),
                ends_at: Some(at(2_700)),
                ends_on_first_use: false,
                may_ask_again: false,
            }),
            expires_at: expected.expires_at,
        };
        store.rotate(record.id, &Expected::of(&expected), &last).await.changed();
        let expected = rotated(&expected, &last);
        assert_stored(store, &expected, "a rotation replaces the previous secret").await;
    }
    assert_stored(store, &bystander, "another token stays as it is").await;
}

/// A rotation writes the previous secret as it was told: with or without an end, ended by the first use or not, asked
/// for by whoever bore it or not.
pub async fn a_rotation_keeps_how_the_previous_secret_ends(store: &dyn TokenStore) {
    let mut record = full(&new_owner());
    insert(store, &record).await;
    for ends_at in [None, Some(Timestamp::MAX), Some(at(6_000))] {
        for (ends_on_first_use, may_ask_again) in [(true, false), (false, true), (false, false)] {
            if ends_at.is_none() && !ends_on_first_use {
                // It would never end.
                continue;
            }
            let digest = record.digest.clone();
            let previous =
                Some(PreviousSecret { digest, ends_at, ends_on_first_use, may_ask_again });
            let rotation = Rotation { previous, ..next(&record) };
            store.rotate(record.id, &Expected::of(&record), &rotation).await.changed();
            record = rotated(&record, &rotation);
            assert_stored(store, &record, "the previous secret is as it was told").await;
        }
    }
}

/// A rotation is refused where digest, generation, first-use mark or expiry is no longer as expected.
pub async fn a_rotation_on_what_is_outdated_is_refused(store: &dyn TokenStore) {
    let full = full(&new_owner());
    let plain = plain(&new_owner());
    insert_all(store, &[full.clone(), plain.clone()]).await;
    let wrong: [fn(&mut Expected); 11] = [
        |it| it.digest = new_digest(it.digest.key()),
        |it| {
            let other = if it.digest.key().is_some() { None } else { KeyId::new("other").ok() };
            it.digest = TokenDigest::from_bytes(*it.digest.as_bytes(), other);
        },
        |it| it.generation += 1,
        |it| it.generation = it.generation.wrapping_sub(1),
        |it| it.first_used_at = None,
        |it| it.first_used_at = Some(at(1_099)),
        |it| it.first_used_at = Some(at(1_101)),
        |it| it.first_used_at = Some(at(0)),
        |it| it.expires_at = None,
        |it| it.expires_at = Some(at(9_001)),
        |it| it.expires_at = Some(at(0)),
    ];
    for record in [&full, &plain] {
        for change in wrong {
            let mut expected = Expected::of(record);
            change(&mut expected);
            if expected != Expected::of(record) {
                let outcome = store.rotate(record.id, &expected, &next(record)).await.answered();
                assert_eq!(outcome, RotateOutcome::Outdated, "the token is not {expected:?}");
            }
        }
        assert_stored(store, record, "a rotation that is refused changes nothing").await;
    }
}

/// A revoked token can't be rotated, and an unknown one isn't there.
pub async fn a_revoked_or_unknown_token_is_not_rotated(store: &dyn TokenStore) {
    let record = revoked(full(&new_owner()), at(1_800));
    insert(store, &record).await;
    let (expected, rotation) = (Expected::of(&record), next(&record));
    let outcome = store.rotate(record.id, &expected, &rotation).await.answered();
    assert_eq!(outcome, RotateOutcome::Revoked);
    let outcome = store.rotate(new_id(), &expected, &rotation).await.answered();
    assert_eq!(outcome, RotateOutcome::NotFound);
    assert_stored(store, &record, "a revoked token stays as it is").await;
}

/// Of any number of concurrent rotations with one expectation, one is done: its secret is the one that is kept. So it
/// is where they keep the generation, as a retry does that replaces a secret which was never used.
pub async fn concurrent_rotations_have_one_winner(store: &dyn TokenStore) {
    for (record, step) in [full(&new_owner()), rotated_once(&new_owner())].into_iter().zip([1, 0]) {
        insert(store, &record).await;
        let expected = Expected::of(&record);
        let generation = record.generation + step;
        let rotations: Vec<_> = (0..8).map(|_| Rotation { generation, ..next(&record) }).collect();
        let attempts = rotations.iter().map(|it| store.rotate(record.id, &expected, it));
        let outcomes = join_all(attempts).await.into_iter().map(Answered::answered);
        let (won, lost): (Vec<_>, Vec<_>) = outcomes
            .zip(&rotations)
            .partition(|(outcome, _)| matches!(outcome, RotateOutcome::Rotated(_)));
        assert_eq!(won.len(), 1, "one of the concurrent rotations is done");
        assert!(lost.iter().all(|it| it.0 == RotateOutcome::Outdated), "the others are told");
        assert_stored(store, &rotated(&record, won[0].1), "the winner's secret is kept").await;
    }
}

/// A rotation that brings a new expiry forgets the notices that were claimed for the old one.
pub async fn a_rotation_with_a_new_expiry_forgets_its_notices(store: &dyn TokenStore) {
    for (expires_at, forgets) in [(Some(at(9_000)), false), (Some(at(9_001)), true), (None, true)] {
        let record = full(&new_owner());
        insert(store, &record).await;
        let rotation = Rotation { expires_at, ..next(&record) };
        store.rotate(record.id, &Expected::of(&record), &rotation).await.changed();
        let rare = read(store, record.id).await.rare.clone().unwrap_or_default();
        let none = rare.notices.is_empty();
        assert_eq!(none, forgets, "from 9000 to {expires_at:?}, are the notices forgotten?");
    }
}

/// The first use of a secret is recorded once, and nothing else changes.
pub async fn the_first_use_is_marked_once(store: &dyn TokenStore) {
    for record in
        [rotated_once(&new_owner()), with(&full(&new_owner()), |it| it.first_used_at = None)]
    {
        insert(store, &record).await;
        let mark = async |at| store.mark_first_use(record.id, &record.digest, at).await.answered();
        assert!(mark(at(2_000)).await, "the first use is recorded");
        assert!(!mark(at(1_000)).await, "it is recorded already");
        assert!(!mark(at(3_000)).await, "it is recorded already");
        let expected = with(&record, |it| it.first_used_at = Some(at(2_000)));
        assert_stored(store, &expected, "the first use is recorded once, and that is all").await;
    }
}

/// The first use of a secret that is not the current one, be it one of the same generation that was replaced before it
/// was used, is not recorded.
pub async fn the_first_use_of_another_secret_is_not_marked(store: &dyn TokenStore) {
    let record = with(&full(&new_owner()), |it| it.first_used_at = None);
    let gone = with(&revoked(full(&new_owner()), at(1_800)), |it| it.first_used_at = None);
    insert_all(store, &[record.clone(), gone.clone()]).await;
    let of_another_key = TokenDigest::from_bytes(*record.digest.as_bytes(), None);
    let previous = record.previous.as_ref().expect("it has one").digest.clone();
    for (id, digest) in [
        (record.id, new_digest(record.digest.key())),
        (record.id, of_another_key),
        (record.id, previous),
        (new_id(), record.digest.clone()),
        (gone.id, gone.digest.clone()),
    ] {
        let marked = store.mark_first_use(id, &digest, at(2_000)).await.answered();
        assert!(!marked, "not another secret, an unknown token, or a revoked one");
    }
    assert_stored(store, &record, "nothing is recorded of another secret").await;
    assert_stored(store, &gone, "a revoked token stays as it is").await;
}

/// Of any number of concurrent first uses, one is recorded.
pub async fn concurrent_first_uses_mark_one(store: &dyn TokenStore) {
    let record = rotated_once(&new_owner());
    insert(store, &record).await;
    let uses =
        join_all((0..8).map(|i| store.mark_first_use(record.id, &record.digest, at(2_000 + i))))
            .await;
    let marked = (2_000..).zip(uses).filter(|it| matches!(it.1, Ok(true)));
    let marked: Vec<_> = marked.map(|it| at(it.0)).collect();
    assert_eq!(marked.len(), 1, "one of the concurrent first uses is recorded");
    assert_eq!(read(store, record.id).await.first_used_at, Some(marked[0]));
}

/// A digest, current or previous, is replaced where it is the expected one, and nothing else changes.
pub async fn a_digest_is_rekeyed_where_it_is_expected(store: &dyn TokenStore) {
    let mut record = full(&new_owner());
    let bystander = full(&record.owner);
    insert_all(store, &[record.clone(), bystander.clone()]).await;
    for key in [Some(key("next")), None] {
        let digest = new_digest(key.as_ref());
        assert!(store.rekey(record.id, &record.digest, &digest).await.answered());
        record.digest = digest;
        assert_stored(store, &record, "the current digest is replaced, and that is all").await;

        let digest = new_digest(key.as_ref());
        let previous = record.previous.as_mut().expect("a full record has a previous secret");
        assert!(store.rekey(record.id, &previous.digest, &digest).await.answered());
        previous.digest = digest;
        assert_stored(store, &record, "the previous digest is replaced, and that is all").await;
    }
    assert_stored(store, &bystander, "another token stays as it is").await;
}

/// A digest that is not the expected one, in its bytes or its key, is left alone; so are revoked tokens.
pub async fn a_digest_is_not_rekeyed_where_it_is_another(store: &dyn TokenStore) {
    let record = full(&new_owner());
    let plain = plain(&new_owner());
    let gone = revoked(full(&new_owner()), at(1_800));
    insert_all(store, &[record.clone(), plain.clone(), gone.clone()]).await;
    let digest = new_digest(Some(&key("next")));
    let same_bytes = |of: &TokenDigest, key| TokenDigest::from_bytes(*of.as_bytes(), key);
    for (id, expected) in [
        (record.id, new_digest(record.digest.key())),
        (record.id, same_bytes(&record.digest, None)),
        (record.id, same_bytes(&record.digest, Some(key("previous")))),
        (record.id, plain.digest.clone()),
        (plain.id, same_bytes(&plain.digest, Some(key("current")))),
        (plain.id, new_digest(None)),
        (new_id(), record.digest.clone()),
        (gone.id, gone.digest.clone()),
        (gone.id, gone.previous.as_ref().expect("it has a previous secret").digest.clone()),
    ] {
        assert!(!store.rekey(id, &expected, &digest).await.answered(), "nothing to re-key");
    }
    for record in [record, plain, gone] {
        assert_stored(store, &record, "a digest that is not expected stays as it is").await;
    }
}

/// Of any number of concurrent re-keyings of one digest, one is done.
pub async fn concurrent_rekeyings_have_one_winner(store: &dyn TokenStore) {
    let record = plain(&new_owner());
    insert(store, &record).await;
    let digests: Vec<_> = (0..8).map(|_| new_digest(Some(&key("next")))).collect();
    let done = join_all(digests.iter().map(|it| store.rekey(record.id, &record.digest, it))).await;
    let done: Vec<_> =
        done.into_iter().zip(digests).filter(|it| matches!(it.0, Ok(true))).collect();
    assert_eq!(done.len(), 1, "one of the concurrent re-keyings is done");
    let expected = with(&record, |it| it.digest = done[0].1.clone());
    assert_stored(store, &expected, "the winner's digest is kept").await;
}
