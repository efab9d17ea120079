//! Verifying where the store or the owner gate has to be asked, or something is written before the answer.

use std::{future::Future, net::IpAddr, time::Instant};

use crate::{
    api_tokens::{ATTEMPTS, ApiTokens},
    cluster::signal::Changed,
    event::Event,
    store::{self, Patch, SharedRecord, StoreError, UpdateOutcome, Use},
    time::Moment,
    token::{PresentedToken, Reason, Suspension, Timestamp, TokenRecord, TokenState},
};

use super::{
    VerifiedToken, VerifyError,
    batch::Source,
    judge::{Due, Verdict, is_final, judge},
    negative_cache::KnownBad,
    proof::{Credential, Proven},
};

/// A verification that memory did not settle.
pub(crate) struct Open {
    credential: Credential,
    from: Option<IpAddr>,
    next: Next,
}

/// What has to be asked next.
pub(super) enum Next {
    /// The store, or a memory that is as good as this.
    AskStore(Source),
    /// The gate, of the owner of a token whose secret was proven.
    AskOwnerGate(Proven),
}

/// A claim that was compared with what is known, at this instant.
struct Compared {
    proof: Result<Proven, VerifyError>,
    source: Source,
    now: Timestamp,
}

impl Open {
    #[cold]
    pub(super) fn presented(token: &PresentedToken<'_>, from: Option<IpAddr>, next: Next) -> Self {
        Self { credential: Credential::Presented(token.held()), from, next }
    }

    pub(super) fn verified(token: &VerifiedToken, next: Next) -> Self {
        Self { credential: Credential::Verified(token.clone()), from: token.from, next }
    }
}

impl ApiTokens {
    /// Goes on with a verification until it is settled, no longer than the deadline.
    pub(crate) async fn settle(&self, open: Box<Open>) -> Result<VerifiedToken, VerifyError> {
        if let Some(presented) = open.credential.presented()
            && let Some(known_bad) =
                self.negative_cache().get(&presented, Moment::now(self.clock()))
        {
            return Err(self.refuse(VerifyError::lasting(known_bad, presented.id())));
        }
        let until = self.latest();
        // What waits for the store is large, and each caller would carry it about.
        self.in_time(until, Box::pin(self.settle_by(until, *open))).await
    }

    async fn settle_by(&self, until: Instant, open: Open) -> Result<VerifiedToken, VerifyError> {
        let Open { credential, from, mut next } = open;
        // Until the store is asked, all is from memory.
        let mut source = Source::Cache;
        let (mut now, mut owner_enabled, mut attempts) = (self.now(), None, ATTEMPTS);
        loop {
            let proven = match next {
                Next::AskOwnerGate(proven) => {
                    owner_enabled = Some(self.ask_gate(&proven.record).await?);
                    if source < Source::Store {
                        // It was peeked at before the gate was asked, and costs little to peek at again.
                        next = Next::AskStore(Source::Cache);
                        continue;
                    }
                    proven
                }
                Next::AskStore(wanted) => {
                    let compared = self.compare(&credential, wanted, from, until).await?;
                    (source, now) = (compared.source, compared.now);
                    match compared.proof {
                        Ok(proven) => proven,
                        Err(reason) if is_final(&reason, source) => return Err(reason),
                        Err(_) => {
                            next = Next::AskStore(Source::Store);
                            continue;
                        }
                    }
                }
            };
            let known = self.known_of(&proven.record, owner_enabled, now);
            next = match judge(&proven, &known, now, from, source) {
                Verdict::Admit => {
                    return Ok(self.finish(proven, credential.presented().as_ref(), now, from));
                }
                Verdict::Refuse(flaw) => return Err(flaw.of(credential.id())),
                Verdict::AskOwnerGate => Next::AskOwnerGate(proven),
                Verdict::AskStore => Next::AskStore(Source::Store),
                Verdict::WriteFirst(due) => {
                    if self.write_first(&proven, due, now, from, until).await? {
                        return Ok(self.finish(proven, credential.presented().as_ref(), now, from));
                    }
                    // The token was changed meanwhile, and so may be all else.
                    owner_enabled = None;
                    attempts -= 1;
                    if attempts == 0 {
                        return Err(self.contention_error().into());
                    }
                    Next::AskStore(Source::Store)
                }
            };
        }
    }

    /// Tells of which token a text is a secret that may be used, whatever else is to be said of the token.
    pub(crate) async fn prove_presented(
        &self,
        presented: &str,
    ) -> Result<SharedRecord, VerifyError> {
        let presented = self.format().parse(presented).map_err(|it| self.refuse(it.into()))?;
        let (credential, until) = (Credential::Presented(presented.held()), self.latest());
        let compared = self.compare(&credential, Source::Store, None, until);
        let proven = self.in_time(until, async { compared.await?.proof }).await?;
        Ok(proven.record)
    }

    /// Compares a claim with what is known, from that source or better.
    async fn compare(
        &self,
        credential: &Credential,
        wanted: Source,
        from: Option<IpAddr>,
        until: Instant,
    ) -> Result<Compared, VerifyError> {
        let asked = Moment::now(self.clock());
        let found = self.report_error(self.batcher().find(credential.id(), wanted, until).await)?;
        let now = self.now();
        let proof = credential.prove(self.digests(), found.record.clone(), now);
        if let (Some(presented), Err(reason), Source::Store) =
            (credential.presented(), &proof, found.source)
        {
            if let (VerifyError::RetiredSecret(_), Some(record)) = (reason, &found.record) {
                Box::pin(self.meet_retired_secret(record, now, from, until)).await;
            }
            // Each time a replaced secret is used it may have to suspend the token.
            let is_kept = |known_bad: &KnownBad| {
                *known_bad != KnownBad::RetiredSecret || !self.suspends_on_retired_secret()
            };
            if let Some(known_bad) = reason.as_lasting().filter(is_kept) {
                self.negative_cache().insert(&presented, known_bad, asked);
            }
        }
        Ok(Compared { proof, source: found.source, now })
    }

    async fn ask_gate(&self, record: &TokenRecord) -> Result<bool, StoreError> {
        match self.gatekeeper() {
            Some(gatekeeper) => {
                self.report_error(gatekeeper.ask(&record.owner, self.clock()).await)
            }
            None => Ok(true),
        }
    }

    /// Writes what has to be written before a token is let in; `false` where it was changed meanwhile.
    async fn write_first(
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
            // What can't be written is noted all the same, and a request is not refused for it.
            let _ = self.with_half_deadline(until, self.store().record_uses(&uses)).await;
        }
        Ok(true)
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
        self.report_error(verdict)?.map_err(|reason| match reason {
            reason @ VerifyError::Store(_) => reason,
            reason => self.refuse(reason),
        })
    }

    /// Gives a write that the answer does not depend on half of the time that is left.
    async fn with_half_deadline<T>(
        &self,
        until: Instant,
        write: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let half = half_way(Instant::now(), until);
        self.report_error(store::in_time(half, write).await)
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
        let suspended = self.with_half_deadline(until, self.store().update(id, &suspend)).await;
        if let Ok(UpdateOutcome::Updated(token)) = suspended {
            self.report(|| Event::Suspended { token, by: None });
            self.publish(Changed::one(id)).await;
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
