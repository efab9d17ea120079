use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use crate::{
    limit::{
        Charge, Counts, LimitError, LimiterEvent, Payer, Quota, Receipt, gcra::Charged,
        local::Local,
    },
    redis::SharedConnection,
};

use super::{
    RedisLimits, WhileAway,
    breaker::{Breaker, Cause},
    buckets::{Buckets, Failure},
};

/// Nothing is given back in this process that was charged on the server.
#[derive(Debug, thiserror::Error)]
#[error("the server is away")]
struct NotCounted;

/// Limits on a server, and what is done while it is away.
pub(crate) struct Shared {
    buckets: Buckets,
    breaker: Breaker,
    while_away: WhileAway,
    pub(crate) local: Arc<Local>,
}

impl Shared {
    pub(crate) fn new(limits: RedisLimits, local: Local) -> Self {
        let RedisLimits { client, prefix, timeout, while_away, by_given_instants } = limits;
        let connection = SharedConnection::new(client, timeout);
        let buckets = Buckets::new(connection, prefix, by_given_instants);
        Self { buckets, breaker: Breaker::default(), while_away, local: Arc::new(local) }
    }

    pub(crate) async fn charge(
        self: &Arc<Self>,
        payer: Payer,
        charge: &Charge,
        now: SystemTime,
    ) -> Result<Receipt, LimitError> {
        let charged = self.attempt(self.buckets.charge(payer, charge, now)).await?;
        let alone = || self.local.charge(payer, charge, now);
        charged.map_or_else(alone, |it| it.outcome(charge, Counts::Shared(self.clone())))
    }

    pub(crate) async fn refund(
        &self,
        payer: Payer,
        charge: &Charge,
        amount: u64,
        now: SystemTime,
    ) -> Result<Quota, LimitError> {
        let refunded = self.attempt(self.buckets.refund(payer, charge, amount, now)).await?;
        let refunded = refunded.map(|it| it.quota(charge));
        refunded.ok_or_else(|| LimitError::Unavailable(Arc::new(NotCounted)))
    }

    /// Asks the server; `None` if it is away and this process counts for itself.
    async fn attempt(
        &self,
        ask: impl Future<Output = Result<Charged, Failure>>,
    ) -> Result<Option<Charged>, LimitError> {
        let cause = match self.breaker.attempt(Instant::now()) {
            Err(cause) => cause,
            Ok(attempt) => match ask.await {
                Ok(charged) => {
                    attempt.succeeded();
                    return Ok(Some(charged));
                }
                Err(Failure::Corrupt(error)) => {
                    attempt.succeeded();
                    return Err(LimitError::Corrupt(Arc::new(error)));
                }
                Err(Failure::Away(error)) => {
                    let cause: Cause = Arc::new(error);
                    attempt.failed(Instant::now(), cause.clone());
                    cause
                }
            },
        };
        match self.while_away {
            WhileAway::Local => Ok(None),
            WhileAway::Refuse => Err(LimitError::Unavailable(cause)),
        }
    }

    pub(crate) fn take_event(&self) -> Option<LimiterEvent> {
        self.breaker.take_event()
    }
}
