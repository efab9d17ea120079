//! Whether an owner may use tokens at all: the application says so, and is asked on every verification.

use std::{
    collections::HashMap,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    store::StoreError,
    time::{Clock, Moment},
    token::Owner,
};

/// How many answers are kept. Beyond, all are forgotten and asked for again.
const CAPACITY: usize = 10_000;

/// Decides if an owner may use tokens at all: not if the account is locked, or the plan of the project has ended.
///
/// It is asked after the token itself was found valid, within the [deadline](crate::ApiTokensBuilder::deadline) of the
/// verification. If it answers `false`, the token is refused like any other that is not valid; the token itself is left
/// as it is. If it fails, the answer to the client is 503, and never a pass.
///
/// It is implemented with [`async-trait`](https://docs.rs/async-trait).
///
/// ```
/// use keyfob::{ApiTokens, OwnerGate, Owner, store::{MemoryStore, StoreError}};
///
/// #[derive(Debug)]
/// struct Accounts;
///
/// #[async_trait::async_trait]
/// impl OwnerGate for Accounts {
///     async fn is_enabled(&self, owner: &Owner) -> Result<bool, StoreError> {
///         // … SELECT locked FROM accounts …
///         Ok(owner.as_str() != "user:13")
///     }
///
///     fn max_staleness(&self) -> time::Duration {
///         time::Duration::seconds(5)
///     }
/// }
///
/// let tokens =
///     ApiTokens::builder(MemoryStore::new()).prefix("acme").owner_gate(Accounts).build()?;
///
/// // After the account was locked: this node asks the gate anew, others within the 5 seconds.
/// tokens.owner_changed(&Owner::new("user:13")?);
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[async_trait]
pub trait OwnerGate: Debug + Send + Sync + 'static {
    /// Returns `true` if the owner may use tokens now.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with the cause if the look-up fails: `map_err(|error| StoreError::Unavailable(error.into()))`.
    async fn is_enabled(&self, owner: &Owner) -> Result<bool, StoreError>;

    /// Returns for how long an answer may be used, counted from when the gate was asked: at most 60 seconds. It is read
    /// once, when the handle is built. Default: zero, so the gate is asked on each verification.
    ///
    /// [`ApiTokens::owner_changed`](crate::ApiTokens::owner_changed) forgets an answer on this node. Other nodes are not
    /// told, and use their answers until they are too old.
    fn max_staleness(&self) -> time::Duration {
        time::Duration::ZERO
    }
}

/// A gate, and what it answered no longer ago than the application allows.
#[derive(Debug)]
pub(crate) struct Gatekeeper {
    gate: Arc<dyn OwnerGate>,
    max_staleness: Duration,
    answers: Mutex<Answers>,
}

#[derive(Debug, Default)]
struct Answers {
    by_owner: HashMap<Owner, Answer>,
    /// How often something was forgotten: what was asked for before must not be kept after.
    forgotten: u64,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    enabled: bool,
    /// When it was asked for.
    asked: Moment,
}

impl Gatekeeper {
    pub(crate) fn new(gate: Arc<dyn OwnerGate>, max_staleness: Duration) -> Self {
        Self { gate, max_staleness, answers: Mutex::default() }
    }

    /// What was answered no longer ago than allowed.
    pub(crate) fn peek(&self, owner: &Owner, clock: &dyn Clock) -> Option<bool> {
        if self.max_staleness.is_zero() {
            return None;
        }
        let answer = self.lock().by_owner.get(owner).copied()?;
        let age = answer.asked.until(Moment::now(clock));
        (age <= self.max_staleness).then_some(answer.enabled)
    }

    pub(crate) async fn ask(&self, owner: &Owner, clock: &dyn Clock) -> Result<bool, StoreError> {
        let (asked, forgotten) = (Moment::now(clock), self.lock().forgotten);
        let enabled = self.gate.is_enabled(owner).await?;
        let mut answers = self.lock();
        // Of two that are under way, the one that was asked for later counts.
        let is_latest =
            answers.by_owner.get(owner).is_none_or(|it| it.asked.elapsed <= asked.elapsed);
        if !self.max_staleness.is_zero() && answers.forgotten == forgotten && is_latest {
            if answers.by_owner.len() >= CAPACITY {
                answers.by_owner.clear();
            }
            answers.by_owner.insert(owner.clone(), Answer { enabled, asked });
        }
        Ok(enabled)
    }

    pub(crate) fn forget(&self, owner: &Owner) {
        let mut answers = self.lock();
        answers.by_owner.remove(owner);
        answers.forgotten += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SystemClock;

    #[derive(Debug)]
    struct Open;

    #[async_trait]
    impl OwnerGate for Open {
        async fn is_enabled(&self, _: &Owner) -> Result<bool, StoreError> {
            Ok(true)
        }
    }

    #[test]
    fn no_more_answers_are_kept_than_there_is_room_for() {
        let gate = Gatekeeper::new(Arc::new(Open), Duration::from_secs(60));
        for number in 0..=(2 * CAPACITY) {
            let owner = Owner::new(number.to_string()).unwrap();
            let asked = futures_executor::block_on(gate.ask(&owner, &SystemClock));
            assert!(asked.unwrap() && gate.lock().by_owner.len() <= CAPACITY);
        }
    }
}
