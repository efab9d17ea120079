//! Pages of an owner's tokens: whose, in what order, which, and how one goes on after another.

use super::fixture::*;
use crate::{
    store::{Page, PageQuery, Show, Sort, TokenStore},
    token::{Owner, TokenId, TokenRecord},
};

const SORTS: [Sort; 4] = [Sort::Newest, Sort::Oldest, Sort::Name, Sort::LeastRecentlyUsed];

/// A page holds the tokens of one owner and no others; nothing, where the owner has none.
pub async fn a_page_holds_the_tokens_of_one_owner(store: &dyn TokenStore) {
    let (owner, other) = (new_owner(), new_owner());
    let records = various(&owner);
    insert_all(store, &records).await;
    insert_all(store, &various(&other)).await;
    for sort in SORTS {
        let page = store.page(&query(&owner, sort, Show::Any)).await.answered();
        assert_eq!(sorted(ids_on(&page)), ids(&records), "{sort:?}");
        let nothing = store.page(&query(&new_owner(), sort, Show::Any)).await.answered();
        assert_eq!(ids_on(&nothing), []);
        assert_eq!(nothing.end, None);
    }
}

/// Each order sorts as it says, by bytes and with tokens that were never used first; where two tokens are equal in
/// it, their ids decide in the same direction.
pub async fn each_order_sorts_as_it_says(store: &dyn TokenStore) {
    let owner = new_owner();
    let records = various(&owner);
    insert_all(store, &records).await;
    for sort in SORTS {
        let page = store.page(&query(&owner, sort, Show::Any)).await.answered();
        assert_eq!(ids_on(&page), in_order(&records, sort), "{sort:?}");
    }
}

/// A page shows what is not revoked, what is revoked, or both; expired and suspended tokens are not revoked.
pub async fn a_page_shows_what_it_is_asked_for(store: &dyn TokenStore) {
    let owner = new_owner();
    let records = various(&owner);
    insert_all(store, &records).await;
    let (gone, there) = records.split_at(3);
    for record in gone {
        revoke(store, record.id).await;
    }
    for sort in SORTS {
        for (show, shown) in
            [(Show::NotRevoked, there), (Show::Revoked, gone), (Show::Any, &records)]
        {
            let page = store.page(&query(&owner, sort, show)).await.answered();
            assert_eq!(ids_on(&page), in_order(shown, sort), "{show:?} by {sort:?}");
        }
    }
}

/// Only tokens that have not been used since an instant are shown where that is asked for: those never used as well,
/// and none that was used at that very second.
pub async fn a_page_shows_what_was_not_used_since(store: &dyn TokenStore) {
    let owner = new_owner();
    let records = [Some(99), Some(100), Some(101), None]
        .map(|used| with(&plain(&owner), |it| it.last_used_at = used.map(at)));
    insert_all(store, &records).await;
    for sort in SORTS {
        for show in [Show::NotRevoked, Show::Any] {
            let query = PageQuery { unused_since: Some(at(100)), ..query(&owner, sort, show) };
            let page = store.page(&query).await.answered();
            let unused = [records[0].clone(), records[3].clone()];
            assert_eq!(ids_on(&page), in_order(&unused, sort), "{show:?} by {sort:?}");
        }
    }
}

/// One page after another gives every token once and in order, in pages of any size, filtered or not.
pub async fn pages_neither_skip_nor_repeat(store: &dyn TokenStore) {
    let owner = new_owner();
    let records = various(&owner);
    insert_all(store, &records).await;
    insert_all(store, &various(&new_owner())).await;
    revoke(store, records[1].id).await;
    let there: Vec<_> = records.iter().filter(|it| it.id != records[1].id).cloned().collect();
    let unused = |it: &&TokenRecord| it.last_used_at < Some(at(5));
    let unused: Vec<_> = there.iter().filter(unused).cloned().collect();
    for sort in SORTS {
        for limit in [1, 2, 3, 7, 8] {
            for (show, since, shown) in [
                (Show::Any, None, &records),
                (Show::NotRevoked, None, &there),
                (Show::NotRevoked, Some(at(5)), &unused),
            ] {
                let query = PageQuery { unused_since: since, limit, ..query(&owner, sort, show) };
                let seen = walk(limit, &ids(&records), async |after| {
                    store.page(&PageQuery { after, ..query.clone() }).await
                })
                .await;
                let why = "every token once and in order";
                assert_eq!(seen, in_order(shown, sort), "{why}: {show:?}, {sort:?}, {limit}");
            }
        }
    }
}

