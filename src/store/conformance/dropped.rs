//! A step whose future is dropped has happened whole or not at all.

use std::{
    pin::pin,
    task::Poll::{Pending, Ready},
};

use super::{atomic::one_of_each, delete::early, fixture::*};
use crate::{
    store::{
        Order, TokenStore,
        contract::{Change, Deletion, InsertRules, Selection, Siblings, Use},
    },
    token::{Owner, TokenRecord},
};

/// An insert whose future is dropped has added the whole token or none.
pub async fn a_dropped_insert_is_whole_or_nothing(store: &dyn TokenStore) {
    let mut rules = InsertRules::at(at(2_000));
    (rules.unique_name, rules.limit_per_owner) = (true, Some(1));
    for token in [full, plain] {
        let tokens = |owner: &Owner| (vec![], vec![token(owner)]);
        drop_at_every_point(store, tokens, async |_, after| {
            let _ = store.insert(&after[0], &rules).await.answered();
        })
        .await;
    }
}

/// A patch whose future is dropped is written whole or not at all.
pub async fn a_dropped_patch_is_whole_or_nothing(store: &dyn TokenStore) {
    for kind in 0..one_of_each(&unused(&new_owner())).len() {
        let tokens = |owner: &Owner| {
            let before = unused(owner);
            let after = with(&before, |it| {
                let applied = one_of_each(&before)[kind].apply(it, &Siblings::default());
                assert_eq!(applied, Ok(()));
            });
            (vec![before], vec![after])
        };
        drop_at_every_point(store, tokens, async |before, _| {
            let patch = &one_of_each(&before[0])[kind];
            let _ = store.update(before[0].id, patch).await.answered();
        })
        .await;
    }
}

/// A revocation whose future is dropped has revoked all of the selected tokens or none.
pub async fn a_dropped_revocation_is_whole_or_nothing(store: &dyn TokenStore) {
    let revoked = |it: &mut TokenRecord| it.revocation = Some(Box::new(revocation(at(5_000))));
    drop_at_every_point(store, three(revoked), async |before, _| {
        let selection = Selection::Tokens { ids: ids(before), owner: None };
        let _ = end(store, &selection, &revocation(at(5_000))).await.answered();
    })
    .await;
    drop_at_every_point(store, three(revoked), async |before, _| {
        let selection = Selection::AllOf(before[0].owner.clone());
        let _ = end(store, &selection, &revocation(at(5_000))).await.answered();
    })
    .await;
    let siblings = |owner: &Owner| {
        let (mut before, _) = three(revoked)(owner);
        let parent = new_id();
        for record in &mut before {
            record.rare_mut().parent = Some(parent);
        }
        let after = before.iter().map(|record| with(record, revoked)).collect();
        (before, after)
    };
    drop_at_every_point(store, siblings, async |before, _| {
        let parents = before[0].parent().into_iter().collect();
        let selection = Selection::ChildrenOf { parents, after: None };
        let _ = end(store, &selection, &revocation(at(5_000))).await.answered();
    })
    .await;
}

/// A batch of uses whose future is dropped is written whole or not at all.
pub async fn a_dropped_batch_of_uses_is_whole_or_nothing(store: &dyn TokenStore) {
    let used = |it: &mut TokenRecord| {
        it.last_used_at = Some(at(2_000));
        it.last_used_from = None;
        it.rare_mut().used_abilities.extend(["new", "servers:7"].map(ability));
    };
    drop_at_every_point(store, three(used), async |before, _| {
        let abilities = || ["new", "servers:7"].map(ability).into();
        let a_use = |id| Use { abilities: abilities(), ..Use::new(id, at(2_000)) };
        let batch = ids(before).into_iter().map(a_use);
        store.record_uses(&batch.collect::<Vec<_>>()).await.answered();
    })
    .await;
}

/// A deletion whose future is dropped has deleted all that it had to, or nothing.
pub async fn a_dropped_deletion_is_whole_or_nothing(store: &dyn TokenStore) {
    let tokens = |owner: &Owner| (vec![full(owner), plain(owner), full(owner)], vec![]);
    drop_at_every_point(store, tokens, async |before, _| {
        let _ = erase(store, &before[0].owner).await;
    })
    .await;
    let ended = |owner: &Owner| {
        let (mut before, after) = tokens(owner);
        for record in &mut before {
            record.expires_at = Some(early(1));
        }
        (before, after)
    };
    drop_at_every_point(store, ended, async |_, _| {
        let _ = store.delete(&Deletion::EndedBefore(early(2)), 1_000).await.answered();
    })
    .await;
}

