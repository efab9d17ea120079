use std::{error::Error, net::IpAddr};

use crate::{
    event::{Event, error_chain},
    limit::{Charge, Quota},
    token::MalformedToken,
    verify::{Open, VerifiedToken, VerifyError},
    web::{Problem, credentials::CredentialsError},
};

use super::{
    Account, AuthRequest, Authenticator, Caller, RequestInfo,
    authenticator::{Manner, rewritten},
    context::{AuthContext, Step, Verdict},
    credentials::Presented,
    session::{NoToken, SessionQuestion},
};

#[cfg(feature = "test-util")]
use super::guard_log::GuardTrace;

impl Authenticator {
    /// Authenticates a request of a service without a keyfob layer, such as hyper, tonic, or one that a proxy asks.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use keyfob::{testing, web::{Authenticator, Problem, Realm, auth::AuthRequest}};
    ///
    /// # let (tokens, _) = testing::in_memory("acme");
    /// # let ada = testing::acting_as(&tokens, "user:42", ["servers:read"]).await;
    /// # let (name, value) = ada.header();
    /// let authenticator = Authenticator::require(tokens, Realm::new("Acme API")?);
    ///
    /// async fn owner(authenticator: &Authenticator, name: &str, value: &[u8]) -> Result<String, Problem> {
    ///     let request = AuthRequest::new("GET", "/servers").headers([(name, value)]);
    ///     let auth = authenticator.authenticate(&request).await?;
    ///     Ok(auth.caller().map(|it| it.owner().to_string()).unwrap_or_default())
    /// }
    ///
    /// assert_eq!(owner(&authenticator, name, value.as_bytes()).await?, "user:42");
    /// assert_eq!(owner(&authenticator, name, b"Bearer acme_bad").await.unwrap_err().status(), 401);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The [`Problem`] to answer with.
    pub async fn authenticate(&self, request: &AuthRequest<'_>) -> Verdict {
        self.step(request, request.address).verdict().await
    }

