//! Last-used: shown at once, written later, never lost but with the process, and in nobody's way.

mod room;

use std::{
    collections::BTreeSet,
    future::Future,
    net::IpAddr,
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    task::{Context, Poll, Waker},
};

use futures_util::{FutureExt, future::BoxFuture};
use keyfob::{ApiTokens, IssuedToken, LastUsed, ListTokens, Timestamp, TokenId, store::StoreError};
use time::Duration;

use crate::support::store_ext::StoreExt;
use crate::support::{World, after, first_use, on_every_store};

on_every_store! {
    a_use_is_shown_at_once_and_written_later
    a_flush_writes_one_row_a_token
    last_used_never_moves_backwards
    the_address_of_the_last_use_is_noted
    what_could_not_be_written_is_kept_reported_and_tried_again
    a_later_use_that_could_not_be_written_outlives_a_clock_that_is_put_back
    a_dropped_flush_loses_nothing
    a_use_during_a_write_is_written_with_the_next
    a_use_during_a_write_is_due_after_the_interval
    a_write_that_ends_forgets_no_later_use_that_could_not_be_written
    verifying_does_not_wait_for_a_write
    where_nobody_drives_listing_writes_what_is_due_and_says_so_once
    a_driven_log_is_not_written_by_listing
    while_writes_fail_listing_tries_once_an_interval
    a_use_of_a_token_that_is_gone_does_no_harm
    a_use_is_shown_also_where_it_is_written_while_the_store_is_read
    two_handles_on_one_store_lose_no_use
    a_use_after_a_failed_write_keeps_its_address_and_batches_their_bound
}

async fn a_use_after_a_failed_write_keeps_its_address_and_batches_their_bound(world: World) {
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 1_200).await;
    let uses = async |seconds, last: u8| {
        world.clock.set(after(seconds).datetime());
        for issued in &issued {
            let from = Some(IpAddr::from([192, 0, 2, last]));
            tokens.verify_from(issued.plain.expose_secret(), from).await.map(drop).unwrap();
        }
    };
    uses(10, 1).await;
    world.store.fail(&["record_uses"]);
    tokens.flush().await.unwrap_err();
    world.store.heal();
    uses(50, 2).await;
    world.store.take_batches();
    tokens.flush().await.unwrap();
    assert!(world.store.take_batches().iter().all(|batch| batch.len() <= 1_000));
    for issued in &issued {
        let stored = world.stored(issued).await;
        let latest = (Some(after(50)), Some(IpAddr::from([192, 0, 2, 2])));
        assert_eq!((stored.last_used_at, stored.last_used_from), latest);
    }
}

async fn a_use_is_shown_also_where_it_is_written_while_the_store_is_read(world: World) {
    type Read = fn(&World, &ApiTokens, TokenId) -> BoxFuture<'static, Option<Timestamp>>;
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let reads: [Read; 2] = [
        |world, tokens, id| {
            let own = tokens.owned_by(&world.owner);
            async move { own.get(id).await.unwrap().last_used_at }.boxed()
        },
        |world, tokens, _| {
            let own = tokens.owned_by(&world.owner);
            async move { own.list(ListTokens::new()).await.unwrap().tokens[0].last_used_at }.boxed()
        },
    ];
    for (seconds, (step, read)) in (1..).zip(["find", "page"].into_iter().zip(reads)) {
        world.clock.set(after(seconds).datetime());
        used(&tokens, &issued).await;
        let (flushing, once) = (tokens.clone(), AtomicBool::new(true));
        world.store.after(step, move || {
            let flushing = once.swap(false, SeqCst).then(|| flushing.clone());
            async move {
                if let Some(tokens) = flushing {
                    tokens.flush().await.unwrap();
                }
            }
            .boxed()
        });
        let shown = read(&world, &tokens, issued.record.id).await;
        assert_eq!(shown, Some(after(seconds)), "{step} came before the write, the log after it");
        assert_eq!(written(&world, &issued).await, Some(after(seconds)));
        world.store.heal();
    }
}

