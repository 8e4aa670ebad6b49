//! For tests: packets, slices, and in [`Pair`] two engines joined by an underlay in memory.

mod memory;
mod pair;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use model::id::LegacyVpcId;
use model::slice::{SubnetSlice, VpcSlice};
use model::{CidrBlock, PeeringConnectionId, Region, SubnetId};

use crate::packet::{
    IpHeader, PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, fold, pseudo_header_sum, pseudo_sum_of,
    sum, write_ipv4_checksum,
};

pub use memory::{MemoryTunnel, Passed};
pub use pair::{
    Carried, End, Pair, PeeringSpec, Weather, crossings, engine_options, gateway_id, pair_slice,
    side,
};

/// Parses a CIDR block.
///
/// # Panics
/// When it is none.
pub fn block(text: &str) -> CidrBlock {
    text.parse().expect("a CIDR block")
}

/// A peering's id from a number.
pub fn peering_id(number: u64) -> PeeringConnectionId {
    PeeringConnectionId::from_entropy(number)
}

/// A VPC with subnets and no routes. Subnet ids follow the order given.
pub fn vpc_slice(cidr: &str, subnets: &[&str]) -> VpcSlice {
    let subnets = subnets.iter().enumerate().map(|(number, cidr)| {
        let subnet = SubnetSlice {
            cidr: block(cidr),
            routes: BTreeMap::new(),
        };
        (SubnetId::from_entropy(number as u64), subnet)
    });
    VpcSlice {
        legacy_id: LegacyVpcId {
            region: Region::Guangzhou,
            number: 1,
        },
        cidr: block(cidr),
        assistant_cidrs: BTreeSet::new(),
        subnets: subnets.collect(),
    }
}

/// A whole IPv4 packet with DF set around a transport header and its payload.
pub fn ipv4_packet(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let total = (20 + payload.len()) as u16;
    let mut packet = vec![0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0];
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&destination.octets());
    packet.extend_from_slice(payload);
    write_ipv4_checksum(&mut packet, 20);
    packet
}

/// A UDP packet with its checksum.
pub fn udp_packet(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    from: u16,
    to: u16,
    payload: &[u8],
) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    let mut udp = Vec::new();
    for word in [from, to, length, 0] {
        udp.extend_from_slice(&word.to_be_bytes());
    }
    udp.extend_from_slice(payload);
    let pseudo = pseudo_header_sum(source, destination, PROTOCOL_UDP, udp.len());
    let checksum = match !fold(pseudo + sum(&udp)) {
        0 => 0xffff,
        checksum => checksum,
    };
    udp[6..8].copy_from_slice(&checksum.to_be_bytes());
    ipv4_packet(source, destination, PROTOCOL_UDP, &udp)
}

/// A TCP packet from port 40000 to 5201 with its checksum.
pub fn tcp_packet(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    sequence: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    tcp_packet_with_options(source, destination, sequence, flags, &[], payload)
}

/// As [`tcp_packet`], with options of a whole number of words.
pub fn tcp_packet_with_options(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    sequence: u32,
    flags: u8,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend_from_slice(&40_000u16.to_be_bytes());
    tcp.extend_from_slice(&5201u16.to_be_bytes());
    tcp.extend_from_slice(&sequence.to_be_bytes());
    tcp.extend_from_slice(&77u32.to_be_bytes());
    tcp.extend_from_slice(&[
        ((20 + options.len()) / 4 * 16) as u8,
        flags,
        1,
        0,
        0,
        0,
        0,
        0,
    ]);
    tcp.extend_from_slice(options);
    tcp.extend_from_slice(payload);
    let pseudo = pseudo_header_sum(source, destination, PROTOCOL_TCP, tcp.len());
    let checksum = !fold(pseudo + sum(&tcp));
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    ipv4_packet(source, destination, PROTOCOL_TCP, &tcp)
}

/// A whole IPv6 packet around a transport header and its payload.
pub fn ipv6_packet(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let length = payload.len() as u16;
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
    packet[4..6].copy_from_slice(&length.to_be_bytes());
    packet.extend_from_slice(&source.octets());
    packet.extend_from_slice(&destination.octets());
    packet.extend_from_slice(payload);
    packet
}

/// A UDP packet over IPv6 with its checksum.
pub fn udp_packet_v6(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    from: u16,
    to: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut udp = Vec::new();
    for word in [from, to, 8 + payload.len() as u16, 0] {
        udp.extend_from_slice(&word.to_be_bytes());
    }
    udp.extend_from_slice(payload);
    with_transport_checksum(ipv6_packet(source, destination, PROTOCOL_UDP, &udp), 6)
}

/// A TCP packet over IPv6 from port 40000 to 5201 with its checksum.
pub fn tcp_packet_v6(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    sequence: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    // The TCP part of an IPv4 packet; its checksum is made anew.
    let over_v4 = tcp_packet(
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::UNSPECIFIED,
        sequence,
        flags,
        payload,
    );
    with_transport_checksum(
        ipv6_packet(source, destination, PROTOCOL_TCP, &over_v4[20..]),
        16,
    )
}

fn with_transport_checksum(mut packet: Vec<u8>, at: usize) -> Vec<u8> {
    packet[40 + at..42 + at].fill(0);
    let transport = &packet[40..];
    let checksum = !fold(pseudo_sum_of(&packet, packet[6], transport.len()) + sum(transport));
    packet[40 + at..42 + at].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// An ICMP echo request.
pub fn ping_packet(source: Ipv4Addr, destination: Ipv4Addr, sequence: u16) -> Vec<u8> {
    let mut icmp = vec![8, 0, 0, 0, 0, 1];
    icmp.extend_from_slice(&sequence.to_be_bytes());
    icmp.extend_from_slice(&[0x5a; 56]);
    let checksum = !fold(sum(&icmp));
    icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
    ipv4_packet(source, destination, PROTOCOL_ICMP, &icmp)
}

/// Whether the checksum of a TCP or UDP packet matches.
pub fn transport_checksum_is_right(packet: &[u8]) -> bool {
    IpHeader::parse(packet).is_ok_and(|header| {
        let transport = &packet[header.header_len..header.total_len];
        let pseudo = pseudo_sum_of(packet, header.protocol, transport.len());
        fold(pseudo + sum(transport)) == 0xffff
    })
}
