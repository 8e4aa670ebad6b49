//! Underlays of 1400, 1500 and 9000 bytes over both families: what fits passes whole, what does not is
//! answered or cut, and TCP never tries. Needs root, `ip`, `ping` and `/dev/net/tun`.

mod bed;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use bed::behind::{Fragments, Host};
use bed::{Bed, Family, Plan, Subnets, in_namespace, ip};
use model::Side;
use socket2::SockRef;

/// More than any inner MTU here, so that hosts offer a larger MSS than passes.
const HOST_MTU: u16 = 9_200;
const UNDERLAY_MTUS: [u16; 3] = [1400, 1500, 9000];
const STREAM: usize = 4 << 20;

#[test]
fn root_sizes_are_kept_over_an_ipv4_underlay() {
    for underlay_mtu in UNDERLAY_MTUS {
        check(Family::V4, underlay_mtu, underlay_mtu - 60 - 50);
    }
}

#[test]
fn root_sizes_are_kept_over_an_ipv6_underlay() {
    for underlay_mtu in UNDERLAY_MTUS {
        check(Family::V6, underlay_mtu, underlay_mtu - 80 - 50);
    }
}

struct Site {
    left: Host,
    right: Host,
    unrouted: Host,
    bed: Bed,
    mtu: u16,
}

fn check(underlay: Family, underlay_mtu: u16, mtu: u16) {
    println!("{underlay:?}, underlay {underlay_mtu}, inner {mtu}");
    let bed = Bed::build(Plan {
        tag: "mt",
        underlay,
        underlay_mtu,
        subnets: Subnets::OneOfTwoRouted,
        ..Plan::default()
    });
    for tunnel in [&bed.left, &bed.right] {
        let status = tunnel.status();
        let pair = status.gateways.values().next().unwrap();
        assert_eq!(pair.inner_mtu, Some(mtu));
    }
    let site = Site {
        left: Host::new(&bed, 0, 1, HOST_MTU),
        right: Host::new(&bed, 1, 1, HOST_MTU),
        unrouted: Host::new(&bed, 0, 2, HOST_MTU),
        bed,
        mtu,
    };
    // The device has the pair's MTU: the kernel answers and cuts.
    site.check_sizes();
    assert_eq!(site.too_big(), 0);
    // A VPC with another pair has a larger one: the engine does.
    site.raise_devices();
    site.check_tcp();
    assert_eq!(site.too_big(), 0, "no segment was too big");
    site.check_sizes();
    assert_eq!(site.too_big(), 2, "one from each side");
    site.check_routes();
}

impl Site {
    fn raise_devices(&self) {
        for name in &self.bed.hosts.names[2..] {
            ip(&["-n", name, "link", "set", "peer0", "mtu", "9100"]);
        }
    }

    fn too_big(&self) -> u64 {
        let sides = [
            (&self.bed.left, Side::Requester),
            (&self.bed.right, Side::Accepter),
        ];
        let drops = sides.map(|(tunnel, side)| {
            let (key, _) = self.bed.peering(side);
            let status = tunnel.status();
            let drops = status.peerings[&key].sent_drops.get("too_big").copied();
            drops.unwrap_or(0)
        });
        drops.iter().sum()
    }

    fn check_sizes(&self) {
        for (from, to) in [(&self.left, &self.right), (&self.right, &self.left)] {
            let fits = from.ping(to, self.mtu, Fragments::Forbidden);
            assert!(fits.contains(" 1 received"), "{fits}");
            let refused = from.ping(to, self.mtu + 1, Fragments::Forbidden);
            let expected = format!(
                "From {} icmp_seq=1 Frag needed and DF set (mtu = {})",
                from.gateway, self.mtu
            );
            assert!(refused.contains(&expected), "{refused}\nnot: {expected}");
            for size in [self.mtu + 1, self.mtu + 1000] {
                let cut = from.ping(to, size.min(HOST_MTU), Fragments::Allowed);
                assert!(cut.contains(" 1 received"), "{size} bytes: {cut}");
            }
        }
    }

    // Of two subnets of a VPC only one has a route: the other one's packets go nowhere.
    fn check_routes(&self) {
        let (key, _) = self.bed.peering(Side::Requester);
        let before = self.bed.left.status();
        let lost = self.unrouted.ping(&self.right, 84, Fragments::Forbidden);
        assert!(lost.contains(" 0 received"), "{lost}");
        let after = self.bed.left.status();
        let sent = |status: &tunnel::TunnelStatus| status.peerings[&key].sent.packets;
        assert_eq!(sent(&before), sent(&after));
        let no_route = |status: &tunnel::TunnelStatus| status.drops.get("no_route").copied();
        assert!(no_route(&after) > no_route(&before), "{:?}", after.drops);
        let answered = self.left.ping(&self.right, 84, Fragments::Forbidden);
        assert!(answered.contains(" 1 received"), "{answered}");
    }

    fn check_tcp(&self) {
        for (from, to) in [(&self.left, &self.right), (&self.right, &self.left)] {
            let listener = in_namespace(&to.namespace, || {
                TcpListener::bind((to.address, 5202)).unwrap()
            });
            let near = in_namespace(&from.namespace, || {
                TcpStream::connect((to.address, 5202)).unwrap()
            });
            let (far, _) = listener.accept().unwrap();
            for (name, socket) in [("calling", &near), ("called", &far)] {
                // Headers of 20 and 20 bytes, timestamps 12.
                let mss = SockRef::from(socket).tcp_mss().unwrap();
                assert_eq!(mss, u32::from(self.mtu) - 52, "MSS at the {name} end");
            }
            pass_stream(&near, &far);
        }
    }
}

// Both ways at once, every byte compared.
fn pass_stream(near: &TcpStream, far: &TcpStream) {
    std::thread::scope(|scope| {
        for (socket, peers) in [(near, 1u32), (far, 2)] {
            let of = |seed: u32| -> Vec<u8> {
                let word = |index: u32| (index ^ seed).wrapping_mul(0x9e37_79b9).to_le_bytes();
                (0..STREAM as u32 / 4).flat_map(word).collect()
            };
            socket
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            scope.spawn(move || { socket }.write_all(&of(3 - peers)).unwrap());
            scope.spawn(move || {
                let mut received = vec![0; STREAM];
                { socket }.read_exact(&mut received).unwrap();
                assert!(received == of(peers), "the stream was altered");
            });
        }
    });
}
