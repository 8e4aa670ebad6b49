//! The desired slice of one gateway: everything it has to carry and nothing else, and the change
//! from one slice to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::cidr::CidrBlock;
use crate::id::{GatewayId, Generation, LegacyVpcId, PeeringConnectionId, SubnetId, VpcId};
use crate::ipv6::Ipv6Slice;
use crate::overlay::{Bandwidth, PublicKey, Side, Vni};
use crate::region::Region;

/// What one gateway is to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySlice {
    /// Grows with every change; a gateway ignores anything older than what it runs.
    pub generation: Generation,
    /// The gateway that the slice is for.
    pub gateway: GatewayId,
    /// Its region.
    pub region: Region,
    /// Its address inside the tunnels, a /32.
    pub overlay_address: Ipv4Addr,
    /// The gateways that it shares a peering with.
    pub tunnel_peers: BTreeMap<GatewayId, TunnelPeerSlice>,
    /// Every VPC of the region. Those without attachment and peering need nothing in the kernel.
    pub vpcs: BTreeMap<VpcId, VpcSlice>,
    /// The local sides of active peerings. A peering of two VPCs of this gateway has two entries.
    pub peerings: BTreeMap<(PeeringConnectionId, Side), PeeringSlice>,
    /// What of it has IPv6.
    pub ipv6: Ipv6Slice,
}

/// Another gateway, as one end of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelPeerSlice {
    /// Its region.
    pub region: Region,
    /// Its tunnel key.
    pub public_key: PublicKey,
    /// Where it says it can be reached, `host:port`; `None` when it can only call us.
    pub endpoint: Option<String>,
    /// Its address inside the tunnels, a /32; the only source accepted from it.
    pub overlay_address: Ipv4Addr,
}

/// A VPC as a gateway sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VpcSlice {
    /// The legacy id, for people.
    pub legacy_id: LegacyVpcId,
    /// Its CIDR block.
    pub cidr: CidrBlock,
    /// Its assistant CIDR blocks.
    pub assistant_cidrs: BTreeSet<CidrBlock>,
    /// Its subnets, each in one of the blocks.
    pub subnets: BTreeMap<SubnetId, SubnetSlice>,
}

/// A subnet with the routes of its route table that lead to peerings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetSlice {
    /// Its CIDR block.
    pub cidr: CidrBlock,
    /// Destination to peering. No destination lies inside a block of the VPC.
    pub routes: BTreeMap<CidrBlock, PeeringConnectionId>,
}

/// The local side of one active peering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeeringSlice {
    /// The overlay network id.
    pub vni: Vni,
    /// Which VPC of ours.
    pub local_vpc: VpcId,
    /// The other VPC.
    pub peer_vpc: VpcId,
    /// The CIDR block of the other VPC.
    pub peer_cidr: CidrBlock,
    /// The assistant CIDR blocks of the other VPC.
    pub peer_assistant_cidrs: BTreeSet<CidrBlock>,
    /// The cap for what we send.
    pub bandwidth: Bandwidth,
    /// Who carries the other VPC.
    pub peer: PeerEnd,
    /// Whether any subnet of the other VPC has a route to this peering. Forwarding does not depend
    /// on it; `status` explains with it.
    pub peer_has_route: bool,
}

impl VpcSlice {
    /// All blocks of the VPC.
    pub fn blocks(&self) -> impl Iterator<Item = CidrBlock> + '_ {
        std::iter::once(self.cidr).chain(self.assistant_cidrs.iter().copied())
    }
}

impl PeeringSlice {
    /// All blocks of the other VPC.
    pub fn peer_blocks(&self) -> impl Iterator<Item = CidrBlock> + '_ {
        std::iter::once(self.peer_cidr).chain(self.peer_assistant_cidrs.iter().copied())
    }
}

/// Who carries the other VPC of a peering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEnd {
    /// This gateway carries both.
    Local,
    /// Another gateway.
    Gateway(GatewayId),
    /// The other region has no gateway.
    Absent,
}

/// The change that turns one slice into the next: absent entries are removed, present ones put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceChange {
    /// The generation that the change starts from.
    pub from: Generation,
    /// The generation that it leads to.
    pub to: Generation,
    /// Gateways put (`Some`) or removed (`None`).
    pub tunnel_peers: BTreeMap<GatewayId, Option<TunnelPeerSlice>>,
    /// VPCs put or removed.
    pub vpcs: BTreeMap<VpcId, Option<VpcSlice>>,
    /// Sides of peerings put or removed.
    pub peerings: BTreeMap<(PeeringConnectionId, Side), Option<PeeringSlice>>,
    /// The whole of IPv6, when something of it changed.
    pub ipv6: Option<Ipv6Slice>,
}

