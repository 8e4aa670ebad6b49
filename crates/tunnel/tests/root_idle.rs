//! What ten thousand idle capped peerings cost a gateway: memory, and time on a core. Needs no root; it
//! has the name because it has to run optimised and alone, as those that do.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::id::LegacyVpcId;
use model::ipv6::Ipv6Slice;
use model::slice::{GatewaySlice, PeerEnd, PeeringSlice, SubnetSlice, TunnelPeerSlice, VpcSlice};
use model::{
    Bandwidth, CidrBlock, GatewayId, Generation, PeeringConnectionId, PublicKey, Region, Side,
    SubnetId, Vni, VpcId,
};
use tunnel::{Tunnel, TunnelDesired, TunnelOptions, generate_private_key, public_key};

const VPCS: usize = 100;
const PEERINGS: usize = VPCS * VPCS;
const BYTES_EACH: u64 = 4 << 10;
/// A probe a second for each peering, and an answer: 20 000 datagrams a second out and as many in.
const CORE_SHARE: f64 = 0.05;
const IDLE: Duration = Duration::from_secs(5);

struct Counting;

static LIVE_BYTES: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn root_ten_thousand_idle_capped_peerings_cost_little() {
    let keys = [generate_private_key(), generate_private_key()];
    let tunnels = keys.map(|private_key| {
        let options = TunnelOptions {
            private_key,
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            keepalive: None,
            workers: 0,
            on_event: Box::new(|_| {}),
        };
        Tunnel::start(options).unwrap()
    });
    let addresses = [0, 1].map(|end| tunnels[end].local_addresses()[0]);
    let desired = [0, 1].map(|end| TunnelDesired {
        slice: Arc::new(slice(end, public_key(&keys[1 - end]))),
        endpoints: BTreeMap::from([(gateway(1 - end), addresses[1 - end])]),
        devices: BTreeMap::new(),
    });
    let before = LIVE_BYTES.load(Ordering::Relaxed);
    for (tunnel, desired) in tunnels.iter().zip(&desired) {
        tunnel.configure(desired.clone()).unwrap();
    }
    let begin = Instant::now();
    while !tunnels.iter().all(is_settled) {
        assert!(begin.elapsed() < Duration::from_secs(60), "probes cross");
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("all paths known after {:?}", begin.elapsed());
    // From here on probes are slow, and what the fast ones took is given back.
    std::thread::sleep(Duration::from_secs(2));
    let bytes = LIVE_BYTES.load(Ordering::Relaxed) - before;
    let each = bytes / (2 * PEERINGS as u64);
    let datagrams = || tunnels[0].status().io.udp_send_segments;
    let (cpu, sent) = (engine_time(), datagrams());
    std::thread::sleep(IDLE);
    let (cpu, sent) = (engine_time() - cpu, datagrams() - sent);
    let share = cpu.as_secs_f64() / 2.0 / IDLE.as_secs_f64();
    println!(
        "{each} bytes for each peering; {:.2} % of a core and {} datagrams a second for each engine",
        share * 100.0,
        sent / IDLE.as_secs()
    );
    assert!(each <= BYTES_EACH, "{each} bytes for each peering");
    assert!(share <= CORE_SHARE, "{share} of a core");
}

fn is_settled(tunnel: &Tunnel) -> bool {
    let peerings = tunnel.status().peerings;
    peerings.len() == PEERINGS
        && peerings
            .values()
            .all(|peering| peering.last_probe.is_some())
}

/// The time that threads of engines have had on a core. Source: proc(5), `schedstat`, nanoseconds.
fn engine_time() -> Duration {
    let mut nanos = 0u64;
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        let read = |name: &str| std::fs::read_to_string(task.join(name)).unwrap();
        if read("comm").starts_with("tunnel-") {
            let stat = read("schedstat");
            nanos += stat.split(' ').next().unwrap().parse::<u64>().unwrap();
        }
    }
    Duration::from_nanos(nanos)
}

fn gateway(end: usize) -> GatewayId {
    GatewayId::from_entropy(end as u64 + 1)
}

fn vpc(end: usize, number: usize) -> VpcId {
    VpcId::from_entropy((end * VPCS + number) as u64 + 1)
}

fn cidr(end: usize, number: usize) -> CidrBlock {
    format!("{}.{number}.0.0/16", 10 + end).parse().unwrap()
}

fn id(left: usize, right: usize) -> PeeringConnectionId {
    PeeringConnectionId::from_entropy((left * VPCS + right) as u64)
}

// Every VPC of one end has a peering with every one of the other end, capped at 100 Mbps.
fn slice(end: usize, peer_key: PublicKey) -> GatewaySlice {
    let side = [Side::Requester, Side::Accepter][end];
    let other = 1 - end;
    let of = |own: usize, peer: usize| {
        if end == 0 {
            id(own, peer)
        } else {
            id(peer, own)
        }
    };
    let mut vpcs = BTreeMap::new();
    let mut peerings = BTreeMap::new();
    for own in 0..VPCS {
        let routes = (0..VPCS).map(|peer| (cidr(other, peer), of(own, peer)));
        let subnet = SubnetSlice {
            cidr: cidr(end, own),
            routes: routes.collect(),
        };
        let vpc_slice = VpcSlice {
            legacy_id: LegacyVpcId {
                region: Region::Guangzhou,
                number: own as u32 + 1,
            },
            cidr: cidr(end, own),
            assistant_cidrs: BTreeSet::new(),
            subnets: BTreeMap::from([(SubnetId::from_entropy(1), subnet)]),
        };
        vpcs.insert(vpc(end, own), vpc_slice);
        for peer in 0..VPCS {
            let number = if end == 0 {
                own * VPCS + peer
            } else {
                peer * VPCS + own
            };
            let peering = PeeringSlice {
                vni: Vni::try_from(Vni::FIRST.get() + number as u32).unwrap(),
                local_vpc: vpc(end, own),
                peer_vpc: vpc(other, peer),
                peer_cidr: cidr(other, peer),
                peer_assistant_cidrs: BTreeSet::new(),
                bandwidth: Bandwidth::from_mbps(100),
                peer: PeerEnd::Gateway(gateway(other)),
                peer_has_route: true,
            };
            peerings.insert((of(own, peer), side), peering);
        }
    }
    let overlay = |end: usize| Ipv4Addr::new(100, 64, 0, end as u8 + 1);
    let peer = TunnelPeerSlice {
        region: Region::Shanghai,
        public_key: peer_key,
        endpoint: None,
        overlay_address: overlay(other),
    };
    GatewaySlice {
        generation: Generation(1),
        gateway: gateway(end),
        region: Region::Guangzhou,
        overlay_address: overlay(end),
        tunnel_peers: BTreeMap::from([(gateway(other), peer)]),
        vpcs,
        peerings,
        ipv6: Ipv6Slice::default(),
    }
}
