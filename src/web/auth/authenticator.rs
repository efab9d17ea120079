use std::{error::Error, fmt, net::IpAddr, sync::Arc};

use crate::{
    api_tokens::ApiTokens,
    event::{Event, error_chain},
    limit::{Charge, Quota, RateLimiter},
    token::{InvalidValue, MalformedToken, RateLimit, Rule},
    verify::{Open, VerifiedToken, VerifyError},
    web::{Problem, Realm, credentials::CredentialsError},
};

use super::{
    Account, AuthRequest, Caller,
    context::{AuthContext, Step, Verdict},
    credentials::{Presented, Sources},
    cross_site::Origins,
    request_info::RequestInfo,
    session::{NoToken, SessionQuestion},
};

#[cfg(feature = "test-util")]
use super::guard_log::{GuardLog, GuardTrace};
/// What stands before a service: which credentials are read, who is let in, how the others are refused, and how often a
/// token may be used. Each framework's layer is made of one.
///
/// ```
/// use keyfob::{ApiTokens, store::MemoryStore, token::RateLimit, web::{Authenticator, Realm}};
/// use time::Duration;
///
/// let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build()?;
/// let authenticator = Authenticator::require(tokens, Realm::new("Acme API")?)
///     .rate_limit(RateLimit::new(60, Duration::MINUTE)?)
///     .accept_header("X-Api-Key")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The order in which a request is judged
/// Credentials are read, the token's form and checksum are checked, the store is asked, the secret is compared, then
/// the token's state, its addresses, its rate limit, and at last the ability. So a limit is charged only for a secret
/// that was proven: a stranger who knows an id can't use up its owner's quota.
///
/// # Beside it
/// A CORS layer goes outside of this one, because a preflight request carries no credentials. It should expose the
/// headers that tell of rate limits: `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `Retry-After`.
///
/// # In several places
/// Clones are cheap, and one authenticator: a request is judged and charged by it once, by the outermost layer that has
/// a clone of it. A setter on a clone makes another authenticator.
#[derive(Clone)]
pub struct Authenticator {
    pub(super) rules: Arc<Rules>,
}

#[derive(Clone)]
pub(super) struct Rules {
    pub(super) tokens: ApiTokens,
    pub(super) sources: Sources,
    pub(super) draft_headers: bool,
    pub(super) realm: Realm,
    manner: Manner,
    pub(super) limiter: RateLimiter,
    limit: Option<RateLimit>,
    pub(super) body: Option<ProblemBody>,
    pub(super) origins: Origins,
    #[cfg(feature = "test-util")]
    guards: Option<GuardLog>,
}

/// Writes the body of a problem in the application's own form: a media type and a text.
pub(super) type ProblemBody = Arc<dyn Fn(&Problem) -> (&'static str, String) + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Require,
    Identify,
}

impl Authenticator {
    /// Lets through who has a good token that holds at least one ability, and refuses everybody else. The realm stands
    /// in the challenges.
    #[must_use]
    pub fn require(tokens: ApiTokens, realm: Realm) -> Self {
        let rules = Rules {
            tokens,
            sources: Sources::default(),
            draft_headers: false,
            realm,
            manner: Manner::Require,
            limiter: RateLimiter::default(),
            limit: Some(RateLimit::default()),
            body: None,
            origins: Origins::default(),
            #[cfg(feature = "test-util")]
            guards: None,
        };
        Self { rules: Arc::new(rules) }
    }

    /// Lets through as nobody in particular who has no credentials, credentials of another scheme, or what doesn't
    /// begin as our tokens do: for routes on which cookie sessions or JWTs are good as well. A bad token of ours is
    /// refused all the same, and a request without one is where a handler asks for more than
    /// [`MaybeAllowed`](super::MaybeAllowed). In Basic credentials only a whole token with its checksum counts as ours.
    #[must_use]
    pub fn identify(tokens: ApiTokens, realm: Realm) -> Self {
        Self::require(tokens, realm).with(|rules| rules.manner = Manner::Identify)
    }

    /// Reads HTTP Basic credentials as well, with the token as the user name or as the password, as `curl -u <token>:`
    /// sends it. It never asks for them: a browser would show a dialogue.
    #[must_use]
    pub fn accept_basic(self) -> Self {
        self.with(|rules| rules.sources.basic = true)
    }

