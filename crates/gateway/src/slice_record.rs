//! The last desired slice on disk: versioned JSON that a person can read.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::str::FromStr;

use model::slice::{GatewaySlice, PeerEnd, PeeringSlice, SubnetSlice, TunnelPeerSlice, VpcSlice};
use model::{Bandwidth, Generation, Side, Vni};
use serde::{Deserialize, Serialize};

/// The form that this software writes. An older gateway must not guess at a newer form.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SliceRecord {
    version: u32,
    generation: u64,
    gateway: String,
    region: String,
    overlay_address: Ipv4Addr,
    tunnel_peers: BTreeMap<String, TunnelPeerRecord>,
    vpcs: BTreeMap<String, VpcRecord>,
    peerings: Vec<PeeringRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct TunnelPeerRecord {
    region: String,
    public_key: String,
    endpoint: Option<String>,
    overlay_address: Ipv4Addr,
}

#[derive(Debug, Serialize, Deserialize)]
struct VpcRecord {
    legacy_id: String,
    cidr: String,
    subnets: BTreeMap<String, SubnetRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SubnetRecord {
    cidr: String,
    routes: BTreeMap<String, String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PeeringRecord {
    peering: String,
    side: SideRecord,
    vni: u32,
    local_vpc: String,
    peer_vpc: String,
    peer_cidr: String,
    bandwidth_mbps: u32,
    peer: PeerRecord,
    peer_has_route: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SideRecord {
    Requester,
    Accepter,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PeerRecord {
    Local,
    Gateway(String),
    Absent,
}

impl From<&GatewaySlice> for SliceRecord {
    fn from(slice: &GatewaySlice) -> Self {
        let tunnel_peers = slice.tunnel_peers.iter().map(|(id, peer)| {
            let record = TunnelPeerRecord {
                region: peer.region.to_string(),
                public_key: peer.public_key.to_string(),
                endpoint: peer.endpoint.clone(),
                overlay_address: peer.overlay_address,
            };
            (id.to_string(), record)
        });
        let vpcs = slice.vpcs.iter().map(|(id, vpc)| {
            let record = VpcRecord {
                legacy_id: vpc.legacy_id.to_string(),
                cidr: vpc.cidr.to_string(),
                subnets: vpc
                    .subnets
                    .iter()
                    .map(|(id, s)| (id.to_string(), s.into()))
                    .collect(),
            };
            (id.to_string(), record)
        });
        let peerings = slice
            .peerings
            .iter()
            .map(|((peering, side), entry)| PeeringRecord {
                peering: peering.to_string(),
                side: match side {
                    Side::Requester => SideRecord::Requester,
                    Side::Accepter => SideRecord::Accepter,
                },
                vni: entry.vni.get(),
                local_vpc: entry.local_vpc.to_string(),
                peer_vpc: entry.peer_vpc.to_string(),
                peer_cidr: entry.peer_cidr.to_string(),
                bandwidth_mbps: entry.bandwidth.mbps(),
                peer: match entry.peer {
                    PeerEnd::Local => PeerRecord::Local,
                    PeerEnd::Gateway(id) => PeerRecord::Gateway(id.to_string()),
                    PeerEnd::Absent => PeerRecord::Absent,
                },
                peer_has_route: entry.peer_has_route,
            });
        SliceRecord {
            version: VERSION,
            generation: slice.generation.0,
            gateway: slice.gateway.to_string(),
            region: slice.region.to_string(),
            overlay_address: slice.overlay_address,
            tunnel_peers: tunnel_peers.collect(),
            vpcs: vpcs.collect(),
            peerings: peerings.collect(),
        }
    }
}

impl From<&SubnetSlice> for SubnetRecord {
    fn from(subnet: &SubnetSlice) -> Self {
        let routes = subnet
            .routes
            .iter()
            .map(|(to, peering)| (to.to_string(), peering.to_string()));
        SubnetRecord {
            cidr: subnet.cidr.to_string(),
            routes: routes.collect(),
        }
    }
}

impl TryFrom<SliceRecord> for GatewaySlice {
    type Error = String;

    fn try_from(record: SliceRecord) -> Result<Self, String> {
        if record.version != VERSION {
            return Err(format!(
                "it has version {}, this gateway reads version {VERSION}",
                record.version
            ));
        }
        let mut slice = GatewaySlice {
            generation: Generation(record.generation),
            gateway: parse(&record.gateway)?,
            region: parse(&record.region)?,
            overlay_address: record.overlay_address,
            tunnel_peers: BTreeMap::new(),
            vpcs: BTreeMap::new(),
            peerings: BTreeMap::new(),
        };
        for (id, peer) in record.tunnel_peers {
            let peer = TunnelPeerSlice {
                region: parse(&peer.region)?,
                public_key: parse(&peer.public_key)?,
                endpoint: peer.endpoint,
                overlay_address: peer.overlay_address,
            };
            slice.tunnel_peers.insert(parse(&id)?, peer);
        }
        for (id, vpc) in record.vpcs {
            slice.vpcs.insert(parse(&id)?, vpc.try_into()?);
        }
        for entry in record.peerings {
            let side = match entry.side {
                SideRecord::Requester => Side::Requester,
                SideRecord::Accepter => Side::Accepter,
            };
            slice
                .peerings
                .insert((parse(&entry.peering)?, side), entry.try_into()?);
        }
        Ok(slice)
    }
}

impl TryFrom<VpcRecord> for VpcSlice {
    type Error = String;

    fn try_from(record: VpcRecord) -> Result<Self, String> {
        let mut subnets = BTreeMap::new();
        for (id, subnet) in record.subnets {
            let routes: Result<_, String> = subnet
                .routes
                .iter()
                .map(|(to, peering)| Ok((parse(to)?, parse(peering)?)))
                .collect();
            subnets.insert(
                parse(&id)?,
                SubnetSlice {
                    cidr: parse(&subnet.cidr)?,
                    routes: routes?,
                },
            );
        }
        Ok(VpcSlice {
            legacy_id: parse(&record.legacy_id)?,
            cidr: parse(&record.cidr)?,
            subnets,
        })
    }
}

impl TryFrom<PeeringRecord> for PeeringSlice {
    type Error = String;

    fn try_from(record: PeeringRecord) -> Result<Self, String> {
        Ok(PeeringSlice {
            vni: Vni::try_from(record.vni).map_err(|error| error.to_string())?,
            local_vpc: parse(&record.local_vpc)?,
            peer_vpc: parse(&record.peer_vpc)?,
            peer_cidr: parse(&record.peer_cidr)?,
            bandwidth: Bandwidth::from_mbps(record.bandwidth_mbps),
            peer: match record.peer {
                PeerRecord::Local => PeerEnd::Local,
                PeerRecord::Gateway(id) => PeerEnd::Gateway(parse(&id)?),
                PeerRecord::Absent => PeerEnd::Absent,
            },
            peer_has_route: record.peer_has_route,
        })
    }
}

fn parse<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::slice;

    #[test]
    fn a_slice_comes_back_from_its_record() {
        let slice = slice(7);
        let text = serde_json::to_string(&SliceRecord::from(&slice)).unwrap();
        let record: SliceRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(GatewaySlice::try_from(record), Ok(slice));
    }

    #[test]
    fn a_record_of_another_version_is_refused() {
        let mut record = SliceRecord::from(&slice(7));
        record.version = 2;
        let error = GatewaySlice::try_from(record).unwrap_err();
        assert!(error.contains("version 2"), "{error}");
    }

    #[test]
    fn a_damaged_record_is_refused() {
        let mut record = SliceRecord::from(&slice(7));
        record.peerings[0].vni = 0;
        assert!(GatewaySlice::try_from(record).is_err());
    }
}
