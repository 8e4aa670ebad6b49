//! The test bed: four namespaces. Two hold a gateway's underlay end and are joined by a veth pair;
//! two hold a TUN device and play the VPC and its host at once.
#![allow(dead_code, reason = "each test program uses a part of the bed")]

pub mod behind;
pub mod flood;
pub mod linux;
pub mod steady;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::id::LegacyVpcId;
use model::ipv6::Ipv6Slice;
use model::slice::{GatewaySlice, PeerEnd, PeeringSlice, SubnetSlice, TunnelPeerSlice, VpcSlice};
use model::{
    Bandwidth, CidrBlock, GatewayId, Generation, PeeringConnectionId, Region, Side, SubnetId, Vni,
    VpcId,
};
use nix::sched::{CloneFlags, setns};
use tunnel::{Tunnel, TunnelDesired, TunnelEvent, TunnelOptions, generate_private_key, public_key};

// IFF_TUN, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE.
const PEER0_FLAGS: i16 = 0x0001 | 0x1000 | 0x4000 | 0x0100;
pub const LEFT: Ipv4Addr = Ipv4Addr::new(10, 71, 0, 5);
pub const RIGHT: Ipv4Addr = Ipv4Addr::new(10, 72, 0, 5);

/// The namespaces, removed at the end: underlay left and right, VPC left and right.
pub struct Hosts {
    pub names: Vec<String>,
    /// Where the hosts at the two ends are, and their addresses.
    pub ends: [(String, Ipv4Addr); 2],
}

pub struct Bed {
    // First, so that the engines stop before their namespaces go.
    pub left: Tunnel,
    pub right: Tunnel,
    pub keys: [[u8; 32]; 2],
    pub hosts: Hosts,
}

/// What a bed is to be like.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Tells its namespaces from those of other beds in the same process; short.
    pub tag: &'static str,
    /// 0 is uncapped.
    pub mbps: u32,
    pub underlay: Family,
    pub underlay_mtu: u16,
    pub subnets: Subnets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// The subnets of each VPC, a /16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subnets {
    /// One that is the whole VPC, with a route to the peer.
    Whole,
    /// Two /24, numbers 1 and 2. Only the first has a route to the peer.
    OneOfTwoRouted,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            tag: "bd",
            mbps: 0,
            underlay: Family::V4,
            underlay_mtu: 1500,
            subnets: Subnets::Whole,
        }
    }
}

pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<Vec<u8>>>,
}

impl Bed {
    /// Builds everything over IPv4 and waits until probes have crossed both ways. `mbps` 0 is
    /// uncapped.
    pub fn new(tag: &'static str, mbps: u32) -> Bed {
        Bed::build(Plan {
            tag,
            mbps,
            ..Plan::default()
        })
    }

    /// Builds what is planned and waits until probes have crossed both ways.
    pub fn build(plan: Plan) -> Bed {
        let hosts = Hosts::new(plan.tag);
        for name in &hosts.names[..2] {
            let mtu = plan.underlay_mtu.to_string();
            ip(&["-n", name, "link", "set", "u0", "mtu", &mtu]);
        }
        let (any, addresses): (IpAddr, [&str; 2]) = match plan.underlay {
            Family::V4 => (Ipv4Addr::UNSPECIFIED.into(), ["192.0.2.1", "192.0.2.2"]),
            Family::V6 => (Ipv6Addr::UNSPECIFIED.into(), ["2001:db8::1", "2001:db8::2"]),
        };
        let addresses = addresses.map(|address| address.parse::<IpAddr>().unwrap());
        let devices = [
            (&hosts.names[2], LEFT, "10.72.0.0/16"),
            (&hosts.names[3], RIGHT, "10.71.0.0/16"),
        ]
        .map(|(name, address, to)| tun_device(name, address, to));
        let keys = [generate_private_key(), generate_private_key()];
        let crossed = [
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        ];
        let [left, right] = [0, 1].map(|index: usize| {
            let crossed = crossed[index].clone();
            let options = TunnelOptions {
                private_key: keys[index],
                listen: vec![SocketAddr::from((any, 0))],
                keepalive: None,
                workers: 0,
                on_event: Box::new(move |event| {
                    if matches!(event, TunnelEvent::ProbeCrossed { .. }) {
                        crossed.store(true, Ordering::Relaxed);
                    }
                }),
            };
            in_namespace(&hosts.names[index], || Tunnel::start(options).unwrap())
        });
        let ports = [
            left.local_addresses()[0].port(),
            right.local_addresses()[0].port(),
        ];
        for (index, tunnel) in [&left, &right].into_iter().enumerate() {
            let other = 1 - index;
            let endpoint = SocketAddr::from((addresses[other], ports[other]));
            let slice = slice_of(&plan, index, public_key(&keys[other]));
            let desired = TunnelDesired {
                slice: Arc::new(slice),
                endpoints: BTreeMap::from([(gateway(other), endpoint)]),
                devices: BTreeMap::from([(vpc(index), devices[index].clone())]),
            };
            tunnel.configure(desired).unwrap();
            let mtu = tunnel.device_mtu(vpc(index)).unwrap().to_string();
            ip(&[
                "-n",
                &hosts.names[2 + index],
                "link",
                "set",
                "peer0",
                "mtu",
                &mtu,
            ]);
        }
        wait_for("probes both ways", Duration::from_secs(10), || {
            crossed
                .iter()
                .all(|crossed| crossed.load(Ordering::Relaxed))
        });
        Bed {
            left,
            right,
            keys,
            hosts,
        }
    }

