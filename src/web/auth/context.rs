use std::sync::Arc;

use futures_util::future::BoxFuture;
use smol_str::SmolStr;

use crate::{
    event::Event,
    limit::Quota,
    verify::VerifiedToken,
    web::{Problem, Realm, quota},
};

use super::{
    Authenticator,
    authenticator::{ProblemBody, rewritten},
    charge::Charged,
    request_info::RequestInfo,
};

#[cfg(feature = "test-util")]
use super::guard_log::GuardTrace;

/// The result of authentication, which a layer keeps in the request: the token, and the authenticator that judged it.
///
/// No application can name this type. So a handler can't learn the owner without a type in its signature that says what
/// it needs.
#[derive(Clone, Debug)]
pub struct AuthContext {
    pub(super) authenticator: Authenticator,
    /// `None` if the layer only identifies, and the request has no token.
    pub(super) token: Option<VerifiedToken>,
    /// The latest charge for the request, which links to the earlier ones.
    pub(super) charged: Option<Arc<Charged>>,
    /// The charge that this layer or guard made. It is refunded if a limit further inside refuses the request.
    pub(super) paid: Option<Arc<Charged>>,
    /// The contexts of other authenticators, for handler arguments that use those.
    pub(super) beside: Option<Arc<AuthContext>>,
    #[cfg(feature = "test-util")]
    pub(super) trace: Option<Arc<GuardTrace>>,
}

/// The outcome of a stage: known now, or after the store or the rate limiter has answered.
pub(crate) enum Step {
    Now(Result<AuthContext, Problem>),
    Later(BoxFuture<'static, Result<AuthContext, Problem>>),
}

/// The work that is left for when the request is answered.
pub(crate) struct OnResponse {
    quota: Option<Quota>,
    draft: bool,
    body: Option<ProblemBody>,
    realm: Realm,
    paid: Option<Arc<Charged>>,
    #[cfg(feature = "test-util")]
    trace: Option<Arc<GuardTrace>>,
}

impl Step {
    /// Continues with the context if the request was let in.
    #[inline]
    pub(super) fn then(
        self,
        go_on: impl FnOnce(AuthContext) -> Result<AuthContext, Problem> + Send + 'static,
    ) -> Self {
        match self {
            Self::Now(verdict) => Self::Now(verdict.and_then(go_on)),
            Self::Later(verdict) => Self::Later(Box::pin(async move { go_on(verdict.await?) })),
        }
    }

    /// Waits for the outcome.
    pub(crate) async fn verdict(self) -> Result<AuthContext, Problem> {
        match self {
            Self::Now(verdict) => verdict,
            Self::Later(verdict) => verdict.await,
        }
    }
}

impl AuthContext {
    /// Returns the token, or the problem that there is none.
    pub(super) fn token(&self) -> Result<&VerifiedToken, Problem> {
        self.token.as_ref().ok_or_else(|| self.authenticator.missing_credentials())
    }

    pub(super) fn quota(&self) -> Option<Quota> {
        self.charged.as_ref().map(|charged| charged.quota())
    }

    /// Reports that a token lacks required abilities. Returns the refusal if `enforced`.
    pub(super) fn lacking(
        &self,
        token: &VerifiedToken,
        required: &[&str],
        enforced: bool,
    ) -> Result<(), Problem> {
        self.authenticator.rules.tokens.report(|| Event::AbilityMissing {
            id: token.id(),
            owner: token.owner().clone(),
            required: required.iter().map(SmolStr::new).collect(),
            enforced,
        });
        if enforced { Err(self.authenticator.lacks(required, self.quota())) } else { Ok(()) }
    }

    /// Refuses a token without abilities.
    pub(super) fn holding_something(self) -> Result<Self, Problem> {
        let token = self.token()?;
        if token.abilities().is_none() {
            self.lacking(token, &[], true)?;
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

    /// Keeps itself in the request, beside the contexts of other authenticators, so that the request is not charged again.
    /// It does nothing if nothing was charged, or if a context of the same authenticator is there.
    pub(crate) fn insert_if_absent(self, request: &mut impl RequestInfo) {
        if self.charged.is_none() {
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

    /// Keeps itself in the request, in place of an earlier context.
    pub(crate) fn insert(self, request: &mut impl RequestInfo) -> OnResponse {
        let on_response = OnResponse {
            quota: self.quota(),
            draft: self.authenticator.rules.draft_headers,
            body: self.authenticator.rules.body.clone(),
            realm: self.authenticator.rules.realm.clone(),
            paid: self.paid.clone(),
            #[cfg(feature = "test-util")]
            trace: self.trace.clone(),
        };
        request.insert_context(self);
        on_response
    }
}

impl OnResponse {
    /// Returns the headers for the response, with lower-case names. The response keeps headers of these names that it
    /// has already.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'static str, SmolStr)> + use<> {
        self.quota.map(|quota| quota::headers(&quota, self.draft)).into_iter().flatten()
    }

    /// Returns the challenge in place of the response's own, if `problem` leaves its realm to the layer.
    pub(crate) fn challenge(
        &self,
        problem: Option<&Problem>,
        answered: Option<&[u8]>,
    ) -> Option<SmolStr> {
        problem?.challenge_in(&self.realm, answered?)
    }

    /// Refunds what this layer or guard charged in this process, if `problem` is a refusal by a limit further inside.
    pub(crate) fn refund_at_once(&self, problem: Option<&Problem>) {
        if let Some(paid) = self.paid.as_ref().filter(|_| problem.is_some_and(Problem::is_by_limit))
        {
            paid.refund_at_once();
        }
    }

    /// Refunds what this layer or guard charged on a server. `None`: nothing is to be refunded.
    pub(crate) fn refund(&self, problem: Option<&Problem>) -> Option<BoxFuture<'static, ()>> {
        let paid = self.paid.clone().filter(|_| problem.is_some_and(Problem::is_by_limit))?;
        Some(Box::pin(async move { paid.refund().await }))
    }

    /// Returns the problem with the application's own body, or `None` if the response stays as it is. An encoded body
    /// stays, because its encoding is not known here.
    pub(crate) fn rewrite(
        &self,
        problem: Option<&Problem>,
        status: u16,
        media_type: Option<&[u8]>,
        is_encoded: bool,
    ) -> Option<Problem> {
        let problem = problem.filter(|it| !is_encoded && it.is_as_written(status, media_type))?;
        self.body.as_ref().map(|write| rewritten(problem.clone(), write))
    }

    /// Records the status of the response.
    #[cfg_attr(not(feature = "test-util"), expect(unused_variables, clippy::unused_self))]
    pub(crate) fn end(&self, status: u16) {
        #[cfg(feature = "test-util")]
        if let Some(trace) = &self.trace {
            trace.end(status);
        }
    }
}

/// Calls `then` with the context that a layer has kept in the request.
#[inline]
pub(crate) fn with_context<T>(
    request: &impl RequestInfo,
    then: impl FnOnce(&AuthContext) -> Result<T, Problem>,
) -> Result<T, Problem> {
    request.with_context(|auth| match auth {
        Some(auth) => then(auth),
        None => Err(misused(
            request,
            "no layer that authenticates is around this route, add one of keyfob's",
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
    tracing::error!(target: "keyfob", method, route, "{mistake}");
    Problem::internal()
}