    /// Reads a token from a header of another name as well, such as `X-Api-Key`. A request with two tokens of ours is
    /// refused (400); beside one of ours, foreign credentials in `Authorization`, such as a proxy's JWT, are passed over.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not the name of a header, or is `Authorization` or `Cookie`.
    pub fn accept_header(self, name: &str) -> Result<Self, InvalidValue> {
        let name = name.to_ascii_lowercase();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty()
            || !name.bytes().all(fits)
            || ["authorization", "cookie"].contains(&&*name)
        {
            let rule =
                Rule::other("must be the name of a header, and neither Authorization nor Cookie");
            return Err(rule.broken_by("accept_header"));
        }
        Ok(self.with(|rules| rules.sources.header = Some(name.into())))
    }

    /// Sets how often each token may be used. A token's own limit takes its place. If it is `None`, only tokens that have
    /// a limit of their own are limited. Default: 60 requests a minute.
    #[must_use]
    pub fn rate_limit(self, limit: impl Into<Option<RateLimit>>) -> Self {
        self.with(|rules| rules.limit = limit.into())
    }

    /// Who counts. Unless set here, an own [`RateLimiter::local`]; services that share one share its counts, and with
    /// `RateLimiter::redis` so do processes.
    #[must_use]
    pub fn limiter(self, limiter: RateLimiter) -> Self {
        self.with(|rules| rules.limiter = limiter)
    }

    /// Whether `RateLimit-Policy` and `RateLimit` are sent beside `X-RateLimit-Limit` and `X-RateLimit-Remaining`, as
    /// the current draft of the IETF has them. They are not unless set here: a draft may change.
    #[must_use]
    pub fn draft_rate_limit_headers(self, send: bool) -> Self {
        self.with(|rules| rules.draft_headers = send)
    }

    /// Writes the bodies of problems in the application's own form: a media type and a text. The status, the challenge
    /// and the other headers stay as they are.
    ///
    /// Within the layer, this is every [`Problem`]: its own refusals, those of guards, of handler arguments and of
    /// `JsonBody`, and those that the application's handlers return. A problem that has a
    /// [body](Problem::with_body) of the application's own already keeps it. An argument without a layer writes its own
    /// refusals only.
    ///
    /// ```
    /// # use keyfob::{ApiTokens, store::MemoryStore, web::{Authenticator, Realm}};
    /// # let tokens = ApiTokens::builder(MemoryStore::new()).prefix("acme").build()?;
    /// let authenticator = Authenticator::require(tokens, Realm::new("Acme API")?)
    ///     .problem_body(|problem| ("application/json", format!(r#"{{"error":"{}"}}"#, problem.code())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn problem_body(
        self,
        write: impl Fn(&Problem) -> (&'static str, String) + Send + Sync + 'static,
    ) -> Self {
        self.with(|rules| rules.body = Some(Arc::new(write)))
    }

    /// Records which guards are asked, for a test that pins them.
    #[cfg(feature = "test-util")]
    #[must_use]
    pub fn record_guards(self, log: &GuardLog) -> Self {
        self.with(|rules| rules.guards = Some(log.clone()))
    }

    /// Sets the application's own origin, such as `https://acme.example`. A browser without `Sec-Fetch-Site` must send it
    /// in `Origin` where a session changes something. Default: the host and port that the request was sent to.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is more or less than a scheme, a host and a port.
    pub fn origin(self, origin: &str) -> Result<Self, InvalidValue> {
        self.try_with(|rules| rules.origins.set_own(origin))
    }

    /// Sets other origins whose pages may use the session, such as `https://app.acme.example` for a single-page
    /// application on a sibling host. Default: none.
    ///
    /// # Errors
    /// As for [`origin`](Self::origin).
    pub fn trusted_origins<T: AsRef<str>>(
        self,
        origins: impl IntoIterator<Item = T>,
    ) -> Result<Self, InvalidValue> {
        self.try_with(|rules| rules.origins.set_trusted(origins))
    }

    fn try_with<E>(mut self, set: impl FnOnce(&mut Rules) -> Result<(), E>) -> Result<Self, E> {
        set(Arc::make_mut(&mut self.rules))?;
        Ok(self)
    }

    fn with(mut self, set: impl FnOnce(&mut Rules)) -> Self {
        set(Arc::make_mut(&mut self.rules));
        self
    }

