use std::{
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::time::timer;

use super::{StoreError, TokenStore, steps::token_store};

/// The pauses before a step that was busy is tried again, at the longest.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(8), Duration::from_millis(24), Duration::from_millis(72)];

/// A store around a store, each of whose steps ends within a deadline, whatever the inner one does.
#[derive(Clone)]
pub(crate) struct TimedStore {
    inner: Arc<dyn TokenStore>,
    deadline: Duration,
}

impl TimedStore {
    pub(crate) fn new(inner: Arc<dyn TokenStore>, deadline: Duration) -> Self {
        Self { inner, deadline }
    }

    #[inline]
    fn steps(&self) -> &dyn TokenStore {
        &*self.inner
    }

    async fn within<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        step: impl Fn() -> F,
    ) -> Result<T, StoreError> {
        let until = Instant::now() + self.deadline;
        in_time(until, unless_busy(until, step)).await
    }
}

/// Waits for a store no longer than until an instant.
pub(crate) async fn in_time<T>(
    until: Instant,
    step: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let outcome = timer::in_time(until, step).await;
    outcome.unwrap_or_else(|| Err(StoreError::Unavailable("it did not answer in time".into())))
}

/// Does a step again that was busy, a few times and not beyond an instant. Nothing else is done again: a step that
/// failed otherwise may have happened.
pub(crate) async fn unless_busy<T, F: Future<Output = Result<T, StoreError>>>(
    until: Instant,
    step: impl Fn() -> F,
) -> Result<T, StoreError> {
    for longest in PAUSES {
        let outcome = step().await;
        if !matches!(outcome, Err(StoreError::Busy(_))) {
            return outcome;
        }
        let resumed = Instant::now() + timer::jittered(longest);
        if resumed >= until {
            return outcome;
        }
        timer::sleep_until(resumed).await;
    }
    step().await
}

token_store! { TimedStore, |this, step| this.within(step) }

impl fmt::Debug for TimedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
