//! Puts a gateway together: state, identity, kernel, tunnel, sockets. Everything is bound before
//! anything runs.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kernel::{InstanceId, Kernel, KernelError, LinuxKernel};
use model::slice::GatewaySlice;
use tokio::net::{TcpListener, UnixListener};
use tunnel::{Tunnel, TunnelError, TunnelOptions};

use crate::agent::Agent;
use crate::attachment;
use crate::config::GatewayConfig;
use crate::control::{self, Control, Facts};
use crate::endpoints::{Lookup, Resolver, system_lookup};
use crate::error::StartError;
use crate::forwarder::Forwarder;
use crate::gateway::Gateway;
use crate::identity::{Identity, PinnedCa};
use crate::mtu::MtuPolicy;
use crate::shared::Shared;
use crate::slice_record::SliceRecord;
use crate::state::{self, StateError, StateFolder};
use crate::sync::{Membership, MembershipCell, Sync};

/// Prepares a gateway on this host: everything is bound, nothing runs yet. The UDP sockets and the
/// gateway's own namespace are those of the calling thread.
///
/// # Errors
/// [`StartError`]; nothing is left then but the state folder.
pub async fn build(config: GatewayConfig) -> Result<Gateway, StartError> {
    let edges = Edges {
        kernel: Box::new(|instance, underlay| {
            LinuxKernel::new(instance, underlay).map(|kernel| Arc::new(kernel) as Arc<dyn Kernel>)
        }),
        tunnel: Box::new(|options| {
            Tunnel::start(options).map(|tunnel| Arc::new(tunnel) as Arc<dyn Forwarder>)
        }),
        lookup: system_lookup(),
    };
    build_on(config, edges).await
}

type OpenKernel =
    Box<dyn FnOnce(InstanceId, Option<IpAddr>) -> Result<Arc<dyn Kernel>, KernelError> + Send>;
type StartTunnel = Box<dyn FnOnce(TunnelOptions) -> Result<Arc<dyn Forwarder>, TunnelError> + Send>;

/// What a gateway stands on; tests stand it on fakes.
pub(crate) struct Edges {
    pub(crate) kernel: OpenKernel,
    pub(crate) tunnel: StartTunnel,
    pub(crate) lookup: Lookup,
}

/// Prepares a gateway on the given edges.
pub(crate) async fn build_on(config: GatewayConfig, edges: Edges) -> Result<Gateway, StartError> {
    if let Some(advertise) = &config.advertise {
        api::sync::check_endpoint(advertise).map_err(StartError::Advertise)?;
    }
    let folder = Arc::new(StateFolder::open(&config.state_dir)?);
    let identity = Identity::load_or_make(&folder)?;
    let private_key = load_tunnel_key(&folder)?;
    let membership = Membership::load(&folder)?;
    let (address, pin) = find_server(&config, &folder, membership.is_some())?;
    let instance = load_instance(&folder)?;

    let slice = load_slice(&folder, membership.as_ref())?;
    let attachments = attachment::load(&folder)?;
    let names = load_endpoints(&folder);
    let shared = Arc::new(Shared::new(slice, attachments, names));
    shared.update_server(|server| server.address = Some(address.clone()));

    let kernel = (edges.kernel)(instance.clone(), config.underlay_address())?;
    let events = shared.clone();
    let forwarder = (edges.tunnel)(TunnelOptions {
        private_key,
        listen: config.listen.clone(),
        keepalive: config.keepalive,
        workers: config.workers,
        // Both kinds are news for the server: a probe completes tasks, a handshake is liveness.
        on_event: Box::new(move |_| events.report_due.notify_one()),
    })?;
    let (control_listener, telemetry) = bind(&config).await?;

    let tunnel_public_key = tunnel::public_key(&private_key);
    let membership = MembershipCell::new(membership);
    let control = Arc::new(Control {
        shared: shared.clone(),
        kernel: kernel.clone(),
        forwarder: forwarder.clone(),
        folder: folder.clone(),
        membership: membership.clone(),
        facts: Facts {
            instance: instance.to_string(),
            tunnel_public_key: tunnel_public_key.to_string(),
            advertise: config.advertise.clone(),
        },
        changing: tokio::sync::Mutex::new(()),
    });
    let listen = forwarder.local_addresses();
    Ok(Gateway {
        agent: Agent::new(
            kernel,
            forwarder.clone(),
            folder.clone(),
            shared.clone(),
            MtuPolicy::new(&listen),
        ),
        resolver: Resolver {
            shared: shared.clone(),
            folder: folder.clone(),
            lookup: edges.lookup,
            listen,
        },
        sync: Sync {
            shared,
            folder,
            forwarder,
            identity,
            tunnel_public_key,
            advertise: config.advertise,
            join: config.join,
            membership,
            address,
            pin,
        },
        control,
        control_listener,
        control_socket: config.control_socket,
        telemetry,
    })
}

