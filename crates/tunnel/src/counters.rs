//! Why packets are dropped, and how many pass.

use std::collections::BTreeMap;

macro_rules! drops {
    ($($(#[$doc:meta])* $variant:ident $name:literal;)+) => {
        /// The cause for which a packet is dropped. Every drop has exactly one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Drop { $($(#[$doc])* $variant,)+ }

        impl Drop {
            /// Every cause.
            pub const ALL: &'static [Drop] = &[$(Drop::$variant,)+];

            /// The stable name, as shown by `status` and in metrics.
            pub fn name(self) -> &'static str {
                match self { $(Drop::$variant => $name,)+ }
            }
        }
    };
}

drops! {
    /// From the VPC: headers that contradict themselves.
    MalformedPacket "malformed_packet";
    /// IPv6 from or for a VPC or a peering that has none.
    InnerIpv6 "inner_ipv6";
    /// IPv6 over a pair of gateways whose MTU is below 1280.
    SmallMtu "small_mtu";
    /// From the VPC: no subnet holds the source.
    NoSubnet "no_subnet";
    /// From the VPC: the destination lies inside the VPC.
    InsideVpc "inside_vpc";
    /// From the VPC: the subnet's route table has no route.
    NoRoute "no_route";
    /// From the VPC: the route leads to a peering that is not active here.
    NoPeering "no_peering";
    /// From the VPC: the destination lies outside the peer VPC's CIDR block.
    OutsidePeer "outside_peer";
    /// The other region has no gateway.
    PeerAbsent "peer_absent";
    /// No endpoint of the other gateway is known.
    NoEndpoint "no_endpoint";
    /// No tunnel session with the other gateway.
    NoSession "no_session";
    /// The queues at the cap are full; the flow that holds most of them loses.
    QueueFull "queue_full";
    /// The flow's queue at the cap stood too long, and its sender takes no marks (RFC 8289).
    QueueDelay "queue_delay";
    /// Larger than the pair's MTU and not to be fragmented.
    TooBig "too_big";
    /// The underlay socket refused it.
    UnderlaySend "underlay_send";
    /// The TUN device refused it.
    DeviceWrite "device_write";
    /// The VPC has no namespace at this gateway.
    NoDevice "no_device";
    /// From the underlay: no WireGuard message.
    MalformedDatagram "malformed_datagram";
    /// From the underlay: no gateway has this key or index.
    UnknownPeer "unknown_peer";
    /// From the underlay: a handshake that does not verify.
    HandshakeInvalid "handshake_invalid";
    /// From the underlay: too many handshakes; answered with a cookie.
    HandshakeLimited "handshake_limited";
    /// From the underlay: a transport message that does not verify.
    DecryptFailed "decrypt_failed";
    /// From the underlay: a transport message seen before, or too old to tell.
    Replayed "replayed";
    /// From a gateway: no VXLAN packet inside.
    MalformedFrame "malformed_frame";
    /// From a gateway: the outer source or destination is not the pair's overlay addresses.
    WrongOverlayAddress "wrong_overlay_address";
    /// From a gateway: no peering has this VNI.
    UnknownVni "unknown_vni";
    /// From a gateway that does not carry the peer VPC of this VNI.
    WrongGateway "wrong_gateway";
    /// From a gateway: the frame is for another MAC address.
    WrongMac "wrong_mac";
    /// From a gateway: an EtherType that is none of ours.
    UnknownEthertype "unknown_ethertype";
    /// From a gateway: the inner source is outside the peer's CIDR block.
    WrongSource "wrong_source";
    /// From a gateway: the inner destination is outside ours.
    WrongDestination "wrong_destination";
    /// From a gateway: marked with congestion though its sender cannot react (RFC 6040).
    EcnNotCapable "ecn_not_capable";
    /// From a gateway: a probe or an ARP packet that is malformed or was not asked for.
    UnexpectedControl "unexpected_control";
}

/// Drops by cause.
#[derive(Debug, Clone)]
pub struct Drops([u64; Drop::ALL.len()]);

impl Default for Drops {
    fn default() -> Drops {
        Drops([0; Drop::ALL.len()])
    }
}

impl Drops {
    /// Counts one packet.
    pub fn count(&mut self, cause: Drop) {
        self.add(cause, 1);
    }

    /// Counts several packets.
    pub fn add(&mut self, cause: Drop, packets: u64) {
        self.0[cause as usize] += packets;
    }

    /// How many packets were dropped for a cause.
    pub fn get(&self, cause: Drop) -> u64 {
        self.0[cause as usize]
    }

    /// The causes that occurred, by name.
    pub fn by_name(&self) -> BTreeMap<&'static str, u64> {
        Drop::ALL
            .iter()
            .map(|cause| (cause.name(), self.get(*cause)))
            .filter(|(_, packets)| *packets > 0)
            .collect()
    }
}

/// Packets and bytes of inner IP, counted after segmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes of the packets, IP headers included.
    pub bytes: u64,
}

impl Traffic {
    /// Counts one packet of `bytes` bytes.
    pub fn count(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_distinct_snake_case_and_in_order() {
        let names: BTreeSet<_> = Drop::ALL.iter().map(|cause| cause.name()).collect();
        assert_eq!(names.len(), Drop::ALL.len());
        assert!(names.iter().all(|n| {
            n.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        }));
        for (index, cause) in Drop::ALL.iter().enumerate() {
            assert_eq!(*cause as usize, index);
        }
    }
}
