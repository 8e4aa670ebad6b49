//! Two engines joined by an underlay in memory, in virtual time: one seed is one run.
//!
//! Only handshakes draw real randomness.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::ipv6::{Ipv6Slice, SubnetIpv6, VpcIpv6};
use model::slice::{GatewaySlice, PeerEnd, PeeringSlice, TunnelPeerSlice};
use model::{Bandwidth, GatewayId, Generation, Region, Side, SubnetId, Vni, VpcId};

use super::{block, peering_id, vpc_slice};
use crate::engine::{Engine, EngineDesired, EngineOptions};
use crate::gso::{SuperPacket, VNET_HEADER, VnetHeader};
use crate::outbox::Outbox;
use crate::{PeeringStatus, TunnelEvent, public_key};

/// How the underlay treats datagrams.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// How long each takes.
    pub delay: Duration,
    /// Up to how much longer, by chance; above zero they overtake each other.
    pub jitter: Duration,
    /// How many of a thousand are lost.
    pub loss_per_mille: u64,
    /// The largest underlay packet that passes, IPv4 header included.
    pub mtu: u16,
    /// Whether the underlay marks all that it carries as having met congestion.
    pub marks_congestion: bool,
}

/// A datagram on the underlay.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Carried {
    /// When it arrives.
    pub at: Instant,
    /// Counts all datagrams.
    pub number: u64,
    /// The end that it goes to.
    pub to: usize,
    /// Where it says that it comes from.
    pub from: SocketAddr,
    /// The ECN codepoint.
    pub ecn: u8,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// One gateway.
pub struct End {
    /// Its engine.
    pub engine: Engine,
    /// Its underlay address.
    pub address: SocketAddr,
    /// What it runs.
    pub slice: GatewaySlice,
    /// Where it believes others to be.
    pub endpoints: BTreeMap<GatewayId, SocketAddr>,
    /// Whole packets that its devices got, in order.
    pub delivered: Vec<(VpcId, Vec<u8>)>,
    /// When each of them came.
    pub delivered_at: Vec<Instant>,
    /// Its events, in order.
    pub events: Vec<TunnelEvent>,
}

/// Two gateways and the underlay between them.
pub struct Pair {
    /// The gateways: the requesters' and the accepters'.
    pub ends: [End; 2],
    /// The virtual time.
    pub now: Instant,
    /// How the underlay behaves.
    pub weather: Weather,
    /// Everything that was ever sent, lost or not.
    pub record: Vec<Carried>,
    carried: BinaryHeap<Reverse<Carried>>,
    pub(crate) outbox: Outbox,
    random: u64,
}

/// A peering between VPC `10.1.0.0/16` at end 0 and `10.2.0.0/16` at end 1, unless changed.
#[derive(Debug, Clone, Copy)]
pub struct PeeringSpec {
    /// Makes the ids of the peering and of its VPCs.
    pub number: u64,
    /// The cap in Mbps, 0 for none.
    pub mbps: u32,
    /// The CIDR blocks at the two ends.
    pub cidrs: [&'static str; 2],
    /// Whether the VPCs have IPv6 too: `2001:db8:1::/48` at end 0, `2001:db8:2::/48` at end 1.
    pub ipv6: bool,
}

impl Default for PeeringSpec {
    fn default() -> PeeringSpec {
        PeeringSpec {
            number: 1,
            mbps: 0,
            cidrs: ["10.1.0.0/16", "10.2.0.0/16"],
            ipv6: false,
        }
    }
}

impl PeeringSpec {
    /// The VPC's id at an end.
    pub fn vpc(&self, end: usize) -> VpcId {
        VpcId::from_entropy(self.number * 2 + end as u64)
    }