/// A fingerprint whose future is dropped is kept or not; the next one is answered what is kept.
pub async fn a_dropped_fingerprint_is_whole_or_nothing(store: &dyn TokenStore) {
    for polls in 0..MOST_POLLS {
        let key = new_key();
        let done = poll(store.key_fingerprint(&key, &[1; 32]), polls, false).await;
        let kept = store.key_fingerprint(&key, &[2; 32]).await.answered();
        assert!(kept == [1; 32] || kept == [2; 32] && !done, "the first fingerprint is kept");
        assert_eq!(
            store.key_fingerprint(&key, &[3; 32]).await.answered(),
            kept,
            "the first is kept"
        );
        if done {
            return;
        }
    }
}

/// A store is as usable as before, however many futures were dropped while they waited: each gives back what it held.
pub async fn a_store_outlives_many_dropped_futures(store: &dyn TokenStore) {
    let record = full(&new_owner());
    insert(store, &record).await;
    let query = query(&record.owner, Order::NEWEST);
    let (one, nothing) =
        ([record.id], Selection::ChildrenOf { parents: vec![new_id()], after: None });
    let change = change_of(&record, Change::default());
    for polls in [1, 2] {
        for _ in 0..50 {
            poll(store.find(&one), polls, false).await;
            poll(store.list(&query), polls, false).await;
            poll(store.insert(&record, &InsertRules::none()), polls, false).await;
            poll(store.update(record.id, &change), polls, false).await;
            poll(end(store, &nothing, &revocation(at(5_000))), polls, false).await;
            poll(store.record_uses(&[Use::new(new_id(), at(1))]), polls, false).await;
            let used = Use { abilities: [ability("new")].into(), ..Use::new(new_id(), at(1)) };
            poll(store.record_uses(&[used]), polls, false).await;
            poll(erase(store, &new_owner()), polls, false).await;
        }
    }
    let kept = read(store, record.id).await;
    let record = with(&record, |it| it.version = kept.version);
    assert_same(&kept, &record, "nothing of all that changes the token");
    assert_eq!(owned_by(store, &record.owner).await.len(), 1);
    store.update(record.id, &change).await.updated();
    store.record_uses(&[Use::new(record.id, at(2_000))]).await.answered();
    let other = plain(&record.owner);
    insert(store, &other).await;
    revoke(store, other.id).await;
    let erased = erase(store, &record.owner).await;
    assert_eq!(sorted(erased), sorted([record.id, other.id]));
}

/// The tokens that an owner has before a step, and those that he has after it.
type BeforeAndAfter = (Vec<TokenRecord>, Vec<TokenRecord>);

fn three(change: impl Fn(&mut TokenRecord)) -> impl Fn(&Owner) -> BeforeAndAfter {
    move |owner| {
        let before = vec![full(owner), plain(owner), full(owner)];
        let after = before.iter().map(|record| with(record, &change)).collect();
        (before, after)
    }
}

/// Enough for any step; a store whose futures need more is tried up to there.
const MOST_POLLS: usize = 40;

/// Drops the step after no poll, after one, and so on until it comes to its end before it is dropped: each time at
/// once after the last poll, and again when what it waits for is there. Then takes it to its end.
async fn drop_at_every_point(
    store: &dyn TokenStore,
    tokens: impl Fn(&Owner) -> BeforeAndAfter,
    step: impl AsyncFn(&[TokenRecord], &[TokenRecord]),
) {
    for polls in 0..MOST_POLLS {
        let mut all_done = true;
        for patient in [false, true] {
            let owner = new_owner();
            let (before, after) = tokens(&owner);
            insert_all(store, &before).await;
            let done = poll(step(&before, &after), polls, patient).await;
            let found = owned_by(store, &owner).await;
            let is = |expected: &[TokenRecord]| {
                found.len() == expected.len()
                    && expected.iter().all(|it| found.iter().any(|found| is_same(found, it)))
            };
            assert!(is(&after) || is(&before) && !done, "dropped after {polls} polls: {found:#?}");

            step(&before, &after).await;
            assert_eq!(owned_by(store, &owner).await.len(), after.len());
            for record in &after {
                // A patch that was done is done again.
                let kept = read(store, record.id).await;
                let again = kept.version == record.version + 1;
                let expected =
                    with(record, |it| it.version = if again { kept.version } else { it.version });
                assert_same(&kept, &expected, "a step can be done after it was dropped");
            }
            all_done &= done;
        }
        if all_done {
            return;
        }
    }
}

/// Polls a future so many times and drops it; tells whether it came to its end.
async fn poll(future: impl Future, polls: usize, patient: bool) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Ready(_) => Ready(true),
            Pending if left == 0 && !patient => Ready(false),
            Pending => Pending,
        }
    })
    .await
}
