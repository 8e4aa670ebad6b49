//! The forwarding engine as a value: packets, datagrams and `now` go in, an [`Outbox`] and the next
//! deadline come out. No sockets and no clock.
//!
//! Start with [`Engine::from_tun`] in `send` for the way out of a VPC and [`Engine::from_underlay`]
//! in `receive` for the way in. Here are the tables, their replacement, and the timers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::overlay::mac_address;
use model::slice::{GatewaySlice, PeerEnd, PeeringSlice};
use model::{CidrBlock, GatewayId, Ipv6Block, PeeringConnectionId, PublicKey, Side, VpcId};

use crate::TunnelEvent;
use crate::buffers::Buffers;
use crate::counters::{Drop, Drops, Traffic};
use crate::framing::FramePath;
use crate::gateway::{Gateway, PAIR_MAC};
use crate::inbox::Inbox;
use crate::lookup::VpcTable;
use crate::mtu::IcmpLimit;
use crate::outbox::Outbox;
use crate::path_mtu::PathMtu;
use crate::probe::{Answer, Prober};
use crate::session::Identity;
use crate::shaper::Shaper;

const TICK: Duration = Duration::from_millis(100);
// Before the first session, handshakes are repeated faster than WireGuard's five seconds, so that
// two gateways that start together need not wait for each other.
const EAGER_EVERY: Duration = Duration::from_secs(1);
const EAGER_TRIES: u32 = 10;
pub(crate) const SCRATCH: usize = 1 << 17;
/// The MTU of a VPC whose peers are all on its own gateway.
pub const LOCAL_MTU: u16 = 1500;

/// How an engine starts.
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions {
    /// The gateway's private key (Curve25519).
    pub private_key: [u8; 32],
    /// How often to send something to every gateway.
    pub keepalive: Option<Duration>,
    /// Makes session indices and probe numbers unpredictable.
    pub entropy: u64,
    /// The wall clock at the start, as time since 1970. Must not go back between two starts: peers
    /// take only handshakes that are newer than the last.
    pub unix_time: Duration,
}

/// What an engine is to run.
#[derive(Debug, Clone)]
pub struct EngineDesired {
    /// The gateway's slice.
    pub slice: Arc<GatewaySlice>,
    /// Where other gateways are, resolved.
    pub endpoints: BTreeMap<GatewayId, SocketAddr>,
    /// The VPCs that have a device.
    pub devices: BTreeSet<VpcId>,
}

/// One local side of a peering.
pub(crate) struct Peering {
    pub(crate) id: PeeringConnectionId,
    pub(crate) side: Side,
    pub(crate) slice: PeeringSlice,
    // The blocks of the local VPC.
    local_blocks: Box<[CidrBlock]>,
    // Both or none: without IPv6 at either side it carries none.
    pub(crate) ipv6: Option<Ipv6Ends>,
    // Position of the gateway that carries the peer VPC.
    pub(crate) gateway: Option<usize>,
    // Position of the other side, when this gateway carries both.
    pub(crate) other: Option<usize>,
    pub(crate) path: FramePath,
    pub(crate) shaper: Shaper,
    departure_scheduled: bool,
    rest_scheduled: bool,
    pub(crate) prober: Prober,
    probe_scheduled: Instant,
    pub(crate) icmp: IcmpLimit,
    pub(crate) sent: Traffic,
    pub(crate) received: Traffic,
    pub(crate) sent_drops: Drops,
    pub(crate) received_drops: Drops,
}

/// The IPv6 blocks of a peering's two VPCs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ipv6Ends {
    pub(crate) local: Ipv6Block,
    pub(crate) peer: Ipv6Block,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Departure(usize),
    Rest(usize),
    PeeringProbe(usize),
    PairProbe(usize),
    PathMtu(usize),
}

/// The engine of one gateway.
pub struct Engine {
    pub(crate) identity: Identity,
    keepalive: Option<Duration>,
    pub(crate) overlay: Ipv4Addr,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) gateway_by_id: BTreeMap<GatewayId, usize>,
    pub(crate) gateway_by_key: HashMap<PublicKey, usize>,
    pub(crate) gateway_by_number: HashMap<u32, usize>,
    // How often it was told what to run: positions mean nothing beyond that.
    pub(crate) configured: u64,
    next_number: u32,
    probe_seed: u64,
    pub(crate) peerings: Vec<Peering>,
    pub(crate) peering_by_vni: HashMap<u32, usize>,
    pub(crate) peering_by_route: HashMap<(PeeringConnectionId, VpcId), usize>,
    pub(crate) vpcs: BTreeMap<VpcId, VpcTable>,
    pub(crate) devices: BTreeSet<VpcId>,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    next_tick: Instant,
    pub(crate) drops: Drops,
    pub(crate) scratch: Box<[u8]>,
    pub(crate) whole_scratch: Box<[u8]>,
    pub(crate) fragment_scratch: Box<[u8]>,
    pub(crate) local_scratch: Box<[u8]>,
    pub(crate) single: Inbox,
    pub(crate) buffers: Buffers,
    pub(crate) endpoints_changed: bool,
}

