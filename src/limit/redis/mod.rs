//! Limits that nodes share, kept on a Redis server.

mod breaker;
mod buckets;
mod shared;

use std::{fmt, time::Duration};

use redis::{Client, IntoConnectionInfo, RedisError};

pub(super) use self::shared::Shared;

const TIMEOUT: Duration = Duration::from_millis(250);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);

/// Where and how nodes share their limits on Redis, for [`RateLimiter::redis`](super::RateLimiter::redis).
///
/// It is Redis from version 5 on, or what speaks as it does, and a tokio runtime. A user that may do no more needs
/// `+evalsha +script|load +get +set +time` on `~<prefix>:limit:*`. Each charge is one round trip and touches one key,
/// `<prefix>:limit:<token>:<name of the limit>:<requests>/<seconds>`, which says when the limit is whole again and
/// expires a second later. Nothing else is kept, and no secret among it.
///
/// ```no_run
/// use keyfob::limit::{RateLimiter, RedisLimits, WhileAway};
///
/// let limits = RedisLimits::open("redis://localhost/")?.prefix("acme").while_away(WhileAway::Refuse);
/// let limiter = RateLimiter::redis(limits); // for `Authenticator::limiter`, or to charge by yourself
/// # Ok::<(), redis::RedisError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RedisLimits {
    client: Client,
    prefix: String,
    timeout: Duration,
    while_away: WhileAway,
    by_given_instants: bool,
}

/// What is done while the shared limits can't be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhileAway {
    /// Each process counts for itself, as with [`RateLimiter::local`](super::RateLimiter::local), and from nothing on:
    /// three of them admit up to three times the limit, and what was used before comes on top.
    #[default]
    Local,
    /// Every charge is refused with [`Unavailable`](crate::limit::LimitError::Unavailable), which is 503 over HTTP.
    Refuse,
}

impl RedisLimits {
    /// Limits on the server at a URL, such as `redis://user:password@host:6379/0`. A connection is made when the first
    /// request is charged. `rediss://` needs one of the TLS features of the crate `redis`.
    ///
    /// # Errors
    /// `RedisError` where it is none.
    pub fn open(url: &str) -> Result<Self, RedisError> {
        let info = url.into_connection_info()?;
        // A charge is small, and must not wait for the answers to others.
        let settings = info.tcp_settings().clone().set_nodelay(true);
        Client::open(info.set_tcp_settings(settings)).map(Self::with_client)
    }

    /// Limits on the server of a client that the application has made, as where certificates are its own.
    ///
    /// `Client` and `RedisError` are those of redis 1.
    pub fn with_client(client: Client) -> Self {
        Self {
            client,
            prefix: "keyfob".to_owned(),
            timeout: TIMEOUT,
            while_away: WhileAway::default(),
            by_given_instants: false,
        }
    }

    /// What the keys begin with: `keyfob` unless set here. Applications that share a server must not share it.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long is waited for a connection, and then for an answer, before the server is taken to be away: a quarter of
    /// a second unless set here, and at least a millisecond.
    ///
    /// It is not waited for by every request: after a failure the server is left alone for a time that grows from some
    /// 50 milliseconds to a second, and then tried by one request at a time until it answers.
    pub fn timeout(mut self, timeout: time::Duration) -> Self {
        self.timeout = Duration::try_from(timeout).unwrap_or_default().max(SHORTEST_TIMEOUT);
        self
    }

    /// What is done while the server is away: each process counts for itself unless set here. That it is away and that
    /// it is back is an [event](crate::Event::LimitsAway), each told once, where an
    /// [`Authenticator`](crate::web) charges.
    pub fn while_away(mut self, choice: WhileAway) -> Self {
        self.while_away = choice;
        self
    }

    /// Goes by the instants that charges are given, for tests with a [`ManualClock`](crate::time::ManualClock); else it is
    /// the clock of the server that counts.
    #[cfg(feature = "test-util")]
    pub fn by_given_instants(mut self) -> Self {
        self.by_given_instants = true;
        self
    }
}

impl fmt::Debug for RedisLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimits")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .field("while_away", &self.while_away)
            .finish_non_exhaustive()
    }
}
