//! The generic cell rate algorithm, as one pure function.

use std::num::NonZeroU32;

use crate::token::RateLimit;

pub(super) const SECOND: u64 = 1_000_000_000;

/// What a charge made of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Charged {
    /// The state to keep, after a refusal too: that is how a clock put back is forgotten.
    pub tat: u64,
    /// The nanoseconds until the bucket is full again.
    pub used: u64,
    /// How many requests are left.
    pub remaining: u32,
    /// Whole seconds, rounded up, until the bucket is full again.
    pub resets_in: u32,
    /// Whole seconds, rounded up, after which the same charge passes; `None` where it passed.
    pub retry_after: Option<u32>,
}

/// Takes requests out of a bucket, or nothing where there are too few in it.
///
/// The state of a bucket is its theoretical arrival time: when it is full again. This and `now` are nanoseconds since
/// any instant, but since the same one and by the same clock: nodes that share a state take the time of whoever keeps
/// it. A bucket that nobody has used is 0.
pub(super) fn charge(tat: u64, now: u64, limit: RateLimit, cost: NonZeroU32) -> Charged {
    let (used, all) = (used(tat, now, limit), all(limit));
    let wanted = used + price(limit, cost);
    let missing = wanted.saturating_sub(all);
    let used = if missing == 0 { wanted } else { used };
    let retry_after = (missing > 0).then(|| saturated(missing.div_ceil(SECOND)));
    Charged { retry_after, ..state(used, now, limit) }
}

/// Puts back into a bucket what was taken out of it before, in nanoseconds.
pub(super) fn refund(tat: u64, now: u64, limit: RateLimit, taken: u64) -> Charged {
    state(used(tat, now, limit).saturating_sub(taken), now, limit)
}

/// The nanoseconds until the bucket is full again.
fn used(tat: u64, now: u64, limit: RateLimit) -> u64 {
    tat.saturating_sub(now).min(all(limit))
}

/// A bucket of which so much is used.
fn state(used: u64, now: u64, limit: RateLimit) -> Charged {
    Charged {
        tat: now.saturating_add(used),
        used,
        remaining: saturated((all(limit) - used) / interval(limit)),
        resets_in: saturated(used.div_ceil(SECOND)),
        retry_after: None,
    }
}

/// The nanoseconds in which one request comes back. Rounded down, a period could admit twice the limit.
pub(super) fn interval(limit: RateLimit) -> u64 {
    (u64::from(limit.seconds()) * SECOND).div_ceil(u64::from(limit.requests()))
}

/// The nanoseconds in which an empty bucket is full again. They don't overflow: a period is below 2^62 of them, and so
/// is this.
pub(super) fn all(limit: RateLimit) -> u64 {
    interval(limit) * u64::from(limit.requests())
}

/// The nanoseconds in which what a request costs comes back.
pub(super) fn price(limit: RateLimit, cost: NonZeroU32) -> u64 {
    interval(limit) * u64::from(cost.get().min(limit.requests()))
}

