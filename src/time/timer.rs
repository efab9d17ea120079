//! Waiting, and not longer than until an instant, at a price that every look-up can pay.
//!
//! To start a timer wakes the thread that keeps them all, and to drop it does so again: together that is dearer than
//! what it guards. So timers are kept and used again. One that was started for an earlier instant will do: it goes off
//! too early, about once per deadline, and is set anew.

use std::{
    future::{Future, pending, poll_fn},
    hash::BuildHasher,
    pin::{Pin, pin},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use foldhash::quality::RandomState;
use futures_timer::Delay;
use futures_util::task::AtomicWaker;

/// How many timers are kept that nobody uses.
const SPARE: usize = 256;

static SPARES: Mutex<Vec<Timer>> = Mutex::new(Vec::new());

fn spares() -> MutexGuard<'static, Vec<Timer>> {
    SPARES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a future gives, if it does so before an instant. It is polled first: what does not wait needs no timer.
pub(crate) async fn in_time<T>(until: Instant, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut timeout) = (pin!(future), None);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => {
            let timeout = timeout.get_or_insert_with(|| Timeout::at(until));
            timeout.poll(context).map(|()| None)
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

/// An instant that is waited for.
pub(crate) struct Timeout {
    until: Instant,
    /// Goes off at that instant or before. It goes back to the others when this is dropped.
    lent: Option<Timer>,
}

impl Timeout {
    pub(crate) fn at(until: Instant) -> Self {
        let mut spares = spares();
        let spare = spares.iter().rposition(|it| it.at <= until);
        let timer = spare.map(|place| spares.swap_remove(place));
        let timer = timer.unwrap_or_else(|| {
            let delay = Delay::new(until.saturating_duration_since(Instant::now()));
            Timer { at: until, delay }
        });
        Self { until, lent: Some(timer) }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(timer) = &mut self.lent else { return Poll::Ready(()) };
        loop {
            ready!(Pin::new(&mut timer.delay).poll(context));
            if Instant::now() >= self.until {
                return Poll::Ready(());
            }
            timer.set(self.until);
        }
    }
}

impl Drop for Timeout {
    fn drop(&mut self) {
        let mut spares = spares();
        if spares.len() < SPARE {
            spares.extend(self.lent.take());
        }
    }
}

/// Wakes one future, also before it waits.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    is_notified: AtomicBool,
    waker: AtomicWaker,
}

impl Notify {
    pub(crate) fn notify(&self) {
        if !self.is_notified.swap(true, Relaxed) {
            self.waker.wake();
        }
    }

    /// Waits until it is notified.
    pub(crate) async fn notified(&self) {
        poll_fn(|context| self.poll(context)).await;
    }

    /// The same, or until the time is over.
    pub(crate) async fn or_after(&self, time: Duration) {
        let mut delay = pin!(Delay::new(time));
        poll_fn(|context| match self.poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => delay.as_mut().poll(context),
        })
        .await;
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        self.waker.register(context.waker());
        if self.is_notified.swap(false, Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}
