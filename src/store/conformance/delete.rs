//! Deletions: of what ended before an instant, in batches, and of all that an owner has.

use super::fixture::*;
use crate::{
    store::{
        TokenStore,
        contract::{Change, Deleted, Deletion, InsertRules, Patch, Selection},
    },
    token::{Owner, Timestamp, TokenRecord},
};

/// Prunes what ended in the first seconds of the year 1, where a store that is in use has nothing.
async fn prune(store: &dyn TokenStore, second: i64, limit: u32) -> usize {
    let deletion = Deletion::EndedBefore(early(second));
    let Deleted { ids, more } = store.delete(&deletion, limit).await.answered();
    assert!(ids.len() <= limit as usize, "no more than the limit");
    assert!(more || ids.len() < limit as usize, "at the limit, others may be left");
    ids.len()
}

pub(super) fn early(second: i64) -> Timestamp {
    at(Timestamp::MIN.unix_seconds() + second)
}

/// Deletes what another clause may have left there.
async fn sweep(store: &dyn TokenStore) {
    while prune(store, 1_000, 1_000).await > 0 {}
}

fn ending(owner: &Owner, expires: Option<i64>, revoked_at: Option<i64>) -> TokenRecord {
    let record = with(&full(owner), |it| {
        it.expires_at = expires.map(early);
        it.rare_mut().notices.clear();
    });
    match revoked_at {
        Some(second) => revoked(record, early(second)),
        None => record,
    }
}

/// What was revoked, or expired, before the instant is deleted; what ended at that very second or later, or has not
/// ended, is spared.
pub async fn pruning_deletes_what_ended_before_and_spares_the_rest(store: &dyn TokenStore) {
    sweep(store).await;
    let owner = new_owner();
    let [before, now, after] = [99, 100, 101].map(Some);
    let ended = [
        ending(&owner, before, None),
        ending(&owner, None, before),
        ending(&owner, before, before),
        ending(&owner, after, before),
        ending(&owner, before, after),
    ];
    let living = [
        ending(&owner, now, None),
        ending(&owner, None, now),
        ending(&owner, now, now),
        ending(&owner, after, now),
        ending(&owner, now, after),
        ending(&owner, None, None),
        with(&plain(&owner), |it| it.created_at = Timestamp::MIN),
    ];
    insert_all(store, &ended).await;
    insert_all(store, &living).await;
    assert_eq!(prune(store, 100, 1_000).await, 5, "five have ended before");
    for record in &ended {
        assert!(find(store, record.id).await.is_none(), "what was pruned is gone");
    }
    for record in &living {
        assert_stored(store, record, "what has not ended before is spared").await;
    }
    assert_eq!(owned_by(store, &owner).await.len(), 7);
    let count = count_of(store, &owner).await;
    assert_eq!(count, (3, 4));
    assert_eq!(prune(store, 100, 1_000).await, 0, "there is nothing left to prune");
}

/// Pruning deletes no more than it is told to at once, and tells how many.
pub async fn pruning_works_in_batches(store: &dyn TokenStore) {
    sweep(store).await;
    let owner = new_owner();
    for i in 0..7 {
        let (expires, revoked) = if i % 2 == 0 { (Some(i), None) } else { (None, Some(i)) };
        insert(store, &ending(&owner, expires, revoked)).await;
    }
    for (limit, deleted, left) in [(0, 0, 7), (3, 3, 4), (3, 3, 1), (3, 1, 0), (u32::MAX, 0, 0)] {
        assert_eq!(prune(store, 100, limit).await, deleted, "at most {limit} are deleted");
        assert_eq!(owned_by(store, &owner).await.len(), left, "as many are left");
    }
}

