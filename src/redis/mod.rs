//! Connections to a Redis server: one that all callers share, and one that listens.
//!
//! A server is not trusted with memory: a reply that is longer than any of keyfob's own closes the connection. That
//! holds for TCP and Unix sockets. A connection with TLS is made by the `redis` crate, which reads up to 512 MiB.

mod bounded;
mod frames;
mod shared;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, RedisError, RedisResult,
    aio::{MultiplexedConnection, PubSub},
};
use futures_util::future::select_ok;
use socket2::SockRef;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    task::AbortHandle,
};

use crate::time::timer;

use bounded::Bounded;

pub(crate) use shared::SharedConnection;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection for questions, which goes out with its last clone.
#[derive(Clone)]
struct Connection {
    commands: MultiplexedConnection,
    _driver: Option<Arc<Driver>>,
}

/// The task that reads what the server says.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Connects within a time. It is also the longest that an answer may take.
async fn connect(client: &Client, timeout: Duration) -> RedisResult<Connection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout));
    let connected = timer::in_time(Instant::now() + timeout, async {
        let Some(stream) = bounded_stream(client).await? else {
            let commands = client.get_multiplexed_async_connection_with_config(&config).await?;
            return Ok(Connection { commands, _driver: None });
        };
        let settings = client.get_connection_info().redis_settings();
        let connected = MultiplexedConnection::new_with_config(settings, stream, config.clone());
        let (commands, driver) = connected.await?;
        let driver = Driver(tokio::spawn(driver).abort_handle());
        Ok(Connection { commands, _driver: Some(Arc::new(driver)) })
    });
    connected
        .await
        .unwrap_or_else(|| Err(RedisError::from(io::Error::from(io::ErrorKind::TimedOut))))
}

/// Connects to listen.
pub(crate) async fn subscribe(client: &Client) -> RedisResult<PubSub> {
    match bounded_stream(client).await? {
        Some(stream) => PubSub::new(client.get_connection_info().redis_settings(), stream).await,
        None => client.get_async_pubsub().await,
    }
}

/// `None` where the connection needs TLS.
async fn bounded_stream(client: &Client) -> RedisResult<Option<Bounded<Box<dyn Stream>>>> {
    let info = client.get_connection_info();
    let stream: Box<dyn Stream> = match info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let addresses = lookup_host((host.as_str(), *port)).await?;
            // All at the same time: the first may be one that lets packets fall.
            let connecting: Vec<_> = addresses.map(|it| Box::pin(TcpStream::connect(it))).collect();
            if connecting.is_empty() {
                return Err(io::Error::from(io::ErrorKind::AddrNotAvailable).into());
            }
            let (stream, _) = select_ok(connecting).await?;
            // A question is small, and must not wait for the answers to others.
            stream.set_nodelay(true)?;
            if let Some(keepalive) = info.tcp_settings().keepalive() {
                SockRef::from(&stream).set_tcp_keepalive(keepalive)?;
            }
            Box::new(stream)
        }
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => Box::new(UnixStream::connect(path).await?),
        _ => return Ok(None),
    };
    Ok(Some(Bounded::new(stream)))
}

/// Whether an error says nothing of the connection: it is the server's answer.
fn is_answer(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Extension
}