impl Engine {
    /// An engine that carries nothing yet.
    pub fn new(options: &EngineOptions, now: Instant) -> Engine {
        Engine {
            identity: Identity::new(&options.private_key, options.unix_time, now),
            keepalive: options.keepalive,
            overlay: Ipv4Addr::UNSPECIFIED,
            gateways: Vec::new(),
            gateway_by_id: BTreeMap::new(),
            gateway_by_key: HashMap::new(),
            gateway_by_number: HashMap::new(),
            configured: 0,
            next_number: options.entropy as u32 & 0x00ff_ffff,
            probe_seed: options.entropy,
            peerings: Vec::new(),
            peering_by_vni: HashMap::new(),
            peering_by_route: HashMap::new(),
            vpcs: BTreeMap::new(),
            devices: BTreeSet::new(),
            timers: BinaryHeap::new(),
            next_tick: now,
            drops: Drops::default(),
            scratch: vec![0; SCRATCH].into(),
            whole_scratch: vec![0; SCRATCH].into(),
            fragment_scratch: vec![0; SCRATCH].into(),
            local_scratch: vec![0; SCRATCH].into(),
            single: Inbox::default(),
            buffers: Buffers::default(),
            endpoints_changed: false,
        }
    }

    /// Replaces what the engine runs. Sessions, queues and counters of what stays are kept.
    pub fn configure(&mut self, desired: &EngineDesired, now: Instant, out: &mut Outbox) {
        self.configured += 1;
        self.overlay = desired.slice.overlay_address;
        self.devices.clone_from(&desired.devices);
        self.vpcs = desired
            .slice
            .vpcs
            .iter()
            .map(|(id, vpc)| (*id, VpcTable::new(vpc, desired.slice.ipv6.vpcs.get(id))))
            .collect();
        self.replace_gateways(desired, now, out);
        self.replace_peerings(&desired.slice, now);
        self.timers.clear();
        for position in 0..self.gateways.len() {
            self.schedule_pair_probe(position);
            self.schedule_path_mtu(position);
        }
        for position in 0..self.peerings.len() {
            self.peerings[position].departure_scheduled = false;
            self.peerings[position].rest_scheduled = false;
            self.schedule_departure(position);
            self.schedule_rest(position, now);
            self.schedule_peering_probe(position);
        }
        self.on_time(now, out);
    }

    fn replace_gateways(&mut self, desired: &EngineDesired, now: Instant, out: &mut Outbox) {
        let mut old: BTreeMap<GatewayId, Gateway> = self
            .gateways
            .drain(..)
            .map(|gateway| (gateway.id, gateway))
            .collect();
        self.gateway_by_id.clear();
        self.gateway_by_key.clear();
        self.gateway_by_number.clear();
        for (id, peer) in &desired.slice.tunnel_peers {
            let endpoint = desired.endpoints.get(id).copied();
            let kept = old
                .remove(id)
                .filter(|gateway| gateway.key == peer.public_key);
            let mut gateway = kept.unwrap_or_else(|| self.new_gateway(*id, peer.public_key, now));
            gateway.overlay = peer.overlay_address;
            if endpoint.is_some() && endpoint != gateway.configured {
                gateway.endpoint = endpoint;
                gateway.path_mtu.forget(now);
                gateway.eager_tries = 0;
                self.endpoints_changed = true;
                gateway.initiate(&self.identity, now, out);
            }
            gateway.configured = endpoint;
            let position = self.gateways.len();
            self.gateway_by_id.insert(*id, position);
            self.gateway_by_key.insert(gateway.key, position);
            self.gateway_by_number.insert(gateway.number, position);
            self.gateways.push(gateway);
        }
    }

    fn new_gateway(&mut self, id: GatewayId, key: PublicKey, now: Instant) -> Gateway {
        self.next_number = (self.next_number + 1) & 0x00ff_ffff;
        let session = self
            .identity
            .session(&key, self.next_number, self.keepalive, now);
        let prober = Prober::new(now, self.next_probe_seed());
        let path_mtu = PathMtu::new(now, self.next_probe_seed());
        Gateway::new(id, key, self.next_number, session, prober, path_mtu)
    }

