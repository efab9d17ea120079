use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, RedisResult, ScriptInvocation,
    aio::MultiplexedConnection,
};

/// One connection that all share, made when it is needed.
pub(super) struct Connection {
    client: Client,
    config: AsyncConnectionConfig,
    current: Mutex<Current>,
}

/// Everybody who needs the connection meanwhile waits for the same one.
type Connecting = Shared<Connect>;
type Connect = BoxFuture<'static, RedisResult<MultiplexedConnection>>;

#[derive(Default)]
enum Current {
    #[default]
    None,
    /// Given up once nobody waits for it any more: its time-out would pass unseen.
    Made(WeakShared<Connect>),
    Kept(Connecting),
}

impl Connection {
    pub(super) fn new(client: Client, timeout: Duration) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        Self { client, config, current: Mutex::default() }
    }

    /// Runs a script, once more where the connection that there was is closed: it may have been for long.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> RedisResult<T> {
        let connecting = self.current();
        let is_new = connecting.peek().is_none();
        match self.run_on(connecting, script).await {
            Err(error) if error.is_connection_dropped() && !is_new => {
                self.run_on(self.current(), script).await
            }
            answer => answer,
        }
    }

    async fn run_on<T: FromRedisValue>(
        &self,
        connecting: Connecting,
        script: &ScriptInvocation<'_>,
    ) -> RedisResult<T> {
        let is_new = connecting.peek().is_none();
        let answer = match connecting.clone().await {
            Ok(mut connection) => {
                if is_new {
                    self.keep(&connecting);
                }
                script.invoke_async(&mut connection).await
            }
            Err(error) => Err(error),
        };
        // A connection that is no good may hang, or lead to a server that is not the primary any more. What the script
        // itself says is no fault of the connection.
        if answer.as_ref().is_err_and(|error| error.kind() != ErrorKind::Extension) {
            self.replace(&connecting, Current::None);
        }
        answer
    }

    fn current(&self) -> Connecting {
        let mut current = self.lock();
        current.get().unwrap_or_else(|| {
            let (client, config) = (self.client.clone(), self.config.clone());
            let connect =
                async move { client.get_multiplexed_async_connection_with_config(&config).await };
            let connecting = connect.boxed().shared();
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

impl Current {
    fn get(&self) -> Option<Connecting> {
        match self {
            Self::None => None,
            Self::Made(connecting) => connecting.upgrade(),
            Self::Kept(connecting) => Some(connecting.clone()),
        }
    }
}
