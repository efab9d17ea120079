//! Parts of the authentication that only mounted routes need.

use std::net::IpAddr;

use crate::{
    api_tokens::ApiTokens,
    limit::{Charge, LimitError, Payer, RateLimited, RateLimiter},
    token::RateLimit,
    verify::VerifiedToken,
    web::Problem,
};

use super::{Account, AuthContext, AuthLayer, Authenticator, Caller, RequestInfo};

impl<Q: RequestInfo> AuthLayer<Q> {
    pub(crate) fn authenticator(&self) -> &Authenticator {
        &self.authenticator
    }

    /// Judges a request that a layer further out has judged, and that an account makes by a session.
    pub(crate) fn made_by(
        &self,
        auth: AuthContext,
        account: Account,
        request: &Q,
    ) -> Result<AuthContext, Problem> {
        auth.made_by(account, self.admits(request))
    }
}

impl AuthContext {
    /// The rate limit that holds for the token of the request.
    pub(crate) fn limit(&self) -> Option<RateLimit> {
        let own = self.caller.as_ref().and_then(Caller::token).and_then(VerifiedToken::rate_limit);
        own.or(self.authenticator.rules.limit)
    }
}

impl Authenticator {
    /// The realm of the challenges.
    pub(crate) fn realm(&self) -> &str {
        self.rules.realm.as_str()
    }

    /// The tokens that it verifies.
    pub(crate) fn tokens(&self) -> &ApiTokens {
        &self.rules.tokens
    }

    /// Revokes the token whose secret a request presents. It works in any state of the token, without an ability and
    /// whatever its rate limit, which a thief may be using up.
    pub(crate) async fn revoke_presented(
        &self,
        request: &impl RequestInfo,
        from: Option<IpAddr>,
    ) -> Result<(), Problem> {
        let presented = self.presented(request, from, false)?;
        let presented = presented.map_err(|no_token| self.no_token(no_token, from))?;
        let revoked = self.rules.tokens.revoke_presented(&presented).await;
        revoked.map(drop).map_err(|reason| self.refused(&reason))
    }

    /// The problem of a handler as an authentication would have written it: in the application's form, and with the state
    /// of the rate limit.
    pub(crate) fn in_form(&self, problem: Problem, auth: Option<&AuthContext>) -> Problem {
        if problem.is_finished() {
            return problem;
        }
        self.finish(problem, auth.and_then(AuthContext::quota))
    }

    /// Charges an address, for requests that nobody is known to have made. In this process it is counted by `own`:
    /// addresses, of which a client may have many, must not take the place of tokens.
    pub(crate) async fn charge_address(
        &self,
        own: &RateLimiter,
        from: Option<IpAddr>,
        charge: Charge,
    ) -> Result<(), Problem> {
        let now = self.rules.tokens.wall_clock();
        let limiter = if self.rules.limiter.is_local() { own } else { &self.rules.limiter };
        let charged = limiter.charge(Payer::address(from), &charge, now).await;
        self.report_limiter_events();
        match charged {
            Ok(_) => Ok(()),
            Err(LimitError::Reached(RateLimited { quota, retry_after })) => {
                Err(self.finish(Problem::rate_limited(retry_after), Some(quota)))
            }
            Err(_) => Err(self.finish(Problem::store_unavailable(), None)),
        }
    }
}
