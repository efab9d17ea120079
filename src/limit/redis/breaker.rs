use std::{
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{limit::LimiterEvent, time::timer};
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Why nothing can be asked.
pub(super) type Cause = Arc<dyn Error + Send + Sync>;

/// Decides whether a server that may be away is worth asking, so that few wait for one that is: after a failure nobody
/// asks for a while, and then one at a time, until one gets an answer.
#[derive(Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Counts the outages and their ends: an attempt from before tells nothing of now.
    epoch: u64,
    outage: Option<Outage>,
    /// Whether the latest news was that of an outage.
    told: bool,
}

struct Outage {
    cause: Cause,
    failures: u32,
    next_attempt: Instant,
    is_attempted: bool,
}

/// Somebody asks. What he does not tell the end of, because he was dropped, the next one may try.
pub(super) struct Attempt<'a> {
    breaker: &'a Breaker,
    epoch: u64,
    ends_outage: bool,
}

impl Breaker {
    /// Lets somebody ask, or tells why that is not worth it now.
    pub(super) fn attempt(&self, now: Instant) -> Result<Attempt<'_>, Cause> {
        let mut state = self.lock();
        if let Some(outage) = &mut state.outage {
            if outage.is_attempted || now < outage.next_attempt {
                return Err(outage.cause.clone());
            }
            outage.is_attempted = true;
        }
        let (epoch, ends_outage) = (state.epoch, state.outage.is_some());
        Ok(Attempt { breaker: self, epoch, ends_outage })
    }

    /// Tells each outage and its end once, to whoever asks first.
    pub(super) fn take_event(&self) -> Option<LimiterEvent> {
        let mut state = self.lock();
        let is_away = state.outage.is_some();
        if std::mem::replace(&mut state.told, is_away) == is_away {
            return None;
        }
        Some(
            state
                .outage
                .as_ref()
                .map_or(LimiterEvent::Back, |it| LimiterEvent::Away(it.cause.clone())),
        )
    }

    /// A panic leaves nothing half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So that nodes don't come back all at once.
fn pause(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(16));
    timer::jittered(doubled.min(LONGEST_PAUSE))
}

impl Attempt<'_> {
    /// There was an answer.
    pub(super) fn succeeded(self) {
        if self.ends_outage {
            let mut state = self.breaker.lock();
            state.outage = None;
            state.epoch += 1;
        }
    }

    /// There was none.
    pub(super) fn failed(self, now: Instant, cause: Cause) {
        let mut state = self.breaker.lock();
        if state.epoch != self.epoch {
            return;
        }
        if state.outage.is_none() {
            state.epoch += 1;
        }
        let failures = state.outage.as_ref().map_or(0, |it| it.failures).saturating_add(1);
        let next_attempt = now + pause(failures);
        state.outage = Some(Outage { cause, failures, next_attempt, is_attempted: false });
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut state = self.breaker.lock();
        if self.ends_outage
            && self.epoch == state.epoch
            && let Some(outage) = &mut state.outage
        {
            outage.is_attempted = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};

    use super::*;

    fn cause() -> Cause {
        Arc::new(io::Error::from(ErrorKind::ConnectionRefused))
    }

    fn fail(breaker: &Breaker, now: Instant) {
        breaker.attempt(now).ok().unwrap().failed(now, cause());
    }

    fn told(breaker: &Breaker) -> Option<bool> {
        breaker.take_event().map(|news| matches!(news, LimiterEvent::Away(_)))
    }

    #[test]
    fn after_a_failure_nobody_asks_and_then_one_at_a_time() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        fail(&breaker, start);
        assert!(breaker.attempt(start).is_err());
        assert!(breaker.attempt(start + FIRST_PAUSE * 49 / 100).is_err());
        let later = start + FIRST_PAUSE;
        let attempt = breaker.attempt(later).ok().unwrap();
        assert!(breaker.attempt(later).is_err(), "one at a time");
        attempt.succeeded();
        let (one, another) = (breaker.attempt(later), breaker.attempt(later));
        assert!(one.is_ok() && another.is_ok());
    }

    #[test]
    fn pauses_grow_to_a_second_and_differ() {
        for _ in 0..100 {
            let (breaker, mut now) = (Breaker::default(), Instant::now());
            for whole in [50, 100, 200, 400, 800, 1_000, 1_000, 1_000] {
                let whole = Duration::from_millis(whole);
                fail(&breaker, now);
                assert!(breaker.attempt(now + whole * 49 / 100).is_err());
                now += whole;
            }
        }
        let pauses: std::collections::BTreeSet<_> = (0..100).map(|_| pause(1)).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
        assert!(pause(u32::MAX) <= LONGEST_PAUSE);
    }

    #[test]
    fn an_attempt_that_is_dropped_lets_the_next_one_try() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        fail(&breaker, start);
        let later = start + FIRST_PAUSE;
        drop(breaker.attempt(later));
        breaker.attempt(later).ok().unwrap().succeeded();
        assert!(breaker.attempt(later).is_ok());
    }

    #[test]
    fn whoever_asked_before_an_outage_tells_nothing_of_what_is_after_it() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        let attempt = || breaker.attempt(start).ok().unwrap();
        let (early, late) = (attempt(), attempt());
        fail(&breaker, start);
        let later = start + FIRST_PAUSE;
        early.succeeded();
        assert!(breaker.attempt(start).is_err(), "the outage goes on");
        breaker.attempt(later).ok().unwrap().succeeded();
        late.failed(later, cause());
        assert!(breaker.attempt(later).is_ok(), "the outage is over");
    }

    #[test]
    fn an_outage_and_its_end_are_news_once() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        assert_eq!(told(&breaker), None);
        for _ in 0..2 {
            fail(&breaker, now);
            assert_eq!((told(&breaker), told(&breaker)), (Some(true), None));
            now += FIRST_PAUSE;
            fail(&breaker, now);
            assert_eq!(told(&breaker), None, "it is the same one");
            now += LONGEST_PAUSE;
            breaker.attempt(now).ok().unwrap().succeeded();
            assert_eq!((told(&breaker), told(&breaker)), (Some(false), None));
        }
    }
}
