//! Verifying where the store has to be asked, or something is written before the answer.

use std::{future::Future, net::IpAddr, sync::Arc, time::Instant};

use crate::{
    ApiTokens, Event,
    api_tokens::ATTEMPTS,
    clock::Moment,
    lookups::Source,
    refusals::Refusal,
    store::{self, Patch, StoreError, UpdateOutcome, Use},
    token::{
        Digests, PresentedToken, Reason, Suspension, Timestamp, TokenId, TokenRecord, TokenState,
    },
};

use super::{
    VerifiedToken, VerifyError,
    judge::{Proven, is_open, judge_address, judge_state, prove, prove_again},
};

/// By what somebody claims to be good for a token.
#[derive(Clone, Copy)]
pub(super) enum Claim<'a> {
    /// He presents a secret.
    Presented(&'a PresentedToken<'a>),
    /// He has proven it before.
    Proven(&'a VerifiedToken),
}

impl Claim<'_> {
    fn id(self) -> TokenId {
        match self {
            Self::Presented(token) => token.id(),
            Self::Proven(token) => token.id(),
        }
    }

    fn prove(
        self,
        digests: &Digests,
        found: Option<Arc<TokenRecord>>,
        now: Timestamp,
    ) -> Result<Proven, VerifyError> {
        match self {
            Self::Presented(token) => prove(digests, token, found, now),
            Self::Proven(token) => prove_again(token, found, now),
        }
    }
}

impl ApiTokens {
    /// Verifies with what the store says, where [`try_verify_from`](Self::try_verify_from) found nothing in memory, or
    /// something is to be written before the answer.
    pub(crate) async fn ask_from(
        &self,
        presented: &str,
        from: Option<IpAddr>,
    ) -> Result<VerifiedToken, VerifyError> {
        let presented = self.format().parse(presented)?;
        if let Some(refusal) = self.refusals().recall(&presented, Moment::now(self.clock())) {
            return Err(self.refuse(VerifyError::lasting(refusal, presented.id())));
        }
        let from = from.map(|from| from.to_canonical());
        let token = self.ask(Claim::Presented(&presented), from, Source::Memory).await?;
        self.rekey_if_outdated(&presented, &token);
        Ok(token)
    }

    /// Tells of which token a text is a secret that may be used, whatever else is to be said of the token.
    pub(crate) async fn prove_presented(
        &self,
        presented: &str,
    ) -> Result<Arc<TokenRecord>, VerifyError> {
        let presented = self.format().parse(presented).map_err(|it| self.refuse(it.into()))?;
        let (claim, until) = (Claim::Presented(&presented), self.latest());
        let proven = self.in_time(until, self.prove(claim, Source::Store, None, until)).await?;
        Ok(proven.0.record)
    }

    pub(super) async fn ask(
        &self,
        claim: Claim<'_>,
        from: Option<IpAddr>,
        mut source: Source,
    ) -> Result<VerifiedToken, VerifyError> {
        let until = self.latest();
        self.in_time(until, async {
            for _ in 0..ATTEMPTS {
                let (proven, now) = self.prove(claim, source, from, until).await?;
                if let Some(token) = self.admit(proven, now, from, until).await? {
                    return Ok(token);
                }
                source = Source::Store;
            }
            Err(self.outpaced().into())
        })
        .await
    }

    /// Compares a claim with what is known, at the instant that it gives.
    async fn prove(
        &self,
        claim: Claim<'_>,
        mut source: Source,
        from: Option<IpAddr>,
        until: Instant,
    ) -> Result<(Proven, Timestamp), VerifyError> {
        loop {
            let asked = Moment::now(self.clock());
            let found = self.watch(self.lookups().find(claim.id(), source, until).await)?;
            let now = self.now();
            let verdict = claim.prove(self.digests(), found.record.clone(), now);
            if found.source == Source::Memory && !self.is_settled(&verdict, now) {
                source = Source::Store;
                continue;
            }
            if let (Claim::Presented(presented), Err(reason)) = (claim, &verdict) {
                if let (VerifyError::RetiredSecret(_), Some(record)) = (reason, &found.record) {
                    Box::pin(self.meet_retired_secret(record, now, from, until)).await;
                }
                let is_told = |refusal: &Refusal| {
                    // Each time it is used it may have to suspend the token.
                    let suspends = *refusal == Refusal::RetiredSecret;
                    found.source == Source::Store
                        && !(suspends && self.suspends_on_retired_secret())
                };
                if let Some(refusal) = reason.as_lasting().filter(is_told) {
                    self.refusals().keep(presented, refusal, asked);
                }
            }
            return Ok((verdict?, now));
        }
    }

