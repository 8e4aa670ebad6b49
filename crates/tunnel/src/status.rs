//! A snapshot of what an engine does, for `gateway status` and metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::{GatewayId, PeeringConnectionId, Side};

use crate::counters::{Drop, Traffic};
use crate::engine::Engine;
use crate::ports::{Received, Sent};

/// A snapshot of a running tunnel.
#[derive(Debug, Clone, Default)]
pub struct TunnelStatus {
    /// The pairs that this gateway is one of, by the other one.
    pub gateways: BTreeMap<GatewayId, PairStatus>,
    /// The local sides of peerings.
    pub peerings: BTreeMap<(PeeringConnectionId, Side), PeeringStatus>,
    /// Drops that no peering can be named for, by cause.
    pub drops: BTreeMap<&'static str, u64>,
    /// What the I/O did.
    pub io: IoStatus,
}

/// A pair of gateways.
#[derive(Debug, Clone, Default)]
pub struct PairStatus {
    /// Where the other one is reached at present.
    pub endpoint: Option<SocketAddr>,
    /// The age of the session.
    pub last_handshake: Option<Duration>,
    /// The time since anything authentic came.
    pub last_received: Option<Duration>,
    /// The round-trip time of the last answered probe.
    pub rtt: Option<Duration>,
    /// How much round-trip times differ from one probe to the next, smoothed.
    pub jitter: Duration,
    /// Probes sent.
    pub probes_sent: u64,
    /// Probes without an answer after a second.
    pub probes_lost: u64,
    /// The largest underlay packet that reaches the other one, as far as it was measured; `None`
    /// before anything is known.
    pub path_mtu: Option<u16>,
    /// The largest inner packet that crosses whole; `None` when no endpoint is known.
    pub inner_mtu: Option<u16>,
    /// Bytes of transport messages sent, WireGuard's headers included.
    pub sent_bytes: u64,
    /// Bytes of authentic messages received, WireGuard's headers included.
    pub received_bytes: u64,
}

/// One local side of a peering.
#[derive(Debug, Clone, Default)]
pub struct PeeringStatus {
    /// Inner packets sent to the peer.
    pub sent: Traffic,
    /// Inner packets handed to our VPC.
    pub received: Traffic,
    /// Drops on the way out, by cause.
    pub sent_drops: BTreeMap<&'static str, u64>,
    /// Drops on the way in, by cause.
    pub received_drops: BTreeMap<&'static str, u64>,
    /// The time since a probe in this VNI was answered.
    pub last_probe: Option<Duration>,
    /// The round-trip time of that probe.
    pub rtt: Option<Duration>,
    /// Inner bytes that wait for the cap.
    pub queue_bytes: u64,
    /// How long packets waited for the cap of late; zero when none had to.
    pub queue_delay: Duration,
    /// Packets that left with a congestion mark because their flow's queue stood too long.
    pub marked: u64,
}

/// What the I/O did, as sums since the start. Segments are whole packets; their mean per read or
/// send is what batching achieves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IoStatus {
    /// Reads of TUN queues that gave something.
    pub tun_reads: u64,
    /// Whole packets in them.
    pub tun_read_segments: u64,
    /// Sends on underlay sockets.
    pub udp_sends: u64,
    /// Datagrams in them.
    pub udp_send_segments: u64,
    /// Messages received on underlay sockets.
    pub udp_receives: u64,
    /// Datagrams in them.
    pub udp_receive_datagrams: u64,
}

/// Where workers count what makes an [`IoStatus`].
#[derive(Debug, Default)]
pub(crate) struct IoCounters {
    tun_reads: AtomicU64,
    tun_read_segments: AtomicU64,
    udp_sends: AtomicU64,
    udp_send_segments: AtomicU64,
    udp_receives: AtomicU64,
    udp_receive_datagrams: AtomicU64,
}

impl IoCounters {
    pub(crate) fn count_reads(&self, reads: usize, segments: usize) {
        add(&self.tun_reads, reads as u64);
        add(&self.tun_read_segments, segments as u64);
    }

    pub(crate) fn count_sends(&self, sent: &Sent) {
        add(&self.udp_sends, sent.sends);
        add(&self.udp_send_segments, sent.datagrams);
    }

    pub(crate) fn count_receives(&self, received: &Received) {
        add(&self.udp_receives, received.messages as u64);
        add(&self.udp_receive_datagrams, received.datagrams as u64);
    }

    pub(crate) fn status(&self) -> IoStatus {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        IoStatus {
            tun_reads: read(&self.tun_reads),
            tun_read_segments: read(&self.tun_read_segments),
            udp_sends: read(&self.udp_sends),
            udp_send_segments: read(&self.udp_send_segments),
            udp_receives: read(&self.udp_receives),
            udp_receive_datagrams: read(&self.udp_receive_datagrams),
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Engine {
    /// The engine's part of a status; the I/O adds its own.
    pub fn status(&self, now: Instant) -> TunnelStatus {
        let mut status = self.status_of_gateways(now);
        status
            .peerings
            .extend(self.status_of_peerings(0, usize::MAX, now));
        status
    }

    /// A status without the peerings.
    pub(crate) fn status_of_gateways(&self, now: Instant) -> TunnelStatus {
        let age = |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        let gateways = self.gateways.iter().map(|gateway| {
            let status = PairStatus {
                endpoint: gateway.endpoint,
                last_handshake: gateway.session.last_handshake(now),
                last_received: age(gateway.last_received),
                rtt: gateway.prober.rtt,
                jitter: gateway.prober.jitter,
                probes_sent: gateway.prober.sent,
                probes_lost: gateway.prober.lost,
                path_mtu: gateway.path_mtu.in_force(),
                inner_mtu: gateway.inner_mtu(),
                sent_bytes: gateway.sent_bytes,
                received_bytes: gateway.received_bytes,
            };
            (gateway.id, status)
        });
        TunnelStatus {
            gateways: gateways.collect(),
            peerings: BTreeMap::new(),
            drops: self.drops.by_name(),
            io: IoStatus::default(),
        }
    }

    /// The statuses of at most so many peerings, from a position on.
    pub(crate) fn status_of_peerings(
        &self,
        first: usize,
        most: usize,
        now: Instant,
    ) -> impl Iterator<Item = ((PeeringConnectionId, Side), PeeringStatus)> {
        let age = move |at: Option<Instant>| at.map(|at| now.saturating_duration_since(at));
        self.peerings
            .iter()
            .skip(first)
            .take(most)
            .map(move |peering| {
                let queued = peering.shaper.counts();
                let mut sent_drops = peering.sent_drops.clone();
                sent_drops.add(Drop::QueueFull, queued.full);
                sent_drops.add(Drop::QueueDelay, queued.late);
                let status = PeeringStatus {
                    sent: peering.sent,
                    received: peering.received,
                    sent_drops: sent_drops.by_name(),
                    received_drops: peering.received_drops.by_name(),
                    last_probe: age(peering.prober.answered),
                    rtt: peering.prober.rtt,
                    queue_bytes: peering.shaper.queued_bytes(),
                    queue_delay: peering.shaper.delay(),
                    marked: queued.marked,
                };
                ((peering.id, peering.side), status)
            })
    }
}
