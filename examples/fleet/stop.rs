//! A clean stop: no new connections, and the requests that are there are answered.

use std::{future::Future, io, time::Duration};

use axum::Router;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal as listen_for},
    sync::oneshot,
    time::timeout,
};

/// How long a client may keep the service from stopping.
const PATIENCE: Duration = Duration::from_secs(3);

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

pub(crate) async fn serve_until(
    stop: impl Future<Output = ()>,
    listener: TcpListener,
    routes: Router,
) -> io::Result<()> {
    let (begin, asked) = oneshot::channel::<()>();
    let asked = async move {
        let _ = asked.await;
    };
    let server = axum::serve(listener, routes).with_graceful_shutdown(asked).into_future();
    tokio::pin!(server);
    tokio::select! {
        ended = &mut server => return ended,
        () = stop => tracing::info!("stopping"),
    }
    drop(begin);
    timeout(PATIENCE, server).await.unwrap_or_else(|_| {
        tracing::warn!("some requests were not answered");
        Ok(())
    })
}
