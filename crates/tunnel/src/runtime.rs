//! The running engine as its owner sees it: started, configured, asked and stopped from any thread.
//! What runs are the threads of [`crate::worker`].

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use model::slice::GatewaySlice;
use model::{GatewayId, VpcId};

use crate::engine::{Engine, EngineOptions};
use crate::poll::Waker;
use crate::ports::Socket;
use crate::status::TunnelStatus;
use crate::tun::Device;
use crate::udp::Underlay;
use crate::worker::{Crew, OpenQueue};
use crate::{TunnelError, TunnelEvent, fill_random};

// More read no faster than one leader can.
const MOST_WORKERS: usize = 4;

/// How a tunnel starts.
pub struct TunnelOptions {
    /// The gateway's private key (Curve25519).
    pub private_key: [u8; 32],
    /// One or two underlay addresses, of different families; port 0 lets the kernel choose. The
    /// sockets belong to the network namespace of the calling thread.
    pub listen: Vec<SocketAddr>,
    /// How often to send something to every gateway, for NATs on the way.
    pub keepalive: Option<Duration>,
    /// Threads that seal and open; 0 for one per CPU, at most four.
    pub workers: usize,
    /// Called from the engine's threads: must not block, nor call the tunnel.
    pub on_event: Box<dyn Fn(TunnelEvent) + Send + Sync>,
}

/// What a tunnel is to run.
#[derive(Debug, Clone)]
pub struct TunnelDesired {
    /// The gateway's slice.
    pub slice: Arc<GatewaySlice>,
    /// Where other gateways are, resolved. A gateway without entry is learnt when it calls.
    pub endpoints: BTreeMap<GatewayId, SocketAddr>,
    /// A TUN queue for each VPC that has a namespace, opened with `IFF_TUN | IFF_NO_PI |
    /// IFF_VNET_HDR | IFF_MULTI_QUEUE`. The same `Arc` means the same queue.
    pub devices: BTreeMap<VpcId, Arc<OwnedFd>>,
}

pub(crate) enum Command {
    Configure(TunnelDesired, SyncSender<Result<(), TunnelError>>),
    Stop,
}

pub(crate) struct Shared {
    // None when a thread of the engine has ended, however it ended.
    commands: Mutex<Option<VecDeque<Command>>>,
    pub(crate) waker: Waker,
    device_mtus: Mutex<BTreeMap<VpcId, u16>>,
}

/// A running engine. Dropping it stops its threads and closes its sockets.
pub struct Tunnel {
    shared: Arc<Shared>,
    crew: Arc<Crew>,
    threads: Vec<JoinHandle<()>>,
    local: Vec<SocketAddr>,
}

impl Tunnel {
    /// Binds the sockets and starts the engine, which carries nothing yet.
    ///
    /// # Errors
    /// [`TunnelError::NoListenAddress`], [`TunnelError::Listen`], [`TunnelError::Start`].
    pub fn start(options: TunnelOptions) -> Result<Tunnel, TunnelError> {
        if options.listen.is_empty() {
            return Err(TunnelError::NoListenAddress);
        }
        let mut sockets: Vec<Box<dyn Socket>> = Vec::new();
        for address in &options.listen {
            let socket = Underlay::bind(*address).map_err(|source| TunnelError::Listen {
                address: *address,
                source,
            })?;
            sockets.push(Box::new(socket));
        }
        Tunnel::run(
            options,
            sockets,
            Box::new(|fd| Ok(Arc::new(Device::new(fd)?))),
        )
    }

