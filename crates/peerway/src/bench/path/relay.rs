//! A relay that delays and loses frames, where the kernel has no `netem`: two packet sockets on the
//! network's ends, one thread for each direction, one queue in the order of arrival.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use kernel::netns::Namespace;

use super::sockets::{receive, send_all, set};

const FRAME_BYTES: usize = 1600;
const BATCH: usize = 64;
// 20 ms at 10 Gbit/s are 17 000 frames; what stands in a router's queue comes on top.
const QUEUED_FRAMES: usize = 200_000;
const SOCKET_BYTES: libc::c_int = 64 << 20;
const IDLE_WAIT: Duration = Duration::from_millis(20);

/// What the relay does with frames.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    /// How long each frame is kept.
    pub(super) delay: Duration,
    /// Which part of the frames is lost, in each direction.
    pub(super) loss: f64,
}

/// A running relay. Dropping it leaves its threads to end by themselves within 20 ms.
pub(super) struct Relay {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    overflowed: Arc<AtomicU64>,
}

impl Relay {
    /// Starts to relay between two links of a namespace.
    ///
    /// # Errors
    /// When a socket cannot be opened.
    pub(super) fn start(
        network: &Namespace,
        links: &[String; 2],
        weather: Weather,
    ) -> anyhow::Result<Relay> {
        let stop = Arc::new(AtomicBool::new(false));
        let overflowed = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        for (from, to) in [(0, 1), (1, 0)] {
            let open = |link: &String, direction: Direction| {
                network
                    .run(|| packet_socket(link, direction))
                    .with_context(|| format!("cannot open a packet socket on {link}"))
            };
            let mut lane = Lane {
                input: open(&links[from], Direction::Receive)?,
                output: open(&links[to], Direction::Send)?,
                weather,
                waiting: VecDeque::new(),
                spare: Vec::new(),
                random: 0x9e37_79b9_7f4a_7c15 ^ from as u64,
            };
            let (stop, overflowed) = (Arc::clone(&stop), Arc::clone(&overflowed));
            threads.push(std::thread::spawn(move || {
                let lost = lane.run(&stop);
                overflowed.fetch_add(lost, Ordering::Relaxed);
            }));
        }
        Ok(Relay {
            stop,
            threads,
            overflowed,
        })
    }

    /// Stops it. Returns how many frames it lost without having been told to.
    pub(super) fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic is on standard error already.
            let _ = thread.join();
        }
        self.overflowed.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Receive,
    Send,
}

// One direction.
struct Lane {
    input: OwnedFd,
    output: OwnedFd,
    weather: Weather,
    waiting: VecDeque<Frame>,
    spare: Vec<Buffer>,
    random: u64,
}

struct Frame {
    due: Instant,
    length: usize,
    bytes: Buffer,
}

type Buffer = Box<[u8]>;

impl Lane {
    fn run(&mut self, stop: &AtomicBool) -> u64 {
        // The default slack of 50 us would come on top of every delay.
        // SAFETY: no pointers.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
        let mut lost = 0;
        while !stop.load(Ordering::Relaxed) {
            let due = self.waiting.front().map(|frame| frame.due);
            let wait = due.map_or(IDLE_WAIT, |due| {
                due.saturating_duration_since(Instant::now()).min(IDLE_WAIT)
            });
            await_input(&self.input, wait);
            lost += self.take();
            lost += self.send();
        }
        lost + kernel_drops(&self.input)
    }

    // Takes what has arrived. Returns how many frames there was no room for.
    fn take(&mut self) -> u64 {
        let mut lost = 0;
        loop {
            let mut buffers: Vec<_> = (0..BATCH)
                .map(|_| {
                    self.spare
                        .pop()
                        .unwrap_or_else(|| vec![0; FRAME_BYTES].into())
                })
                .collect();
            let parts: Vec<&mut [u8]> = buffers.iter_mut().map(|buffer| &mut buffer[..]).collect();
            let lengths = receive(&self.input, parts);
            let due = Instant::now() + self.weather.delay;
            let count = lengths.len();
            for (bytes, length) in buffers.drain(..count).zip(lengths) {
                let has_room = self.waiting.len() < QUEUED_FRAMES && length <= FRAME_BYTES;
                lost += u64::from(!has_room);
                if has_room && !self.draws_loss() {
                    self.waiting.push_back(Frame { due, length, bytes });
                } else {
                    self.spare.push(bytes);
                }
            }
            self.spare.append(&mut buffers);
            if count < BATCH {
                return lost;
            }
        }
    }

    // Sends what has waited for long enough. Returns how many frames were refused.
    fn send(&mut self) -> u64 {
        let mut refused = 0;
        loop {
            let now = Instant::now();
            let ready = self.waiting.iter().take(BATCH);
            let count = ready.take_while(|frame| frame.due <= now).count();
            if count == 0 {
                return refused;
            }
            let batch: Vec<Frame> = self.waiting.drain(..count).collect();
            let parts: Vec<&[u8]> = batch
                .iter()
                .map(|frame| &frame.bytes[..frame.length])
                .collect();
            refused += send_all(&self.output, &parts);
            self.spare
                .extend(batch.into_iter().map(|frame| frame.bytes));
        }
    }

    fn draws_loss(&mut self) -> bool {
        // Xorshift; the upper 53 bits make a number from 0 to 1.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        ((self.random >> 11) as f64) < self.weather.loss * (1u64 << 53) as f64
    }
}

fn packet_socket(link: &str, direction: Direction) -> io::Result<OwnedFd> {
    // A socket of protocol 0 receives nothing.
    let protocol = match direction {
        Direction::Receive => (libc::ETH_P_ALL as u16).to_be(),
        Direction::Send => 0,
    };
    // SAFETY: plain system call; the descriptor is owned below.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above returned a new descriptor that nobody else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    match direction {
        Direction::Receive => {
            set(
                &socket,
                libc::SOL_SOCKET,
                libc::SO_RCVBUFFORCE,
                SOCKET_BYTES,
            )?;
            // What the other direction sends here is not to be taken.
            set(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
        }
        Direction::Send => {
            set(
                &socket,
                libc::SOL_SOCKET,
                libc::SO_SNDBUFFORCE,
                SOCKET_BYTES,
            )?;
            set(&socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, 1)?;
        }
    }
    let index = nix::net::if_::if_nametoindex(link)?;
    // SAFETY: zero is a value of the plain-integer struct.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = index.cast_signed();
    // SAFETY: the pointer and length describe `address`.
    let outcome = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    if outcome == 0 {
        Ok(socket)
    } else {
        Err(io::Error::last_os_error())
    }
}

fn await_input(socket: &OwnedFd, wait: Duration) {
    let mut polled = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let wait = libc::timespec {
        tv_sec: wait.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(wait.subsec_nanos()),
    };
    // SAFETY: the pointers describe live values; no signal mask is given. An interruption is as good
    // as a timeout.
    unsafe { libc::ppoll(&raw mut polled, 1, &raw const wait, std::ptr::null()) };
}

/// Frames that the socket had no room for. Source: packet(7), `PACKET_STATISTICS`.
fn kernel_drops(socket: &OwnedFd) -> u64 {
    let mut counts = [0u32; 2];
    let mut length = size_of_val(&counts) as libc::socklen_t;
    // SAFETY: the pointers describe live values of the struct's two integers.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            counts.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if outcome == 0 {
        u64::from(counts[1])
    } else {
        0
    }
}