    /// Tells whether what is in memory will do. It may be outdated: then nothing is written because of it, and neither
    /// is a token idle nor a secret replaced by it alone.
    fn is_settled(&self, verdict: &Result<Proven, VerifyError>, now: Timestamp) -> bool {
        match verdict {
            Ok(proven) => {
                let is_idle = proven.record.state_at(now) == TokenState::Idle;
                !is_idle && !self.is_to_be_written(proven, now)
            }
            Err(reason) => !is_open(reason, true),
        }
    }

    /// When a verification that begins now has to be over.
    fn latest(&self) -> Instant {
        Instant::now() + self.deadline()
    }

    /// Waits no longer than the deadline, and reports what is refused.
    async fn in_time<T>(
        &self,
        until: Instant,
        verification: impl Future<Output = Result<T, VerifyError>>,
    ) -> Result<T, VerifyError> {
        let verdict = store::in_time(until, async { Ok(verification.await) }).await;
        self.watch(verdict)?.map_err(|reason| match reason {
            reason @ VerifyError::Store(_) => reason,
            reason => self.refuse(reason),
        })
    }

    /// Gives a write that the answer does not depend on half of the time that is left.
    async fn briefly<T>(
        &self,
        until: Instant,
        write: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let half = half_way(Instant::now(), until);
        self.watch(store::in_time(half, write).await)
    }

    /// Lets a secret that was proven in, and writes what has to be written before; `None` where the token was changed
    /// meanwhile and has to be judged anew.
    async fn admit(
        &self,
        proven: Proven,
        now: Timestamp,
        from: Option<IpAddr>,
        until: Instant,
    ) -> Result<Option<VerifiedToken>, VerifyError> {
        let record = &proven.record;
        match judge_state(record, now) {
            Err(VerifyError::Idle(_)) if self.usage().keeps_awake(record, now) => {}
            verdict => verdict?,
        }
        if let Some(gatekeeper) = self.gatekeeper() {
            let enabled = match gatekeeper.peek(&record.owner, self.clock()) {
                Some(enabled) => enabled,
                None => self.watch(gatekeeper.ask(&record.owner, self.clock()).await)?,
            };
            if !enabled {
                return Err(VerifyError::OwnerDisabled(record.id));
            }
        }
        judge_address(record, from)?;
        let is_first_use = proven.is_first_use();
        if is_first_use {
            let mark = Patch::FirstUse { expected: record.digest.clone(), at: now };
            let marked = self.watch(self.store().update(record.id, &mark).await)?;
            if !matches!(marked, UpdateOutcome::Updated(_)) {
                return Ok(None);
            }
            self.report_first_use(&proven, from);
            if record.previous.as_ref().is_some_and(|it| it.ends_on_first_use) {
                self.changed(vec![record.id]).await;
            }
        }
        // The next rotation takes the mark of the first use away, and nobody would know of the use then.
        if (is_first_use && record.idle_seconds.is_some()) || self.is_use_due(record, now) {
            let due = [Use { from, ..Use::new(record.id, now) }];
            // What can't be written is noted all the same, and a request is not refused for it.
            let _ = self.briefly(until, self.store().record_uses(&due)).await;
        }
        Ok(Some(self.conclude(proven, now, from)))
    }

    /// Reports a secret whose grace is over, and suspends its token where the application wants that. The secret is
    /// refused, whatever becomes of this.
    async fn meet_retired_secret(
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
        let suspended = self.briefly(until, self.store().update(id, &suspend)).await;
        if let Ok(UpdateOutcome::Updated(token)) = suspended {
            self.report(|| Event::Suspended { token, by: None });
            self.changed(vec![id]).await;
        }
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
