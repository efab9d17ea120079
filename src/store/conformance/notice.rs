//! Notices: claimed by one, for each number of days.

use futures_util::future::join_all;

use super::fixture::*;
use crate::store::TokenStore;

/// A notice is claimed once for each number of days, and nothing else changes.
pub async fn a_notice_is_claimed_once(store: &dyn TokenStore) {
    let record = with(&plain(&new_owner()), |it| it.expires_at = Some(at(9_000)));
    let mut expected = record.clone();
    let bystander = full(&record.owner);
    insert_all(store, &[record, bystander.clone()]).await;
    for days in [7, 1, 30, 0, 10, u16::MAX, 17] {
        assert!(claim(store, &expected, days).await.answered(), "{days} is not claimed");
        assert!(!claim(store, &expected, days).await.answered(), "{days} is claimed");
        expected.rare_mut().notices.insert(days);
        assert_stored(store, &expected, "a claim is kept, and that is all").await;
    }
    assert_stored(store, &bystander, "another token stays as it is").await;
}

/// A notice of another expiry than the stored one is not claimed: the token was given a new one, or none.
pub async fn a_notice_of_another_expiry_is_not_claimed(store: &dyn TokenStore) {
    let expiring = with(&plain(&new_owner()), |it| it.expires_at = Some(at(9_000)));
    let lasting = plain(&new_owner());
    insert_all(store, &[expiring.clone(), lasting.clone()]).await;
    for (record, expected) in [(&expiring, 8_999), (&expiring, 9_001), (&lasting, 9_000)] {
        let claimed = store.claim_notice(record.id, at(expected), 7).await.answered();
        assert!(!claimed, "the token does not expire at {expected}");
        assert_stored(store, record, "a notice that is not claimed changes nothing").await;
    }
}

/// Of any number of concurrent claims one succeeds, for each number of days.
pub async fn concurrent_claims_of_a_notice_have_one_winner(store: &dyn TokenStore) {
    let record = with(&plain(&new_owner()), |it| it.expires_at = Some(at(9_000)));
    insert(store, &record).await;
    let claims = join_all((0..24).map(|i| claim(store, &record, i % 3))).await;
    let won = claims.into_iter().map(Answered::answered).filter(|won| *won).count();
    assert_eq!(won, 3, "one claim for each of three numbers of days");
    let expected = with(&record, |it| it.rare_mut().notices = [0, 1, 2].into());
    assert_stored(store, &expected, "each claim is kept").await;
}

/// Revoked and unknown tokens have no notices.
pub async fn a_revoked_or_unknown_token_has_no_notices(store: &dyn TokenStore) {
    let record = revoked(full(&new_owner()), at(1_800));
    insert(store, &record).await;
    assert!(!claim(store, &record, 14).await.answered(), "the token is revoked");
    assert!(!store.claim_notice(new_id(), at(9_000), 14).await.answered(), "the token is unknown");
    assert_stored(store, &record, "a revoked token stays as it is").await;
}
