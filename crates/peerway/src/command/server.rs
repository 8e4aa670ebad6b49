//! `peerway server`.

use anyhow::Context;
use server::Server;
use server::config::ServerConfig;
use tempfile::TempDir;

use super::stop_signal;
use crate::output::{print_line, table};

/// Runs the control plane until a signal. `temporary` is the folder of a server that nothing is kept
/// of: what a caller needs is printed then, and the folder removed at the end.
///
/// # Errors
/// When it cannot start, or stops by itself.
pub async fn run(config: ServerConfig, temporary: Option<TempDir>) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let state_dir = config.state_dir.clone();
    let admin_socket = config.admin_socket.clone();
    let described = temporary.is_some().then(|| config.clone());
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
    if let Some(config) = described {
        print_line(description(&server, &config).trim_end());
    }
    server.run(stop).await.context("the server stopped")?;
    if let Some(folder) = temporary {
        let path = folder.path().to_owned();
        let closed = folder.close();
        closed.with_context(|| format!("the folder {} cannot be removed", path.display()))?;
    }
    Ok(())
}

/// How to use a server, in one block. It shows no secret.
fn description(server: &Server, config: &ServerConfig) -> String {
    let mut text =
        "Peerway is ready: the API without gateways; nothing is kept after its end.\n\n".to_owned();
    let ca = config.state_dir.join("ca.pem");
    let socket = config.admin_socket.display();
    let mut lines = Vec::new();
    for (scheme, address) in [
        ("http", server.http_address()),
        ("https", server.https_address()),
    ] {
        if let Some(address) = address {
            lines.push(("endpoint", format!("{scheme}://{address}/v2/index.php")));
        }
    }
    lines.push(("CA", ca.display().to_string()));
    lines.push(("admin socket", socket.to_string()));
    for (what, value) in lines {
        text.push_str(&format!("  {what:<12}  {value}\n"));
    }
    text.push('\n');

    let catalog = server.core().catalog();
    let mut keys: Vec<_> = catalog.keys().collect();
    keys.sort_unstable_by_key(|key| (key.owner, &key.secret_id));
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| {
            let name = catalog
                .account(key.owner)
                .map_or("", |account| account.name.as_str());
            vec![
                format!("  {}", key.secret_id),
                key.owner.to_string(),
                name.to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        text.push_str("There is no account yet; make one as below, or start with --seed-file.\n");
    } else {
        text.push_str(&table(&["  SecretId", "account", "name"], &rows));
    }

    text.push_str("\nTry it:\n");
    if let Some(address) = server.http_address() {
        text.push_str(&format!("  curl http://{address}/healthz\n"));
    }
    if let (Some(address), Some(key)) = (server.https_address(), keys.first()) {
        text.push_str(&format!(
            "  SSL_CERT_FILE={} python3 -c \"from QcloudApi.modules.vpc import Vpc; \
             Vpc.requestHost = '{address}'; print(Vpc({{'Region': 'gz', 'secretId': '{}', \
             'secretKey': '...'}}).call('DescribeVpcEx', {{}}))\"\n",
            ca.display(),
            key.secret_id,
        ));
    }
    text.push_str(&format!(
        "  export PEERWAY_ADMIN_SOCKET={socket}\n  peerway account create --name NAME\n  peerway \
         audit --follow\n"
    ));
    text
}
