//! Revocations: of the selected tokens and no others, for good, each told once.

use futures_util::future::join_all;

use super::fixture::*;
use crate::{
    store::{TokenStore, contract::Selection},
    token::{Owner, Revocation, Timestamp, TokenId, TokenRecord},
};

fn tokens(records: &[&TokenRecord], owner: Option<&Owner>) -> Selection {
    let ids = records.iter().map(|record| record.id).collect();
    Selection::Tokens { ids, owner: owner.cloned() }
}

/// Revokes at 5,000, and gives the ids in order.
async fn revoke_all(store: &dyn TokenStore, selection: &Selection) -> Vec<TokenId> {
    sorted(end(store, selection, &revocation(at(5_000))).await.answered())
}

/// A revocation is written with instant, actor and reason, each as given or absent, and nothing else changes.
pub async fn a_revocation_is_written_and_nothing_else(store: &dyn TokenStore) {
    let at = at(5_000);
    for revocation in [
        revocation(at),
        Revocation::new(at),
        Revocation { by: Some(actor("revoker")), ..Revocation::new(at) },
        Revocation { reason: Some(reason("stolen")), ..Revocation::new(at) },
        Revocation::new(Timestamp::MIN),
        Revocation::new(Timestamp::MAX),
    ] {
        for record in [full(&new_owner()), plain(&new_owner())] {
            insert(store, &record).await;
            let changed = end(store, &only(record.id), &revocation).await.answered();
            assert_eq!(changed, [record.id]);
            let expected = with(&record, |it| it.revocation = Some(Box::new(revocation.clone())));
            assert_stored(store, &expected, "a revocation is written and nothing else").await;
        }
    }
}

/// Many tokens are revoked at once, each told once though named twice; unknown ids are passed over, and tokens that
/// are not named are spared.
pub async fn many_are_revoked_at_once(store: &dyn TokenStore) {
    assert_eq!(end(store, &tokens(&[], None), &revocation(at(1))).await.answered(), []);
    let (owner, spared) = (new_owner(), plain(&new_owner()));
    let records: Vec<_> = (0..5).map(|_| plain(&owner)).collect();
    insert_all(store, &records).await;
    insert_all(store, &[spared.clone(), plain(&owner)]).await;
    let mut named: Vec<_> = (0..1_500).map(|_| new_id()).collect();
    named.extend(ids(&records));
    named.extend(ids(&records));
    let changed = revoke_all(store, &Selection::Tokens { ids: named, owner: None }).await;
    assert_eq!(changed, ids(&records), "just these have been revoked");
    assert_stored(store, &spared, "a token that is not named is spared").await;
    assert_eq!(count_of(store, &owner).await.0, 1, "one was not named");
}

/// Of the named tokens only those of the owner are revoked where one is given, and those of all owners otherwise.
pub async fn only_tokens_of_the_given_owner_are_revoked(store: &dyn TokenStore) {
    let (owner, stranger) = (new_owner(), new_owner());
    let [mine, theirs] = [plain(&owner), plain(&stranger)];
    insert_all(store, &[mine.clone(), theirs.clone(), plain(&owner)]).await;
    let changed = revoke_all(store, &tokens(&[&theirs], Some(&owner))).await;
    assert_eq!(changed, [], "another owner's token is not there");
    let changed = revoke_all(store, &tokens(&[&theirs, &mine], Some(&owner))).await;
    assert_eq!(changed, [mine.id]);
    assert_stored(store, &theirs, "another owner's token is spared").await;
    let more = plain(&owner);
    insert(store, &more).await;
    let changed = revoke_all(store, &tokens(&[&theirs, &more], None)).await;
    assert_eq!(changed, sorted([theirs.id, more.id]), "without an owner, whosever they are");
}

fn child_of(parent: &TokenRecord, owner: &Owner) -> TokenRecord {
    with(&plain(owner), |it| it.rare_mut().parent = Some(parent.id))
}

fn children_of(parents: &[&TokenRecord], after: Option<TokenId>) -> Selection {
    Selection::ChildrenOf { parents: parents.iter().map(|it| it.id).collect(), after }
}

