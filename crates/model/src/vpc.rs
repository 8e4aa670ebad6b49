//! VPCs with their subnets and route tables.

use crate::cidr::CidrBlock;
use crate::id::{
    LegacyRouteTableId, LegacySubnetId, LegacyVpcId, PeeringConnectionId, RouteItemId,
    RouteTableId, SubnetId, Uin, VpcId,
};
use crate::name::{Description, Name};
use crate::region::{Region, Zone};
use crate::tag::Tags;
use crate::time::UnixMillis;

/// A tenant's private network in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vpc {
    /// The unified id.
    pub id: VpcId,
    /// The legacy id; its region is the VPC's.
    pub legacy_id: LegacyVpcId,
    /// The account that owns it.
    pub owner: Uin,
    /// Its name.
    pub name: Name,
    /// Its CIDR block; never changes.
    pub cidr: CidrBlock,
    /// Its assistant CIDR blocks, which were added to it later, in that order. None overlaps
    /// another or [`Vpc::cidr`].
    pub assistant_cidrs: Vec<CidrBlock>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Counts decisions about what belongs to the VPC (blocks, peerings, subnets, route tables). Every such
    /// decision is guarded by this record and writes it, so that two competing ones cannot both
    /// commit.
    pub epoch: u64,
}

impl Vpc {
    /// Where it lives.
    pub fn region(&self) -> Region {
        self.legacy_id.region
    }

    /// All its blocks, the one that it was made with first.
    pub fn blocks(&self) -> impl Iterator<Item = CidrBlock> + '_ {
        std::iter::once(self.cidr).chain(self.assistant_cidrs.iter().copied())
    }

    /// The block of it that holds another.
    pub fn block_of(&self, cidr: CidrBlock) -> Option<CidrBlock> {
        self.blocks().find(|block| block.contains(cidr))
    }

    /// The same VPC one decision later.
    pub fn next_epoch(&self) -> Vpc {
        Vpc {
            epoch: self.epoch + 1,
            ..self.clone()
        }
    }
}

/// Whether a VPC may have this block, at first or later: inside 10/8, 172.16/12 or 192.168/16, mask /12 to /28.
pub fn is_vpc_cidr(cidr: CidrBlock) -> bool {
    const PRIVATE: [&str; 3] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];
    (12..=28).contains(&cidr.prefix_len())
        && PRIVATE.iter().any(|block| {
            block
                .parse::<CidrBlock>()
                .expect("the constants are blocks")
                .contains(cidr)
        })
}

/// A part of a VPC's address space, in one zone, with one route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The unified id.
    pub id: SubnetId,
    /// The legacy id.
    pub legacy_id: LegacySubnetId,
    /// The VPC that it is a part of.
    pub vpc: VpcId,
    /// Its name.
    pub name: Name,
    /// Its CIDR block; never changes.
    pub cidr: CidrBlock,
    /// Its zone.
    pub zone: Zone,
    /// The route table that its hosts' traffic follows.
    pub route_table: RouteTableId,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// Whether a subnet's block has an allowed mask, /16 to /28 (or that of the VPC's block that holds
/// it), and lies in one block of the VPC.
pub fn is_subnet_cidr(cidr: CidrBlock, vpc: &Vpc) -> bool {
    vpc.block_of(cidr)
        .is_some_and(|block| cidr.prefix_len() <= 28 && (cidr.prefix_len() >= 16 || cidr == block))
}

/// A route table of a VPC. The Local route is implied and never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    /// The unified id.
    pub id: RouteTableId,
    /// The legacy id.
    pub legacy_id: LegacyRouteTableId,
    /// The VPC that it belongs to.
    pub vpc: VpcId,
    /// Its name.
    pub name: Name,
    /// Whether it came with the VPC.
    pub kind: RouteTableKind,
    /// The custom routes, in the order they were added; destinations are unique.
    pub routes: Vec<Route>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// Whether a route table came with its VPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteTableKind {
    /// Came with the VPC; new subnets use it.
    Default,
    /// Was made later.
    Ordinary,
}

/// A custom route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its id; neither it nor its number is another route's of the table.
    pub id: RouteItemId,
    /// Where it leads.
    pub destination: CidrBlock,
    /// By which way.
    pub next_hop: NextHop,
    /// What its owner says it is for.
    pub description: Option<Description>,
    /// Whether traffic follows it.
    pub is_enabled: bool,
}

/// The next hop of a custom route. Peering connections are the only kind that Peerway carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextHop {
    /// Next hop type 4.
    Peering(PeeringConnectionId),
}

impl RouteTable {
    /// The peerings that the table's enabled routes lead to, with their destinations.
    pub fn peering_routes(&self) -> impl Iterator<Item = (CidrBlock, PeeringConnectionId)> + '_ {
        let enabled = self.routes.iter().filter(|route| route.is_enabled);
        enabled.map(|route| match route.next_hop {
            NextHop::Peering(peering) => (route.destination, peering),
        })
    }

    /// The table without its routes to one peering, or `None` when it has none.
    pub fn without_peering(&self, gone: PeeringConnectionId) -> Option<RouteTable> {
        let routes: Vec<Route> = self
            .routes
            .iter()
            .filter(|route| route.next_hop != NextHop::Peering(gone))
            .cloned()
            .collect();
        (routes.len() != self.routes.len()).then(|| RouteTable {
            routes,
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vpc_blocks_are_private_and_between_12_and_28() {
        for (text, allowed) in [
            ("10.0.0.0/12", true),
            ("10.0.0.0/11", false),
            ("172.16.0.0/12", true),
            ("172.32.0.0/16", false),
            ("192.168.0.0/16", true),
            ("192.168.255.240/28", true),
            ("192.168.255.240/29", false),
            ("8.8.0.0/16", false),
        ] {
            assert_eq!(is_vpc_cidr(text.parse().unwrap()), allowed, "{text}");
        }
    }

    #[test]
    fn subnet_blocks_lie_in_the_vpc() {
        let vpc = Vpc {
            assistant_cidrs: vec!["172.16.0.0/20".parse().unwrap()],
            ..crate::testing::vpc(1, Region::Guangzhou, 1, "10.0.0.0/12")
        };
        for (text, allowed) in [
            ("10.0.0.0/12", true),
            ("10.0.0.0/13", false),
            ("10.1.0.0/16", true),
            ("10.16.0.0/16", false),
            ("172.16.0.0/20", true),
            ("172.16.15.240/28", true),
            ("172.16.15.248/29", false),
            ("172.16.0.0/19", false),
        ] {
            assert_eq!(
                is_subnet_cidr(text.parse().unwrap(), &vpc),
                allowed,
                "{text}"
            );
        }
    }
}