/// A change that does not start where the slice stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the change starts at generation {from}, the slice is at {at}")]
pub struct GenerationMismatch {
    /// Where the change starts.
    pub from: Generation,
    /// Where the slice stands.
    pub at: Generation,
}

impl GatewaySlice {
    /// Whether the two slices ask for the same, whatever their generations.
    pub fn same_content(&self, other: &GatewaySlice) -> bool {
        self.gateway == other.gateway
            && self.region == other.region
            && self.overlay_address == other.overlay_address
            && self.tunnel_peers == other.tunnel_peers
            && self.vpcs == other.vpcs
            && self.peerings == other.peerings
            && self.ipv6 == other.ipv6
    }

    /// The change from this slice to a later one of the same gateway.
    pub fn change_to(&self, next: &GatewaySlice) -> SliceChange {
        SliceChange {
            from: self.generation,
            to: next.generation,
            tunnel_peers: changes(&self.tunnel_peers, &next.tunnel_peers),
            vpcs: changes(&self.vpcs, &next.vpcs),
            peerings: changes(&self.peerings, &next.peerings),
            ipv6: (self.ipv6 != next.ipv6).then(|| next.ipv6.clone()),
        }
    }

    /// Applies a change.
    ///
    /// # Errors
    /// [`GenerationMismatch`] when the change starts at another generation; the slice is then
    /// unchanged and the holder asks for a snapshot.
    pub fn apply(&mut self, change: SliceChange) -> Result<(), GenerationMismatch> {
        if change.from != self.generation {
            return Err(GenerationMismatch {
                from: change.from,
                at: self.generation,
            });
        }
        merge(&mut self.tunnel_peers, change.tunnel_peers);
        merge(&mut self.vpcs, change.vpcs);
        merge(&mut self.peerings, change.peerings);
        if let Some(ipv6) = change.ipv6 {
            self.ipv6 = ipv6;
        }
        self.generation = change.to;
        Ok(())
    }
}

fn changes<K: Ord + Clone, V: PartialEq + Clone>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
) -> BTreeMap<K, Option<V>> {
    let removed = old
        .keys()
        .filter(|key| !new.contains_key(key))
        .map(|key| (key.clone(), None));
    let put = new
        .iter()
        .filter(|(key, value)| old.get(key) != Some(value))
        .map(|(key, value)| (key.clone(), Some(value.clone())));
    removed.chain(put).collect()
}

fn merge<K: Ord, V>(map: &mut BTreeMap<K, V>, changes: BTreeMap<K, Option<V>>) {
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key, value),
            None => map.remove(&key),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipv6::VpcIpv6;

    fn slice(generation: u64, vpcs: &[u64]) -> GatewaySlice {
        let vpcs = vpcs.iter().map(|number| {
            let vpc = VpcSlice {
                assistant_cidrs: BTreeSet::new(),
                legacy_id: LegacyVpcId {
                    region: Region::Guangzhou,
                    number: *number as u32,
                },
                cidr: CidrBlock::new(Ipv4Addr::new(10, *number as u8, 0, 0), 16).unwrap(),
                subnets: BTreeMap::new(),
            };
            (VpcId::from_entropy(*number), vpc)
        });
        GatewaySlice {
            generation: Generation(generation),
            gateway: GatewayId::from_entropy(1),
            region: Region::Guangzhou,
            overlay_address: Ipv4Addr::new(100, 64, 0, 1),
            tunnel_peers: BTreeMap::new(),
            vpcs: vpcs.collect(),
            peerings: BTreeMap::new(),
            ipv6: Ipv6Slice::default(),
        }
    }

    #[test]
    fn a_change_of_ipv6_alone_is_a_change() {
        let (mut old, mut new) = (slice(3, &[1]), slice(5, &[1]));
        let ipv6 = VpcIpv6 {
            cidr: "2001:db8:1::/48".parse().unwrap(),
            subnets: BTreeMap::new(),
        };
        new.ipv6.vpcs.insert(VpcId::from_entropy(1), ipv6);
        assert!(!old.same_content(&new));
        old.apply(old.change_to(&new)).unwrap();
        assert_eq!(old, new);
        new.generation = Generation(6);
        assert_eq!(old.change_to(&new).ipv6, None);
    }

    #[test]
    fn a_change_leads_from_one_slice_to_the_other() {
        let (mut old, new) = (slice(3, &[1, 2]), slice(5, &[2, 3]));
        let change = old.change_to(&new);
        assert_eq!(change.vpcs.len(), 2);
        old.apply(change).unwrap();
        assert_eq!(old, new);
    }

    #[test]
    fn a_change_from_another_generation_changes_nothing() {
        let (mut old, new) = (slice(3, &[1]), slice(5, &[2]));
        let change = slice(4, &[1]).change_to(&new);
        let before = old.clone();
        assert!(old.apply(change).is_err());
        assert_eq!(old, before);
    }
}
