//! A running tunnel with all its workers, whose device and socket are in memory: no root, no kernel,
//! and what leaves is checked for order. The other gateway is an engine behind the socket.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{OwnedFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{PeeringSpec, engine_options, gateway_id, pair_slice, tcp_packet};
use crate::engine::{Engine, EngineDesired};
use crate::gso::{VNET_HEADER, VnetHeader};
use crate::inbox::Inbox;
use crate::outbox::{Outbox, Run};
use crate::poll::Waker;
use crate::ports::{Queue, Received, Sent, Socket};
use crate::probe::{Probe, ProbeKind};
use crate::session::transport;
use crate::{Tunnel, TunnelDesired, TunnelOptions};

const MSS: usize = 1350;
const SEGMENTS: usize = 47;
const MESSAGES: usize = 8;
const MESSAGE_BYTES: usize = 1 << 16;
const PROBE: Probe = Probe {
    kind: ProbeKind::Request,
    sequence: 0,
};
const PATIENCE: Duration = Duration::from_secs(60);

/// The tunnel, established with its peer.
pub struct MemoryTunnel {
    tunnel: Tunnel,
    memory: Arc<Memory>,
}

struct Memory {
    socket: Waker,
    queue: Waker,
    state: Mutex<State>,
    done: Condvar,
}

struct State {
    peer: Engine,
    outbox: Outbox,
    // Messages on their way to the tunnel, with the size of their datagrams.
    arriving: VecDeque<(usize, Vec<u8>)>,
    // Freed when nobody measures.
    arrived: Vec<Vec<u8>>,
    frame: Vec<u8>,
    frames_left: usize,
    sequence: u32,
    // Sealed packets that left; the peer gets them only while `is_listening`.
    sent: usize,
    last_counter: Option<u64>,
    is_listening: bool,
    // Segments that reached the device, and the sequence number that the next has to have.
    delivered: usize,
    expected: u32,
    // At which count somebody waits.
    wanted: (usize, usize),
}

/// What went through, and how long it took.
#[derive(Debug, Clone, Copy)]
pub struct Passed {
    /// Whole packets.
    pub packets: usize,
    /// From the first to the last.
    pub time: Duration,
}

impl MemoryTunnel {
    /// Starts a tunnel with so many workers, and waits for its session.
    ///
    /// # Panics
    /// When there is none within a minute.
    pub fn new(workers: usize) -> MemoryTunnel {
        let spec = PeeringSpec::default();
        let memory = Arc::new(Memory::new(&spec));
        let options = TunnelOptions {
            private_key: engine_options(0, 0).private_key,
            listen: vec![address(0)],
            keepalive: None,
            workers,
            on_event: Box::new(|_| {}),
        };
        let device = memory.clone();
        let open = move |_| -> io::Result<Arc<dyn Queue>> { Ok(device.clone()) };
        let socket: Box<dyn Socket> = Box::new(memory.clone());
        let tunnel = Tunnel::run(options, vec![socket], Box::new(open)).expect("workers start");
        let unused = std::fs::File::open("/dev/null").expect("there is one");
        let desired = TunnelDesired {
            slice: Arc::new(pair_slice(0, &[spec])),
            endpoints: [(gateway_id(1), address(1))].into(),
            devices: [(spec.vpc(0), Arc::new(OwnedFd::from(unused)))].into(),
        };
        tunnel.configure(desired).expect("all of it can be used");
        let begin = Instant::now();
        while tunnel.status().gateways[&gateway_id(1)]
            .last_handshake
            .is_none()
        {
            assert!(begin.elapsed() < PATIENCE, "no handshake");
            std::thread::yield_now();
        }
        MemoryTunnel { tunnel, memory }
    }

    /// A host sends super-packets of one TCP flow as fast as they are read.
    ///
    /// # Panics
    /// When a message leaves out of order, or not all do within a minute.
    pub fn send(&self, super_packets: usize) -> Passed {
        let begin = Instant::now();
        let mut state = self.memory.state();
        state.is_listening = false;
        state.frames_left = super_packets;
        state.wanted = (state.sent + super_packets * SEGMENTS, usize::MAX);
        self.memory.queue.wake();
        let state = self.memory.wait(state);
        drop(state);
        Passed {
            packets: super_packets * SEGMENTS,
            time: begin.elapsed(),
        }
    }

    /// The peer sends super-packets of one TCP flow, which arrive as fast as they are received.
    ///
    /// # Panics
    /// When a segment reaches the device out of order, or not all do within a minute.
    pub fn receive(&self, super_packets: usize) -> Passed {
        let mut state = self.memory.state();
        let spec = PeeringSpec::default();
        for _ in 0..super_packets {
            let mut frame = super_packet(B, A, state.sequence);
            state.sequence = state.sequence.wrapping_add((MSS * SEGMENTS) as u32);
            let State { peer, outbox, .. } = &mut *state;
            let now = Instant::now();
            peer.from_tun(spec.vpc(1), &mut frame, now, outbox);
            // Something to be answered from the same batch.
            let gateway = &mut peer.gateways[0];
            let path = gateway.pair_path(peer.overlay);
            gateway.send_probe(&path, PROBE, now, outbox);
        }
        state.dispatch();
        state.wanted = (usize::MAX, state.delivered + super_packets * SEGMENTS);
        let begin = Instant::now();
        self.memory.socket.wake();
        let mut state = self.memory.wait(state);
        let time = begin.elapsed();
        state.arrived.clear();
        Passed {
            packets: super_packets * SEGMENTS,
            time,
        }
    }

    /// Stops it, and waits for its workers.
    pub fn stop(self) {
        self.tunnel.stop();
    }
}

const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
const B: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 5);

fn address(end: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, end + 1], 51820))
}

