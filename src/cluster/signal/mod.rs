//! The messages between nodes: which tokens were changed.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "redis")]
mod redis;
mod unpublished;

#[cfg(any(feature = "postgres", feature = "redis"))]
use std::time::{Duration, Instant};
use std::{convert::Infallible, fmt::Debug};

use async_trait::async_trait;

#[cfg(feature = "redis")]
pub use self::redis::RedisSignal;
#[cfg(feature = "postgres")]
pub use postgres::PostgresSignal;

pub use crate::store::changed::{Changed, OwnerMark};

pub(crate) use crate::store::changed::MOST;
pub(crate) use unpublished::Unpublished;

use crate::store::BoxError;
#[cfg(any(feature = "postgres", feature = "redis"))]
use crate::time::timer;

/// A connection between nodes.
///
/// It need not be reliable, but it has to know when it is not: whatever was sent while it listened was heard, or
/// [`listen`](Self::listen) has ended.
#[async_trait]
pub trait Signal: Debug + Send + Sync + 'static {
    /// Tells the other nodes. That this one hears it as well does no harm. It is waited for no longer than a quarter of
    /// the [deadline](crate::ApiTokensBuilder::deadline).
    ///
    /// # Errors
    /// [`SignalError`]; then it may have been sent or not.
    async fn send(&self, changed: &Changed) -> Result<(), SignalError>;

    /// Connects, says so, and passes on all that is sent from then on. It ends by an error when the connection is lost,
    /// which it has to find out within seconds, also where the other end is silent. It is called again after a pause.
    ///
    /// # Errors
    /// [`SignalError`] where there is no connection, or not any more.
    async fn listen(
        &self,
        on_message: &(dyn Fn(SignalMessage) + Send + Sync),
    ) -> Result<Infallible, SignalError>;
}

/// What a [`Signal`] has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalMessage {
    /// It is connected: what is sent from now on is heard. What was sent before may be lost.
    Connected,
    /// Tokens were changed on some node.
    Changed(Changed),
}

/// Why a signal could not be sent, or is not connected.
#[derive(Debug, thiserror::Error)]
#[error("the signal is not connected")]
pub struct SignalError(#[source] BoxError);

impl SignalError {
    /// An error with this cause.
    pub fn new(cause: impl Into<BoxError>) -> Self {
        Self(cause.into())
    }
}

/// After how long without a word it is asked whether the other end is still there, and how long it may take to answer.
#[cfg(any(feature = "postgres", feature = "redis"))]
const HEARTBEAT: Duration = Duration::from_secs(2);

/// What comes within a [`HEARTBEAT`], if anything does.
#[cfg(any(feature = "postgres", feature = "redis"))]
async fn within_heartbeat<T>(coming: impl Future<Output = T>) -> Option<T> {
    timer::in_time(Instant::now() + HEARTBEAT, coming).await
}

/// An answer, if it comes within a [`HEARTBEAT`].
#[cfg(any(feature = "postgres", feature = "redis"))]
async fn answered<T, E: Into<BoxError>>(
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, SignalError> {
    let answer = within_heartbeat(answer).await;
    let answer = answer.ok_or_else(|| SignalError::new("the server did not answer in time"))?;
    answer.map_err(SignalError::new)
}
