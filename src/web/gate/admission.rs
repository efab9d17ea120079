use std::sync::Arc;

use futures_util::future::BoxFuture;
use smol_str::SmolStr;

use crate::{
    event::Event,
    limit::Quota,
    verify::VerifiedToken,
    web::{Problem, quota},
};

use super::{
    Authenticator,
    arrival::Arrival,
    authenticator::{ProblemBody, rewritten},
    charging::Spent,
};

#[cfg(feature = "test-util")]
use super::guard_log::Trail;
/// What a layer leaves in a request: by whom it is made, and by what rules that was decided. It can't be named from
/// outside, so that a handler can't learn the owner without saying in its signature what it needs.
#[derive(Clone, Debug)]
pub struct Admission {
    pub(super) authenticator: Authenticator,
    /// `None` is nobody in particular, where the layer only identifies.
    pub(super) token: Option<VerifiedToken>,
    pub(super) spent: Option<Arc<Spent>>,
    /// That of it which was charged in the last step.
    pub(super) paid: Option<Arc<Spent>>,
    /// By other rules, for the handler arguments that go by those.
    pub(super) beside: Option<Arc<Admission>>,
    #[cfg(feature = "test-util")]
    pub(super) trail: Option<Arc<Trail>>,
}

/// What a request's way into a service came to: at once, or once the store has answered, or who counts.
pub(crate) enum Step {
    Now(Result<Admission, Problem>),
    Later(BoxFuture<'static, Result<Admission, Problem>>),
}

/// What is left to do when the request is answered.
pub(crate) struct Passage {
    quota: Option<Quota>,
    draft: bool,
    body: Option<ProblemBody>,
    paid: Option<Arc<Spent>>,
    #[cfg(feature = "test-util")]
    trail: Option<Arc<Trail>>,
}

impl Step {
    /// Goes on with who was let in.
    #[inline]
    pub(super) fn then(
        self,
        go_on: impl FnOnce(Admission) -> Result<Admission, Problem> + Send + 'static,
    ) -> Self {
        match self {
            Self::Now(verdict) => Self::Now(verdict.and_then(go_on)),
            Self::Later(verdict) => Self::Later(Box::pin(async move { go_on(verdict.await?) })),
        }
    }

    /// Waits for what it came to.
    pub(crate) async fn verdict(self) -> Result<Admission, Problem> {
        match self {
            Self::Now(verdict) => verdict,
            Self::Later(verdict) => verdict.await,
        }
    }
}

impl Admission {
    /// The token, which there must be.
    pub(super) fn token(&self) -> Result<&VerifiedToken, Problem> {
        self.token.as_ref().ok_or_else(|| self.authenticator.missing_credentials())
    }

    pub(super) fn quota(&self) -> Option<Quota> {
        self.spent.as_ref().map(|spent| spent.quota())
    }

    /// A token lacks what is required. That is reported, and refused where it is enforced.
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

    /// Goes on unless the token may do nothing at all.
    pub(super) fn holding_something(self) -> Result<Self, Problem> {
        let token = self.token()?;
        if token.abilities().is_none() {
            self.lacking(token, &[], true)?;
        }
        Ok(self)
    }

    /// A guard is asked.
    #[cfg_attr(not(feature = "test-util"), expect(unused_variables, clippy::unused_self))]
    pub(super) fn asked(&self, request: &impl Arrival, what: impl FnOnce() -> String) {
        #[cfg(feature = "test-util")]
        if let Some(trail) = &self.trail {
            trail.asked(request, what());
        }
    }

    /// A guard refuses the request, so that it reaches nothing that another guard should have been asked about.
    #[cfg_attr(not(feature = "test-util"), expect(clippy::unused_self))]
    pub(super) fn refused(&self) {
        #[cfg(feature = "test-util")]
        if let Some(trail) = &self.trail {
            trail.guarded();
        }
    }

