//! Turns flags, environment and the TOML file into the configurations of server and gateway.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use gateway::config::GatewayConfig;
use model::admission::OverlapScope;
use model::peering::REQUEST_LIFETIME;
use serde::Deserialize;
use server::Rate;
use server::config::CertificateFiles;
use server::config::ServerConfig;
use tempfile::TempDir;

use crate::cli::{Dataplane, GatewayRunArgs, Replay, ServerArgs};

/// Where the server's operator socket is unless told otherwise.
pub const ADMIN_SOCKET: &str = "/run/peerway/server.sock";
/// Where the gateway's local socket is unless told otherwise.
pub const GATEWAY_SOCKET: &str = "/run/peerway/gateway.sock";
/// Where the gateway keeps its state unless told otherwise.
pub const GATEWAY_STATE_DIR: &str = "/var/lib/peerway/gateway";
pub(crate) const SERVER_STATE_DIR: &str = "/var/lib/peerway/server";
const METRICS_MAX_MIB: u32 = 1024;
/// Room for some minutes of ten thousand busy sides.
const METRICS_LEAST_MIB: u32 = 16;
const DEFAULT_AUDIT_MAX_MIB: u64 = 1024;
const TUNNEL_PORT: u16 = 51820;
const NAT_KEEPALIVE_SECS: u64 = 25;
/// Clients give up on a task after 200 s, so no task may wait that long.
const TASK_TIMEOUT_BOUND_SECS: u64 = 200;
/// A year: whoever has not answered by then will not.
const LONGEST_REQUEST_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);

/// The configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Defaults for the flags of `server`.
    #[serde(default)]
    pub server: ServerArgs,
    /// Defaults for the flags of `gateway run`.
    #[serde(default)]
    pub gateway: GatewayRunArgs,
}

impl File {
    /// Reads the file, or nothing when none is named.
    ///
    /// # Errors
    /// When it cannot be read or has an unknown or malformed entry.
    pub fn load(path: Option<&Path>) -> anyhow::Result<File> {
        let Some(path) = path else {
            return Ok(File::default());
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
        toml::from_str(&text)
            .with_context(|| format!("the configuration file {} is not valid", path.display()))
    }
}

fn or_vec<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    if first.is_empty() { second } else { first }
}

/// Fills in what is absent for a server that only answers the API and that nothing is to be kept
/// of: `--dataplane none` without a state folder. It gets a fresh folder, which is removed when the
/// value is dropped, and free ports of the loopback address.
///
/// # Errors
/// When the folder cannot be made.
pub fn temporary(flags: &mut ServerArgs, file: &ServerArgs) -> anyhow::Result<Option<TempDir>> {
    let dataplane = flags.dataplane.or(file.dataplane);
    let has_folder = flags.state_dir.is_some() || file.state_dir.is_some();
    if dataplane != Some(Dataplane::None) || has_folder {
        return Ok(None);
    }
    let folder = tempfile::Builder::new().prefix("peerway-").tempdir();
    let folder = folder.context("a temporary folder for the state cannot be made")?;
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    flags.state_dir = Some(folder.path().to_owned());
    flags.http = flags.http.or(file.http).or(Some(free));
    flags.https = flags.https.or(file.https).or(Some(free));
    flags.sync = flags.sync.or(file.sync).or(Some(free));
    let socket = flags.admin_socket.take().or(file.admin_socket.clone());
    flags.admin_socket = Some(socket.unwrap_or_else(|| folder.path().join("admin.sock")));
    Ok(Some(folder))
}

