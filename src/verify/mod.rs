//! A presented text becomes a proven token, or a reason. The only place where a token is judged.

pub(crate) mod batch;
mod error;
mod judge;
pub(crate) mod negative_cache;
pub(crate) mod owner_gate;
mod proof;
mod refusal;
mod settle;
mod token;
mod write_first;

pub use error::VerifyError;
pub(crate) use refusal::Refusal;
pub(crate) use settle::Open;
pub use token::VerifiedToken;

use std::{future::Future, net::IpAddr, time::Duration};

use self::{
    batch::{Found, Source},
    judge::{Known, Verdict, is_final, judge},
    proof::{Proven, prove, prove_again},
    settle::Next,
};

use crate::{
    api_tokens::ApiTokens,
    background::usage::UsageEvent,
    event::Event,
    store::contract::SharedRecord,
    token::{PresentedToken, Timestamp, TokenId, TokenState},
};

impl ApiTokens {
    /// Verifies a token that came with a request. It waits for nothing but the store's answer, and that of an
    /// [owner gate](crate::OwnerGate), for both no longer than the [deadline](crate::ApiTokensBuilder::deadline).
    ///
    /// It writes nothing, but for the first use of a secret that a rotation made, without which there is no pass, now
    /// and then the use of a token that has an [idle period](crate::NewToken::idle_period), and where the application
    /// wants that, a [suspension](crate::Policy::suspend_on_retired_secret).
    ///
    /// # Errors
    /// [`VerifyError`] says why, for the log. Tell the client nothing of it.
    pub fn verify(
        &self,
        presented: &str,
    ) -> impl Future<Output = Result<VerifiedToken, VerifyError>> + Send {
        self.verify_from(presented, None)
    }

    /// Verifies a token that came from an address, which is noted as the place of its last use. A token that is
    /// limited to some networks is refused without one.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # let issued = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap();
    /// let address = "192.0.2.7".parse().unwrap();
    /// tokens.verify_from(issued.plain.expose_secret(), Some(address)).await.unwrap();
    /// let record = tokens.owned_by(&owner).get(issued.record.id).await.unwrap();
    /// assert_eq!(record.last_used_from, Some(address));
    /// # });
    /// ```
    pub async fn verify_from(
        &self,
        presented: &str,
        from: Option<IpAddr>,
    ) -> Result<VerifiedToken, VerifyError> {
        match self.try_verify_from(presented, from) {
            Ok(verdict) => verdict,
            Err(open) => self.settle(open).await,
        }
    }

    /// Verifies with what is in memory; gives what [`settle`](Self::settle) goes on with where that is not enough.
    #[inline]
    pub(crate) fn try_verify_from(
        &self,
        presented: &str,
        from: Option<IpAddr>,
    ) -> Result<Result<VerifiedToken, VerifyError>, Box<Open>> {
        let presented = match self.format().parse(presented) {
            Ok(presented) => presented,
            Err(malformed) => return Ok(Err(self.refuse(malformed, from))),
        };
        // An IPv4-mapped address is the IPv4 address, and no other one.
        let from = from.map(|from| from.to_canonical());
        self.judge_by_memory(presented.id(), Some(&presented), from, |found, now| {
            prove(self.digests(), &presented, found, now)
        })
        .map_err(|next| Box::new(Open::presented(&presented, from, next)))
    }

    /// Judges a credential by what is in memory. `Err`: what has to be asked next.
    #[allow(clippy::inline_always, reason = "measured: the record then stays in registers")]
    #[inline(always)]
    fn judge_by_memory(
        &self,
        id: TokenId,
        presented: Option<&PresentedToken<'_>>,
        from: Option<IpAddr>,
        prove: impl FnOnce(Option<SharedRecord>, Timestamp) -> Result<Proven, VerifyError>,
    ) -> Result<Result<VerifiedToken, VerifyError>, Next> {
        let Some(Found { record, source }) = Found::peeked(self.peek(id)) else {
            return Err(Next::AskStore(Source::Cache));
        };
        let now = self.now();
        let proven = match prove(record, now) {
            Ok(proven) => proven,
            Err(reason) if is_final(&reason, source) => return Ok(Err(self.refuse(reason, from))),
            Err(_) => return Err(Next::AskStore(Source::Store)),
        };
        match judge(&proven, &self.known_of(&proven.record, None, now), now, from, source) {
            Verdict::Admit => Ok(Ok(self.finish(proven, presented, now, from))),
            Verdict::Refuse(flaw) => {
                let owner = Some(proven.record.owner.clone());
                Ok(Err(self.refuse(Refusal { reason: flaw.of(id), owner }, from)))
            }
            Verdict::AskOwnerGate => Err(Next::AskOwnerGate(proven)),
            // Nothing is written because of what is in memory.
            Verdict::AskStore | Verdict::WriteFirst(_) => Err(Next::AskStore(Source::Store)),
        }
    }