    /// Returns `true` if both are one authenticator, as clones are.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rules, &other.rules)
    }

    /// Authenticates a request that no layer of a framework stands before: of hyper, tonic, or a proxy that asks.
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

    /// The same, and asks for a session if the request has no token of ours: see [the module](super#session-or-token).
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
                let answer = async { session().await.map_err(|it| error_chain(&*it.into())) };
                question.ask(answer).await
            }
        }
    }

    /// Judges a request that came from an address, once.
    #[inline]
    pub(crate) fn step(&self, request: &impl RequestInfo, from: Option<IpAddr>) -> Step {
        self.judge(request, from, false).unwrap_or_else(
            |SessionQuestion { nobody, no_token, .. }| {
                Step::Now(self.without_token(nobody, no_token))
            },
        )
    }

    /// The same where a session may make a request that has no token: then the application has to be asked.
    #[inline]
    pub(crate) fn step_or_session(
        &self,
        request: &impl RequestInfo,
        from: Option<IpAddr>,
    ) -> Result<Step, SessionQuestion> {
        self.judge(request, from, true)
    }

    #[inline]
    fn judge(
        &self,
        request: &impl RequestInfo,
        from: Option<IpAddr>,
        takes_sessions: bool,
    ) -> Result<Step, SessionQuestion> {
        if let Some(earlier) = request.with_context(|it| it?.by(self).cloned()) {
            return Ok(Step::Now(Ok(earlier.again())));
        }
        let nobody = AuthContext {
            authenticator: self.clone(),
            caller: None,
            session_was_asked: false,
            charged: request.with_context(|it| it?.charged.clone()),
            paid: None,
            beside: request.with_context(|it| it.cloned().map(Arc::new)),
            #[cfg(feature = "test-util")]
            trace: self.rules.guards.clone().map(|log| Arc::new(GuardTrace::new(log, request))),
        };
        let presented = match self.presented(request, takes_sessions) {
            Ok(Ok(presented)) => presented,
            Ok(Err(no_token)) => {
                let is_admitted = takes_sessions && self.rules.origins.admit(request);
                return Err(SessionQuestion { nobody, no_token, is_admitted });
            }
            Err(problem) => return Ok(Step::Now(Err(problem))),
        };
        Ok(match self.rules.tokens.try_verify_from(&presented, from) {
            Ok(verdict) => self.admit(nobody, verdict),
            Err(open) => Self::settle(nobody, open),
        })
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
    fn presented<'a>(
        &self,
        request: &'a impl RequestInfo,
        takes_sessions: bool,
    ) -> Result<Result<Presented<'a>, NoToken>, Problem> {
        let format = self.rules.tokens.format();
        // Where only a token will do, a foreign credential needs no look of its own: it is refused as a bad token is.
        let is_only_way = self.rules.manner == Manner::Require && !takes_sessions;
        match self.rules.sources.read(request, format) {
            Ok(None) => Ok(Err(NoToken::Missing)),
            Ok(Some(Presented::Unreadable)) => Ok(Err(NoToken::Unreadable)),
            Ok(Some(presented)) if is_only_way || !presented.is_foreign(format) => {
                Ok(Ok(presented))
            }
            Ok(Some(_)) => Ok(Err(NoToken::Foreign)),
            Err(error) => Err(self.malformed(error)),
        }
    }

    /// Judges a request that neither a token nor a session makes.
    pub(super) fn without_token(&self, nobody: AuthContext, no_token: NoToken) -> Verdict {
        match (self.rules.manner, no_token) {
            (Manner::Identify, _) => Ok(nobody),
            (Manner::Require, NoToken::Missing) => Err(self.missing_credentials()),
            (Manner::Require, NoToken::Unreadable) => {
                Err(self.malformed(CredentialsError::Malformed))
            }
            (Manner::Require, NoToken::Foreign) => {
                let reason = MalformedToken::UnknownPrefix.into();
                Err(self.refused(&self.rules.tokens.refuse(reason)))
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
    fn malformed(&self, error: CredentialsError) -> Problem {
        self.rules.tokens.report(|| Event::Refused { id: None, reason: error.code() });
        self.finish(Problem::invalid_request(&self.rules.realm, error), None)
    }

    #[cold]
    fn refused(&self, reason: &VerifyError) -> Problem {
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

/// A problem with the body that the application writes for it.
pub(super) fn rewritten(problem: Problem, write: &ProblemBody) -> Problem {
    let (media_type, text) = write(&problem);
    problem.with_body(media_type, text)
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { tokens, sources, realm, manner, limit, .. } = &*self.rules;
        f.debug_struct("Authenticator")
            .field("tokens", tokens)
            .field("realm", realm)
            .field("manner", manner)
            .field("sources", sources)
            .field("limit", limit)
            .finish_non_exhaustive()
    }
}
