//! Look-ups that come at the same time, and what becomes of one in trouble.

mod current;
mod dropped;
mod stalled;

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, Waker},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use keyfob::{ApiTokens, IssuedToken, VerifiedToken, VerifyError, store::StoreError};
use time::Duration;

use crate::support::{Random, World};

type Verifying<'a> = BoxFuture<'a, Result<VerifiedToken, VerifyError>>;

/// A handle whose store has nothing in memory and takes its time, and so many tokens.
async fn cold(count: usize) -> (World, ApiTokens, Vec<IssuedToken>) {
    cold_in(World::memory().await, count).await
}

async fn cold_in(world: World, count: usize) -> (World, ApiTokens, Vec<IssuedToken>) {
    let tokens = world.builder().deadline(Duration::MINUTE).build().unwrap();
    let issued = world.issue_many(&tokens, count).await;
    world.store.forget();
    for step in ["find", "find_many"] {
        world.store.before(step, || tokio::task::yield_now().boxed());
    }
    (world, tokens, issued)
}

fn verifying<'a>(tokens: &'a ApiTokens, issued: &'a IssuedToken) -> Verifying<'a> {
    tokens.verify(text_of(issued)).boxed()
}

fn text_of(issued: &IssuedToken) -> &str {
    issued.plain.expose_secret()
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    future.poll_unpin(&mut Context::from_waker(Waker::noop()))
}

/// Begins to verify so many tokens, in this order; none of them is through yet.
fn all_verifying<'a>(tokens: &'a ApiTokens, issued: &'a [IssuedToken]) -> Vec<Verifying<'a>> {
    let mut all: Vec<_> = issued.iter().map(|it| verifying(tokens, it)).collect();
    assert!(all.iter_mut().all(|it| poll(it).is_pending()));
    all
}

/// The tokens of each query so far, by their numbers, in order.
fn queries(world: &World, issued: &[IssuedToken]) -> Vec<Vec<usize>> {
    let number = |id| issued.iter().position(|it| it.record.id == id).unwrap();
    let queries = world.store.take_lookups().into_iter().map(|ids| {
        let mut numbers: Vec<_> = ids.into_iter().map(number).collect();
        numbers.sort_unstable();
        numbers
    });
    queries.collect()
}

/// Everybody gets through, and the token is good.
async fn all_are_good(verifying: Vec<Verifying<'_>>) {
    let all = tokio::time::timeout(std::time::Duration::from_secs(50), join_all(verifying));
    let Ok(verdicts) = all.await else { panic!("somebody waits for ever") };
    for verdict in verdicts {
        assert!(verdict.is_ok(), "{verdict:?}");
    }
}

#[tokio::test]
async fn ten_thousand_verifications_of_one_token_are_two_queries() {
    let (world, tokens, issued) = cold(1).await;
    let verdicts = join_all((0..10_000).map(|_| tokens.verify(text_of(&issued[0])))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    assert_eq!(world.store.take_lookups(), [[issued[0].record.id]; 2]);
}

#[tokio::test]
async fn no_query_asks_for_more_than_a_thousand() {
    let (world, tokens, issued) = cold(2_101).await;
    let verdicts = join_all(issued.iter().map(|it| tokens.verify(text_of(it)))).await;
    assert!(verdicts.iter().all(Result::is_ok));
    let sizes: Vec<_> = world.store.take_lookups().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 9, 9, 1_000, 1_000, 82]);
}

#[tokio::test]
async fn a_crowd_goes_out_beside_those_who_are_under_way_and_others_wait() {
    let (world, tokens, issued) = cold(30).await;
    let all = all_verifying(&tokens, &issued);
    all_are_good(all).await;
    let numbers = |range: std::ops::Range<usize>| range.collect::<Vec<_>>();
    let crowds = [numbers(0..1), numbers(1..10), numbers(10..19), numbers(19..30)];
    assert_eq!(queries(&world, &issued), crowds);
}

