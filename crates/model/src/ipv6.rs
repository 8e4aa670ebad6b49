//! IPv6 beside IPv4. The vendor's legacy API has no words for it; a gateway's slice and the engine
//! carry it all the same, under the same rules.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use ipnet::Ipv6Net;

use crate::id::{PeeringConnectionId, SubnetId, VpcId};
use crate::overlay::Side;

/// A text that is no IPv6 block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an IPv6 CIDR block with its host bits zero, such as 2001:db8:1::/48")]
pub struct Ipv6BlockError(String);

/// An IPv6 CIDR block whose host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ipv6Block(Ipv6Net);

impl Ipv6Block {
    /// Whether the address lies in the block.
    pub fn contains_address(self, address: Ipv6Addr) -> bool {
        self.0.contains(&address)
    }

    /// Whether the other block lies in this one (a block contains itself).
    pub fn contains(self, other: Ipv6Block) -> bool {
        self.0.contains(&other.0)
    }

    /// The gateway address of a subnet with this block: the one after the subnet's own.
    pub fn gateway_address(self) -> Ipv6Addr {
        Ipv6Addr::from(u128::from(self.0.network()).wrapping_add(1))
    }

    /// The block as an `ipnet` value, for prefix tries.
    pub fn net(self) -> Ipv6Net {
        self.0
    }
}

impl FromStr for Ipv6Block {
    type Err = Ipv6BlockError;

    fn from_str(text: &str) -> Result<Self, Ipv6BlockError> {
        let net: Option<Ipv6Net> = text.parse().ok();
        net.filter(|net| net.addr() == net.network())
            .map(Ipv6Block)
            .ok_or_else(|| Ipv6BlockError(text.to_owned()))
    }
}

impl fmt::Display for Ipv6Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Ipv6Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a gateway carries of IPv6. Everything named here is in the slice's IPv4 part too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ipv6Slice {
    /// The VPCs that have IPv6.
    pub vpcs: BTreeMap<VpcId, VpcIpv6>,
    /// The other VPC's block, for local sides of peerings where it has one.
    pub peer_cidrs: BTreeMap<(PeeringConnectionId, Side), Ipv6Block>,
}

/// IPv6 of a VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcIpv6 {
    /// Its block.
    pub cidr: Ipv6Block,
    /// Its subnets that have IPv6.
    pub subnets: BTreeMap<SubnetId, SubnetIpv6>,
}

/// IPv6 of a subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetIpv6 {
    /// Its block.
    pub cidr: Ipv6Block,
    /// Destination to peering, as in the IPv4 part.
    pub routes: BTreeMap<Ipv6Block, PeeringConnectionId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_no_host_bits() {
        let block: Ipv6Block = "2001:db8:1::/48".parse().unwrap();
        assert_eq!(block.to_string(), "2001:db8:1::/48");
        assert_eq!(
            block.gateway_address(),
            "2001:db8:1::1".parse::<Ipv6Addr>().unwrap()
        );
        assert!(block.contains_address("2001:db8:1:ffff::9".parse().unwrap()));
        assert!(!block.contains_address("2001:db8:2::9".parse().unwrap()));
        assert!(block.contains(block) && block.contains("2001:db8:1:5::/64".parse().unwrap()));
        assert!(!block.contains("2001:db8::/32".parse().unwrap()));
        for text in [
            "2001:db8:1::1/48",
            "10.0.0.0/8",
            "2001:db8:1::",
            "2001:db8::/129",
            "",
        ] {
            let error = text.parse::<Ipv6Block>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")));
        }
    }
}
