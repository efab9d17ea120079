use std::{convert::Infallible, fmt};

use async_trait::async_trait;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

use super::{Changed, Heard, Signal, SignalError, answered, within_heartbeat};

/// Hears of changes from the PostgreSQL server that keeps the tokens: `LISTEN`.
///
/// It needs tokio. It holds one connection of its own, beside those of the pool, and asks every two seconds whether the
/// server is still there. That has to be a connection to the server itself, or through a pooler that keeps sessions:
/// one that keeps only transactions passes no notifications on.
///
/// It sends nothing: the store notifies in the transaction that changes a token, so that there is no change without a
/// notification, and no notification without the change.
pub struct PostgresSignal {
    options: PgConnectOptions,
    channel: String,
}

impl PostgresSignal {
    /// Listens to a channel of the database to which these options connect. It does no I/O.
    #[must_use]
    pub fn new(options: PgConnectOptions, channel: impl Into<String>) -> Self {
        Self { options, channel: channel.into() }
    }

    /// Listens to a channel of the database of a pool, and takes no connection from the pool.
    #[must_use]
    pub fn with_pool(pool: &PgPool, channel: impl Into<String>) -> Self {
        Self::new(PgConnectOptions::clone(&pool.connect_options()), channel)
    }
}

#[async_trait]
impl Signal for PostgresSignal {
    async fn send(&self, _: &Changed) -> Result<(), SignalError> {
        Ok(())
    }

    async fn listen(
        &self,
        hear: &(dyn Fn(Heard) + Send + Sync),
    ) -> Result<Infallible, SignalError> {
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = pool.connect_lazy_with(self.options.clone());
        let mut listener = answered(PgListener::connect_with(&pool)).await?;
        // Left to itself it would connect anew, and nobody would know that notifications were lost.
        listener.eager_reconnect(false);
        answered(listener.listen(&self.channel)).await?;
        hear(Heard::Connected);
        loop {
            match within_heartbeat(listener.try_recv()).await {
                Some(Ok(Some(notification))) => {
                    hear(Heard::Changed(Changed::from_text(notification.payload())));
                }
                Some(Ok(None)) => return Err(SignalError::new("the server closed the connection")),
                Some(Err(error)) => return Err(SignalError::new(error)),
                None => {
                    answered(sqlx::raw_sql("SELECT 1").execute(&mut listener)).await?;
                }
            }
        }
    }
}

impl fmt::Debug for PostgresSignal {
    /// Without the options, in which there may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSignal").field("channel", &self.channel).finish_non_exhaustive()
    }
}
