//! The running engine: one thread that sleeps in epoll until a device, a socket, a command or a
//! deadline wakes it.
//!
//! The only module that reads the clock. One thread carries everything of a gateway; the queues of
//! a TUN device and a hash of the inner flow are where further threads would divide the work.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::slice::GatewaySlice;
use model::{GatewayId, VpcId};

use crate::counters::Drop as Cause;
use crate::engine::{Engine, EngineDesired};
use crate::outbox::Outbox;
use crate::status::{IoStatus, TunnelStatus};
use crate::tun::{Device, check};
use crate::udp::{ReceiveBuffers, Underlay, path_mtu};
use crate::{TunnelError, TunnelEvent, fill_random};

const MTU_EVERY: Duration = Duration::from_secs(5);
const FRAME_BYTES: usize = (1 << 16) + 64;
// How much one source may do before the others have their turn.
const READS_PER_TURN: usize = 32;
const RECEIVES_PER_TURN: usize = 4;
const BYTES_PER_FLUSH: usize = 128 << 10;
const EVENTS: usize = 64;
const ENGINE_NICENESS: libc::c_int = -10;
const WAKE_TOKEN: u64 = 0;
const DEVICE_TOKENS: u64 = 1 << 32;

/// How a tunnel starts.
pub struct TunnelOptions {
    /// The gateway's private key (Curve25519).
    pub private_key: [u8; 32],
    /// One or two underlay addresses, of different families; port 0 lets the kernel choose. The
    /// sockets belong to the network namespace of the calling thread.
    pub listen: Vec<SocketAddr>,
    /// How often to send something to every gateway, for NATs on the way.
    pub keepalive: Option<Duration>,
    /// Called from the engine's thread: must not block, nor call the tunnel.
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

enum Command {
    Configure(TunnelDesired, SyncSender<Result<(), TunnelError>>),
    Status(SyncSender<TunnelStatus>),
    Stop,
}

struct Shared {
    // None when the engine's thread has ended, however it ended.
    commands: Mutex<Option<VecDeque<Command>>>,
    wake: OwnedFd,
    device_mtus: Mutex<BTreeMap<VpcId, u16>>,
}

/// A running engine. Dropping it stops its thread and closes its sockets.
pub struct Tunnel {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
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
        let mut sockets = Vec::new();
        for address in &options.listen {
            let socket = Underlay::bind(*address).map_err(|source| TunnelError::Listen {
                address: *address,
                source,
            })?;
            sockets.push(socket);
        }
        let local = sockets.iter().map(Underlay::local).collect();
        let shared = Arc::new(Shared {
            commands: Mutex::new(Some(VecDeque::new())),
            wake: eventfd().map_err(TunnelError::Start)?,
            device_mtus: Mutex::new(BTreeMap::new()),
        });
        let mut entropy = [0; 8];
        fill_random(&mut entropy);
        let engine = Engine::new(
            &options.private_key,
            options.keepalive,
            u64::from_ne_bytes(entropy),
            Instant::now(),
        );
        let worker = Worker::new(engine, sockets, shared.clone(), options.on_event)
            .map_err(TunnelError::Start)?;
        let thread = std::thread::Builder::new()
            .name("tunnel-engine".to_owned())
            .spawn(move || {
                let _closing = Closing(worker.shared.clone());
                worker.run();
            })
            .map_err(TunnelError::Start)?;
        Ok(Tunnel {
            shared,
            thread: Some(thread),
            local,
        })
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
        let (sender, receiver) = sync_channel(1);
        self.shared.send(Command::Status(sender));
        receiver.recv().unwrap_or_default()
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
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!(
                "the forwarding engine had panicked; restart the gateway and report it"
            );
        }
    }
}

impl Shared {
    fn send(&self, command: Command) {
        // A command that nobody will take is dropped, and with it what its caller waits on.
        if let Some(commands) = lock(&self.commands).as_mut() {
            commands.push_back(command);
        }
        let one = 1u64.to_ne_bytes();
        // SAFETY: the pointer and the length describe `one`.
        unsafe { libc::write(self.wake.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }
}

// Refuses commands from the end of the engine's thread on, also when it panicked.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        *lock(&self.0.commands) = None;
    }
}

// The values behind these locks are whole at every point, also after a panic elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker {
    engine: Engine,
    sockets: Vec<Underlay>,
    devices: BTreeMap<VpcId, (u64, Device)>,
    device_by_token: BTreeMap<u64, VpcId>,
    next_token: u64,
    epoll: OwnedFd,
    shared: Arc<Shared>,
    on_event: Box<dyn Fn(TunnelEvent) + Send + Sync>,
    outbox: Outbox,
    buffers: ReceiveBuffers,
    frame: Vec<u8>,
    io: IoStatus,
    next_mtu: Instant,
}

