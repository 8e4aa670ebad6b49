//! What hosts send: bulk TCP, a flood of UDP, requests with answers.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;

use super::sites::Hosts;

const MESSAGE: usize = 64;

/// TCP connections that send what they can, all served by two threads.
pub struct Bulk {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Bulk {
    pub fn start(hosts: &Hosts, from: usize, flows: usize, control: &str) -> Bulk {
        let to = 1 - from;
        let listener = hosts.in_host(to, || {
            TcpListener::bind((hosts.addresses[to], 0)).expect("a port")
        });
        let address = listener.local_addr().expect("an address");
        let mut pairs = Vec::new();
        for _ in 0..flows {
            let sender = hosts.in_host(from, || connect(address));
            SockRef::from(&sender)
                .set_tcp_congestion(control.as_bytes())
                .expect("the congestion control");
            let (receiver, _) = listener.accept().expect("a connection");
            pairs.push((sender, receiver));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (senders, receivers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let data = vec![0x5a; 128 << 10];
        let write = move |mut socket: &TcpStream| socket.write(&data).map(drop);
        let mut room = vec![0; 256 << 10];
        let read = move |mut socket: &TcpStream| socket.read(&mut room).map(drop);
        let threads = vec![
            serve(senders, PollFlags::POLLOUT, stop.clone(), write),
            serve(receivers, PollFlags::POLLIN, stop.clone(), read),
        ];
        Bulk { stop, threads }
    }

    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("the thread ends");
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect_timeout(&address, Duration::from_secs(20)).expect("a connection")
}

fn serve(
    sockets: Vec<TcpStream>,
    flags: PollFlags,
    stop: Arc<AtomicBool>,
    mut act: impl FnMut(&TcpStream) -> std::io::Result<()> + Send + 'static,
) -> JoinHandle<()> {
    for socket in &sockets {
        socket.set_nonblocking(true).expect("nonblocking");
    }
    std::thread::spawn(move || {
        let mut polled: Vec<_> = sockets
            .iter()
            .map(|socket| PollFd::new(socket.as_fd(), flags))
            .collect();
        while !stop.load(Ordering::Relaxed) {
            poll(&mut polled, PollTimeout::from(50u8)).expect("poll");
            for (socket, ready) in sockets.iter().zip(&polled) {
                if ready.any() != Some(true) {
                    continue;
                }
                match act(socket) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    // The other end stopped first.
                    Err(_) => return,
                }
            }
        }
    })
}

/// UDP at a steady rate of IP bytes, whatever arrives.
pub struct Flood {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flood {
    pub fn start(hosts: &Hosts, from: usize, mbps: u32) -> Flood {
        let to = 1 - from;
        let (socket, sink) = (
            hosts.in_host(from, || {
                UdpSocket::bind((hosts.addresses[from], 0)).expect("a port")
            }),
            hosts.in_host(to, || {
                UdpSocket::bind((hosts.addresses[to], 7009)).expect("a port")
            }),
        );
        socket
            .connect((hosts.addresses[to], 7009))
            .expect("a route");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            // The sink is never read: counted is what reaches the host's interface.
            let _sink = sink;
            let data = [0x5a; 1362];
            let gap = Duration::from_nanos(1390 * 8000 / u64::from(mbps));
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                let now = Instant::now();
                while next <= now {
                    let _ = socket.send(&data);
                    next += gap;
                }
                std::thread::sleep((next - now).max(Duration::from_micros(500)));
            }
        });
        Flood { stop, thread }
    }

    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread ends");
    }
}

/// Requests over TCP, each sent when the last one was answered.
pub struct Requests;

impl Requests {
    /// The round-trip times, sorted.
    pub fn run(hosts: &Hosts, duration: Duration) -> Vec<Duration> {
        let listener = hosts.in_host(1, || {
            TcpListener::bind((hosts.addresses[1], 0)).expect("a port")
        });
        let address = listener.local_addr().expect("an address");
        let echo = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_nodelay(true).expect("no delay");
            let mut message = [0; MESSAGE];
            while stream.read_exact(&mut message).is_ok() {
                if stream.write_all(&message).is_err() {
                    return;
                }
            }
        });
        let mut stream = hosts.in_host(0, || connect(address));
        stream.set_nodelay(true).expect("no delay");
        let mut message = [7; MESSAGE];
        let (mut latencies, end) = (Vec::new(), Instant::now() + duration);
        while Instant::now() < end {
            let begin = Instant::now();
            stream.write_all(&message).expect("a request leaves");
            stream.read_exact(&mut message).expect("an answer comes");
            latencies.push(begin.elapsed());
        }
        drop(stream);
        echo.join().expect("the thread ends");
        latencies.sort();
        latencies
    }
}