    /// The peering's VNI.
    pub fn vni(&self) -> Vni {
        Vni::try_from(Vni::FIRST.get() + self.number as u32).expect("small")
    }
}

/// The side of a peering at an end.
pub fn side(end: usize) -> Side {
    if end == 0 {
        Side::Requester
    } else {
        Side::Accepter
    }
}

/// The id of the gateway at an end.
pub fn gateway_id(end: usize) -> GatewayId {
    GatewayId::from_entropy(end as u64 + 1)
}

fn overlay(end: usize) -> Ipv4Addr {
    Ipv4Addr::new(100, 64, 0, end as u8 + 1)
}

fn private_key(end: usize) -> [u8; 32] {
    [end as u8 * 8 + 64; 32]
}

/// How the engine of an end starts.
pub fn engine_options(end: usize, seed: u64) -> EngineOptions {
    EngineOptions {
        private_key: private_key(end),
        keepalive: None,
        entropy: seed ^ end as u64,
        unix_time: Duration::from_secs(1_700_000_000),
    }
}

/// The slice of an end with the given peerings. Each VPC has one subnet of its whole CIDR with a
/// route to the peer.
pub fn pair_slice(end: usize, peerings: &[PeeringSpec]) -> GatewaySlice {
    let other = 1 - end;
    let mut slice = GatewaySlice {
        generation: Generation(1),
        gateway: gateway_id(end),
        region: Region::ALL[end],
        overlay_address: overlay(end),
        tunnel_peers: BTreeMap::new(),
        vpcs: BTreeMap::new(),
        peerings: BTreeMap::new(),
        ipv6: Ipv6Slice::default(),
    };
    let peer = TunnelPeerSlice {
        region: Region::ALL[other],
        public_key: public_key(&private_key(other)),
        endpoint: None,
        overlay_address: overlay(other),
    };
    slice.tunnel_peers.insert(gateway_id(other), peer);
    for spec in peerings {
        let mut vpc = vpc_slice(spec.cidrs[end], &[spec.cidrs[end]]);
        for subnet in vpc.subnets.values_mut() {
            subnet
                .routes
                .insert(block(spec.cidrs[other]), peering_id(spec.number));
        }
        slice.vpcs.insert(spec.vpc(end), vpc);
        add_ipv6(&mut slice, spec, end);
        let peering = PeeringSlice {
            vni: spec.vni(),
            local_vpc: spec.vpc(end),
            peer_vpc: spec.vpc(other),
            peer_cidr: block(spec.cidrs[other]),
            peer_assistant_cidrs: BTreeSet::new(),
            bandwidth: Bandwidth::from_mbps(spec.mbps),
            peer: PeerEnd::Gateway(gateway_id(other)),
            peer_has_route: true,
        };
        slice
            .peerings
            .insert((peering_id(spec.number), side(end)), peering);
    }
    slice
}

// VPC n has 2001:db8:n::/48, whichever end it is at.
fn add_ipv6(slice: &mut GatewaySlice, spec: &PeeringSpec, end: usize) {
    if !spec.ipv6 {
        return;
    }
    let cidrs = ["2001:db8:1::/48", "2001:db8:2::/48"].map(|cidr| cidr.parse().expect("a block"));
    let subnet = SubnetIpv6 {
        cidr: cidrs[end],
        routes: BTreeMap::from([(cidrs[1 - end], peering_id(spec.number))]),
    };
    let vpc = VpcIpv6 {
        cidr: cidrs[end],
        subnets: BTreeMap::from([(SubnetId::from_entropy(0), subnet)]),
    };
    slice.ipv6.vpcs.insert(spec.vpc(end), vpc);
    let key = (peering_id(spec.number), side(end));
    slice.ipv6.peer_cidrs.insert(key, cidrs[1 - end]);
}

impl Pair {
    /// Two engines that know each other and run the given peerings; nothing has crossed yet.
    pub fn new(seed: u64, peerings: &[PeeringSpec]) -> Pair {
        let now = Instant::now();
        let addresses = [1, 2].map(|host| SocketAddr::from(([192, 0, 2, host], 51820)));
        let ends = [0, 1].map(|end| End {
            engine: Engine::new(&engine_options(end, seed), now),
            address: addresses[end],
            slice: pair_slice(end, peerings),
            endpoints: BTreeMap::from([(gateway_id(1 - end), addresses[1 - end])]),
            delivered: Vec::new(),
            delivered_at: Vec::new(),
            events: Vec::new(),
        });
        let weather = Weather {
            delay: Duration::from_millis(5),
            jitter: Duration::ZERO,
            loss_per_mille: 0,
            mtu: u16::MAX,
            marks_congestion: false,
        };
        Pair {
            ends,
            now,
            weather,
            record: Vec::new(),
            carried: BinaryHeap::new(),
            outbox: Outbox::default(),
            random: seed,
        }
    }

    /// As [`Pair::new`], configured and run until every probe has crossed both ways.
    ///
    /// # Panics
    /// When they do not cross within ten virtual seconds.
    pub fn established(seed: u64, peerings: &[PeeringSpec]) -> Pair {
        let mut pair = Pair::new(seed, peerings);
        pair.configure(0);
        pair.configure(1);
        let wanted = peerings.len();
        let end = pair.now + Duration::from_secs(10);
        while pair.ends.iter().any(|end| crossings(&end.events) < wanted) {
            assert!(pair.now < end, "probes do not cross, seed {seed}");
            pair.run(Duration::from_millis(10));
        }
        pair
    }

    /// Gives an engine its slice and endpoints as they are in its [`End`].
    pub fn configure(&mut self, end: usize) {
        let this = &mut self.ends[end];
        let devices: BTreeSet<VpcId> = this.slice.vpcs.keys().copied().collect();
        let desired = EngineDesired {
            slice: Arc::new(this.slice.clone()),
            endpoints: this.endpoints.clone(),
            devices,
        };
        this.engine.configure(&desired, self.now, &mut self.outbox);
        self.carry(end);
    }

    /// A host of a VPC sends a whole packet.
    pub fn send(&mut self, end: usize, vpc: VpcId, packet: &[u8]) {
        self.send_with(end, vpc, VnetHeader::default(), packet);
    }

