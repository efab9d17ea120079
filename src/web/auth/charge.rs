//! What a request is charged, and what of it is given back.
//!
//! ```text
//! layer ── charges 1 ──► guard ── charges 5 ──► guard: its limit is reached
//!   ▲                      ▲                      │
//!   └─ gives 1 back ◄──────┴─ gives 5 back ◄──────┘ 429, as it leaves through each
//! ```
//! Each gives back only what it has charged itself, once, and only for a refusal that leaves: what somebody inside has
//! answered otherwise was served.

use std::{
    iter::successors,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    event::{Event, error_chain},
    limit::{Charge, LimitError, LimiterEvent, Payer, Quota, RateLimited, Receipt},
    verify::VerifiedToken,
    web::Problem,
};

use super::{AuthContext, Authenticator, Caller, Guard, context::Step};

/// One charge for a request, and the charges before it.
#[derive(Debug)]
pub(super) struct Charged {
    pending: PendingCharge,
    receipt: Receipt,
    /// When it was charged, by what has elapsed.
    at: Duration,
    before: Option<Arc<Charged>>,
    is_refunded: AtomicBool,
}

/// What is to be charged for a request.
#[derive(Debug)]
struct PendingCharge {
    authenticator: Authenticator,
    payer: Payer,
    charge: Charge,
    /// The guard that asks for it; `None` is an authenticator.
    by: Option<Guard>,
}

impl PendingCharge {
    /// Returns `true` if this draws on the same bucket as a charge by another authenticator.
    fn shares_bucket(&self, other: &Authenticator, payer: Payer, charge: &Charge) -> bool {
        let is_same = self.authenticator.rules.limiter.is(&other.rules.limiter);
        is_same && self.payer == payer && self.charge.shares_bucket(charge)
    }