    fn next_probe_seed(&mut self) -> u64 {
        // SplitMix64: enough to keep the numbers of different probers apart.
        self.probe_seed = self.probe_seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.probe_seed ^ (self.probe_seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 27)
    }

    fn replace_peerings(&mut self, slice: &GatewaySlice, now: Instant) {
        let mut old: BTreeMap<(PeeringConnectionId, Side), Peering> = self
            .peerings
            .drain(..)
            .map(|peering| ((peering.id, peering.side), peering))
            .collect();
        self.peering_by_vni.clear();
        self.peering_by_route.clear();
        let mut positions = BTreeMap::new();
        for ((id, side), wanted) in &slice.peerings {
            let Some(local) = slice.vpcs.get(&wanted.local_vpc) else {
                continue;
            };
            let mut peering = match old.remove(&(*id, *side)) {
                Some(kept) => kept,
                None => self.new_peering(*id, *side, wanted, now),
            };
            if peering.slice.bandwidth != wanted.bandwidth {
                peering
                    .shaper
                    .set_rate(wanted.bandwidth.bytes_per_sec(), now);
            }
            let moved = peering.slice.vni != wanted.vni
                || peering.slice.peer != wanted.peer
                || peering.slice.local_vpc != wanted.local_vpc
                || peering.slice.peer_vpc != wanted.peer_vpc;
            if moved {
                // What waits was meant for another place.
                peering.shaper.clear(now, &mut self.buffers);
                peering.prober = Prober::new(now, self.next_probe_seed());
            }
            peering.slice = wanted.clone();
            peering.local_blocks = local.blocks().collect();
            peering.ipv6 = ipv6_ends(slice, (*id, *side), wanted.local_vpc);
            peering.gateway = match wanted.peer {
                PeerEnd::Gateway(gateway) => self.gateway_by_id.get(&gateway).copied(),
                PeerEnd::Local | PeerEnd::Absent => None,
            };
            peering.path = FramePath {
                source: self.overlay,
                destination: peering.gateway.map_or(Ipv4Addr::UNSPECIFIED, |position| {
                    self.gateways[position].overlay
                }),
                vni: wanted.vni.get(),
                source_mac: mac_address(wanted.vni, *side),
                destination_mac: mac_address(wanted.vni, side.other()),
            };
            let position = self.peerings.len();
            positions.insert((*id, *side), position);
            self.peering_by_vni.insert(wanted.vni.get(), position);
            self.peering_by_route
                .insert((*id, wanted.local_vpc), position);
            self.peerings.push(peering);
        }
        for peering in &mut self.peerings {
            peering.other = match peering.slice.peer {
                PeerEnd::Local => positions.get(&(peering.id, peering.side.other())).copied(),
                PeerEnd::Gateway(_) | PeerEnd::Absent => None,
            };
        }
    }

    fn new_peering(
        &mut self,
        id: PeeringConnectionId,
        side: Side,
        slice: &PeeringSlice,
        now: Instant,
    ) -> Peering {
        Peering {
            id,
            side,
            slice: slice.clone(),
            local_blocks: Box::default(),
            ipv6: None,
            gateway: None,
            other: None,
            path: FramePath {
                source: self.overlay,
                destination: self.overlay,
                vni: slice.vni.get(),
                source_mac: PAIR_MAC,
                destination_mac: PAIR_MAC,
            },
            shaper: Shaper::new(slice.bandwidth.bytes_per_sec(), now),
            departure_scheduled: false,
            rest_scheduled: false,
            prober: Prober::new(now, self.next_probe_seed()),
            probe_scheduled: now,
            icmp: IcmpLimit::new(now),
            sent: Traffic::default(),
            received: Traffic::default(),
            sent_drops: Drops::default(),
            received_drops: Drops::default(),
        }
    }

    /// When [`Engine::on_time`] has something to do.
    pub fn next_deadline(&self) -> Instant {
        match self.timers.peek() {
            Some(Reverse((at, _))) => self.next_tick.min(*at),
            None => self.next_tick,
        }
    }

