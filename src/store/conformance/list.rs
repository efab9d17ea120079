//! Lists: a table of filters and orders over tokens that differ in all that these ask for. [`Query::page`] and
//! [`Filter::count`] say what is right.

use std::num::NonZeroU32;

use super::fixture::*;
use crate::{
    store::{
        Order, SortBy, TokenStore,
        contract::{Counts, Filter, Query, SharedRecord, States},
    },
    token::{
        Abilities, Owner, Suspension, TokenRecord,
        TokenState::{self, Active, Expired, Idle, NotYetValid, Revoked, Suspended},
    },
};

/// The instant at which states are judged.
const NOW: i64 = 2_000;

fn orders() -> Vec<Order> {
    let by = [SortBy::Created, SortBy::Name, SortBy::LastUsed, SortBy::Expires].map(Order::by);
    by.into_iter().flat_map(|order| [order, order.reversed()]).collect()
}

/// A token of each kind, whose ids, creations, names, uses and expiries are each in another order, and in part equal.
fn various(owner: &Owner) -> Vec<TokenRecord> {
    let names = [
        "b",
        "a",
        "Z",
        "a",
        "é",
        "a b",
        "ÉCOLE",
        "aa",
        "İstanbul",
        "a%b",
        "a_b",
        "A\\b",
        "straße",
        "b",
    ];
    let mut records: Vec<_> = names.iter().map(|name| named(owner, name)).collect();
    let mut ids = new_ids::<14>();
    ids.rotate_left(5);
    let used = [None, Some(5), Some(-5), None, Some(1_999), Some(0), Some(5)];
    let expires = [None, Some(NOW), Some(9_000), Some(NOW + 1), None, Some(9_000), Some(-7)];
    let created = [3, 1, 2, 2, 1_500, 3, 1];
    for (place, record) in records.iter_mut().enumerate() {
        record.id = ids[place];
        record.last_used_at = used[place % used.len()].map(at);
        record.expires_at = expires[(place + 3) % expires.len()].map(at);
        record.created_at = at(created[(place / 2) % created.len()]);
    }
    let abilities = [
        Abilities::all(),
        Abilities::none(),
        Abilities::set(["servers:42:read"]).expect("good abilities"),
        Abilities::set(["servers:42:*", "a"]).expect("good abilities"),
        Abilities::set(["servers:*"]).expect("good abilities"),
        Abilities::set(["servers:42:ready", "xservers:42:read"]).expect("good abilities"),
    ];
    for (place, record) in records.iter_mut().enumerate() {
        record.abilities = abilities[place % abilities.len()].clone();
    }
    let suspended = |until: Option<i64>| {
        Some(Box::new(Suspension { until: until.map(at), ..Suspension::new(at(1_000)) }))
    };
    records[0].revocation = Some(Box::new(revocation(at(1))));
    records[1].revocation = Some(Box::new(revocation(at(NOW + 5))));
    records[2].suspension = suspended(None);
    records[3].suspension = suspended(Some(NOW));
    records[4].suspension = suspended(Some(NOW + 1));
    records[5].not_before = Some(at(NOW));
    records[7].not_before = Some(at(NOW + 1));
    for place in [6, 8, 9, 10] {
        records[place].expires_at = None;
    }
    // It is idle from the second on that this ends at, counted from the latest of four instants.
    for (place, period) in [(8, NOW - 5), (9, NOW - 4), (10, NOW - 2)] {
        records[place].idle_seconds = u32::try_from(period).ok().and_then(NonZeroU32::new);
    }
    records[6].idle_seconds = NonZeroU32::new(100);
    records[6].suspension = suspended(Some(NOW - 100));
    records[11].idle_seconds = NonZeroU32::new(100);
    let rotated = rotated_once(owner);
    records[11].generation = rotated.generation;
    records[11].rotated_at = rotated.rotated_at;
    records[11].previous = rotated.previous;
    records[11].first_used_at = Some(at(NOW - 99));
    records[11].expires_at = None;
    records
}

/// Every filter, for tokens of an owner or of all owners.
fn filters(owner: Option<&Owner>) -> Vec<Filter> {
    let all = || Filter::new(owner.cloned(), at(NOW));
    let states =
        |states: &[TokenState]| Filter { states: states.iter().copied().collect(), ..all() };
    let mut filters = vec![all(), Filter { states: States::NOT_REVOKED, ..all() }, states(&[])];
    filters
        .extend([Active, Expired, Idle, NotYetValid, Revoked, Suspended].map(|it| states(&[it])));
    filters.extend([states(&[Active, Idle]), states(&[Revoked, Expired, Suspended])]);
    let parts =
        ["a", "A", "b", "éc", "É", "%", "_", "\\", "istan", "i\u{307}", "ß", "ab", "\0", "a b"];
    filters.extend(parts.map(|part| Filter { name_part: Some(part.to_owned()), ..all() }));
    let abilities = ["servers:42:read", "servers:42", "servers:7", "a", "other"];
    filters.extend(abilities.map(|it| Filter { ability: Some(ability(it)), ..all() }));
    for instant in [-5, 0, 5, 2_000] {
        filters.push(Filter { unused_since: Some(at(instant)), ..all() });
    }
    for instant in [1, 2, 1_501] {
        filters.push(Filter { created_before: Some(at(instant)), ..all() });
    }
    for (after, until) in [(NOW, NOW + 1), (NOW - 1, NOW), (-8, 9_000), (NOW, NOW)] {
        filters.push(Filter { expires: Some((at(after), at(until))), ..all() });
    }
    filters.push(Filter {
        states: [Active, Idle, NotYetValid].into_iter().collect(),
        name_part: Some("A".to_owned()),
        ability: Some(ability("servers:42:read")),
        created_before: Some(at(4)),
        unused_since: Some(at(1_000)),
        expires: Some((at(NOW), at(9_000))),
        ..all()
    });
    filters
}

