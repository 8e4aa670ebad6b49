//! The golden table: for every refusal of the domain the code of every action that can meet it.

use std::fmt::Write as _;

use model::peering::PeeringEvent;
use model::{
    CidrBlock, PeeringConnectionId, RouteTableId, Side, SubnetId, TagError, TaskId, VpcId,
};

use super::*;
use crate::tencent::v3::action;

fn domain_errors() -> Vec<(&'static str, DomainError)> {
    let text = || "x".to_owned();
    let (vpc, peering) = (VpcId::from_entropy(0), PeeringConnectionId::from_entropy(0));
    let block: CidrBlock = "10.0.0.0/16".parse().unwrap();
    let event = PeeringEvent::Accept;
    vec![
        (
            "VpcNotFound",
            DomainError::VpcNotFound {
                vpc: text(),
                region: text(),
            },
        ),
        ("TagKey", DomainError::Tag(TagError::Key(text()))),
        ("TagKeyLong", DomainError::Tag(TagError::KeyTooLong(text()))),
        ("TagReserved", DomainError::Tag(TagError::Reserved(text()))),
        ("TagValue", DomainError::Tag(TagError::Value(text()))),
        (
            "TagValueLong",
            DomainError::Tag(TagError::ValueTooLong(text())),
        ),
        ("TagTwice", DomainError::Tag(TagError::Duplicate(text()))),
        ("TagsTooMany", DomainError::Tag(TagError::TooMany)),
        ("AssistantCidr", DomainError::AssistantCidr(text())),
        (
            "AssistantNotFound",
            DomainError::AssistantCidrNotFound(text()),
        ),
        (
            "AssistantRepeated",
            DomainError::AssistantCidrRepeated(text()),
        ),
        (
            "AssistantLimit",
            DomainError::AssistantCidrLimit { limit: 5 },
        ),
        conflict("OverlapsVpc", Obstacle::Vpc { vpc, cidr: block }),
        conflict(
            "OverlapsAssistant",
            Obstacle::Assistant { vpc, cidr: block },
        ),
        conflict(
            "OverlapsRoute",
            Obstacle::Route {
                route_table: RouteTableId::from_entropy(0),
                destination: block,
            },
        ),
        conflict(
            "HasSubnet",
            Obstacle::Subnet {
                subnet: SubnetId::from_entropy(0),
                cidr: block,
            },
        ),
        conflict(
            "OverlapsPeer",
            Obstacle::Peering {
                peering,
                refusal: Refusal::EndsOverlap {
                    requester: block,
                    accepter: block,
                },
            },
        ),
        ("SubnetNotFound", DomainError::SubnetNotFound(text())),
        (
            "RouteTableNotFound",
            DomainError::RouteTableNotFound(text()),
        ),
        (
            "NotInPeer",
            DomainError::NotInPeer {
                destination: text(),
                cidr: text(),
            },
        ),
        (
            "OtherVpc",
            DomainError::OtherVpc {
                subnet: text(),
                route_table: text(),
            },
        ),
        ("PeeringNotFound", DomainError::PeeringNotFound(text())),
        ("TaskNotFound", DomainError::TaskNotFound(text())),
        ("RouteNotFound", DomainError::RouteNotFound(text())),
        ("SubnetNameTaken", DomainError::SubnetNameTaken(text())),
        ("RouteTableName", DomainError::RouteTableName(text())),
        ("RouteDescription", DomainError::RouteDescription(text())),
        (
            "VpcInUse",
            DomainError::VpcInUse {
                vpc: text(),
                reason: text(),
            },
        ),
        (
            "SubnetInUse",
            DomainError::SubnetInUse {
                subnet: text(),
                hosts: 1,
            },
        ),
        (
            "RouteTableIsDefault",
            DomainError::RouteTableIsDefault(text()),
        ),
        (
            "RouteTableInUse",
            DomainError::RouteTableInUse {
                route_table: text(),
                subnet: text(),
            },
        ),
        (
            "RouteTableLimit",
            DomainError::RouteTableLimit { limit: 10 },
        ),
        ("ZoneNotFound", DomainError::ZoneNotFound(text())),
        ("VpcName", DomainError::VpcName(text())),
        ("SubnetName", DomainError::SubnetName(text())),
        ("PeeringName", DomainError::PeeringName(text())),
        ("VpcCidr", DomainError::VpcCidr(text())),
        ("SubnetCidr", DomainError::SubnetCidr(text())),
        (
            "SubnetConflict",
            DomainError::SubnetConflict {
                cidr: text(),
                other: text(),
            },
        ),
        ("Destination", DomainError::Destination(text())),
        ("RouteExists", DomainError::RouteExists(text())),
        ("NextHopType", DomainError::NextHopType(text())),
        ("NextHopNotFound", DomainError::NextHopNotFound(text())),
        ("VpcLimit", DomainError::VpcLimit { limit: 5 }),
        ("SubnetLimit", DomainError::SubnetLimit { limit: 10 }),
        ("RouteLimit", DomainError::RouteLimit { limit: 50 }),
        (
            "EndsOverlap",
            DomainError::Admission(Refusal::EndsOverlap {
                requester: block,
                accepter: block,
            }),
        ),
        (
            "PairExists",
            DomainError::Admission(Refusal::PairExists { existing: peering }),
        ),
        (
            "PeersOverlap",
            DomainError::Admission(Refusal::PeersOverlap {
                vpc,
                cidr: block,
                other_cidr: block,
                existing: peering,
            }),
        ),
        (
            "OverlapBeyond",
            DomainError::Admission(Refusal::OverlapBeyond {
                vpc,
                cidr: block,
                through: peering,
            }),
        ),
        (
            "Limit",
            DomainError::Admission(Refusal::Limit { vpc, limit: 10 }),
        ),
        (
            "InboxFull",
            DomainError::Admission(Refusal::InboxFull { vpc }),
        ),
        (
            "PeeringGone",
            DomainError::PeeringState(TransitionError::NotFound),
        ),
        (
            "WrongRole",
            DomainError::PeeringState(TransitionError::WrongRole {
                allowed: Side::Accepter,
                event: event.clone(),
            }),
        ),
        (
            "WrongState",
            DomainError::PeeringState(TransitionError::WrongState {
                state: "active",
                event,
            }),
        ),
        ("ActionLocked", DomainError::ActionLocked(TaskId(1))),
        (
            "Parameter",
            DomainError::Parameter {
                name: "x",
                reason: text(),
            },
        ),
    ]
}

