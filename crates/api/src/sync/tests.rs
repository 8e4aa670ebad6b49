//! Round trips, and refusals by field.

use std::collections::BTreeMap;

use model::ipv6::{Ipv6Slice, SubnetIpv6, VpcIpv6};
use model::slice::{GatewaySlice, SubnetSlice};
use model::{Generation, PeeringConnectionId, PublicKey, Region, SubnetId, VpcId};
use proptest::prelude::*;
use prost::Message as _;

use super::testing::{endpoint, gateway_id, public_key, region, report, sample, slice};
use super::*;

/// Encodes to bytes and back, as a stream would.
fn through_wire<M: prost::Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).unwrap()
}

fn server_round_trip(message: &ServerMessage) -> Result<ServerMessage, FieldError> {
    through_wire(&proto::ServerMessage::from(message.clone())).try_into()
}

fn gateway_round_trip(message: &GatewayMessage) -> Result<GatewayMessage, FieldError> {
    through_wire(&proto::GatewayMessage::from(message.clone())).try_into()
}

#[test]
fn damaged_snapshots_are_refused_by_field() {
    type Damage = fn(&mut proto::GatewaySlice);
    let cases: &[(&str, Damage)] = &[
        ("gateway_id", |s| s.gateway_id = "pcx-aaaaaaaa".into()),
        ("region", |s| s.region = "mars".into()),
        ("overlay_address", |s| s.overlay_address = "100.64.0".into()),
        ("tunnel_peers.public_key", |s| {
            s.tunnel_peers[0].public_key.truncate(31);
        }),
        ("tunnel_peers.endpoint", |s| {
            s.tunnel_peers[0].endpoint = Some("gw".into());
        }),
        ("tunnel_peers.gateway_id", |s| {
            s.tunnel_peers[0].gateway_id.clear();
        }),
        ("tunnel_peers", |s| {
            s.tunnel_peers.push(s.tunnel_peers[0].clone());
        }),
        ("vpcs.cidr", |s| s.vpcs[0].cidr = "10.0.0.1/16".into()),
        ("vpcs.legacy_id", |s| s.vpcs[0].legacy_id = "226".into()),
        ("vpcs", |s| s.vpcs.push(s.vpcs[0].clone())),
        ("vpcs.subnets.cidr", |s| {
            s.vpcs[0].subnets[0].cidr = "10.9.0.0/24".into();
        }),
        ("vpcs.subnets.routes.destination", |s| {
            s.vpcs[0].subnets[0].routes[0].destination = "10.0.3.0/24".into();
        }),
        ("vpcs.subnets.routes.peering_id", |s| {
            s.vpcs[0].subnets[0].routes[0].peering_id = "pcx".into();
        }),
        ("vpcs.assistant_cidrs.cidr", |s| {
            s.vpcs[0].assistant_cidrs = assistants(&["172.16.0.0"]);
        }),
        ("vpcs.assistant_cidrs.cidr", |s| {
            s.vpcs[0].assistant_cidrs = assistants(&["172.16.0.0/16", "172.16.4.0/24"]);
        }),
        ("vpcs.assistant_cidrs.cidr", |s| {
            s.vpcs[0].assistant_cidrs = assistants(&["10.0.4.0/24"]);
        }),
        // In a block of the VPC, but not in the one that it is listed under.
        ("vpcs.subnets.cidr", |s| {
            s.vpcs[0].assistant_cidrs = assistants(&["172.16.0.0/16"]);
            s.vpcs[0].subnets[0].cidr = "172.16.1.0/24".into();
        }),
        ("vpcs.subnets.routes.destination", |s| {
            s.vpcs[0].assistant_cidrs = assistants(&["172.16.0.0/16"]);
            s.vpcs[0].subnets[0].routes[0].destination = "172.16.3.0/24".into();
        }),
        ("peerings.peer_assistant_cidrs", |s| {
            s.peerings[0].peer_assistant_cidrs = vec!["172.16.0.1/16".into()];
        }),
        ("peerings.key", |s| s.peerings[0].key = None),
        ("peerings.key.side", |s| {
            s.peerings[0].key.as_mut().unwrap().side = 0;
        }),
        ("peerings.vni", |s| s.peerings[0].vni = 0),
        ("peerings.vni", |s| s.peerings[0].vni = 1 << 24),
        ("peerings.peer_end", |s| s.peerings[0].peer_end = None),
        ("peerings", |s| s.peerings.push(s.peerings[0].clone())),
    ];
    for (field, damage) in cases {
        let mut wire = encode_snapshot(&sample());
        damage(&mut wire);
        let error = decode_snapshot(wire).unwrap_err();
        assert_eq!(error.field, *field, "{error}");
    }
}

fn assistants(cidrs: &[&str]) -> Vec<proto::AssistantCidr> {
    let assistant = |cidr: &&str| proto::AssistantCidr {
        cidr: (*cidr).to_owned(),
        subnets: Vec::new(),
    };
    cidrs.iter().map(assistant).collect()
}