    /// The same for another step.
    pub(super) fn again(&self) -> Self {
        Self { paid: None, ..self.clone() }
    }

    /// What was decided by an authenticator.
    pub(super) fn by(&self, authenticator: &Authenticator) -> Option<&Self> {
        if self.authenticator.is(authenticator) {
            return Some(self);
        }
        self.beside.as_ref()?.by(authenticator)
    }

    /// Leaves itself in the request, beside what a layer has left there, so that nothing is charged again.
    pub(crate) fn stay(self, request: &mut impl Arrival) {
        if self.spent.is_none() {
            return;
        }
        let left = request.with_admission(|earlier| match earlier {
            None => Some(self),
            Some(earlier) if earlier.by(&self.authenticator).is_some() => None,
            Some(earlier) => {
                let own = Self { beside: earlier.beside.clone(), ..self };
                Some(Self { beside: Some(Arc::new(own)), ..earlier.clone() })
            }
        });
        if let Some(left) = left {
            request.leave(left);
        }
    }

    /// Leaves itself in the request.
    pub(crate) fn enter(self, request: &mut impl Arrival) -> Passage {
        let passage = Passage {
            quota: self.quota(),
            draft: self.authenticator.rules.draft_headers,
            body: self.authenticator.rules.body.clone(),
            paid: self.paid.clone(),
            #[cfg(feature = "test-util")]
            trail: self.trail.clone(),
        };
        request.leave(self);
        passage
    }
}

impl Passage {
    /// The headers that the answer gets where it has none of the same name, with lower-case names.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'static str, SmolStr)> + use<> {
        self.quota.map(|quota| quota::headers(&quota, self.draft)).into_iter().flatten()
    }

    /// Gives back what was charged in this step, if that was counted in this process and the answer is a refusal by a
    /// limit further inside.
    pub(crate) fn refund_at_once(&self, problem: Option<&Problem>) {
        if let Some(paid) = self.paid.as_ref().filter(|_| problem.is_some_and(Problem::is_by_limit))
        {
            paid.refund_at_once();
        }
    }

    /// The same of what was counted on a server; `None` if there is nothing of it.
    pub(crate) fn refund(&self, problem: Option<&Problem>) -> Option<BoxFuture<'static, ()>> {
        let paid = self.paid.clone().filter(|_| problem.is_some_and(Problem::is_by_limit))?;
        Some(Box::pin(async move { paid.refund().await }))
    }

    /// The problem that an answer from further inside is, in the application's own form. It is `None` if the answer
    /// stays as it is. An encoded body stays, because its encoding is not known here.
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

    /// The request was answered.
    #[cfg_attr(not(feature = "test-util"), expect(unused_variables, clippy::unused_self))]
    pub(crate) fn end(&self, status: u16) {
        #[cfg(feature = "test-util")]
        if let Some(trail) = &self.trail {
            trail.end(status);
        }
    }
}

/// Goes on with what the layer that authenticates has left in a request.
#[inline]
pub(crate) fn with_admission<T>(
    request: &impl Arrival,
    then: impl FnOnce(&Admission) -> Result<T, Problem>,
) -> Result<T, Problem> {
    request.with_admission(|admission| match admission {
        Some(admission) => then(admission),
        None => Err(misused(
            request,
            "no layer that authenticates is around this route, add one of keyfob's",
        )),
    })
}

/// That of the methods that there are, `BASELINE-CONTROL`.
const LONGEST_METHOD: usize = 16;

/// A mistake in the application's routes: its log must say which, and a client must not get in.
#[cold]
pub(super) fn misused(request: &impl Arrival, mistake: &'static str) -> Problem {
    // A client can make up a method of any length, also one that is a token.
    let method = Some(request.method()).filter(|it| it.len() <= LONGEST_METHOD).unwrap_or("…");
    let route = request.route();
    tracing::error!(target: "keyfob", method, route, "{mistake}");
    Problem::internal()
}
