//! A clean stop: no new connections, and the requests that are there are answered.

use std::{future::Future, io, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal as listen_for},
    time::timeout,
};

/// How long a client may keep the service from stopping.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// Ends with the first SIGTERM, or Ctrl-C, from now on.
pub(crate) fn signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = listen_for(SignalKind::terminate())?;
    let mut interrupt = listen_for(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Runs a server until `stop`; then `begin` makes it take no more, and end when all that it has is answered.
pub(crate) async fn serve_until(
    stop: impl Future<Output = ()>,
    server: impl Future<Output = io::Result<()>>,
    begin: impl FnOnce(),
) -> io::Result<()> {
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended,
        () = stop => tracing::info!("stopping"),
    }
    begin();
    timeout(PATIENCE, server).await.unwrap_or_else(|_| {
        tracing::warn!("some requests were not answered");
        Ok(())
    })
}
