//! What tokens were seen to use: added to, and never anything else.

use std::collections::BTreeSet;

use futures_util::future::{join_all, join3};

use super::fixture::*;
use crate::{
    store::{
        TokenStore,
        contract::{Change, MOST_USED_ABILITIES, Use},
    },
    token::{Abilities, TokenId, TokenRecord},
};

/// A use of an ability, which is earlier than the last use of a full token.
fn used(id: TokenId, text: &str) -> Use {
    Use { abilities: [ability(text)].into(), ..Use::new(id, at(1_400)) }
}

fn after(record: &TokenRecord, used: &[&str]) -> TokenRecord {
    let used = used.iter().map(|text| ability(text));
    with(record, |it| {
        it.last_used_at = it.last_used_at.max(Some(at(1_400)));
        it.rare_mut().used_abilities.extend(used);
    })
}

/// Parts of each other, and equal but for their case: each is an ability of its own.
const ALIKE: [&str; 11] =
    ["b", "a:b", "a", "A", "aa", "a.b", "a-b", "a_b", "a:b:c", "a:*", "Servers:42:restart"];

/// An ability is added to those that are there, each once, however often it is said and whatever it looks like, and
/// nothing else changes; it need not be one that the token holds.
pub async fn each_ability_is_added_once(store: &dyn TokenStore) {
    let bystander = full(&new_owner());
    insert(store, &bystander).await;
    for record in [full(&bystander.owner), plain(&bystander.owner)] {
        insert(store, &record).await;
        for (i, text) in ALIKE.iter().enumerate() {
            for _ in 0..2 {
                let twice = [used(record.id, text), used(record.id, text)];
                store.record_uses(&twice).await.answered();
                let expected = after(&record, &ALIKE[..=i]);
                assert_stored(store, &expected, "an ability is added once, and that is all").await;
            }
        }
        let all = ALIKE.map(|text| used(record.id, text));
        store.record_uses(&all).await.answered();
        let abilities = ALIKE.map(ability).into();
        store.record_uses(&[Use { abilities, ..used(record.id, "a") }]).await.answered();
        assert_stored(store, &after(&record, &ALIKE), "what is there is not added again").await;
    }
    assert_stored(store, &bystander, "another token stays as it is").await;
}

/// A hundred abilities are kept of a token, those that were there before among them; what is past that is let go.
pub async fn a_hundred_abilities_are_kept(store: &dyn TokenStore) {
    let texts: Vec<_> = (0..150).map(|i| format!("{i:0>99}")).collect();
    let owner = new_owner();
    for there in [0, 1, 98, 99, 100] {
        let record = with(&plain(&owner), |it| {
            it.rare_mut().used_abilities = (0..there).map(|i| ability(&format!("{i}"))).collect();
        });
        insert(store, &record).await;
        let uses: Vec<_> = texts.iter().map(|text| used(record.id, text)).collect();
        store.record_uses(&uses).await.answered();
        let said: BTreeSet<_> = uses.iter().flat_map(|it| it.abilities.clone()).collect();
        let before = &record.rare.as_ref().expect("it has used abilities").used_abilities;
        let found = read(store, record.id).await;
        let kept = &found.rare.as_ref().expect("it has used abilities").used_abilities;
        assert_eq!(
            kept.len(),
            MOST_USED_ABILITIES as usize,
            "as many are kept, where {there} were there"
        );
        assert!(kept.is_superset(before), "what was there before stays");
        assert!(kept.is_subset(&(before | &said)), "what is kept was said");
        let expected = with(&after(&record, &[]), |it| {
            it.rare_mut().used_abilities.clone_from(kept);
        });
        assert_same(&found, &expected, "and that is all");

        let (known, new) = (kept.first().expect("a hundred"), used(record.id, "new"));
        let known = Use { abilities: [known.clone()].into(), ..new.clone() };
        store.record_uses(&[new, known]).await.answered();
        assert_stored(store, &expected, "there is no room for more").await;
    }
}