#[tokio::test]
async fn many_who_ask_for_few_tokens_are_no_crowd() {
    let (world, tokens, issued) = cold(7).await;
    let mut all = Vec::new();
    for _ in 0..100 {
        all.append(&mut all_verifying(&tokens, &issued));
    }
    all_are_good(all).await;
    assert_eq!(queries(&world, &issued), [vec![0], (0..7).collect()]);
}

#[tokio::test]
async fn one_error_is_told_to_all_whom_it_concerns() {
    let (world, tokens, issued) = cold(3).await;
    world.store.fail_with(&["find_many"], || StoreError::Unavailable("cable cut".into()));
    let verdicts = join_all(issued.iter().map(|it| tokens.verify(text_of(it)))).await;
    assert!(verdicts[0].is_ok());
    for verdict in &verdicts[1..] {
        let Err(VerifyError::Store(error @ StoreError::Unavailable(_))) = verdict else {
            panic!("{verdict:?}");
        };
        assert_eq!(std::error::Error::source(error).unwrap().to_string(), "cable cut");
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_row_that_cannot_be_read_hurts_only_its_own_token() {
    let (world, tokens, issued) = cold_in(World::sqlite().await, 4).await;
    let file = world.directory.as_ref().unwrap().path().join("tokens.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let damage = "UPDATE keyfob_tokens SET prefix = 'No Prefix' WHERE name = 'token 2'";
    assert_eq!(sqlx::query(damage).execute(&pool).await.unwrap().rows_affected(), 1);
    pool.close().await;

    let verdicts = join_all(issued.iter().map(|it| tokens.verify(text_of(it)))).await;
    assert_eq!(queries(&world, &issued), [vec![0], vec![1, 2, 3]]);
    for (number, verdict) in verdicts.iter().enumerate() {
        match verdict {
            Err(VerifyError::Store(StoreError::Corrupt(corrupt))) if number == 2 => {
                assert_eq!((corrupt.id, corrupt.field), (Some(issued[2].record.id), "prefix"));
            }
            verdict => assert!(verdict.is_ok() && number != 2, "{number}: {verdict:?}"),
        }
    }
}

#[tokio::test]
async fn a_panic_in_the_store_holds_up_nobody_else() {
    let (world, tokens, issued) = cold(4).await;
    let mut all = all_verifying(&tokens, &issued);
    world.store.before("find_many", || panic!("a bug in the store"));
    assert!(poll(&mut all[0]).is_ready());
    let panicked = catch_unwind(AssertUnwindSafe(|| poll(&mut all[1])));
    assert!(panicked.is_err());
    world.store.heal();
    drop(all.remove(1));
    all_are_good(all.split_off(1)).await;
    assert!(tokens.verify(text_of(&issued[1])).await.is_ok());
}

/// Everybody is polled only when woken, and dropped at any point: whoever is left has to get through.
#[test]
fn no_wake_up_is_lost_whoever_is_dropped() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_world, tokens, issued) = runtime.block_on(cold(6));
    for seed in 0..2_000 {
        let mut random = Random(seed);
        runtime.block_on(async {
            let mut tasks = Vec::new();
            for number in 0..12 {
                let (tokens, issued) = (tokens.clone(), text_of(&issued[number % 6]).to_owned());
                tasks.push(tokio::spawn(async move { tokens.verify(&issued).await.map(drop) }));
                if random.below(3) == 0 {
                    tokio::task::yield_now().await;
                }
                if random.below(3) == 0 {
                    let dropped: &tokio::task::JoinHandle<_> = &tasks[random.below(tasks.len())];
                    dropped.abort();
                }
            }
            let all = tokio::time::timeout(std::time::Duration::from_secs(50), join_all(tasks));
            for outcome in all.await.expect("nobody waits for ever") {
                assert!(outcome.map_or_else(|it| it.is_cancelled(), |it| it.is_ok()), "{seed}");
            }
        });
    }
}
