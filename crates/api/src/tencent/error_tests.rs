//! The golden table of codes.

use model::monitor::MonitorError;
use model::{PeeringConnectionId, Side, TaskId, VpcId};

use model::peering::PeeringEvent;

use super::*;

fn every_error() -> Vec<ApiError> {
    let text = || "x".to_owned();
    let mut errors = vec![
        ApiError::Parameters(ParametersError::TooMany { limit: 1000 }),
        ApiError::missing("vpcId"),
        ApiError::invalid("bandwidth", "it is not a decimal number"),
        ApiError::Signature(SignatureError::Missing),
        ApiError::Signature(SignatureError::Encoding),
        ApiError::Signature(SignatureError::Length {
            digest: "SHA1",
            expected: 20,
            actual: 32,
        }),
        ApiError::Signature(SignatureError::Mismatch {
            string_to_sign: "GETh/v2/index.php?".into(),
        }),
        ApiError::Action {
            action: "name/vpc:CreateVpc".into(),
            reason: "the key is read-only",
        },
        ApiError::Resources {
            action: "name/vpc:CreateVpc".into(),
            resources: vec![text(), text()],
        },
        ApiError::SecretId,
        ApiError::Token,
        ApiError::Forbidden,
        ApiError::TooManyRequests("100 per second are allowed".into()),
        ApiError::Expired {
            timestamp: 1,
            now: 9000,
            window_secs: 7200,
        },
        ApiError::Replay,
        ApiError::Protocol,
        ApiError::DryRun,
        ApiError::Internal,
        ApiError::UnknownAction("DescribeMoon".into()),
        ApiError::Unavailable,
    ];
    errors.extend(
        [
            MonitorParameterError::Missing("metricName"),
            MonitorParameterError::Invalid {
                name: "period",
                reason: "it is not 60 or 300".into(),
            },
            MonitorParameterError::Dimensions {
                name: "dimensions.1".into(),
                reason: "peeringConnectionId is the only dimension",
            },
        ]
        .map(ApiError::Monitor),
    );
    let (vpc, peering) = (VpcId::from_entropy(0), PeeringConnectionId::from_entropy(0));
    let (ten, eleven) = (
        "10.0.0.0/16".parse().unwrap(),
        "11.0.0.0/16".parse().unwrap(),
    );
    let event = PeeringEvent::Accept;
    errors.extend(
        [
            DomainError::VpcNotFound {
                vpc: "gz_vpc_226".into(),
                region: "sh".into(),
            },
            DomainError::SubnetNotFound(text()),
            DomainError::NotInPeer {
                destination: text(),
                cidr: text(),
            },
            DomainError::OtherVpc {
                subnet: text(),
                route_table: text(),
            },
            DomainError::RouteTableNotFound(text()),
            DomainError::RouteNotFound(text()),
            DomainError::PeeringNotFound(text()),
            DomainError::TaskNotFound("7".into()),
            DomainError::ZoneNotFound("7".into()),
            DomainError::VpcName(text()),
            DomainError::SubnetName(text()),
            DomainError::PeeringName(text()),
            DomainError::SubnetNameTaken(text()),
            DomainError::RouteTableName(text()),
            DomainError::RouteDescription(text()),
            DomainError::VpcCidr(text()),
            DomainError::SubnetCidr(text()),
            DomainError::SubnetConflict {
                cidr: text(),
                other: text(),
            },
            DomainError::Destination(text()),
            DomainError::RouteExists(text()),
            DomainError::NextHopType("8".into()),
            DomainError::NextHopNotFound(text()),
            DomainError::VpcInUse {
                vpc: "gz_vpc_226".into(),
                reason: text(),
            },
            DomainError::SubnetInUse {
                subnet: "gz_subnet_1".into(),
                hosts: 2,
            },
            DomainError::RouteTableIsDefault("gz_rtb_1".into()),
            DomainError::RouteTableInUse {
                route_table: "gz_rtb_1".into(),
                subnet: "gz_subnet_1".into(),
            },
            DomainError::VpcLimit { limit: 5 },
            DomainError::SubnetLimit { limit: 10 },
            DomainError::RouteTableLimit { limit: 10 },
            DomainError::RouteLimit { limit: 50 },
            DomainError::Admission(Refusal::EndsOverlap {
                requester: ten,
                accepter: ten,
            }),
            DomainError::Admission(Refusal::PairExists { existing: peering }),
            DomainError::Admission(Refusal::PeersOverlap {
                vpc,
                cidr: ten,
                other_cidr: eleven,
                existing: peering,
            }),
            DomainError::Admission(Refusal::Limit { vpc, limit: 10 }),
            DomainError::Admission(Refusal::InboxFull { vpc }),
            DomainError::PeeringState(TransitionError::NotFound),
            DomainError::PeeringState(TransitionError::WrongRole {
                allowed: Side::Accepter,
                event: event.clone(),
            }),
            DomainError::PeeringState(TransitionError::WrongState {
                state: "active",
                event,
            }),
            DomainError::ActionLocked(TaskId(7)),
            MonitorError::SourceNotFound("pcx-6gw5wvmk".into()).into(),
            MonitorError::EndBeforeStart.into(),
            MonitorError::TooManyPoints {
                asked: 1442,
                limit: 1440,
            }
            .into(),
            MonitorError::Unavailable.into(),
            DomainError::Parameter {
                name: "x",
                reason: text(),
            },
        ]
        .map(ApiError::Domain),
    );
    errors
}

#[test]
fn the_table_of_codes_is_pinned() {
    let lines: Vec<String> = every_error()
        .iter()
        .map(|error| {
            let (code, code_desc) = error.code();
            format!("{code} {code_desc}: {error}\n")
        })
        .collect();
    // Rewrite the file by hand when the table is meant to change.
    assert_eq!(lines.concat(), include_str!("error_table.txt"));
}