    /// Does what is due: session timers, probes, departures from queues.
    pub fn on_time(&mut self, now: Instant, out: &mut Outbox) {
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            for position in 0..self.gateways.len() {
                self.tick_gateway(position, now, out);
            }
        }
        while let Some(Reverse((at, timer))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            match timer {
                Timer::Departure(position) => {
                    self.peerings[position].departure_scheduled = false;
                    self.depart(position, now, out);
                    self.schedule_departure(position);
                }
                Timer::Rest(position) => {
                    self.peerings[position].rest_scheduled = false;
                    self.schedule_rest(position, now);
                }
                Timer::PeeringProbe(position) if self.peerings[position].probe_scheduled == at => {
                    self.probe_peering(position, now, out);
                    self.schedule_peering_probe(position);
                }
                Timer::PairProbe(position) if self.gateways[position].probe_scheduled == at => {
                    self.probe_pair(position, now, out);
                    self.schedule_pair_probe(position);
                }
                Timer::PathMtu(position) if self.gateways[position].path_mtu_scheduled == at => {
                    self.probe_path_mtu(position, now, out);
                    self.schedule_path_mtu(position);
                }
                // Superseded by an earlier one.
                Timer::PeeringProbe(_) | Timer::PairProbe(_) | Timer::PathMtu(_) => {}
            }
        }
    }

    fn tick_gateway(&mut self, position: usize, now: Instant, out: &mut Outbox) {
        let gateway = &mut self.gateways[position];
        let was_ready = gateway.was_ready;
        gateway.tick(&self.identity, now, out);
        let is_ready = gateway.session.is_ready(now);
        gateway.was_ready = is_ready;
        if was_ready && !is_ready {
            gateway.eager_tries = 0;
        }
        let overdue = gateway
            .initiated
            .is_none_or(|at| now.saturating_duration_since(at) >= EAGER_EVERY);
        if !is_ready && gateway.eager_tries < EAGER_TRIES && overdue {
            gateway.eager_tries += 1;
            gateway.initiate(&self.identity, now, out);
        }
    }

    /// The session with a gateway has just become usable: probes go out at once.
    pub(crate) fn session_established(&mut self, position: usize, now: Instant, out: &mut Outbox) {
        let gateway = self.gateways[position].id;
        out.events.push(TunnelEvent::HandshakeCompleted { gateway });
        self.gateways[position].prober.hasten(now);
        self.schedule_pair_probe(position);
        for index in 0..self.peerings.len() {
            if self.peerings[index].gateway == Some(position)
                && self.peerings[index].prober.answered.is_none()
            {
                self.peerings[index].prober.hasten(now);
                self.schedule_peering_probe(index);
            }
        }
    }

    fn probe_peering(&mut self, position: usize, now: Instant, out: &mut Outbox) {
        let peering = &mut self.peerings[position];
        if peering.other.is_some() {
            // Both ends are here: being configured is having crossed.
            if now >= peering.prober.deadline() && peering.prober.mark(now) == Answer::Crossed {
                self.crossed(position, out);
            }
            return;
        }
        let ready = peering
            .gateway
            .is_some_and(|at| self.gateways[at].is_ready(now));
        let Some(probe) = peering.prober.poll(now, ready) else {
            return;
        };
        if let Some(at) = peering.gateway {
            self.gateways[at].send_probe(&peering.path, probe, now, out);
        }
    }

    pub(crate) fn crossed(&self, position: usize, out: &mut Outbox) {
        let peering = &self.peerings[position];
        out.events.push(TunnelEvent::ProbeCrossed {
            peering: peering.id,
            side: peering.side,
            vni: peering.slice.vni,
        });
    }

    fn probe_pair(&mut self, position: usize, now: Instant, out: &mut Outbox) {
        let gateway = &mut self.gateways[position];
        let ready = gateway.is_ready(now);
        let Some(probe) = gateway.prober.poll(now, ready) else {
            return;
        };
        let path = gateway.pair_path(self.overlay);
        gateway.send_probe(&path, probe, now, out);
    }

    fn probe_path_mtu(&mut self, position: usize, now: Instant, out: &mut Outbox) {
        let overlay = self.overlay;
        let gateway = &mut self.gateways[position];
        let Some(probe) = gateway.path_mtu.poll(now, gateway.prober.answered) else {
            return;
        };
        let path = gateway.pair_path(overlay);
        gateway.send_sized_probe(&path, probe, now, out);
    }

    pub(crate) fn schedule_path_mtu(&mut self, position: usize) {
        let at = self.gateways[position].path_mtu.deadline();
        self.gateways[position].path_mtu_scheduled = at;
        self.timers.push(Reverse((at, Timer::PathMtu(position))));
    }

    fn schedule_pair_probe(&mut self, position: usize) {
        let at = self.gateways[position].prober.deadline();
        self.gateways[position].probe_scheduled = at;
        self.timers.push(Reverse((at, Timer::PairProbe(position))));
    }

    fn schedule_peering_probe(&mut self, position: usize) {
        let at = self.peerings[position].prober.deadline();
        self.peerings[position].probe_scheduled = at;
        self.timers
            .push(Reverse((at, Timer::PeeringProbe(position))));
    }

    pub(crate) fn schedule_departure(&mut self, position: usize) {
        let peering = &mut self.peerings[position];
        if !peering.departure_scheduled
            && let Some(at) = peering.shaper.next_departure()
        {
            peering.departure_scheduled = true;
            self.timers.push(Reverse((at, Timer::Departure(position))));
        }
    }

    // Queues that stay empty are given up; one timer at a time looks after that.
    pub(crate) fn schedule_rest(&mut self, position: usize, now: Instant) {
        let peering = &mut self.peerings[position];
        if !peering.rest_scheduled
            && let Some(at) = peering.shaper.rest(now)
        {
            peering.rest_scheduled = true;
            self.timers.push(Reverse((at, Timer::Rest(position))));
        }
    }

    /// How many timers run.
    #[cfg(test)]
    pub(crate) fn running_timers(&self) -> usize {
        self.timers.len()
    }

    /// Tells the MTU of the route towards a gateway, which bounds what is probed for.
    pub fn set_underlay_mtu(&mut self, gateway: GatewayId, mtu: u16, now: Instant) {
        if let Some(position) = self.gateway_by_id.get(&gateway).copied() {
            let gateway = &mut self.gateways[position];
            gateway.path_mtu.set_link(mtu, gateway.prober.answered, now);
            self.schedule_path_mtu(position);
        }
    }

    /// Where each gateway is reached at present.
    pub fn endpoints(&self) -> impl Iterator<Item = (GatewayId, SocketAddr)> + '_ {
        self.gateways
            .iter()
            .filter_map(|gateway| Some((gateway.id, gateway.endpoint?)))
    }

    /// Whether an endpoint changed since the last call.
    pub fn take_endpoints_changed(&mut self) -> bool {
        std::mem::take(&mut self.endpoints_changed)
    }

    /// Counts a datagram or a packet that the I/O could not deliver.
    pub fn count_io_drop(&mut self, cause: Drop, packets: u64) {
        self.drops.add(cause, packets);
    }

    /// The largest inner MTU among the pairs of each VPC that has a peering.
    pub fn device_mtus(&self) -> BTreeMap<VpcId, u16> {
        let mut mtus: BTreeMap<VpcId, u16> = BTreeMap::new();
        for peering in &self.peerings {
            let mtu = match peering.gateway {
                Some(at) => self.gateways[at].inner_mtu(),
                None => peering.other.map(|_| LOCAL_MTU),
            };
            if let Some(mtu) = mtu {
                let largest = mtus.entry(peering.slice.local_vpc).or_default();
                *largest = mtu.max(*largest);
            }
        }
        mtus
    }
}

