use std::{net::IpAddr, sync::Arc};

use futures_util::future::BoxFuture;
use smol_str::SmolStr;

use crate::{
    event::Event,
    limit::Quota,
    verify::VerifiedToken,
    web::{Problem, quota},
};

use super::{
    AuthRequest, Authenticator, Caller, HandlerArgument, allowed::PathAbilities, charge::Charged,
    request_info::RequestInfo,
};

#[cfg(feature = "test-util")]
use super::guard_log::GuardTrace;

/// The result of [authentication](Authenticator::authenticate): the caller of a request, and what the request was
/// charged.
///
/// A layer of a framework keeps it in the request where no application can reach it. So a handler learns the owner only
/// through a type in its signature that says what it needs.
#[derive(Clone, Debug)]
pub struct AuthContext {
    pub(super) authenticator: Authenticator,
    /// `None` if the authenticator only identifies, and the request has no credential of ours.
    pub(super) caller: Option<Caller>,
    /// Whether the application was asked for a session. It must not be asked again.
    pub(super) session_was_asked: bool,
    /// The address of the client, if the application tells it.
    pub(super) from: Option<IpAddr>,
    /// The refusal of the request, if that is what was decided.
    pub(super) refusal: Option<Arc<Problem>>,
    /// The latest charge for the request, which links to the earlier ones.
    pub(super) charged: Option<Arc<Charged>>,
    /// The charge that this layer or guard made. It is refunded if a limit further inside refuses the request.
    #[cfg_attr(not(any(feature = "axum", feature = "actix")), expect(dead_code))]
    pub(super) paid: Option<Arc<Charged>>,
    /// The contexts of other authenticators, for handler arguments that use those.
    pub(super) beside: Option<Arc<AuthContext>>,
    #[cfg(feature = "test-util")]
    pub(super) trace: Option<Arc<GuardTrace>>,
}

pub(crate) type Verdict = Result<AuthContext, Problem>;
pub(crate) type Later = BoxFuture<'static, Verdict>;

/// A context that a layer has kept in a request. The type is private, so no application can take the context out.
#[cfg(any(feature = "axum", feature = "actix"))]
#[derive(Clone)]
pub(crate) struct Kept(pub(crate) AuthContext);

/// The outcome of a stage: known now, or after the store, the rate limiter or the application has answered.
pub(crate) enum Step<L = Later> {
    Now(Verdict),
    Later(L),
}

impl Step {
    /// Continues with the context if the request was let in.
    #[inline]
    pub(super) fn then(self, go_on: impl FnOnce(AuthContext) -> Verdict + Send + 'static) -> Self {
        match self {
            Self::Now(verdict) => Self::Now(verdict.and_then(go_on)),
            Self::Later(verdict) => Self::Later(Box::pin(async move { go_on(verdict.await?) })),
        }
    }

    /// The same as a framework takes it.
    #[cfg(any(feature = "axum", feature = "actix"))]
    #[inline]
    pub(super) fn within<Q: RequestInfo>(self) -> Step<Q::Later> {
        match self {
            Self::Now(verdict) => Step::Now(verdict),
            Self::Later(verdict) => Step::Later(Q::later(verdict)),
        }
    }

    /// Waits for the outcome.
    pub(crate) async fn verdict(self) -> Verdict {
        match self {
            Self::Now(verdict) => verdict,
            Self::Later(verdict) => verdict.await,
        }
    }
}

impl AuthContext {
    /// The caller. `None` for a request without a credential of ours, which an authenticator that
    /// [identifies](Authenticator::identify) lets through.
    #[must_use]
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// Returns a proof that the caller may do what the work needs, such as [`Allowed`](super::Allowed), as a handler
    /// argument of a framework does. The request supplies the parameters of abilities that are built from the path.
    ///
    /// # Errors
    /// The [`Problem`] to answer with.
    pub fn argument<T: HandlerArgument>(&self, request: &AuthRequest<'_>) -> Result<T, Problem> {
        let path = PathAbilities::of::<T>(|name| request.value_of(name));
        T::from_auth(self, request, path)
    }

