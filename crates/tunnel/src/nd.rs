//! Answers to IPv6 neighbour solicitations that come from a Linux end of the VXLAN segment, as
//! [`crate::arp`] gives for IPv4. The engine itself never asks.

use std::net::{IpAddr, Ipv6Addr};

use crate::mtu::write_icmpv6_checksum;
use crate::packet::{IPV6_HEADER, IpHeader, PROTOCOL_ICMPV6, fold, pseudo_sum_of, sum};

/// Bytes of an advertisement with its IPv6 header.
pub const ADVERTISEMENT_LEN: usize = IPV6_HEADER + 32;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const HOP_LIMIT: u8 = 255;
// Solicited, and overriding what is known.
const FLAGS: u8 = 0x60;
const TARGET_LINK_ADDRESS: [u8; 2] = [2, 1];

/// A question for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Solicitation {
    /// Who asks; never the unspecified address, which only asks whether it may use its own.
    pub sender: Ipv6Addr,
    /// What is asked for.
    pub target: Ipv6Addr,
}

impl Solicitation {
    /// Reads a solicitation; `None` for anything else. Source: RFC 4861, sections 4.3 and 7.1.1.
    pub fn parse(packet: &[u8]) -> Option<Solicitation> {
        let header = IpHeader::parse(packet).ok()?;
        let IpAddr::V6(sender) = header.source else {
            return None;
        };
        let packet = &packet[..header.total_len];
        let message = &packet[header.header_len..];
        let is_solicitation = header.header_len == IPV6_HEADER
            && header.protocol == PROTOCOL_ICMPV6
            && packet[7] == HOP_LIMIT
            && message.len() >= 24
            && message[..2] == [SOLICITATION, 0];
        if !is_solicitation || sender.is_unspecified() || sender.is_multicast() {
            return None;
        }
        let pseudo = pseudo_sum_of(packet, PROTOCOL_ICMPV6, message.len());
        if fold(pseudo + sum(message)) != 0xffff {
            return None;
        }
        let target = Ipv6Addr::from(*message[8..].first_chunk::<16>()?);
        (!target.is_multicast()).then_some(Solicitation { sender, target })
    }

    /// The advertisement that gives `mac` for the target. Source: RFC 4861, section 4.4.
    pub fn advertisement(&self, mac: [u8; 6]) -> [u8; ADVERTISEMENT_LEN] {
        let mut packet = [0; ADVERTISEMENT_LEN];
        packet[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 32, PROTOCOL_ICMPV6, HOP_LIMIT]);
        packet[8..24].copy_from_slice(&self.target.octets());
        packet[24..40].copy_from_slice(&self.sender.octets());
        packet[40] = ADVERTISEMENT;
        packet[44] = FLAGS;
        packet[48..64].copy_from_slice(&self.target.octets());
        packet[64..66].copy_from_slice(&TARGET_LINK_ADDRESS);
        packet[66..72].copy_from_slice(&mac);
        write_icmpv6_checksum(&mut packet);
        packet
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::ipv6_packet;

    fn solicitation(sender: &str, target: &str) -> Vec<u8> {
        let target: Ipv6Addr = target.parse().unwrap();
        let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&target.octets());
        message.extend_from_slice(&[1, 1, 2, 2, 2, 2, 2, 2]);
        let to = "ff02::1:ff00:5".parse().unwrap();
        let mut packet = ipv6_packet(sender.parse().unwrap(), to, PROTOCOL_ICMPV6, &message);
        packet[7] = HOP_LIMIT;
        write_icmpv6_checksum(&mut packet);
        packet
    }

    #[test]
    fn an_advertisement_turns_the_question_around() {
        let asked = Solicitation::parse(&solicitation("2001:db8:2::5", "2001:db8:1::5")).unwrap();
        let answer = asked.advertisement([4; 6]);
        let header = IpHeader::parse(&answer).unwrap();
        assert_eq!(header.source, IpAddr::V6(asked.target));
        assert_eq!(header.destination, IpAddr::V6(asked.sender));
        assert_eq!(answer[40..45], [136, 0, answer[42], answer[43], 0x60]);
        assert_eq!(answer[48..64], asked.target.octets());
        assert_eq!(answer[64..], [2, 1, 4, 4, 4, 4, 4, 4]);
        let pseudo = pseudo_sum_of(&answer, PROTOCOL_ICMPV6, 32);
        assert_eq!(fold(pseudo + sum(&answer[40..])), 0xffff);
        assert_eq!(Solicitation::parse(&answer), None);
    }

    #[test]
    fn what_is_no_genuine_question_is_not_read() {
        let whole = solicitation("2001:db8:2::5", "2001:db8:1::5");
        for at in [7, 40, 41, 42, 50] {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(Solicitation::parse(&changed), None, "byte {at}");
        }
        assert_eq!(
            Solicitation::parse(&solicitation("::", "2001:db8:1::5")),
            None
        );
        assert_eq!(
            Solicitation::parse(&solicitation("2001:db8:2::5", "ff02::1")),
            None
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..100), whole in any::<bool>()) {
            if whole && bytes.len() >= 40 {
                let length = (bytes.len() - 40) as u16;
                bytes[0] = 0x60;
                bytes[4..6].copy_from_slice(&length.to_be_bytes());
                bytes[6..8].copy_from_slice(&[PROTOCOL_ICMPV6, HOP_LIMIT]);
            }
            let _ = Solicitation::parse(&bytes);
        }
    }
}
