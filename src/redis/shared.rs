use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ::redis::{Client, RedisError, RedisResult, aio::MultiplexedConnection};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

use super::{Connection, connect, is_answer};

/// One connection that all callers share, made when it is needed, and made anew when it is no good any more.
pub(crate) struct SharedConnection {
    client: Client,
    timeout: Duration,
    current: Mutex<Current>,
}

/// All callers that need the connection meanwhile wait for the same one.
type Connecting = Shared<Connect>;
type Connect = BoxFuture<'static, RedisResult<Connection>>;

#[derive(Default)]
enum Current {
    #[default]
    None,
    /// Given up once no caller waits for it any more: its time-out would pass unseen.
    Made(WeakShared<Connect>),
    Kept(Connecting),
}

impl SharedConnection {
    /// Connections and answers may take so long.
    pub(crate) fn new(client: Client, timeout: Duration) -> Self {
        Self { client, timeout, current: Mutex::default() }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Asks the server, and asks once more on a new connection where the one that there was fails in a way that
    /// `repeats`: it may have been useless for long.
    pub(crate) async fn ask<T, F: Future<Output = RedisResult<T>>>(
        &self,
        repeats: impl Fn(&RedisError) -> bool,
        ask: impl Fn(MultiplexedConnection) -> F,
    ) -> RedisResult<T> {
        let connecting = self.current();
        let is_new = connecting.peek().is_none();
        match self.ask_on(connecting, &ask).await {
            Err(error) if !is_new && repeats(&error) => self.ask_on(self.current(), &ask).await,
            answer => answer,
        }
    }

    async fn ask_on<T, F: Future<Output = RedisResult<T>>>(
        &self,
        connecting: Connecting,
        ask: impl Fn(MultiplexedConnection) -> F,
    ) -> RedisResult<T> {
        let is_new = connecting.peek().is_none();
        let answer = match connecting.clone().await {
            Ok(connection) => {
                if is_new {
                    self.keep(&connecting);
                }
                let mut unanswered = Unanswered(Some((self, &connecting)));
                let answer = ask(connection.commands.clone()).await;
                unanswered.0 = None;
                answer
            }
            Err(error) => Err(error),
        };
        // A connection that is no good may hang, or lead to a server that is not the primary any more.
        if answer.as_ref().is_err_and(|error| !is_answer(error)) {
            self.replace(&connecting, Current::None);
        }
        answer
    }

    fn current(&self) -> Connecting {
        let mut current = self.lock();
        current.get().unwrap_or_else(|| {
            let (client, timeout) = (self.client.clone(), self.timeout);
            let connecting = async move { connect(&client, timeout).await }.boxed().shared();
            *current = connecting.downgrade().map_or(Current::None, Current::Made);
            connecting
        })
    }

    fn keep(&self, connecting: &Connecting) {
        self.replace(connecting, Current::Kept(connecting.clone()));
    }

    fn replace(&self, connecting: &Connecting, by: Current) {
        let mut current = self.lock();
        if current.get().is_some_and(|it| it.ptr_eq(connecting)) {
            *current = by;
        }
    }

    /// A panic leaves nothing half changed.
    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question whose caller may go before the answer comes. Then the connection may be silent, and nobody else would
/// find that out: it is made anew for the next caller.
struct Unanswered<'a>(Option<(&'a SharedConnection, &'a Connecting)>);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some((shared, connecting)) = self.0 {
            shared.replace(connecting, Current::None);
        }
    }
}

impl Current {
    fn get(&self) -> Option<Connecting> {
        match self {
            Self::None => None,
            Self::Made(connecting) => connecting.upgrade(),
            Self::Kept(connecting) => Some(connecting.clone()),
        }
    }
}
