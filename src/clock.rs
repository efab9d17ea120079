//! What time it is. The application may bring a clock of its own; tests bring `ManualClock`.

use std::{fmt::Debug, time::SystemTime};

/// Tells the time of the wall clock.
///
/// Everything that keyfob decides by time, it decides by this: expiry, idleness, suspension, the instants in records.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Now.
    fn now(&self) -> SystemTime;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that stands still until a test moves it. Clones share their time.
///
/// ```
/// use keyfob::{Clock, ManualClock};
/// use time::{Duration, macros::datetime};
///
/// let clock = ManualClock::at(datetime!(2026-01-31 08:00 UTC));
/// clock.clone().advance(Duration::MINUTE);
/// assert_eq!(clock.now(), datetime!(2026-01-31 08:01 UTC));
/// ```
#[cfg(feature = "test-util")]
#[derive(Clone, Debug)]
pub struct ManualClock(std::sync::Arc<std::sync::Mutex<SystemTime>>);

#[cfg(feature = "test-util")]
impl ManualClock {
    /// A clock that stands at an instant.
    #[must_use]
    pub fn at(instant: impl Into<SystemTime>) -> Self {
        Self(std::sync::Arc::new(std::sync::Mutex::new(instant.into())))
    }

    /// Moves the clock, backwards where the duration is negative.
    pub fn advance(&self, duration: time::Duration) {
        let mut now = self.lock();
        let moved = if duration.is_negative() {
            now.checked_sub(duration.unsigned_abs())
        } else {
            now.checked_add(duration.unsigned_abs())
        };
        *now = moved.unwrap_or(*now);
    }

    /// Puts the clock to an instant.
    pub fn set(&self, instant: impl Into<SystemTime>) {
        *self.lock() = instant.into();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SystemTime> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(feature = "test-util")]
impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        *self.lock()
    }
}
