//! The verbs of the command line, one module for each side they talk to.

pub mod ca;
pub mod gateway;
pub mod operator;
pub mod server;

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

/// Completes when the process is asked to stop: SIGINT, SIGTERM or SIGHUP.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        tracing::info!("stopping");
    })
}