/// A slice of a VPC with a subnet in an assistant block, whose peer has one too.
fn with_assistants() -> GatewaySlice {
    let mut slice = sample();
    let vpc = slice.vpcs.values_mut().next().unwrap();
    vpc.assistant_cidrs.insert("172.16.0.0/16".parse().unwrap());
    let subnet = SubnetSlice {
        cidr: "172.16.1.0/24".parse().unwrap(),
        routes: vpc.subnets.values().next().unwrap().routes.clone(),
    };
    vpc.subnets.insert(SubnetId::from_entropy(9), subnet);
    let peering = slice.peerings.values_mut().next().unwrap();
    let block = "192.168.0.0/16".parse().unwrap();
    peering.peer_assistant_cidrs.insert(block);
    slice
}

#[test]
fn a_gateway_that_knows_no_assistant_blocks_gets_a_slice_without_them() {
    let mut wire = encode_snapshot(&with_assistants());
    assert_eq!(decode_snapshot(wire.clone()), Ok(with_assistants()));
    // What such a gateway reads: unknown fields are left out.
    wire.vpcs[0].assistant_cidrs.clear();
    wire.peerings[0].peer_assistant_cidrs.clear();
    assert_eq!(decode_snapshot(wire), Ok(sample()));
}

#[test]
fn a_region_at_its_quotas_fits_into_a_message_but_not_into_the_usual_one() {
    let mut slice = sample();
    let peering = encode_snapshot(&slice).peerings[0].encoded_len();
    let vpc = slice.vpcs.values_mut().next().unwrap();
    let subnet = vpc.subnets.values().next().unwrap().clone();
    for number in 0..10 {
        let mut subnet = subnet.clone();
        for third in 0..50 {
            let destination = format!("10.100.{}.0/24", 100 + third).parse().unwrap();
            let peering = PeeringConnectionId::from_entropy(1);
            subnet.routes.insert(destination, peering);
        }
        vpc.subnets.insert(SubnetId::from_entropy(number), subnet);
    }
    let vpc = encode_snapshot(&slice).vpcs[0].encoded_len();
    let whole = 1_000 * vpc + 10_000 * peering;
    assert!(whole > 4 << 20 && whole < MAX_MESSAGE_BYTES / 2, "{whole}");
}

#[test]
fn a_change_leads_forward_and_names_an_entry_once() {
    let mut next = sample();
    next.generation = Generation(8);
    next.vpcs.clear();
    let change = encode_change(&sample().change_to(&next));
    assert_eq!(change.removed_vpcs.len(), 1);
    assert!(decode_change(change.clone()).is_ok());

    let backwards = proto::SliceChange {
        to: 7,
        ..change.clone()
    };
    assert_eq!(decode_change(backwards).unwrap_err().field, "to");

    let mut both = change;
    both.put_vpcs = encode_snapshot(&sample()).vpcs;
    assert_eq!(decode_change(both).unwrap_err().field, "removed_vpcs");
}

#[test]
fn ipv6_outside_its_vpc_and_into_it_is_refused() {
    let mut slice = sample();
    let subnet = SubnetIpv6 {
        cidr: "2001:db8:2::/64".parse().unwrap(),
        routes: BTreeMap::new(),
    };
    let vpc = VpcIpv6 {
        cidr: "2001:db8:1::/48".parse().unwrap(),
        subnets: BTreeMap::from([(SubnetId::from_entropy(1), subnet)]),
    };
    slice.ipv6.vpcs.insert(VpcId::from_entropy(1), vpc);
    let refused = |slice: &GatewaySlice| {
        let wire = encode_snapshot(slice);
        decode_snapshot(wire).unwrap_err().field
    };
    assert_eq!(refused(&slice), "ipv6.vpcs.subnets.cidr");
    let vpc = slice.ipv6.vpcs.values_mut().next().unwrap();
    let subnet = vpc.subnets.values_mut().next().unwrap();
    subnet.cidr = "2001:db8:1:5::/64".parse().unwrap();
    let inside = "2001:db8:1:6::/64".parse().unwrap();
    subnet
        .routes
        .insert(inside, PeeringConnectionId::from_entropy(1));
    assert_eq!(refused(&slice), "ipv6.vpcs.subnets.routes.destination");
    // Nothing of IPv6 left is a change, too.
    let mut next = sample();
    next.generation = Generation(8);
    let change = decode_change(encode_change(&slice.change_to(&next))).unwrap();
    assert_eq!(change.ipv6, Some(Ipv6Slice::default()));
}

#[test]
fn an_unusable_endpoint_is_left_out_of_a_snapshot() {
    let mut slice = sample();
    for peer in slice.tunnel_peers.values_mut() {
        peer.endpoint = Some("no port".into());
    }
    assert_eq!(encode_snapshot(&slice).tunnel_peers[0].endpoint, None);
}

fn small_report() -> Report {
    Report {
        generation: Generation(1),
        errors: vec![],
        peerings: Default::default(),
        pairs: Default::default(),
        hosts: Default::default(),
        unix_millis: 0,
    }
}

