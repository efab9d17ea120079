use std::{convert::Infallible, fmt, str, time::Duration};

use async_trait::async_trait;
use futures_util::StreamExt;
use redis::{Client, RedisError};

use crate::redis::{SharedConnection, subscribe};

use super::{Changed, Signal, SignalError, SignalMessage, answered, within_heartbeat};

/// How long a connection may take, and then an answer: half of what a revocation waits for at the default deadline, so
/// that a message that was lost with its connection is sent once more.
const TIMEOUT: Duration = Duration::from_millis(250);

/// How often a message is sent at most whose answer does not come. The caller waits no longer than it wants to.
const TRIES: usize = 20;

/// Tells other nodes of changes by a channel of a Redis server: `PUBLISH` and `SUBSCRIBE`.
///
/// It serves any store, and needs tokio. It holds two connections: one that listens, which asks every two seconds
/// whether the server is still there, and one that sends, from the first change on. Nothing is kept in Redis.
///
/// All nodes that share tokens name the same channel, and nobody else does. Whoever may publish on it can make nodes
/// forget what they remember, and nothing more.
///
/// ```
/// use keyfob::{ApiTokens, Cache, cluster::RedisSignal, store::MemoryStore};
///
/// let signal = RedisSignal::open("redis://127.0.0.1/", "acme:tokens")?;
/// let tokens = ApiTokens::builder(MemoryStore::new())
///     .prefix("acme")
///     .cache(Cache::for_up_to(time::Duration::seconds(5)))
///     .signal(signal)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RedisSignal {
    /// All messages are sent on it, none after another.
    sender: SharedConnection,
    channel: String,
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
        Self { sender: SharedConnection::new(client, TIMEOUT), channel: channel.into() }
    }
}

#[async_trait]
impl Signal for RedisSignal {
    async fn send(&self, changed: &Changed) -> Result<(), SignalError> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.channel).arg(changed.to_string());
        let publish = &publish;
        let publish = async |mut connection| publish.query_async::<()>(&mut connection).await;
        let mut sent = Ok(());
        for _ in 0..TRIES {
            // To hear it twice does no harm.
            sent = self.sender.ask(|_| true, publish).await;
            if !sent.as_ref().is_err_and(RedisError::is_timeout) {
                break;
            }
        }
        sent.map_err(SignalError::new)
    }

    async fn listen(
        &self,
        on_message: &(dyn Fn(SignalMessage) + Send + Sync),
    ) -> Result<Infallible, SignalError> {
        let mut subscription = answered(subscribe(self.sender.client())).await?;
        answered(subscription.subscribe(&self.channel)).await?;
        on_message(SignalMessage::Connected);
        let (mut server, mut messages) = subscription.split();
        loop {
            match within_heartbeat(messages.next()).await {
                Some(Some(message)) => {
                    let text = str::from_utf8(message.get_payload_bytes());
                    on_message(SignalMessage::Changed(
                        text.map_or(Changed::All, Changed::from_text),
                    ));
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
