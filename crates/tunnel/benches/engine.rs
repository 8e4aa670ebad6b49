//! What a packet costs in the engine itself, without sockets and devices: a super-packet of TCP goes
//! in, sealed datagrams come out, and the other way round. The least of many rounds is printed, which
//! a busy machine disturbs the least.
//!
//! ```text
//! cargo bench -p tunnel --bench engine [-- ROUNDS]
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use tunnel::gso::VnetHeader;
use tunnel::outbox::Outbox;
use tunnel::testing::{Pair, PeeringSpec, tcp_packet, udp_packet};

const A: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 5);
const B: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 5);
const MSS: usize = 1350;
const SUPER_PACKETS: usize = 8;

fn main() {
    // `cargo test --benches` must not measure.
    if std::env::args().len() == 1 {
        return;
    }
    let rounds = std::env::args()
        .skip(1)
        .find_map(|text| text.parse().ok())
        .unwrap_or(2000);
    let (sent, received, count) = measure(rounds, 0, Kind::Tcp);
    println!(
        "TCP in super-packets of 64 KB: {sent:.0} ns to send, {received:.0} ns to receive each of {count}"
    );
    let (sent, received, _) = measure(rounds, 100_000, Kind::Tcp);
    println!("the same behind a cap that lets it pass: {sent:.0} ns, {received:.0} ns");
    let (sent, received, _) = measure(rounds, 0, Kind::SmallUdp);
    println!("UDP with 64 bytes of payload: {sent:.0} ns, {received:.0} ns");
}

#[derive(Clone, Copy)]
enum Kind {
    Tcp,
    SmallUdp,
}

// Nanoseconds per whole packet to send and to receive, and the packets of a round.
fn measure(rounds: usize, mbps: u32, kind: Kind) -> (f64, f64, usize) {
    let spec = PeeringSpec {
        mbps,
        ..PeeringSpec::default()
    };
    let mut pair = Pair::established(1, &[spec]);
    let source = pair.ends[0].address;
    let mut outbox = Outbox::default();
    let (mut least_sent, mut least_received, mut count) = (f64::MAX, f64::MAX, 0);
    let mut frames = frames(kind);
    let mut sequence = 0;
    for _ in 0..rounds {
        // Tokens for the next round.
        pair.now += std::time::Duration::from_millis(10);
        for frame in &mut frames {
            renumber(frame, kind, &mut sequence);
        }
        outbox.clear();
        let (now, begin) = (pair.now, Instant::now());
        count = 0;
        for frame in &mut frames {
            count += pair.ends[0]
                .engine
                .from_tun(spec.vpc(0), frame, now, &mut outbox);
        }
        outbox.seal();
        least_sent = least_sent.min(begin.elapsed().as_nanos() as f64 / count as f64);
        least_received = least_received.min(receive(&mut pair, source, &outbox) / count as f64);
    }
    (least_sent, least_received, count)
}

fn receive(pair: &mut Pair, source: SocketAddr, sent: &Outbox) -> f64 {
    let mut outbox = Outbox::default();
    let (now, begin) = (pair.now, Instant::now());
    for run in &sent.runs {
        for datagram in sent.underlay_bytes()[run.range.clone()].chunks(run.segment) {
            pair.ends[1]
                .engine
                .from_underlay(source, 0, datagram, now, &mut outbox);
        }
        outbox.deliveries();
    }
    let elapsed = begin.elapsed().as_nanos() as f64;
    assert!(
        outbox.deliveries().iter().len() > 0,
        "what is measured arrives"
    );
    elapsed
}

fn frames(kind: Kind) -> Vec<Vec<u8>> {
    let frame = match kind {
        Kind::Tcp => {
            let mut frame = VnetHeader::tcp_super_packet(20, 40, MSS)
                .to_bytes()
                .to_vec();
            frame.extend(tcp_packet(A, B, 0, 0x10, &[7; MSS * 47]));
            frame
        }
        Kind::SmallUdp => {
            let mut frame = VnetHeader::default().to_bytes().to_vec();
            frame.extend(udp_packet(A, B, 1, 2, &[7; 64]));
            frame
        }
    };
    let frames = match kind {
        Kind::Tcp => SUPER_PACKETS,
        Kind::SmallUdp => 64,
    };
    vec![frame; frames]
}

// As a sender would go on, so that the receiver can join segments.
fn renumber(frame: &mut [u8], kind: Kind, sequence: &mut u32) {
    if let Kind::Tcp = kind {
        frame[10 + 24..10 + 28].copy_from_slice(&sequence.to_be_bytes());
        *sequence = sequence.wrapping_add((MSS * 47) as u32);
    }
}
