//! In steady state no packet costs an allocation, whether it passes at once, waits in a queue, is
//! dropped by one, or comes in.

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tunnel::gso::VnetHeader;
use tunnel::outbox::Outbox;
use tunnel::testing::{Pair, PeeringSpec, tcp_packet, udp_packet};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
const B: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 5);
const MSS: usize = 1350;

/// What goes through the two engines in 2 ms, and what has to come of it in all.
struct Run {
    pair: Pair,
    spec: PeeringSpec,
    // Filled by what is read from the device, by what leaves later, and at the other end.
    outboxes: [Outbox; 2],
    frames: Vec<Vec<u8>>,
    sequence: u32,
    delivered: usize,
}

impl Run {
    fn new(mbps: u32) -> Run {
        let spec = PeeringSpec {
            mbps,
            ..PeeringSpec::default()
        };
        let mut tcp = VnetHeader::tcp_super_packet(20, 40, MSS)
            .to_bytes()
            .to_vec();
        tcp.extend(tcp_packet(A, B, 0, 0x10, &[7; MSS * 40]));
        let mut frames = vec![tcp];
        for port in 0..20 {
            let mut udp = VnetHeader::default().to_bytes().to_vec();
            udp.extend(udp_packet(A, B, port, 2, &[7; 500]));
            frames.push(udp);
        }
        Run {
            pair: Pair::established(1, &[spec]),
            spec,
            outboxes: Default::default(),
            frames,
            sequence: 0,
            delivered: 0,
        }
    }

    fn step(&mut self) {
        self.pair.now += Duration::from_millis(2);
        let (now, source) = (self.pair.now, self.pair.ends[0].address);
        let [out, device] = &mut self.outboxes;
        self.frames[0][34..38].copy_from_slice(&self.sequence.to_be_bytes());
        self.sequence = self.sequence.wrapping_add((MSS * 40) as u32);
        let [sender, receiver] = &mut self.pair.ends;
        for frame in &mut self.frames {
            sender.engine.from_tun(self.spec.vpc(0), frame, now, out);
        }
        sender.engine.on_time(now, out);
        out.seal();
        for run in &out.runs {
            for datagram in out.underlay_bytes()[run.range.clone()].chunks(run.segment) {
                receiver
                    .engine
                    .from_underlay(source, 0, datagram, now, device);
            }
        }
        self.delivered += device.deliveries().iter().len();
        out.clear();
        device.clear();
    }
}

fn check(mbps: u32) -> Run {
    let mut run = Run::new(mbps);
    // Buffers grow to what is needed.
    for _ in 0..1500 {
        run.step();
    }
    let (before, delivered, begin) = (
        ALLOCATIONS.load(Ordering::Relaxed),
        run.delivered,
        Instant::now(),
    );
    for _ in 0..1000 {
        run.step();
    }
    let after = ALLOCATIONS.load(Ordering::Relaxed);
    assert!(
        run.delivered > delivered + 1000,
        "packets arrive at {mbps} Mbps"
    );
    // Probes, once a second, may cost some; a packet may not.
    let allowed = 20 + begin.elapsed().as_secs() * 20;
    assert!(
        after - before <= allowed,
        "{} allocations at {mbps} Mbps",
        after - before
    );
    run
}

#[test]
fn packets_cost_no_allocation() {
    let run = check(0);
    assert_eq!(run.pair.peering(0, 1).sent_drops.len(), 0);
    // About 260 Mbps are offered: they pass a wide cap at once or after a wait.
    check(300);
    let run = check(100);
    let dropped = run.pair.peering(0, 1).sent_drops;
    assert!(
        dropped["queue_delay"] > 0 || dropped["queue_full"] > 0,
        "{dropped:?}"
    );
}