impl Worker {
    fn new(
        engine: Engine,
        sockets: Vec<Underlay>,
        shared: Arc<Shared>,
        on_event: Box<dyn Fn(TunnelEvent) + Send + Sync>,
    ) -> io::Result<Worker> {
        // SAFETY: no pointers; the descriptor is checked before it is owned.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: just opened and owned by nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        watch(&epoll, shared.wake.as_raw_fd(), WAKE_TOKEN)?;
        for (index, socket) in sockets.iter().enumerate() {
            watch(&epoll, socket.fd(), index as u64 + 1)?;
        }
        Ok(Worker {
            engine,
            sockets,
            devices: BTreeMap::new(),
            device_by_token: BTreeMap::new(),
            next_token: DEVICE_TOKENS,
            epoll,
            shared,
            on_event,
            outbox: Outbox::default(),
            buffers: ReceiveBuffers::new(),
            frame: vec![0; FRAME_BYTES],
            io: IoStatus::default(),
            next_mtu: Instant::now() + MTU_EVERY,
        })
    }

    fn run(mut self) {
        // The default slack of 50 us would delay every departure of the shaper.
        // SAFETY: no pointers.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
        // A thread that waits for a busy host's other work for longer than the shaper's bucket lasts
        // cannot keep a cap full. Without CAP_SYS_NICE the priority stays as it is.
        // SAFETY: no pointers; 0 is the calling thread.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, ENGINE_NICENESS) };
        let mut ready = Vec::with_capacity(EVENTS);
        loop {
            let deadline = self.engine.next_deadline().min(self.next_mtu);
            let timeout = deadline.saturating_duration_since(Instant::now());
            wait(&self.epoll, timeout, &mut ready);
            for token in &ready {
                match *token {
                    WAKE_TOKEN => {
                        if self.obey().is_break() {
                            return;
                        }
                    }
                    token if token >= DEVICE_TOKENS => self.read_device(token),
                    token => self.receive(token as usize - 1),
                }
            }
            let now = Instant::now();
            self.engine.on_time(now, &mut self.outbox);
            self.send_out();
            if self.engine.take_endpoints_changed() || now >= self.next_mtu {
                self.next_mtu = now + MTU_EVERY;
                self.refresh_mtus();
            }
        }
    }

    fn obey(&mut self) -> std::ops::ControlFlow<()> {
        let mut count = [0u8; 8];
        // SAFETY: the pointer and the length describe `count`.
        unsafe {
            libc::read(
                self.shared.wake.as_raw_fd(),
                count.as_mut_ptr().cast(),
                count.len(),
            )
        };
        loop {
            let command = lock(&self.shared.commands)
                .as_mut()
                .and_then(VecDeque::pop_front);
            let Some(command) = command else {
                return std::ops::ControlFlow::Continue(());
            };
            // A caller that no longer waits is no error.
            match command {
                Command::Configure(desired, done) => {
                    let _ = done.send(self.configure(&desired));
                }
                Command::Status(done) => {
                    let mut status = self.engine.status(Instant::now());
                    status.io = self.io;
                    let _ = done.send(status);
                }
                Command::Stop => return std::ops::ControlFlow::Break(()),
            }
        }
    }

    fn configure(&mut self, desired: &TunnelDesired) -> Result<(), TunnelError> {
        let result = self.replace_devices(&desired.devices);
        let engine_desired = EngineDesired {
            slice: desired.slice.clone(),
            endpoints: desired.endpoints.clone(),
            devices: self.devices.keys().copied().collect(),
        };
        self.engine
            .configure(&engine_desired, Instant::now(), &mut self.outbox);
        self.engine.take_endpoints_changed();
        self.refresh_mtus();
        self.send_out();
        result
    }

    fn replace_devices(
        &mut self,
        wanted: &BTreeMap<VpcId, Arc<OwnedFd>>,
    ) -> Result<(), TunnelError> {
        let gone: Vec<VpcId> = self
            .devices
            .iter()
            .filter(|(vpc, (_, device))| {
                wanted
                    .get(vpc)
                    .is_none_or(|fd| !Arc::ptr_eq(fd, device.fd()))
            })
            .map(|(vpc, _)| *vpc)
            .collect();
        for vpc in gone {
            self.forget_device(vpc);
        }
        let mut result = Ok(());
        for (vpc, fd) in wanted {
            if self.devices.contains_key(vpc) {
                continue;
            }
            let token = self.next_token;
            self.next_token += 1;
            let added = Device::new(fd.clone())
                .and_then(|device| watch(&self.epoll, fd.as_raw_fd(), token).map(|()| device));
            match added {
                Ok(device) => {
                    self.devices.insert(*vpc, (token, device));
                    self.device_by_token.insert(token, *vpc);
                }
                Err(source) => result = Err(TunnelError::Device { vpc: *vpc, source }),
            }
        }
        result
    }

