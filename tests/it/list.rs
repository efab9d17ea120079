//! Listing: every token of an owner on some page, and nobody else's on any.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use keyfob::{
    ApiTokens, ListTokens, NewToken, TokenId, TokenState,
    store::{Order, SortBy},
};
use serde_json::{Value, json};

use crate::support::{World, after, ids, on_every_store, wrong_field};

on_every_store! {
    pages_show_each_token_once_the_newest_first
    a_page_holds_1_to_200_tokens
    a_cursor_fits_its_own_listing_alone
    a_cursor_longer_than_any_that_is_given_out_is_refused
    a_forged_cursor_moves_within_ones_own_tokens
    each_order_and_filter_is_kept_over_all_pages
}

/// The ids on all pages.
async fn walk(tokens: &ApiTokens, world: &World, list: ListTokens) -> Vec<TokenId> {
    let own = tokens.owned_by(&world.owner);
    let (mut seen, mut next) = (Vec::new(), list.clone());
    loop {
        let page = own.list(next).await.unwrap();
        assert!(page.unreadable.is_empty());
        seen.extend(page.tokens.iter().map(|it| it.id));
        match page.next_cursor {
            Some(cursor) => next = list.clone().cursor(cursor),
            None => return seen,
        }
        assert!(seen.len() < 1_000, "pages go on for ever");
    }
}

async fn pages_show_each_token_once_the_newest_first(world: World) {
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 7).await;
    tokens.issue(NewToken::new(world.stranger.clone(), "theirs")).await.map(drop).unwrap();
    let mut expected = ids(&issued);
    expected.reverse();
    for per_page in [1, 2, 3, 6, 7, 8, 200] {
        let listed = walk(&tokens, &world, ListTokens::new().per_page(per_page)).await;
        assert_eq!(listed, expected, "{per_page} a page");
    }
    let first = tokens.owned_by(&world.owner).list(ListTokens::new().per_page(7)).await.unwrap();
    assert_eq!(first.next_cursor, None, "after the last page there is no other");
}

async fn a_page_holds_1_to_200_tokens(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    for (per_page, good) in [(0, false), (1, true), (200, true), (201, false), (u32::MAX, false)] {
        let page = own.list(ListTokens::new().per_page(per_page)).await;
        assert_eq!(page.is_ok(), good, "{per_page}");
        if !good {
            assert_eq!(wrong_field(page), "per_page");
        }
    }
}

async fn a_cursor_fits_its_own_listing_alone(world: World) {
    let tokens = world.tokens();
    world.issue_many(&tokens, 3).await;
    for _ in 0..3 {
        tokens.issue(NewToken::new(world.stranger.clone(), "theirs")).await.map(drop).unwrap();
    }
    let (own, theirs) = (tokens.owned_by(&world.owner), tokens.owned_by(&world.stranger));
    let list = || ListTokens::new().per_page(1);
    let cursor = own.list(list()).await.unwrap().next_cursor.unwrap();
    assert!(own.list(list().per_page(200).cursor(&cursor)).await.is_ok(), "the size may change");
    for other in [
        list().sort(Order::OLDEST),
        list().sort(Order::by(SortBy::Name)),
        list().any_state(),
        list().unused_since(after(5)),
    ] {
        assert_eq!(wrong_field(own.list(other.cursor(&cursor)).await), "cursor");
    }
    assert_eq!(wrong_field(theirs.list(list().cursor(&cursor)).await), "cursor");
    let long = "A".repeat(100_000);
    let cut = &cursor[..cursor.len() - 1];
    for garbage in ["", "x", "====", "bnVsbA", "e30", "é", "\0", cut, &format!("{cursor} "), &long]
    {
        assert_eq!(wrong_field(own.list(list().cursor(garbage)).await), "cursor", "{garbage}");
    }
}

