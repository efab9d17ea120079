//! How often a token may be used: what `keyfob::limit` promises, in numbers.

use std::{
    ops::Range,
    time::{Duration as Span, UNIX_EPOCH},
};

use futures_executor::block_on;
use keyfob::{
    TokenId,
    limit::{Charge, LimitError, Quota, RateLimited, RateLimiter},
    time::{Clock, ManualClock},
    token::RateLimit,
};
use proptest::prelude::*;
use time::Duration;

use crate::support::Random;

const TOKEN: TokenId = TokenId::from_u128(1);

struct World {
    limiter: RateLimiter,
    clock: ManualClock,
}

impl World {
    fn new() -> Self {
        Self::with_capacity(100_000)
    }

    fn with_capacity(buckets: usize) -> Self {
        let clock = ManualClock::at(UNIX_EPOCH + Span::from_secs(1_800_000_000));
        Self { limiter: RateLimiter::local_with_capacity(buckets), clock }
    }

    fn charge(&self, charge: Charge) -> Result<Quota, RateLimited> {
        self.charge_to(TOKEN, charge)
    }

    fn charge_to(&self, token: TokenId, charge: Charge) -> Result<Quota, RateLimited> {
        block_on(self.limiter.charge(token, &charge, self.clock.now())).map_err(reached)
    }

    fn charge_many(&self, tokens: Range<u128>, charge: Charge) {
        for number in tokens {
            self.charge_to(TokenId::from_u128(number), charge).unwrap();
        }
    }

    fn after(&self, seconds: u32) -> &Self {
        self.clock.advance(Duration::seconds(seconds.into()));
        self
    }
}

fn reached(error: LimitError) -> RateLimited {
    match error {
        LimitError::Reached(limited) => limited,
        other => panic!("{other}"),
    }
}

fn limit(requests: u32, seconds: u32) -> RateLimit {
    RateLimit::new(requests, Duration::seconds(seconds.into())).unwrap()
}

fn per_minute(requests: u32) -> Charge {
    Charge::new("default", limit(requests, 60)).unwrap()
}

#[test]
fn sixty_at_once_pass_and_the_next_is_refused() {
    let (world, charge) = (World::new(), per_minute(60));
    for used in 1..=60 {
        let quota = world.charge(charge).unwrap();
        assert_eq!((quota.name, quota.limit), ("default", charge.limit()));
        assert_eq!((quota.remaining, quota.resets_in), (60 - used, used));
    }
    let refused = world.charge(charge).unwrap_err();
    assert_eq!((refused.retry_after, refused.quota.remaining, refused.quota.resets_in), (1, 0, 60));
    assert_eq!(refused.to_string(), "the rate limit is reached: the next request may come in 1 s");
    assert_eq!(world.after(60).charge(charge).unwrap().remaining, 59, "all is there again");
}

#[test]
fn a_steady_client_is_never_refused() {
    for requests in [1, 7, 59, 60, 61, 600] {
        let (world, charge) = (World::new(), per_minute(requests));
        let interval =
            Duration::nanoseconds_i128(60_000_000_000_u64.div_ceil(requests.into()).into());
        let end = world.clock.now() + Span::from_secs(3_600);
        let mut passed = 0;
        while world.clock.now() < end {
            assert!(world.charge(charge).is_ok(), "request {passed} of {requests} a minute");
            passed += 1;
            world.clock.advance(interval);
        }
        assert_eq!(passed, requests * 60);
    }
}

#[test]
fn a_client_that_is_a_little_too_fast_is_refused_in_the_end() {
    let (world, charge) = (World::new(), per_minute(60));
    let passes = (0..3_600).take_while(|_| {
        world.clock.advance(Duration::milliseconds(980));
        world.charge(charge).is_ok()
    });
    assert_eq!(
        passes.count(),
        2_951,
        "each uses 20 ms more than comes back, and 59 s are to spare"
    );
}

#[test]
fn each_token_and_each_name_has_a_bucket_of_its_own() {
    let (world, one) = (World::new(), per_minute(1));
    let other = Charge::new("uploads", one.limit()).unwrap();
    world.charge(one).unwrap();
    assert!(world.charge(one).is_err());
    assert_eq!(world.charge(other).unwrap().name, "uploads");
    assert!(world.charge_to(TokenId::from_u128(2), one).is_ok());
    assert_eq!(world.limiter.buckets(), 3);
}

#[test]
fn clones_share_their_counts_and_limiters_do_not() {
    let (world, one) = (World::new(), per_minute(1));
    world.charge(one).unwrap();
    let clone = World { limiter: world.limiter.clone(), clock: world.clock.clone() };
    assert!(clone.charge(one).is_err());
    assert!(World::new().charge(one).is_ok());
}