fn shared(records: &[TokenRecord]) -> impl Iterator<Item = SharedRecord> {
    records.iter().cloned().map(SharedRecord::from)
}

async fn insert_various(store: &dyn TokenStore) -> (Owner, Vec<TokenRecord>) {
    let (owner, stranger) = (new_owner(), new_owner());
    let records = various(&owner);
    insert_all(store, &records).await;
    insert_all(store, &various(&stranger)).await;
    (owner, records)
}

/// A list holds the tokens of its owner that its filter matches, in its order: for each filter and each order.
pub async fn a_list_holds_what_its_filter_matches_in_its_order(store: &dyn TokenStore) {
    let (owner, records) = insert_various(store).await;
    for filter in filters(Some(&owner)) {
        for order in orders() {
            let query = Query::new(filter.clone(), order, 100);
            let page = store.list(&query).await.answered();
            let expected = query.page(shared(&records));
            assert_eq!(ids_on(&page), ids_on(&expected), "{query:?}");
            assert_eq!(page.end, None, "there is no more: {query:?}");
        }
    }
    let nobody = Filter::new(Some(new_owner()), at(NOW));
    let nothing = store.list(&Query::new(nobody, Order::NEWEST, 100)).await.answered();
    assert_eq!((ids_on(&nothing), nothing.end), (vec![], None));
}

/// One page after another gives each token once and in order, in pages of any size. A page that is not the last one is
/// full, and ends at its last token.
pub async fn pages_neither_skip_nor_repeat(store: &dyn TokenStore) {
    let (owner, records) = insert_various(store).await;
    for filter in filters(Some(&owner)).into_iter().step_by(5) {
        for order in orders() {
            for limit in [1, 2, 3, 13, 14, 15] {
                let mut query = Query::new(filter.clone(), order, limit);
                loop {
                    let page = store.list(&query).await.answered();
                    let expected = query.page(shared(&records));
                    assert_eq!(ids_on(&page), ids_on(&expected), "{query:?}");
                    assert_eq!(page.end, expected.end, "{query:?}");
                    if page.end.is_none() {
                        break;
                    }
                    query.after = page.end;
                }
            }
        }
    }
}

/// Pages neither skip nor repeat a token when others are added between them, before and after the place where one page
/// ended.
pub async fn pages_are_steady_while_tokens_are_added(store: &dyn TokenStore) {
    for order in orders() {
        let owner = new_owner();
        let records = various(&owner);
        insert_all(store, &records).await;
        let all = Query::new(Filter::new(Some(owner.clone()), at(NOW)), order, 2);
        let mut rounds = 0;
        let seen = walk(2, &ids(&records), async |after| {
            let page = store.list(&Query { after, ..all.clone() }).await;
            // Without an end to the tokens that are added, there would be none to the pages.
            rounds += 1;
            if rounds <= 4 {
                insert_all(store, &various(&owner)).await;
            }
            page
        })
        .await;
        let expected = Query { limit: 100, ..all }.page(shared(&records));
        assert_eq!(seen, ids_on(&expected), "{order}");
    }
}

/// A page begins after a position, whether or not there is a token at it: it may have been deleted.
pub async fn a_page_goes_on_where_a_token_is_gone(store: &dyn TokenStore) {
    let owner = new_owner();
    let records = various(&owner);
    let (gone, there) = records.split_at(7);
    insert_all(store, there).await;
    for order in orders() {
        for record in gone {
            let mut query = Query::new(Filter::new(Some(owner.clone()), at(NOW)), order, 100);
            query.after = Some(order.position(record));
            let page = store.list(&query).await.answered();
            assert_eq!(ids_on(&page), ids_on(&query.page(shared(there))), "{query:?}");
        }
    }
}

/// A list of all owners holds the tokens of each owner. Its pages may hold fewer than the limit.
pub async fn a_list_of_all_owners_holds_everybodys_tokens(store: &dyn TokenStore) {
    let mut records = Vec::new();
    for _ in 0..3 {
        records.extend(insert_various(store).await.1);
    }
    for filter in filters(None) {
        for order in [Order::OLDEST, Order::NEWEST, Order::by(SortBy::Expires)] {
            let query = Query::new(filter.clone(), order, 1_000);
            let ours = ids(&records);
            let seen = walk(1_000, &ours, async |after| {
                store.list(&Query { after, ..query.clone() }).await
            });
            let expected = ids_on(&query.page(shared(&records)));
            assert_eq!(seen.await, expected, "{query:?}");
        }
    }
}

/// The tokens that a filter matches are counted by their states.
pub async fn tokens_are_counted_by_their_states(store: &dyn TokenStore) {
    let (owner, records) = insert_various(store).await;
    for filter in filters(Some(&owner)) {
        let counts = store.count(&filter).await.answered();
        assert_eq!(counts, filter.count(shared(&records)), "{filter:?}");
    }
    let nobody = Filter::new(Some(new_owner()), at(NOW));
    assert_eq!(store.count(&nobody).await.answered(), Counts::default());
    // Others may add tokens and delete their own meanwhile.
    let (_, others) = insert_various(store).await;
    let ours: Vec<_> = records.into_iter().chain(others).collect();
    let all = Filter::new(None, at(NOW));
    let (counts, least) = (store.count(&all).await.answered(), all.count(shared(&ours)));
    assert!(counts.active >= least.active && counts.revoked >= least.revoked, "{counts:?}");
}