/// A token stays while another one is there that was issued on its behalf, also where that is of another owner; a chain
/// of tokens that have ended goes from its end, while each step says that there are more.
pub async fn a_parent_is_pruned_after_its_children(store: &dyn TokenStore) {
    sweep(store).await;
    let owner = new_owner();
    let child_of = |parent: &TokenRecord, owner: &Owner, expires| {
        with(&ending(owner, expires, None), |it| it.rare_mut().parent = Some(parent.id))
    };
    let ended = Some(50);
    let kept = ending(&owner, ended, None);
    let between = child_of(&kept, &owner, ended);
    let living = child_of(&between, &new_owner(), None);
    let mut chain = vec![ending(&owner, None, ended)];
    for _ in 0..3 {
        chain.push(child_of(&chain[chain.len() - 1], &owner, ended));
    }
    insert_all(store, &chain).await;
    insert_all(store, &[kept.clone(), between.clone(), living.clone()]).await;
    let mut pruned = Vec::new();
    for steps in 0.. {
        let deletion = Deletion::EndedBefore(early(100));
        let step = store.delete(&deletion, 1_000).await.answered();
        pruned.extend(step.ids);
        if !step.more {
            break;
        }
        assert!(steps < 6, "it comes to an end");
    }
    let chain: Vec<_> = chain.iter().rev().map(|it| it.id).collect();
    assert_eq!(pruned, chain, "the last child first");
    for record in [&kept, &between, &living] {
        assert_stored(store, record, "the way to a living token is kept").await;
    }
    erase(store, &living.owner).await;
    let mut left = 2;
    while prune(store, 100, 1_000).await > 0 {
        left -= 1;
    }
    assert_eq!(left, 0, "without children they go as well");
}

/// A token that came to its end by a step is pruned like one that was inserted so; one whose end was moved is not.
pub async fn pruning_goes_by_the_end_that_is_stored_now(store: &dyn TokenStore) {
    sweep(store).await;
    let owner = new_owner();
    let [revoked, shortened, extended, freed] =
        [None, None, Some(50), Some(50)].map(|expires| ending(&owner, expires, None));
    let records = [&revoked, &shortened, &extended, &freed];
    for record in records {
        insert(store, record).await;
    }
    end(store, &only(revoked.id), &revocation(early(50))).await.answered();
    for (record, expiry) in [(&shortened, Some(50)), (&extended, Some(100)), (&freed, None)] {
        let expires_at = Some(expiry.map(early));
        let patch = Patch::Change {
            expected_expiry: record.expires_at,
            change: Change { expires_at, ..Change::default() },
            rules: InsertRules::at(early(49)),
        };
        store.update(record.id, &patch).await.updated();
    }
    assert_eq!(prune(store, 100, 1_000).await, 2, "one was revoked, one expires earlier now");
    let left = owned_by(store, &owner).await.iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(left, sorted([extended.id, freed.id]), "one expires later now, one never");
}

/// Deleting works in steps of at most the limit. The last one says that there are no more.
pub async fn erasing_works_in_steps(store: &dyn TokenStore) {
    let owner = new_owner();
    let records: Vec<_> = (0..7).map(|_| plain(&owner)).collect();
    insert_all(store, &records).await;
    let (mut erased, mut steps) = (Vec::new(), 0);
    loop {
        let step = store.delete(&Deletion::AllOf(owner.clone()), 3).await.answered();
        assert!(step.ids.len() <= 3, "no more than the limit");
        steps += 1;
        erased.extend(step.ids);
        assert_eq!(owned_by(store, &owner).await.len(), 7 - erased.len(), "as many are left");
        if !step.more {
            break;
        }
        assert!(steps < 5, "it comes to an end");
    }
    assert_eq!(sorted(erased), ids(&records), "each is told once");
}

/// All tokens of an owner are erased, whatever their state, and told; nobody else's are.
pub async fn all_tokens_of_an_owner_are_erased(store: &dyn TokenStore) {
    let owner = new_owner();
    let mut records: Vec<_> = (0..20).map(|_| plain(&owner)).collect();
    records.extend([
        full(&owner),
        revoked(full(&owner), at(1_800)),
        with(&plain(&owner), |it| it.expires_at = Some(at(1))),
    ]);
    let child = with(&full(&new_owner()), |it| it.rare_mut().parent = Some(records[0].id));
    insert_all(store, &records).await;
    insert(store, &child).await;
    assert_eq!(sorted(erase(store, &owner).await), ids(&records), "it tells which");
    for record in &records {
        assert!(find(store, record.id).await.is_none(), "what was erased is gone");
    }
    assert!(owned_by(store, &owner).await.is_empty());
    assert_eq!(count_of(store, &owner).await, (0, 0));
    let revoked = end(store, &Selection::AllOf(owner.clone()), &revocation(at(1))).await;
    assert_eq!(revoked.answered(), [], "there is nothing left to revoke");
    assert_eq!(erase(store, &owner).await, [], "there is nothing left to erase");
    assert_stored(store, &child, "another owner's token is spared").await;
}
