//! Waiting, and not longer than until an instant, at a price that every look-up can pay.
//!
//! To start a timer wakes the thread that keeps them all, and to drop it does so again: together that is dearer than
//! what it guards. So timers are kept and used again. One that was started for an earlier instant will do: it goes off
//! too early, about once per deadline, and is set anew.

use std::{
    future::{Future, pending, poll_fn},
    hash::BuildHasher,
    pin::{Pin, pin},
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use foldhash::quality::RandomState;
use futures_timer::Delay;

/// How many timers are kept that nobody uses.
const SPARE: usize = 256;

static SPARES: Mutex<Vec<Timer>> = Mutex::new(Vec::new());

fn spares() -> MutexGuard<'static, Vec<Timer>> {
    SPARES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a future gives, if it does so before an instant. It is polled first: what does not wait needs no timer.
pub(crate) async fn in_time<T>(until: Instant, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut lent) = (pin!(future), None);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            let timer = lent.get_or_insert_with(|| Lent::until(until));
            timer.poll_until(until, context).map(|()| None)
        }
    })
    .await
}

/// Lets time pass.
pub(crate) async fn sleep_until(instant: Instant) {
    in_time(instant, pending::<()>()).await;
}

/// Between half of a pause and all of it, so that those who met don't meet again.
pub(crate) fn jittered(longest: Duration) -> Duration {
    let half = longest / 2;
    let [random, ..] = RandomState::default().hash_one(longest).to_le_bytes();
    half + half * u32::from(random) / u32::from(u8::MAX)
}

struct Timer {
    /// When it goes off, or has gone off.
    at: Instant,
    delay: Delay,
}

impl Timer {
    fn set(&mut self, at: Instant) {
        self.delay.reset(at.saturating_duration_since(Instant::now()));
        self.at = at;
    }
}

/// A timer that is in use. It goes back to the others when it is dropped.
struct Lent(Option<Timer>);

impl Lent {
    /// One that goes off at that instant or before.
    fn until(until: Instant) -> Self {
        let Some(mut spare) = spares().pop() else {
            let delay = Delay::new(until.saturating_duration_since(Instant::now()));
            return Self(Some(Timer { at: until, delay }));
        };
        if spare.at > until {
            spare.set(until);
        }
        Self(Some(spare))
    }

    fn poll_until(&mut self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = &mut self.0 else { return Poll::Ready(()) };
        loop {
            ready!(Pin::new(&mut timer.delay).poll(context));
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            timer.set(until);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut spares = spares();
        if spares.len() < SPARE {
            spares.extend(self.0.take());
        }
    }
}
