//! A small traffic generator: ICMP echo, bulk TCP and a packet counter, each running in a network
//! namespace of its own. The demo and the tests measure with it; nothing else has to be installed.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kernel::netns::Namespace;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

/// What a series of echo requests came to.
#[derive(Debug, Clone)]
pub struct PingResult {
    /// Requests sent.
    pub sent: u32,
    /// Round-trip times of those that were answered, in the order of sending.
    pub rtts: Vec<Duration>,
    /// "Fragmentation needed" messages received: the MTU and who sent it.
    pub too_big: Vec<(u16, Ipv4Addr)>,
}

impl PingResult {
    /// Whether every request was answered.
    pub fn is_complete(&self) -> bool {
        self.rtts.len() == self.sent as usize
    }

    /// The median round-trip time, if any.
    pub fn median(&self) -> Option<Duration> {
        let mut rtts = self.rtts.clone();
        rtts.sort();
        rtts.get(rtts.len() / 2).copied()
    }
}

/// How to ping.
#[derive(Debug, Clone, Copy)]
pub struct Ping<'a> {
    /// Where to.
    pub to: Ipv4Addr,
    /// How many requests.
    pub count: u32,
    /// How long to wait for each answer.
    pub timeout: Duration,
    /// What each request carries after its 8-byte ICMP header.
    pub payload: &'a [u8],
}

impl<'a> Ping<'a> {
    /// A few small requests.
    pub fn to(to: Ipv4Addr) -> Ping<'a> {
        Ping {
            to,
            count: 3,
            timeout: Duration::from_secs(1),
            payload: b"peerway",
        }
    }

    /// Sends the requests from a namespace, one after the other, DF set.
    ///
    /// # Errors
    /// Errors of the socket calls. No answer is not an error.
    pub fn run(self, namespace: &Namespace) -> io::Result<PingResult> {
        namespace.run(|| self.run_here())
    }

    fn run_here(self) -> io::Result<PingResult> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
        set_option(
            &socket,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_PROBE,
        )?;
        let identifier = (std::process::id() as u16) ^ (Instant::now().elapsed().as_nanos() as u16);
        let identifier = identifier ^ rand::random::<u16>();
        let mut result = PingResult {
            sent: 0,
            rtts: Vec::new(),
            too_big: Vec::new(),
        };
        for sequence in 0..self.count {
            let packet = echo_request(identifier, sequence as u16, self.payload);
            let started = Instant::now();
            result.sent += 1;
            // Nothing to send to (no route, administratively prohibited) is a lost request.
            let to = SockAddr::from(SocketAddrV4::new(self.to, 0));
            match socket.send_to(&packet, &to) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => return Err(error),
                Err(_) => {
                    std::thread::sleep(self.timeout.min(Duration::from_millis(100)));
                    continue;
                }
            }
            await_reply(
                &socket,
                identifier,
                sequence as u16,
                started + self.timeout,
                &mut result,
            )?
            .then(|| result.rtts.push(started.elapsed()));
        }
        Ok(result)
    }
}

fn set_option(socket: &Socket, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer and length describe a live i32.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if outcome == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn echo_request(identifier: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0];
    packet.extend(identifier.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(payload);
    let sum = packet.chunks(2).fold(0u32, |sum, pair| {
        sum + u32::from(u16::from_be_bytes([
            pair[0],
            pair.get(1).copied().unwrap_or(0),
        ]))
    });
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    packet[2..4].copy_from_slice(&(!(folded as u16)).to_be_bytes());
    packet
}

// Raw sockets see every ICMP packet of the namespace, so answers to others are passed over.
fn await_reply(
    socket: &Socket,
    identifier: u16,
    sequence: u16,
    deadline: Instant,
    result: &mut PingResult,
) -> io::Result<bool> {
    let mut buffer = [MaybeUninit::<u8>::uninit(); 65536];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        // SAFETY: `recv` initialised the first `length` bytes.
        let packet = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), length) };
        let header = usize::from(packet[0] & 0x0f) * 4;
        let Some(icmp) = packet.get(header..).filter(|icmp| icmp.len() >= 8) else {
            continue;
        };
        if icmp[0] == 3 && icmp[1] == 4 {
            let source = Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15]);
            result
                .too_big
                .push((u16::from_be_bytes([icmp[6], icmp[7]]), source));
            return Ok(false);
        }
        let is_ours = icmp[0] == 0
            && icmp[4..6] == identifier.to_be_bytes()
            && icmp[6..8] == sequence.to_be_bytes();
        if is_ours {
            return Ok(true);
        }
    }
}

/// What a bulk transfer came to, judged at the receiver.
#[derive(Debug, Clone, Copy)]
pub struct BulkResult {
    /// Payload bytes received in the measured time.
    pub payload_bytes: u64,
    /// The bytes of the IP packets that carried them.
    pub ip_bytes: u64,
    /// The measured time.
    pub elapsed: Duration,
}

impl BulkResult {
    /// The rate of IP bytes, in Mbps (10^6 bit/s).
    pub fn ip_mbps(&self) -> f64 {
        self.ip_bytes as f64 * 8e-6 / self.elapsed.as_secs_f64()
    }
}

/// A TCP transfer between two namespaces.
pub struct Bulk<'a> {
    /// The sending host.
    pub from: &'a Namespace,
    /// The receiving host.
    pub to: &'a Namespace,
    /// The receiver's address.
    pub address: Ipv4Addr,
    /// Left out of the measurement, so that slow start and full buffers do not count.
    pub warm_up: Duration,
    /// The measured time.
    pub duration: Duration,
    /// How many connections at once.
    pub streams: u32,
    /// The sender's congestion control; the machine's default when absent.
    pub congestion_control: Option<&'static str>,
}

