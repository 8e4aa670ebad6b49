//! `peerway server`.

use anyhow::Context;
use server::config::ServerConfig;

use super::stop_signal;

/// Runs the control plane until a signal.
///
/// # Errors
/// When it cannot start, or stops by itself.
pub async fn run(config: ServerConfig) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let state_dir = config.state_dir.clone();
    let admin_socket = config.admin_socket.clone();
    let server = server::build(config)
        .await
        .context("the server cannot start")?;
    for (what, address) in [
        ("https", server.https_address()),
        ("http", server.http_address()),
    ] {
        if let Some(address) = address {
            tracing::info!(%address, "the API listens ({what}), path /v2/index.php");
        }
    }
    tracing::info!(address = %server.sync_address(), "gateways connect here");
    tracing::info!(
        ca = %state_dir.join("ca.pem").display(),
        admin_socket = %admin_socket.display(),
        "ready"
    );
    server.run(stop).await.context("the server stopped")?;
    Ok(())
}