async fn two_handles_on_one_store_lose_no_use(world: World) {
    let (first, second) = (world.tokens(), world.tokens());
    let issued = first.issue(world.new_token("a")).await.unwrap();
    used(&first, &issued).await;
    world.clock.set(after(5).datetime());
    used(&second, &issued).await;
    assert_eq!(shown(&world, &second, &issued).await, Some(after(5)));

    drop(first);
    world.clock.set(after(10).datetime());
    used(&second, &issued).await;
    assert_eq!(shown(&world, &second, &issued).await, Some(after(10)));
    second.flush().await.unwrap();
    assert_eq!(written(&world, &issued).await, Some(after(10)));
}

async fn used(tokens: &ApiTokens, issued: &IssuedToken) {
    tokens.verify(issued.plain.expose_secret()).await.map(drop).unwrap();
}

fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

async fn shown(world: &World, tokens: &ApiTokens, issued: &IssuedToken) -> Option<Timestamp> {
    let own = tokens.owned_by(&world.owner);
    let listed = own.list(ListTokens::new().per_page(200)).await.unwrap().tokens;
    let listed = listed.into_iter().find(|it| it.id == issued.record.id).unwrap();
    let got = own.get(issued.record.id).await.unwrap();
    assert_eq!(listed.last_used_at, got.last_used_at);
    got.last_used_at
}

async fn written(world: &World, issued: &IssuedToken) -> Option<Timestamp> {
    world.stored(issued).await.last_used_at
}

async fn a_use_is_shown_at_once_and_written_later(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    assert_eq!(shown(&world, &tokens, &issued).await, None);
    for seconds in [0, 5] {
        world.clock.set(after(seconds).datetime());
        used(&tokens, &issued).await;
        assert_eq!(shown(&world, &tokens, &issued).await, Some(after(seconds)));
        assert_eq!(written(&world, &issued).await, None);
    }
    tokens.flush().await.unwrap();
    assert_eq!(written(&world, &issued).await, Some(after(5)));
    assert_eq!(shown(&world, &tokens, &issued).await, Some(after(5)));
    let unused = tokens.verify("acme_nonsense").await;
    assert!(unused.is_err());
    assert_eq!(written(&world, &issued).await, Some(after(5)), "a refusal is no use");
}

async fn a_flush_writes_one_row_a_token(world: World) {
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 3).await;
    for second in 0..20 {
        world.clock.set(after(second).datetime());
        for issued in &issued {
            used(&tokens, issued).await;
        }
    }
    tokens.flush().await.unwrap();
    tokens.flush().await.unwrap();
    let batches = world.store.take_batches();
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [3], "nothing is written twice");
    let ids: BTreeSet<_> = batches[0].iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 3);
    assert!(batches[0].iter().all(|it| it.at == after(19)));
}

async fn last_used_never_moves_backwards(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    for (seconds, latest) in [(100, 100), (50, 100), (101, 101), (0, 101)] {
        world.clock.set(after(seconds).datetime());
        used(&tokens, &issued).await;
        assert_eq!(shown(&world, &tokens, &issued).await, Some(after(latest)));
        tokens.flush().await.unwrap();
        assert_eq!(written(&world, &issued).await, Some(after(latest)));
    }
}

async fn the_address_of_the_last_use_is_noted(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let (home, away): (IpAddr, IpAddr) =
        ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    for (seconds, from) in [(1, Some(home)), (2, Some(away)), (3, None), (4, Some(home))] {
        world.clock.set(after(seconds).datetime());
        tokens.verify_from(issued.plain.expose_secret(), from).await.unwrap();
        let got = tokens.owned_by(&world.owner).get(issued.record.id).await.unwrap();
        assert_eq!((got.last_used_at, got.last_used_from), (Some(after(seconds)), from));
        if seconds > 2 {
            tokens.flush().await.unwrap();
            assert_eq!(world.stored(&issued).await.last_used_from, from);
        }
    }
}