fn ipv6_ends(
    slice: &GatewaySlice,
    key: (PeeringConnectionId, Side),
    local: VpcId,
) -> Option<Ipv6Ends> {
    Some(Ipv6Ends {
        local: slice.ipv6.vpcs.get(&local)?.cidr,
        peer: *slice.ipv6.peer_cidrs.get(&key)?,
    })
}

impl Peering {
    /// Whether an address lies in the peer VPC. `None` for IPv6 without IPv6.
    pub(crate) fn is_peers(&self, address: IpAddr) -> Option<bool> {
        match address {
            IpAddr::V4(address) => Some(self.is_peers_ipv4(address)),
            IpAddr::V6(address) => Some(self.ipv6?.peer.contains_address(address)),
        }
    }

    pub(crate) fn is_peers_ipv4(&self, address: Ipv4Addr) -> bool {
        let mut blocks = self.slice.peer_blocks();
        blocks.any(|block| block.contains_address(address))
    }

    pub(crate) fn is_ours_ipv4(&self, address: Ipv4Addr) -> bool {
        let mut blocks = self.local_blocks.iter();
        blocks.any(|block| block.contains_address(address))
    }

    /// Whether an address lies in our VPC. `None` for IPv6 without IPv6.
    pub(crate) fn is_ours(&self, address: IpAddr) -> Option<bool> {
        match address {
            IpAddr::V4(address) => Some(self.is_ours_ipv4(address)),
            IpAddr::V6(address) => Some(self.ipv6?.local.contains_address(address)),
        }
    }
}