/// The children of tokens are revoked, of any owner; the parents, their own parents, grandchildren and the children of
/// others are not.
pub async fn the_children_of_tokens_are_revoked(store: &dyn TokenStore) {
    let (owner, other) = (new_owner(), new_owner());
    let above = plain(&owner);
    let parents = [child_of(&above, &owner), child_of(&above, &owner), plain(&other)];
    let expired = with(&child_of(&parents[0], &owner), |it| it.expires_at = Some(at(1)));
    let children = [child_of(&parents[0], &owner), expired, child_of(&parents[1], &other)];
    let mut spared = vec![child_of(&above, &owner), full(&owner), above.clone()];
    spared.extend([child_of(&children[0], &owner), child_of(&spared[0], &owner)]);
    spared.extend(parents.clone());
    insert_all(store, &children).await;
    insert_all(store, &spared).await;
    let parents: Vec<_> = parents.iter().collect();
    assert_eq!(revoke_all(store, &children_of(&parents, None)).await, ids(&children));
    for record in &spared {
        assert_stored(store, record, "only the children of the tokens are revoked").await;
    }
    assert_eq!(revoke_all(store, &children_of(&[], None)).await, [], "no parents, no children");
    assert_eq!(revoke_all(store, &children_of(&parents[2..], None)).await, []);
}

/// Children that were revoked before are found, and stay as they were. Children of a token that is revoked or deleted
/// are found.
pub async fn revoked_children_are_found(store: &dyn TokenStore) {
    let owner = new_owner();
    let parents = [plain(&owner), revoked(plain(&owner), at(1)), plain(&new_owner())];
    let before = revoked(child_of(&parents[0], &owner), at(2));
    let mut children: Vec<_> = parents.iter().map(|it| child_of(it, &owner)).collect();
    insert_all(store, &parents).await;
    insert_all(store, &children).await;
    insert(store, &before).await;
    erase(store, &parents[2].owner).await;
    let parents: Vec<_> = parents.iter().collect();
    let step = store.revoke(&children_of(&parents, None), &revocation(at(5_000)), 1_000).await;
    let step = step.answered();
    assert_eq!(step.changed, ids(&children), "those that were not revoked before");
    children.push(before.clone());
    assert_eq!((step.found, step.more), (ids(&children), false), "all children");
    assert_stored(store, &before, "the first revocation is kept").await;
}

/// A step revokes no more tokens than the limit. Repeated while there are more, it revokes each token once.
pub async fn revoking_works_in_steps(store: &dyn TokenStore) {
    let (owner, parent) = (new_owner(), plain(&new_owner()));
    let records: Vec<_> = (0..7).map(|_| child_of(&parent, &owner)).collect();
    let before = revoked(child_of(&parent, &owner), at(1));
    for selection in [
        Selection::AllOf(owner.clone()),
        tokens(&records.iter().collect::<Vec<_>>(), Some(&owner)),
        children_of(&[&parent], None),
    ] {
        insert_all(store, &records).await;
        insert(store, &before).await;
        let (mut selection, mut changed, mut found) = (selection, Vec::new(), Vec::new());
        for steps in 1.. {
            let step = store.revoke(&selection, &revocation(at(5_000)), 3).await.answered();
            assert!(step.changed.len() <= 3, "no more than the limit");
            changed.extend(step.changed);
            found.extend(step.found.iter().copied());
            assert_eq!(
                count_of(store, &owner).await.0,
                7 - changed.len() as u64,
                "as many are left"
            );
            if !step.more {
                break;
            }
            assert!(steps < 5, "it comes to an end");
            // Of children, each step begins where the last one ended.
            if let Selection::ChildrenOf { after, .. } = &mut selection {
                *after = step.found.last().copied();
            }
        }
        assert_eq!(sorted(changed), ids(&records), "each is told once");
        if matches!(selection, Selection::ChildrenOf { .. }) {
            let mut all = records.clone();
            all.push(before.clone());
            assert_eq!(sorted(found), ids(&all), "each child is found once");
        }
        erase(store, &owner).await;
    }
}

/// Once steps over all tokens of an owner say that there are no more, none is left, also where others revoke the same
/// tokens meanwhile.
pub async fn nothing_is_left_where_others_revoke_meanwhile(store: &dyn TokenStore) {
    for _ in 0..5 {
        let owner = new_owner();
        let records: Vec<_> = (0..20).map(|_| plain(&owner)).collect();
        insert_all(store, &records).await;
        let all = Selection::AllOf(owner.clone());
        let callers = (0..4).map(|_| async {
            let mut changed = Vec::new();
            for steps in 1.. {
                let step = store.revoke(&all, &revocation(at(5_000)), 3).await.answered();
                changed.extend(step.changed);
                if !step.more {
                    break;
                }
                assert!(steps < 100, "it comes to an end");
            }
            assert_eq!(count_of(store, &owner).await.0, 0, "no token is left");
            changed
        });
        let changed = join_all(callers).await.concat();
        assert_eq!(sorted(changed), ids(&records), "each token is told once");
    }
}