    /// Where an end's tunnel is reached over IPv4.
    pub fn endpoint(&self, end: usize) -> SocketAddr {
        let tunnel = [&self.left, &self.right][end];
        let port = tunnel.local_addresses()[0].port();
        SocketAddr::from(([192, 0, 2, end as u8 + 1], port))
    }

    pub fn peering(&self, side: Side) -> ((PeeringConnectionId, Side), Vni) {
        ((PeeringConnectionId::from_entropy(1), side), Vni::FIRST)
    }
}

impl Hosts {
    /// Makes the namespaces and joins the underlay ones, `192.0.2.1` left and `192.0.2.2` right.
    pub fn new(tag: &str) -> Hosts {
        assert!(nix::unistd::geteuid().is_root(), "this test needs root");
        let name = |part: &str| format!("pwt{tag}{part}{}", std::process::id());
        let hosts = Hosts {
            names: vec![name("ul"), name("ur"), name("vl"), name("vr")],
            ends: [(name("vl"), LEFT), (name("vr"), RIGHT)],
        };
        let names = &hosts.names;
        for name in names {
            ip(&["netns", "add", name]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        let (ul, ur) = (&names[0], &names[1]);
        ip(&[
            "-n", ul, "link", "add", "u0", "type", "veth", "peer", "name", "u0", "netns", ur,
        ]);
        for (name, host) in [(ul, 1), (ur, 2)] {
            let (v4, v6) = (format!("192.0.2.{host}/24"), format!("2001:db8::{host}/64"));
            ip(&["-n", name, "addr", "add", &v4, "dev", "u0"]);
            ip(&["-n", name, "addr", "add", &v6, "dev", "u0", "nodad"]);
            ip(&["-n", name, "link", "set", "u0", "up"]);
        }
        hosts
    }

    pub fn ping(&self) -> bool {
        self.ping_from(0)
    }

    /// Whether an echo request from an end to the other one is answered within 5 s.
    pub fn ping_from(&self, end: usize) -> bool {
        // An echo request by a raw socket: the machine may have no ping program.
        let kind = (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP);
        let ((namespace, from), (_, to)) = (&self.ends[end], &self.ends[1 - end]);
        in_namespace(namespace, || {
            let socket = raw_socket(kind.0, kind.1, kind.2);
            let packet = tunnel::testing::ping_packet(*from, *to, 9);
            let socket: UdpSocket = socket.into();
            socket
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            socket.send_to(&packet[20..], (*to, 0)).unwrap();
            let mut answer = [0; 200];
            let deadline = Instant::now() + Duration::from_secs(5);
            while Instant::now() < deadline {
                let Ok(length) = socket.recv(&mut answer) else {
                    return false;
                };
                if length > 28 && answer[20] == 0 && answer[26..28] == [0, 9] {
                    return true;
                }
            }
            false
        })
    }

    /// Sends a datagram to the other host, which sends it back.
    pub fn exchange<const N: usize>(&self, data: &[u8; N]) -> [u8; N] {
        let bind = |name: &str| in_namespace(name, || UdpSocket::bind("0.0.0.0:7007").unwrap());
        let (left, right) = (bind(&self.ends[0].0), bind(&self.ends[1].0));
        for socket in [&left, &right] {
            socket
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
        }
        let mut buffer = [0; N];
        left.send_to(data, (RIGHT, 7007)).unwrap();
        let (_, from) = right.recv_from(&mut buffer).unwrap();
        assert_eq!(from, SocketAddr::from((LEFT, 7007)));
        right.send_to(&buffer, from).unwrap();
        left.recv_from(&mut buffer).unwrap();
        buffer
    }

    /// Bits per second of TCP payload from left to right, judged at the receiver.
    pub fn bulk(&self, duration: Duration) -> f64 {
        self.bulk_from(0, duration)
    }

    /// As [`Hosts::bulk`], from either end.
    pub fn bulk_from(&self, end: usize, duration: Duration) -> f64 {
        let (name, (to, address)) = (self.ends[end].0.clone(), self.ends[1 - end].clone());
        let listener = in_namespace(&to, || TcpListener::bind((address, 5201)).unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let sender_stop = stop.clone();
        let sender = std::thread::spawn(move || {
            let mut stream = in_namespace(&name, || TcpStream::connect((address, 5201)).unwrap());
            let data = vec![0xa5; 256 << 10];
            while !sender_stop.load(Ordering::Relaxed) {
                stream.write_all(&data).unwrap();
            }
        });
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut buffer = vec![0; 256 << 10];
        // The first half second is slow start.
        let begin = Instant::now() + Duration::from_millis(500);
        let end = begin + duration;
        let mut bytes = 0usize;
        let mut elapsed = Duration::ZERO;
        while elapsed < duration {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0 && buffer[..read].iter().all(|byte| *byte == 0xa5));
            let now = Instant::now();
            if now > begin {
                bytes += read;
                elapsed = now - begin;
            }
            assert!(now < end + Duration::from_secs(20), "the stream stalls");
        }
        stop.store(true, Ordering::Relaxed);
        let bits = bytes as f64 * 8.0 / elapsed.as_secs_f64();
        std::thread::spawn(move || while stream.read(&mut buffer).is_ok_and(|read| read > 0) {});
        sender.join().unwrap();
        bits
    }

    /// Records every frame on the underlay until [`Capture::finish`].
    pub fn capture_underlay(&self) -> Capture {
        self.capture(|_| true)
    }

    /// Records those frames on the underlay that a condition holds for, until [`Capture::finish`].
    pub fn capture(&self, is_wanted: fn(&[u8]) -> bool) -> Capture {
        let socket: UdpSocket = in_namespace(&self.names[1], || {
            let all = i32::from((libc::ETH_P_ALL as u16).to_be());
            raw_socket(libc::AF_PACKET, libc::SOCK_RAW, all).into()
        });
        socket
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut frames, mut last_round) = (Vec::new(), None);
            let mut buffer = vec![0; 1 << 16];
            loop {
                // What came before the stop is taken all the same, however much follows.
                if stopped.load(Ordering::Relaxed) {
                    last_round.get_or_insert_with(|| Instant::now() + Duration::from_millis(100));
                }
                match socket.recv(&mut buffer) {
                    Ok(length) if is_wanted(&buffer[..length]) => {
                        frames.push(buffer[..length].to_vec());
                    }
                    Ok(_) => {}
                    Err(_) if last_round.is_some() => return frames,
                    Err(_) => {}
                }
                if last_round.is_some_and(|end| Instant::now() >= end) {
                    return frames;
                }
            }
        });
        Capture { stop, thread }
    }
}