#[test]
fn a_request_costs_what_was_said() {
    let (world, charge) = (World::new(), per_minute(60));
    let five = charge.cost(5).unwrap();
    assert_eq!(world.charge(five).unwrap().remaining, 55);
    assert_eq!(world.charge(charge).unwrap().remaining, 54);
    for _ in 0..10 {
        world.charge(five).unwrap();
    }
    let refused = world.charge(five).unwrap_err();
    assert_eq!((refused.quota.remaining, refused.retry_after), (4, 1));
    assert_eq!(world.charge(charge.cost(4).unwrap()).unwrap().remaining, 0, "a refusal is free");
}

#[test]
fn a_cost_above_the_limit_is_the_whole_limit() {
    let world = World::new();
    let charge = per_minute(60).cost(61).unwrap();
    assert_eq!(world.charge(charge).unwrap().remaining, 0);
    assert_eq!(world.charge(charge).unwrap_err().retry_after, 60);
    assert!(world.after(59).charge(charge).is_err());
    assert!(world.after(1).charge(charge).is_ok());
}

#[test]
fn a_cost_of_nothing_is_refused() {
    let refused = per_minute(60).cost(0).unwrap_err();
    assert_eq!(refused.to_string(), "cost must be at least one request");
}

#[test]
fn limits_of_one_name_that_differ_leave_each_other_alone() {
    let (world, minute) = (World::new(), per_minute(60));
    let hour = minute.with_limit(limit(10, 3_600));
    let passed = (0..100).filter(|_| {
        let _ = world.charge(minute);
        world.charge(hour).is_ok()
    });
    assert_eq!(passed.count(), 10);
    assert_eq!(world.charge(minute).unwrap_err().quota.limit, limit(60, 60));
}

#[test]
fn refusals_cost_nothing() {
    let (world, charge) = (World::new(), per_minute(60));
    world.charge(charge.cost(60).unwrap()).unwrap();
    for _ in 0..1_000 {
        assert_eq!(world.charge(charge).unwrap_err().retry_after, 1);
    }
    assert!(world.after(1).charge(charge).is_ok());
}

#[test]
fn whoever_waited_when_the_clock_was_put_back_waits_no_longer_than_the_period() {
    let (world, charge) = (World::new(), per_minute(60));
    let whole = charge.cost(60).unwrap();
    world.charge(whole).unwrap();
    world.clock.advance(-Duration::HOUR);
    let refused = world.charge(whole).unwrap_err();
    assert_eq!((refused.retry_after, refused.quota.resets_in), (60, 60));
    assert!(world.after(1).charge(charge).is_ok());
    assert_eq!(world.charge(whole).unwrap_err().retry_after, 60);
    assert!(world.after(60).charge(whole).is_ok());
}

/// As where a thread is held up between the clock and the limiter.
#[test]
fn requests_that_come_late_get_nothing_for_it() {
    let (world, charge) = (World::new(), Charge::new("default", limit(1_000, 1)).unwrap());
    let now = world.clock.now();
    let late = |milliseconds: u64| now - Span::from_millis(milliseconds % 1_001);
    let passed = (0..5_000).filter(|it| {
        world.clock.set(late(it * 7));
        world.charge(charge).is_ok()
    });
    assert_eq!(passed.count(), 1_000);
}

#[test]
fn of_eight_threads_at_the_edge_as_many_pass_as_the_limit_says() {
    let (world, charge) = (World::new(), per_minute(1_000));
    let passed = || (0..1_000).filter(|_| world.charge(charge).is_ok()).count();
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(passed)).collect();
        threads.into_iter().map(|it| it.join().unwrap()).sum()
    });
    assert_eq!(passed, 1_000);
}

#[test]
fn a_million_tokens_take_no_more_buckets_than_there_are() {
    let (world, charge) = (World::with_capacity(4_000), per_minute(60));
    for wave in 0..244 {
        world.charge_many(wave * 4_100..(wave + 1) * 4_100, charge);
        assert!((3_800..=4_000).contains(&world.limiter.buckets()));
        world.after(1);
    }
}

#[test]
fn buckets_that_are_full_again_are_dropped_as_charges_come() {
    let (world, charge) = (World::new(), per_minute(60));
    world.charge_many(0..20_000, charge);
    world.after(30).charge_many(20_000..20_100, charge.cost(60).unwrap());
    assert_eq!(world.limiter.buckets(), 20_100);
    // So many that no shard is left out.
    world.after(30).charge_many(30_000..35_000, charge);
    assert_eq!(world.limiter.buckets(), 5_100, "what is new, and what is still in use");
    let used = world.charge_to(TokenId::from_u128(20_000), charge.cost(30).unwrap()).unwrap();
    assert_eq!(used.remaining, 0);
}

#[test]
fn after_the_clock_was_put_back_buckets_are_dropped_all_the_same() {
    let (world, charge) = (World::new(), per_minute(60));
    world.charge_many(0..5_000, charge);
    world.clock.advance(-Duration::HOUR);
    world.charge_many(10_000..15_000, charge);
    world.after(60).charge_many(20_000..25_000, charge);
    assert_eq!(world.limiter.buckets(), 10_000, "those of the time that is gone, and the new ones");
}

