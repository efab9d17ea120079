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
        assert!(store.claim_notice(expected.id, days).await.answered(), "{days} is not claimed");
        assert!(!store.claim_notice(expected.id, days).await.answered(), "{days} is claimed");
        expected.rare_mut().notices.insert(days);
        assert_stored(store, &expected, "a claim is kept, and that is all").await;
    }
    assert_stored(store, &bystander, "another token stays as it is").await;
}

/// Of any number of concurrent claims one succeeds, for each number of days.
pub async fn concurrent_claims_of_a_notice_have_one_winner(store: &dyn TokenStore) {
    let record = with(&plain(&new_owner()), |it| it.expires_at = Some(at(9_000)));
    insert(store, &record).await;
    let claims = join_all((0..24).map(|i| store.claim_notice(record.id, i % 3))).await;
    let won = claims.into_iter().map(Answered::answered).filter(|won| *won).count();
    assert_eq!(won, 3, "one claim for each of three numbers of days");
    let expected = with(&record, |it| it.rare_mut().notices = [0, 1, 2].into());
    assert_stored(store, &expected, "each claim is kept").await;
}

/// Revoked and unknown tokens have no notices.
pub async fn a_revoked_or_unknown_token_has_no_notices(store: &dyn TokenStore) {
    let record = revoked(full(&new_owner()), at(1_800));
    insert(store, &record).await;
    assert!(!store.claim_notice(record.id, 14).await.answered(), "the token is revoked");
    assert!(!store.claim_notice(new_id(), 14).await.answered(), "the token is unknown");
    assert_stored(store, &record, "a revoked token stays as it is").await;
}
