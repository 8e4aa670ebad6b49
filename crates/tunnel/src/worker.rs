//! The workers: threads that divide the work of one engine.
//!
//! One of them leads: it waits for input, reads a batch, and lets the engine decide on it under the
//! engine's lock. A batch that is worth it passes the lead on, and is sealed or opened while the next
//! leader reads. What comes of batches leaves in the order in which they were read ([`Turns`]), so no
//! flow is ever reordered, whichever worker had it, and one flow alone can use every core.
//!
//! ```text
//!   out of a VPC:  [lead: read TUN] [engine: route, cap, frame] | seal | [turn: send]
//!   into a VPC:    [lead: receive]  [engine: which key]         | open | [turn: engine: checks] | join | [turn: write TUN]
//! ```
//!
//! With one worker the same happens without anybody to wait for. This module and [`crate::runtime`]
//! read the clock; nothing else does.

use std::collections::BTreeMap;
use std::io;
use std::ops::{ControlFlow, Range};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use model::VpcId;

use crate::TunnelEvent;
use crate::counters::Drop as Cause;
use crate::engine::{Engine, EngineDesired};
use crate::error::TunnelError;
use crate::inbox::Inbox;
use crate::outbox::Outbox;
use crate::poll::Poll;
use crate::ports::{Queue, Socket};
use crate::runtime::{Command, Shared, TunnelDesired};
use crate::status::{IoCounters, TunnelStatus};
use crate::turn::{SPINS, Ticket, Turns};
use crate::udp::path_mtu;

const MTU_EVERY: Duration = Duration::from_secs(5);
const FRAME_BYTES: usize = (1 << 16) + 64;
// What is read in one go, whatever more there is.
const READS_PER_BATCH: usize = 32;
const BYTES_PER_BATCH: usize = 128 << 10;
// Sealing or opening this much takes longer than waking somebody.
const HAND_OVER_BYTES: usize = 32 << 10;
const ENGINE_NICENESS: libc::c_int = -10;
// About as long as a batch has the engine for itself.
const PEERINGS_PER_LOOK: usize = 32;
const WAKE_TOKEN: u64 = 0;
const DEVICE_TOKENS: u64 = 1 << 32;

/// What all workers of a tunnel share.
pub(crate) struct Crew {
    size: usize,
    state: Mutex<State>,
    input: Mutex<Input>,
    outward: Turns,
    inward: Turns,
    delivery: Turns,
    sockets: Vec<Box<dyn Socket>>,
    open: OpenQueue,
    devices: RwLock<BTreeMap<VpcId, Arc<dyn Queue>>>,
    shared: Arc<Shared>,
    on_event: Box<dyn Fn(TunnelEvent) + Send + Sync>,
    io: IoCounters,
    stopped: AtomicBool,
    // The leader waits for input.
    sleeping: AtomicBool,
}

struct State {
    engine: Engine,
    // Until when the leader sleeps, or slept last.
    sleeps_until: Option<Instant>,
}

// What belongs to whoever leads.
struct Input {
    poll: Poll,
    ready: Vec<u64>,
    devices: BTreeMap<u64, Opened>,
    next_token: u64,
    next_mtu: Instant,
}

// A device, and what it was made of.
#[derive(Clone)]
struct Opened {
    vpc: VpcId,
    fd: Arc<OwnedFd>,
    queue: Arc<dyn Queue>,
}

/// Makes a queue of what the gateway hands in for a VPC.
pub(crate) type OpenQueue = Box<dyn Fn(Arc<OwnedFd>) -> io::Result<Arc<dyn Queue>> + Send + Sync>;

// What a worker works on.
struct Desk {
    outbox: Outbox,
    inbox: Inbox,
    frames: Vec<u8>,
    read: Vec<Range<usize>>,
}

type Lead<'a> = MutexGuard<'a, Input>;
// What a worker that led still has of the lead; or it is to end.
type Led<'a> = ControlFlow<(), Option<Lead<'a>>>;

