//! The connections of a pool, lent to the steps of a store.
//!
//! ```text
//! a share of the pool ──► a connection ──► the step ──┬─ ended ──► back to the pool
//!  (Shares)                 │                         ├─ spoilt ──► closed
//!                           │                         └─ dropped midway, while the server works
//!          not there within STALLED, or another             │
//!          question is unanswered for so long:              ├─ answers within WAITED_FOR ──► back, or closed
//!          all idle connections are tested,                 └─ else out of the pool, and closed once it
//!          and those that are silent closed                    answers, or can't work any more
//! ```
//!
//! A network that drops packets tells nobody: the connections that are open fall silent, and new ones work. So one
//! question that stalls makes all idle connections suspect, and they are tested at the same time, once.

use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::future::{Either, join_all, select};
use sqlx::{Connection as _, Pool, pool::PoolConnection};
use tokio::sync::Semaphore;

use crate::time::timer;

use super::{
    engine::{self, Connection, Engine, Lend},
    shares::{Share, Shares, Work},
};

/// After so long without an answer a question is taken to have stalled. A look-up is sent once more a little later, so
/// that it finds out what is known by then.
const STALLED: Duration = Duration::from_millis(200);

/// How long the test of an idle connection may take.
const TESTED_WITHIN: Duration = Duration::from_millis(250);

/// For how long the answer to a dropped step is waited for before the pool may open another connection in its place.
/// The pool itself would wait without end, and lend the connection to nobody meanwhile.
const WAITED_FOR: Duration = Duration::from_millis(100);

/// How many connections may be outside of the pool and not closed yet, for each that the pool may have. What waits on
/// the server for a lock can't be called back, and the server has room for few. Where there are more, they keep their
/// places in the pool.
const LEFT_FOR_EACH: u32 = 3;

/// How many connections are lent without the statements that were prepared on them, once one has lost its own: the
/// pool may make each of them forget, each time that it is given back.
const LENT_UNPREPARED: u32 = 1_000;

/// Lends the connections of a pool.
#[derive(Debug)]
pub(crate) struct Lender<E: Engine> {
    pool: Pool<E::Database>,
    works_unheard: Duration,
    shares: Shares,
    questions: Arc<Questions>,
    /// The right to leave the pool before the server has answered.
    left: Arc<Semaphore>,
    unprepared: AtomicU32,
}

impl<E: Engine> Lender<E> {
    /// Of a server that works no longer than this on what nobody waits for any more: it waits for locks no longer.
    pub(crate) fn new(pool: Pool<E::Database>, works_unheard: Duration) -> Self {
        let connections = pool.options().get_max_connections();
        Self {
            pool,
            works_unheard,
            shares: Shares::of(connections),
            questions: Arc::default(),
            left: Arc::new(Semaphore::new(connections.saturating_mul(LEFT_FOR_EACH) as usize)),
            unprepared: AtomicU32::new(0),
        }
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn pool(&self) -> &Pool<E::Database> {
        &self.pool
    }

    async fn acquire(&self) -> sqlx::Result<PoolConnection<E::Database>> {
        self.test_idle_if_stalled().await;
        let mut acquiring = Box::pin(self.pool.acquire());
        let patience = Instant::now() + STALLED;
        if let Some(acquired) = timer::in_time(patience, acquiring.as_mut()).await {
            return acquired;
        }
        // It may be testing a connection that is silent. It may as well wait for its turn, or connect slowly, so it
        // goes on.
        let again = Box::pin(async {
            self.test_idle_if_stalled().await;
            self.pool.acquire().await
        });
        match select(acquiring, again).await {
            Either::Left((acquired, _)) | Either::Right((acquired, _)) => acquired,
        }
    }

    /// Once a question has stalled, takes connections that are idle and silent out of the pool, which makes room for
    /// others. This goes on if the caller is dropped: in the pool's hands, a connection is waited for without end.
    async fn test_idle_if_stalled(&self) {
        if !self.questions.has_stalled() {
            return;
        }
        let idle: Vec<_> = std::iter::from_fn(|| self.pool.try_acquire()).collect();
        let tested = idle.into_iter().map(|mut connection| {
            tokio::spawn(async move {
                let until = Instant::now() + TESTED_WITHIN;
                let answered = timer::in_time(until, connection.ping()).await;
                if !matches!(answered, Some(Ok(()))) {
                    drop(connection.detach());
                }
            })
        });
        join_all(tested).await;
    }
}

impl<E: Engine> Lend<E> for Lender<E> {
    type Lent = Lent<E>;

