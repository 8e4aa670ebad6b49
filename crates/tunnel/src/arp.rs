//! Answers to ARP that comes from a Linux end of the VXLAN segment. The engine itself never asks:
//! the MAC addresses of both sides follow from the VNI.

use std::net::Ipv4Addr;

/// Bytes of an ARP packet for IPv4 over Ethernet.
pub const ARP_LEN: usize = 28;

const REQUEST: [u8; 8] = [0, 1, 8, 0, 6, 4, 0, 1];

/// A question for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArpRequest {
    /// Who asks.
    pub sender_mac: [u8; 6],
    /// Who asks.
    pub sender: Ipv4Addr,
    /// What is asked for.
    pub target: Ipv4Addr,
}

impl ArpRequest {
    /// Reads a request; `None` for anything else, replies included. Source: RFC 826.
    pub fn parse(payload: &[u8]) -> Option<ArpRequest> {
        let fixed: &[u8; ARP_LEN] = payload.first_chunk()?;
        if fixed[..8] != REQUEST {
            return None;
        }
        Some(ArpRequest {
            sender_mac: fixed[8..14].try_into().ok()?,
            sender: Ipv4Addr::new(fixed[14], fixed[15], fixed[16], fixed[17]),
            target: Ipv4Addr::new(fixed[24], fixed[25], fixed[26], fixed[27]),
        })
    }

    /// The reply that gives `mac` for the target.
    pub fn reply(&self, mac: [u8; 6]) -> [u8; ARP_LEN] {
        let mut reply = [0; ARP_LEN];
        reply[..8].copy_from_slice(&REQUEST);
        reply[7] = 2;
        reply[8..14].copy_from_slice(&mac);
        reply[14..18].copy_from_slice(&self.target.octets());
        reply[18..24].copy_from_slice(&self.sender_mac);
        reply[24..28].copy_from_slice(&self.sender.octets());
        reply
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reply_turns_the_question_around() {
        let mut packet = [0; ARP_LEN];
        packet[..8].copy_from_slice(&REQUEST);
        packet[8..14].copy_from_slice(&[2, 2, 2, 2, 2, 2]);
        packet[14..18].copy_from_slice(&[10, 2, 0, 1]);
        packet[24..28].copy_from_slice(&[10, 1, 0, 9]);
        let request = ArpRequest::parse(&packet).unwrap();
        assert_eq!(request.target, Ipv4Addr::new(10, 1, 0, 9));
        let reply = request.reply([4; 6]);
        assert_eq!(reply[6..14], [0, 2, 4, 4, 4, 4, 4, 4]);
        assert_eq!(reply[14..], [10, 1, 0, 9, 2, 2, 2, 2, 2, 2, 10, 2, 0, 1]);
        assert_eq!(ArpRequest::parse(&reply), None, "replies are not answered");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = ArpRequest::parse(&bytes);
        }
    }
}
