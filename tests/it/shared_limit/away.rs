//! A server that is away, in every way: nobody waits for long, and nobody passes who should not.

use std::time::{Instant, SystemTime};

use keyfob::{
    TokenId,
    limit::{LimitError, RateLimiter, RedisLimits, WhileAway},
};
use redis::Cmd;
use time::Duration;
use tokio::net::TcpListener;

use super::{OwnServer, charge, eventually, news, remaining, slow};

/// What a server can be told so that it answers charges with an error, and how it is told to do so no more.
fn troubles() -> [(Cmd, Cmd); 3] {
    let command = |parts: &[&str]| redis::cmd(parts[0]).arg(&parts[1..]).clone();
    [
        (command(&["REPLICAOF", "127.0.0.1", "1"]), command(&["REPLICAOF", "NO", "ONE"])),
        (
            command(&["CONFIG", "SET", "maxmemory", "1"]),
            command(&["CONFIG", "SET", "maxmemory", "0"]),
        ),
        (
            command(&["ACL", "SETUSER", "default", "-evalsha"]),
            command(&["ACL", "SETUSER", "default", "+evalsha"]),
        ),
    ]
}

/// Waits until the server is tried again.
async fn once_it_is_back(limiter: &RateLimiter) {
    let another = TokenId::from_u128(2);
    eventually(async || {
        let _ = limiter.charge(another, &slow(1_000_000), SystemTime::now()).await;
        news(limiter) == "back"
    })
    .await;
}

async fn is_unavailable(limiter: &RateLimiter) -> bool {
    let verdict = charge(limiter, slow(5)).await;
    let Err(error @ LimitError::Unavailable(_)) = &verdict else { panic!("{verdict:?}") };
    error.to_string() == "the shared rate limits are unavailable"
        && std::error::Error::source(error).is_some()
}

#[tokio::test]
async fn while_a_server_is_away_each_process_counts_for_itself_unless_told_otherwise() {
    let server = OwnServer::start();
    let limiter = RateLimiter::redis(server.corner.limits().while_away(WhileAway::Local));
    for left in [4, 3, 2] {
        assert_eq!(remaining(&limiter, slow(5)).await, Some(left));
    }
    assert_eq!((news(&limiter), limiter.buckets()), ("", 0));
    server.kill();
    for left in [Some(4), Some(3), Some(2), Some(1), Some(0), None, None] {
        assert_eq!(remaining(&limiter, slow(5)).await, left);
    }
    assert_eq!((news(&limiter), news(&limiter), limiter.buckets()), ("away", "", 1));
    server.start_again();
    once_it_is_back(&limiter).await;
    assert_eq!(remaining(&limiter, slow(5)).await, Some(4), "the server has forgotten");
    assert_eq!(news(&limiter), "");
}

#[tokio::test]
async fn while_a_server_is_away_everything_is_refused_where_that_is_asked_for() {
    let server = OwnServer::start();
    let limiter = RateLimiter::redis(server.corner.limits());
    assert_eq!(remaining(&limiter, slow(5)).await, Some(4));
    server.kill();
    for _ in 0..10 {
        assert!(is_unavailable(&limiter).await);
    }
    assert_eq!((news(&limiter), news(&limiter), limiter.buckets()), ("away", "", 0));
    server.start_again();
    once_it_is_back(&limiter).await;
    assert_eq!(remaining(&limiter, slow(5)).await, Some(4));
}

#[tokio::test]
async fn a_server_that_can_not_be_reached_from_the_start_is_away() {
    let server = OwnServer::start();
    server.kill();
    let limiter = RateLimiter::redis(server.corner.limits());
    assert!(is_unavailable(&limiter).await);
    assert_eq!(news(&limiter), "away");
    server.start_again();
    once_it_is_back(&limiter).await;
    assert_eq!(remaining(&limiter, slow(5)).await, Some(4));
}

#[tokio::test]
async fn a_server_that_answers_with_an_error_is_away() {
    let server = OwnServer::start();
    for (trouble, end) in troubles() {
        let limiter = RateLimiter::redis(server.corner.own_limits());
        assert_eq!(remaining(&limiter, slow(5)).await, Some(4));
        let _: redis::Value = server.corner.run(&trouble);
        assert!(is_unavailable(&limiter).await);
        assert_eq!(news(&limiter), "away");
        let _: redis::Value = server.corner.run(&end);
        once_it_is_back(&limiter).await;
        assert_eq!(remaining(&limiter, slow(5)).await, Some(3), "nothing was charged meanwhile");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_waited_for_by_few() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/", listener.local_addr().unwrap());
    let accept = tokio::spawn(async move {
        let mut accepted = Vec::new();
        loop {
            accepted.push(listener.accept().await.unwrap());
        }
    });
    let timeout = Duration::milliseconds(500);
    for choice in [WhileAway::Local, WhileAway::Refuse] {
        let limits = RedisLimits::open(&url).unwrap().timeout(timeout).while_away(choice);
        let limiter = RateLimiter::redis(limits);
        let start = Instant::now();
        for left in (0..1_000).rev() {
            match choice {
                WhileAway::Local => {
                    assert_eq!(remaining(&limiter, slow(1_000)).await, Some(left));
                }
                _ => assert!(is_unavailable(&limiter).await),
            }
        }
        assert!(start.elapsed() >= timeout, "the first one waits");
        assert!(start.elapsed() < timeout * 100, "and few others do");
        assert_eq!((news(&limiter), news(&limiter)), ("away", ""));
    }
    accept.abort();
}

#[tokio::test]
async fn a_server_that_begins_to_hang_is_left_and_taken_up_again() {
    let server = OwnServer::start();
    let limits = server.corner.limits().timeout(Duration::SECOND);
    let limiter = RateLimiter::redis(limits);
    once_it_is_counted(&limiter).await;
    let hung = server.hang();
    assert!(is_unavailable(&limiter).await);
    assert!(is_unavailable(&limiter).await);
    assert_eq!((news(&limiter), news(&limiter)), ("away", ""));
    drop(hung);
    once_it_is_back(&limiter).await;
    once_it_is_counted(&limiter).await;
}

/// A machine under load can let a time-out pass.
async fn once_it_is_counted(limiter: &RateLimiter) {
    eventually(async || charge(limiter, slow(1_000_000)).await.is_ok()).await;
    news(limiter);
}
