use std::{convert::Infallible, fmt};

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use crate::store::PostgresStore;

use super::{Changed, Signal, SignalError, SignalMessage, answered, within_heartbeat};

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
    /// Hears of the changes in a store's tables. It connects as the store's pool does, and takes no connection from it.
    ///
    /// ```no_run
    /// use keyfob::{ApiTokens, Cache, cluster::PostgresSignal, store::PostgresStore};
    ///
    /// # async fn connect(pool: sqlx::PgPool) -> Result<(), Box<dyn std::error::Error>> {
    /// let store = PostgresStore::with_pool(pool).await?;
    /// let signal = PostgresSignal::of(&store);
    /// let tokens = ApiTokens::builder(store)
    ///     .prefix("acme")
    ///     .cache(Cache::for_up_to(time::Duration::seconds(5)))
    ///     .signal(signal)
    ///     .build()?;
    /// tokio::spawn(tokens.background()); // listens
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn of(store: &PostgresStore) -> Self {
        Self::new(PgConnectOptions::clone(&store.options()), store.channel())
    }

    /// Hears of what is told on a [channel](PostgresStore::channel) of the database to which these options connect:
    /// where the store's pool connects through a pooler, and this must not.
    #[must_use]
    pub fn new(options: PgConnectOptions, channel: impl Into<String>) -> Self {
        Self { options, channel: channel.into() }
    }
}

#[async_trait]
impl Signal for PostgresSignal {
    async fn send(&self, _: &Changed) -> Result<(), SignalError> {
        Ok(())
    }

    async fn listen(
        &self,
        on_message: &(dyn Fn(SignalMessage) + Send + Sync),
    ) -> Result<Infallible, SignalError> {
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let pool = pool.connect_lazy_with(self.options.clone());
        let mut listener = answered(PgListener::connect_with(&pool)).await?;
        // Left to itself it would connect anew, and nobody would know that notifications were lost.
        listener.eager_reconnect(false);
        answered(listener.listen(&self.channel)).await?;
        on_message(SignalMessage::Connected);
        loop {
            match within_heartbeat(listener.try_recv()).await {
                Some(Ok(Some(notification))) => {
                    on_message(SignalMessage::Changed(Changed::from_text(notification.payload())));
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
