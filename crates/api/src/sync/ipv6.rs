//! IPv6 of a slice, from and to the wire.

use model::VpcId;
use model::ipv6::{Ipv6Block, Ipv6Slice, SubnetIpv6, VpcIpv6};

use super::convert::{FieldError, Problem, parse, required};
use super::proto;
use super::slice::{decode_entries, decode_key, encode_key};

/// The wire form; `None` when nothing has IPv6.
pub(super) fn encode_present(ipv6: &Ipv6Slice) -> Option<proto::Ipv6Slice> {
    (*ipv6 != Ipv6Slice::default()).then(|| encode(ipv6))
}

/// The wire form.
pub(super) fn encode(ipv6: &Ipv6Slice) -> proto::Ipv6Slice {
    let vpcs = ipv6.vpcs.iter().map(|(id, vpc)| encode_vpc(*id, vpc));
    let peer_cidrs = ipv6
        .peer_cidrs
        .iter()
        .map(|(key, cidr)| proto::Ipv6PeerCidr {
            key: Some(encode_key(*key)),
            cidr: cidr.to_string(),
        });
    proto::Ipv6Slice {
        vpcs: vpcs.collect(),
        peer_cidrs: peer_cidrs.collect(),
    }
}

/// Checks what came from the wire.
///
/// # Errors
/// [`FieldError`] for the first field that is malformed, an entry that appears twice, a subnet
/// outside its VPC, and a route into its own VPC.
pub(super) fn decode(wire: proto::Ipv6Slice) -> Result<Ipv6Slice, FieldError> {
    let decode_peer_cidr = |wire: proto::Ipv6PeerCidr| {
        let key = required("key", wire.key)?;
        let key = decode_key(&key).map_err(|error| error.within("key"))?;
        Ok((key, parse("cidr", &wire.cidr)?))
    };
    Ok(Ipv6Slice {
        vpcs: decode_entries("vpcs", wire.vpcs, decode_vpc)?,
        peer_cidrs: decode_entries("peer_cidrs", wire.peer_cidrs, decode_peer_cidr)?,
    })
}

fn encode_vpc(id: VpcId, vpc: &VpcIpv6) -> proto::Vpc {
    let subnets = vpc.subnets.iter().map(|(id, subnet)| {
        let routes = subnet.routes.iter().map(|(to, peering)| proto::Route {
            destination: to.to_string(),
            peering_id: peering.to_string(),
        });
        proto::Subnet {
            subnet_id: id.to_string(),
            cidr: subnet.cidr.to_string(),
            routes: routes.collect(),
        }
    });
    proto::Vpc {
        vpc_id: id.to_string(),
        legacy_id: String::new(),
        cidr: vpc.cidr.to_string(),
        subnets: subnets.collect(),
        assistant_cidrs: Vec::new(),
    }
}

fn decode_vpc(wire: proto::Vpc) -> Result<(VpcId, VpcIpv6), FieldError> {
    let cidr = parse("cidr", &wire.cidr)?;
    let subnets = decode_entries("subnets", wire.subnets, |wire: proto::Subnet| {
        let id = parse("subnet_id", &wire.subnet_id)?;
        Ok((id, decode_subnet(wire, cidr)?))
    })?;
    Ok((parse("vpc_id", &wire.vpc_id)?, VpcIpv6 { cidr, subnets }))
}

fn decode_subnet(wire: proto::Subnet, vpc: Ipv6Block) -> Result<SubnetIpv6, FieldError> {
    let cidr: Ipv6Block = parse("cidr", &wire.cidr)?;
    if !vpc.contains(cidr) {
        let problem = Problem::Contradiction(format!("{cidr} is outside its VPC {vpc}"));
        return Err(FieldError::new("cidr", problem));
    }
    let routes = decode_entries("routes", wire.routes, |wire: proto::Route| {
        let destination: Ipv6Block = parse("destination", &wire.destination)?;
        if vpc.contains(destination) {
            let problem = Problem::Contradiction(format!("{destination} is inside its VPC {vpc}"));
            return Err(FieldError::new("destination", problem));
        }
        Ok((destination, parse("peering_id", &wire.peering_id)?))
    })?;
    Ok(SubnetIpv6 { cidr, routes })
}
