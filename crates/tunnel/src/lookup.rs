//! Which peering a packet of a VPC takes: the subnet that holds its source, that subnet's routes,
//! the longest prefix.
//!
//! A VPC's whole answer is in its [`VpcTable`]; there is no way from one VPC's table to another's.

use std::net::IpAddr;

use ipnet::{Ipv4Net, Ipv6Net};
use model::ipv6::VpcIpv6;
use model::slice::VpcSlice;
use model::{CidrBlock, PeeringConnectionId};
use prefix_trie::{Prefix, PrefixMap};

use crate::counters::Drop;
use crate::packet::{IpHeader, icmp_error_subject};

/// The forwarding table of one VPC.
pub struct VpcTable {
    ipv4: Table<Ipv4Net>,
    ipv6: Option<Table<Ipv6Net>>,
}

// The part of one IP version.
struct Table<P> {
    // Rarely more than one.
    blocks: Box<[P]>,
    subnets: PrefixMap<P, Subnet<P>>,
}

struct Subnet<P> {
    gateway_address: IpAddr,
    routes: PrefixMap<P, PeeringConnectionId>,
}

impl VpcTable {
    /// Builds the table of a VPC.
    pub fn new(vpc: &VpcSlice, ipv6: Option<&VpcIpv6>) -> VpcTable {
        let subnets = vpc.subnets.values().map(|subnet| {
            let routes = subnet
                .routes
                .iter()
                .map(|(to, peering)| (to.net(), *peering));
            let subnet_table = Subnet {
                gateway_address: subnet.cidr.gateway_address().into(),
                routes: routes.collect(),
            };
            (subnet.cidr.net(), subnet_table)
        });
        VpcTable {
            ipv4: Table {
                blocks: vpc.blocks().map(CidrBlock::net).collect(),
                subnets: subnets.collect(),
            },
            ipv6: ipv6.map(Table::of_ipv6),
        }
    }

    /// The peering that a packet of this VPC takes.
    ///
    /// An ICMP error comes from a router's own address, so it follows the subnet of the host that
    /// its embedded packet was addressed to.
    ///
    /// # Errors
    /// The cause for which the packet is dropped.
    pub fn route(&self, packet: &[u8], header: &IpHeader) -> Result<PeeringConnectionId, Drop> {
        let subject = icmp_error_subject(packet, header);
        match (header.source, header.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let subject = match subject {
                    Some(IpAddr::V4(host)) => Some(host.into()),
                    Some(IpAddr::V6(_)) | None => None,
                };
                self.ipv4.route(source.into(), destination.into(), subject)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let subject = match subject {
                    Some(IpAddr::V6(host)) => Some(host.into()),
                    Some(IpAddr::V4(_)) | None => None,
                };
                let table = self.ipv6.as_ref().ok_or(Drop::InnerIpv6)?;
                table.route(source.into(), destination.into(), subject)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                Err(Drop::MalformedPacket)
            }
        }
    }

    /// The gateway address of the subnet that holds an address.
    pub fn gateway_address(&self, host: IpAddr) -> Option<IpAddr> {
        match host {
            IpAddr::V4(host) => self.ipv4.gateway_address(host.into()),
            IpAddr::V6(host) => self.ipv6.as_ref()?.gateway_address(host.into()),
        }
    }

    /// Whether an address lies in the VPC.
    pub fn contains(&self, host: IpAddr) -> bool {
        match host {
            IpAddr::V4(host) => self.ipv4.holds(&host.into()),
            IpAddr::V6(host) => self
                .ipv6
                .as_ref()
                .is_some_and(|table| table.holds(&host.into())),
        }
    }
}

impl Table<Ipv6Net> {
    fn of_ipv6(vpc: &VpcIpv6) -> Table<Ipv6Net> {
        let subnets = vpc.subnets.values().map(|subnet| {
            let routes = subnet
                .routes
                .iter()
                .map(|(to, peering)| (to.net(), *peering));
            let subnet_table = Subnet {
                gateway_address: subnet.cidr.gateway_address().into(),
                routes: routes.collect(),
            };
            (subnet.cidr.net(), subnet_table)
        });
        Table {
            blocks: Box::new([vpc.cidr.net()]),
            subnets: subnets.collect(),
        }
    }
}

impl<P: Prefix + Copy> Table<P> {
    // Addresses are prefixes of full length.
    fn route(
        &self,
        source: P,
        destination: P,
        subject: Option<P>,
    ) -> Result<PeeringConnectionId, Drop> {
        if !self.holds(&source) {
            return Err(Drop::NoSubnet);
        }
        let about = subject.and_then(|host| self.subnets.get_lpm(&host));
        let (_, subnet) = about
            .or_else(|| self.subnets.get_lpm(&source))
            .ok_or(Drop::NoSubnet)?;
        if self.holds(&destination) {
            return Err(Drop::InsideVpc);
        }
        let route = subnet.routes.get_lpm(&destination);
        route.map(|(_, peering)| *peering).ok_or(Drop::NoRoute)
    }

    fn holds(&self, host: &P) -> bool {
        self.blocks.iter().any(|block| block.contains(host))
    }

    fn gateway_address(&self, host: P) -> Option<IpAddr> {
        let subnet = self.subnets.get_lpm(&host);
        subnet.map(|(_, subnet)| subnet.gateway_address)
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
        table.route(&packet, &IpHeader::parse(&packet).unwrap())
    }

    #[test]
    fn the_longest_prefix_of_the_senders_subnet_wins() {
        let mut vpc = vpc_slice("10.1.0.0/16", &["10.1.0.0/24", "10.1.1.0/24"]);
        let first = vpc.subnets.values_mut().next().unwrap();
        first.routes.insert(block("10.2.0.0/16"), peering_id(1));
        first.routes.insert(block("10.2.3.0/24"), peering_id(2));
        let table = VpcTable::new(&vpc, None);
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
    fn an_assistant_block_is_a_part_of_the_vpc() {
        let mut vpc = vpc_slice("10.1.0.0/16", &["10.1.0.0/24", "172.16.0.0/24"]);
        vpc.assistant_cidrs.insert(block("172.16.0.0/16"));
        for subnet in vpc.subnets.values_mut() {
            subnet.routes.insert(block("0.0.0.0/0"), peering_id(1));
        }
        let table = VpcTable::new(&vpc, None);
        let (main, assistant) = ([10, 1, 0, 9], [172, 16, 0, 9]);
        assert_eq!(route(&table, assistant, [10, 2, 0, 1]), Ok(peering_id(1)));
        assert_eq!(route(&table, main, [172, 16, 7, 1]), Err(Drop::InsideVpc));
        assert_eq!(
            route(&table, assistant, [10, 1, 7, 1]),
            Err(Drop::InsideVpc)
        );
        assert_eq!(
            route(&table, [172, 16, 7, 9], [10, 2, 0, 1]),
            Err(Drop::NoSubnet)
        );
        assert!(table.contains([172, 16, 255, 1].into()));
        assert!(!table.contains([172, 17, 0, 1].into()));
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
        let table = VpcTable::new(&vpc, None);
        let about = udp_packet([10, 2, 0, 1].into(), [10, 1, 1, 9].into(), 1, 2, b"x");
        let packet = crate::mtu::icmp_too_big(&about, [10, 1, 0, 1].into(), 1390);
        assert_eq!(
            table.route(&packet, &IpHeader::parse(&packet).unwrap()),
            Ok(peering_id(1))
        );
    }
}
