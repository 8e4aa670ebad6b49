//! A gateway: prepared by `build`, then run until it is told to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kernel::{Kernel, LinuxKernel};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

use crate::agent::{Agent, chain};
use crate::control::{self, Control};
use crate::endpoints::Resolver;
use crate::error::{CleanError, RunError};
use crate::state::{self, StateFolder};
use crate::sync::Sync;
use crate::telemetry;

/// A gateway that has bound everything and runs nothing yet.
pub struct Gateway {
    pub(crate) agent: Agent,
    pub(crate) resolver: Resolver,
    pub(crate) sync: Sync,
    pub(crate) control: Arc<Control>,
    pub(crate) control_listener: UnixListener,
    pub(crate) control_socket: PathBuf,
    pub(crate) telemetry: Option<TcpListener>,
}

impl Gateway {
    /// The UDP addresses that the tunnel is bound to.
    pub fn listen_addresses(&self) -> Vec<SocketAddr> {
        self.control.forwarder.local_addresses()
    }

    /// The address that metrics are served on.
    pub fn telemetry_address(&self) -> Option<SocketAddr> {
        self.telemetry
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }

    /// Runs until `shutdown` completes. Namespaces and attachments stay in the kernel; forwarding
    /// ends with the process, and the next start takes up where this one left.
    ///
    /// # Errors
    /// [`RunError::Join`] when the gateway has never joined and the server does not let it.
    pub async fn run(self, shutdown: impl Future) -> Result<(), RunError> {
        let mut parts = JoinSet::new();
        parts.spawn(self.agent.run());
        parts.spawn(self.resolver.run());
        parts.spawn(control::serve(self.control_listener, self.control.clone()));
        if let Some(listener) = self.telemetry {
            parts.spawn(telemetry::serve(listener, self.control.clone()));
        }
        let outcome = tokio::select! {
            _ = shutdown => Ok(()),
            error = self.sync.run() => Err(RunError::Join(error)),
            Some(ended) = parts.join_next() => Err(RunError::Part(match ended {
                Ok(()) => "it returned".to_owned(),
                Err(error) => error.to_string(),
            })),
        };
        parts.shutdown().await;
        // A caller of a local verb may still hold on; the next gateway need not wait for it.
        self.control.folder.release();
        if let Err(error) = std::fs::remove_file(&self.control_socket) {
            tracing::debug!(%error, "the local socket was gone already");
        }
        outcome
    }
}

/// Removes everything that the gateway with this state folder made in the kernel, and returns what
/// was removed, in words. The state folder stays.
///
/// # Errors
/// [`CleanError::State`] with [`crate::error::StateError::Locked`] while the gateway runs.
pub async fn clean(state_dir: &Path) -> Result<Vec<String>, CleanError> {
    let folder = StateFolder::open_existing(state_dir)?;
    let Some(text) = folder.read(state::INSTANCE)? else {
        return Ok(Vec::new());
    };
    let instance = text
        .trim()
        .parse()
        .map_err(|error: kernel::InstanceIdError| {
            folder.damaged(state::INSTANCE, error.to_string())
        })?;
    clean_kernel(&LinuxKernel::new(instance, None)?).await
}

async fn clean_kernel(kernel: &dyn Kernel) -> Result<Vec<String>, CleanError> {
    let report = kernel::clean(kernel).await?;
    if report.is_settled() {
        return Ok(report.applied.iter().map(ToString::to_string).collect());
    }
    let failed = report
        .errors
        .iter()
        .map(|(step, error)| format!("{step}: {}", chain(error)));
    let drifted = report
        .drift
        .iter()
        .map(|step| format!("still to do: {step}"));
    Err(CleanError::Left(failed.chain(drifted).collect()))
}