/// What is refused for its length is not even decoded.
async fn a_cursor_longer_than_any_that_is_given_out_is_refused(world: World) {
    let tokens = world.tokens();
    world.issue_many(&tokens, 2).await;
    let (own, list) = (tokens.owned_by(&world.owner), || ListTokens::new().per_page(1));
    let cursor = own.list(list()).await.unwrap().next_cursor.unwrap();
    let text = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap();
    for (spaces, is_good) in [(100, true), (4_000, false)] {
        let padded = [text.clone(), vec![b' '; spaces]].concat();
        let padded = BASE64_URL_SAFE_NO_PAD.encode(padded);
        assert_eq!(own.list(list().cursor(padded)).await.is_ok(), is_good, "{spaces}");
    }
}

async fn a_forged_cursor_moves_within_ones_own_tokens(world: World) {
    let tokens = world.tokens();
    let mine = world.issue_many(&tokens, 3).await;
    let theirs = tokens.issue(NewToken::new(world.stranger.clone(), "theirs")).await.unwrap();
    let mine: BTreeSet<_> = ids(&mine).into_iter().collect();
    let own = tokens.owned_by(&world.owner);
    for sort in [Order::NEWEST, Order::OLDEST, Order::by(SortBy::Name), Order::by(SortBy::LastUsed)]
    {
        let list = || ListTokens::new().per_page(1).sort(sort);
        let cursor = own.list(list()).await.unwrap().next_cursor.unwrap();
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        let honest: Value = serde_json::from_slice(&bytes).unwrap();
        let mut forged = Vec::new();
        for id in [theirs.record.id, TokenId::from_u128(0), TokenId::from_u128(u128::MAX)] {
            let mut cursor = honest.clone();
            cursor["after"]["id"] = json!(id);
            forged.push(cursor);
        }
        for key in [
            json!({ "Name": "" }),
            json!({ "Name": "' OR owner <> '" }),
            json!({ "Name": "\0zz" }),
            json!({ "Name": "a\0b" }),
            json!({ "Instant": i64::MIN }),
            json!({ "Instant": i64::MAX }),
            json!({ "Instant": "1" }),
        ] {
            let mut cursor = honest.clone();
            cursor["after"]["key"] = key;
            cursor["owner"] = json!("user:43");
            forged.push(cursor);
        }
        let mut other = honest.clone();
        other["listing"] = json!(0);
        forged.push(other);
        for forged in forged {
            let cursor = BASE64_URL_SAFE_NO_PAD.encode(forged.to_string());
            match own.list(list().per_page(200).cursor(cursor)).await {
                Ok(page) => {
                    let shown = page.tokens.iter().all(|it| mine.contains(&it.id));
                    assert!(shown, "{sort:?} {forged}");
                }
                refused => assert_eq!(wrong_field(refused), "cursor", "{sort:?} {forged}"),
            }
        }
    }
}

async fn each_order_and_filter_is_kept_over_all_pages(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let mut issued = Vec::new();
    for name in ["b", "a", "c", "a"] {
        issued.push(tokens.issue(world.new_token(name)).await.unwrap());
    }
    let [b, a, c, d] = [0, 1, 2, 3].map(|place: usize| issued[place].record.id);
    for (place, seconds) in [(2, 10), (0, 20)] {
        world.clock.set(after(seconds).datetime());
        tokens.verify(issued[place].plain.expose_secret()).await.unwrap();
    }
    tokens.flush().await.unwrap();
    own.revoke(d).await.unwrap();
    let list = || ListTokens::new().per_page(1);
    for (list, expected) in [
        (list(), vec![c, a, b]),
        (list().sort(Order::OLDEST), vec![b, a, c]),
        (list().sort(Order::by(SortBy::Name)), vec![a, b, c]),
        (list().sort(Order::by(SortBy::Name)).any_state(), vec![a, d, b, c]),
        (list().sort(Order::by(SortBy::LastUsed)), vec![a, c, b]),
        (list().states([TokenState::Revoked]), vec![d]),
        (list().any_state(), vec![d, c, a, b]),
        (list().unused_since(after(20)), vec![c, a]),
        (list().unused_since(after(10)), vec![a]),
    ] {
        assert_eq!(walk(&tokens, &world, list.clone()).await, expected, "{list:?}");
    }
}
