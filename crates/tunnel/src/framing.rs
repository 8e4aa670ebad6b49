//! What travels inside the tunnel: IPv4, UDP, VXLAN and Ethernet around a tenant's packet, as
//! Linux's `vxlan` device over its `wireguard` device sends and accepts it.
//!
//! `docs/wire.md` has the offsets. Sources: RFC 7348, RFC 6040, RFC 6864 (identification 0 with DF).

use std::net::Ipv4Addr;

use crate::packet::{
    IPV4_HEADER, Ipv4Header, Malformed, PROTOCOL_UDP, UDP_HEADER, fold, pseudo_header_sum, sum,
    write_ipv4_checksum,
};

/// Bytes before the Ethernet payload: IPv4 20, UDP 8, VXLAN 8, Ethernet 14.
pub const OVERHEAD: usize = 50;
/// The UDP destination port of VXLAN.
pub const VXLAN_PORT: u16 = 4789;
/// The EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// The EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// The EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
/// The EtherType of probes: local experimental. Source: IEEE 802, clause 9.2.3.
pub const ETHERTYPE_PROBE: u16 = 0x88b5;

const UDP_AT: usize = IPV4_HEADER;
const VXLAN_AT: usize = UDP_AT + UDP_HEADER;
const ETHERNET_AT: usize = VXLAN_AT + 8;
const VNI_VALID: u8 = 0x08;
const TTL: u8 = 64;

/// Where a frame goes: the addresses around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramePath {
    /// Our overlay address.
    pub source: Ipv4Addr,
    /// The other gateway's overlay address.
    pub destination: Ipv4Addr,
    /// The overlay network id, 24 bits; 0 for the pair's own probes.
    pub vni: u32,
    /// Our side's MAC address.
    pub source_mac: [u8; 6],
    /// The other side's MAC address.
    pub destination_mac: [u8; 6],
}

/// A frame's payload description, for writing the headers before it.
#[derive(Debug, Clone, Copy)]
pub struct FrameMeta {
    /// The EtherType.
    pub ethertype: u16,
    /// The ECN codepoint of the inner packet, copied to the outer one.
    pub ecn: u8,
    /// The hash of the inner flow.
    pub flow_hash: u32,
}

/// Writes the headers before a payload that already lies at [`OVERHEAD`] and ends with `frame`.
/// `frame` must be longer than [`OVERHEAD`] and below 64 KiB.
pub fn write_headers(frame: &mut [u8], path: &FramePath, meta: FrameMeta) {
    let total = frame.len();
    frame[..12].copy_from_slice(&[0x45, meta.ecn, 0, 0, 0, 0, 0x40, 0, TTL, PROTOCOL_UDP, 0, 0]);
    frame[2..4].copy_from_slice(&(total as u16).to_be_bytes());
    frame[12..16].copy_from_slice(&path.source.octets());
    frame[16..20].copy_from_slice(&path.destination.octets());
    write_ipv4_checksum(frame, IPV4_HEADER);
    // RFC 7348, section 5: the dynamic range 49152 to 65535.
    let port = 0xc000 | (meta.flow_hash & 0x3fff) as u16;
    let udp_len = total - UDP_AT;
    frame[UDP_AT..UDP_AT + 2].copy_from_slice(&port.to_be_bytes());
    frame[UDP_AT + 2..UDP_AT + 4].copy_from_slice(&VXLAN_PORT.to_be_bytes());
    frame[UDP_AT + 4..UDP_AT + 6].copy_from_slice(&(udp_len as u16).to_be_bytes());
    frame[UDP_AT + 6..UDP_AT + 8].fill(0);
    frame[VXLAN_AT..VXLAN_AT + 4].copy_from_slice(&[VNI_VALID, 0, 0, 0]);
    frame[VXLAN_AT + 4..VXLAN_AT + 8].copy_from_slice(&(path.vni << 8).to_be_bytes());
    frame[ETHERNET_AT..ETHERNET_AT + 6].copy_from_slice(&path.destination_mac);
    frame[ETHERNET_AT + 6..ETHERNET_AT + 12].copy_from_slice(&path.source_mac);
    frame[ETHERNET_AT + 12..OVERHEAD].copy_from_slice(&meta.ethertype.to_be_bytes());
    let pseudo = pseudo_header_sum(path.source, path.destination, PROTOCOL_UDP, udp_len);
    let checksum = match !fold(pseudo + sum(&frame[UDP_AT..])) {
        0 => 0xffff,
        checksum => checksum,
    };
    frame[UDP_AT + 6..UDP_AT + 8].copy_from_slice(&checksum.to_be_bytes());
}

/// A frame as it came out of the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The outer source: which gateway says it sent this.
    pub source: Ipv4Addr,
    /// The outer destination.
    pub destination: Ipv4Addr,
    /// The ECN codepoint of the outer header.
    pub ecn: u8,
    /// The overlay network id, 24 bits.
    pub vni: u32,
    /// The destination MAC address.
    pub destination_mac: [u8; 6],
    /// The source MAC address.
    pub source_mac: [u8; 6],
    /// The EtherType.
    pub ethertype: u16,
    /// Where the payload starts.
    pub payload_start: usize,
    /// Where the payload ends.
    pub payload_end: usize,
}

