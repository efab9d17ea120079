//! Limits that nodes share on Redis.

mod away;
mod buckets;
mod connection;

use std::time::SystemTime;

use keyfob::{
    TokenId,
    limit::{Charge, LimitError, LimiterEvent, Quota, RateLimited, RateLimiter},
    token::RateLimit,
};
use time::Duration;

use crate::support::{
    Random, eventually,
    redis::{Corner, OwnServer},
};

const TOKEN: TokenId = TokenId::from_u128(1);

fn limit(requests: u32, period: Duration) -> RateLimit {
    RateLimit::new(requests, period).unwrap()
}

/// Of which nothing comes back while a test runs.
fn slow(requests: u32) -> Charge {
    Charge::of(limit(requests, Duration::days(1_000)))
}

async fn charge(limiter: &RateLimiter, charge: Charge) -> Result<Quota, LimitError> {
    limiter.charge(TOKEN, &charge, SystemTime::now()).await
}

/// What remains, or `None` where the limit is reached.
async fn remaining(limiter: &RateLimiter, of: Charge) -> Option<u32> {
    outcome(charge(limiter, of).await).ok().map(|quota| quota.remaining)
}

#[track_caller]
fn outcome(verdict: Result<Quota, LimitError>) -> Result<Quota, RateLimited> {
    verdict.map_err(|error| match error {
        LimitError::Reached(limited) => limited,
        other => panic!("{other:?}"),
    })
}

/// `away`, `back`, or nothing.
fn news(limiter: &RateLimiter) -> &'static str {
    match limiter.take_event() {
        None => "",
        Some(LimiterEvent::Away(_)) => "away",
        Some(LimiterEvent::Back) => "back",
        Some(other) => panic!("{other:?}"),
    }
}
