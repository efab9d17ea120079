//! Clocks.

mod clock;
pub(crate) mod timer;

#[cfg(feature = "test-util")]
pub use clock::ManualClock;
pub use clock::{Clock, SystemClock};
pub(crate) use clock::{Moment, Timeline};