fn conflict(name: &'static str, with: Obstacle) -> (&'static str, DomainError) {
    let cidr = "10.0.0.0/16".parse().unwrap();
    let conflict = Conflict { cidr, with };
    (name, DomainError::AssistantCidrConflict(conflict))
}

/// Which refusals can come of an action, by a part of its name.
fn can_meet(action: &str, error: &str) -> bool {
    let groups: &[(&str, &[&str])] = &[
        (
            "CreateVpcPeering",
            &[
                "VpcNotFound",
                "PeeringName",
                "EndsOverlap",
                "PairExists",
                "PeersOverlap",
                "Limit",
                "InboxFull",
            ],
        ),
        (
            "AcceptVpcPeering",
            &[
                "PeeringNotFound",
                "PeeringGone",
                "WrongRole",
                "WrongState",
                "ActionLocked",
                "EndsOverlap",
                "PairExists",
                "PeersOverlap",
                "OverlapBeyond",
                "Limit",
            ],
        ),
        (
            "RejectVpcPeering",
            &[
                "PeeringNotFound",
                "PeeringGone",
                "WrongRole",
                "WrongState",
                "ActionLocked",
            ],
        ),
        (
            "EnableVpcPeering",
            &[
                "PeeringNotFound",
                "PeeringGone",
                "WrongRole",
                "WrongState",
                "ActionLocked",
                "EndsOverlap",
                "PairExists",
                "PeersOverlap",
                "Limit",
                "InboxFull",
            ],
        ),
        (
            "DeleteVpcPeering",
            &["PeeringNotFound", "PeeringGone", "ActionLocked"],
        ),
        (
            "ModifyVpcPeering",
            &[
                "PeeringNotFound",
                "PeeringGone",
                "PeeringName",
                "WrongRole",
                "WrongState",
                "ActionLocked",
            ],
        ),
        ("DescribeVpcTaskResult", &["TaskNotFound"]),
        ("CreateVpc", &["VpcName", "VpcCidr", "VpcLimit"]),
        (
            "CreateSubnet",
            &[
                "VpcNotFound",
                "SubnetName",
                "SubnetCidr",
                "SubnetConflict",
                "SubnetLimit",
                "ZoneNotFound",
            ],
        ),
        (
            "CreateAssistantCidr",
            &[
                "VpcNotFound",
                "AssistantCidr",
                "AssistantRepeated",
                "AssistantLimit",
                "OverlapsVpc",
                "OverlapsAssistant",
                "OverlapsRoute",
                "OverlapsPeer",
            ],
        ),
        (
            "ModifyAssistantCidr",
            &[
                "VpcNotFound",
                "AssistantCidr",
                "AssistantNotFound",
                "AssistantRepeated",
                "AssistantLimit",
                "OverlapsVpc",
                "OverlapsAssistant",
                "OverlapsRoute",
                "OverlapsPeer",
                "HasSubnet",
            ],
        ),
        (
            "DeleteAssistantCidr",
            &[
                "VpcNotFound",
                "AssistantCidr",
                "AssistantNotFound",
                "AssistantRepeated",
                "HasSubnet",
            ],
        ),
        (
            "CheckAssistantCidr",
            &[
                "VpcNotFound",
                "AssistantCidr",
                "AssistantNotFound",
                "AssistantRepeated",
                "AssistantLimit",
            ],
        ),
        ("DescribeAssistantCidr", &["VpcNotFound"]),
        (
            "ModifyResourceTags",
            &[
                "VpcNotFound",
                "SubnetNotFound",
                "RouteTableNotFound",
                "PeeringNotFound",
            ],
        ),
        ("DescribeVpcs", &["VpcNotFound"]),
        ("DescribeRouteTables", &["RouteTableNotFound"]),
        ("DescribeRouteConflicts", &["RouteTableNotFound"]),
        ("DeleteVpc", &["VpcNotFound", "VpcInUse"]),
        ("ModifyVpcAttribute", &["VpcNotFound", "VpcName"]),
        ("DeleteSubnet", &["SubnetNotFound", "SubnetInUse"]),
        (
            "ModifySubnet",
            &["SubnetNotFound", "SubnetName", "SubnetNameTaken"],
        ),
        (
            "CreateRouteTableWithRoutes",
            &[
                "VpcNotFound",
                "RouteTableName",
                "RouteTableLimit",
                "Destination",
                "NotInPeer",
                "RouteExists",
                "NextHopType",
                "NextHopNotFound",
                "RouteDescription",
                "RouteLimit",
            ],
        ),
        (
            "CreateRouteTable",
            &["VpcNotFound", "RouteTableName", "RouteTableLimit"],
        ),
        (
            "DeleteRouteTable",
            &[
                "RouteTableNotFound",
                "RouteTableIsDefault",
                "RouteTableInUse",
            ],
        ),
        (
            "ModifyRouteTable",
            &["RouteTableNotFound", "RouteTableName"],
        ),
        (
            "ReplaceRouteTableAssociation",
            &["RouteTableNotFound", "SubnetNotFound", "OtherVpc"],
        ),
        (
            "CreateRoutes",
            &[
                "RouteTableNotFound",
                "Destination",
                "NotInPeer",
                "RouteExists",
                "NextHopType",
                "NextHopNotFound",
                "RouteDescription",
                "RouteLimit",
            ],
        ),
        (
            "DeleteRoutes",
            &["RouteTableNotFound", "RouteNotFound", "RouteExists"],
        ),
        (
            "ReplaceRoutes",
            &[
                "RouteTableNotFound",
                "RouteNotFound",
                "Destination",
                "NotInPeer",
                "RouteExists",
                "NextHopType",
                "NextHopNotFound",
                "RouteDescription",
            ],
        ),
        (
            "ResetRoutes",
            &[
                "RouteTableNotFound",
                "RouteTableName",
                "Destination",
                "NotInPeer",
                "RouteExists",
                "NextHopType",
                "NextHopNotFound",
                "RouteDescription",
                "RouteLimit",
            ],
        ),
        (
            "EnableRoutes",
            &["RouteTableNotFound", "RouteNotFound", "RouteExists"],
        ),
        (
            "DisableRoutes",
            &["RouteTableNotFound", "RouteNotFound", "RouteExists"],
        ),
        ("DescribeSubnets", &["VpcNotFound", "SubnetNotFound"]),
    ];
    let group = groups.iter().find(|(prefix, _)| action.starts_with(prefix));
    let takes_tags = action::all().any(|one| {
        let tags = ["Tags", "ReplaceTags"];
        one.name == action && one.fields.iter().any(|field| tags.contains(&field.name))
    });
    (takes_tags && error.starts_with("Tag"))
        || group.is_some_and(|(_, errors)| errors.contains(&error))
}