impl Crew {
    pub(crate) fn new(
        size: usize,
        engine: Engine,
        sockets: Vec<Box<dyn Socket>>,
        open: OpenQueue,
        shared: Arc<Shared>,
        on_event: Box<dyn Fn(TunnelEvent) + Send + Sync>,
    ) -> io::Result<Crew> {
        let poll = Poll::new()?;
        poll.add(shared.waker.fd(), WAKE_TOKEN)?;
        for (index, socket) in sockets.iter().enumerate() {
            poll.add(socket.fd(), index as u64 + 1)?;
        }
        Ok(Crew {
            size,
            state: Mutex::new(State {
                engine,
                sleeps_until: None,
            }),
            input: Mutex::new(Input {
                poll,
                ready: Vec::new(),
                devices: BTreeMap::new(),
                next_token: DEVICE_TOKENS,
                next_mtu: Instant::now() + MTU_EVERY,
            }),
            outward: Turns::default(),
            inward: Turns::default(),
            delivery: Turns::default(),
            sockets,
            open,
            devices: RwLock::default(),
            shared,
            on_event,
            io: IoCounters::default(),
            stopped: AtomicBool::new(false),
            sleeping: AtomicBool::new(false),
        })
    }

    /// Works until the crew is stopped.
    pub(crate) fn work(&self) {
        let _closing = Closing(self);
        // The default slack of 50 us would delay every departure of the shaper.
        // SAFETY: no pointers.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
        // A thread that waits for a busy host's other work for longer than the shaper's bucket lasts
        // cannot keep a cap full. Without CAP_SYS_NICE the priority stays as it is.
        // SAFETY: no pointers; 0 is the calling thread.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, ENGINE_NICENESS) };
        let mut desk = Desk {
            outbox: Outbox::default(),
            inbox: Inbox::default(),
            frames: vec![0; BYTES_PER_BATCH + FRAME_BYTES],
            read: Vec::with_capacity(READS_PER_BATCH),
        };
        let mut kept = None;
        loop {
            // Given back only with a batch that is worth it: each time somebody is woken by it.
            let Some(lead) = kept.take().or_else(|| self.wait_for_lead()) else {
                return;
            };
            if self.stopped.load(Ordering::Acquire) {
                return;
            }
            match self.lead(lead, &mut desk) {
                ControlFlow::Continue(lead) => kept = lead,
                ControlFlow::Break(()) => return,
            }
        }
    }