/// The server's address and what its CA is known by.
fn find_server(
    config: &GatewayConfig,
    folder: &StateFolder,
    has_joined: bool,
) -> Result<(String, PinnedCa), StartError> {
    if !has_joined {
        let join = config.join.as_ref().ok_or(StartError::NotJoined)?;
        return Ok((
            join.address().to_owned(),
            PinnedCa::Fingerprint(*join.ca_sha256()),
        ));
    }
    let missing = |name| folder.damaged(name, "it is missing".to_owned());
    let pin = PinnedCa::load(folder)?.ok_or_else(|| missing(state::CA))?;
    if let Some(join) = &config.join {
        if *join.ca_sha256() != pin.fingerprint() {
            return Err(StartError::OtherDeployment(config.state_dir.clone()));
        }
        // The server may have moved since the gateway joined.
        folder.write(state::SERVER, format!("{}\n", join.address()).as_bytes())?;
        return Ok((join.address().to_owned(), pin));
    }
    let address = folder
        .read(state::SERVER)?
        .ok_or_else(|| missing(state::SERVER))?;
    Ok((address.trim().to_owned(), pin))
}

/// The instance id of the folder, made the first time.
fn load_instance(folder: &StateFolder) -> Result<InstanceId, StateError> {
    let text = folder.read_or_make(state::INSTANCE, || {
        InstanceId::from_entropy(rand::random()).to_string()
    })?;
    text.parse().map_err(|error: kernel::InstanceIdError| {
        folder.damaged(state::INSTANCE, error.to_string())
    })
}

fn load_tunnel_key(folder: &StateFolder) -> Result<[u8; 32], StateError> {
    let text = folder.read_or_make(state::TUNNEL_KEY, || {
        STANDARD.encode(tunnel::generate_private_key())
    })?;
    let key = STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    key.ok_or_else(|| folder.damaged(state::TUNNEL_KEY, "it is not 32 bytes in base64".to_owned()))
}

/// The last desired slice. One of another gateway is left from before this folder joined anew.
fn load_slice(
    folder: &StateFolder,
    membership: Option<&Membership>,
) -> Result<Option<GatewaySlice>, StateError> {
    let Some(record) = folder.read_json::<SliceRecord>(state::SLICE)? else {
        return Ok(None);
    };
    let slice =
        GatewaySlice::try_from(record).map_err(|reason| folder.damaged(state::SLICE, reason))?;
    Ok(membership
        .is_some_and(|membership| membership.gateway == slice.gateway)
        .then_some(slice))
}

// Only a cache: a damaged one costs a lookup.
fn load_endpoints(folder: &StateFolder) -> BTreeMap<String, SocketAddr> {
    match folder.read_json(state::ENDPOINTS) {
        Ok(names) => names.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "remembered endpoints are not used");
            BTreeMap::new()
        }
    }
}

async fn bind(config: &GatewayConfig) -> Result<(UnixListener, Option<TcpListener>), StartError> {
    let path = &config.control_socket;
    let telemetry = match config.telemetry {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|source| StartError::Telemetry { address, source })?,
        ),
        None => None,
    };
    let control = control::bind(path).map_err(|source| StartError::ControlSocket {
        path: path.clone(),
        source,
    })?;
    Ok((control, telemetry))
}
