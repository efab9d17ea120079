use std::{fmt, sync::Arc};

use crate::{
    api_tokens::ApiTokens,
    limit::RateLimiter,
    token::{InvalidValue, RateLimit, Rule},
    web::{Problem, Realm},
};

use super::{credentials::Sources, cross_site::Origins};

#[cfg(feature = "test-util")]
use super::guard_log::GuardLog;

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
    pub(super) manner: Manner,
    pub(super) limiter: RateLimiter,
    pub(super) limit: Option<RateLimit>,
    pub(super) body: Option<ProblemBody>,
    pub(super) origins: Origins,
    #[cfg(feature = "test-util")]
    pub(super) guards: Option<GuardLog>,
}

/// Writes the body of a problem in the application's own form: a media type and a text.
pub(super) type ProblemBody = Arc<dyn Fn(&Problem) -> (&'static str, String) + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
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

    /// Admits a request without a token of ours, and sets no caller: for routes that also accept requests without
    /// credentials, or with JWTs or sessions that keyfob does not know. A token that is not valid is refused. A handler
    /// that requires more than [`MaybeAllowed`](super::MaybeAllowed) refuses a request without a caller. In Basic
    /// credentials only a whole token with its checksum counts as ours.
    #[must_use]
    pub fn identify(tokens: ApiTokens, realm: Realm) -> Self {
        Self::require(tokens, realm).with(|rules| rules.manner = Manner::Identify)
    }

    /// Reads HTTP Basic credentials as well, with the token as the user name or as the password, as `curl -u <token>:`
    /// sends it. It never asks for them: a browser would show a dialogue. A browser that was told such credentials by
    /// other means adds them to requests of other sites too, whose origin is not compared for a token.
    #[must_use]
    pub fn accept_basic(self) -> Self {
        self.with(|rules| rules.sources.basic = true)
    }

    /// Reads a token behind another scheme in `Authorization` too, as `Token acme_…`, which some programs send. It is
    /// compared without case and read as `Bearer` is; can be set several times. The challenge stays `Bearer`.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not the name of a scheme, or is `Basic`: see [`accept_basic`](Self::accept_basic).
    pub fn accept_scheme(self, scheme: &str) -> Result<Self, InvalidValue> {
        if !is_name(scheme) || scheme.eq_ignore_ascii_case("basic") {
            let rule = Rule::other("must be the name of a scheme other than Basic");
            return Err(rule.broken_by("accept_scheme"));
        }
        Ok(self.with(|rules| rules.sources.schemes.push(scheme.into())))
    }

    /// Reads a token from a header of another name as well, such as `X-Api-Key`. A request with two tokens of ours is
    /// refused (400); beside one of ours, foreign credentials in `Authorization`, such as a proxy's JWT, are passed over.
    ///
    /// # Errors
    /// [`InvalidValue`] if it is not the name of a header, or is `Authorization` or `Cookie`.
    pub fn accept_header(self, name: &str) -> Result<Self, InvalidValue> {
        let name = name.to_ascii_lowercase();
        if !is_name(&name) || ["authorization", "cookie"].contains(&&*name) {
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

    /// Sets other origins whose pages may change something by the session, such as `https://app.acme.example` for a
    /// single-page application on a sibling host. Default: none. See [requests from other
    /// sites](super#requests-from-other-sites).
    ///
    /// ```
    /// # use keyfob::{testing, web::{Authenticator, Realm}};
    /// # let (tokens, _) = testing::in_memory("acme");
    /// let authenticator = Authenticator::require(tokens, Realm::new("Acme API")?)
    ///     .origin("https://acme.example")?
    ///     .trusted_origins(["https://app.acme.example"])?;
    /// # Ok::<(), keyfob::InvalidValue>(())
    /// ```
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
}

/// Returns `true` for a `token` of [RFC 9110 §5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2).
fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

/// A problem with the body that the application writes for it.
pub(super) fn rewritten(problem: Problem, write: &ProblemBody) -> Problem {
    let (media_type, text) = write(&problem);
    problem.with_body(media_type, text)
}

/// An authenticator that [requires](Authenticator::require) a token, in the realm "API".
impl From<ApiTokens> for Authenticator {
    fn from(tokens: ApiTokens) -> Self {
        Self::require(tokens, Realm::default())
    }
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