    fn is_by(&self, guard: Option<&Guard>) -> bool {
        match (&self.by, guard) {
            (Some(one), Some(other)) => one.is(other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Charged {
    /// The state of the limit after the charge.
    pub(super) fn quota(&self) -> Quota {
        self.receipt.quota
    }

    /// Itself and the charges before it.
    pub(super) fn and_before(&self) -> impl Iterator<Item = &Self> {
        successors(Some(self), |charged| charged.before.as_deref())
    }

    /// Gives the charge back where it was counted, if that is in this process. It does so once.
    pub(super) fn refund_at_once(&self) {
        if !self.receipt.counted_by.is_local() || self.is_refunded.swap(true, Relaxed) {
            return;
        }
        let PendingCharge { authenticator, payer, charge, .. } = &self.pending;
        let now = authenticator.rules.tokens.wall_clock();
        self.receipt.counted_by.refund_at_once(*payer, charge, self.left(), now);
    }

    /// Gives the charge back where it was counted, if that is on a server. It does so once.
    pub(super) async fn refund(&self) {
        if self.receipt.counted_by.is_local() || self.is_refunded.swap(true, Relaxed) {
            return;
        }
        let PendingCharge { authenticator, payer, charge, .. } = &self.pending;
        let now = authenticator.rules.tokens.wall_clock();
        self.receipt.counted_by.refund_elsewhere(*payer, charge, self.left(), now).await;
    }

    /// What of the charge has certainly not come back by itself yet, in nanoseconds. To give back more would be to take
    /// from the charges of others that came since.
    fn left(&self) -> u64 {
        let elapsed = self.pending.authenticator.rules.tokens.clock().elapsed();
        let since = u64::try_from(elapsed.saturating_sub(self.at).as_nanos()).unwrap_or(u64::MAX);
        self.receipt.used.saturating_sub(since).min(self.pending.charge.price())
    }
}

impl AuthContext {
    /// What was charged for the request so far, from the last charge on.
    fn charges(&self) -> impl Iterator<Item = &Charged> {
        self.charged.iter().flat_map(|it| it.and_before())
    }

    /// What a charge comes to. It is `None` if whoever asks for it was paid already, or if all of the limit is spent on
    /// this request.
    fn pending(&self, charge: Charge, by: Option<Guard>) -> Result<Option<PendingCharge>, Problem> {
        let caller = self.required_caller()?;
        let charge = match caller.token().and_then(VerifiedToken::rate_limit) {
            Some(own) if charge.is_replaceable() => charge.with_limit(own),
            _ => charge,
        };
        let payer = caller.payer(&charge);
        if self.same(payer, &charge).any(|pending| pending.is_by(by.as_ref())) {
            return Ok(None);
        }
        let charge = charge.beside(self.same(payer, &charge).map(|pending| pending.charge));
        let authenticator = self.authenticator.clone();
        Ok(charge.map(|charge| PendingCharge { authenticator, payer, charge, by }))
    }

    /// What the request was charged before of the same limit.
    fn same(&self, payer: Payer, charge: &Charge) -> impl Iterator<Item = &PendingCharge> {
        let charged = self.charges().map(|charged| &charged.pending);
        charged.filter(move |pending| pending.shares_bucket(&self.authenticator, payer, charge))
    }

    fn charged(self, pending: PendingCharge, receipt: Receipt) -> Self {
        let at = pending.authenticator.rules.tokens.clock().elapsed();
        let charged = Some(Arc::new(Charged {
            pending,
            receipt,
            at,
            before: self.charged,
            is_refunded: AtomicBool::new(false),
        }));
        Self { paid: charged.clone(), charged, ..self }
    }

    fn uncharged(&self, pending: &PendingCharge, error: &LimitError) -> Problem {
        let caller = match self.required_caller() {
            Ok(caller) => caller,
            Err(problem) => return problem,
        };
        let problem = match error {
            LimitError::Reached(limited) => {
                // What was charged of it before is given back.
                let charged = self.same(pending.payer, &pending.charge);
                let charged =
                    charged.map(|it| it.charge.requests_charged()).fold(0, u32::saturating_add);
                self.authenticator.limited(caller, self.from, &limited.with_refund(charged))
            }
            error => self.authenticator.uncounted(caller, &pending.charge, error),
        };
        problem.by_limit()
    }
}

impl Authenticator {
    /// Charges the caller of a request, for a guard or for the authenticator itself.
    ///
    /// One request is charged once by all authenticators that share a limit, and once by each guard.
    pub(super) fn charge(&self, auth: AuthContext, charge: Charge, by: Option<Guard>) -> Step {
        let pending = match auth.pending(charge, by) {
            Ok(Some(pending)) => pending,
            Ok(None) => return Step::Now(Ok(auth)),
            Err(problem) => return Step::Now(Err(problem)),
        };
        let now = self.rules.tokens.wall_clock();
        match self.rules.limiter.try_charge(pending.payer, &pending.charge, now) {
            Some(Ok(receipt)) => Step::Now(Ok(auth.charged(pending, receipt))),
            Some(Err(error)) => Step::Now(Err(auth.uncharged(&pending, &error))),
            None => Step::Later(Box::pin(async move {
                let this = auth.authenticator.clone();
                let charging =
                    this.rules.limiter.charge_for(pending.payer, &pending.charge, now).await;
                this.report_limiter_events();
                match charging {
                    Ok(receipt) => Ok(auth.charged(pending, receipt)),
                    Err(error) => Err(auth.uncharged(&pending, &error)),
                }
            })),
        }
    }

    pub(super) fn report_limiter_events(&self) {
        if let Some(event) = self.rules.limiter.take_event() {
            self.rules.tokens.report(|| match event {
                LimiterEvent::Away(cause) => Event::LimitsAway { error: error_chain(&cause) },
                LimiterEvent::Back => Event::LimitsBack,
            });
        }
    }

    #[cold]
    fn limited(&self, caller: &Caller, from: Option<IpAddr>, limited: &RateLimited) -> Problem {
        let RateLimited { quota, retry_after } = *limited;
        self.rules.tokens.report(|| Event::RateLimited {
            id: caller.token().map(VerifiedToken::id),
            owner: caller.owner().clone(),
            actor: caller.actor().cloned(),
            limit: quota.name,
            retry_after,
            from,
        });
        // To a refused client the draft tells when the request may succeed.
        let quota = Quota { resets_in: retry_after, ..quota };
        self.finish(Problem::rate_limited(retry_after), Some(quota))
    }

    /// Nobody knows whether the limit is reached.
    #[cold]
    fn uncounted(&self, caller: &Caller, charge: &Charge, error: &LimitError) -> Problem {
        if let LimitError::Corrupt(cause) = error {
            self.rules.tokens.report(|| Event::LimitCorrupt {
                id: caller.token().map(VerifiedToken::id),
                owner: caller.owner().clone(),
                actor: caller.actor().cloned(),
                limit: charge.name(),
                error: error_chain(cause),
            });
        }
        self.finish(error.into(), None)
    }
}
