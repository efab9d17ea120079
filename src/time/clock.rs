//! What time it is. The application may bring a clock of its own; tests bring `ManualClock`.

use std::{
    fmt::Debug,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{
            AtomicI64, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::{Duration, Instant, SystemTime},
};

use crate::token::Timestamp;

/// Tells the time.
///
/// Everything that keyfob decides by time, it decides by this: expiry, idleness, suspension, the instants in records.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Now, by the wall clock. It may be put forward and back.
    fn now(&self) -> SystemTime;

    /// The time since some moment that stays the same. It never goes back. It may stand still while the machine sleeps.
    fn elapsed(&self) -> Duration;

    /// The same, a few milliseconds late at most, where that is cheaper to read. Each verification reads it. It need
    /// not count from the same moment as [`elapsed`](Self::elapsed).
    fn elapsed_coarsely(&self) -> Duration {
        self.elapsed()
    }
}

/// An instant by both hands of a clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    pub(crate) elapsed: Duration,
    pub(crate) wall: SystemTime,
}

impl Moment {
    pub(crate) fn now(clock: &dyn Clock) -> Self {
        Self { elapsed: clock.elapsed(), wall: clock.now() }
    }

    /// How much later another moment is, by whichever hand has moved further: one may stand still while the machine
    /// sleeps, and the other may have been put back.
    pub(crate) fn until(self, later: Self) -> Duration {
        let by_wall = later.wall.duration_since(self.wall).unwrap_or_default();
        later.elapsed.saturating_sub(self.elapsed).max(by_wall)
    }
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn elapsed_coarsely(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
        // Neither is negative.
        Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
    }
}

/// The time that tokens are judged by: that of the wall clock, but where that is put back, it is held to what has truly
/// elapsed, so that an expiry is not put off.
///
/// ```text
/// wall clock    is ahead of what has elapsed    agrees with it          is behind it
/// time is       the wall clock's                the wall clock's        what has elapsed
/// compared      once a second                   once a second           each time
/// ```
///
/// Within a second both hands have to show that it is the same one still: the wall clock may have been put back into
/// it an hour later.
#[derive(Debug)]
pub(crate) struct Timeline {
    anchors: Mutex<Anchors>,
    /// The second that it was when both hands were last compared.
    latest: AtomicI64,
    /// When that second is over, in nanoseconds that have elapsed; 0 where the wall clock is behind.
    until: AtomicU64,
}

#[derive(Debug)]
struct Anchors {
    /// From here on time is counted.
    held: Anchor,
    /// Where the wall clock was found ahead of that, as it is after it was put forward, by mistake or rightly, or after
    /// the machine has slept.
    ahead: Option<Anchor>,
}

/// What the wall clock showed, in seconds since 1970, when so much time had elapsed.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    wall: i64,
    elapsed: Duration,
}

/// For how long a wall clock that was put forward has to go on before it is believed that it was right to.
const TRUSTED: Duration = Duration::from_secs(3_600);

impl Timeline {
    pub(crate) fn new(clock: &dyn Clock) -> Self {
        let wall = Timestamp::clamped(clock.now()).unix_seconds();
        let held = Anchor { wall, elapsed: clock.elapsed_coarsely() };
        let anchors = Mutex::new(Anchors { held, ahead: None });
        Self { anchors, latest: AtomicI64::new(wall), until: AtomicU64::new(0) }
    }

    #[inline]
    pub(crate) fn now(&self, clock: &dyn Clock) -> Timestamp {
        let (now, elapsed) = (Timestamp::clamped(clock.now()), clock.elapsed_coarsely());
        if nanoseconds(elapsed) < self.until.load(Acquire)
            && now.unix_seconds() == self.latest.load(Relaxed)
        {
            return now;
        }
        self.advance(elapsed, clock)
    }

    /// Once a second, and for as long as the wall clock is behind.
    ///
    /// It is behind also after it was put forward by mistake and that was mended; so it is held to what has elapsed,
    /// and not to the latest time that it has shown. It is behind as well where it has passed that latest time
    /// meanwhile, and not what has elapsed.
    #[cold]
    fn advance(&self, elapsed: Duration, clock: &dyn Clock) -> Timestamp {
        let mut anchors = self.anchors.lock().unwrap_or_else(PoisonError::into_inner);
        let wall = clock.now();
        let now = Timestamp::clamped(wall);
        let latest = self.latest.load(Relaxed);
        let mut held = anchors.at(now.unix_seconds(), elapsed);
        // Both parts of the sum were cut to seconds.
        if held.saturating_add(1) == latest {
            held = latest;
        }
        let held = Timestamp::from_unix_seconds(held).map_or(now, |held| held.max(now));
        let until = if held == now { elapsed + rest_of_second(wall) } else { Duration::ZERO };
        // In this order, so that a second is never taken for a later one's.
        self.until.store(0, Release);
        self.latest.store(held.unix_seconds(), Release);
        self.until.store(nanoseconds(until), Release);
        held
    }
}

