//! Why nothing passes a peering: plain findings from what is desired and what the engine sees.

use std::fmt;
use std::time::Duration;

use model::PeeringConnectionId;
use model::slice::{PeerEnd, PeeringSlice, TunnelPeerSlice, VpcSlice};
use serde::{Deserialize, Serialize};
use tunnel::{PairStatus, PeeringStatus};

use crate::growth::DropCounts;
use crate::status::millis;

/// WireGuard gives a session up after this (REJECT_AFTER_TIME).
const SESSION_LIFETIME: Duration = Duration::from_secs(180);
/// Probes go once a second; after this many without an answer the path counts as silent.
const PROBE_SILENCE: Duration = Duration::from_secs(5);
/// IPv6 needs this much (RFC 8200, section 5); so do some hosts' smallest segments.
const SMALL_MTU_BYTES: u16 = 1280;

/// One reason why nothing, or not everything, passes a peering.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "finding")]
pub enum Finding {
    /// The VPC's part of the kernel could not be set up.
    NotApplied {
        /// The VPC.
        vpc: String,
    },
    /// No subnet of our VPC has a route to the peering.
    NoLocalRoute {
        /// Our VPC.
        vpc: String,
    },
    /// Some subnets of our VPC have no route to the peering.
    SubnetsWithoutRoute {
        /// Their CIDR blocks.
        subnets: Vec<String>,
    },
    /// No subnet of the other VPC has a route to the peering: answers do not come back.
    NoPeerRoute {
        /// The other VPC.
        vpc: String,
    },
    /// The other region has no gateway.
    PeerWithoutGateway,
    /// It is not known where the other gateway is, and it has not called.
    NoEndpoint {
        /// The other gateway.
        gateway: String,
        /// The name that did not resolve, if it has one.
        advertised: Option<String>,
    },
    /// There is no session with the other gateway.
    NoHandshake {
        /// The other gateway.
        gateway: String,
        /// Where it was called.
        endpoint: Option<String>,
        /// The age of the last session, in milliseconds; absent when there never was one.
        age_millis: Option<u64>,
    },
    /// The session is there, but probes in the peering's VNI are not answered.
    NoProbe {
        /// The other gateway.
        gateway: String,
        /// The VNI.
        vni: u32,
        /// The time since the last answer, in milliseconds; absent when there never was one.
        age_millis: Option<u64>,
    },
    /// The cap is reached: packets are dropped at its full queue.
    AtCap {
        /// The cap in Mbps.
        bandwidth_mbps: u32,
        /// How many were dropped in the last seconds.
        dropped: u64,
    },
    /// Hosts send packets that do not fit and must not be fragmented.
    PacketsTooBig {
        /// What fits, in bytes.
        inner_mtu_bytes: Option<u16>,
        /// How many were dropped in the last seconds.
        dropped: u64,
    },
    /// The underlay's MTU leaves little for packets.
    SmallMtu {
        /// What fits, in bytes.
        inner_mtu_bytes: u16,
    },
    /// No host is attached to our VPC at this gateway.
    NoAttachment {
        /// Our VPC.
        vpc: String,
    },
}

