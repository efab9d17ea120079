//! What an operator is told once a day: tokens that expire soon, that nobody uses, and abilities that they don't use.

mod abilities;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Waker},
};

use futures_util::{
    FutureExt,
    future::{pending, ready},
};
use keyfob::{
    ApiTokens, IssuedToken, NewToken, TokenChange, TokenId, TokenPages, TokenRotation,
    store::{
        StoreError, TokenStore,
        contract::{InsertOutcome, InsertRules},
    },
};
use time::Duration;

use crate::support::{Spy, World, after, ids, on_every_store, once, verdict};

on_every_store! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)] =>
    a_notice_is_told_once_and_reported
    a_notice_begins_with_its_last_second_and_ends_with_the_token
    a_narrower_notice_stands_for_a_wider_one
    a_new_expiry_is_told_anew
    the_ended_get_no_notice
    what_ends_while_a_sweep_is_under_way_gets_no_notice
    notices_come_in_pages_and_each_once
    of_concurrent_sweeps_one_has_each_notice
    a_store_that_fails_loses_no_notice
    an_expiry_that_changes_before_the_claim_gets_notices_of_its_own
    a_page_that_nobody_waits_for_any_more_loses_no_notice
    what_nobody_uses_spans_owners_and_pages
    a_use_that_is_not_written_yet_is_a_use
    a_use_that_is_written_while_the_page_is_read_is_a_use
    a_store_that_fails_midway_is_asked_again
}

async fn all(mut pages: TokenPages) -> Vec<TokenId> {
    let mut found = Vec::new();
    while let Some(page) = pages.next_page().await.unwrap() {
        assert!(!page.is_empty());
        found.extend(page.iter().map(|it| it.id));
    }
    assert!(pages.next_page().await.unwrap().is_none(), "the end stays the end");
    found
}

async fn expiring(tokens: &ApiTokens, days: i64) -> Vec<TokenId> {
    all(tokens.operator().expiring_within(Duration::days(days))).await
}

async fn issue(world: &World, tokens: &ApiTokens, days: i64) -> IssuedToken {
    tokens.issue(world.new_token("a").expires_in(Duration::days(days))).await.unwrap()
}

/// So many tokens, each ending a second after the one before, of two owners.
async fn many(world: &World, count: u32) -> Vec<TokenId> {
    let template = world.plant(|it| it.expires_at = Some(after(1))).await.record;
    let mut found = vec![template.id];
    for number in 1..count {
        let mut record = template.clone();
        record.id = TokenId::from_u128(u128::from(number) * 7);
        record.expires_at = Some(after(1 + i64::from(number / 3)));
        if number % 2 == 0 {
            record.owner = world.stranger.clone();
        }
        let outcome = world.store.insert(&record, &InsertRules::none()).await.unwrap();
        assert_eq!(outcome, InsertOutcome::Inserted);
        found.push(record.id);
    }
    found.sort_unstable();
    found
}

fn sorted(mut ids: Vec<TokenId>) -> Vec<TokenId> {
    ids.sort_unstable();
    ids
}

async fn a_notice_is_told_once_and_reported(world: World) {
    let (tokens, other) = (world.tokens(), world.tokens());
    let issued = issue(&world, &tokens, 5).await;
    let theirs = NewToken::new(world.stranger.clone(), "theirs").expires_in(Duration::days(6));
    let theirs = tokens.issue(theirs).await.unwrap();
    tokens.issue(world.new_token("for ever")).await.map(drop).unwrap();
    let _ = issue(&world, &tokens, 8).await;
    world.events.take();
    let expected = [issued.record.id, theirs.record.id];
    assert_eq!(expiring(&tokens, 7).await, expected);
    let events = world.events.take();
    assert_eq!(events.len(), 2);
    for (event, id) in events.iter().zip(expected) {
        assert!(event.starts_with("ExpiringSoon") && event.contains(&format!("{id:?}")), "{event}");
        assert!(event.ends_with("days: 7 }"), "{event}");
    }
    for node in [&tokens, &other, &world.tokens()] {
        assert_eq!(expiring(node, 7).await, []);
    }
    assert_eq!(world.events.take(), [""; 0]);
    let stored = world.stored(&issued).await;
    assert_eq!(stored.notices().collect::<Vec<_>>(), [7]);
}