    /// Verifies once more a token that was verified before, for connections that are kept open: a WebSocket, a stream
    /// of events, a long download. It tells that the token was revoked, suspended, has expired, or may not be used from
    /// its address any more, or that its secret was replaced and the grace is over. It counts as a use.
    ///
    /// What the token may do is that of the answer: ask the answer.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use keyfob::{ApiTokens, NewToken, Owner, VerifyError, store::MemoryStore};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build().unwrap();
    /// # let owner = Owner::new("user:42").unwrap();
    /// # let issued = tokens.issue(NewToken::new(owner.clone(), "ci")).await.unwrap();
    /// let token = tokens.verify(issued.plain.expose_secret()).await.unwrap();
    /// assert!(tokens.revalidate(&token).await.is_ok());
    ///
    /// tokens.owned_by(&owner).revoke(token.id()).await.unwrap();
    /// assert!(matches!(tokens.revalidate(&token).await, Err(VerifyError::Revoked(_))));
    /// # });
    /// ```
    pub async fn revalidate(&self, token: &VerifiedToken) -> Result<VerifiedToken, VerifyError> {
        let judged = self.judge_by_memory(token.id(), None, token.from, |found, now| {
            prove_again(token, found, now)
        });
        match judged {
            Ok(verdict) => verdict,
            Err(next) => self.settle(Open::verified(token, next).into()).await,
        }
    }

    /// The same by what is stored now: for what would outlive the time for which a token may be remembered.
    pub(crate) async fn revalidate_stored(
        &self,
        token: &VerifiedToken,
    ) -> Result<VerifiedToken, VerifyError> {
        self.settle(Open::verified(token, Next::AskStore(Source::Store)).into()).await
    }

    /// What this node knows of a token beside its record.
    #[inline]
    fn known_of(
        &self,
        record: &SharedRecord,
        owner_enabled: Option<bool>,
        now: Timestamp,
    ) -> Known {
        let owner_enabled = match self.gatekeeper() {
            Some(gatekeeper) => {
                owner_enabled.or_else(|| gatekeeper.peek(&record.owner, self.clock()))
            }
            None => Some(true),
        };
        let Some(seconds) = record.idle_seconds else {
            return Known { owner_enabled, ..Known::default() };
        };
        let slack = self.usage().slack(Duration::from_secs(seconds.get().into()));
        // The log is asked only where it matters.
        let is_idle = record.state_at(now) == TokenState::Idle;
        let pending_use = is_idle.then(|| self.usage().pending(record)).flatten();
        Known { pending_use, slack, owner_enabled }
    }

    /// Notes the use of a good token, and has its digest made anew where that is due.
    #[inline]
    fn finish(
        &self,
        proven: Proven,
        presented: Option<&PresentedToken<'_>>,
        now: Timestamp,
        from: Option<IpAddr>,
    ) -> VerifiedToken {
        if let Some(event) = self.usage().note(&proven.record, now, from) {
            self.report_usage(event, &proven, from);
        }
        if let Some(of) = self.samples_this() {
            let (id, owner) = (proven.record.id, proven.record.owner.clone());
            self.report(|| Event::Verified { id, owner, of, from });
        }
        let Proven { record, generation } = proven;
        let abilities = self.ability_log().cloned();
        let token = VerifiedToken { record, generation, from, at: now, abilities };
        if let Some(presented) = presented {
            self.rekey_if_outdated(presented, &token);
        }
        token
    }

    #[cold]
    fn report_usage(&self, event: UsageEvent, proven: &Proven, from: Option<IpAddr>) {
        match event {
            // That of a secret which a rotation made was reported when it was recorded.
            UsageEvent::FirstUse if proven.record.rotated_at.is_none() => {
                self.report_first_use(proven, from);
            }
            UsageEvent::FirstUse => {}
            UsageEvent::NewAddress(from) => {
                let (id, owner) = (proven.record.id, proven.record.owner.clone());
                self.report(|| Event::NewAddress { id, owner, from });
            }
        }
    }

    fn report_first_use(&self, proven: &Proven, from: Option<IpAddr>) {
        let Proven { record, generation } = proven;
        self.report(|| Event::FirstUse {
            id: record.id,
            owner: record.owner.clone(),
            generation: *generation,
            from,
        });
    }

    /// Queues a digest under the current pepper key, where the one that is kept was made otherwise.
    #[inline]
    fn rekey_if_outdated(&self, presented: &PresentedToken<'_>, token: &VerifiedToken) {
        let stored = token.digest();
        if self.digests().outdates(stored) {
            self.rekeying().queue(token.id(), token.generation, stored, || {
                self.digests().make(presented.id(), presented.secret())
            });
        }
    }

    #[cold]
    pub(crate) fn refuse(&self, refusal: impl Into<Refusal>, from: Option<IpAddr>) -> VerifyError {
        let Refusal { reason, owner } = refusal.into();
        let from = from.map(|from| from.to_canonical());
        self.report(|| Event::Refused {
            id: reason.proven_id(),
            owner,
            from,
            reason: reason.code(),
        });
        if let VerifyError::UnknownKey(key) = &reason {
            self.report(|| Event::PepperKeyMissing { key: key.clone() });
        }
        reason
    }
}