    /// As [`Tunnel::start`], with sockets and devices that are given.
    pub(crate) fn run(
        options: TunnelOptions,
        sockets: Vec<Box<dyn Socket>>,
        open: OpenQueue,
    ) -> Result<Tunnel, TunnelError> {
        let local = sockets.iter().map(|socket| socket.local()).collect();
        let shared = Arc::new(Shared {
            commands: Mutex::new(Some(VecDeque::new())),
            waker: Waker::new().map_err(TunnelError::Start)?,
            device_mtus: Mutex::new(BTreeMap::new()),
        });
        let mut entropy = [0; 8];
        fill_random(&mut entropy);
        let engine_options = EngineOptions {
            private_key: options.private_key,
            keepalive: options.keepalive,
            entropy: u64::from_ne_bytes(entropy),
            // A clock before 1970 is none: handshakes are then as old as they can be.
            unix_time: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
        };
        let engine = Engine::new(&engine_options, Instant::now());
        let size = match options.workers {
            0 => std::thread::available_parallelism()
                .map_or(1, NonZero::get)
                .min(MOST_WORKERS),
            workers => workers,
        };
        let crew = Crew::new(
            size,
            engine,
            sockets,
            open,
            shared.clone(),
            options.on_event,
        )
        .map_err(TunnelError::Start)?;
        let crew = Arc::new(crew);
        let mut tunnel = Tunnel {
            shared,
            crew: crew.clone(),
            threads: Vec::new(),
            local,
        };
        for number in 0..size {
            let crew = crew.clone();
            let thread = std::thread::Builder::new()
                .name(format!("tunnel-{number}"))
                .spawn(move || crew.work())
                .map_err(TunnelError::Start)?;
            tunnel.threads.push(thread);
        }
        Ok(tunnel)
    }

    /// The addresses that the sockets are bound to, in the order of `listen`.
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.local.clone()
    }

    /// Replaces the whole configuration; returns when the engine runs it. Sessions, queues and
    /// counters of what stays are kept; a removed peering stops at once.
    ///
    /// # Errors
    /// [`TunnelError::Device`] when a queue cannot be used (everything else is then in force),
    /// [`TunnelError::Stopped`].
    pub fn configure(&self, desired: TunnelDesired) -> Result<(), TunnelError> {
        let (sender, receiver) = sync_channel(1);
        self.shared.send(Command::Configure(desired, sender));
        receiver.recv().map_err(|_| TunnelError::Stopped)?
    }

    /// A snapshot; empty when the engine has stopped.
    pub fn status(&self) -> TunnelStatus {
        self.crew.status()
    }

    /// The MTU for a VPC's TUN device: the largest inner MTU of the VPC's pairs; `None` when it has
    /// no peering that could carry anything.
    pub fn device_mtu(&self, vpc: VpcId) -> Option<u16> {
        lock(&self.shared.device_mtus).get(&vpc).copied()
    }

    /// Stops the engine and waits for its end.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.shared.send(Command::Stop);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!(
                    "the forwarding engine had panicked; restart the gateway and report it"
                );
            }
        }
    }
}

impl Shared {
    fn send(&self, command: Command) {
        // A command that nobody will take is dropped, and with it what its caller waits on.
        if let Some(commands) = lock(&self.commands).as_mut() {
            commands.push_back(command);
        }
        self.waker.wake();
    }

    pub(crate) fn next_command(&self) -> Option<Command> {
        lock(&self.commands).as_mut()?.pop_front()
    }

    /// Refuses commands from now on.
    pub(crate) fn close(&self) {
        *lock(&self.commands) = None;
    }

    pub(crate) fn set_device_mtus(&self, mtus: BTreeMap<VpcId, u16>) {
        *lock(&self.device_mtus) = mtus;
    }
}

// The values behind these locks are whole at every point, also after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pair_slice;

    #[test]
    fn a_stopped_engine_answers_instead_of_blocking() {
        let tunnel = Tunnel::start(TunnelOptions {
            private_key: crate::generate_private_key(),
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            keepalive: None,
            workers: 2,
            on_event: Box::new(|_| {}),
        })
        .unwrap();
        let desired = TunnelDesired {
            slice: Arc::new(pair_slice(0, &[])),
            endpoints: BTreeMap::new(),
            devices: BTreeMap::new(),
        };
        tunnel.configure(desired.clone()).unwrap();
        assert_ne!(tunnel.local_addresses()[0].port(), 0);
        tunnel.shared.send(Command::Stop);
        while lock(&tunnel.shared.commands).is_some() {
            std::thread::yield_now();
        }
        assert!(matches!(
            tunnel.configure(desired),
            Err(TunnelError::Stopped)
        ));
        assert!(tunnel.status().gateways.is_empty());
    }

    #[test]
    fn a_port_in_use_is_named() {
        let start = |address: SocketAddr| {
            Tunnel::start(TunnelOptions {
                private_key: crate::generate_private_key(),
                listen: vec![address],
                keepalive: None,
                workers: 2,
                on_event: Box::new(|_| {}),
            })
        };
        let first = start("127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = first.local_addresses()[0];
        let error = start(taken).err().unwrap();
        assert!(matches!(error, TunnelError::Listen { address, .. } if address == taken));
    }
}
