//! Builders and fakes for this crate's tests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use model::ipv6::Ipv6Slice;
use model::slice::{GatewaySlice, PeerEnd, PeeringSlice, SubnetSlice, TunnelPeerSlice, VpcSlice};
use model::{
    Bandwidth, GatewayId, Generation, PeeringConnectionId, PublicKey, Region, Side, SubnetId, Vni,
    VpcId,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) fn gateway_id() -> GatewayId {
    GatewayId::from_entropy(1)
}

pub(crate) fn peer_id() -> GatewayId {
    GatewayId::from_entropy(2)
}

pub(crate) fn vpc_id(number: u64) -> VpcId {
    VpcId::from_entropy(number)
}

pub(crate) fn subnet_id(number: u64) -> SubnetId {
    SubnetId::from_entropy(number)
}

pub(crate) fn peering_key() -> (PeeringConnectionId, Side) {
    (PeeringConnectionId::from_entropy(1), Side::Requester)
}

/// VPC 1 (10.1.0.0/16) with subnet 1 (10.1.1.0/24) that has a route into a peering with VPC 9
/// (10.9.0.0/16) at another gateway, and VPC 2 (10.2.0.0/16) with subnet 2 (10.2.1.0/24), alone.
pub(crate) fn slice(generation: u64) -> GatewaySlice {
    let peer = TunnelPeerSlice {
        region: Region::Shanghai,
        public_key: PublicKey([7; 32]),
        endpoint: Some("192.0.2.2:51820".to_owned()),
        overlay_address: Ipv4Addr::new(100, 64, 0, 2),
    };
    let peering = PeeringSlice {
        vni: Vni::FIRST,
        local_vpc: vpc_id(1),
        peer_vpc: vpc_id(9),
        peer_cidr: "10.9.0.0/16".parse().unwrap(),
        peer_assistant_cidrs: BTreeSet::new(),
        bandwidth: Bandwidth::from_mbps(20),
        peer: PeerEnd::Gateway(peer_id()),
        peer_has_route: true,
    };
    let mut slice = GatewaySlice {
        generation: Generation(generation),
        gateway: gateway_id(),
        region: Region::Guangzhou,
        overlay_address: Ipv4Addr::new(100, 64, 0, 1),
        tunnel_peers: BTreeMap::from([(peer_id(), peer)]),
        vpcs: BTreeMap::from([(vpc_id(1), vpc(1)), (vpc_id(2), vpc(2))]),
        peerings: BTreeMap::from([(peering_key(), peering)]),
        ipv6: Ipv6Slice::default(),
    };
    let subnet = slice
        .vpcs
        .get_mut(&vpc_id(1))
        .unwrap()
        .subnets
        .get_mut(&subnet_id(1))
        .unwrap();
    subnet
        .routes
        .insert("10.9.0.0/16".parse().unwrap(), peering_key().0);
    slice
}

/// A VPC 10.N.0.0/16 with the legacy id gz_vpc_N and one subnet N, 10.N.1.0/24, without routes.
pub(crate) fn vpc(number: u64) -> VpcSlice {
    let subnet = SubnetSlice {
        cidr: format!("10.{number}.1.0/24").parse().unwrap(),
        routes: BTreeMap::new(),
    };
    VpcSlice {
        legacy_id: format!("gz_vpc_{number}").parse().unwrap(),
        cidr: format!("10.{number}.0.0/16").parse().unwrap(),
        assistant_cidrs: BTreeSet::new(),
        subnets: BTreeMap::from([(subnet_id(number), subnet)]),
    }
}

/// A certificate authority of a deployment.
pub(crate) struct TestCa {
    certificate: CertificateDer<'static>,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl TestCa {
    pub(crate) fn new() -> TestCa {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap().der().clone();
        TestCa {
            certificate,
            issuer: rcgen::Issuer::new(parameters, key),
        }
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// A server's certificate for a name that no test connects to.
    pub(crate) fn issue(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["server.example".to_owned()]).unwrap();
        let certificate = parameters
            .signed_by(&key, &self.issuer)
            .unwrap()
            .der()
            .clone();
        (
            certificate,
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
    }
}

/// An attachment to subnet N of VPC N, to a namespace of its own.
pub(crate) fn attachment(number: u64) -> kernel::Attachment {
    kernel::Attachment {
        vpc: vpc_id(number),
        subnet: subnet_id(number),
        kind: kernel::AttachmentKind::VethToNamespace {
            namespace: kernel::NamespaceRef::Name(format!("host-{number}")),
            interface: "eth0".to_owned(),
        },
        host: None,
    }
}