/// Pages neither skip nor repeat a token when others are added between them, before and after the place where one
/// page ended.
pub async fn pages_are_steady_while_tokens_are_added(store: &dyn TokenStore) {
    for sort in SORTS {
        let owner = new_owner();
        let records = various(&owner);
        insert_all(store, &records).await;
        let mut rounds = 0;
        let seen = walk(2, &ids(&records), async |after| {
            let query = PageQuery { after, limit: 2, ..query(&owner, sort, Show::Any) };
            let page = store.page(&query).await;
            // Without an end to the tokens that are added, there would be none to the pages.
            rounds += 1;
            if rounds <= 4 {
                insert_all(store, &various(&owner)).await;
            }
            page
        })
        .await;
        assert_eq!(seen, in_order(&records, sort), "by {sort:?}");
    }
}

/// A page begins after a position, whether or not there is a token at it: it may have been deleted.
pub async fn a_page_goes_on_where_a_token_is_gone(store: &dyn TokenStore) {
    let owner = new_owner();
    let records = various(&owner);
    let (gone, there) = records.split_at(4);
    insert_all(store, there).await;
    for sort in SORTS {
        for record in gone {
            let query =
                PageQuery { after: Some(sort.position(record)), ..query(&owner, sort, Show::Any) };
            let page = store.page(&query).await.answered();
            let all = in_order(&records, sort);
            let rest = all.into_iter().skip_while(|id| *id != record.id);
            let rest: Vec<_> = rest.filter(|id| there.iter().any(|it| it.id == *id)).collect();
            assert_eq!(ids_on(&page), rest, "by {sort:?}");
        }
    }
}

/// A page has an end where there is more, and only there; it is the position of its last token.
pub async fn a_page_has_an_end_only_where_there_is_more(store: &dyn TokenStore) {
    let owner = new_owner();
    let records = various(&owner);
    insert_all(store, &records).await;
    for sort in SORTS {
        let read = async |limit| -> Page {
            let query = PageQuery { limit, ..query(&owner, sort, Show::Any) };
            store.page(&query).await.answered()
        };
        let part = read(7).await;
        let last = part.records.last().map(|record| sort.position(record));
        assert_eq!(part.records.len(), 7, "a page is full where there is more");
        assert_eq!(part.end, last, "a page ends at its last token, by {sort:?}");
        for limit in [8, 9, u32::MAX] {
            let whole = read(limit).await;
            assert_eq!(whole.records.len(), 8);
            assert_eq!(whole.end, None, "there is no more after 8 of 8 tokens");
        }
    }
}

/// Eight tokens, in order of their ids, with names and uses that are in another order and in part equal.
fn various(owner: &Owner) -> Vec<TokenRecord> {
    let names = ["b", "a", "Z", "a", "é", "a b", "a", "aa"];
    let used = [None, Some(5), Some(-5), None, Some(5), Some(0), Some(5), None];
    let all = new_ids::<8>().into_iter().zip(names).zip(used);
    let record = |((id, name), used): ((_, _), Option<_>)| {
        with(&named(owner, name), |it| {
            it.id = id;
            it.last_used_at = used.map(at);
        })
    };
    all.map(record).collect()
}

fn in_order(records: &[TokenRecord], sort: Sort) -> Vec<TokenId> {
    let mut records: Vec<_> = records.iter().collect();
    match sort {
        Sort::Newest => records.sort_by_key(|it| std::cmp::Reverse(it.id)),
        Sort::Oldest => records.sort_by_key(|it| it.id),
        Sort::Name => records.sort_by_key(|it| (it.name.as_str().as_bytes(), it.id)),
        Sort::LeastRecentlyUsed => records.sort_by_key(|it| (it.last_used_at, it.id)),
    }
    records.into_iter().map(|record| record.id).collect()
}
