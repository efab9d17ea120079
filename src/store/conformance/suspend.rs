//! Suspensions: replaced, ended, and never of a revoked token.

use super::fixture::*;
use crate::{
    store::{ChangeOutcome, TokenStore},
    token::{Suspension, Timestamp, TokenRecord},
};

fn suspended(record: &TokenRecord, suspension: Suspension) -> TokenRecord {
    with(record, |it| it.suspension = Some(Box::new(suspension)))
}

/// A suspension is written as given, over the one that is there, and nothing else changes.
pub async fn a_suspension_replaces_the_one_that_is_there(store: &dyn TokenStore) {
    let bystander = full(&new_owner());
    insert(store, &bystander).await;
    let since = Suspension::new(at(2_000));
    let suspensions = [
        Suspension { until: Some(at(3_000)), reason: Some(reason("abuse")), ..since.clone() },
        Suspension { until: Some(at(1_000)), ..since.clone() },
        Suspension { reason: Some(reason("unpaid")), ..Suspension::new(Timestamp::MIN) },
        since,
    ];
    for record in [full(&bystander.owner), plain(&bystander.owner)] {
        insert(store, &record).await;
        for suspension in &suspensions {
            let changed = store.suspend(record.id, suspension).await.changed();
            let expected = suspended(&record, suspension.clone());
            assert_same(&changed, &expected, "a suspension answers the token as it is now");
            assert_stored(store, &expected, "a suspension replaces the last, and that is all")
                .await;
        }
    }
    assert_stored(store, &bystander, "another token stays as it is").await;
}

/// A suspension ends at the instant at which the token is resumed, unless it ended before; its beginning and its
/// reason stay.
pub async fn a_suspension_ends_when_resumed_unless_it_ended_before(store: &dyn TokenStore) {
    for (until, ends) in [
        (None, 5_000),
        (Some(5_001), 5_000),
        (Some(5_000), 5_000),
        (Some(4_999), 4_999),
        (Some(-1), -1),
    ] {
        let given = Suspension {
            until: until.map(at),
            reason: Some(reason("abuse")),
            ..Suspension::new(at(2_000))
        };
        let record = suspended(&full(&new_owner()), given.clone());
        insert(store, &record).await;
        let changed = store.resume(record.id, at(5_000)).await.changed();
        let expected = suspended(&record, Suspension { until: Some(at(ends)), ..given });
        assert_same(&changed, &expected, "resume answers the token as it is now");
        assert_stored(store, &expected, "resume ends the suspension, and that is all").await;
    }
}

/// A token that was never suspended is left as it is when resumed.
pub async fn a_token_that_was_never_suspended_is_left_as_it_is(store: &dyn TokenStore) {
    for record in [plain(&new_owner()), with(&full(&new_owner()), |it| it.suspension = None)] {
        insert(store, &record).await;
        let answered = store.resume(record.id, at(5_000)).await.changed();
        assert_same(&answered, &record, "resume answers the token as it is");
        assert_stored(store, &record, "there is no suspension to end").await;
    }
}

/// A revoked token is neither suspended nor resumed, and an unknown one isn't there.
pub async fn a_revoked_or_unknown_token_is_neither_suspended_nor_resumed(store: &dyn TokenStore) {
    let suspension = Suspension::new(at(2_000));
    for record in [plain(&new_owner()), suspended(&full(&new_owner()), suspension.clone())] {
        let record = revoked(record, at(1_800));
        insert(store, &record).await;
        for (id, outcome) in
            [(record.id, ChangeOutcome::Revoked), (new_id(), ChangeOutcome::NotFound)]
        {
            assert_eq!(store.suspend(id, &suspension).await.answered(), outcome);
            assert_eq!(store.resume(id, at(1)).await.answered(), outcome);
        }
        assert_stored(store, &record, "a revoked token stays as it is").await;
    }
}
