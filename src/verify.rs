//! A presented text becomes a proven token, or a reason. The only place where a token is judged.

mod ask;
mod error;
mod judge;
mod token;

pub use error::VerifyError;
pub use token::VerifiedToken;

use std::{future::Future, net::IpAddr, time::Duration};

use self::{
    ask::Claim,
    judge::{Proven, is_open, judge_address, judge_state, prove, prove_again},
};
use crate::{
    ApiTokens, Event,
    lookups::Source,
    store::Peek,
    token::{PresentedToken, Timestamp, TokenRecord},
    usage::News,
};

impl ApiTokens {
    /// Verifies a token that came with a request. It waits for nothing but the store's answer, and that of an
    /// [owner gate](crate::OwnerGate), for both no longer than the [deadline](crate::ApiTokensBuilder::deadline).
    ///
    /// It writes nothing, but for the first use of a secret that a rotation made, without which there is no pass, now
    /// and then the use of a token that has an [idle period](crate::NewToken::idle_period), and where the application
    /// wants that, a [suspension](crate::ApiTokensBuilder::suspend_on_retired_secret).
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
        if let Some(verdict) = self.try_verify_from(presented, from) {
            return verdict;
        }
        self.ask_from(presented, from).await
    }

    /// Verifies with what is in memory; `None` where [`ask_from`](Self::ask_from) has to.
    #[inline]
    pub(crate) fn try_verify_from(
        &self,
        presented: &str,
        from: Option<IpAddr>,
    ) -> Option<Result<VerifiedToken, VerifyError>> {
        let presented = match self.format().parse(presented) {
            Ok(presented) => presented,
            Err(malformed) => return Some(Err(self.refuse(malformed.into()))),
        };
        let (found, is_cached) = match self.peek(presented.id()) {
            Peek::Found(record) => (Some(record), false),
            Peek::Cached(record) => (Some(record), true),
            Peek::Absent => (None, false),
            Peek::Ask => return None,
        };
        let now = self.now();
        // An IPv4-mapped address is the IPv4 address, and no other one.
        let from = from.map(|from| from.to_canonical());
        let reason = match prove(self.digests(), &presented, found, now) {
            Ok(proven) => match self.is_admitted(&proven, now, from) {
                Ok(true) => {
                    let token = self.conclude(proven, now, from);
                    self.rekey_if_outdated(&presented, &token);
                    return Some(Ok(token));
                }
                Ok(false) => return None,
                Err(reason) => reason,
            },
            Err(reason) => reason,
        };
        (!is_open(&reason, is_cached)).then(|| Err(self.refuse(reason)))
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
        let (found, is_cached) = match self.peek(token.id()) {
            Peek::Found(record) => (Some(record), false),
            Peek::Cached(record) => (Some(record), true),
            Peek::Absent => (None, false),
            Peek::Ask => return self.ask(Claim::Proven(token), token.from, Source::Memory).await,
        };
        let now = self.now();
        let verdict = prove_again(token, found, now).and_then(|proven| {
            let admitted = self.is_admitted(&proven, now, token.from)?;
            Ok(admitted.then(|| self.conclude(proven, now, token.from)))
        });
        match verdict {
            Ok(Some(token)) => Ok(token),
            Err(reason) if !is_open(&reason, is_cached) => Err(self.refuse(reason)),
            Ok(None) | Err(_) => self.ask(Claim::Proven(token), token.from, Source::Memory).await,
        }
    }

    /// The same by what is stored now: for what would outlive the time for which a token may be remembered.
    pub(crate) async fn revalidate_stored(
        &self,
        token: &VerifiedToken,
    ) -> Result<VerifiedToken, VerifyError> {
        self.ask(Claim::Proven(token), token.from, Source::Store).await
    }

    /// Tells whether a secret that was proven is let in; `false` where not everything that this depends on is in
    /// memory.
    #[inline]
    fn is_admitted(
        &self,
        proven: &Proven,
        now: Timestamp,
        from: Option<IpAddr>,
    ) -> Result<bool, VerifyError> {
        let record = &proven.record;
        judge_state(record, now)?;
        if let Some(gatekeeper) = self.gatekeeper() {
            match gatekeeper.peek(&record.owner, self.clock()) {
                Some(true) => {}
                Some(false) => return Err(VerifyError::OwnerDisabled(record.id)),
                None => return Ok(false),
            }
        }
        judge_address(record, from)?;
        Ok(!self.is_to_be_written(proven, now))
    }

    /// Tells whether something has to be written before the answer.
    #[inline]
    fn is_to_be_written(&self, proven: &Proven, now: Timestamp) -> bool {
        proven.is_first_use() || self.is_use_due(&proven.record, now)
    }

    /// Tells whether a use has to be written at once, so that nobody takes the token for idle.
    #[inline]
    fn is_use_due(&self, record: &TokenRecord, now: Timestamp) -> bool {
        let Some(seconds) = record.idle_seconds else {
            return false;
        };
        let slack = self.usage().slack(Duration::from_secs(seconds.get().into()));
        now.since(record.awake_as_stored()) > slack
    }

    /// Notes the use of a good token.
    #[inline]
    fn conclude(&self, proven: Proven, now: Timestamp, from: Option<IpAddr>) -> VerifiedToken {
        if let Some(news) = self.usage().note(&proven.record, now, from) {
            self.report_news(news, &proven, from);
        }
        if let Some(of) = self.samples_this() {
            let (id, owner) = (proven.record.id, proven.record.owner.clone());
            self.report(|| Event::Verified { id, owner, of });
        }
        let Proven { record, generation } = proven;
        VerifiedToken { record, generation, from, at: now, abilities: self.ability_log().cloned() }
    }

    #[cold]
    fn report_news(&self, news: News, proven: &Proven, from: Option<IpAddr>) {
        match news {
            // That of a secret which a rotation made was reported when it was recorded.
            News::FirstUse if proven.record.rotated_at.is_none() => {
                self.report_first_use(proven, from);
            }
            News::FirstUse => {}
            News::NewAddress(from) => {
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
    fn refuse(&self, reason: VerifyError) -> VerifyError {
        self.report(|| Event::Refused { id: reason.proven_id(), reason: reason.code() });
        if let VerifyError::UnknownKey(key) = &reason {
            self.report(|| Event::PepperKeyMissing { key: key.clone() });
        }
        reason
    }
}
