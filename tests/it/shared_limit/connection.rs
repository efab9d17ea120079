//! The connection: one for all, made when it is needed, and made anew where it is no good any more.

use std::time::{Duration as Span, SystemTime};

use futures_util::future::join_all;
use keyfob::{
    TokenId,
    limit::{LimitError, RateLimiter, RedisLimits},
};
use time::Duration;

use super::{OwnServer, charge, news, remaining, slow};

#[tokio::test]
async fn all_share_one_connection_that_is_made_when_it_is_needed() {
    let server = OwnServer::start();
    let before = server.connections();
    let limiter = RateLimiter::redis(server.corner.limits());
    assert_eq!(server.connections(), before + 1, "that of the question");
    let passed = join_all((0..100).map(|_| remaining(&limiter, slow(50)))).await;
    assert_eq!(passed.iter().flatten().count(), 50);
    for _ in 0..10 {
        remaining(&limiter, slow(50)).await;
    }
    assert_eq!(server.connections(), before + 3);
}

#[tokio::test]
async fn who_waits_for_the_connection_can_be_dropped() {
    let server = OwnServer::start();
    let limits = server.corner.limits().timeout(Duration::seconds(5));
    let limiter = RateLimiter::redis(limits);
    for number in 0..20 {
        let limiter = limiter.clone();
        let token = TokenId::from_u128(number);
        let charge = tokio::spawn(async move {
            limiter.charge(token, &slow(5), SystemTime::now()).await.map(drop)
        });
        for _ in 0..=number % 5 {
            tokio::task::yield_now().await;
        }
        charge.abort();
        let _ = charge.await;
        if number == 0 {
            // Longer than it may take.
            tokio::time::sleep(Span::from_millis(5_100)).await;
        }
    }
    assert!(remaining(&limiter, slow(5)).await.is_some());
    assert_eq!(news(&limiter), "");
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_is_made_anew_and_nobody_notices() {
    let server = OwnServer::start();
    let limiter = RateLimiter::redis(server.corner.limits());
    for left in (0..5).rev() {
        assert_eq!(remaining(&limiter, slow(5)).await, Some(left));
        let closed: u32 = server.corner.run(
            redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes"),
        );
        assert_eq!((closed, news(&limiter)), (1, ""));
    }
}

#[test]
fn a_connection_outlives_the_runtime_that_it_was_made_in() {
    let server = OwnServer::start();
    let limiter = RateLimiter::redis(server.corner.limits());
    for left in (0..3).rev() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        assert_eq!(runtime.block_on(remaining(&limiter, slow(3))), Some(left));
        drop(runtime);
        assert_eq!(news(&limiter), "");
    }
}

#[tokio::test]
async fn a_user_that_may_do_no_more_than_is_documented_is_enough() {
    let server = OwnServer::start();
    let prefix = server.corner.prefix();
    let () = server.corner.run(
        redis::cmd("ACL")
            .arg("SETUSER")
            .arg(&["keyfob", "on", ">secret", &format!("~{prefix}:limit:*"), "resetchannels"])
            .arg(&["-@all", "+evalsha", "+script|load", "+get", "+set", "+time"]),
    );
    let limiter = RateLimiter::redis(server.corner.limits_as("keyfob:secret"));
    for left in (0..3).rev() {
        assert_eq!(remaining(&limiter, slow(3)).await, Some(left));
    }
    let unknown = RateLimiter::redis(server.corner.limits_as("keyfob:wrong"));
    let refused = charge(&unknown, slow(3)).await;
    assert!(matches!(refused, Err(LimitError::Unavailable(_))), "{refused:?}");
}

#[test]
fn what_is_no_url_is_refused_and_a_password_is_not_shown() {
    for url in ["", "localhost", "http://localhost/", "redis://localhost/zero"] {
        assert!(RedisLimits::open(url).is_err(), "{url}");
    }
    let limits = RedisLimits::open("redis://user:sesame@localhost/").unwrap();
    let shown = format!("{limits:?} {:?}", RateLimiter::redis(limits.clone()));
    assert!(!shown.contains("sesame"), "{shown}");
}