    async fn lend(&self, work: Work) -> sqlx::Result<Lent<E>> {
        let share = self.shares.take(work).await;
        let question = Questions::ask(&self.questions);
        let connection = Some(self.acquire().await?);
        let (left, works_unheard) = (self.left.clone(), self.works_unheard);
        Ok(Lent { connection, share, question, left, works_unheard })
    }

    fn distrust_prepared(&self) {
        self.unprepared.store(LENT_UNPREPARED, Relaxed);
    }

    fn lends_unprepared(&self) -> bool {
        self.unprepared.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// A connection of the pool, while a step uses it.
pub(crate) struct Lent<E: Engine> {
    connection: Option<PoolConnection<E::Database>>,
    share: Share,
    question: Question,
    left: Arc<Semaphore>,
    works_unheard: Duration,
}

impl<E: Engine> engine::Lent<E> for Lent<E> {
    fn connection(&mut self) -> Option<&mut Connection<E>> {
        self.connection.as_deref_mut()
    }

    fn discard(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }

    /// Waits for the answer that nobody else waits for any more; then the connection goes back to the pool, or is
    /// closed where it `is_lost`.
    fn leave(&mut self, is_lost: bool) {
        let Some(mut connection) = self.connection.take() else { return };
        let (share, question) = (mem::take(&mut self.share), self.question.take());
        let (left, works_unheard) = (self.left.clone(), self.works_unheard);
        tokio::spawn(async move {
            let answered = timer::in_time(Instant::now() + WAITED_FOR, connection.ping()).await;
            match answered {
                Some(Ok(())) if is_lost => connection.close_on_drop(),
                Some(Ok(())) => {}
                Some(Err(_)) => drop(connection.detach()),
                None => {
                    question.mark_stalled();
                    leave_pool::<E>(connection, share, left, works_unheard).await;
                }
            }
        });
    }
}

/// Takes a connection out of the pool whose server is silent or works on, as soon as not too many are outside, and
/// keeps it until there is an answer.
async fn leave_pool<E: Engine>(
    mut connection: PoolConnection<E::Database>,
    share: Share,
    left: Arc<Semaphore>,
    works_unheard: Duration,
) {
    let answered = Box::pin(connection.ping());
    let counted = match select(Box::pin(left.acquire_owned()), answered).await {
        Either::Left((counted, _)) => Some(counted),
        Either::Right(_) => None,
    };
    if counted.is_none() {
        return drop(connection.detach());
    }
    let mut connection: Connection<E> = connection.detach();
    drop(share);
    let _ = timer::in_time(Instant::now() + works_unheard, connection.ping()).await;
    drop((connection, counted));
}

/// The questions that the server has not answered yet, or is about to be asked.
#[derive(Debug, Default)]
struct Questions(Mutex<Unanswered>);

#[derive(Debug, Default)]
struct Unanswered {
    count: u64,
    since: BTreeMap<u64, Instant>,
    /// When idle connections were last tested.
    tested: Option<Instant>,
    /// Since when a question is unanswered of which nobody waits for the answer any more.
    stalled: Option<Instant>,
}

impl Questions {
    fn ask(questions: &Arc<Self>) -> Question {
        let mut unanswered = questions.lock();
        unanswered.count += 1;
        let (number, since) = (unanswered.count, Instant::now());
        unanswered.since.insert(number, since);
        drop(unanswered);
        Question { questions: questions.clone(), number, since }
    }

    /// Returns `true` if idle connections may be silent, once for all questions that have stalled by now.
    fn has_stalled(&self) -> bool {
        let mut unanswered = self.lock();
        let now = Instant::now();
        let tested = unanswered.tested;
        let is_later = |since: &Instant| tested.is_none_or(|tested| *since > tested);
        let has_stalled = unanswered.stalled.as_ref().is_some_and(is_later)
            || unanswered
                .since
                .values()
                .take_while(|since| now.saturating_duration_since(**since) >= STALLED)
                .any(is_later);
        if has_stalled {
            unanswered.tested = Some(now);
        }
        has_stalled
    }

    /// A panic leaves nothing half changed.
    fn lock(&self) -> MutexGuard<'_, Unanswered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Question {
    questions: Arc<Questions>,
    number: u64,
    since: Instant,
}

impl Question {
    /// The same one, in other hands.
    fn take(&mut self) -> Self {
        let number = mem::take(&mut self.number);
        Self { questions: self.questions.clone(), number, since: self.since }
    }

    fn mark_stalled(&self) {
        let mut unanswered = self.questions.lock();
        unanswered.stalled = unanswered.stalled.max(Some(self.since));
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.questions.lock().since.remove(&self.number);
    }
}