    // A leader at work passes the lead on soon; one that sleeps does not.
    fn wait_for_lead(&self) -> Option<Lead<'_>> {
        for _ in 0..SPINS {
            match self.input.try_lock() {
                Ok(lead) => return Some(lead),
                // A leader that panicked has closed the crew.
                Err(TryLockError::Poisoned(_)) => return None,
                Err(TryLockError::WouldBlock) if self.sleeping.load(Ordering::Relaxed) => break,
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
        self.input.lock().ok()
    }

    fn lead<'a>(&'a self, mut lead: Lead<'a>, desk: &mut Desk) -> Led<'a> {
        match lead.ready.pop() {
            None => self.pass_time(lead, desk),
            Some(WAKE_TOKEN) => self.obey(lead, desk),
            Some(token) if token >= DEVICE_TOKENS => self.send_batch(lead, token, desk),
            Some(token) => self.receive_batch(lead, token as usize - 1, desk),
        }
    }

    // Does what is due, or else sleeps until something is.
    fn pass_time<'a>(&'a self, mut lead: Lead<'a>, desk: &mut Desk) -> Led<'a> {
        let now = Instant::now();
        let mut state = self.state();
        state.engine.on_time(now, &mut desk.outbox);
        let endpoints_changed = state.engine.take_endpoints_changed();
        let deadline = state.engine.next_deadline().min(lead.next_mtu);
        let ticket = (!desk.outbox.is_empty()).then(|| self.outward.draw());
        state.sleeps_until = Some(deadline);
        // Under the lock: whoever makes something due earlier knows whether to wake us.
        self.sleeping.store(ticket.is_none(), Ordering::Relaxed);
        drop(state);
        if endpoints_changed || now >= lead.next_mtu {
            lead.next_mtu = now + MTU_EVERY;
            self.refresh_mtus();
        }
        if let Some(ticket) = ticket {
            return self.send_out(Some(lead), ticket, desk);
        }
        let Input { poll, ready, .. } = &mut *lead;
        poll.wait(deadline.saturating_duration_since(Instant::now()), ready);
        self.sleeping.store(false, Ordering::Relaxed);
        ControlFlow::Continue(Some(lead))
    }

    fn send_batch<'a>(&'a self, mut lead: Lead<'a>, token: u64, desk: &mut Desk) -> Led<'a> {
        let Some(Opened { vpc, queue, .. }) = lead.devices.get(&token).cloned() else {
            return ControlFlow::Continue(Some(lead));
        };
        if let Err(error) = desk.read(&*queue) {
            // Left registered, it would wake the leader for ever.
            tracing::warn!(%vpc, %error, "the TUN queue is gone; not read any more");
            self.forget_device(&mut lead, token);
        }
        if desk.read.is_empty() {
            return ControlFlow::Continue(Some(lead));
        }
        let (now, mut segments) = (Instant::now(), 0);
        let mut state = self.state();
        for range in &desk.read {
            let frame = &mut desk.frames[range.clone()];
            segments += state.engine.from_tun(vpc, frame, now, &mut desk.outbox);
        }
        let ticket = self.outward.draw();
        self.wake_if_earlier(&mut state);
        drop(state);
        self.io.count_reads(desk.read.len(), segments);
        self.send_out(Some(lead), ticket, desk)
    }

    fn receive_batch<'a>(&'a self, lead: Lead<'a>, socket: usize, desk: &mut Desk) -> Led<'a> {
        desk.inbox.clear();
        // Errors here are ICMP errors that other sends caused; the next call is fresh.
        let received = self.sockets[socket]
            .receive(&mut desk.inbox)
            .unwrap_or_default();
        if received.messages == 0 {
            return ControlFlow::Continue(Some(lead));
        }
        self.io.count_receives(&received);
        self.state().engine.look_up(&mut desk.inbox);
        let ticket = self.inward.draw();
        let lead = self.hand_over(Some(lead), desk.inbox.bytes());
        desk.inbox.open();
        let Some(turn) = self.inward.wait(ticket) else {
            return ControlFlow::Break(());
        };
        let mut state = self.state();
        state
            .engine
            .take(&mut desk.inbox, Instant::now(), &mut desk.outbox);
        let answers = (!desk.outbox.runs.is_empty()).then(|| self.outward.draw());
        let delivery = self.delivery.draw();
        self.wake_if_earlier(&mut state);
        drop(state);
        drop(turn);
        desk.inbox.deliver(&mut desk.outbox);
        desk.outbox.deliveries();
        let Some(turn) = self.delivery.wait(delivery) else {
            return ControlFlow::Break(());
        };
        self.deliver(&mut desk.outbox);
        drop(turn);
        match answers {
            Some(ticket) => self.send_out(lead, ticket, desk),
            None => {
                desk.outbox.clear();
                ControlFlow::Continue(lead)
            }
        }
    }

    // Keeps the lead only with little to do.
    fn hand_over<'a>(&self, lead: Option<Lead<'a>>, bytes: usize) -> Option<Lead<'a>> {
        lead.filter(|_| self.size == 1 || bytes < HAND_OVER_BYTES)
    }

    fn send_out<'a>(&'a self, lead: Option<Lead<'a>>, ticket: Ticket, desk: &mut Desk) -> Led<'a> {
        let lead = self.hand_over(lead, desk.outbox.unsealed_bytes());
        desk.outbox.seal();
        let Some(turn) = self.outward.wait(ticket) else {
            return ControlFlow::Break(());
        };
        self.send(&desk.outbox);
        self.deliver(&mut desk.outbox);
        drop(turn);
        desk.outbox.clear();
        ControlFlow::Continue(lead)
    }

    fn send(&self, outbox: &Outbox) {
        for run in &outbox.runs {
            let v6 = run.destination.is_ipv6();
            let socket = self
                .sockets
                .iter()
                .find(|socket| socket.local().is_ipv6() == v6);
            let dropped = match socket {
                Some(socket) => {
                    let sent = socket.send(run, &outbox.underlay_bytes()[run.range.clone()]);
                    self.io.count_sends(&sent);
                    sent.dropped
                }
                None => run.count as u64,
            };
            self.count_drops(Cause::UnderlaySend, dropped);
        }
    }

    fn deliver(&self, outbox: &mut Outbox) {
        let deliveries = outbox.deliveries();
        if deliveries.iter().len() > 0 {
            let devices = self.devices.read().unwrap_or_else(PoisonError::into_inner);
            for (delivery, frame) in deliveries.iter() {
                let written = devices.get(&delivery.vpc).map(|device| device.write(frame));
                if !matches!(written, Some(Ok(()))) {
                    self.count_drops(Cause::DeviceWrite, delivery.count as u64);
                }
            }
        }
        outbox.clear_deliveries();
        for event in outbox.events.drain(..) {
            (self.on_event)(event);
        }
    }

    fn count_drops(&self, cause: Cause, packets: u64) {
        if packets > 0 {
            self.state().engine.count_io_drop(cause, packets);
        }
    }

    fn wake_if_earlier(&self, state: &mut State) {
        let is_earlier = |until| state.engine.next_deadline() < until;
        if self.sleeping.load(Ordering::Relaxed) && state.sleeps_until.is_some_and(is_earlier) {
            state.sleeps_until = None;
            self.shared.waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Held for less than it takes to sleep and be woken.
        for _ in 0..SPINS {
            if let Ok(state) = self.state.try_lock() {
                return state;
            }
            std::hint::spin_loop();
        }
        // After a panic the crew is closed, and what the others still do does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A snapshot, taken by the calling thread a few peerings at a time: packets wait for none of it for
    /// longer than for each other. Empty when the crew has stopped.
    pub(crate) fn status(&self) -> TunnelStatus {
        if self.stopped.load(Ordering::Acquire) {
            return TunnelStatus::default();
        }
        loop {
            if let Some(status) = self.look(Instant::now()) {
                return status;
            }
        }
    }

    // `None` when the engine was told to run something else meanwhile.
    fn look(&self, now: Instant) -> Option<TunnelStatus> {
        let state = self.state();
        let configured = state.engine.configured;
        let mut status = state.engine.status_of_gateways(now);
        drop(state);
        status.io = self.io.status();
        for first in (0..).step_by(PEERINGS_PER_LOOK) {
            let state = self.state();
            if state.engine.configured != configured {
                return None;
            }
            let some = state
                .engine
                .status_of_peerings(first, PEERINGS_PER_LOOK, now);
            let before = status.peerings.len();
            status.peerings.extend(some);
            if status.peerings.len() == before {
                break;
            }
        }
        Some(status)
    }

    fn obey<'a>(&'a self, mut lead: Lead<'a>, desk: &mut Desk) -> Led<'a> {
        self.shared.waker.rest();
        while let Some(command) = self.shared.next_command() {
            // A caller that no longer waits is no error.
            match command {
                Command::Configure(desired, done) => {
                    let _ = done.send(self.configure(&mut lead, &desired, desk));
                }
                Command::Stop => {
                    self.stopped.store(true, Ordering::Release);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(Some(lead))
    }

    fn configure(
        &self,
        lead: &mut Lead<'_>,
        desired: &TunnelDesired,
        desk: &mut Desk,
    ) -> Result<(), TunnelError> {
        let result = self.replace_devices(lead, &desired.devices);
        let engine_desired = EngineDesired {
            slice: desired.slice.clone(),
            endpoints: desired.endpoints.clone(),
            devices: lead.devices.values().map(|device| device.vpc).collect(),
        };
        let mut state = self.state();
        let now = Instant::now();
        state
            .engine
            .configure(&engine_desired, now, &mut desk.outbox);
        state.engine.take_endpoints_changed();
        let ticket = self.outward.draw();
        drop(state);
        self.refresh_mtus();
        // What was decided before has left, or reached its device, when the caller hears of this.
        if self.send_out(None, ticket, desk).is_break() {
            return Err(TunnelError::Stopped);
        }
        drop(self.inward.wait(self.inward.draw()));
        drop(self.delivery.wait(self.delivery.draw()));
        result
    }

    fn replace_devices(
        &self,
        lead: &mut Lead<'_>,
        wanted: &BTreeMap<VpcId, Arc<OwnedFd>>,
    ) -> Result<(), TunnelError> {
        let gone: Vec<u64> = lead
            .devices
            .iter()
            .filter(|(_, device)| {
                wanted
                    .get(&device.vpc)
                    .is_none_or(|fd| !Arc::ptr_eq(fd, &device.fd))
            })
            .map(|(token, _)| *token)
            .collect();
        for token in gone {
            self.forget_device(lead, token);
        }
        let mut result = Ok(());
        for (vpc, fd) in wanted {
            if lead.devices.values().any(|device| device.vpc == *vpc) {
                continue;
            }
            let token = lead.next_token;
            lead.next_token += 1;
            let added = (self.open)(fd.clone())
                .and_then(|queue| lead.poll.add(queue.fd(), token).map(|()| queue));
            match added {
                Ok(queue) => {
                    self.write_devices(|devices| devices.insert(*vpc, queue.clone()));
                    let (vpc, fd) = (*vpc, fd.clone());
                    lead.devices.insert(token, Opened { vpc, fd, queue });
                }
                Err(source) => result = Err(TunnelError::Device { vpc: *vpc, source }),
            }
        }
        result
    }

    fn forget_device(&self, lead: &mut Lead<'_>, token: u64) {
        if let Some(device) = lead.devices.remove(&token) {
            lead.poll.remove(device.queue.fd());
            self.write_devices(|devices| devices.remove(&device.vpc));
        }
    }

    fn write_devices(
        &self,
        change: impl FnOnce(&mut BTreeMap<VpcId, Arc<dyn Queue>>) -> Option<Arc<dyn Queue>>,
    ) {
        let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut devices);
    }

    fn refresh_mtus(&self) {
        let endpoints: Vec<_> = self.state().engine.endpoints().collect();
        for (gateway, endpoint) in endpoints {
            // Without a route the last known MTU stays.
            if let Ok(mtu) = path_mtu(endpoint) {
                let mut state = self.state();
                state.engine.set_underlay_mtu(gateway, mtu, Instant::now());
            }
        }
        let mtus = self.state().engine.device_mtus();
        self.shared.set_device_mtus(mtus);
    }
}

// Ends the whole crew with its first worker that ends, also when it panicked.
struct Closing<'a>(&'a Crew);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Release);
        self.0.shared.close();
        // Somebody may sleep with the lead.
        self.0.shared.waker.wake();
        if std::thread::panicking() {
            self.0.outward.close();
            self.0.inward.close();
            self.0.delivery.close();
        }
    }
}

impl Desk {
    // Reads frames until there is none, or a batch is full. What was read before an error counts.
    fn read(&mut self, queue: &dyn Queue) -> io::Result<()> {
        self.read.clear();
        let mut end = 0;
        while self.read.len() < READS_PER_BATCH && end < BYTES_PER_BATCH {
            match queue.read(&mut self.frames[end..end + FRAME_BYTES])? {
                Some(length) => self.read.push(end..end + length),
                None => break,
            }
            // Headers stay aligned as they are at the start.
            end = self
                .read
                .last()
                .map_or(0, |range| range.end.next_multiple_of(64));
        }
        Ok(())
    }
}
