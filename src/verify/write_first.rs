//! The writes of a verification: the first use of a rotated secret and a use that idleness depends on, before the token is
//! admitted; the suspension of a token whose retired secret was presented, beside the refusal.

use std::{future::Future, net::IpAddr, time::Instant};

use crate::{
    api_tokens::ApiTokens,
    cluster::signal::Changed,
    event::Event,
    store::{
        self, StoreError,
        contract::{Patch, UpdateOutcome, Use},
    },
    token::{Reason, Suspension, Timestamp, TokenRecord, TokenState},
};

use super::{judge::Due, proof::Proven};

impl ApiTokens {
    /// Makes the writes that are due before a token is admitted. Returns `false` if the token was changed meanwhile.
    pub(super) async fn write_first(
        &self,
        proven: &Proven,
        due: Due,
        now: Timestamp,
        from: Option<IpAddr>,
        until: Instant,
    ) -> Result<bool, StoreError> {
        let record = &proven.record;
        if due.first_use {
            let mark = Patch::FirstUse { expected: record.digest.clone(), at: now };
            let marked = self.report_error(self.store().update(record.id, &mark).await)?;
            if !matches!(marked, UpdateOutcome::Updated(_)) {
                return Ok(false);
            }
            self.report_first_use(proven, from);
            if record.previous.as_ref().is_some_and(|it| it.ends_on_first_use) {
                self.publish(Changed::one(record.id)).await;
            }
        }
        if due.last_use {
            let uses = [Use { from, ..Use::new(record.id, now) }];
            // A failed write refuses no request: the use is noted in memory as well.
            let _ = self.with_half_deadline(until, self.store().record_uses(&uses)).await;
        }
        Ok(true)
    }

    /// Reports a secret whose grace period is over, and suspends its token if the application wants that. The secret is
    /// refused in any case.
    pub(super) async fn meet_retired_secret(
        &self,
        record: &TokenRecord,
        now: Timestamp,
        from: Option<IpAddr>,
        until: Instant,
    ) {
        let (id, owner) = (record.id, record.owner.clone());
        self.report(|| Event::RetiredSecretUsed { id, owner, from });
        let ended = [TokenState::Revoked, TokenState::Expired, TokenState::Suspended];
        if !self.suspends_on_retired_secret() || ended.contains(&record.state_at(now)) {
            return;
        }
        let reason = Reason::new("a secret was used that a rotation had replaced").ok();
        let suspend = Patch::Suspend(Suspension { reason, ..Suspension::new(now) });
        let suspended = self.with_half_deadline(until, self.store().update(id, &suspend)).await;
        if let Ok(UpdateOutcome::Updated(token)) = suspended {
            self.report(|| Event::Suspended { token, by: None });
            self.publish(Changed::one(id)).await;
        }
    }

    /// Waits for a write that the answer does not depend on, for half of the time that is left.
    async fn with_half_deadline<T>(
        &self,
        until: Instant,
        write: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let half = half_way(Instant::now(), until);
        self.report_error(store::in_time(half, write).await)
    }
}

fn half_way(now: Instant, until: Instant) -> Instant {
    now + until.saturating_duration_since(now) / 2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_write_beside_has_half_of_the_time_that_is_left() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(half_way(now, now + 2 * second), now + second);
        assert_eq!(half_way(now + second, now), now + second, "none is left");
    }
}