/// The server's configuration: flags and environment over the file over the defaults.
///
/// # Errors
/// When values contradict each other.
pub fn server(flags: ServerArgs, file: ServerArgs) -> anyhow::Result<ServerConfig> {
    let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let task_timeout_secs = flags
        .task_timeout_secs
        .or(file.task_timeout_secs)
        .unwrap_or(60);
    if !(1..TASK_TIMEOUT_BOUND_SECS).contains(&task_timeout_secs) {
        bail!("--task-timeout-secs is {task_timeout_secs}; it must be from 1 to 199");
    }
    let request_lifetime = flags
        .request_lifetime_secs
        .or(file.request_lifetime_secs)
        .map_or(REQUEST_LIFETIME, Duration::from_secs);
    if request_lifetime.is_zero() || request_lifetime > LONGEST_REQUEST_LIFETIME {
        bail!(
            "--request-lifetime-secs is {}; it must be from 1 to {}",
            request_lifetime.as_secs(),
            LONGEST_REQUEST_LIFETIME.as_secs()
        );
    }
    let max_bandwidth_mbps = flags
        .max_bandwidth_mbps
        .or(file.max_bandwidth_mbps)
        .unwrap_or(10_000);
    if max_bandwidth_mbps == 0 {
        bail!("--max-bandwidth-mbps is 0; give at least 1");
    }
    let metrics_max_mib = flags
        .metrics_max_mib
        .or(file.metrics_max_mib)
        .unwrap_or(METRICS_MAX_MIB);
    if metrics_max_mib < METRICS_LEAST_MIB {
        bail!("--metrics-max-mib is {metrics_max_mib}; give at least {METRICS_LEAST_MIB}");
    }
    let audit_max_mib = flags
        .audit_max_mib
        .or(file.audit_max_mib)
        .unwrap_or(DEFAULT_AUDIT_MAX_MIB);
    let certificate = match (
        flags.tls_cert.or(file.tls_cert),
        flags.tls_key.or(file.tls_key),
    ) {
        (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
        (None, None) => None,
        _ => bail!("--tls-cert and --tls-key belong together"),
    };
    if audit_max_mib == 0 {
        bail!("--audit-max-mib is 0; give at least 1");
    }
    Ok(ServerConfig {
        state_dir: flags
            .state_dir
            .or(file.state_dir)
            .unwrap_or_else(|| PathBuf::from(SERVER_STATE_DIR)),
        https: Some(flags.https.or(file.https).unwrap_or_else(|| any(8443))),
        http: flags.http.or(file.http),
        sync: flags.sync.or(file.sync).unwrap_or_else(|| any(8444)),
        sync_advertise: flags.sync_advertise.or(file.sync_advertise),
        admin_socket: flags
            .admin_socket
            .or(file.admin_socket)
            .unwrap_or_else(|| PathBuf::from(ADMIN_SOCKET)),
        seed_file: flags.seed_file.or(file.seed_file),
        tls_names: or_vec(flags.tls_names, file.tls_names),
        certificate,
        clock_window: Duration::from_secs(
            flags
                .clock_window_secs
                .or(file.clock_window_secs)
                .unwrap_or(7200),
        ),
        replay: match flags.replay.or(file.replay) {
            Some(Replay::Strict) => server::config::Replay::Strict,
            Some(Replay::Answer) | None => server::config::Replay::FirstAnswer,
        },
        rate_limit: flags
            .rate_limit
            .or(file.rate_limit)
            .map_or(Rate::DEFAULT, Rate),
        task_timeout: Duration::from_secs(task_timeout_secs),
        request_lifetime,
        overlap: match flags.strict_overlap.or(file.strict_overlap) {
            Some(true) => OverlapScope::AllPeerings,
            Some(false) | None => OverlapScope::CrossRegion,
        },
        max_bandwidth_mbps,
        documented_bandwidths_only: flags
            .documented_bandwidths
            .or(file.documented_bandwidths)
            .unwrap_or(false),
        metrics_max_bytes: u64::from(metrics_max_mib) << 20,
        dataplane: match flags.dataplane.or(file.dataplane) {
            Some(Dataplane::None) => server::Dataplane::None,
            Some(Dataplane::Gateways) | None => server::Dataplane::Gateways,
        },
        audit_max_mib,
    })
}

/// The gateway's configuration: flags and environment over the file over the defaults.
///
/// # Errors
/// When the join string is malformed.
pub fn gateway(flags: GatewayRunArgs, file: GatewayRunArgs) -> anyhow::Result<GatewayConfig> {
    let advertise = flags.advertise.or(file.advertise);
    let keepalive_secs = flags
        .keepalive_secs
        .or(file.keepalive_secs)
        .or(advertise.is_none().then_some(NAT_KEEPALIVE_SECS))
        .filter(|secs| *secs > 0);
    let join = flags
        .join
        .or(file.join)
        .map(|text| text.trim().parse())
        .transpose()
        .context("the join string is not valid; make one with `peerway gateway token`")?;
    let mut listen = or_vec(flags.listen, file.listen);
    if listen.is_empty() {
        listen.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, TUNNEL_PORT)));
        listen.push(SocketAddr::from((Ipv6Addr::UNSPECIFIED, TUNNEL_PORT)));
    }
    Ok(GatewayConfig {
        state_dir: flags
            .state_dir
            .or(file.state_dir)
            .unwrap_or_else(|| PathBuf::from(GATEWAY_STATE_DIR)),
        join,
        listen,
        advertise,
        keepalive: keepalive_secs.map(Duration::from_secs),
        workers: flags.workers.or(file.workers).map_or(0, usize::from),
        control_socket: flags
            .control_socket
            .or(file.control_socket)
            .unwrap_or_else(|| PathBuf::from(GATEWAY_SOCKET)),
        telemetry: flags.telemetry.or(file.telemetry),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file: File = toml::from_str(
            "[server]\nhttps = '127.0.0.1:1'\nclock-window-secs = 300\ntls-names = ['a']\n",
        )
        .unwrap();
        let flags = ServerArgs {
            https: "127.0.0.1:2".parse().ok(),
            ..ServerArgs::default()
        };
        let config = server(flags, file.server).unwrap();
        assert_eq!(config.https, "127.0.0.1:2".parse().ok());
        assert_eq!(config.clock_window, Duration::from_secs(300));
        assert_eq!(config.tls_names, ["a"]);
        assert_eq!(config.task_timeout, Duration::from_secs(60));
    }

    #[test]
    fn the_rules_of_peerings_are_the_vendors_unless_told_otherwise() {
        let config = |toml: &str| {
            let file: File = toml::from_str(toml).unwrap();
            server(ServerArgs::default(), file.server)
        };
        let default = config("").unwrap();
        assert_eq!(default.request_lifetime, Duration::from_secs(7 * 24 * 3600));
        assert_eq!(default.overlap, OverlapScope::CrossRegion);
        let strict = config("[server]\nrequest-lifetime-secs = 60\nstrict-overlap = true\n");
        let strict = strict.unwrap();
        assert_eq!(strict.request_lifetime, Duration::from_secs(60));
        assert_eq!(strict.overlap, OverlapScope::AllPeerings);
        for secs in [0, 365 * 24 * 3600 + 1] {
            let error = config(&format!("[server]\nrequest-lifetime-secs = {secs}\n"));
            let message = error.unwrap_err().to_string();
            assert!(message.contains("--request-lifetime-secs"), "{message}");
        }
    }

    #[test]
    fn repetitions_and_rates_are_configured_by_flags_and_file() {
        let default = server(ServerArgs::default(), ServerArgs::default()).unwrap();
        assert_eq!(default.replay, server::config::Replay::FirstAnswer);
        assert_eq!(default.rate_limit, Rate(100));
        let file: File = toml::from_str("[server]\nreplay = 'strict'\nrate-limit = 7\n").unwrap();
        let flags = ServerArgs {
            rate_limit: Some(0),
            ..ServerArgs::default()
        };
        let config = server(flags, file.server).unwrap();
        assert_eq!(config.replay, server::config::Replay::Strict);
        assert_eq!(config.rate_limit, Rate::UNLIMITED);
    }

    #[test]
    fn an_unknown_entry_of_the_file_is_an_error() {
        assert!(toml::from_str::<File>("[server]\nhttsp = '127.0.0.1:1'\n").is_err());
    }

    #[test]
    fn a_gateway_behind_a_nat_keeps_its_mapping_alive() {
        let nat = gateway(GatewayRunArgs::default(), GatewayRunArgs::default()).unwrap();
        assert_eq!(nat.keepalive, Some(Duration::from_secs(25)));
        let flags = GatewayRunArgs {
            advertise: Some("gz.example:51820".into()),
            ..Default::default()
        };
        assert_eq!(
            gateway(flags, GatewayRunArgs::default()).unwrap().keepalive,
            None
        );
    }

    #[test]
    fn the_room_for_points_is_bounded_from_below() {
        let with = |mib| {
            let file: File =
                toml::from_str(&format!("[server]\nmetrics-max-mib = {mib}\n")).unwrap();
            server(ServerArgs::default(), file.server)
        };
        assert_eq!(with(16).unwrap().metrics_max_bytes, 16 << 20);
        let error = with(15).unwrap_err().to_string();
        assert!(error.contains("--metrics-max-mib"), "{error}");
        let default = server(ServerArgs::default(), ServerArgs::default()).unwrap();
        assert_eq!(default.metrics_max_bytes, 1 << 30);
    }

    #[test]
    fn a_server_without_gateways_and_folder_is_temporary_and_local() {
        let mut flags = ServerArgs {
            dataplane: Some(Dataplane::None),
            http: "127.0.0.1:8080".parse().ok(),
            ..ServerArgs::default()
        };
        let none = ServerArgs::default();
        let folder = temporary(&mut flags, &none).unwrap().unwrap();
        let config = server(flags.clone(), none.clone()).unwrap();
        assert_eq!(config.state_dir, folder.path());
        assert_eq!(config.admin_socket, folder.path().join("admin.sock"));
        assert_eq!(config.http, "127.0.0.1:8080".parse().ok());
        assert_eq!(config.https, "127.0.0.1:0".parse().ok());

        // With a folder of its own it is like any other server.
        flags.state_dir = Some("/x".into());
        flags.sync = None;
        assert!(temporary(&mut flags, &none).unwrap().is_none());
        let config = server(flags, none.clone()).unwrap();
        assert_eq!(config.sync, "0.0.0.0:8444".parse().unwrap());
        assert!(temporary(&mut none.clone(), &none).unwrap().is_none());
    }

    #[test]
    fn a_task_may_not_outlive_its_client() {
        let flags = ServerArgs {
            task_timeout_secs: Some(200),
            ..ServerArgs::default()
        };
        assert!(server(flags, ServerArgs::default()).is_err());
    }
}
