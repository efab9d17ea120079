use std::{convert::Infallible, fmt, str};

use async_trait::async_trait;
use futures_util::{StreamExt, lock::Mutex};
use redis::{Client, RedisError, aio::MultiplexedConnection};

use super::{Changed, Heard, Signal, SignalError, answered, within_heartbeat};

/// Tells other nodes of changes by a channel of a Redis server: `PUBLISH` and `SUBSCRIBE`.
///
/// It serves any store, and needs tokio. It holds two connections: one that listens, which asks every two seconds
/// whether the server is still there, and one that sends, from the first change on. Nothing is kept in Redis.
///
/// All nodes that share tokens name the same channel, and nobody else does. Whoever may publish on it can make nodes
/// forget what they remember, and nothing more.
///
/// ```
/// use keyfob::{ApiTokens, signal::RedisSignal, store::MemoryStore};
///
/// let signal = RedisSignal::open("redis://127.0.0.1/", "acme:tokens")?;
/// let tokens = ApiTokens::builder(MemoryStore::new())
///     .prefix("acme")
///     .max_staleness(time::Duration::seconds(5))
///     .signal(signal)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RedisSignal {
    client: Client,
    channel: String,
    /// What a message was sent on last, unless it was lost over it. Whoever holds it sends.
    sender: Mutex<Option<MultiplexedConnection>>,
}

impl RedisSignal {
    /// A signal through the server with this URL, such as `redis://user:password@host:6379/`. It does no I/O.
    ///
    /// # Errors
    /// [`RedisError`] where the URL is none.
    pub fn open(url: &str, channel: impl Into<String>) -> Result<Self, RedisError> {
        Ok(Self::with_client(Client::open(url)?, channel))
    }

    /// A signal through a client of the application's own, which may use TLS.
    #[must_use]
    pub fn with_client(client: Client, channel: impl Into<String>) -> Self {
        Self { client, channel: channel.into(), sender: Mutex::default() }
    }

    async fn publish(
        &self,
        connection: &mut MultiplexedConnection,
        message: &str,
    ) -> Result<(), RedisError> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.channel).arg(message).query_async(connection).await
    }
}

#[async_trait]
impl Signal for RedisSignal {
    async fn send(&self, changed: &Changed) -> Result<(), SignalError> {
        let message = changed.to_string();
        let mut sender = self.sender.lock().await;
        // Taken out: only one that has answered is used again.
        if let Some(mut connection) = sender.take()
            && self.publish(&mut connection, &message).await.is_ok()
        {
            *sender = Some(connection);
            return Ok(());
        }
        let connection = self.client.get_multiplexed_async_connection().await;
        let mut connection = connection.map_err(SignalError::new)?;
        self.publish(&mut connection, &message).await.map_err(SignalError::new)?;
        *sender = Some(connection);
        Ok(())
    }

    async fn listen(
        &self,
        hear: &(dyn Fn(Heard) + Send + Sync),
    ) -> Result<Infallible, SignalError> {
        let mut subscription = answered(self.client.get_async_pubsub()).await?;
        answered(subscription.subscribe(&self.channel)).await?;
        hear(Heard::Connected);
        let (mut server, mut messages) = subscription.split();
        loop {
            match within_heartbeat(messages.next()).await {
                Some(Some(message)) => {
                    let text = str::from_utf8(message.get_payload_bytes());
                    hear(Heard::Changed(text.map_or(Changed::All, Changed::from_text)));
                }
                Some(None) => return Err(SignalError::new("the server closed the connection")),
                None => answered(server.ping::<()>()).await?,
            }
        }
    }
}

impl fmt::Debug for RedisSignal {
    /// Without the URL, in which there may be a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSignal").field("channel", &self.channel).finish_non_exhaustive()
    }
}
