use crate::{
    Event,
    event::told,
    limit::{Charge, LimitError, LimiterNews, Quota},
    token::TokenId,
    web::Problem,
};

use super::{Admission, Authenticator, Step};

/// What a token was charged for a request.
#[derive(Clone, Debug)]
pub(super) struct Spent {
    pub(super) quota: Quota,
    /// The first limit, and how much of it in all.
    charged: Charge,
    /// Seconds after which what was charged lets the same request through again.
    wait: u32,
}

/// What is to be charged to a token for a request that has been charged something before.
struct Due {
    id: TokenId,
    charge: Charge,
    /// How much of the same limit was charged before.
    spent: u32,
}

impl Admission {
    /// What a charge comes to; nothing where all of the limit is spent on this request already.
    fn due(&self, charge: Charge) -> Result<Option<Due>, Problem> {
        let token = self.token()?;
        let charge = match token.rate_limit() {
            Some(own) if charge.is_default() => charge.with_limit(own),
            _ => charge,
        };
        let spent = self.spent.as_deref().map_or(0, |it| it.charged.spent_of(&charge));
        Ok(charge.after(spent).map(|charge| Due { id: token.id(), charge, spent }))
    }

    /// What a charge made of it.
    fn charged(self, due: &Due, verdict: Result<Quota, LimitError>) -> Result<Self, Problem> {
        let Due { id, charge, spent } = *due;
        let earlier = self.spent.as_deref();
        let wait = earlier.map_or(0, |it| it.wait);
        match verdict {
            Ok(quota) => {
                let in_all = charge.plus(spent);
                let charged = earlier.filter(|_| spent == 0).map_or(in_all, |it| it.charged);
                let wait = wait.max(quota.passes_in(&in_all));
                let spent = Some(Box::new(Spent { quota, charged, wait }));
                Ok(Self { spent, ..self })
            }
            Err(LimitError::Reached(limited)) => {
                // What was charged before is charged again, and must let the next request through as well.
                let retry_after = limited.retry_after_spending(spent).max(wait);
                Err(self.authenticator.limited(id, &limited.quota, retry_after))
            }
            Err(error) => Err(self.authenticator.uncounted(id, &charge, &error)),
        }
    }
}

impl Authenticator {
    /// Charges the token of an admission.
    pub(super) fn charge(&self, admission: Admission, charge: Charge) -> Step {
        let due = match admission.due(charge) {
            Ok(Some(due)) => due,
            Ok(None) => return Step::Now(Ok(admission)),
            Err(problem) => return Step::Now(Err(problem)),
        };
        let now = self.tokens.wall_clock();
        match self.limiter.try_charge(due.id, &due.charge, now) {
            Some(verdict) => Step::Now(admission.charged(&due, verdict)),
            None => Step::Later(Box::pin(async move {
                let this = admission.authenticator.clone();
                let verdict = this.limiter.charge(due.id, &due.charge, now).await;
                this.tell_news();
                admission.charged(&due, verdict)
            })),
        }
    }

    fn tell_news(&self) {
        if let Some(news) = self.limiter.news() {
            self.tokens.report(|| match news {
                LimiterNews::Away(cause) => Event::LimitsAway { error: told(&cause) },
                LimiterNews::Back => Event::LimitsBack,
            });
        }
    }

    #[cold]
    fn limited(&self, id: TokenId, quota: &Quota, retry_after: u32) -> Problem {
        self.tokens.report(|| Event::RateLimited { id, limit: quota.name, retry_after });
        // To a refused client the draft tells when the request may succeed.
        let quota = Quota { resets_in: retry_after, ..*quota };
        self.finish(Problem::rate_limited(retry_after), Some(quota))
    }

    /// Nobody knows whether the limit is reached.
    #[cold]
    fn uncounted(&self, id: TokenId, charge: &Charge, error: &LimitError) -> Problem {
        if let LimitError::Corrupt(cause) = error {
            let (limit, error) = (charge.name(), || told(cause));
            self.tokens.report(|| Event::LimitCorrupt { id, limit, error: error() });
        }
        self.finish(error.into(), None)
    }
}