    fn forget_device(&mut self, vpc: VpcId) {
        let Some((token, device)) = self.devices.remove(&vpc) else {
            return;
        };
        self.device_by_token.remove(&token);
        // SAFETY: the descriptor is open as long as `device` lives; no event is needed to remove.
        unsafe {
            libc::epoll_ctl(
                self.epoll.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                device.fd().as_raw_fd(),
                std::ptr::null_mut(),
            )
        };
    }

    fn read_device(&mut self, token: u64) {
        let Some(vpc) = self.device_by_token.get(&token).copied() else {
            return;
        };
        for _ in 0..READS_PER_TURN {
            let Some((_, device)) = self.devices.get(&vpc) else {
                return;
            };
            match device.read(&mut self.frame) {
                Ok(Some(length)) => {
                    let frame = &mut self.frame[..length];
                    let now = Instant::now();
                    let segments = self.engine.from_tun(vpc, frame, now, &mut self.outbox);
                    self.io.tun_reads += 1;
                    self.io.tun_read_segments += segments as u64;
                }
                Ok(None) => break,
                Err(error) => {
                    // Left registered, it would wake the loop for ever.
                    tracing::warn!(%vpc, %error, "the TUN queue is gone; not read any more");
                    self.forget_device(vpc);
                    break;
                }
            }
            if self.outbox.underlay_bytes().len() >= BYTES_PER_FLUSH {
                self.send_out();
            }
        }
        self.send_out();
    }

    fn receive(&mut self, index: usize) {
        for _ in 0..RECEIVES_PER_TURN {
            let now = Instant::now();
            let (engine, outbox, io) = (&mut self.engine, &mut self.outbox, &mut self.io);
            let received = self.sockets[index].receive(&mut self.buffers, |message| {
                io.udp_receives += 1;
                for datagram in message.bytes.chunks(message.segment) {
                    io.udp_receive_datagrams += 1;
                    engine.from_underlay(message.source, message.ecn, datagram, now, outbox);
                }
            });
            self.send_out();
            match received {
                // Errors here are ICMP errors that other sends caused; the next call is fresh.
                Err(_) | Ok(0) => return,
                Ok(_) => {}
            }
        }
    }

    fn send_out(&mut self) {
        self.engine.flush(&mut self.outbox);
        for run in &self.outbox.runs {
            let v6 = run.destination.is_ipv6();
            let socket = self
                .sockets
                .iter_mut()
                .find(|socket| socket.local().is_ipv6() == v6);
            let Some(socket) = socket else {
                self.engine
                    .count_io_drop(Cause::UnderlaySend, run.count as u64);
                continue;
            };
            let sent = socket.send(run, &self.outbox.underlay_bytes()[run.range.clone()]);
            self.io.udp_sends += sent.sends;
            self.io.udp_send_segments += sent.datagrams;
            self.engine.count_io_drop(Cause::UnderlaySend, sent.dropped);
        }
        for delivery in &self.outbox.deliveries {
            let frame = &self.outbox.device_bytes()[delivery.range.clone()];
            let written = self
                .devices
                .get(&delivery.vpc)
                .map(|(_, device)| device.write(frame));
            if !matches!(written, Some(Ok(()))) {
                self.engine
                    .count_io_drop(Cause::DeviceWrite, delivery.count as u64);
            }
        }
        for event in &self.outbox.events {
            (self.on_event)(*event);
        }
        self.outbox.clear();
    }

    fn refresh_mtus(&mut self) {
        let endpoints: Vec<_> = self.engine.endpoints().collect();
        for (gateway, endpoint) in endpoints {
            // Without a route the last known MTU stays.
            if let Ok(mtu) = path_mtu(endpoint) {
                self.engine.set_underlay_mtu(gateway, mtu, Instant::now());
            }
        }
        *lock(&self.shared.device_mtus) = self.engine.device_mtus();
    }
}

fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is checked before it is owned.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: just opened and owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn watch(epoll: &OwnedFd, fd: RawFd, token: u64) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: token,
    };
    // SAFETY: the kernel copies the event during the call.
    check(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) })
        .map(drop)
}

// epoll_pwait2 (Linux 5.11) takes nanoseconds; epoll_wait's milliseconds are too coarse for caps.
fn wait(epoll: &OwnedFd, timeout: Duration, tokens: &mut Vec<u64>) {
    tokens.clear();
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(timeout.subsec_nanos()),
    };
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    // SAFETY: the kernel writes at most EVENTS events; no signal mask is given.
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            EVENTS as libc::c_int,
            &raw const timeout,
            std::ptr::null::<libc::sigset_t>(),
            0usize,
        )
    };
    let count = usize::try_from(count).unwrap_or(0);
    tokens.extend(events[..count].iter().map(|event| event.u64));
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
                on_event: Box::new(|_| {}),
            })
        };
        let first = start("127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = first.local_addresses()[0];
        let error = start(taken).err().unwrap();
        assert!(matches!(error, TunnelError::Listen { address, .. } if address == taken));
    }
}
