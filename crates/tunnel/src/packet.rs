//! IPv4, TCP and ICMP headers as byte offsets, and the Internet checksum.
//!
//! Nothing here owns a packet: functions read and patch byte slices. Every parser takes untrusted
//! bytes and answers with an error, never a panic. IPv6 is not parsed; VPCs are IPv4 only.

use std::net::Ipv4Addr;

/// Bytes of an IPv4 header without options.
pub const IPV4_HEADER: usize = 20;
/// Bytes of a UDP header.
pub const UDP_HEADER: usize = 8;
/// Bytes of a TCP header without options.
pub const TCP_HEADER: usize = 20;
/// The protocol number of ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// The protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// The protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// The TCP flag FIN.
pub const TCP_FIN: u8 = 0x01;
/// The TCP flag SYN.
pub const TCP_SYN: u8 = 0x02;
/// The TCP flag PSH.
pub const TCP_PSH: u8 = 0x08;
/// The TCP flag ACK.
pub const TCP_ACK: u8 = 0x10;
/// The TCP flag CWR. Source: RFC 3168, section 6.1.
pub const TCP_CWR: u8 = 0x80;
/// The ECN codepoint "congestion experienced". Source: RFC 3168, section 5.
pub const ECN_CE: u8 = 0b11;

/// Bytes that are no packet of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than its headers say.
    #[error("the packet is shorter than its headers say")]
    Truncated,
    /// Another IP version than 4.
    #[error("the packet is not IPv4")]
    Version,
    /// A header length or a field that cannot be.
    #[error("a header field has an impossible value")]
    Field,
    /// A checksum that does not match.
    #[error("a checksum does not match")]
    Checksum,
}

/// The fields of an IPv4 header, host order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Header {
    /// Bytes of the header with options, 20 to 60.
    pub header_len: usize,
    /// Bytes of the packet, at least `header_len`, at most what was given.
    pub total_len: usize,
    /// DSCP and ECN.
    pub tos: u8,
    /// The identification.
    pub id: u16,
    /// Whether routers must not fragment it.
    pub dont_fragment: bool,
    /// Whether fragments follow.
    pub more_fragments: bool,
    /// Where this fragment starts, in units of 8 bytes.
    pub fragment_offset: u16,
    /// The time to live.
    pub ttl: u8,
    /// The protocol number.
    pub protocol: u8,
    /// The source address.
    pub source: Ipv4Addr,
    /// The destination address.
    pub destination: Ipv4Addr,
}

impl Ipv4Header {
    /// Reads the header at the start of a packet. The header checksum is not verified: the kernel
    /// that gets the packet does that.
    ///
    /// # Errors
    /// [`Malformed`] for another version, lengths that contradict each other or the slice.
    pub fn parse(packet: &[u8]) -> Result<Ipv4Header, Malformed> {
        let Some(fixed) = packet.first_chunk::<IPV4_HEADER>() else {
            return Err(match packet.first() {
                Some(byte) if byte >> 4 != 4 => Malformed::Version,
                _ => Malformed::Truncated,
            });
        };
        if fixed[0] >> 4 != 4 {
            return Err(Malformed::Version);
        }
        let header_len = usize::from(fixed[0] & 0x0f) * 4;
        let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
        if header_len < IPV4_HEADER || total_len < header_len {
            return Err(Malformed::Field);
        }
        if total_len > packet.len() {
            return Err(Malformed::Truncated);
        }
        let fragment = u16::from_be_bytes([fixed[6], fixed[7]]);
        Ok(Ipv4Header {
            header_len,
            total_len,
            tos: fixed[1],
            id: u16::from_be_bytes([fixed[4], fixed[5]]),
            dont_fragment: fragment & 0x4000 != 0,
            more_fragments: fragment & 0x2000 != 0,
            fragment_offset: fragment & 0x1fff,
            ttl: fixed[8],
            protocol: fixed[9],
            source: Ipv4Addr::new(fixed[12], fixed[13], fixed[14], fixed[15]),
            destination: Ipv4Addr::new(fixed[16], fixed[17], fixed[18], fixed[19]),
        })
    }

    /// Whether the packet is a part of a larger one.
    pub fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// The ECN codepoint, 0 to 3.
    pub fn ecn(&self) -> u8 {
        self.tos & 0b11
    }
}