/// Enough for five centuries.
fn nanoseconds(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// How long it is until the wall clock shows another second.
fn rest_of_second(wall: SystemTime) -> Duration {
    match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => Duration::from_nanos(u64::from(1_000_000_000 - since.subsec_nanos())),
        Err(before) => Duration::from_nanos(before.duration().subsec_nanos().into()),
    }
}

impl Anchors {
    /// The second that it is by what has elapsed.
    fn at(&mut self, wall: i64, elapsed: Duration) -> i64 {
        let held = self.held.at(elapsed);
        if wall <= held.saturating_add(1) {
            self.ahead = None;
            return held;
        }
        match self.ahead {
            Some(ahead) if ahead.at(elapsed).abs_diff(wall) <= 1 => {
                if elapsed.saturating_sub(ahead.elapsed) >= TRUSTED {
                    self.held = ahead;
                }
            }
            _ => self.ahead = Some(Anchor { wall, elapsed }),
        }
        held
    }
}

impl Anchor {
    fn at(self, elapsed: Duration) -> i64 {
        self.wall.saturating_add_unsigned(elapsed.saturating_sub(self.elapsed).as_secs())
    }
}

/// A clock that stands still until a test moves it. Clones share their time.
///
/// ```
/// use keyfob::time::{Clock, ManualClock};
/// use time::{Duration, macros::datetime};
///
/// let clock = ManualClock::at(datetime!(2026-01-31 08:00 UTC));
/// clock.clone().advance(Duration::MINUTE);
/// assert_eq!(clock.now(), datetime!(2026-01-31 08:01 UTC));
/// ```
#[cfg(feature = "test-util")]
#[derive(Clone, Debug)]
pub struct ManualClock(std::sync::Arc<Mutex<Manual>>);

#[cfg(feature = "test-util")]
#[derive(Debug)]
struct Manual {
    /// Where it stood at first.
    start: SystemTime,
    now: SystemTime,
    elapsed: Duration,
}

#[cfg(feature = "test-util")]
impl ManualClock {
    /// A clock that stands at an instant.
    #[must_use]
    pub fn at(instant: impl Into<SystemTime>) -> Self {
        let start = instant.into();
        let manual = Manual { start, now: start, elapsed: Duration::ZERO };
        Self(std::sync::Arc::new(Mutex::new(manual)))
    }

    /// Lets so much time pass; where the duration is negative, the wall clock is put back.
    pub fn advance(&self, duration: time::Duration) {
        let mut manual = self.lock();
        let moved = if duration.is_negative() {
            manual.now.checked_sub(duration.unsigned_abs())
        } else {
            manual.elapsed = manual.elapsed.saturating_add(duration.unsigned_abs());
            manual.now.checked_add(duration.unsigned_abs())
        };
        manual.now = moved.unwrap_or(manual.now);
    }

    /// Lets time pass until an instant; where that is before now, the wall clock is put back. Time that has passed
    /// while it was behind does not pass again.
    pub fn set(&self, instant: impl Into<SystemTime>) {
        let mut manual = self.lock();
        manual.now = instant.into();
        let passed = manual.now.duration_since(manual.start).unwrap_or_default();
        manual.elapsed = manual.elapsed.max(passed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Manual> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(feature = "test-util")]
impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.lock().now
    }

    fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }
}