#[test]
fn a_report_that_is_too_long_is_cut_when_sent_and_refused_when_received() {
    let error = ApplyError {
        subject: "\u{793a}".repeat(1000),
        message: "\u{793a}".repeat(1000),
    };
    let report = Report {
        errors: vec![error; 1000],
        ..small_report()
    };
    let wire = proto::Report::from(report);
    assert_eq!(wire.errors.len(), 256);
    let mut received = Report::try_from(wire.clone()).unwrap();
    assert_eq!(received.errors[0].subject.chars().count(), 85);
    received.errors.clear();
    assert_eq!(received, small_report());

    let mut longer = wire;
    longer.errors.push(proto::ApplyError::default());
    assert_eq!(Report::try_from(longer).unwrap_err().field, "errors");
}

#[test]
fn causes_of_drops_are_plain_words() {
    for cause in ["", "Wrong", "a b", "a\"", &"x".repeat(65)] {
        let report = proto::PeeringReport {
            peering_id: "pcx-aaaaaaaa".into(),
            side: 1,
            vni: 1,
            sent: Some(proto::Traffic::default()),
            received: Some(proto::Traffic::default()),
            drops: [(cause.to_owned(), 1)].into(),
            ..Default::default()
        };
        let wire = proto::Report {
            peerings: vec![report],
            ..Default::default()
        };
        let error = Report::try_from(wire).unwrap_err();
        assert_eq!(error.field, "peerings.drops", "{cause}");
    }
}

#[test]
fn empty_messages_are_refused() {
    let gateway = GatewayMessage::try_from(proto::GatewayMessage::default()).unwrap_err();
    let server = ServerMessage::try_from(proto::ServerMessage::default()).unwrap_err();
    assert_eq!(
        (gateway.field, server.field),
        ("kind".into(), "kind".into())
    );
}

#[test]
fn a_join_request_hides_its_secret() {
    let request = JoinRequest {
        secret: Secret::new(b"0123456789abcdef".to_vec()),
        tunnel_public_key: PublicKey([1; 32]),
        endpoint: None,
        software_version: "0.1.0".into(),
    };
    let wire = proto::JoinRequest::from(request.clone());
    for shown in [format!("{request:?}"), format!("{wire:?}")] {
        assert!(
            !shown.contains("012345") && !shown.contains("48, 49"),
            "{shown}"
        );
    }
    assert_eq!(JoinRequest::try_from(through_wire(&wire)), Ok(request));
    let without_secret = proto::JoinRequest {
        secret: vec![],
        ..wire
    };
    assert_eq!(
        JoinRequest::try_from(without_secret).unwrap_err().field,
        "secret"
    );
}

#[test]
fn a_join_reply_round_trips() {
    let reply = JoinReply {
        gateway: sample().gateway,
        region: Region::Shanghai,
    };
    let wire = through_wire(&proto::JoinReply::from(reply.clone()));
    assert_eq!(JoinReply::try_from(wire), Ok(reply));
}

proptest! {
    #[test]
    fn snapshots_round_trip(slice in slice()) {
        let message = ServerMessage::Snapshot(slice);
        prop_assert_eq!(server_round_trip(&message), Ok(message));
    }

    #[test]
    fn changes_round_trip(from in slice(), to in slice(), generation in 0u64..u64::MAX) {
        let (mut from, mut to) = (from, to);
        (from.generation, to.generation) = (Generation(generation), Generation(generation + 1));
        let message = ServerMessage::Change(from.change_to(&to));
        prop_assert_eq!(server_round_trip(&message), Ok(message));
    }

    #[test]
    fn welcomes_and_hellos_round_trip(
        unix_millis in any::<u64>(), gateway in gateway_id(), region in region(),
        tunnel_public_key in public_key(), endpoint in endpoint(), running in any::<u64>(),
    ) {
        let welcome = ServerMessage::Welcome(Welcome { unix_millis, gateway, region });
        prop_assert_eq!(server_round_trip(&welcome), Ok(welcome));
        let hello = GatewayMessage::Hello(Hello {
            tunnel_public_key,
            endpoint,
            software_version: "0.1.0".into(),
            unix_millis,
            running: Generation(running),
        });
        prop_assert_eq!(gateway_round_trip(&hello), Ok(hello));
    }

    #[test]
    fn reports_round_trip(report in report()) {
        for message in [GatewayMessage::Report(report), GatewayMessage::SnapshotRequest] {
            prop_assert_eq!(gateway_round_trip(&message), Ok(message));
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(wire) = proto::GatewayMessage::decode(bytes.as_slice()) {
            let _ = GatewayMessage::try_from(wire);
        }
        if let Ok(wire) = proto::ServerMessage::decode(bytes.as_slice()) {
            let _ = ServerMessage::try_from(wire);
        }
    }

    #[test]
    fn no_damage_to_a_snapshot_makes_the_decoder_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes =
            proto::ServerMessage::from(ServerMessage::Snapshot(sample())).encode_to_vec();
        let position = at.index(bytes.len());
        bytes[position] = byte;
        if let Ok(wire) = proto::ServerMessage::decode(bytes.as_slice()) {
            let _ = ServerMessage::try_from(wire);
        }
    }
}
