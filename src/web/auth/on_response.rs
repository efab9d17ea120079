use std::sync::Arc;

use futures_util::future::BoxFuture;
use smol_str::SmolStr;

use crate::{
    limit::Quota,
    web::{Problem, Realm, quota},
};

use super::{
    authenticator::{ProblemBody, rewritten},
    charge::Charged,
    context::AuthContext,
    request_info::RequestInfo,
};

#[cfg(feature = "test-util")]
use super::guard_log::GuardTrace;

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

impl AuthContext {
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