async fn a_notice_begins_with_its_last_second_and_ends_with_the_token(world: World) {
    let tokens = world.tokens();
    let day = Duration::DAY.whole_seconds();
    let at = async |seconds| {
        tokens.issue(world.new_token("a").expires_at(after(seconds))).await.unwrap().record.id
    };
    let (first, last, later) = (at(1).await, at(day).await, at(day + 1).await);
    assert_eq!(expiring(&tokens, 1).await, [first, last]);
    world.at(1);
    assert_eq!(expiring(&tokens, 1).await, [later]);
    let whole = tokens.operator().expiring_within(Duration::hours(47));
    assert_eq!(all(whole).await, []);
    // Less than a day is a day, and more than there are is all.
    let soon = at(day + 1).await;
    for time in [Duration::ZERO, Duration::MIN, Duration::SECOND] {
        let found = all(tokens.operator().expiring_within(time)).await;
        assert_eq!(found, if time.is_zero() { vec![soon] } else { vec![] });
    }
    let far = at(day * 40_000).await;
    assert_eq!(all(tokens.operator().expiring_within(Duration::MAX)).await, [far]);
}

async fn a_narrower_notice_stands_for_a_wider_one(world: World) {
    let tokens = world.tokens();
    let id = issue(&world, &tokens, 20).await.record.id;
    assert_eq!(expiring(&tokens, 30).await, [id]);
    assert_eq!(expiring(&tokens, 7).await, []);
    world.clock.advance(Duration::days(14));
    assert_eq!(expiring(&tokens, 7).await, [id], "the narrower one comes as well");
    assert_eq!(expiring(&tokens, 30).await, []);
    world.clock.advance(Duration::days(5));
    // One that was not told of the others.
    let late = issue(&world, &tokens, 1).await.record.id;
    assert_eq!(sorted(expiring(&tokens, 1).await), sorted(vec![id, late]));
    for days in [7, 30, 365] {
        assert_eq!(expiring(&tokens, days).await, [], "{days}");
    }
}

async fn a_new_expiry_is_told_anew(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let issued = issue(&world, &tokens, 5).await;
    let id = issued.record.id;
    assert_eq!(expiring(&tokens, 7).await, [id]);
    own.rename(id, "renamed").await.map(drop).unwrap();
    own.rotate(id, TokenRotation::new()).await.map(drop).unwrap();
    let same = TokenChange::new().expires_in(Duration::days(5));
    own.change(id, same).await.map(drop).unwrap();
    assert_eq!(expiring(&tokens, 7).await, [], "that is the same expiry");
    let later = TokenChange::new().expires_in(Duration::days(6));
    own.change(id, later).await.map(drop).unwrap();
    assert_eq!(expiring(&tokens, 7).await, [id]);
    let rotation = TokenRotation::new().expires_in(Duration::days(4));
    own.rotate(id, rotation).await.map(drop).unwrap();
    assert_eq!(expiring(&tokens, 7).await, [id]);
    assert_eq!(expiring(&tokens, 7).await, []);
}

async fn the_ended_get_no_notice(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    let revoked = issue(&world, &tokens, 5).await.record.id;
    own.revoke(revoked).await.unwrap();
    tokens.issue(world.new_token("expired").expires_at(after(10))).await.map(drop).unwrap();
    let suspended = issue(&world, &tokens, 5).await.record.id;
    own.suspend(suspended).await.map(drop).unwrap();
    world.at(10);
    world.events.take();
    assert_eq!(expiring(&tokens, 7).await, [suspended], "it may be resumed");
    assert_eq!(world.events.count("ExpiringSoon"), 1);
}

async fn what_ends_while_a_sweep_is_under_way_gets_no_notice(world: World) {
    let tokens = world.tokens();
    let own = tokens.owned_by(&world.owner);
    tokens.issue(world.new_token("expired").expires_at(after(10))).await.map(drop).unwrap();
    let revoked = issue(&world, &tokens, 1).await.record.id;
    let good = issue(&world, &tokens, 1).await.record.id;
    let mut sweep = tokens.operator().expiring_within(Duration::DAY);
    world.at(10);
    world.store.after("expiring", move || {
        let own = own.clone();
        async move { own.revoke(revoked).await.unwrap() }.boxed()
    });
    let page = sweep.next_page().await.unwrap().unwrap();
    assert_eq!(page.iter().map(|it| it.id).collect::<Vec<_>>(), [good]);
    assert!(sweep.next_page().await.unwrap().is_none());
    assert_eq!(world.events.count("ExpiringSoon"), 1);
}

