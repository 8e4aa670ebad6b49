//! Numbered UDP datagrams of 64 bytes: the rate that passes without loss, what a packet costs, and how
//! many came out of order.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::site::Site;
use super::sockets::{receive, send_all, set};

const PAYLOAD: usize = 64;
const PORT: u16 = 7020;
const BATCH: usize = 64;
const FIRST_PER_SEC: f64 = 20_000.0;
const LEAST_PER_SEC: f64 = 500.0;
const STEP: f64 = 1.25;
const MOST_PER_SEC: f64 = 5_000_000.0;
const STEP_TIME: Duration = Duration::from_millis(400);
/// One in a thousand.
const LOSS_ALLOWED: f64 = 0.001;
/// Rates at which costs are compared, as a part of what passes without loss.
const COMFORTABLE: f64 = 0.8;
const DRAIN: Duration = Duration::from_millis(50);
const BUFFER_BYTES: libc::c_int = 32 << 20;

/// What was found.
pub(super) struct Found {
    /// The highest rate at which no more than one datagram in a thousand was lost.
    pub(super) lossless_per_sec: f64,
    /// What all cores of the machine spent for each datagram, both hosts included.
    pub(super) machine_micros: f64,
    /// What the carrying programs spent of it.
    pub(super) program_micros: Option<f64>,
    /// Datagrams that came after one with a higher number, in all of the measurement. The kernel does
    /// that too: what a thread sent before it moved to another core may still wait there.
    pub(super) out_of_order: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Shot {
    sent: u64,
    received: u64,
    out_of_order: u64,
    elapsed: Duration,
}

impl Shot {
    fn is_lossless(&self) -> bool {
        (self.sent - self.received.min(self.sent)) as f64 <= self.sent as f64 * LOSS_ALLOWED
    }

    fn per_sec(&self) -> f64 {
        self.sent as f64 / self.elapsed.as_secs_f64()
    }
}

/// Raises the rate until datagrams are lost twice in a row, then measures the cost below that.
///
/// # Errors
/// Errors of the socket calls, and a path that loses datagrams at any rate.
pub(super) fn measure(site: &Site, duration: Duration, stop: &AtomicBool) -> anyhow::Result<Found> {
    let (mut wanted, mut lossless, mut out_of_order) = (FIRST_PER_SEC, 0.0, 0);
    while wanted <= MOST_PER_SEC && !stop.load(Ordering::Relaxed) {
        let mut passed = None;
        for _ in 0..2 {
            let shot = shoot(site, wanted, STEP_TIME)?;
            out_of_order += shot.out_of_order;
            if shot.is_lossless() {
                passed = Some(shot.per_sec());
                break;
            }
        }
        let Some(per_sec) = passed else {
            if lossless > 0.0 || wanted < LEAST_PER_SEC {
                break;
            }
            wanted /= 2.0;
            continue;
        };
        lossless = per_sec.max(lossless);
        // The generator is what cannot do more.
        if per_sec < 0.9 * wanted {
            break;
        }
        wanted *= STEP;
    }
    ensure!(
        lossless > 0.0,
        "datagrams are lost at {LEAST_PER_SEC} a second already"
    );
    let (machine, program) = (machine_time()?, site.program_time()?);
    let shot = shoot(site, lossless * COMFORTABLE, duration)?;
    let (machine_after, program_after) = (machine_time()?, site.program_time()?);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / shot.received.max(1) as f64;
    Ok(Found {
        lossless_per_sec: lossless,
        machine_micros: each(machine_after.saturating_sub(machine)),
        program_micros: program_after
            .zip(program)
            .map(|(after, before)| each(after.saturating_sub(before))),
        out_of_order: out_of_order + shot.out_of_order,
    })
}

fn shoot(site: &Site, per_sec: f64, duration: Duration) -> anyhow::Result<Shot> {
    let to = site.addresses[1];
    let receiver = site.hosts[1].run(|| UdpSocket::bind(SocketAddrV4::new(to, PORT)))?;
    let sender = site.hosts[0].run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)))?;
    sender.connect(SocketAddrV4::new(to, PORT))?;
    // Beyond the machine's limit for sockets, so that the path is what is measured.
    set(
        &receiver,
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        BUFFER_BYTES,
    )?;
    let done = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&done);
    let receiving = std::thread::spawn(move || take(&receiver.into(), &flag));
    let sender: OwnedFd = sender.into();
    // A timer slack of 50 us would make bursts larger than they have to be.
    // SAFETY: no pointers.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
    let (begin, mut sent) = (Instant::now(), 0u64);
    let mut payloads = vec![[0u8; PAYLOAD]; BATCH];
    while begin.elapsed() < duration {
        let due = (begin.elapsed().as_secs_f64() * per_sec) as u64;
        let count = (due - sent.min(due)).min(BATCH as u64) as usize;
        if count == 0 {
            std::thread::sleep(Duration::from_micros(20));
            continue;
        }
        for (payload, number) in payloads.iter_mut().zip(sent..) {
            payload[..8].copy_from_slice(&number.to_be_bytes());
        }
        let parts: Vec<&[u8]> = payloads[..count]
            .iter()
            .map(|payload| &payload[..])
            .collect();
        // What the sending host itself refuses counts as sent, and so as lost.
        send_all(&sender, &parts);
        sent += count as u64;
    }
    let elapsed = begin.elapsed();
    done.store(true, Ordering::Relaxed);
    let (received, out_of_order) = receiving
        .join()
        .map_err(|_| anyhow::anyhow!("the receiver failed"))?;
    Ok(Shot {
        sent,
        received,
        out_of_order,
        elapsed,
    })
}

// Until the sender is done and nothing comes any more.
fn take(socket: &OwnedFd, done: &AtomicBool) -> (u64, u64) {
    let mut buffers = vec![[0u8; PAYLOAD]; BATCH];
    let (mut received, mut out_of_order, mut expected) = (0, 0, 0);
    let mut last = Instant::now();
    loop {
        let parts = buffers.iter_mut().map(|buffer| &mut buffer[..]).collect();
        let count = receive(socket, parts).len();
        for buffer in &buffers[..count] {
            let mut number = [0; 8];
            number.copy_from_slice(&buffer[..8]);
            let number = u64::from_be_bytes(number);
            out_of_order += u64::from(number < expected);
            expected = expected.max(number + 1);
        }
        received += count as u64;
        if count > 0 {
            last = Instant::now();
        } else if done.load(Ordering::Relaxed) && last.elapsed() > DRAIN {
            return (received, out_of_order);
        } else {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

/// The time that all cores were busy. Source: proc(5), `/proc/stat`, in hundredths of a second.
fn machine_time() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("/proc/stat is empty")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .skip(1)
        .map_while(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _wait, irq, softirq, ..] = fields[..] else {
        anyhow::bail!("/proc/stat has no times");
    };
    Ok(Duration::from_millis(
        (user + nice + system + irq + softirq) * 10,
    ))
}
