//! Which peering a packet of a VPC takes: the subnet that holds its source, that subnet's routes,
//! the longest prefix.
//!
//! A VPC's whole answer is in its [`VpcTable`]; there is no way from one VPC's table to another's.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use model::slice::VpcSlice;
use model::{CidrBlock, PeeringConnectionId};
use prefix_trie::PrefixMap;

use crate::counters::Drop;
use crate::packet::{Ipv4Header, icmp_error_subject};

/// The forwarding table of one VPC.
pub struct VpcTable {
    /// The VPC's CIDR block.
    pub cidr: CidrBlock,
    subnets: PrefixMap<Ipv4Net, SubnetTable>,
}

struct SubnetTable {
    gateway_address: Ipv4Addr,
    routes: PrefixMap<Ipv4Net, PeeringConnectionId>,
}

impl VpcTable {
    /// Builds the table of a VPC.
    pub fn new(vpc: &VpcSlice) -> VpcTable {
        let mut subnets = PrefixMap::new();
        for subnet in vpc.subnets.values() {
            let mut routes = PrefixMap::new();
            for (destination, peering) in &subnet.routes {
                routes.insert(destination.net(), *peering);
            }
            let gateway_address = subnet.cidr.gateway_address();
            subnets.insert(
                subnet.cidr.net(),
                SubnetTable {
                    gateway_address,
                    routes,
                },
            );
        }
        VpcTable {
            cidr: vpc.cidr,
            subnets,
        }
    }

    /// The peering that a packet of this VPC takes.
    ///
    /// An ICMP error comes from a router's own address, so it follows the subnet of the host that
    /// its embedded packet was addressed to.
    ///
    /// # Errors
    /// The cause for which the packet is dropped.
    pub fn route(&self, packet: &[u8], header: &Ipv4Header) -> Result<PeeringConnectionId, Drop> {
        if !self.cidr.contains_address(header.source) {
            return Err(Drop::NoSubnet);
        }
        let subject =
            icmp_error_subject(packet, header).filter(|host| self.subnet(*host).is_some());
        let subnet = self
            .subnet(subject.unwrap_or(header.source))
            .ok_or(Drop::NoSubnet)?;
        if self.cidr.contains_address(header.destination) {
            return Err(Drop::InsideVpc);
        }
        subnet
            .routes
            .get_lpm(&Ipv4Net::from(header.destination))
            .map(|(_, peering)| *peering)
            .ok_or(Drop::NoRoute)
    }

    /// The gateway address of the subnet that holds an address.
    pub fn gateway_address(&self, host: Ipv4Addr) -> Option<Ipv4Addr> {
        self.subnet(host).map(|subnet| subnet.gateway_address)
    }

    fn subnet(&self, host: Ipv4Addr) -> Option<&SubnetTable> {
        self.subnets
            .get_lpm(&Ipv4Net::from(host))
            .map(|(_, subnet)| subnet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{block, peering_id, udp_packet, vpc_slice};

    fn route(
        table: &VpcTable,
        source: [u8; 4],
        destination: [u8; 4],
    ) -> Result<PeeringConnectionId, Drop> {
        let packet = udp_packet(source.into(), destination.into(), 1, 2, b"x");
        table.route(&packet, &Ipv4Header::parse(&packet).unwrap())
    }

    #[test]
    fn the_longest_prefix_of_the_senders_subnet_wins() {
        let mut vpc = vpc_slice("10.1.0.0/16", &["10.1.0.0/24", "10.1.1.0/24"]);
        let first = vpc.subnets.values_mut().next().unwrap();
        first.routes.insert(block("10.2.0.0/16"), peering_id(1));
        first.routes.insert(block("10.2.3.0/24"), peering_id(2));
        let table = VpcTable::new(&vpc);
        assert_eq!(
            route(&table, [10, 1, 0, 9], [10, 2, 0, 1]),
            Ok(peering_id(1))
        );
        assert_eq!(
            route(&table, [10, 1, 0, 9], [10, 2, 3, 1]),
            Ok(peering_id(2))
        );
        assert_eq!(
            route(&table, [10, 1, 1, 9], [10, 2, 0, 1]),
            Err(Drop::NoRoute)
        );
        assert_eq!(
            route(&table, [10, 1, 7, 9], [10, 2, 0, 1]),
            Err(Drop::NoSubnet)
        );
        assert_eq!(
            route(&table, [10, 9, 0, 9], [10, 2, 0, 1]),
            Err(Drop::NoSubnet)
        );
        assert_eq!(
            route(&table, [10, 1, 0, 9], [10, 1, 7, 1]),
            Err(Drop::InsideVpc)
        );
        assert_eq!(
            table.gateway_address([10, 1, 0, 77].into()),
            Some([10, 1, 0, 1].into())
        );
    }

    #[test]
    fn an_icmp_error_follows_the_subnet_it_is_about() {
        let mut vpc = vpc_slice("10.1.0.0/16", &["10.1.0.0/24", "10.1.1.0/24"]);
        vpc.subnets
            .values_mut()
            .nth(1)
            .unwrap()
            .routes
            .insert(block("10.2.0.0/16"), peering_id(1));
        let table = VpcTable::new(&vpc);
        let about = udp_packet([10, 2, 0, 1].into(), [10, 1, 1, 9].into(), 1, 2, b"x");
        let packet = crate::mtu::icmp_too_big(&about, [10, 1, 0, 1].into(), 1390);
        assert_eq!(
            table.route(&packet, &Ipv4Header::parse(&packet).unwrap()),
            Ok(peering_id(1))
        );
    }
}