/// A use makes no token: ids that are not there are passed over, and the others are written.
pub async fn an_ability_that_is_used_makes_no_token(store: &dyn TokenStore) {
    let (record, erased) = (plain(&new_owner()), plain(&new_owner()));
    insert_all(store, &[record.clone(), erased.clone()]).await;
    erase(store, &erased.owner).await;
    let unknown = new_id();
    let uses = [unknown, record.id, erased.id].map(|id| used(id, "a"));
    store.record_uses(&uses).await.answered();
    for id in [unknown, erased.id] {
        assert!(find(store, id).await.is_none(), "a use makes no token");
    }
    assert!(owned_by(store, &erased.owner).await.is_empty());
    assert_stored(store, &after(&record, &["a"]), "the others of the batch are written").await;
}

/// A revoked token is passed over and stays as it is.
pub async fn a_revoked_token_uses_nothing(store: &dyn TokenStore) {
    let gone = [(), ()].map(|()| revoked(full(&new_owner()), at(1_800)));
    let record = with(&plain(&new_owner()), |it| it.expires_at = Some(at(1)));
    insert_all(store, &gone).await;
    insert(store, &record).await;
    let uses = [gone[0].id, record.id, gone[1].id].map(|id| used(id, "a"));
    store.record_uses(&uses).await.answered();
    for record in &gone {
        assert_stored(store, record, "a revoked token stays as it is").await;
    }
    assert_stored(store, &after(&record, &["a"]), "an expired token is like any other").await;
}

/// A batch may be large, may be empty, and adds to each token its own.
pub async fn a_large_batch_adds_to_each_token(store: &dyn TokenStore) {
    store.record_uses(&[]).await.answered();
    let owner = new_owner();
    let records: Vec<_> = (0..10).map(|_| plain(&owner)).collect();
    insert_all(store, &records).await;
    let mut uses: Vec<_> = (0..1_500).map(|_| used(new_id(), "a")).collect();
    for (place, i) in uses.iter_mut().step_by(37).zip(0..40) {
        *place = used(records[i % 10].id, &format!("n{i}"));
    }
    store.record_uses(&uses).await.answered();
    for (i, record) in records.iter().enumerate() {
        let own: Vec<_> = (0..4).map(|round| format!("n{}", i + 10 * round)).collect();
        let own: Vec<_> = own.iter().map(String::as_str).collect();
        assert_stored(store, &after(record, &own), "each token has its own").await;
    }
}

/// What concurrent batches add all stays, and what others change meanwhile stays as well.
pub async fn concurrent_ability_uses_all_stay(store: &dyn TokenStore) {
    let records = [plain(&new_owner()), plain(&new_owner())];
    insert_all(store, &records).await;
    let texts: Vec<_> = (0..8).map(|i| format!("n{i}")).collect();
    let batches = texts.iter().enumerate().map(|(i, text)| {
        // Every other batch in the opposite order: a store that locks row by row must not wait in a circle.
        let [first, second] = if i % 2 == 0 { [0, 1] } else { [1, 0] };
        [used(records[first].id, text), used(records[second].id, text), used(records[1].id, "all")]
    });
    let batches: Vec<_> = batches.collect();
    let uses = join_all(batches.iter().map(|batch| store.record_uses(batch)));
    let (selection, revocation) = (only(records[0].id), revocation(at(5_000)));
    let change = Change { abilities: Abilities::set(["new"]).ok(), ..Change::default() };
    let change = change_of(&records[1], change);
    let (uses, revoked, changed) =
        join3(uses, end(store, &selection, &revocation), store.update(records[1].id, &change))
            .await;
    uses.into_iter().for_each(Answered::answered);
    assert_eq!(revoked.answered(), [records[0].id]);
    changed.updated();
    let found = read(store, records[0].id).await;
    assert_eq!(found.revocation.as_deref(), Some(&revocation), "a use revives nothing");
    let mut all: Vec<_> = texts.iter().map(String::as_str).collect();
    all.push("all");
    let expected = with(&after(&records[1], &all), |it| {
        it.abilities = Abilities::set(["new"]).expect("a good ability");
        it.version = 1;
    });
    assert_stored(store, &expected, "all that was used and the change are there").await;
}