fn super_packet(source: Ipv4Addr, destination: Ipv4Addr, sequence: u32) -> Vec<u8> {
    let vnet = VnetHeader::tcp_super_packet(20, 40, MSS);
    let payload = vec![7; MSS * SEGMENTS];
    let mut frame = vnet.to_bytes().to_vec();
    frame.extend(tcp_packet(source, destination, sequence, 0x10, &payload));
    frame
}

impl Memory {
    fn new(spec: &PeeringSpec) -> Memory {
        let now = Instant::now();
        let slice = pair_slice(1, std::slice::from_ref(spec));
        let desired = EngineDesired {
            devices: slice.vpcs.keys().copied().collect(),
            slice: Arc::new(slice),
            endpoints: Default::default(),
        };
        let mut peer = Engine::new(&engine_options(1, 0), now);
        peer.configure(&desired, now, &mut Outbox::default());
        Memory {
            socket: Waker::new().expect("a descriptor"),
            queue: Waker::new().expect("a descriptor"),
            state: Mutex::new(State {
                peer,
                outbox: Outbox::default(),
                arriving: VecDeque::new(),
                arrived: Vec::new(),
                frame: super_packet(A, B, 0),
                frames_left: 0,
                sequence: 0,
                sent: 0,
                last_counter: None,
                is_listening: true,
                delivered: 0,
                expected: 0,
                wanted: (usize::MAX, usize::MAX),
            }),
            done: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let (state, timeout) = self
            .done
            .wait_timeout_while(state, PATIENCE, |state| !state.is_done())
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "not everything passes");
        state
    }
}

impl State {
    fn is_done(&self) -> bool {
        self.sent >= self.wanted.0 || self.delivered >= self.wanted.1
    }

    // Sends what the peer has to say.
    fn dispatch(&mut self) {
        self.outbox.seal();
        for run in &self.outbox.runs {
            let bytes = self.outbox.underlay_bytes()[run.range.clone()].to_vec();
            self.arriving.push_back((run.segment, bytes));
        }
        self.outbox.clear();
    }

    // The peer hears a datagram that is no packet, or one while it listens.
    fn hear(&mut self, datagram: &[u8]) {
        let now = Instant::now();
        self.peer
            .from_underlay(address(0), 0, datagram, now, &mut self.outbox);
        self.dispatch();
    }
}

impl Queue for Memory {
    fn fd(&self) -> RawFd {
        self.queue.fd()
    }

    fn read(&self, frame: &mut [u8]) -> io::Result<Option<usize>> {
        let mut state = self.state();
        if state.frames_left == 0 {
            self.queue.rest();
            return Ok(None);
        }
        state.frames_left -= 1;
        let length = state.frame.len();
        frame[..length].copy_from_slice(&state.frame);
        Ok(Some(length))
    }

    fn write(&self, frame: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let (_, packet) = frame.split_at(VNET_HEADER);
        let segments = (packet.len() - 40).div_ceil(MSS);
        let sequence = u32::from_be_bytes([packet[24], packet[25], packet[26], packet[27]]);
        assert_eq!(sequence, state.expected, "segments come in order");
        state.expected = sequence.wrapping_add((packet.len() - 40) as u32);
        state.delivered += segments;
        if state.is_done() {
            self.done.notify_all();
        }
        Ok(())
    }
}

impl Socket for Arc<Memory> {
    fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    fn local(&self) -> SocketAddr {
        address(0)
    }

    fn send(&self, run: &Run, bytes: &[u8]) -> Sent {
        let mut state = self.state();
        for datagram in bytes.chunks(run.segment) {
            let sealed = transport::parse(datagram);
            if let Some((_, counter)) = sealed {
                assert!(
                    state.last_counter.is_none_or(|last| counter == last + 1),
                    "messages leave in order: {counter} after {:?}",
                    state.last_counter
                );
                state.last_counter = Some(counter);
            }
            if sealed.is_some() && datagram.len() > MSS {
                state.sent += 1;
            }
            if sealed.is_none() || state.is_listening {
                state.hear(datagram);
            }
        }
        if !state.arriving.is_empty() {
            self.socket.wake();
        }
        if state.is_done() {
            self.done.notify_all();
        }
        Sent {
            sends: 1,
            datagrams: run.count as u64,
            dropped: 0,
        }
    }

    fn receive(&self, inbox: &mut Inbox) -> io::Result<Received> {
        let mut received = Received::default();
        let mut ranges = Vec::with_capacity(MESSAGES);
        let room = inbox.room(MESSAGES * MESSAGE_BYTES);
        for (at, room) in room.chunks_exact_mut(MESSAGE_BYTES).enumerate() {
            // Nothing else waits for a copy, as nothing waits for the kernel's.
            let mut state = self.state();
            let Some((segment, bytes)) = state.arriving.pop_front() else {
                self.socket.rest();
                break;
            };
            drop(state);
            room[..bytes.len()].copy_from_slice(&bytes);
            let start = at * MESSAGE_BYTES;
            ranges.push((segment, start..start + bytes.len()));
            self.state().arrived.push(bytes);
        }
        for (segment, range) in ranges {
            received.messages += 1;
            received.datagrams += inbox.push(address(1), 0, segment, range);
        }
        Ok(received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_keep_the_order_both_ways() {
        for workers in [1, 2, 4] {
            let tunnel = MemoryTunnel::new(workers);
            for _ in 0..3 {
                assert_eq!(tunnel.send(200).packets, 200 * SEGMENTS);
                assert_eq!(tunnel.receive(100).packets, 100 * SEGMENTS);
            }
            let status = tunnel.tunnel.status();
            assert!(status.drops.is_empty(), "{:?}", status.drops);
            tunnel.stop();
        }
    }
}