impl Finding {
    /// Whether nothing at all passes because of it.
    pub fn blocks(&self) -> bool {
        match self {
            Finding::NotApplied { .. }
            | Finding::NoLocalRoute { .. }
            | Finding::NoPeerRoute { .. }
            | Finding::PeerWithoutGateway
            | Finding::NoEndpoint { .. }
            | Finding::NoHandshake { .. }
            | Finding::NoProbe { .. }
            | Finding::NoAttachment { .. } => true,
            Finding::SubnetsWithoutRoute { .. }
            | Finding::AtCap { .. }
            | Finding::PacketsTooBig { .. }
            | Finding::SmallMtu { .. } => false,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::NotApplied { vpc } => {
                write!(f, "{vpc} could not be set up on this host; see the errors")
            }
            Finding::NoLocalRoute { vpc } => write!(
                f,
                "no route on our side: no subnet of {vpc} has a route to this peering (CreateRoute)"
            ),
            Finding::SubnetsWithoutRoute { subnets } => {
                write!(
                    f,
                    "no route on our side for the subnets {}",
                    subnets.join(", ")
                )
            }
            Finding::NoPeerRoute { vpc } => write!(
                f,
                "no route on the other side: no subnet of {vpc} has a route back (CreateRoute)"
            ),
            Finding::PeerWithoutGateway => f.write_str("the other region has no gateway"),
            Finding::NoEndpoint {
                gateway,
                advertised: Some(name),
            } => {
                write!(f, "{gateway} cannot be reached: {name} does not resolve")
            }
            Finding::NoEndpoint {
                gateway,
                advertised: None,
            } => write!(
                f,
                "{gateway} is behind a NAT and has not called; this gateway has to be reachable \
                 for it (--advertise)"
            ),
            Finding::NoHandshake {
                gateway,
                endpoint,
                age_millis,
            } => {
                let place = endpoint.as_deref().unwrap_or("an unknown address");
                write!(f, "no handshake with {gateway} at {place}")?;
                match age_millis {
                    Some(age) => write!(f, " for {} s", age / 1000)?,
                    None => f.write_str(", never")?,
                }
                f.write_str("; is UDP let through both ways?")
            }
            Finding::NoProbe {
                gateway,
                vni,
                age_millis,
            } => {
                write!(f, "{gateway} does not answer probes in VNI {vni}")?;
                match age_millis {
                    Some(age) => write!(f, " for {} s", age / 1000),
                    None => f.write_str("; it may not carry this peering yet"),
                }
            }
            Finding::AtCap {
                bandwidth_mbps,
                dropped,
            } => write!(
                f,
                "the cap of {bandwidth_mbps} Mbps is reached: {dropped} packets dropped in the last seconds"
            ),
            Finding::PacketsTooBig {
                inner_mtu_bytes,
                dropped,
            } => {
                write!(
                    f,
                    "{dropped} packets in the last seconds were too big and not to be fragmented"
                )?;
                inner_mtu_bytes.map_or(Ok(()), |mtu| write!(f, "; {mtu} bytes fit"))
            }
            Finding::SmallMtu { inner_mtu_bytes } => write!(
                f,
                "the underlay's MTU is small: only {inner_mtu_bytes} bytes fit"
            ),
            Finding::NoAttachment { vpc } => {
                write!(f, "no host is attached to {vpc} here (gateway attach)")
            }
        }
    }
}

/// Everything that a peering is explained from.
pub struct Seen<'a> {
    /// The peering.
    pub peering: PeeringConnectionId,
    /// Its local side.
    pub entry: &'a PeeringSlice,
    /// Our VPC.
    pub vpc: Option<&'a VpcSlice>,
    /// The other gateway as the slice has it.
    pub peer: Option<&'a TunnelPeerSlice>,
    /// The pair with the other gateway as the engine sees it.
    pub pair: Option<&'a PairStatus>,
    /// The local side as the engine sees it.
    pub status: &'a PeeringStatus,
    /// What was dropped in the last seconds.
    pub grown: DropCounts,
    /// How many hosts are attached to our VPC.
    pub attachments: usize,
    /// Whether the kernel refused something of our VPC.
    pub has_failed: bool,
}

/// The findings, what blocks everything first.
pub fn explain(seen: &Seen<'_>) -> Vec<Finding> {
    let vpc = || seen.entry.local_vpc.to_string();
    let mut findings = Vec::new();
    if seen.has_failed {
        findings.push(Finding::NotApplied { vpc: vpc() });
    }
    findings.extend(path(seen));
    findings.extend(local_routes(seen));
    if !seen.entry.peer_has_route {
        findings.push(Finding::NoPeerRoute {
            vpc: seen.entry.peer_vpc.to_string(),
        });
    }
    if seen.attachments == 0 {
        findings.push(Finding::NoAttachment { vpc: vpc() });
    }
    let inner_mtu_bytes = seen.pair.and_then(|pair| pair.inner_mtu);
    if seen.grown.at_cap > 0 {
        let bandwidth_mbps = seen.entry.bandwidth.mbps();
        findings.push(Finding::AtCap {
            bandwidth_mbps,
            dropped: seen.grown.at_cap,
        });
    }
    if seen.grown.too_big > 0 {
        findings.push(Finding::PacketsTooBig {
            inner_mtu_bytes,
            dropped: seen.grown.too_big,
        });
    }
    if let Some(inner_mtu_bytes) = inner_mtu_bytes.filter(|mtu| *mtu < SMALL_MTU_BYTES) {
        findings.push(Finding::SmallMtu { inner_mtu_bytes });
    }
    findings.sort_by_key(|finding| !finding.blocks());
    findings
}

