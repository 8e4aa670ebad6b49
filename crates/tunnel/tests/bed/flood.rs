//! What a stranger may throw at a gateway's port, at a steady rate and bounded in time.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use blake2::digest::consts::U16;
use blake2::digest::{Digest, Mac};
use blake2::{Blake2s256, Blake2sMac};
use model::PublicKey;

use super::in_namespace;

const INITIATION_LEN: usize = 148;
const DIFFERENT: usize = 4096;
const PER_CALL: usize = 20;
const LONGEST: Duration = Duration::from_secs(30);

/// A thread that sends until it is stopped, at most for 30 s.
pub struct Flood {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    thread: JoinHandle<Sent>,
}

/// What was sent, and in which time.
pub struct Sent {
    pub datagrams: u64,
    pub elapsed: Duration,
}

impl Flood {
    /// Sends the given datagrams in turn from a namespace.
    pub fn start(namespace: &str, to: SocketAddr, per_sec: u32, datagrams: Vec<Vec<u8>>) -> Flood {
        let socket = in_namespace(namespace, || UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.connect(to).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let answers = Arc::new(AtomicU64::new(0));
        let answered = answers.clone();
        let thread =
            std::thread::spawn(move || send(&socket, per_sec, datagrams, &stopped, &answered));
        Flood {
            stop,
            answers,
            thread,
        }
    }

    /// How many answers came so far: cookies, for what else should one answer.
    pub fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    pub fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread ends")
    }
}

/// Handshake initiations from nobody, with a first MAC that only a holder of the public key can make
/// (WireGuard paper, section 5.4.4). What lies below it is noise.
pub fn initiations(to: &PublicKey) -> Vec<Vec<u8>> {
    let key = Blake2s256::new_with_prefix(b"mac1----").chain_update(to.0);
    let key = key.finalize();
    let mut messages = garbage(INITIATION_LEN..INITIATION_LEN + 1);
    for message in &mut messages {
        message[..4].copy_from_slice(&[1, 0, 0, 0]);
        let mac = <Blake2sMac<U16> as Mac>::new_from_slice(&key).expect("a key of 32 bytes");
        let mac = mac.chain_update(&message[..116]).finalize().into_bytes();
        message[116..132].copy_from_slice(&mac);
        message[132..].fill(0);
    }
    messages
}

/// The same with a first MAC that is noise too.
pub fn garbage_initiations() -> Vec<Vec<u8>> {
    let mut messages = garbage(INITIATION_LEN..INITIATION_LEN + 1);
    for message in &mut messages {
        message[..4].copy_from_slice(&[1, 0, 0, 0]);
    }
    messages
}

/// Noise, of lengths in a range.
pub fn garbage(lengths: std::ops::Range<usize>) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut word = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut datagrams = Vec::new();
    for _ in 0..DIFFERENT {
        let length = lengths.start + word() as usize % lengths.len();
        let mut datagram: Vec<u8> = std::iter::repeat_with(|| word().to_le_bytes())
            .take(length.div_ceil(8))
            .flatten()
            .collect();
        datagram.truncate(length);
        datagrams.push(datagram);
    }
    datagrams
}

fn send(
    socket: &UdpSocket,
    per_sec: u32,
    mut datagrams: Vec<Vec<u8>>,
    stop: &AtomicBool,
    answers: &AtomicU64,
) -> Sent {
    socket.set_nonblocking(true).unwrap();
    let mut buffers: Vec<libc::iovec> = datagrams
        .iter_mut()
        .map(|datagram| libc::iovec {
            iov_base: datagram.as_mut_ptr().cast(),
            iov_len: datagram.len(),
        })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = buffers
        .iter_mut()
        .map(|buffer| {
            // SAFETY: plain integers and pointers, for which zero is a value.
            let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
            message.msg_hdr.msg_iov = buffer;
            message.msg_hdr.msg_iovlen = 1;
            message
        })
        .collect();
    let begin = Instant::now();
    let (mut sent, mut next) = (0u64, 0);
    while !stop.load(Ordering::Relaxed) && begin.elapsed() < LONGEST {
        let due = (begin.elapsed().as_secs_f64() * f64::from(per_sec)) as u64;
        if due < sent + PER_CALL as u64 {
            while socket.recv(&mut [0; 2000]).is_ok() {
                answers.fetch_add(1, Ordering::Relaxed);
            }
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        if next + PER_CALL > messages.len() {
            next = 0;
        }
        let turn = &mut messages[next..next + PER_CALL];
        // SAFETY: the messages point to buffers that outlive the call.
        let count =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), turn.as_mut_ptr(), PER_CALL as u32, 0) };
        // Refusals of a port that has just closed are the receiver's affair.
        sent += u64::try_from(count).unwrap_or(0);
        next += PER_CALL;
    }
    Sent {
        datagrams: sent,
        elapsed: begin.elapsed(),
    }
}
