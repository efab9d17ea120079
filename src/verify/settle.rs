//! The path of a verification that memory does not settle: the store or the owner gate has to be asked.

use std::{collections::BTreeSet, future::Future, net::IpAddr, time::Instant};

use crate::{
    api_tokens::{ATTEMPTS, ApiTokens},
    store::{self, StoreError, contract::SharedRecord},
    time::Moment,
    token::{PresentedToken, Timestamp, TokenId, TokenRecord},
};

use super::{
    Refusal, VerifiedToken, VerifyError,
    batch::Source,
    judge::{Verdict, is_final, judge},
    negative_cache::KnownBad,
    proof::{Credential, Proven, prove},
};

/// A verification that memory did not settle.
pub(crate) struct Open {
    credential: Credential,
    from: Option<IpAddr>,
    next: Next,
}

/// The next question of a verification.
pub(super) enum Next {
    /// The store, or a memory that is as good as this.
    AskStore(Source),
    /// The owner gate, about the owner of a token whose secret was proven.
    AskOwnerGate(Proven),
}

/// The result of comparing a credential with a record, at an instant.
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
            return Err(self.refuse(VerifyError::lasting(known_bad, presented.id()), open.from));
        }
        let (until, from) = (self.latest(), open.from);
        // Boxed, because the future is large and every caller would contain it.
        self.in_time(until, from, Box::pin(self.settle_by(until, *open))).await
    }

    async fn settle_by(&self, until: Instant, open: Open) -> Result<VerifiedToken, Refusal> {
        let Open { credential, from, mut next } = open;
        // Until the store is asked, all is from memory.
        let mut source = Source::Cache;
        let (mut now, mut owner_enabled, mut attempts) = (self.now(), None, ATTEMPTS);
        loop {
            let proven = match next {
                Next::AskOwnerGate(proven) => {
                    owner_enabled = Some(self.ask_gate(&proven.record).await?);
                    if source < Source::Store {
                        // The token may have been revoked while the gate was asked. To peek again costs little.
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
                        Err(reason) if is_final(&reason, source) => return Err(reason.into()),
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
                Verdict::Refuse(flaw) => {
                    let owner = Some(proven.record.owner.clone());
                    return Err(Refusal { reason: flaw.of(credential.id()), owner });
                }
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

    /// Returns the token whose current secret, or one in its grace period, was presented. Its state is not judged.
    pub(crate) async fn prove_presented(
        &self,
        presented: &str,
    ) -> Result<SharedRecord, VerifyError> {
        let presented = self.format().parse(presented).map_err(|it| self.refuse(it, None))?;
        let (credential, until) = (Credential::Presented(presented.held()), self.latest());
        let compared = self.compare(&credential, Source::Store, None, until);
        let proven = self.in_time(until, None, async { Ok(compared.await?.proof?) }).await?;
        Ok(proven.record)
    }

    /// Returns the tokens of which one of these texts is a secret that is current or in its grace period, and the first
    /// error, if one could not be proven. Their state is not judged. It is one query of its own, so no verification waits
    /// for it.
    pub(crate) async fn prove_each(
        &self,
        presented: &[PresentedToken<'_>],
    ) -> (Vec<TokenId>, Option<VerifyError>) {
        let ids: BTreeSet<_> = presented.iter().map(PresentedToken::id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let page = match self.report_error(self.store().find(&ids).await) {
            Ok(page) => page,
            Err(error) => return (Vec::new(), Some(error.into())),
        };
        let corrupt = page.corrupt.into_iter().next();
        let corrupt = corrupt.map(|it| self.report_error::<()>(Err(it.into())));
        let mut first_error = corrupt.and_then(Result::err).map(VerifyError::from);
        let now = self.now();
        let mut proven = BTreeSet::new();
        for presented in presented {
            let found = page.records.iter().find(|record| record.id == presented.id());
            match prove(self.digests(), presented, found.cloned(), now) {
                Ok(token) => _ = proven.insert(token.record.id),
                // It may well be a secret of the token.
                Err(error @ VerifyError::UnknownKey(_)) => {
                    first_error.get_or_insert(error);
                }
                Err(_) => {}
            }
        }
        (proven.into_iter().collect(), first_error)
    }

    /// Compares a credential with the record of its token, from that source or a better one.
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

    /// Returns the instant at which a verification that begins now ends.
    fn latest(&self) -> Instant {
        Instant::now() + self.deadline()
    }

    /// Waits until the deadline at most, and reports a refusal.
    async fn in_time<T>(
        &self,
        until: Instant,
        from: Option<IpAddr>,
        verification: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, VerifyError> {
        let verdict = store::in_time(until, async { Ok(verification.await) }).await;
        self.report_error(verdict)?.map_err(|refusal| match refusal.reason {
            reason @ VerifyError::Store(_) => reason,
            _ => self.refuse(refusal, from),
        })
    }
}