/// The sum of 16-bit big-endian words, an odd last byte padded with zero. Partial sums of parts
/// with even lengths may be added. Source: RFC 1071.
pub fn sum(bytes: &[u8]) -> u32 {
    // 32-bit native words into 64-bit lanes: the ones' complement sum commutes with byte order, so
    // one swap at the end suffices and the loop vectorises.
    let mut words = bytes.chunks_exact(4);
    let mut total: u64 = 0;
    for word in words.by_ref() {
        total += u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
    }
    let mut last = [0u8; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    total += u64::from(u32::from_ne_bytes(last));
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    u32::from(u16::from_be(total as u16))
}

/// Folds a sum to 16 bits without complementing it.
pub fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of the pseudo header of TCP and UDP. `length` is the transport header with its payload.
pub fn pseudo_header_sum(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    length: usize,
) -> u32 {
    sum(&source.octets()) + sum(&destination.octets()) + u32::from(protocol) + length as u32
}

/// Writes the checksum of the IPv4 header at the start of a packet. `header_len` is 20 to 60.
pub fn write_ipv4_checksum(packet: &mut [u8], header_len: usize) {
    packet[10..12].fill(0);
    let checksum = !fold(sum(&packet[..header_len]));
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// Changes a 16-bit word at `at` and patches the checksum at `checksum_at` for it. Source: RFC
/// 1624, equation 3.
pub fn replace_word(packet: &mut [u8], at: usize, word: u16, checksum_at: usize) {
    let old = u16::from_be_bytes([packet[at], packet[at + 1]]);
    let checksum = u16::from_be_bytes([packet[checksum_at], packet[checksum_at + 1]]);
    let patched = !fold(u32::from(!checksum) + u32::from(!old) + u32::from(word));
    packet[at..at + 2].copy_from_slice(&word.to_be_bytes());
    packet[checksum_at..checksum_at + 2].copy_from_slice(&patched.to_be_bytes());
}

/// The ECN codepoint of a valid IPv4 packet, 0 to 3.
pub fn ecn_of(packet: &[u8]) -> u8 {
    packet[1] & 0b11
}

/// Sets the ECN codepoint of an IPv4 packet and patches the header checksum.
pub fn set_ecn(packet: &mut [u8], ecn: u8) {
    let word = u16::from_be_bytes([packet[0], (packet[1] & !0b11) | ecn]);
    replace_word(packet, 0, word, 10);
}

/// The ECN codepoint of a packet that leaves a tunnel; `None` when it must be dropped (congestion
/// was marked on a packet whose sender cannot react). Source: RFC 6040, section 4.2.
pub fn combine_ecn(inner: u8, outer: u8) -> Option<u8> {
    match (inner, outer) {
        (0b00, ECN_CE) => None,
        (0b00, _) => Some(0b00),
        (_, ECN_CE) => Some(ECN_CE),
        (0b10, 0b01) => Some(0b01),
        (inner, _) => Some(inner),
    }
}

/// A hash of the packet's flow, the same for all fragments of a datagram. `header` is the packet's
/// own.
pub fn flow_hash(packet: &[u8], header: &Ipv4Header) -> u32 {
    let has_ports = matches!(header.protocol, PROTOCOL_TCP | PROTOCOL_UDP) && !header.is_fragment();
    let ports = packet
        .get(header.header_len..header.header_len + 4)
        .filter(|_| has_ports)
        .map_or(0, |ports| {
            u32::from_be_bytes([ports[0], ports[1], ports[2], ports[3]])
        });
    let addresses =
        u64::from(u32::from(header.source)) << 32 | u64::from(u32::from(header.destination));
    let mixed = (addresses ^ u64::from(ports).rotate_left(17) ^ u64::from(header.protocol) << 56)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as u32
}

/// The embedded packet of an ICMP error, whose destination tells which host it is about; `None`
/// for everything else. Source: RFC 792; types 3, 5, 11 and 12.
pub fn icmp_error_subject(packet: &[u8], header: &Ipv4Header) -> Option<Ipv4Addr> {
    if header.protocol != PROTOCOL_ICMP || header.fragment_offset != 0 {
        return None;
    }
    let icmp = packet.get(header.header_len..header.total_len)?;
    if !matches!(icmp.first()?, 3 | 5 | 11 | 12) {
        return None;
    }
    let destination = icmp.get(8 + 16..8 + 20)?;
    Some(Ipv4Addr::new(
        destination[0],
        destination[1],
        destination[2],
        destination[3],
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain_sum(bytes: &[u8]) -> u16 {
        let mut total = 0u32;
        for pair in bytes.chunks(2) {
            total += u32::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]));
        }
        fold(total)
    }

    proptest! {
        #[test]
        fn the_fast_sum_equals_the_plain_one(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let (fast, plain) = (fold(sum(&bytes)), plain_sum(&bytes));
            // 0 and 0xffff are the same number in ones' complement.
            prop_assert_eq!(fast % 0xffff, plain % 0xffff);
        }

        #[test]
        fn replacing_a_word_keeps_the_checksum_right(
            mut bytes in proptest::collection::vec(any::<u8>(), 20..=20), word in any::<u16>(),
        ) {
            write_ipv4_checksum(&mut bytes, 20);
            replace_word(&mut bytes, 2, word, 10);
            prop_assert_eq!(fold(sum(&bytes)), 0xffff);
        }

        #[test]
        fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(header) = Ipv4Header::parse(&bytes) {
                prop_assert!(header.header_len <= header.total_len && header.total_len <= bytes.len());
                let _ = (flow_hash(&bytes, &header), icmp_error_subject(&bytes, &header));
            }
        }
    }

    #[test]
    fn ecn_follows_the_table_of_rfc_6040() {
        let expected = [
            [Some(0), Some(0), Some(0), None],
            [Some(1), Some(1), Some(1), Some(3)],
            [Some(2), Some(1), Some(2), Some(3)],
            [Some(3), Some(3), Some(3), Some(3)],
        ];
        for (inner, row) in expected.iter().enumerate() {
            for (outer, result) in row.iter().enumerate() {
                assert_eq!(
                    combine_ecn(inner as u8, outer as u8),
                    *result,
                    "{inner} {outer}"
                );
            }
        }
    }
}