const SEND_CHUNK: usize = 128 * 1024;

impl Bulk<'_> {
    /// Runs the transfer. Bounded: it ends after warm-up and duration even when nothing passes.
    ///
    /// # Errors
    /// Errors of the socket calls, a connection that is not established within 5 s among them.
    pub fn run(&self) -> io::Result<BulkResult> {
        let listener = self
            .to
            .run(|| TcpListener::bind(SocketAddrV4::new(self.address, 0)))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let received = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        let mut sample = None;
        for _ in 0..self.streams {
            let sender = self.from.run(|| connect(address))?;
            if let Some(name) = self.congestion_control {
                SockRef::from(&sender).set_tcp_congestion(name.as_bytes())?;
            }
            let (receiver, _) = listener.accept()?;
            sample.get_or_insert(receiver.try_clone()?);
            threads.push(spawn_sender(sender, Arc::clone(&stop)));
            threads.push(spawn_receiver(
                receiver,
                Arc::clone(&stop),
                Arc::clone(&received),
            ));
        }
        std::thread::sleep(self.warm_up);
        let (started, before) = (Instant::now(), received.load(Ordering::Relaxed));
        std::thread::sleep(self.duration);
        let (elapsed, after) = (started.elapsed(), received.load(Ordering::Relaxed));
        let segment = sample
            .map_or(Ok(0), |socket| received_segment_size(&socket))?
            .max(1);
        stop.store(true, Ordering::Relaxed);
        for thread in threads {
            let _ = thread.join();
        }
        let payload_bytes = after - before;
        // Every full segment has 20 bytes of IPv4, 20 of TCP and 12 of timestamps around it.
        let ip_bytes = payload_bytes + payload_bytes.div_ceil(segment) * 52;
        Ok(BulkResult {
            payload_bytes,
            ip_bytes,
            elapsed,
        })
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&address, Duration::from_secs(5))
}

fn spawn_sender(mut socket: TcpStream, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let chunk = vec![0x5a; SEND_CHUNK];
        let _ = socket.set_write_timeout(Some(Duration::from_millis(200)));
        while !stop.load(Ordering::Relaxed) {
            match socket.write(&chunk) {
                Ok(_) => {}
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return,
            }
        }
    })
}

fn spawn_receiver(
    mut socket: TcpStream,
    stop: Arc<AtomicBool>,
    received: Arc<AtomicU64>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 256 * 1024];
        let _ = socket.set_read_timeout(Some(Duration::from_millis(200)));
        while !stop.load(Ordering::Relaxed) {
            match socket.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    received.fetch_add(length as u64, Ordering::Relaxed);
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return,
            }
        }
    })
}

/// The payload bytes of a full segment that the receiver has seen, from `TCP_INFO`.
fn received_segment_size(socket: &TcpStream) -> io::Result<u64> {
    // SAFETY: `tcp_info` is plain integers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the pointer and length describe `info`, which outlives the call.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    if outcome != 0 {
        return Err(io::Error::last_os_error());
    }
    // `rcv_mss` may be an estimate of a coalesced packet; the advertised one bounds it.
    Ok(u64::from(info.tcpi_rcv_mss.min(info.tcpi_advmss)))
}

/// Records the IPv4 packets that enter a namespace, ARP left out.
pub struct PacketRecorder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Vec<u8>>>>,
}

impl PacketRecorder {
    /// Starts to record in a namespace, on all of its interfaces.
    ///
    /// # Errors
    /// Errors of the socket calls.
    pub fn start(namespace: &Namespace) -> io::Result<PacketRecorder> {
        let socket = namespace.run(packet_socket)?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || record_packets(&socket, &flag));
        Ok(PacketRecorder {
            stop,
            thread: Some(thread),
        })
    }

    /// Stops and returns the first bytes of every packet, from the IPv4 header on.
    pub fn finish(mut self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().and_then(|thread| thread.join().ok());
        thread.unwrap_or_default()
    }
}

fn packet_socket() -> io::Result<OwnedFd> {
    let protocol = i32::from((libc::ETH_P_IP as u16).to_be());
    // SAFETY: plain system call; the descriptor is owned below.
    let fd = unsafe {
        libc::socket(
            libc::AF_PACKET,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
            protocol,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above returned a new descriptor that nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let socket2 = Socket::from(socket);
    socket2.set_read_timeout(Some(Duration::from_millis(50)))?;
    Ok(socket2.into())
}

fn record_packets(socket: &OwnedFd, stop: &AtomicBool) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut buffer = [0u8; 64];
    loop {
        // Read the flag first, so that what arrived before the stop is still counted.
        let is_last_round = stop.load(Ordering::Relaxed);
        // SAFETY: zero is a value of the plain-integer struct.
        let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: all pointers and lengths describe live buffers.
        let received = unsafe {
            libc::recvfrom(
                socket.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
                (&raw mut from).cast(),
                &raw mut length,
            )
        };
        match usize::try_from(received) {
            Ok(length) if from.sll_pkttype != libc::PACKET_OUTGOING => {
                packets.push(buffer[..length].to_vec());
            }
            Ok(_) => {}
            Err(_) if is_last_round => return packets,
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn echo_requests_have_a_valid_checksum() {
        let packet = echo_request(0x1234, 7, b"odd");
        let sum: u32 = packet
            .chunks(2)
            .map(|pair| {
                u32::from(u16::from_be_bytes([
                    pair[0],
                    pair.get(1).copied().unwrap_or(0),
                ]))
            })
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }

    #[test]
    fn rates_are_decimal_megabits() {
        let result = BulkResult {
            payload_bytes: 0,
            ip_bytes: 2_500_000,
            elapsed: Duration::from_secs(1),
        };
        assert!((result.ip_mbps() - 20.0).abs() < 1e-9);
    }
}
