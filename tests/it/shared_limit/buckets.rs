//! The buckets: the same decisions as in one process, and what is kept of them.

use std::{
    sync::Arc,
    time::{Duration as Span, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use keyfob::{
    TokenId,
    limit::{Charge, LimitError, RateLimiter},
    time::{Clock, ManualClock},
};
use time::Duration;

use super::{
    Corner, OwnServer, Random, TOKEN, charge, eventually, limit, news, outcome, remaining, slow,
};

const NUMBERS: [u32; 10] = [1, 2, 3, 7, 59, 60, 1_000, 86_400, 999_999_999, u32::MAX];

/// A step of the clock: none, any, one to where something comes back or a nanosecond beside it, or far back.
fn step(random: &mut Random, interval: u64) -> i64 {
    let interval = i64::try_from(interval).unwrap().min(i64::MAX / 100);
    let any = |random: &mut Random, below: i64| {
        i64::try_from(random.below(usize::try_from(below).unwrap())).unwrap()
    };
    match random.below(6) {
        0 | 1 => 0,
        2 => any(random, interval.max(1)),
        3 => (interval * any(random, 5) + any(random, 3) - 1).max(0),
        4 => any(random, 5_000_000_000),
        // By less, the clock of a process stands still.
        _ => -1_000_000_001 - any(random, 100_000_000_000),
    }
}

#[tokio::test]
async fn what_is_shared_is_decided_as_in_one_process_to_the_nanosecond() {
    let corner = Corner::new();
    let seed = fastrand::u64(..);
    let mut random = Random(seed);
    let (mut passed, mut refused) = (0, 0);
    for round in 0..300 {
        let local = RateLimiter::local();
        let shared = RateLimiter::redis(corner.own_limits().by_given_instants());
        let (requests, seconds) = (random.pick(&NUMBERS), random.pick(&NUMBERS));
        let charge = Charge::of(limit(requests, Duration::seconds(seconds.into())));
        let interval = (u64::from(seconds) * 1_000_000_000).div_ceil(requests.into());
        let mut now: i64 = 1_800_000_000_000_000_000;
        for _ in 0..30 {
            now = (now + step(&mut random, interval)).max(0);
            let instant = UNIX_EPOCH + Span::from_nanos(now.try_into().unwrap());
            let cost = match random.below(3) {
                0 => 1,
                1 => random.pick(&NUMBERS),
                _ => 1 + u32::try_from(random.below(requests as usize)).unwrap(),
            };
            let charge = charge.cost(cost).unwrap();
            if random.below(4) == 0 {
                let (one, other) = (
                    local.refund(TOKEN, &charge, instant).await.unwrap(),
                    shared.refund(TOKEN, &charge, instant).await.unwrap(),
                );
                assert_eq!(one, other, "back: {charge:?} at {now}, round {round} of seed {seed}");
                continue;
            }
            let (one, other) =
                (local.charge(TOKEN, &charge, instant), shared.charge(TOKEN, &charge, instant));
            let (one, other) = (outcome(one.await), outcome(other.await));
            assert_eq!(one, other, "{charge:?} at {now}, round {round} of seed {seed}");
            if one.is_ok() { passed += 1 } else { refused += 1 }
        }
    }
    assert!(passed > 1_000 && refused > 1_000, "{passed} passed, {refused} were refused");
}

#[tokio::test]
async fn it_is_the_clock_of_the_server_that_counts() {
    let corner = Corner::new();
    let limiter = RateLimiter::redis(corner.limits());
    let charge = slow(2);
    for now in [UNIX_EPOCH, SystemTime::now() + Span::from_secs(3_600_000_000)] {
        assert!(limiter.charge(TOKEN, &charge, now).await.is_ok());
    }
    let refused = outcome(limiter.charge(TOKEN, &charge, UNIX_EPOCH).await).unwrap_err();
    let (seconds, _): (f64, f64) = corner.run(&redis::cmd("TIME"));
    let full_at: f64 = corner.run(redis::cmd("GET").arg(corner.keys()));
    let passed = seconds + f64::from(charge.limit().seconds()) - full_at;
    assert!((-1.0..600.0).contains(&passed), "{passed} s have passed, or a part of one more");
    assert!(refused.retry_after > charge.limit().seconds() / 2 - 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_eight_nodes_at_the_edge_as_many_requests_pass_as_the_limit_says() {
    let corner = Corner::new();
    for (requests, cost) in [(1_000, 1), (999, 3), (1, 1)] {
        let nodes: Vec<_> = (0..8).map(|_| RateLimiter::redis(corner.limits())).collect();
        let charge = slow(requests).cost(cost).unwrap();
        let tasks = (0..160).map(|task| {
            let node = nodes[task % nodes.len()].clone();
            tokio::spawn(async move {
                let mut passed = 0;
                for _ in 0..10 {
                    passed += u32::from(remaining(&node, charge).await.is_some());
                }
                passed
            })
        });
        let passed: u32 = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
        assert_eq!(passed * cost, requests);
    }
}

#[tokio::test]
async fn a_steady_client_is_refused_by_no_node() {
    let corner = Corner::new();
    let clock = ManualClock::at(SystemTime::now());
    let nodes: Vec<_> =
        (0..8).map(|_| RateLimiter::redis(corner.limits().by_given_instants())).collect();
    for requests in [1, 7, 59, 600] {
        let charge = Charge::of(limit(requests, Duration::MINUTE));
        let whole = charge.cost(requests).unwrap();
        nodes[0].charge(TOKEN, &whole, clock.now()).await.unwrap();
        let interval = 60_000_000_000_u64.div_ceil(requests.into()).try_into().unwrap();
        for node in nodes.iter().cycle().take(200) {
            assert!(node.charge(TOKEN, &charge, clock.now()).await.is_err(), "all is used");
            clock.advance(Duration::nanoseconds(interval));
            outcome(node.charge(TOKEN, &charge, clock.now()).await).unwrap();
        }
    }
}

#[tokio::test]
async fn a_steady_client_is_refused_by_no_node_in_real_time() {
    let corner = Corner::new();
    let nodes = [(); 4].map(|()| RateLimiter::redis(corner.limits()));
    let charge = Charge::of(limit(100, Duration::SECOND));
    assert_eq!(remaining(&nodes[0], charge.cost(100).unwrap()).await, Some(0));
    for node in nodes.iter().cycle().take(40) {
        tokio::time::sleep(Span::from_millis(12)).await;
        assert!(remaining(node, charge).await.is_some());
    }
}

#[tokio::test]
async fn each_token_name_limit_and_prefix_has_a_bucket_of_its_own() {
    let corner = Corner::new();
    let limiter = RateLimiter::redis(corner.limits());
    let other = RateLimiter::redis(corner.own_limits());
    let one = Charge::of(limit(1, Duration::HOUR));
    let named = Charge::new("uploads", one.limit()).unwrap();
    let twice = one.with_limit(limit(2, Duration::HOUR));
    let daily = one.with_limit(limit(1, Duration::DAY));
    for charge in [one, named, daily] {
        assert_eq!(remaining(&limiter, charge).await, Some(0));
        assert_eq!(remaining(&limiter, charge).await, None);
    }
    assert_eq!(remaining(&limiter, twice).await, Some(1));
    assert_eq!(remaining(&other, one).await, Some(0));
    let token = TokenId::from_u128(62);
    assert!(limiter.charge(token, &one, SystemTime::now()).await.is_ok());
    let prefix = corner.prefix();
    let mut keys = corner.keys();
    keys.sort();
    let mut expected = [
        format!("{prefix}-0:limit:0000000000000000000001:default:1/3600"),
        format!("{prefix}:limit:0000000000000000000001:default:1/3600"),
        format!("{prefix}:limit:0000000000000000000001:default:1/86400"),
        format!("{prefix}:limit:0000000000000000000001:default:2/3600"),
        format!("{prefix}:limit:0000000000000000000001:uploads:1/3600"),
        format!("{prefix}:limit:0000000000000000000010:default:1/3600"),
    ];
    expected.sort();
    assert_eq!(keys, expected);
}

#[tokio::test]
async fn a_bucket_expires_a_second_after_it_is_full_again() {
    let corner = Corner::new();
    let limiter = RateLimiter::redis(corner.limits());
    let charge = Charge::of(limit(59, Duration::HOUR));
    for _ in 0..3 {
        limiter.charge(TOKEN, &charge, SystemTime::now()).await.unwrap();
        let full_at: String = corner.run(redis::cmd("GET").arg(corner.keys()));
        let expires_at: u64 = corner.run(redis::cmd("PEXPIRETIME").arg(corner.keys()));
        let full_at = full_at.replace('.', "").parse::<u64>().unwrap().div_ceil(1_000_000);
        assert!((full_at + 900..=full_at + 1_001).contains(&expires_at), "{full_at} {expires_at}");
    }
    let short = Charge::new("short", limit(1, Duration::SECOND)).unwrap();
    limiter.charge(TOKEN, &short, SystemTime::now()).await.unwrap();
    eventually(async || corner.keys().len() == 1).await;
}

#[tokio::test]
async fn a_refusal_writes_nothing() {
    let server = OwnServer::start();
    let limiter = RateLimiter::redis(server.corner.limits());
    let both = slow(2).cost(2).unwrap();
    assert_eq!(remaining(&limiter, slow(2)).await, Some(1));
    let writes = server.writes();
    assert!(writes > 0);
    for _ in 0..10 {
        assert_eq!(remaining(&limiter, both).await, None);
    }
    assert_eq!(server.writes(), writes);
}

#[tokio::test]
async fn the_script_is_loaded_again_where_the_server_has_forgotten_it() {
    let server = OwnServer::start();
    let limiter = RateLimiter::redis(server.corner.limits());
    for left in (0..5).rev() {
        let () = server.corner.run(redis::cmd("SCRIPT").arg("FLUSH"));
        assert_eq!(remaining(&limiter, slow(5)).await, Some(left));
    }
}

#[tokio::test]
async fn what_is_no_bucket_is_an_error_and_lets_nobody_through() {
    let corner = Corner::new();
    let limiter = RateLimiter::redis(corner.limits());
    remaining(&limiter, slow(5)).await;
    let key = corner.keys().remove(0);
    let rubbish = ["", " ", "x", "1", "1.5", "-1.000000000", "1.0000000000", "1.000000000 ", "1e9"];
    let set = |text: &str| redis::cmd("SET").arg(&key).arg(text).clone();
    let mut commands: Vec<_> = rubbish.iter().map(|text| set(text)).collect();
    commands.push(redis::cmd("LPUSH").arg(&key).arg("1.000000000").clone());
    commands.push(redis::cmd("HSET").arg(&key).arg("1.000000000").arg("1.000000000").clone());
    for command in commands {
        let () = corner.run(redis::cmd("DEL").arg(&key));
        let _: redis::Value = corner.run(&command);
        let dump = || -> Vec<u8> { corner.run(redis::cmd("DUMP").arg(&key)) };
        let before = dump();
        for _ in 0..2 {
            let error = charge(&limiter, slow(5)).await.unwrap_err();
            assert!(matches!(error, LimitError::Corrupt(_)), "{error:?}");
            assert_eq!(error.to_string(), "the shared rate limit can't be read");
            assert!(std::error::Error::source(&error).is_some());
        }
        assert_eq!(dump(), before, "it is left as it is");
        let other = TokenId::from_u128(fastrand::u128(..));
        let charged = limiter.charge(other, &slow(5), SystemTime::now()).await;
        assert_eq!(outcome(charged).unwrap().remaining, 4, "it is the matter of one bucket");
        assert_eq!(news(&limiter), "");
    }
}

#[tokio::test]
async fn an_instant_that_is_far_too_late_is_an_empty_bucket() {
    let corner = Corner::new();
    let limiter = RateLimiter::redis(corner.limits());
    let charge = slow(5);
    remaining(&limiter, charge).await;
    let late = format!("{}.000000000", "9".repeat(40));
    let () = corner.run(redis::cmd("SET").arg(corner.keys()).arg(late));
    let refused = outcome(limiter.charge(TOKEN, &charge, SystemTime::now()).await).unwrap_err();
    assert_eq!(refused.quota.resets_in, charge.limit().seconds());
    assert_eq!(refused.quota.remaining, 0);
}

#[tokio::test]
async fn a_charge_that_nobody_waits_for_any_more_is_counted_once_at_most() {
    let corner = Corner::new();
    let limiter = Arc::new(RateLimiter::redis(corner.limits()));
    remaining(&limiter, slow(1_000)).await;
    for _ in 0..100 {
        let limiter = limiter.clone();
        let charge = tokio::spawn(async move { remaining(&limiter, slow(1_000)).await });
        for _ in 0..fastrand::u32(0..4) {
            tokio::task::yield_now().await;
        }
        charge.abort();
    }
    let left = remaining(&limiter, slow(1_000)).await.unwrap();
    assert!((898..=998).contains(&left), "{left}");
    for used in 1..=10 {
        assert_eq!(remaining(&limiter, slow(1_000)).await, Some(left - used));
    }
    assert_eq!(news(&limiter), "");
}