pub(super) fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;

    const NOW: u64 = 1_800_000_000 * SECOND;

    fn limit(requests: u32, seconds: u32) -> RateLimit {
        RateLimit::new(requests, Duration::seconds(seconds.into())).unwrap()
    }

    fn charge(tat: u64, now: u64, limit: RateLimit, cost: u32) -> Charged {
        super::charge(tat, now, limit, NonZeroU32::new(cost).unwrap())
    }

    /// One bucket, and when what was taken out of it.
    struct Bucket {
        limit: RateLimit,
        tat: u64,
        passed: Vec<(u64, u64)>,
    }

    impl Bucket {
        fn charge(&mut self, now: u64, cost: u32) -> Option<u32> {
            let charged = charge(self.tat, now, self.limit, cost);
            self.tat = charged.tat;
            if charged.retry_after.is_none() {
                self.passed.push((now, cost.min(self.limit.requests()).into()));
            }
            charged.retry_after
        }

        /// The most that passed from one instant until just before the same one a period later.
        fn most_in_a_period(&self) -> u64 {
            let period = u64::from(self.limit.seconds()) * SECOND;
            let within =
                |from: u64| self.passed.iter().filter(move |it| it.0.wrapping_sub(from) < period);
            let starts = self.passed.iter().map(|it| it.0);
            starts.map(|from| within(from).map(|it| it.1).sum()).max().unwrap_or(0)
        }
    }

    #[test]
    fn the_state_is_when_the_bucket_is_full_again() {
        let minute = limit(60, 60);
        let first = charge(0, NOW, minute, 1);
        let second = SECOND;
        let expected = Charged {
            tat: NOW + second,
            used: second,
            remaining: 59,
            resets_in: 1,
            retry_after: None,
        };
        assert_eq!(first, expected);
        let third = charge(first.tat, NOW + second / 2, minute, 2);
        let expected = Charged {
            tat: NOW + 3 * second,
            used: 5 * second / 2,
            remaining: 57,
            resets_in: 3,
            retry_after: None,
        };
        assert_eq!(third, expected);
    }

    #[test]
    fn an_interval_is_rounded_up_to_the_nanosecond() {
        assert_eq!(charge(0, NOW, limit(59, 60), 1).tat - NOW, 1_016_949_153);
        assert_eq!(charge(0, NOW, limit(3, 1), 1).tat - NOW, 333_333_334);
        assert_eq!(charge(0, NOW, limit(u32::MAX, 1), 1).tat - NOW, 1);
    }

    #[test]
    fn all_of_a_limit_passes_at_once_and_no_more() {
        for (requests, seconds) in [(1, 1), (1, 3600), (59, 60), (60, 60), (7, 1), (1000, 1)] {
            let mut bucket = Bucket { limit: limit(requests, seconds), tat: 0, passed: vec![] };
            for _ in 0..requests {
                assert_eq!(bucket.charge(NOW, 1), None, "{requests} in {seconds} s");
            }
            assert!(bucket.charge(NOW, 1).is_some(), "{requests} in {seconds} s");
        }
    }

    #[test]
    fn a_refusal_leaves_the_state_as_it_is() {
        let minute = limit(60, 60);
        let used = charge(0, NOW, minute, 58);
        let refused = charge(used.tat, NOW, minute, 3);
        assert_eq!(refused, Charged { retry_after: Some(1), ..used });
        assert_eq!(charge(refused.tat, NOW, minute, 2).remaining, 0);
    }

    #[test]
    fn a_refund_gives_back_what_was_charged_and_no_more() {
        let minute = limit(60, 60);
        let used = charge(0, NOW, minute, 58);
        let more = charge(used.tat, NOW, minute, 2);
        assert_eq!(refund(more.tat, NOW, minute, 2 * SECOND), used);
        for tat in [0, NOW, NOW + SECOND / 2, NOW + SECOND] {
            let full =
                Charged { tat: NOW, used: 0, remaining: 60, resets_in: 0, retry_after: None };
            assert_eq!(refund(tat, NOW, minute, SECOND), full);
        }
        assert_eq!(refund(u64::MAX, NOW, minute, SECOND).remaining, 1, "an empty bucket gets one");
    }

    #[test]
    fn a_state_past_an_empty_bucket_is_an_empty_bucket() {
        let (minute, later) = (limit(60, 60), NOW + 3600 * SECOND);
        for tat in [later, later + 60 * SECOND, u64::MAX] {
            let refused = charge(tat, NOW, minute, 1);
            assert_eq!((refused.tat, refused.remaining), (NOW + 60 * SECOND, 0));
            assert_eq!((refused.resets_in, refused.retry_after), (60, Some(1)));
            assert_eq!(charge(refused.tat, NOW + SECOND, minute, 1).retry_after, None);
        }
    }

    #[test]
    fn a_lowered_limit_asks_for_no_more_than_its_own_period() {
        let used = charge(0, NOW, limit(10, 3600), 10);
        let refused = charge(used.tat, NOW, limit(10, 60), 10);
        assert_eq!((refused.retry_after, refused.resets_in), (Some(60), 60));
        assert_eq!(charge(refused.tat, NOW + 60 * SECOND, limit(10, 60), 10).retry_after, None);
    }

    #[test]
    fn nothing_panics_at_the_edges() {
        let instants = [0, 1, SECOND - 1, NOW, u64::MAX - SECOND, u64::MAX - 1, u64::MAX];
        let numbers = [1, 2, 59, 999_999_999, 1_000_000_001, u32::MAX - 1, u32::MAX];
        for (tat, now) in instants.iter().flat_map(|tat| instants.map(|now| (*tat, now))) {
            for (requests, seconds) in numbers.iter().flat_map(|it| numbers.map(|by| (*it, by))) {
                for cost in numbers {
                    let charged = charge(tat, now, limit(requests, seconds), cost);
                    assert!(charged.remaining <= requests);
                    assert!(charged.tat >= now);
                    assert_ne!(charged.retry_after, Some(0));
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_period_admits_fewer_than_twice_the_limit(
            (requests, seconds) in (1_u32..25, 1_u32..10),
            arrivals in prop::collection::vec((0_u32..5, 0.0..1.0_f64, 1_u32..4), 1..400),
        ) {
            let mut bucket = Bucket { limit: limit(requests, seconds), tat: 0, passed: vec![] };
            let period = u64::from(seconds) * SECOND;
            let mut now = NOW;
            for (kind, part, cost) in arrivals {
                let interval = period.div_ceil(requests.into());
                // At once; as soon as there is one; when all is there again, to the nanosecond; and at random.
                now = match kind {
                    0 | 1 => now,
                    2 => now.max((bucket.tat + interval).saturating_sub(interval * u64::from(requests))),
                    3 => now.max(bucket.tat),
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
                    _ => now + (period as f64 * part) as u64,
                };
                bucket.charge(now, cost);
            }
            let most = bucket.most_in_a_period();
            prop_assert!(most < 2 * u64::from(requests), "{most} in a period");
        }

        #[test]
        fn whoever_keeps_to_the_interval_is_never_refused(
            (requests, shift, seconds) in (1..=u32::MAX, 0_u32..32, 1_u32..100_000),
            (burst, delays) in (0_u32..100, prop::collection::vec(0..SECOND, 1..100)),
        ) {
            let limit = limit((requests >> shift).max(1), seconds);
            let interval = (u64::from(seconds) * SECOND).div_ceil(limit.requests().into());
            let mut bucket = Bucket { limit, tat: 0, passed: vec![] };
            for _ in 0..burst.min(limit.requests() - 1) {
                bucket.charge(NOW, 1);
            }
            let mut now = NOW;
            for delay in delays {
                prop_assert_eq!(bucket.charge(now, 1), None);
                now += interval + delay % 2 * delay;
            }
        }
    }
}