#[cfg(all(test, feature = "test-util"))]
mod tests {
    use time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)
    }

    #[test]
    fn time_goes_on_while_the_wall_clock_is_behind() {
        let clock = ManualClock::at(at(1_000));
        let timeline = Timeline::new(&clock);
        let now = || timeline.now(&clock).unix_seconds();
        clock.advance(Duration::seconds(100));
        assert_eq!(now(), 1_100);
        clock.advance(Duration::seconds(-500));
        assert_eq!(now(), 1_100);
        clock.advance(Duration::seconds(10));
        assert_eq!(now(), 1_110);
        clock.advance(Duration::seconds(1_000));
        assert_eq!(now(), 2_110);
        clock.set(at(3_000));
        assert_eq!(now(), 3_000);
    }

    #[test]
    fn a_clock_that_is_behind_is_not_right_when_it_comes_back_to_what_it_was() {
        let clock = ManualClock::at(at(1_000));
        let timeline = Timeline::new(&clock);
        let now = || timeline.now(&clock).unix_seconds();
        clock.advance(Duration::seconds(-50));
        assert_eq!(now(), 1_000);
        for (forward, expected) in [(50, 1_050), (100, 1_150), (100, 1_250)] {
            clock.advance(Duration::seconds(forward));
            assert_eq!(now(), expected);
        }
    }

    /// A clock of which both hands can be set.
    #[derive(Debug)]
    struct Hands(AtomicI64, AtomicI64);

    impl Hands {
        fn new() -> Self {
            Self(AtomicI64::new(1_000), AtomicI64::new(0))
        }

        /// To a second, and to milliseconds that have elapsed.
        fn set(&self, wall: i64, elapsed: i64) {
            self.0.store(wall, Relaxed);
            self.1.store(elapsed, Relaxed);
        }
    }

    /// The second that it is, each time that the hands are set.
    fn timeline() -> impl Fn(i64, i64) -> i64 {
        let clock = Hands::new();
        let timeline = Timeline::new(&clock);
        move |wall, elapsed| {
            clock.set(wall, elapsed);
            timeline.now(&clock).unix_seconds()
        }
    }

    impl Clock for Hands {
        fn now(&self) -> SystemTime {
            at(self.0.load(Relaxed).unsigned_abs())
        }

        fn elapsed(&self) -> std::time::Duration {
            std::time::Duration::from_millis(self.1.load(Relaxed).unsigned_abs())
        }
    }

    #[test]
    fn a_clock_that_was_put_forward_by_mistake_can_be_mended() {
        let at = timeline();
        assert_eq!(at(9_000, 10_000), 9_000);
        assert_eq!(at(1_011, 11_000), 1_011);
        assert_eq!(at(1_020, 20_000), 1_020);
        // The fractions that were cut off may not give a second back.
        assert_eq!(at(500, 19_900), 1_020);
    }

    #[test]
    fn a_clock_that_is_put_back_into_the_second_of_the_last_look_revives_nothing() {
        let at = timeline();
        assert_eq!(at(1_000, 0), 1_000);
        assert_eq!(at(1_000, 999), 1_000);
        assert_eq!(at(1_000, 59 * 60 * 1_000), 1_000 + 59 * 60);
        assert_eq!(at(1_001, 59 * 60 * 1_000 + 1_000), 1_001 + 59 * 60);
    }

    #[test]
    fn a_second_ends_when_the_wall_clock_says_so() {
        let nanoseconds = std::time::Duration::from_nanos;
        let rest =
            |past: u64| rest_of_second(SystemTime::UNIX_EPOCH + nanoseconds(7_000_000_000 + past));
        for (past, expected) in [(0, 1_000_000_000), (1, 999_999_999), (999_999_999, 1)] {
            assert_eq!(rest(past), nanoseconds(expected));
        }
    }

    #[test]
    fn a_moment_is_as_old_as_either_hand_says() {
        let age = |wall, elapsed| {
            let clock = Hands::new();
            let before = Moment::now(&clock);
            clock.set(wall, elapsed);
            before.until(Moment::now(&clock)).as_secs()
        };
        assert_eq!(age(1_005, 5_000), 5);
        assert_eq!(age(4_600, 5_000), 3_600, "the machine slept");
        assert_eq!(age(10, 5_000), 5, "the clock was put back");
    }

    #[test]
    fn a_jump_that_was_taken_back_is_not_believed_when_it_comes_again() {
        let timeline = timeline();
        let at = |wall: i64, elapsed: i64| timeline(wall, elapsed * 1_000);
        assert_eq!(at(9_000, 10), 9_000);
        assert_eq!(at(1_020, 20), 1_020, "it is taken back");
        assert_eq!(at(12_610, 3_620), 12_610, "as if it had gone on all the time");
        assert_eq!(at(4_621, 3_621), 4_621, "it can still be mended");
    }

    #[test]
    fn a_clock_that_was_put_forward_is_believed_after_an_hour() {
        let timeline = timeline();
        let at = |wall: i64, elapsed: i64| timeline(wall, elapsed * 1_000);
        assert_eq!(at(9_000, 10), 9_000);
        assert_eq!(at(12_590, 3_600), 12_590);
        assert_eq!(at(12_560, 3_601), 12_560, "it is put back before it is believed");
        assert_eq!(at(12_570, 3_611), 12_570);
        assert_eq!(at(16_170, 7_211), 16_170);
        assert_eq!(at(16_171, 7_212), 16_171);
        assert_eq!(at(16_000, 7_213), 16_172, "and after that no more");
        assert_eq!(at(16_000, 8_213), 17_172);
    }
}
