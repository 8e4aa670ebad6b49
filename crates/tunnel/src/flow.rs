//! Which flow a packet belongs to.

use std::net::IpAddr;

use crate::packet::{IpHeader, ports};

/// The 5-tuple of a flow, exact. Fragments of a datagram have no ports, the first one included, so
/// that all of them belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports: [u8; 4],
}

impl FlowKey {
    /// The key of a packet. `header` is the packet's own.
    pub fn new(packet: &[u8], header: &IpHeader) -> FlowKey {
        FlowKey {
            source: header.source,
            destination: header.destination,
            protocol: header.protocol,
            ports: ports(packet, header).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use super::*;
    use crate::mtu::fragment;
    use crate::testing::{ping_packet, tcp_packet, udp_packet};

    fn key(packet: &[u8]) -> FlowKey {
        FlowKey::new(packet, &IpHeader::parse(packet).unwrap())
    }

    #[test]
    fn flows_differ_by_each_part_of_the_five_tuple() {
        let (a, b): (Ipv4Addr, Ipv4Addr) = ([10, 1, 0, 5].into(), [10, 2, 0, 5].into());
        let keys = [
            key(&udp_packet(a, b, 1, 2, b"x")),
            key(&udp_packet(b, a, 1, 2, b"x")),
            key(&udp_packet(a, b, 2, 1, b"x")),
            key(&udp_packet(a, b, 40_000, 5201, b"x")),
            key(&tcp_packet(a, b, 1, 0, b"x")),
            key(&ping_packet(a, b, 1)),
        ];
        let distinct: BTreeSet<String> = keys.iter().map(|key| format!("{key:?}")).collect();
        assert_eq!(distinct.len(), keys.len());
        assert_eq!(key(&ping_packet(a, b, 1)), key(&ping_packet(a, b, 2)));
        assert_eq!(
            key(&tcp_packet(a, b, 1, 0, b"x")),
            key(&tcp_packet(a, b, 9, 1, b"other"))
        );
    }

    #[test]
    fn all_fragments_of_a_datagram_share_a_flow() {
        let packet = udp_packet([10, 1, 0, 5].into(), [10, 2, 0, 5].into(), 1, 2, &[0; 3000]);
        let mut keys = Vec::new();
        fragment(&packet, 1390, &mut vec![0; 1 << 16], |part| {
            keys.push(key(part));
        });
        assert_eq!(keys.len(), 3);
        assert!(keys.iter().all(|part| *part == keys[0]));
    }
}