/// Named tokens that there are, are found, revoked before or not; unknown ones and those of other owners are not.
pub async fn named_tokens_are_found(store: &dyn TokenStore) {
    let (owner, stranger) = (new_owner(), plain(&new_owner()));
    let records = [plain(&owner), revoked(plain(&owner), at(1))];
    insert_all(store, &records).await;
    insert(store, &stranger).await;
    let named = [&records[0], &records[1], &stranger, &plain(&owner)];
    for changed in [vec![records[0].id], vec![]] {
        let selection = tokens(&named, Some(&owner));
        let step = store.revoke(&selection, &revocation(at(5_000)), 1_000).await.answered();
        assert_eq!((step.changed, step.found, step.more), (changed, ids(&records), false));
    }
}

/// All tokens of an owner are revoked, expired and suspended ones as well, and nobody else's.
pub async fn all_tokens_of_an_owner_are_revoked(store: &dyn TokenStore) {
    let owner = new_owner();
    let mut records: Vec<_> = (0..20).map(|_| plain(&owner)).collect();
    records.extend([full(&owner), with(&plain(&owner), |it| it.expires_at = Some(at(1)))]);
    let gone = revoked(plain(&owner), at(1));
    let child = with(&full(&new_owner()), |it| it.rare_mut().parent = Some(records[0].id));
    insert_all(store, &records).await;
    insert_all(store, &[gone.clone(), child.clone()]).await;
    let changed = revoke_all(store, &Selection::AllOf(owner.clone())).await;
    assert_eq!(changed, ids(&records), "those that were not revoked yet");
    assert_stored(store, &gone, "what was revoked before stays as it was").await;
    assert_stored(store, &child, "another owner's token is spared").await;
    assert_eq!(count_of(store, &owner).await.0, 0);
    assert_eq!(revoke_all(store, &Selection::AllOf(owner)).await, [], "there is nothing left");
}

/// A token that is revoked stays so, with its first instant, actor and reason, whatever comes after.
pub async fn a_revocation_is_irreversible(store: &dyn TokenStore) {
    for first in [Revocation::new(at(4_000)), revocation(at(6_000))] {
        let record = with(&full(&new_owner()), |it| it.revocation = Some(Box::new(first.clone())));
        insert(store, &record).await;
        let selections = [
            only(record.id),
            tokens(&[&record], Some(&record.owner)),
            Selection::AllOf(record.owner.clone()),
        ];
        for selection in &selections {
            assert_eq!(revoke_all(store, selection).await, [], "it was revoked before");
        }
        let parent = record.parent().expect("a full record has a parent");
        let siblings = Selection::ChildrenOf { parents: vec![parent], after: None };
        assert_eq!(revoke_all(store, &siblings).await, []);
        assert_stored(store, &record, "the first revocation is kept").await;
    }
}

/// Of any number of concurrent revocations, each token is told by one, and it is that one's revocation that is kept.
pub async fn concurrent_revocations_tell_each_token_once(store: &dyn TokenStore) {
    let owner = new_owner();
    let parent = plain(&new_owner());
    let records: Vec<_> = (0..10).map(|_| child_of(&parent, &owner)).collect();
    insert_all(store, &records).await;
    let selections = [
        Selection::Tokens { ids: ids(&records), owner: None },
        Selection::Tokens { ids: ids(&records).into_iter().rev().collect(), owner: None },
        Selection::AllOf(owner.clone()),
        children_of(&[&parent], None),
        Selection::Tokens { ids: ids(&records[..5]), owner: Some(owner.clone()) },
    ];
    let revocations: Vec<_> = (5_000..5_005).map(|second| Revocation::new(at(second))).collect();
    let attempts = selections.iter().zip(&revocations).map(|it| end(store, it.0, it.1));
    let changed = join_all(attempts).await.into_iter().map(Answered::answered);
    let mut told = Vec::new();
    for (changed, revocation) in changed.zip(&revocations) {
        for id in changed {
            let kept = read(store, id).await.revocation.clone();
            assert_eq!(kept.as_deref(), Some(revocation), "who tells of a token has revoked it");
            told.push(id);
        }
    }
    assert_eq!(sorted(told), ids(&records), "each token is told once");
}
