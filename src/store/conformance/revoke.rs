//! Revocations: of the selected tokens and no others, for good, each told once.

use futures_util::future::join_all;

use super::fixture::*;
use crate::{
    store::{Selection, TokenStore},
    token::{Owner, Revocation, Timestamp, TokenId, TokenRecord},
};

fn tokens(records: &[&TokenRecord], owner: Option<&Owner>) -> Selection {
    let ids = records.iter().map(|record| record.id).collect();
    Selection::Tokens { ids, owner: owner.cloned() }
}

/// Revokes at 5,000, and gives the ids in order.
async fn revoke_all(store: &dyn TokenStore, selection: &Selection) -> Vec<TokenId> {
    sorted(store.revoke(selection, &revocation(at(5_000))).await.answered())
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
            let changed = store.revoke(&only(record.id), &revocation).await.answered();
            assert_eq!(changed, [record.id]);
            let expected = with(&record, |it| it.revocation = Some(Box::new(revocation.clone())));
            assert_stored(store, &expected, "a revocation is written and nothing else").await;
        }
    }
}

/// Many tokens are revoked at once, each told once though named twice; unknown ids are passed over, and tokens that
/// are not named are spared.
pub async fn many_are_revoked_at_once(store: &dyn TokenStore) {
    assert_eq!(store.revoke(&tokens(&[], None), &revocation(at(1))).await.answered(), []);
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
    assert_eq!(store.count(&owner).await.answered().not_revoked, 1, "one was not named");
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

/// What descends from a token is revoked, of every generation and whosever it is; itself, its own parent and what
/// descends from others are not.
pub async fn the_descendants_of_a_token_are_revoked(store: &dyn TokenStore) {
    let (owner, other) = (new_owner(), new_owner());
    let grandparent = plain(&owner);
    let parent = child_of(&grandparent, &owner);
    let mut spared = vec![child_of(&grandparent, &owner), full(&owner), plain(&owner)];
    spared.extend([child_of(&spared[0], &owner), grandparent, parent.clone()]);
    let mut below = vec![child_of(&parent, &owner), child_of(&parent, &other)];
    below.push(with(&child_of(&below[0], &owner), |it| it.expires_at = Some(at(1))));
    below.extend([child_of(&below[0], &new_owner()), child_of(&below[1], &owner)]);
    for _ in 0..30 {
        below.push(child_of(&below[below.len() - 1], &other));
    }
    insert_all(store, &below).await;
    insert_all(store, &spared).await;
    let changed = revoke_all(store, &Selection::DescendantsOf(parent.id)).await;
    assert_eq!(changed, ids(&below));
    for record in &spared {
        assert_stored(store, record, "only the descendants of the token are revoked").await;
    }
    for without in [new_id(), spared[1].id] {
        let changed = revoke_all(store, &Selection::DescendantsOf(without)).await;
        assert_eq!(changed, [], "a token without descendants");
    }
}

/// Descendants are found through tokens that are revoked, and from one that is; these stay as they were.
pub async fn descendants_are_found_through_revoked_tokens(store: &dyn TokenStore) {
    let owner = new_owner();
    let first = revoked(plain(&owner), at(1));
    let second = revoked(child_of(&first, &owner), at(2));
    let third = child_of(&second, &owner);
    let fourth = child_of(&third, &owner);
    insert_all(store, &[first.clone(), second.clone(), third.clone(), fourth.clone()]).await;
    revoke(store, third.id).await;
    let fifth = child_of(&fourth, &owner);
    insert(store, &fifth).await;
    let changed = revoke_all(store, &Selection::DescendantsOf(first.id)).await;
    assert_eq!(changed, sorted([fourth.id, fifth.id]), "all that was not revoked before");
    for record in [&first, &second] {
        assert_stored(store, record, "the first revocation is kept").await;
    }
    let late = child_of(&fifth, &owner);
    insert(store, &late).await;
    let changed = revoke_all(store, &Selection::DescendantsOf(first.id)).await;
    assert_eq!(changed, [late.id], "one that was issued since");
}

/// Descendants are not found through a token that is deleted, but they are found from its id.
pub async fn descendants_are_not_found_through_deleted_tokens(store: &dyn TokenStore) {
    let owner = new_owner();
    let first = plain(&owner);
    let gone = child_of(&first, &new_owner());
    let records = [child_of(&gone, &owner), child_of(&gone, &owner)];
    insert_all(store, &[first.clone(), gone.clone()]).await;
    insert_all(store, &records).await;
    erase(store, &gone.owner).await;
    assert_eq!(revoke_all(store, &Selection::DescendantsOf(first.id)).await, [], "it has none");
    assert_eq!(revoke_all(store, &Selection::DescendantsOf(gone.id)).await, ids(&records));
    assert_stored(store, &first, "it descends from nothing").await;
}

/// Where parents form a circle, which only damage can bring about, each other token in it is revoked once, and then it
/// ends.
pub async fn parents_that_form_a_circle_come_to_an_end(store: &dyn TokenStore) {
    let owner = new_owner();
    let second = plain(&owner);
    let third = child_of(&second, &owner);
    let first = child_of(&third, &owner);
    let second = with(&second, |it| it.rare_mut().parent = Some(first.id));
    let beside = child_of(&third, &owner);
    let own = with(&first, |it| {
        it.id = new_id();
        it.rare_mut().parent = Some(it.id);
    });
    insert_all(store, &[first.clone(), second.clone(), third.clone()]).await;
    insert_all(store, &[beside.clone(), own.clone()]).await;
    let changed = revoke_all(store, &Selection::DescendantsOf(first.id)).await;
    assert_eq!(changed, sorted([second.id, third.id, beside.id]), "the others in the circle");
    let changed = revoke_all(store, &Selection::DescendantsOf(own.id)).await;
    assert_eq!(changed, [], "a token is no descendant of itself");
    for record in [&first, &own] {
        assert_stored(store, record, "the token itself is spared").await;
    }
    let changed = revoke_all(store, &Selection::DescendantsOf(second.id)).await;
    assert_eq!(changed, [first.id], "through revoked ones, also in a circle");
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
    assert_eq!(store.count(&owner).await.answered().not_revoked, 0);
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
        assert_eq!(revoke_all(store, &Selection::DescendantsOf(parent)).await, []);
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
        Selection::DescendantsOf(parent.id),
        Selection::Tokens { ids: ids(&records[..5]), owner: Some(owner.clone()) },
    ];
    let revocations: Vec<_> = (5_000..5_005).map(|second| Revocation::new(at(second))).collect();
    let attempts = selections.iter().zip(&revocations).map(|it| store.revoke(it.0, it.1));
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