async fn notices_come_in_pages_and_each_once(world: World) {
    let tokens = world.tokens();
    let expected = many(&world, 450).await;
    let mut sweep = tokens.operator().expiring_within(Duration::DAY);
    let (mut found, mut pages, mut end) = (Vec::new(), 0, after(0));
    while let Some(page) = sweep.next_page().await.unwrap() {
        assert!(page.iter().map(|it| it.expires_at.unwrap()).is_sorted());
        assert!(end <= page[0].expires_at.unwrap(), "by expiry");
        end = page[page.len() - 1].expires_at.unwrap();
        found.extend(page.iter().map(|it| it.id));
        pages += 1;
    }
    assert_eq!(sorted(found), expected);
    assert_eq!(pages, 3);
    assert_eq!(expiring(&tokens, 1).await, []);
    assert_eq!(world.events.count("ExpiringSoon"), 450);
}

async fn of_concurrent_sweeps_one_has_each_notice(world: World) {
    let expected = many(&world, 250).await;
    let sweeps: Vec<_> = (0..6)
        .map(|_| {
            let tokens = world.tokens();
            tokio::spawn(async move { expiring(&tokens, 1).await })
        })
        .collect();
    let mut found = Vec::new();
    for sweep in sweeps {
        found.extend(sweep.await.unwrap());
    }
    assert_eq!(sorted(found), expected, "each exactly once");
    assert_eq!(world.events.count("ExpiringSoon"), 250);
}

/// From now on, the claim of so many more notices succeeds, and then none.
fn claims_left(store: &Arc<Spy>, left: usize) {
    let (count, failing) = (AtomicUsize::new(0), store.clone());
    store.after("notice", move || {
        if count.fetch_add(1, SeqCst) + 1 == left {
            failing.fail(&["notice"]);
        }
        async {}.boxed()
    });
}

async fn a_store_that_fails_loses_no_notice(world: World) {
    let tokens = world.tokens();
    let expected = many(&world, 230).await;
    let mut sweep = tokens.operator().expiring_within(Duration::DAY);
    let mut found = Vec::new();
    for left in [3, 1, 150, 40, 10] {
        claims_left(&world.store, left);
        let page = sweep.next_page().await.unwrap().unwrap();
        found.extend(page.iter().map(|it| it.id));
        if matches!(left, 3 | 40) {
            for step in ["notice", "expiring"] {
                world.store.fail(&[step]);
                let failed = sweep.next_page().await;
                assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
            }
        }
        world.store.heal();
    }
    while let Some(page) = sweep.next_page().await.unwrap() {
        found.extend(page.iter().map(|it| it.id));
    }
    assert_eq!(sorted(found), expected);
}

async fn an_expiry_that_changes_before_the_claim_gets_notices_of_its_own(world: World) {
    let tokens = world.tokens();
    for (days, step) in [6, 40].into_iter().flat_map(|it| [(it, "expiring"), (it, "notice")]) {
        let id = issue(&world, &tokens, 5).await.record.id;
        let own = tokens.owned_by(&world.owner);
        let changing = own.clone();
        let change = once(move || {
            let change = TokenChange::new().expires_in(Duration::days(days));
            async move { changing.change(id, change).await.map(drop).unwrap() }.boxed()
        });
        match step {
            "expiring" => world.store.after(step, change),
            _ => world.store.before(step, change),
        }
        world.events.take();
        assert_eq!(expiring(&tokens, 7).await, [], "{step}: that is not when it expires");
        assert_eq!(world.events.count("ExpiringSoon"), 0);
        world.store.heal();
        for (left, notice) in [(6, 7), (1, 1)] {
            let now = own.get(id).await.unwrap().expires_at.unwrap().datetime();
            world.clock.set(now - Duration::days(left));
            assert_eq!(expiring(&tokens, notice).await, [id], "{step}, {days}");
            assert_eq!(expiring(&tokens, notice).await, []);
        }
        own.revoke(id).await.unwrap();
    }
}

