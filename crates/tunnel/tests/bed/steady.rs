//! Traffic that is steady and looked at closely: numbered datagrams, each of which must arrive once and
//! in order, and a TCP stream that is echoed and compared.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Hosts, in_namespace};

const EVERY: Duration = Duration::from_millis(2);
const BLOCK: usize = 16 << 10;
const SILENCE: Duration = Duration::from_secs(10);

/// Both kinds of traffic, in both directions, until they are stopped.
pub struct Steady {
    stop: Arc<AtomicBool>,
    numbered: [JoinHandle<Numbered>; 2],
    echoed: [JoinHandle<u64>; 2],
}

/// What became of numbered datagrams of one direction.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    pub sent: u64,
    pub arrived: u64,
    pub out_of_order: u64,
}

/// What became of all of it.
#[derive(Debug)]
pub struct Outcome {
    /// By the end that sent.
    pub numbered: [Numbered; 2],
    /// Blocks that came back whole, by the end that sent.
    pub echoed: [u64; 2],
}

impl Steady {
    pub fn start(hosts: &Hosts) -> Steady {
        let stop = Arc::new(AtomicBool::new(false));
        Steady {
            numbered: [0, 1].map(|end| numbered(hosts, end, stop.clone())),
            echoed: [0, 1].map(|end| echoed(hosts, end, stop.clone())),
            stop,
        }
    }

    pub fn stop(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        Outcome {
            numbered: self.numbered.map(|thread| thread.join().unwrap()),
            echoed: self.echoed.map(|thread| thread.join().unwrap()),
        }
    }
}

impl Outcome {
    /// Every datagram, at least so many each way, arrived once and in order, and blocks came back.
    pub fn assert_nothing_was_lost(&self, at_least: u64) {
        for numbered in &self.numbered {
            assert!(numbered.sent >= at_least, "{self:?}");
            assert_eq!(numbered.arrived, numbered.sent, "{self:?}");
            assert_eq!(numbered.out_of_order, 0, "{self:?}");
        }
        let enough = at_least / 20;
        assert!(
            self.echoed.iter().all(|blocks| *blocks > enough),
            "{self:?}"
        );
    }
}

fn numbered(hosts: &Hosts, end: usize, stop: Arc<AtomicBool>) -> JoinHandle<Numbered> {
    let ((from, _), (to, address)) = (&hosts.ends[end], hosts.ends[1 - end].clone());
    let receiver = in_namespace(&to, || UdpSocket::bind((address, 7011)).unwrap());
    let sender = in_namespace(from, || UdpSocket::bind("0.0.0.0:0").unwrap());
    sender.connect((address, 7011)).unwrap();
    receiver.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let (mut result, mut expected) = (Numbered::default(), 0);
        let (mut buffer, mut next) = ([0; 200], Instant::now());
        let mut take = |result: &mut Numbered| {
            while receiver.recv(&mut buffer).is_ok() {
                let number = u64::from_be_bytes(*buffer.first_chunk().unwrap());
                result.arrived += 1;
                if number < expected {
                    result.out_of_order += 1;
                }
                expected = expected.max(number + 1);
            }
        };
        while !stop.load(Ordering::Relaxed) {
            let mut datagram = [0x5a; 200];
            datagram[..8].copy_from_slice(&result.sent.to_be_bytes());
            sender.send(&datagram).unwrap();
            result.sent += 1;
            take(&mut result);
            next += EVERY;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let end = Instant::now() + Duration::from_secs(1);
        while result.arrived < result.sent && Instant::now() < end {
            take(&mut result);
            std::thread::yield_now();
        }
        result
    })
}

fn echoed(hosts: &Hosts, end: usize, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    let ((from, _), (to, address)) = (&hosts.ends[end], hosts.ends[1 - end].clone());
    let listener = in_namespace(&to, || TcpListener::bind((address, 7012)).unwrap());
    let mut near = in_namespace(from, || TcpStream::connect((address, 7012)).unwrap());
    let (mut far, _) = listener.accept().unwrap();
    for socket in [&near, &far] {
        socket.set_read_timeout(Some(SILENCE)).unwrap();
    }
    std::thread::spawn(move || {
        let mut block = vec![0; BLOCK];
        while far.read_exact(&mut block).is_ok() {
            if far.write_all(&block).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        let mut blocks = 0u64;
        let mut answer = vec![0; BLOCK];
        while !stop.load(Ordering::Relaxed) {
            let block: Vec<u8> = (0..BLOCK as u64)
                .map(|index| (index * 7 + blocks) as u8)
                .collect();
            near.write_all(&block).expect("the stream takes a block");
            match near.read_exact(&mut answer) {
                Ok(()) => assert!(answer == block, "block {blocks} was altered"),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    panic!("block {blocks} did not come back within {SILENCE:?}")
                }
                Err(error) => panic!("block {blocks}: {error}"),
            }
            blocks += 1;
            std::thread::sleep(Duration::from_millis(10));
        }
        blocks
    })
}
