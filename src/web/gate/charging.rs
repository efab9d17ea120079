use std::{iter::successors, sync::Arc, time::SystemTime};

use crate::{
    Event,
    event::told,
    limit::{Charge, LimitError, LimiterNews, Quota, RateLimiter},
    token::TokenId,
    web::Problem,
};

use super::{Admission, Authenticator, Guard, Step};

/// One charge for a request, and the charges before it.
#[derive(Debug)]
pub(super) struct Spent {
    /// The state of the limit after it.
    pub(super) quota: Quota,
    due: Due,
    before: Option<Arc<Spent>>,
}

/// What is to be charged for a request.
#[derive(Debug)]
struct Due {
    limiter: RateLimiter,
    token: TokenId,
    charge: Charge,
    /// The guard that asks for it; `None` is an authenticator.
    by: Option<Guard>,
}

impl Due {
    /// Returns `true` if this draws on the same bucket as a charge of the limiter for the token.
    fn shares_bucket(&self, limiter: &RateLimiter, token: TokenId, charge: &Charge) -> bool {
        self.limiter.is(limiter) && self.token == token && self.charge.shares_bucket(charge)
    }

    fn is_by(&self, guard: Option<&Guard>) -> bool {
        match (&self.by, guard) {
            (Some(one), Some(other)) => one.is(other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Admission {
    /// What was charged for the request so far, from the last charge on.
    fn charges(&self) -> impl Iterator<Item = &Spent> {
        successors(self.spent.as_deref(), |spent| spent.before.as_deref())
    }

    /// What a charge comes to. It is `None` if whoever asks for it was paid already, or if all of the limit is spent on
    /// this request.
    fn due(&self, charge: Charge, by: Option<Guard>) -> Result<Option<Due>, Problem> {
        let token = self.token()?;
        let charge = match token.rate_limit() {
            Some(own) if charge.is_default() => charge.with_limit(own),
            _ => charge,
        };
        let (limiter, token) = (&self.authenticator.rules.limiter, token.id());
        let same = || {
            let charged = self.charges().map(|spent| &spent.due);
            charged.filter(|due| due.shares_bucket(limiter, token, &charge))
        };
        if same().any(|due| due.is_by(by.as_ref())) {
            return Ok(None);
        }
        let charge = charge.beside(same().map(|due| due.charge));
        Ok(charge.map(|charge| Due { limiter: limiter.clone(), token, charge, by }))
    }

    fn charged(self, due: Due, quota: Quota) -> Self {
        let spent = Spent { quota, due, before: self.spent };
        Self { spent: Some(Arc::new(spent)), ..self }
    }

    /// The request is refused, so nothing is charged for it.
    async fn refund(self, due: &Due, error: LimitError, now: SystemTime) -> Problem {
        let mut state = None;
        for Spent { due: paid, .. } in self.charges() {
            let refunded = paid.limiter.refund(paid.token, &paid.charge, now).await;
            if paid.shares_bucket(&due.limiter, due.token, &due.charge) {
                state = refunded.ok().or(state);
            }
        }
        match error {
            LimitError::Reached(limited) => {
                let quota = state.unwrap_or(limited.quota);
                self.authenticator.limited(due.token, &quota, limited.retry_after)
            }
            error => self.authenticator.uncounted(due.token, &due.charge, &error),
        }
    }
}

impl Authenticator {
    /// Charges the token of an admission, for a guard or for itself.
    ///
    /// One request is charged once by all authenticators that share a limit, and once by each guard. A request that one
    /// limit refuses is charged to none.
    pub(super) fn charge(&self, admission: Admission, charge: Charge, by: Option<Guard>) -> Step {
        let due = match admission.due(charge, by) {
            Ok(Some(due)) => due,
            Ok(None) => return Step::Now(Ok(admission)),
            Err(problem) => return Step::Now(Err(problem)),
        };
        let now = self.rules.tokens.wall_clock();
        let verdict = match self.rules.limiter.try_charge(due.token, &due.charge, now) {
            Some(Ok(quota)) => return Step::Now(Ok(admission.charged(due, quota))),
            verdict => verdict,
        };
        Step::Later(Box::pin(async move {
            let verdict = match verdict {
                Some(verdict) => verdict,
                None => due.limiter.charge(due.token, &due.charge, now).await,
            };
            admission.authenticator.tell_news();
            match verdict {
                Ok(quota) => Ok(admission.charged(due, quota)),
                Err(error) => Err(admission.refund(&due, error, now).await),
            }
        }))
    }

    fn tell_news(&self) {
        if let Some(news) = self.rules.limiter.news() {
            self.rules.tokens.report(|| match news {
                LimiterNews::Away(cause) => Event::LimitsAway { error: told(&cause) },
                LimiterNews::Back => Event::LimitsBack,
            });
        }
    }

    #[cold]
    fn limited(&self, id: TokenId, quota: &Quota, retry_after: u32) -> Problem {
        self.rules.tokens.report(|| Event::RateLimited { id, limit: quota.name, retry_after });
        // To a refused client the draft tells when the request may succeed.
        let quota = Quota { resets_in: retry_after, ..*quota };
        self.finish(Problem::rate_limited(retry_after), Some(quota))
    }

    /// Nobody knows whether the limit is reached.
    #[cold]
    fn uncounted(&self, id: TokenId, charge: &Charge, error: &LimitError) -> Problem {
        if let LimitError::Corrupt(cause) = error {
            let (limit, error) = (charge.name(), || told(cause));
            self.rules.tokens.report(|| Event::LimitCorrupt { id, limit, error: error() });
        }
        self.finish(error.into(), None)
    }
}