async fn what_could_not_be_written_is_kept_reported_and_tried_again(world: World) {
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 2).await;
    world.store.fail(&["record_uses"]);
    for (second, issued) in (0..).zip(&issued) {
        world.clock.set(after(second).datetime());
        used(&tokens, issued).await;
        let failed = tokens.flush().await;
        assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
        let waiting = format!("waiting: {} }}", second + 1);
        let events = world.events.take();
        assert_eq!((events.len(), &events[0]), (2, &first_use(&issued.record)));
        assert!(events[1].starts_with("UsesNotWritten"), "{events:?}");
        assert!(events[1].ends_with(&waiting), "{events:?}");
        assert_eq!(shown(&world, &tokens, issued).await, Some(after(second)));
    }
    world.store.heal();
    tokens.flush().await.unwrap();
    assert_eq!(written(&world, &issued[0]).await, Some(after(0)));
    assert_eq!(written(&world, &issued[1]).await, Some(after(1)));
}

async fn a_later_use_that_could_not_be_written_outlives_a_clock_that_is_put_back(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    world.store.fail(&["record_uses"]);
    for seconds in [100, 50] {
        world.clock.set(after(seconds).datetime());
        used(&tokens, &issued).await;
        tokens.flush().await.unwrap_err();
    }
    world.store.heal();
    tokens.flush().await.unwrap();
    assert_eq!(written(&world, &issued).await, Some(after(100)));
}

async fn a_dropped_flush_loses_nothing(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    used(&tokens, &issued).await;
    world.store.hang("record_uses");
    let mut flush = Box::pin(tokens.flush());
    assert!(poll(flush.as_mut()).is_pending());
    assert_eq!(shown(&world, &tokens, &issued).await, Some(after(0)));
    drop(flush);
    assert_eq!(shown(&world, &tokens, &issued).await, Some(after(0)));
    world.store.heal();
    tokens.flush().await.unwrap();
    assert_eq!(written(&world, &issued).await, Some(after(0)));
}

/// Makes every write meet a use of the token, a second later than now.
fn use_during_write(world: &World, tokens: &ApiTokens, issued: &IssuedToken) {
    let (tokens, clock) = (tokens.clone(), world.clock.clone());
    let plain = issued.plain.expose_secret().to_owned();
    world.store.before("record_uses", move || {
        let (tokens, clock, plain) = (tokens.clone(), clock.clone(), plain.clone());
        Box::pin(async move {
            clock.advance(Duration::SECOND);
            tokens.verify(&plain).await.map(drop).unwrap();
        })
    });
}

async fn a_use_during_a_write_is_written_with_the_next(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    used(&tokens, &issued).await;
    use_during_write(&world, &tokens, &issued);
    tokens.flush().await.unwrap();
    world.store.heal();
    assert_eq!(written(&world, &issued).await, Some(after(0)));
    assert_eq!(shown(&world, &tokens, &issued).await, Some(after(1)));
    tokens.flush().await.unwrap();
    assert_eq!(written(&world, &issued).await, Some(after(1)));
}

async fn a_use_during_a_write_is_due_after_the_interval(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    used(&tokens, &issued).await;
    use_during_write(&world, &tokens, &issued);
    tokens.flush().await.unwrap();
    world.store.heal();
    world.clock.advance(Duration::minutes(2));
    shown(&world, &tokens, &issued).await;
    assert_eq!(written(&world, &issued).await, Some(after(1)));
}

async fn a_write_that_ends_forgets_no_later_use_that_could_not_be_written(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    used(&tokens, &issued).await;
    let (store, clock, flushing) = (world.store.clone(), world.clock.clone(), tokens.clone());
    let plain = issued.plain.expose_secret().to_owned();
    // While one flush writes, there is another use, and another flush fails to write that one.
    world.store.before("record_uses", move || {
        let (store, clock, tokens) = (store.clone(), clock.clone(), flushing.clone());
        let plain = plain.clone();
        Box::pin(async move {
            clock.advance(Duration::SECOND);
            tokens.verify(&plain).await.map(drop).unwrap();
            store.fail(&["record_uses"]);
            tokens.flush().await.unwrap_err();
            store.heal();
        })
    });
    tokens.flush().await.unwrap();
    assert_eq!(written(&world, &issued).await, Some(after(1)));
    assert_eq!(shown(&world, &tokens, &issued).await, Some(after(1)));
}