    /// A host of a VPC sends a packet under a vnet header.
    pub fn send_with(&mut self, end: usize, vpc: VpcId, vnet: VnetHeader, packet: &[u8]) {
        let mut frame = vnet.to_bytes().to_vec();
        frame.extend_from_slice(packet);
        self.ends[end]
            .engine
            .from_tun(vpc, &mut frame, self.now, &mut self.outbox);
        self.carry(end);
    }

    /// An end learns the MTU of its route to the other one, and has time to prove it.
    pub fn set_underlay_mtu(&mut self, end: usize, mtu: u16) {
        let now = self.now;
        let engine = &mut self.ends[end].engine;
        engine.set_underlay_mtu(gateway_id(1 - end), mtu, now);
        self.run(Duration::from_millis(100));
    }

    /// A datagram reaches an end now.
    pub fn arrive(&mut self, to: usize, from: SocketAddr, ecn: u8, bytes: &[u8]) {
        let engine = &mut self.ends[to].engine;
        engine.from_underlay(from, ecn, bytes, self.now, &mut self.outbox);
        self.carry(to);
    }

    /// Lets virtual time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let arrival = self.carried.peek().map(|Reverse(datagram)| datagram.at);
            let deadline = self.ends.iter().map(|end| end.engine.next_deadline()).min();
            let Some(next) = arrival
                .into_iter()
                .chain(deadline)
                .min()
                .filter(|next| *next <= end)
            else {
                break;
            };
            self.now = self.now.max(next);
            while let Some(Reverse(datagram)) = self.carried.peek()
                && datagram.at <= self.now
            {
                let Some(Reverse(datagram)) = self.carried.pop() else {
                    break;
                };
                self.arrive(datagram.to, datagram.from, datagram.ecn, &datagram.bytes);
            }
            for end in 0..2 {
                self.ends[end].engine.on_time(self.now, &mut self.outbox);
                self.carry(end);
            }
        }
        self.now = end;
    }

    /// The status of a peering's side at an end.
    ///
    /// # Panics
    /// When the end does not carry it.
    pub fn peering(&self, end: usize, number: u64) -> PeeringStatus {
        let mut status = self.ends[end].engine.status(self.now);
        status
            .peerings
            .remove(&(peering_id(number), side(end)))
            .expect("the peering is carried")
    }

    /// The packets that a VPC of an end got, oldest first.
    pub fn received(&self, end: usize, vpc: VpcId) -> Vec<&[u8]> {
        self.ends[end]
            .delivered
            .iter()
            .filter(|(to, _)| *to == vpc)
            .map(|(_, packet)| packet.as_slice())
            .collect()
    }

    fn carry(&mut self, from: usize) {
        let mut outbox = std::mem::take(&mut self.outbox);
        outbox.seal();
        for run in &outbox.runs {
            let bytes = &outbox.underlay_bytes()[run.range.clone()];
            for datagram in bytes.chunks(run.segment) {
                self.carry_one(from, run.destination, run.ecn, datagram);
            }
        }
        let end = &mut self.ends[from];
        for (delivery, frame) in outbox.deliveries().iter() {
            let mut frame = frame.to_vec();
            assert!(frame.len() > VNET_HEADER, "an empty delivery");
            let (vnet, packet) = VnetHeader::split(&mut frame).expect("a vnet header");
            let parsed = SuperPacket::parse(&vnet, packet).expect("a packet that the kernel takes");
            let mut whole = vec![0; 1 << 16];
            for index in 0..parsed.count() {
                let length = parsed.write_segment(index, &mut whole);
                end.delivered.push((delivery.vpc, whole[..length].to_vec()));
                end.delivered_at.push(self.now);
            }
        }
        end.events.append(&mut outbox.events);
        outbox.clear();
        self.outbox = outbox;
    }

    fn carry_one(&mut self, from: usize, destination: SocketAddr, ecn: u8, bytes: &[u8]) {
        let to = self.ends.iter().position(|end| end.address == destination);
        let jitter = self.chance() % (self.weather.jitter.as_nanos() as u64 + 1);
        let is_lost = self.chance() % 1000 < self.weather.loss_per_mille;
        let datagram = Carried {
            at: self.now + self.weather.delay + Duration::from_nanos(jitter),
            number: self.record.len() as u64,
            to: to.unwrap_or(usize::MAX),
            from: self.ends[from].address,
            ecn: if self.weather.marks_congestion {
                3
            } else {
                ecn
            },
            bytes: bytes.to_vec(),
        };
        self.record.push(datagram.clone());
        let fits = bytes.len() + 28 <= usize::from(self.weather.mtu);
        if to.is_some() && !is_lost && fits {
            self.carried.push(Reverse(datagram));
        }
    }

    fn chance(&mut self) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// How many probes have crossed for the first time.
pub fn crossings(events: &[TunnelEvent]) -> usize {
    events
        .iter()
        .filter(|event| matches!(event, TunnelEvent::ProbeCrossed { .. }))
        .count()
}
