//! One gateway with a kernel that survives its restarts.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::sync::JoinString;
use kernel::FakeKernel;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::forwarder::FakeForwarder;
use crate::build::{Edges, build_on};
use crate::config::GatewayConfig;
use crate::control::Client;
use crate::endpoints::system_lookup;
use crate::error::{RunError, StartError};
use crate::gateway::Gateway;
use crate::status::GatewayStatus;

/// A host: a state folder and a kernel.
pub(super) struct Site {
    folder: tempfile::TempDir,
    pub(super) kernel: Arc<FakeKernel>,
}

/// A gateway that runs on a site.
pub(super) struct Running {
    pub(super) forwarder: Arc<FakeForwarder>,
    pub(super) client: Client,
    pub(super) telemetry: SocketAddr,
    stop: oneshot::Sender<()>,
    outcome: JoinHandle<Result<(), RunError>>,
}

impl Site {
    pub(super) fn new() -> Site {
        Site {
            folder: tempfile::tempdir().unwrap(),
            kernel: Arc::new(FakeKernel::new()),
        }
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(super) fn state_file(&self, name: &str) -> PathBuf {
        self.state_dir().join(name)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.folder.path().join("run/gateway.sock")
    }

    pub(super) fn config(&self, join: Option<JoinString>) -> GatewayConfig {
        GatewayConfig {
            state_dir: self.state_dir(),
            join,
            listen: vec!["192.0.2.1:51820".parse().unwrap()],
            advertise: Some("192.0.2.1:51820".to_owned()),
            keepalive: None,
            workers: 0,
            control_socket: self.socket(),
            telemetry: Some("127.0.0.1:0".parse().unwrap()),
        }
    }

    pub(super) async fn build(
        &self,
        config: GatewayConfig,
    ) -> Result<(Gateway, Arc<FakeForwarder>), StartError> {
        let made = Arc::new(Mutex::new(None));
        let (kernel, place) = (self.kernel.clone(), made.clone());
        let engines_kernel = self.kernel.clone();
        let edges = Edges {
            kernel: Box::new(move |_, _| Ok(kernel)),
            tunnel: Box::new(move |options| {
                let forwarder = Arc::new(FakeForwarder::new(engines_kernel, options));
                *place.lock().unwrap() = Some(forwarder.clone());
                Ok(forwarder)
            }),
            lookup: system_lookup(),
        };
        let gateway = build_on(config, edges).await?;
        let forwarder = made
            .lock()
            .unwrap()
            .take()
            .expect("build started an engine");
        Ok((gateway, forwarder))
    }

    pub(super) async fn start(&self, join: Option<JoinString>) -> Running {
        let (gateway, forwarder) = self.build(self.config(join)).await.unwrap();
        let telemetry = gateway.telemetry_address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let outcome = tokio::spawn(gateway.run(stopped));
        Running {
            forwarder,
            client: Client::new(self.socket()),
            telemetry,
            stop,
            outcome,
        }
    }
}

impl Running {
    /// Stops the gateway and gives what `run` returned.
    pub(super) async fn stop(self) -> Result<(), RunError> {
        // A gateway that ended by itself does not listen any more.
        let _ = self.stop.send(());
        self.outcome.await.unwrap()
    }

    /// Waits for the gateway to end by itself.
    pub(super) async fn ended(self) -> Result<(), RunError> {
        let ended = tokio::time::timeout(Duration::from_secs(10), self.outcome).await;
        drop(self.stop);
        ended
            .expect("the gateway ends by itself within 10 s")
            .unwrap()
    }

    /// Waits until the status fulfils a condition.
    pub(super) async fn await_status(
        &self,
        condition: impl FnMut(&GatewayStatus) -> bool,
    ) -> GatewayStatus {
        await_status(&self.client, condition).await
    }

    /// Waits until a generation is in force.
    pub(super) async fn await_generation(&self, generation: u64) -> GatewayStatus {
        self.await_status(|status| status.generation == Some(generation))
            .await
    }
}

/// Waits until a gateway's status fulfils a condition. The gateway may still be on its way up, but
/// its socket is bound.
pub(super) async fn await_status(
    client: &Client,
    mut condition: impl FnMut(&GatewayStatus) -> bool,
) -> GatewayStatus {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let status = client.status().await.unwrap();
        if condition(&status) {
            return status;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "not within 10 s: {status:#?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The permission bits of a file.
pub(super) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;

    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