async fn verifying_does_not_wait_for_a_write(world: World) {
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 2).await;
    used(&tokens, &issued[0]).await;
    world.store.hang("record_uses");
    let mut flush = pin!(tokens.flush());
    assert!(poll(flush.as_mut()).is_pending());
    for second in 1..10 {
        world.clock.set(after(second).datetime());
        used(&tokens, &issued[0]).await;
        used(&tokens, &issued[1]).await;
    }
    assert!(poll(flush.as_mut()).is_pending());
    assert_eq!(shown(&world, &tokens, &issued[1]).await, Some(after(9)));
}

async fn where_nobody_drives_listing_writes_what_is_due_and_says_so_once(world: World) {
    let tokens = world.builder().last_used(LastUsed::every(Duration::seconds(10))).build().unwrap();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    world.events.take();
    let _forgotten = tokens.background();
    used(&tokens, &issued).await;
    world.clock.advance(Duration::seconds(10));
    shown(&world, &tokens, &issued).await;
    assert_eq!(written(&world, &issued).await, None, "it is not due yet");
    for _ in 0..2 {
        world.clock.advance(Duration::seconds(1));
        shown(&world, &tokens, &issued).await;
        assert_eq!(written(&world, &issued).await, Some(after(0)));
    }
    used(&tokens, &issued).await;
    world.clock.advance(Duration::MINUTE);
    shown(&world, &tokens, &issued).await;
    assert_eq!(written(&world, &issued).await, Some(after(12)));
    assert_eq!(world.events.take(), [&first_use(&issued.record), "BackgroundNotDriven"]);
}

async fn while_writes_fail_listing_tries_once_an_interval(world: World) {
    let tokens = world.builder().last_used(LastUsed::every(Duration::MINUTE)).build().unwrap();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    tokens.verify(issued.plain.expose_secret()).await.map(drop).unwrap();
    world.store.fail(&["record_uses"]);
    let own = tokens.owned_by(&world.owner);
    for _ in 0..3 {
        world.clock.advance(Duration::seconds(61));
        world.store.take_batches();
        for _ in 0..4 {
            own.list(ListTokens::new()).await.map(drop).unwrap();
        }
        assert_eq!(world.store.take_batches().len(), 1);
    }
}

async fn a_driven_log_is_not_written_by_listing(world: World) {
    let tokens = world.tokens();
    let issued = tokens.issue(world.new_token("a")).await.unwrap();
    let mut background = Box::pin(tokens.background());
    assert!(poll(background.as_mut()).is_pending());
    used(&tokens, &issued).await;
    world.clock.advance(Duration::HOUR);
    shown(&world, &tokens, &issued).await;
    assert_eq!(written(&world, &issued).await, None);
    drop(background);
    shown(&world, &tokens, &issued).await;
    assert_eq!(written(&world, &issued).await, Some(after(0)), "it is driven no longer");
}

async fn a_use_of_a_token_that_is_gone_does_no_harm(world: World) {
    let tokens = world.tokens();
    let issued = world.issue_many(&tokens, 2).await;
    for issued in &issued {
        used(&tokens, issued).await;
    }
    let other = &issued[0].record;
    tokens.owned_by(&world.owner).erase().await.unwrap();
    tokens.flush().await.unwrap();
    assert!(world.store.one(other.id).await.unwrap().is_none());
}

#[tokio::test]
async fn the_background_future_ends_with_the_last_handle() {
    fn sendable(_: &(impl Future<Output = ()> + Send + 'static)) {}
    let world = World::memory().await;
    let tokens = world.builder().last_used(LastUsed::every(Duration::SECOND)).build().unwrap();
    let (mut driven, never) = (Box::pin(tokens.background()), tokens.background());
    sendable(&never);
    assert!(poll(driven.as_mut()).is_pending());
    let own = tokens.owned_by(&world.owner);
    drop(tokens);
    assert!(poll(driven.as_mut()).is_pending(), "there is a handle in what it handed out");
    drop(own);
    assert!(poll(pin!(never)).is_ready());
    driven.await;
}

/// What runs in the background has ended once the handle is closed.
#[tokio::test]
async fn a_handle_is_closed_once_what_runs_in_the_background_has_ended() {
    let world = World::memory().await;
    let tokens = world.tokens();
    let background = tokio::spawn(tokens.background());
    tokio::task::yield_now().await;
    assert!(!background.is_finished());
    tokens.close().await.unwrap();
    assert!(background.is_finished());
}