impl Capture {
    pub fn finish(self) -> Vec<Vec<u8>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

/// Waits until a condition holds, at most as long as the bound.
pub fn wait_for(what: &str, bound: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + bound;
    while !condition() {
        assert!(Instant::now() < end, "no {what} within {bound:?}");
        std::thread::yield_now();
    }
}

pub fn gateway(index: usize) -> GatewayId {
    GatewayId::from_entropy(index as u64 + 1)
}

pub fn vpc(index: usize) -> VpcId {
    VpcId::from_entropy(index as u64 + 1)
}

fn cidr(index: usize) -> CidrBlock {
    ["10.71.0.0/16", "10.72.0.0/16"][index].parse().unwrap()
}

pub fn overlay(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(100, 64, 0, index as u8 + 1)
}

pub fn slice(index: usize, mbps: u32, peer_key: model::PublicKey) -> GatewaySlice {
    let plan = Plan {
        mbps,
        ..Plan::default()
    };
    slice_of(&plan, index, peer_key)
}

fn subnets(plan: &Plan, index: usize, id: PeeringConnectionId) -> Vec<SubnetSlice> {
    let routes = BTreeMap::from([(cidr(1 - index), id)]);
    match plan.subnets {
        Subnets::Whole => vec![SubnetSlice {
            cidr: cidr(index),
            routes,
        }],
        Subnets::OneOfTwoRouted => [(1, routes), (2, BTreeMap::new())]
            .map(|(number, routes)| SubnetSlice {
                cidr: format!("10.{}.{number}.0/24", 71 + index).parse().unwrap(),
                routes,
            })
            .into(),
    }
}

fn slice_of(plan: &Plan, index: usize, peer_key: model::PublicKey) -> GatewaySlice {
    let other = 1 - index;
    let side = [Side::Requester, Side::Accepter][index];
    let id = PeeringConnectionId::from_entropy(1);
    let subnets = subnets(plan, index, id).into_iter().zip(1..);
    let vpc_slice = VpcSlice {
        legacy_id: LegacyVpcId {
            region: Region::Guangzhou,
            number: 1,
        },
        cidr: cidr(index),
        assistant_cidrs: BTreeSet::new(),
        subnets: subnets
            .map(|(subnet, number)| (SubnetId::from_entropy(number), subnet))
            .collect(),
    };
    let peer = TunnelPeerSlice {
        region: Region::Shanghai,
        public_key: peer_key,
        endpoint: None,
        overlay_address: overlay(other),
    };
    let peering = PeeringSlice {
        vni: Vni::FIRST,
        local_vpc: vpc(index),
        peer_vpc: vpc(other),
        peer_cidr: cidr(other),
        peer_assistant_cidrs: BTreeSet::new(),
        bandwidth: Bandwidth::from_mbps(plan.mbps),
        peer: PeerEnd::Gateway(gateway(other)),
        peer_has_route: true,
    };
    GatewaySlice {
        generation: Generation(1),
        gateway: gateway(index),
        region: Region::Guangzhou,
        overlay_address: overlay(index),
        tunnel_peers: BTreeMap::from([(gateway(other), peer)]),
        vpcs: BTreeMap::from([(vpc(index), vpc_slice)]),
        peerings: BTreeMap::from([((id, side), peering)]),
        ipv6: Ipv6Slice::default(),
    }
}

pub fn tun_device(namespace: &str, address: Ipv4Addr, to: &str) -> Arc<OwnedFd> {
    let fd = in_namespace(namespace, || open_tun(b"peer0", PEER0_FLAGS));
    let address = format!("{address}/32");
    ip(&["-n", namespace, "addr", "add", &address, "dev", "peer0"]);
    ip(&["-n", namespace, "link", "set", "peer0", "up"]);
    ip(&["-n", namespace, "route", "add", to, "dev", "peer0"]);
    Arc::new(fd)
}

pub fn open_tun(name: &[u8; 5], flags: i16) -> OwnedFd {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun")
        .expect("/dev/net/tun");
    let mut request = [0u8; 40];
    request[..5].copy_from_slice(name);
    request[16..18].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: the request is as large as struct ifreq.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
    assert_eq!(result, 0, "TUNSETIFF: {}", std::io::Error::last_os_error());
    file.into()
}

fn raw_socket(family: i32, kind: i32, protocol: i32) -> OwnedFd {
    // SAFETY: no pointers; the descriptor is checked before it is owned.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) };
    assert!(fd >= 0, "socket: {}", std::io::Error::last_os_error());
    // SAFETY: just opened and owned by nobody else.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

// On a thread of its own, so that no other test's thread changes its namespace.
pub fn in_namespace<T: Send>(name: &str, body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let file = File::open(format!("/run/netns/{name}")).expect("the namespace");
                setns(file, CloneFlags::CLONE_NEWNET).expect("setns");
                body()
            })
            .join()
            .expect("the body passes")
    })
}

pub fn ip(arguments: &[&str]) {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .expect("the ip program");
    assert!(
        output.status.success(),
        "ip {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