fn local_routes(seen: &Seen<'_>) -> Option<Finding> {
    let leads_there = |(destination, peering): (&model::CidrBlock, &PeeringConnectionId)| {
        let mut peer_blocks = seen.entry.peer_blocks();
        *peering == seen.peering && peer_blocks.any(|block| block.overlaps(*destination))
    };
    let subnets = seen.vpc.into_iter().flat_map(|vpc| vpc.subnets.values());
    let (with, without): (Vec<_>, Vec<_>) =
        subnets.partition(|subnet| subnet.routes.iter().any(leads_there));
    if with.is_empty() {
        return Some(Finding::NoLocalRoute {
            vpc: seen.entry.local_vpc.to_string(),
        });
    }
    let subnets: Vec<String> = without
        .iter()
        .map(|subnet| subnet.cidr.to_string())
        .collect();
    (!subnets.is_empty()).then_some(Finding::SubnetsWithoutRoute { subnets })
}

/// What keeps packets from crossing to the other gateway: the first obstacle only, because each
/// one implies those after it.
fn path(seen: &Seen<'_>) -> Option<Finding> {
    let id = match seen.entry.peer {
        // Nothing between the two ends.
        PeerEnd::Local => return None,
        PeerEnd::Absent => return Some(Finding::PeerWithoutGateway),
        PeerEnd::Gateway(id) => id,
    };
    let gateway = id.to_string();
    let endpoint = seen.pair.and_then(|pair| pair.endpoint);
    if endpoint.is_none() {
        let advertised = seen.peer.and_then(|peer| peer.endpoint.clone());
        return Some(Finding::NoEndpoint {
            gateway,
            advertised,
        });
    }
    let handshake = seen.pair.and_then(|pair| pair.last_handshake);
    if handshake.is_none_or(|age| age > SESSION_LIFETIME) {
        return Some(Finding::NoHandshake {
            gateway,
            endpoint: endpoint.map(|address| address.to_string()),
            age_millis: handshake.map(millis),
        });
    }
    let probe = seen.status.last_probe;
    probe
        .is_none_or(|age| age > PROBE_SILENCE)
        .then(|| Finding::NoProbe {
            gateway,
            vni: seen.entry.vni.get(),
            age_millis: probe.map(millis),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{peer_id, peering_key, slice, subnet_id, vpc_id};
    use model::slice::{GatewaySlice, SubnetSlice};

    struct Case {
        slice: GatewaySlice,
        pair: PairStatus,
        status: PeeringStatus,
        grown: DropCounts,
        attachments: usize,
        has_failed: bool,
    }

    impl Case {
        fn entry(&mut self) -> &mut PeeringSlice {
            self.slice.peerings.get_mut(&peering_key()).unwrap()
        }

        fn subnets(&mut self) -> &mut std::collections::BTreeMap<model::SubnetId, SubnetSlice> {
            &mut self.slice.vpcs.get_mut(&vpc_id(1)).unwrap().subnets
        }
    }

    /// Changes one thing of a peering that works and gives the findings.
    fn findings(change: impl FnOnce(&mut Case)) -> Vec<Finding> {
        let mut case = Case {
            slice: slice(1),
            pair: PairStatus {
                endpoint: "192.0.2.2:51820".parse().ok(),
                last_handshake: Some(Duration::from_secs(100)),
                inner_mtu: Some(1390),
                ..PairStatus::default()
            },
            status: PeeringStatus {
                last_probe: Some(Duration::from_millis(900)),
                ..PeeringStatus::default()
            },
            grown: DropCounts::default(),
            attachments: 1,
            has_failed: false,
        };
        change(&mut case);
        let key = peering_key();
        explain(&Seen {
            peering: key.0,
            entry: &case.slice.peerings[&key],
            vpc: case.slice.vpcs.get(&vpc_id(1)),
            peer: case.slice.tunnel_peers.get(&peer_id()),
            pair: Some(&case.pair),
            status: &case.status,
            grown: case.grown,
            attachments: case.attachments,
            has_failed: case.has_failed,
        })
    }

    fn check(change: impl FnOnce(&mut Case), expected: Finding) {
        assert_eq!(findings(change), [expected]);
    }

    #[test]
    fn a_peering_that_works_has_no_findings() {
        assert_eq!(findings(|_| ()), []);
        assert_eq!(
            findings(|case| {
                case.entry().peer = PeerEnd::Local;
                case.pair = PairStatus::default();
                case.status.last_probe = None;
            }),
            []
        );
    }

    #[test]
    fn missing_routes_are_named_with_their_side() {
        let vpc = vpc_id(1).to_string();
        check(
            |case| {
                case.subnets()
                    .values_mut()
                    .for_each(|subnet| subnet.routes.clear());
            },
            Finding::NoLocalRoute { vpc: vpc.clone() },
        );
        check(
            |case| case.subnets().clear(),
            Finding::NoLocalRoute { vpc: vpc.clone() },
        );
        check(
            |case| {
                let routes = &mut case.subnets().get_mut(&subnet_id(1)).unwrap().routes;
                routes
                    .values_mut()
                    .for_each(|to| *to = PeeringConnectionId::from_entropy(77));
            },
            Finding::NoLocalRoute { vpc },
        );
        check(
            |case| {
                let bare = SubnetSlice {
                    cidr: "10.1.2.0/24".parse().unwrap(),
                    routes: std::collections::BTreeMap::new(),
                };
                case.subnets().insert(subnet_id(5), bare);
            },
            Finding::SubnetsWithoutRoute {
                subnets: vec!["10.1.2.0/24".to_owned()],
            },
        );
        check(
            |case| case.entry().peer_has_route = false,
            Finding::NoPeerRoute {
                vpc: vpc_id(9).to_string(),
            },
        );
    }

    #[test]
    fn the_first_obstacle_on_the_way_is_named() {
        let gateway = peer_id().to_string();
        check(
            |case| case.entry().peer = PeerEnd::Absent,
            Finding::PeerWithoutGateway,
        );
        check(
            |case| case.pair = PairStatus::default(),
            Finding::NoEndpoint {
                gateway: gateway.clone(),
                advertised: Some("192.0.2.2:51820".to_owned()),
            },
        );
        let endpoint = Some("192.0.2.2:51820".to_owned());
        check(
            |case| {
                case.pair.last_handshake = None;
                case.status.last_probe = None;
            },
            Finding::NoHandshake {
                gateway: gateway.clone(),
                endpoint: endpoint.clone(),
                age_millis: None,
            },
        );
        check(
            |case| case.pair.last_handshake = Some(Duration::from_secs(181)),
            Finding::NoHandshake {
                gateway: gateway.clone(),
                endpoint,
                age_millis: Some(181_000),
            },
        );
        check(
            |case| case.status.last_probe = None,
            Finding::NoProbe {
                gateway: gateway.clone(),
                vni: 4096,
                age_millis: None,
            },
        );
        check(
            |case| case.status.last_probe = Some(Duration::from_secs(6)),
            Finding::NoProbe {
                gateway,
                vni: 4096,
                age_millis: Some(6000),
            },
        );
    }

    #[test]
    fn limits_are_named_with_their_numbers() {
        check(
            |case| case.grown.at_cap = 3,
            Finding::AtCap {
                bandwidth_mbps: 20,
                dropped: 3,
            },
        );
        check(
            |case| case.grown.too_big = 2,
            Finding::PacketsTooBig {
                inner_mtu_bytes: Some(1390),
                dropped: 2,
            },
        );
        check(
            |case| case.pair.inner_mtu = Some(1170),
            Finding::SmallMtu {
                inner_mtu_bytes: 1170,
            },
        );
    }

    #[test]
    fn this_hosts_own_part_is_named() {
        let vpc = vpc_id(1).to_string();
        check(
            |case| case.attachments = 0,
            Finding::NoAttachment { vpc: vpc.clone() },
        );
        check(|case| case.has_failed = true, Finding::NotApplied { vpc });
    }

    #[test]
    fn what_blocks_comes_before_what_limits() {
        let found = findings(|case| {
            case.grown.at_cap = 1;
            case.attachments = 0;
        });
        let blocks: Vec<bool> = found.iter().map(Finding::blocks).collect();
        assert_eq!(blocks, [true, false]);
    }
}