    /// Authenticates a request by its token, or by a session if it has none. `session` is called only if there is no token:
    /// see [session or token](super#session-or-token).
    ///
    /// # Errors
    /// The [`Problem`] to answer with.
    pub async fn authenticate_or_session<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        request: &AuthRequest<'_>,
        session: impl AsyncFnOnce() -> Result<Option<Account>, E>,
    ) -> Verdict {
        match self.step_or_session(request, request.address) {
            Ok(step) => step.verdict().await,
            Err(question) => {
                let question = question.admitted(self.admits(request, request.csrf_check()));
                let answer = async { session().await.map_err(|it| error_chain(&*it.into())) };
                question.ask(answer).await
            }
        }
    }

    /// Judges a request that came from an address, once.
    #[inline]
    pub(crate) fn step(&self, request: &impl RequestInfo, from: Option<IpAddr>) -> Step {
        self.judge(request, from, false)
            .unwrap_or_else(|it| Step::Now(self.without_token(it.nobody, it.no_token)))
    }

    /// The same where a session may make a request that has no token: then the application has to be asked.
    #[inline]
    pub(crate) fn step_or_session(
        &self,
        request: &impl RequestInfo,
        from: Option<IpAddr>,
    ) -> Result<Step, Box<SessionQuestion>> {
        self.judge(request, from, true)
    }

    #[inline]
    fn judge(
        &self,
        request: &impl RequestInfo,
        from: Option<IpAddr>,
        takes_sessions: bool,
    ) -> Result<Step, Box<SessionQuestion>> {
        // An IPv4-mapped address is the IPv4 address.
        let from = from.map(|from| from.to_canonical());
        let earlier = |it: Option<&AuthContext>| {
            it?.by(self).filter(|it| it.settles(takes_sessions)).map(AuthContext::again)
        };
        if let Some(earlier) = request.with_context(earlier) {
            let refusal = earlier.refusal.as_deref().cloned();
            return Ok(Step::Now(refusal.map_or(Ok(earlier), Err)));
        }
        let nobody = AuthContext::new(self.clone(), request, from);
        let presented = match self.presented(request, from, takes_sessions) {
            Ok(Ok(presented)) => presented,
            Ok(Err(no_token)) => {
                return Err(Box::new(SessionQuestion { nobody, no_token, is_admitted: false }));
            }
            Err(problem) => return Ok(Step::Now(Err(problem))),
        };
        Ok(match self.rules.tokens.try_verify_from(&presented, from) {
            Ok(verdict) => self.admit(nobody, verdict),
            Err(open) => Self::settle(nobody, open),
        })
    }

    /// What is written of a request for the log of guards.
    #[cfg(feature = "test-util")]
    pub(super) fn trace(&self, request: &impl RequestInfo) -> Option<std::sync::Arc<GuardTrace>> {
        self.rules.guards.clone().map(|log| GuardTrace::new(log, request).into())
    }

    /// What has to wait for the store.
    fn settle(nobody: AuthContext, open: Box<Open>) -> Step {
        Step::Later(Box::pin(async move {
            let this = nobody.authenticator.clone();
            let verdict = this.rules.tokens.settle(open).await;
            this.admit(nobody, verdict).verdict().await
        }))
    }

    /// The one credential of a request, or why there is none of ours.
    #[inline]
    pub(super) fn presented<'a>(
        &self,
        request: &'a impl RequestInfo,
        from: Option<IpAddr>,
        takes_sessions: bool,
    ) -> Result<Result<Presented<'a>, NoToken>, Problem> {
        let format = self.rules.tokens.format();
        // Where only a token will do, a foreign credential needs no look of its own: it is refused as a bad token is.
        let is_only_way = self.rules.manner == Manner::Require && !takes_sessions;
        match self.rules.sources.read(request, format) {
            Ok(None) => Ok(Err(NoToken::Missing)),
            // Nobody else may act where a program believes that it acts by its token.
            Ok(Some(Presented::Unreadable))
                if takes_sessions && self.rules.sources.have_token(request, format) =>
            {
                Err(self.malformed(CredentialsError::Malformed, from))
            }
            Ok(Some(Presented::Unreadable)) => Ok(Err(NoToken::Unreadable)),
            Ok(Some(presented)) if is_only_way || !presented.is_foreign(format) => {
                Ok(Ok(presented))
            }
            Ok(Some(_)) => Ok(Err(NoToken::Foreign)),
            Err(error) => Err(self.malformed(error, from)),
        }
    }

    /// Judges a request that neither a token nor a session makes.
    pub(super) fn without_token(&self, nobody: AuthContext, no_token: NoToken) -> Verdict {
        match self.rules.manner {
            Manner::Identify => Ok(nobody),
            Manner::Require => Err(self.no_token(no_token, nobody.from)),
        }
    }

    pub(super) fn no_token(&self, no_token: NoToken, from: Option<IpAddr>) -> Problem {
        match no_token {
            NoToken::Missing => self.missing_credentials(),
            NoToken::Unreadable => self.malformed(CredentialsError::Malformed, from),
            NoToken::Foreign => {
                self.refused(&self.rules.tokens.refuse(MalformedToken::UnknownPrefix, from))
            }
        }
    }

    #[inline]
    fn admit(&self, nobody: AuthContext, verdict: Result<VerifiedToken, VerifyError>) -> Step {
        let token = match verdict {
            Ok(token) => token,
            Err(reason) => return Step::Now(Err(self.refused(&reason))),
        };
        let limit = token.rate_limit().or(self.rules.limit);
        let auth = nobody.called_by(Caller::by_token(token));
        match limit {
            Some(limit) => {
                self.charge(auth, Charge::of(limit), None).then(AuthContext::holding_something)
            }
            None => Step::Now(auth.holding_something()),
        }
    }

    #[cold]
    pub(super) fn missing_credentials(&self) -> Problem {
        self.finish(Problem::missing_credentials(&self.rules.realm), None)
    }

    #[cold]
    fn malformed(&self, error: CredentialsError, from: Option<IpAddr>) -> Problem {
        self.rules.tokens.report(|| Event::Refused {
            id: None,
            owner: None,
            from,
            reason: error.code(),
        });
        self.finish(Problem::invalid_request(&self.rules.realm, error), None)
    }

    #[cold]
    pub(super) fn refused(&self, reason: &VerifyError) -> Problem {
        self.finish(Problem::refused(&self.rules.realm, reason), None)
    }

    #[cold]
    pub(super) fn lacks(&self, required: &[&str], quota: Option<Quota>) -> Problem {
        self.finish(Problem::insufficient_scope(&self.rules.realm, required), quota)
    }

    #[cold]
    pub(super) fn not_found(&self, quota: Option<Quota>) -> Problem {
        self.finish(Problem::not_found(), quota)
    }

    pub(super) fn finish(&self, problem: Problem, quota: Option<Quota>) -> Problem {
        let problem = match quota {
            Some(quota) => problem.with_quota(&quota, self.rules.draft_headers),
            None => problem,
        };
        match &self.rules.body {
            Some(write) => rewritten(problem, write),
            None => problem,
        }
    }
}