#[test]
fn codes_of_the_domain_are_as_recorded() {
    let mut table = String::new();
    for action in action::all() {
        for (name, error) in domain_errors() {
            if can_meet(action.name, name) {
                let code = Error::Domain(error).code(Some(action));
                writeln!(table, "{:32} {name:20} {code}", action.name).unwrap();
            }
        }
    }
    let recorded = include_str!("error_table.txt");
    assert_eq!(table, recorded, "the table is\n{table}");
}

#[test]
fn codes_of_the_dialect_are_as_recorded() {
    let text = || "x".to_owned();
    for (error, code) in [
        (Error::Plain, "UnsupportedProtocol"),
        (Error::Method(text()), "UnsupportedProtocol"),
        (Error::TooLarge { limit: 1 }, "RequestSizeLimitExceeded"),
        (
            Error::Form(ParametersError::QueryTooLong {
                limit: 1,
                actual: 2,
            }),
            "RequestSizeLimitExceeded",
        ),
        (
            Error::Form(ParametersError::TooMany { limit: 1 }),
            "InvalidParameter",
        ),
        (Error::Body(text()), "InvalidRequest"),
        (Error::ContentType(text()), "InvalidRequest"),
        (Error::Tree(TreeError::Multipart(text())), "InvalidRequest"),
        (Error::Tree(TreeError::NoObject), "InvalidParameter"),
        (Error::Unsigned, "AuthFailure.InvalidAuthorization"),
        (
            Error::Authorization(AuthorizationError("x")),
            "AuthFailure.InvalidAuthorization",
        ),
        (Error::SecretId, "AuthFailure.SecretIdNotFound"),
        (
            Error::Signature(SignatureError::Header(text())),
            "AuthFailure.SignatureFailure",
        ),
        (
            Error::LegacySignature(crate::tencent::SignatureError::Missing),
            "AuthFailure.SignatureFailure",
        ),
        (
            Error::Expired {
                timestamp: 1,
                now: 2,
                window_secs: 300,
            },
            "AuthFailure.SignatureExpire",
        ),
        (Error::Token, "AuthFailure.TokenFailure"),
        (
            Error::Unauthorised(text()),
            "AuthFailure.UnauthorizedOperation",
        ),
        (Error::Version(text()), "NoSuchVersion"),
        (Error::UnknownAction(text()), "InvalidAction"),
        (Error::Region(text()), "UnsupportedRegion"),
        (Error::TooManyRequests(text()), "RequestLimitExceeded"),
        (Error::Missing(text()), "MissingParameter"),
        (
            Error::Unknown {
                name: text(),
                guess: None,
            },
            "UnknownParameter",
        ),
        (
            Error::Unknown {
                name: text(),
                guess: Some("y"),
            },
            "UnknownParameter.WithGuess",
        ),
        (
            Error::Type {
                name: text(),
                reason: "y",
            },
            "InvalidParameter",
        ),
        // Without an action that lists the finer code, the class.
        (
            Error::value("x", Fault::Malformed, "y"),
            "InvalidParameterValue",
        ),
        (Error::Coexist("x", "y"), "InvalidParameter"),
        (
            Error::FilterName {
                name: text(),
                known: &[],
            },
            "InvalidParameter",
        ),
        (Error::Unsupported(text()), "UnsupportedOperation"),
        (Error::Multicast, "UnsupportedOperation"),
        (
            Error::ClientToken(text()),
            "InvalidParameterValue.Combination",
        ),
        (Error::Tree(TreeError::Encoding), "InvalidParameterValue"),
        (Error::DryRun, "DryRunOperation"),
        (Error::Internal, "InternalError"),
        (Error::Unavailable, "ServiceUnavailable"),
    ] {
        assert_eq!(error.code(None), code, "{error}");
    }
}

#[test]
fn every_code_of_an_action_is_its_own_or_common() {
    for action in action::all() {
        for (name, error) in domain_errors() {
            let code = Error::Domain(error).code(Some(action));
            assert!(
                COMMON_CODES.contains(&code) || action.errors.contains(&code),
                "{} answers {name} with {code}",
                action.name
            );
        }
    }
}