    /// Returns the headers that tell of the rate limit, with lower-case names, for a response to this request. Problems
    /// carry them already.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let draft = self.authenticator.rules.draft_headers;
        let headers = self.quota().map(|quota| quota::headers(&quota, draft));
        headers.into_iter().flatten().map(|(name, value)| (name, value.into())).collect()
    }

    /// Returns the caller, or the problem that there is none.
    pub(crate) fn required_caller(&self) -> Result<&Caller, Problem> {
        self.caller.as_ref().ok_or_else(|| self.authenticator.missing_credentials())
    }

    /// Returns the token, or the problem that there is none. A session is none.
    pub(crate) fn required_token(&self) -> Result<&VerifiedToken, Problem> {
        let token = self.caller.as_ref().and_then(Caller::token);
        token.ok_or_else(|| self.authenticator.missing_credentials())
    }

    /// A request that nobody is known to have made yet.
    pub(super) fn new(
        authenticator: Authenticator,
        request: &impl RequestInfo,
        from: Option<IpAddr>,
    ) -> Self {
        Self {
            #[cfg(feature = "test-util")]
            trace: authenticator.trace(request),
            authenticator,
            caller: None,
            session_was_asked: false,
            from,
            refusal: None,
            charged: request.with_context(|it| it?.charged.clone()),
            paid: None,
            beside: request.with_context(|it| it.cloned().map(Arc::new)),
        }
    }

    pub(super) fn called_by(self, caller: Caller) -> Self {
        Self { caller: Some(caller), ..self }
    }

    pub(super) fn quota(&self) -> Option<Quota> {
        self.charged.as_ref().map(|charged| charged.quota())
    }

    /// Reports that a caller lacks required abilities. Returns the refusal if `enforced`.
    pub(super) fn lacking(
        &self,
        caller: &Caller,
        required: &[&str],
        enforced: bool,
    ) -> Result<(), Problem> {
        self.report_missing(caller, required, enforced);
        if enforced { Err(self.authenticator.lacks(required, self.quota())) } else { Ok(()) }
    }

    /// Reports that a caller lacks required abilities, and returns the refusal.
    #[cfg(all(feature = "manage", any(feature = "axum", feature = "actix")))]
    pub(crate) fn refused_for(&self, caller: &Caller, required: &[&str]) -> Problem {
        self.report_missing(caller, required, true);
        self.authenticator.lacks(required, self.quota())
    }

    fn report_missing(&self, caller: &Caller, required: &[&str], enforced: bool) {
        self.authenticator.rules.tokens.report(|| Event::AbilityMissing {
            id: caller.token().map(VerifiedToken::id),
            owner: caller.owner().clone(),
            actor: caller.actor().cloned(),
            required: required.iter().map(SmolStr::new).collect(),
            enforced,
            from: self.from,
        });
    }

    /// Refuses a caller without abilities.
    pub(super) fn holding_something(self) -> Verdict {
        let caller = self.required_caller()?;
        if caller.abilities().is_none() {
            self.lacking(caller, &[], true)?;
        }
        Ok(self)
    }

    /// Records that a guard was asked.
    #[cfg_attr(not(feature = "test-util"), expect(unused_variables, clippy::unused_self))]
    pub(super) fn asked(&self, request: &impl RequestInfo, what: impl FnOnce() -> String) {
        #[cfg(feature = "test-util")]
        if let Some(trace) = &self.trace {
            trace.asked(request, what());
        }
    }

    /// Records that a guard refused the request. The request then counts as guarded: it reaches no route.
    #[cfg_attr(not(feature = "test-util"), expect(clippy::unused_self))]
    pub(super) fn refused(&self) {
        #[cfg(feature = "test-util")]
        if let Some(trace) = &self.trace {
            trace.guarded();
        }
    }

    /// Returns a copy for the next layer or guard, which has charged nothing yet.
    pub(super) fn again(&self) -> Self {
        Self { paid: None, ..self.clone() }
    }

    /// Returns the context of an authenticator.
    pub(super) fn by(&self, authenticator: &Authenticator) -> Option<&Self> {
        if self.authenticator.is(authenticator) {
            return Some(self);
        }
        self.beside.as_ref()?.by(authenticator)
    }

    /// Returns `true` if a layer has nothing to ask that was not asked before. A layer that takes no sessions does not
    /// accept the one that a layer further out has found.
    pub(super) fn settles(&self, takes_sessions: bool) -> bool {
        match &self.caller {
            Some(caller) => takes_sessions || !caller.is_session(),
            None => self.refusal.is_some() || self.session_was_asked || !takes_sessions,
        }
    }

    /// Keeps itself in the request, beside the contexts of other authenticators, so that the request is not judged and
    /// charged again, and the application not asked again. It does nothing if a context of the same authenticator is
    /// there, or if all is as it would be again.
    #[cfg(any(feature = "axum", feature = "actix"))]
    pub(crate) fn insert_if_absent(self, request: &mut impl RequestInfo) {
        if self.charged.is_none() && !self.session_was_asked && self.refusal.is_none() {
            return;
        }
        let left = request.with_context(|earlier| match earlier {
            None => Some(self),
            Some(earlier) if earlier.by(&self.authenticator).is_some() => None,
            Some(earlier) => {
                let own = Self { beside: earlier.beside.clone(), ..self };
                Some(Self { beside: Some(Arc::new(own)), ..earlier.clone() })
            }
        });
        if let Some(left) = left {
            request.insert_context(left);
        }
    }
}

/// Calls `then` with the context that a layer has kept in the request.
#[cfg(any(feature = "axum", feature = "actix"))]
#[inline]
pub(crate) fn with_context<T>(
    request: &impl RequestInfo,
    then: impl FnOnce(&AuthContext) -> Result<T, Problem>,
) -> Result<T, Problem> {
    request.with_context(|auth| match auth {
        Some(AuthContext { refusal: Some(problem), .. }) => Err(Problem::clone(problem)),
        Some(auth) => then(auth),
        None => Err(misused(
            request,
            "no layer of keyfob has run before what asks for the caller: add one outside of it \
             (the layer that is added last runs first)",
        )),
    })
}

/// The length of the longest registered method, `BASELINE-CONTROL`.
const LONGEST_METHOD: usize = 16;

/// Logs a mistake in the application's routes, and refuses the request.
#[cold]
pub(super) fn misused(request: &impl RequestInfo, mistake: &'static str) -> Problem {
    // A client can make up a method of any length, also one that is a token.
    let method = Some(request.method()).filter(|it| it.len() <= LONGEST_METHOD).unwrap_or("…");
    let route = request.route();
    #[cfg(any(feature = "axum", feature = "actix", feature = "tracing"))]
    tracing::error!(target: "keyfob", method, route, "{mistake}");
    #[cfg(not(any(feature = "axum", feature = "actix", feature = "tracing")))]
    let _ = (method, route, mistake);
    Problem::internal()
}