#[test]
fn of_too_many_the_one_that_is_nearest_to_full_is_dropped() {
    let (world, charge) = (World::with_capacity(3), per_minute(60));
    let to = |number, cost| {
        world.charge_to(TokenId::from_u128(number), charge.cost(cost).unwrap()).unwrap().remaining
    };
    assert_eq!((to(1, 50), to(2, 20), to(3, 30)), (10, 40, 30));
    assert_eq!(to(4, 40), 20, "takes the place of the second");
    assert_eq!((to(1, 1), to(3, 1), to(4, 1)), (9, 29, 19), "nothing of these is lost");
    assert_eq!(to(2, 1), 59, "takes the place of the third");
    assert_eq!((to(1, 1), to(4, 1)), (8, 18));
    world.after(1);
    assert_eq!(to(5, 30), 30, "takes the place of the second, which is full again");
    assert_eq!((to(1, 1), to(4, 1), to(5, 1)), (8, 18, 29));
    assert_eq!(world.limiter.buckets(), 3);
}

#[test]
fn where_room_is_made_all_that_is_full_again_goes() {
    let (world, charge) = (World::with_capacity(3), per_minute(60));
    world.charge_many(0..3, charge);
    world.after(1).charge(charge.cost(2).unwrap()).unwrap();
    assert_eq!(world.limiter.buckets(), 3, "no room was needed");
    world.charge_many(3..4, charge);
    assert_eq!(world.limiter.buckets(), 2);
}

#[test]
fn one_bucket_is_the_least() {
    for capacity in [0, 1] {
        let (world, charge) = (World::with_capacity(capacity), per_minute(1));
        world.charge(charge).unwrap();
        assert!(world.charge(charge).is_err());
        world.charge_to(TokenId::from_u128(2), charge).unwrap();
        assert_eq!(world.limiter.buckets(), 1);
        assert!(world.charge(charge).is_ok(), "in favour of the client");
    }
}

#[test]
fn no_instant_and_no_limit_is_too_much() {
    let now = World::new().clock.now();
    let century = Span::from_secs(100 * 366 * 24 * 3_600);
    let instants = [UNIX_EPOCH - century, UNIX_EPOCH, now, now + century, now + century * 1_000];
    for (requests, seconds) in [(1, 1), (1, u32::MAX), (u32::MAX, 1), (u32::MAX, u32::MAX)] {
        let world = World::with_capacity(usize::MAX);
        let charge = Charge::new("default", limit(requests, seconds)).unwrap();
        for (cost, now) in [1, 2, u32::MAX].iter().flat_map(|it| instants.map(|at| (*it, at))) {
            world.clock.set(now);
            let refused = world.charge(charge.cost(cost).unwrap()).err();
            assert!(refused.is_none_or(|it| it.retry_after > 0 && it.quota.remaining <= requests));
        }
    }
}

fn sendable<T: Send>(future: T) -> T {
    future
}

#[test]
fn a_charge_can_be_awaited_on_any_thread() {
    let (world, charge) = (World::new(), per_minute(1));
    let future = sendable(world.limiter.charge(TOKEN, &charge, world.clock.now()));
    assert!(block_on(future).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_retry_after_is_true_to_the_second(
        (requests, seconds) in (1_u32..200, 1_u32..200),
        (seed, steps) in (any::<u64>(), 1_usize..100),
    ) {
        let (world, mut random) = (World::new(), Random(seed));
        let mut below = |bound: u32| u32::try_from(random.below(bound as usize)).unwrap();
        let charge = Charge::new("default", limit(requests, seconds)).unwrap();
        for _ in 0..steps {
            let charge = charge.cost(1 + below(requests + requests / 4 + 1)).unwrap();
            if let Err(refused) = world.charge(charge) {
                let soon = world.after(refused.retry_after - 1).charge(charge);
                prop_assert_eq!(soon.map_err(|it| it.retry_after), Err(1), "a second less would do");
                prop_assert!(world.after(1).charge(charge).is_ok(), "{:?} was obeyed", refused);
            }
            world.clock.advance(Duration::nanoseconds(below(1_000_000_000).into()) * below(3));
        }
    }

    #[test]
    fn a_limit_is_whole_again_when_it_said(
        (requests, seconds) in (1_u32..200, 1_u32..200),
        costs in prop::collection::vec(1_u32..50, 1..20),
    ) {
        let world = World::new();
        let charge = Charge::new("default", limit(requests, seconds)).unwrap();
        let mut resets_in = 0;
        for cost in costs {
            world.clock.advance(Duration::milliseconds(cost.into()));
            let charged = world.charge(charge.cost(cost).unwrap());
            resets_in = charged.unwrap_or_else(|refused| refused.quota).resets_in;
        }
        let whole = charge.cost(requests).unwrap();
        prop_assert!(world.after(resets_in - 1).charge(whole).is_err());
        prop_assert!(world.after(1).charge(whole).is_ok());
    }
}
