//! The last desired slice on disk: versioned JSON that a person can read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::str::FromStr;

use model::ipv6::{Ipv6Slice, SubnetIpv6, VpcIpv6};
use model::slice::{GatewaySlice, PeerEnd, PeeringSlice, SubnetSlice, TunnelPeerSlice, VpcSlice};
use model::{Bandwidth, CidrBlock, Generation, Side, Vni};
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
    // Absent in records of gateways that knew no IPv6.
    #[serde(default)]
    ipv6: Ipv6Record,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Ipv6Record {
    vpcs: BTreeMap<String, VpcIpv6Record>,
    peer_cidrs: Vec<PeerCidrRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct VpcIpv6Record {
    cidr: String,
    subnets: BTreeMap<String, SubnetRecord>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PeerCidrRecord {
    peering: String,
    side: SideRecord,
    cidr: String,
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
    // Absent in records of gateways that knew no assistant blocks, as those of peers are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    assistant_cidrs: Vec<String>,
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    peer_assistant_cidrs: Vec<String>,
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
                assistant_cidrs: texts(&vpc.assistant_cidrs),
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
                side: (*side).into(),
                vni: entry.vni.get(),
                local_vpc: entry.local_vpc.to_string(),
                peer_vpc: entry.peer_vpc.to_string(),
                peer_cidr: entry.peer_cidr.to_string(),
                peer_assistant_cidrs: texts(&entry.peer_assistant_cidrs),
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
            ipv6: (&slice.ipv6).into(),
        }
    }
}

impl From<&Ipv6Slice> for Ipv6Record {
    fn from(ipv6: &Ipv6Slice) -> Self {
        let vpcs = ipv6.vpcs.iter().map(|(id, vpc)| {
            let subnets = vpc.subnets.iter().map(|(id, subnet)| {
                let routes = subnet.routes.iter();
                let routes = routes.map(|(to, peering)| (to.to_string(), peering.to_string()));
                let record = SubnetRecord {
                    cidr: subnet.cidr.to_string(),
                    routes: routes.collect(),
                };
                (id.to_string(), record)
            });
            let record = VpcIpv6Record {
                cidr: vpc.cidr.to_string(),
                subnets: subnets.collect(),
            };
            (id.to_string(), record)
        });
        let peer_cidrs = ipv6.peer_cidrs.iter();
        let peer_cidrs = peer_cidrs.map(|((peering, side), cidr)| PeerCidrRecord {
            peering: peering.to_string(),
            side: (*side).into(),
            cidr: cidr.to_string(),
        });
        Ipv6Record {
            vpcs: vpcs.collect(),
            peer_cidrs: peer_cidrs.collect(),
        }
    }
}

impl From<Side> for SideRecord {
    fn from(side: Side) -> Self {
        match side {
            Side::Requester => SideRecord::Requester,
            Side::Accepter => SideRecord::Accepter,
        }
    }
}

impl From<&SideRecord> for Side {
    fn from(side: &SideRecord) -> Self {
        match side {
            SideRecord::Requester => Side::Requester,
            SideRecord::Accepter => Side::Accepter,
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
            ipv6: record.ipv6.try_into()?,
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
            let key = (parse(&entry.peering)?, Side::from(&entry.side));
            slice.peerings.insert(key, entry.try_into()?);
        }
        Ok(slice)
    }
}

impl TryFrom<Ipv6Record> for Ipv6Slice {
    type Error = String;

    fn try_from(record: Ipv6Record) -> Result<Self, String> {
        let mut ipv6 = Ipv6Slice::default();
        for (id, vpc) in record.vpcs {
            let mut subnets = BTreeMap::new();
            for (id, subnet) in vpc.subnets {
                let routes = subnet.routes.iter();
                let routes = routes.map(|(to, peering)| Ok((parse(to)?, parse(peering)?)));
                let subnet = SubnetIpv6 {
                    cidr: parse(&subnet.cidr)?,
                    routes: routes.collect::<Result<_, String>>()?,
                };
                subnets.insert(parse(&id)?, subnet);
            }
            let cidr = parse(&vpc.cidr)?;
            ipv6.vpcs.insert(parse(&id)?, VpcIpv6 { cidr, subnets });
        }
        for entry in record.peer_cidrs {
            let key = (parse(&entry.peering)?, Side::from(&entry.side));
            ipv6.peer_cidrs.insert(key, parse(&entry.cidr)?);
        }
        Ok(ipv6)
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
            assistant_cidrs: blocks(&record.assistant_cidrs)?,
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
            peer_assistant_cidrs: blocks(&record.peer_assistant_cidrs)?,
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

fn texts(blocks: &BTreeSet<CidrBlock>) -> Vec<String> {
    blocks.iter().map(CidrBlock::to_string).collect()
}

fn blocks(texts: &[String]) -> Result<BTreeSet<CidrBlock>, String> {
    texts.iter().map(|text| parse(text)).collect()
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
    use crate::testing::{peering_key, slice, subnet_id, vpc_id};

    #[test]
    fn a_slice_comes_back_from_its_record() {
        let mut slice = slice(7);
        let (vpc, key) = (vpc_id(1), peering_key());
        let subnet = SubnetIpv6 {
            cidr: "2001:db8:1:1::/64".parse().unwrap(),
            routes: BTreeMap::from([("2001:db8:9::/48".parse().unwrap(), key.0)]),
        };
        let ipv6 = VpcIpv6 {
            cidr: "2001:db8:1::/48".parse().unwrap(),
            subnets: BTreeMap::from([(subnet_id(1), subnet)]),
        };
        slice.ipv6.vpcs.insert(vpc, ipv6);
        let peer_cidr = "2001:db8:9::/48".parse().unwrap();
        slice.ipv6.peer_cidrs.insert(key, peer_cidr);
        let own = slice.vpcs.get_mut(&vpc).unwrap();
        own.assistant_cidrs.insert("172.16.0.0/16".parse().unwrap());
        let entry = slice.peerings.get_mut(&key).unwrap();
        let block = "192.168.0.0/16".parse().unwrap();
        entry.peer_assistant_cidrs.insert(block);
        let text = serde_json::to_string(&SliceRecord::from(&slice)).unwrap();
        let record: SliceRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(GatewaySlice::try_from(record), Ok(slice));
    }

    #[test]
    fn a_record_from_before_ipv6_is_read() {
        let mut record = serde_json::to_value(SliceRecord::from(&slice(7))).unwrap();
        record.as_object_mut().unwrap().remove("ipv6").unwrap();
        let record: SliceRecord = serde_json::from_value(record).unwrap();
        assert_eq!(GatewaySlice::try_from(record), Ok(slice(7)));
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