impl Frame {
    /// Reads the headers of a packet that came out of the tunnel. A UDP checksum of zero is
    /// accepted (RFC 7348, section 4.1), any other is verified.
    ///
    /// # Errors
    /// [`Malformed`] for anything that is no whole VXLAN packet to port 4789 with a VNI.
    pub fn parse(packet: &[u8]) -> Result<Frame, Malformed> {
        let header = Ipv4Header::parse(packet)?;
        if header.protocol != PROTOCOL_UDP || header.is_fragment() {
            return Err(Malformed::Field);
        }
        let udp = &packet[header.header_len..header.total_len];
        let fixed: &[u8; OVERHEAD - IPV4_HEADER] = udp.first_chunk().ok_or(Malformed::Truncated)?;
        let udp_len = usize::from(u16::from_be_bytes([fixed[4], fixed[5]]));
        if u16::from_be_bytes([fixed[2], fixed[3]]) != VXLAN_PORT || fixed[8] & VNI_VALID == 0 {
            return Err(Malformed::Field);
        }
        if udp_len < fixed.len() || udp_len > udp.len() {
            return Err(Malformed::Truncated);
        }
        if fixed[6..8] != [0, 0] {
            let pseudo =
                pseudo_header_sum(header.source, header.destination, PROTOCOL_UDP, udp_len);
            if fold(pseudo + sum(&udp[..udp_len])) != 0xffff {
                return Err(Malformed::Checksum);
            }
        }
        let mac = |at: usize| [0, 1, 2, 3, 4, 5].map(|index| fixed[at + index]);
        Ok(Frame {
            source: header.source,
            destination: header.destination,
            ecn: header.ecn(),
            vni: u32::from_be_bytes([0, fixed[12], fixed[13], fixed[14]]),
            destination_mac: mac(16),
            source_mac: mac(22),
            ethertype: u16::from_be_bytes([fixed[28], fixed[29]]),
            payload_start: header.header_len + fixed.len(),
            payload_end: header.header_len + udp_len,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path() -> FramePath {
        FramePath {
            source: Ipv4Addr::new(100, 64, 0, 1),
            destination: Ipv4Addr::new(100, 64, 0, 2),
            vni: 0x00ab_cdef,
            source_mac: [2, 0x50, 1, 0xab, 0xcd, 0xef],
            destination_mac: [2, 0x50, 2, 0xab, 0xcd, 0xef],
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(payload in proptest::collection::vec(any::<u8>(), 1..1500), hash in any::<u32>(), ecn in 0u8..4) {
            let mut frame = vec![0; OVERHEAD];
            frame.extend_from_slice(&payload);
            let meta = FrameMeta { ethertype: ETHERTYPE_IPV4, ecn, flow_hash: hash };
            write_headers(&mut frame, &path(), meta);
            let read = Frame::parse(&frame).unwrap();
            prop_assert_eq!((read.source, read.destination), (path().source, path().destination));
            prop_assert_eq!((read.vni, read.ecn, read.ethertype), (path().vni, ecn, ETHERTYPE_IPV4));
            prop_assert_eq!(read.source_mac, path().source_mac);
            prop_assert_eq!(read.destination_mac, path().destination_mac);
            prop_assert_eq!(&frame[read.payload_start..read.payload_end], &payload[..]);
            frame[26..28].fill(0);
            prop_assert!(Frame::parse(&frame).is_ok(), "a zero checksum is accepted");
            frame[26] = 1;
            frame[27] = !frame[27];
            prop_assert!(Frame::parse(&frame).is_err() || frame.len() < OVERHEAD);
        }

        #[test]
        fn no_bytes_make_the_parser_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), shape in any::<bool>()) {
            if shape && bytes.len() > 28 {
                bytes[0] = 0x45;
                let length = bytes.len() as u16;
                bytes[2..4].copy_from_slice(&length.to_be_bytes());
                bytes[6..8].fill(0);
                bytes[9] = PROTOCOL_UDP;
                bytes[22..24].copy_from_slice(&VXLAN_PORT.to_be_bytes());
            }
            if let Ok(frame) = Frame::parse(&bytes) {
                prop_assert!(frame.payload_start <= frame.payload_end && frame.payload_end <= bytes.len());
            }
        }
    }

    #[test]
    fn the_headers_have_the_documented_bytes() {
        let mut frame = vec![0; OVERHEAD + 4];
        write_headers(
            &mut frame,
            &path(),
            FrameMeta {
                ethertype: ETHERTYPE_IPV4,
                ecn: 2,
                flow_hash: 5,
            },
        );
        assert_eq!(frame[..10], [0x45, 2, 0, 54, 0, 0, 0x40, 0, 64, 17]);
        assert_eq!(frame[20..26], [0xc0, 5, 0x12, 0xb5, 0, 34]);
        assert_eq!(frame[28..36], [8, 0, 0, 0, 0xab, 0xcd, 0xef, 0]);
        assert_eq!(
            frame[36..50],
            [
                2, 0x50, 2, 0xab, 0xcd, 0xef, 2, 0x50, 1, 0xab, 0xcd, 0xef, 8, 0
            ]
        );
    }
}
