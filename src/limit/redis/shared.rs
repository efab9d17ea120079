use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use crate::{redis::SharedConnection, token::TokenId};

use super::{
    super::{Charge, LimitError, LimiterNews, Quota, local::Local},
    RedisLimits, WhileAway,
    breaker::{Breaker, Cause},
    buckets::{Buckets, Failure},
};

/// Limits on a server, and what is done while it is away.
pub(crate) struct Shared {
    buckets: Buckets,
    breaker: Breaker,
    while_away: WhileAway,
    pub(crate) local: Local,
}

impl Shared {
    pub(crate) fn new(limits: RedisLimits, local: Local) -> Self {
        let RedisLimits { client, prefix, timeout, while_away, by_given_instants } = limits;
        let connection = SharedConnection::new(client, timeout);
        let buckets = Buckets::new(connection, prefix, by_given_instants);
        Self { buckets, breaker: Breaker::default(), while_away, local }
    }

    pub(crate) async fn charge(
        &self,
        token: TokenId,
        charge: &Charge,
        now: SystemTime,
    ) -> Result<Quota, LimitError> {
        let attempt = match self.breaker.attempt(Instant::now()) {
            Ok(attempt) => attempt,
            Err(cause) => return self.charge_alone(token, charge, now, cause),
        };
        match self.buckets.charge(token, charge, now).await {
            Ok(charged) => {
                attempt.succeeded();
                charged.outcome(charge)
            }
            Err(Failure::Corrupt(error)) => {
                attempt.succeeded();
                Err(LimitError::Corrupt(Arc::new(error)))
            }
            Err(Failure::Away(error)) => {
                let cause: Cause = Arc::new(error);
                attempt.failed(Instant::now(), cause.clone());
                self.charge_alone(token, charge, now, cause)
            }
        }
    }

    fn charge_alone(
        &self,
        token: TokenId,
        charge: &Charge,
        now: SystemTime,
        cause: Cause,
    ) -> Result<Quota, LimitError> {
        match self.while_away {
            WhileAway::Local => self.local.charge(token, charge, now),
            WhileAway::Refuse => Err(LimitError::Unavailable(cause)),
        }
    }

    pub(crate) fn news(&self) -> Option<LimiterNews> {
        self.breaker.news()
    }
}