async fn a_page_that_nobody_waits_for_any_more_loses_no_notice(world: World) {
    let tokens = world.tokens();
    for claims in 0..4 {
        let mut expected = Vec::new();
        for _ in 0..4 {
            expected.push(issue(&world, &tokens, 5).await.record.id);
        }
        world.events.take();
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        world.store.before("notice", move || {
            let is_let = count.fetch_add(1, SeqCst) < claims;
            if is_let { ready(()).boxed() } else { pending().boxed() }
        });
        let mut sweep = tokens.operator().expiring_within(Duration::days(7));
        {
            let mut page = pin!(sweep.next_page());
            let mut context = Context::from_waker(Waker::noop());
            while begun.load(SeqCst) <= claims {
                assert!(page.poll_unpin(&mut context).is_pending());
                tokio::task::yield_now().await;
            }
        }
        world.store.heal();
        assert_eq!(world.events.count("ExpiringSoon"), claims, "so many were claimed");
        world.store.fail(&["expiring"]);
        assert!(matches!(sweep.next_page().await, Err(StoreError::Unavailable(_))));
        world.store.heal();
        assert_eq!(sorted(all(sweep).await), sorted(expected), "{claims}");
        assert_eq!(world.events.count("ExpiringSoon"), 4 - claims);
    }
}

async fn what_nobody_uses_spans_owners_and_pages(world: World) {
    let tokens = world.tokens();
    let unused = many(&world, 430).await;
    let used = tokens.issue(world.new_token("used")).await.unwrap();
    let revoked = tokens.issue(world.new_token("revoked")).await.unwrap();
    tokens.owned_by(&world.owner).revoke(revoked.record.id).await.unwrap();
    world.at(1_000);
    assert_eq!(verdict(&tokens, &used).await, "good");
    tokens.flush().await.unwrap();
    let young = tokens.issue(world.new_token("young")).await.unwrap();
    world.events.take();
    assert_eq!(all(tokens.operator().unused_since(after(1_000))).await, unused);
    let later = all(tokens.operator().unused_since(after(1_001))).await;
    let mut expected = unused.clone();
    expected.extend([used.record.id, young.record.id]);
    assert_eq!(later, sorted(expected));
    assert_eq!(all(tokens.operator().unused_since(after(0))).await, []);
    assert_eq!(world.events.take(), [""; 0]);
}

async fn a_use_that_is_not_written_yet_is_a_use(world: World) {
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 3).await;
    world.at(100);
    assert_eq!(verdict(&tokens, &issued[1]).await, "good");
    assert_eq!(world.stored(&issued[1]).await.last_used_at, None);
    let ids = ids(&issued);
    for (since, expected) in [(100, vec![ids[0], ids[2]]), (101, ids.clone())] {
        assert_eq!(all(tokens.operator().unused_since(after(since))).await, expected);
    }
    // A page of which nothing is left is passed over.
    for issued in &issued {
        assert_eq!(verdict(&tokens, issued).await, "good");
    }
    assert_eq!(all(tokens.operator().unused_since(after(100))).await, []);
}

async fn a_use_that_is_written_while_the_page_is_read_is_a_use(world: World) {
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 2).await;
    world.at(100);
    assert_eq!(verdict(&tokens, &issued[0]).await, "good");
    let flushing = tokens.clone();
    world.store.after("unused", move || {
        let tokens = flushing.clone();
        async move { tokens.flush().await.unwrap() }.boxed()
    });
    let found = all(tokens.operator().unused_since(after(100))).await;
    assert_eq!(found, [issued[1].record.id], "the page came before the write, the log after it");
}

async fn a_store_that_fails_midway_is_asked_again(world: World) {
    let tokens = world.tokens();
    let expected = many(&world, 430).await;
    let mut pages = tokens.operator().unused_since(after(1_000));
    let mut found: Vec<_> = pages.next_page().await.unwrap().unwrap();
    for _ in 0..2 {
        world.store.fail(&["unused"]);
        assert!(matches!(pages.next_page().await, Err(StoreError::Unavailable(_))));
        world.store.heal();
        found.extend(pages.next_page().await.unwrap().unwrap());
    }
    assert!(pages.next_page().await.unwrap().is_none());
    assert_eq!(found.iter().map(|it| it.id).collect::<Vec<_>>(), expected);
}
