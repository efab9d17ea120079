use std::{
    fmt,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;

use crate::{
    timer,
    token::{KeyId, Revocation, TokenId, TokenRecord},
};

use super::{
    Counts, Deleted, Deletion, Filter, InsertOutcome, InsertRules, KeyCount, Page, Patch, Peek,
    Query, Revoked, Selection, StoreError, TokenStore, UpdateOutcome, Use,
};

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

macro_rules! timed {
    ($($step:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+) => {
        #[async_trait]
        impl TokenStore for TimedStore {
            #[inline]
            fn peek(&self, id: TokenId) -> Peek {
                self.inner.peek(id)
            }

            $(async fn $step(&self, $($argument: $type),*) -> Result<$answer, StoreError> {
                self.within(|| self.inner.$step($($argument),*)).await
            })+
        }
    };
}

timed! {
    find(ids: &[TokenId]) -> Page;
    insert(record: &TokenRecord, rules: &InsertRules) -> InsertOutcome;
    update(id: TokenId, patch: &Patch) -> UpdateOutcome;
    revoke(selection: &Selection, revocation: &Revocation, limit: u32) -> Revoked;
    record_uses(uses: &[Use]) -> ();
    list(query: &Query) -> Page;
    count(filter: &Filter) -> Counts;
    count_by_key() -> Vec<KeyCount>;
    delete(deletion: &Deletion, limit: u32) -> Deleted;
    key_fingerprint(key: &KeyId, value: &[u8; 32]) -> [u8; 32];
}

impl fmt::Debug for TimedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
