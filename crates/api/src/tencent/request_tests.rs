//! From queries to commands, and the parameter that a refusal names.

use model::command::{
    Direction, NetworkKind, Order, Paging, PeeringAction, PeeringCreate, PeeringModify,
    PeeringQuery, PeeringStateFilter, QuotaKind, QuotaQuery, Reach, Reply, RouteChange, RouteSpec,
    RouteTableAssociate, RouteTableCreate, RouteTableModify, RouteTableTarget, SubnetModify,
    SubnetSpec, SubnetTarget, VpcCreate, VpcModify, VpcTarget,
};
use model::monitor::{Metric, MonitorQuery, Period};
use model::peering::{ChargeType, QosLevel};
use model::{Bandwidth, DomainError, TaskId, Uin, UnixMillis, VpcRef, Zone};
use proptest::prelude::*;

use super::action::ACTIONS;
use super::*;

const COMMON: &str = "Timestamp=1507645389&Nonce=59485&SecretId=AKID";

fn parse_query(query: &str, limits: &Limits) -> Result<Command, ApiError> {
    let parameters =
        Parameters::from_query(&format!("{COMMON}&{query}"), &Default::default()).unwrap();
    parse(&parameters, limits).map(|parsed| parsed.command)
}

fn command(query: &str) -> Command {
    parse_query(query, &Limits::default()).unwrap()
}

fn refusal(query: &str) -> ApiError {
    parse_query(query, &Limits::default()).unwrap_err()
}

/// A query with one parameter replaced, or dropped with `None`.
fn altered(query: &str, name: &str, value: Option<&str>) -> String {
    let kept = query.split('&').filter(|pair| {
        !pair
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('='))
    });
    let new = value.map(|value| format!("{name}={value}"));
    kept.map(str::to_owned)
        .chain(new)
        .collect::<Vec<_>>()
        .join("&")
}

const SEED: &str = "Action=CreateVpcPeeringConnectionEx&Region=gz&vpcId=gz_vpc_226&peerVpcId=gz_vpc_89\
                    &peerUin=2407912486&peeringConnectionName=tses&peerRegion=gz&bandwidth=20";

#[test]
fn the_documented_example_is_understood() {
    let region = Region::Guangzhou;
    let expected = PeeringCreate {
        tags: Vec::new(),
        region,
        vpc: "gz_vpc_226".parse().unwrap(),
        peer_region: region,
        peer_vpc: "gz_vpc_89".parse().unwrap(),
        peer_uin: Uin(2_407_912_486),
        name: "tses".into(),
        bandwidth: Bandwidth::from_mbps(20),
        charge_type: ChargeType::PostpaidByDayMax,
        qos_level: QosLevel::Gold,
        reply: Reply::Task,
    };
    assert_eq!(command(SEED), Command::PeeringCreate(expected));
}

#[test]
fn both_spellings_of_regions_and_ids_are_understood() {
    let mut query = altered(SEED, "peerRegion", Some("ap-shanghai"));
    query = altered(&query, "Region", Some("ap-guangzhou"));
    query = altered(&query, "peerVpcId", Some("vpc-kx49lmyv"));
    let Command::PeeringCreate(create) = command(&query) else {
        panic!("not a creation");
    };
    assert_eq!(
        (create.region, create.peer_region),
        (Region::Guangzhou, Region::Shanghai)
    );
    assert_eq!(
        create.peer_vpc,
        VpcRef::Unified("vpc-kx49lmyv".parse().unwrap())
    );
}

#[test]
fn every_required_parameter_of_a_creation_is_named_when_it_is_missing() {
    for name in [
        "Region",
        "vpcId",
        "peerVpcId",
        "peerUin",
        "peeringConnectionName",
        "peerRegion",
        "bandwidth",
    ] {
        let error = refusal(&altered(SEED, name, None));
        assert_eq!(error, ApiError::missing(name));
        assert_eq!(error.code(), (4000, "InvalidParameter"));
        assert!(error.to_string().contains(&format!("[{name}]")));
    }
    for name in ["Timestamp", "Nonce", "SecretId", "Action"] {
        let all = format!("{COMMON}&{SEED}");
        let parameters =
            Parameters::from_query(&altered(&all, name, None), &Default::default()).unwrap();
        assert_eq!(
            parse(&parameters, &Limits::default()),
            Err(ApiError::missing(name))
        );
    }
}

#[test]
fn malformed_parameters_of_a_creation_are_named() {
    for (name, value) in [
        ("Region", "mars"),
        ("peerRegion", "gz_bm"),
        ("peerUin", "someone"),
        ("peerUin", "-1"),
        ("bandwidth", "fast"),
        ("bandwidth", "10.5"),
        ("bandwidth", "-20"),
        ("bandwidth", "%2B20"),
        ("bandwidth", "10001"),
        ("bandwidth", "99999999999"),
        ("type", "2"),
        ("chargeType", "FREE"),
        ("qosLevel", "XX"),
    ] {
        let error = refusal(&altered(SEED, name, Some(value)));
        assert!(
            matches!(&error, ApiError::Invalid { name: named, .. } if named == name),
            "{name}={value}: {error}"
        );
    }
}

#[test]
fn ids_that_cannot_be_ids_are_answered_like_unknown_ones() {
    for name in ["vpcId", "peerVpcId"] {
        for value in ["226", "subnet-5gu2jxf4", "vpc-8E0YPM3Z", "%00"] {
            let error = refusal(&altered(SEED, name, Some(value)));
            assert_eq!(
                error.code(),
                (4000, "InvalidVpc.NotFound"),
                "{name}={value}"
            );
        }
    }
    let error =
        refusal("Action=DeleteVpcPeeringConnectionEx&Region=gz&peeringConnectionId=pcx-nope");
    assert_eq!(error.code(), (4000, "InvalidPeeringConnection.NotFound"));
}

#[test]
fn an_empty_name_is_left_to_the_domain() {
    let Command::PeeringCreate(create) = command(&altered(SEED, "peeringConnectionName", Some("")))
    else {
        panic!("not a creation");
    };
    assert_eq!(create.name, "");
}

#[test]
fn bandwidths_are_any_up_to_the_ceiling_or_the_documented_set() {
    let documented = Limits {
        bandwidths: AllowedBandwidths::DocumentedSet,
        ..Limits::default()
    };
    for (value, any, set) in [
        ("0", true, true),
        ("1", true, false),
        ("20", true, true),
        ("30", true, false),
        ("1000", true, true),
        ("10000", true, false),
    ] {
        let query = altered(SEED, "bandwidth", Some(value));
        assert_eq!(
            parse_query(&query, &Limits::default()).is_ok(),
            any,
            "{value}"
        );
        assert_eq!(parse_query(&query, &documented).is_ok(), set, "{value}");
    }
}

#[test]
fn a_change_needs_something_to_change() {
    let base = "Action=ModifyVpcPeeringConnectionEx&Region=gz&peeringConnectionId=pcx-krmzap90";
    assert_eq!(refusal(base).code(), (4000, "InvalidParameter"));
    let modify = |name: Option<&str>, mbps: Option<u32>| {
        Command::PeeringModify(PeeringModify {
            region: Region::Guangzhou,
            peering: "pcx-krmzap90".parse().unwrap(),
            name: name.map(str::to_owned),
            bandwidth: mbps.map(Bandwidth::from_mbps),
            charge_type: None,
            reach: Reach::Any,
            reply: Reply::Task,
        })
    };
    assert_eq!(
        command(&format!("{base}&bandwidth=100")),
        modify(None, Some(100))
    );
    assert_eq!(
        command(&format!("{base}&peeringConnectionName=%E7%A4%BA")),
        modify(Some("\u{793a}"), None)
    );
    assert_eq!(
        command(&format!("{base}&peeringConnectionName=")),
        modify(Some(""), None)
    );
}

#[test]
fn actions_on_one_peering_differ_only_in_the_command() {
    let action = PeeringAction {
        region: Region::Shanghai,
        peering: "pcx-6gw5wvmk".parse().unwrap(),
        reach: Reach::Any,
        reply: Reply::Task,
    };
    for (name, expected) in [
        (
            "AcceptVpcPeeringConnectionEx",
            Command::PeeringAccept(action),
        ),
        (
            "RejectVpcPeeringConnectionEx",
            Command::PeeringReject(action),
        ),
        (
            "EnableVpcPeeringConnectionEx",
            Command::PeeringEnable(action),
        ),
        (
            "DeleteVpcPeeringConnectionEx",
            Command::PeeringDelete(action),
        ),
    ] {
        let query = format!("Action={name}&Region=sh&peeringConnectionId=pcx-6gw5wvmk");
        assert_eq!(command(&query), expected);
        let missing = format!("Action={name}&Region=sh&peeringConnectionId=");
        assert_eq!(refusal(&missing), ApiError::missing("peeringConnectionId"));
    }
}

#[test]
fn a_vpc_may_come_with_subnets() {
    let query = "Action=CreateVpc&Region=gz&vpcName=bbbtest&cidrBlock=192.168.0.0/16\
                 &subnetSet.0.subnetName=wikitest&subnetSet.0.cidrBlock=192.168.1.0/24\
                 &subnetSet.0.zoneId=100002";
    let expected = VpcCreate {
        tags: Vec::new(),
        region: Region::Guangzhou,
        name: "bbbtest".into(),
        cidr: "192.168.0.0/16".parse().unwrap(),
        subnets: vec![SubnetSpec {
            name: "wikitest".into(),
            cidr: "192.168.1.0/24".parse().unwrap(),
            zone: Zone(100_002),
        }],
    };
    assert_eq!(command(query), Command::VpcCreate(expected));
    for (name, value, code_desc) in [
        ("cidrBlock", "10.0.0.0/15", "InvalidVpcCidr"),
        ("cidrBlock", "10.0.0.1/16", "InvalidVpcCidr"),
        ("cidrBlock", "ten", "InvalidVpcCidr"),
        (
            "subnetSet.0.cidrBlock",
            "192.168.1.9/24",
            "InvalidSubnetCidr",
        ),
        ("subnetSet.0.zoneId", "two", "InvalidParameter"),
        ("subnetSet.0.zoneId", "", "InvalidParameter"),
        ("subnetSet.x.zoneId", "1", "InvalidParameter"),
    ] {
        let error = refusal(&altered(query, name, Some(value)));
        assert_eq!(error.code(), (4000, code_desc), "{name}={value}");
    }
    for name in ["subnetName", "cidrBlock", "zoneId"] {
        let name = format!("subnetSet.0.{name}");
        assert_eq!(
            refusal(&altered(query, &name, None)),
            ApiError::missing(name)
        );
    }
}

#[test]
fn a_subnet_creation_needs_a_subnet() {
    let error = refusal("Action=CreateSubnet&Region=gz&vpcId=vpc-kd7d06of");
    assert_eq!(error, ApiError::missing("subnetSet.0.subnetName"));
}

#[test]
fn routes_lead_to_peerings_and_their_destinations_may_have_host_bits() {
    let query = "Action=CreateRoute&Region=ap-guangzhou&vpcId=vpc-amhnnao5&routeTableId=gz_rtb_8755\
                 &routeSet.0.destinationCidrBlock=10.1.2.3/16&routeSet.0.nextType=4\
                 &routeSet.0.nextHub=pcx-6gw5wvmk";
    let expected = RouteChange {
        region: Region::Guangzhou,
        vpc: Some("vpc-amhnnao5".parse().unwrap()),
        route_table: "gz_rtb_8755".parse().unwrap(),
        routes: vec![RouteSpec {
            destination: "10.1.0.0/16".parse().unwrap(),
            given_destination: "10.1.2.3/16".into(),
            next_hop: "pcx-6gw5wvmk".into(),
            description: None,
            is_enabled: true,
            is_within_peer: false,
        }],
    };
    assert_eq!(command(query), Command::RouteCreate(expected.clone()));
    assert_eq!(
        command(&altered(query, "Action", Some("DeleteRoute"))),
        Command::RouteDelete(expected)
    );
    for (name, value, code_desc) in [
        (
            "routeSet.0.destinationCidrBlock",
            "10.1.0.0",
            "InvalidDestinationCidr",
        ),
        ("routeSet.0.nextType", "8", "InvalidRouteNextType"),
        ("routeSet.0.nextType", "peering", "InvalidParameter"),
        ("routeTableId", "rtb", "InvalidRouteTableId.NotFound"),
        ("vpcId", "", "InvalidParameter"),
    ] {
        let error = refusal(&altered(query, name, Some(value)));
        assert_eq!(error.code(), (4000, code_desc), "{name}={value}");
    }
    assert_eq!(
        refusal("Action=CreateRoute&Region=gz&vpcId=vpc-amhnnao5&routeTableId=gz_rtb_8755"),
        ApiError::missing("routeSet.0.destinationCidrBlock")
    );
}

#[test]
fn networks_are_changed_and_deleted_by_either_id() {
    let region = Region::Guangzhou;
    let vpc: VpcRef = "gz_vpc_226".parse().unwrap();
    let target = VpcTarget { region, vpc };
    let query = "Region=gz&vpcId=gz_vpc_226";
    assert_eq!(
        command(&format!("Action=DeleteVpc&{query}")),
        Command::VpcDelete(target)
    );
    assert_eq!(
        command(&format!("Action=ModifyVpcAttribute&{query}&vpcName=a")),
        Command::VpcModify(VpcModify {
            target,
            name: Some("a".into()),
        })
    );
    assert_eq!(
        command(&format!("Action=DescribeVpcs&{query}")),
        Command::VpcGet(target)
    );
    assert_eq!(
        command("Action=DescribeVpcs&Region=gz"),
        Command::VpcListAll(region)
    );
    let target = SubnetTarget {
        region,
        vpc: Some(vpc),
        subnet: "subnet-3lzrkspo".parse().unwrap(),
    };
    let query = format!("{query}&subnetId=subnet-3lzrkspo");
    assert_eq!(
        command(&format!("Action=DeleteSubnet&{query}")),
        Command::SubnetDelete(target)
    );
    assert_eq!(
        command(&format!("Action=ModifySubnetAttribute&{query}&subnetName=")),
        Command::SubnetModify(SubnetModify {
            target,
            name: Some(String::new()),
        })
    );
    for name in ["vpcId", "unVpcId", "unvpcid"] {
        let query = query.replace("vpcId=", &format!("{name}="));
        assert_eq!(
            command(&format!("Action=DescribeSubnet&{query}&subnetName=x")),
            Command::SubnetGet(target),
            "{name}"
        );
    }
    for (query, code_desc) in [
        ("Action=DeleteVpc&Region=gz", "InvalidParameter"),
        (
            "Action=DeleteVpc&Region=gz&vpcId=226",
            "InvalidVpc.NotFound",
        ),
        (
            "Action=ModifyVpcAttribute&Region=gz&vpcId=gz_vpc_226",
            "InvalidParameter",
        ),
        (
            "Action=DeleteSubnet&Region=gz&vpcId=gz_vpc_226&subnetId=18748",
            "InvalidSubnet.NotFound",
        ),
        (
            "Action=DescribeSubnet&Region=gz&subnetId=gz_subnet_1",
            "InvalidParameter",
        ),
    ] {
        assert_eq!(refusal(query).code(), (4000, code_desc), "{query}");
    }
}

const TABLE: &str = "Region=gz&vpcId=gz_vpc_226&routeTableId=gz_rtb_8755";

fn table() -> RouteTableTarget {
    RouteTableTarget {
        region: Region::Guangzhou,
        vpc: Some("gz_vpc_226".parse().unwrap()),
        route_table: "gz_rtb_8755".parse().unwrap(),
    }
}

#[test]
fn route_tables_are_made_with_or_without_routes_and_changed_in_part() {
    let create = "Action=CreateRouteTable&Region=gz&vpcId=gz_vpc_226&routeTableName=t1";
    let routes = "routeSet.0.destinationCidrBlock=121.0.23.51/16&routeSet.0.nextType=4\
                  &routeSet.0.nextHub=pcx-6gw5wvmk&routeSet.0.description=out";
    let parsed = vec![RouteSpec {
        destination: "121.0.0.0/16".parse().unwrap(),
        given_destination: "121.0.23.51/16".into(),
        next_hop: "pcx-6gw5wvmk".into(),
        description: Some("out".into()),
        is_enabled: true,
        is_within_peer: false,
    }];
    let created = |routes| {
        Command::RouteTableCreate(RouteTableCreate {
            tags: Vec::new(),
            region: Region::Guangzhou,
            vpc: "gz_vpc_226".parse().unwrap(),
            name: "t1".into(),
            routes,
        })
    };
    assert_eq!(command(create), created(vec![]));
    assert_eq!(
        command(&format!("{create}&{routes}")),
        created(parsed.clone())
    );
    assert_eq!(
        command(&format!("Action=DeleteRouteTable&{TABLE}")),
        Command::RouteTableDelete(table())
    );
    let modified = |name: Option<&str>, routes| {
        Command::RouteTableModify(RouteTableModify {
            target: table(),
            name: name.map(str::to_owned),
            routes,
        })
    };
    let modify = format!("Action=ModifyRouteTableAttribute&{TABLE}");
    assert_eq!(
        command(&format!("{modify}&routeTableName=a")),
        modified(Some("a"), None)
    );
    assert_eq!(
        command(&format!("{modify}&{routes}")),
        modified(None, Some(parsed))
    );
    assert_eq!(refusal(&modify).code(), (4000, "InvalidParameter"));
    assert!(refusal(&modify).to_string().contains("routeSet"));
}

#[test]
fn a_table_is_associated_with_one_subnet_or_several() {
    let associate = format!("Action=AssociateRouteTable&{TABLE}");
    for (query, subnets) in [
        ("subnetId=gz_subnet_1", vec!["gz_subnet_1"]),
        (
            "subnetId.0=gz_subnet_1&subnetId.1=subnet-3lzrkspo",
            vec!["gz_subnet_1", "subnet-3lzrkspo"],
        ),
    ] {
        let expected = RouteTableAssociate {
            target: table(),
            subnets: subnets.iter().map(|id| id.parse().unwrap()).collect(),
        };
        assert_eq!(
            command(&format!("{associate}&{query}")),
            Command::RouteTableAssociate(expected)
        );
    }
    assert_eq!(refusal(&associate), ApiError::missing("subnetId"));
    let error = refusal(&format!("{associate}&subnetId.0="));
    assert_eq!(error, ApiError::missing("subnetId.0"));
}

#[test]
fn quotas_are_asked_for_by_number() {
    let query = "Action=DescribeVpcLimit&Region=gz&type.0=20&type.1=0&type.2=15";
    let expected = QuotaQuery {
        region: Region::Guangzhou,
        kinds: vec![QuotaKind::Peerings, QuotaKind::Vpcs, QuotaKind::Nothing(15)],
    };
    assert_eq!(command(query), Command::QuotaList(expected));
    for (value, mentions) in [("999", "no quota"), ("one", "decimal"), ("", "missing")] {
        let error = refusal(&altered(query, "type.1", Some(value)));
        assert_eq!(error.code(), (4000, "InvalidParameter"));
        assert!(error.to_string().contains(mentions), "{error}");
        assert!(error.to_string().contains("[type.1]"), "{error}");
    }
    let error = refusal("Action=DescribeVpcLimit&Region=gz");
    assert_eq!(error, ApiError::missing("type.0"));
}

#[test]
fn lists_have_documented_defaults_and_bounds() {
    let base = "Action=DescribeVpcPeeringConnections&Region=gz";
    let query = |order, paging, state, network| {
        Command::PeeringList(PeeringQuery {
            region: Region::Guangzhou,
            vpc: None,
            peering: None,
            name: None,
            state,
            network,
            filters: Vec::new(),
            order,
            paging,
        })
    };
    let defaults = Paging {
        offset: 0,
        limit: 20,
        direction: Direction::Descending,
    };
    assert_eq!(
        command(base),
        query(Order::CreateTime, defaults, None, None)
    );
    // Empty filters count as absent.
    let empty = format!("{base}&vpcId=&state=&limit=&peeringConnectionId=&orderField=");
    assert_eq!(
        command(&empty),
        query(Order::CreateTime, defaults, None, None)
    );
    let full = format!(
        "{base}&offset=50&limit=50&state=1&type=1&orderField=peeringConnectionname&orderDirection=asc"
    );
    let paging = Paging {
        offset: 50,
        limit: 50,
        direction: Direction::Ascending,
    };
    let active = Some(PeeringStateFilter::Active);
    let vpcs = Some(NetworkKind::Vpc);
    assert_eq!(command(&full), query(Order::Name, paging, active, vpcs));
    for (name, value) in [
        ("limit", "51"),
        ("limit", "-1"),
        ("offset", "x"),
        ("state", "7"),
        ("type", "3"),
        ("orderField", "vpcName"),
        ("orderDirection", "up"),
    ] {
        let error = refusal(&format!("{base}&{name}={value}"));
        assert!(
            matches!(&error, ApiError::Invalid { name: named, .. } if named == name),
            "{name}={value}: {error}"
        );
    }
}

#[test]
fn the_other_lists_read_their_filters() {
    let Command::SubnetList(subnets) = command(
        "Action=DescribeSubnetEx&Region=gz&subnetId=gz_subnet_1&zoneIds.0=100001&zoneIds.1=100002\
         &subnetName=a&orderField=subnetName&limit=500",
    ) else {
        panic!("not a list of subnets");
    };
    assert_eq!(subnets.zones, [Zone(100_001), Zone(100_002)]);
    assert_eq!((subnets.order, subnets.paging.limit), (Order::Name, 500));
    assert!(subnets.subnet.is_some() && subnets.name.as_deref() == Some("a"));

    let tables = "Action=DescribeRouteTable&Region=gz&vpcId=gz_vpc_1";
    assert!(matches!(command(tables), Command::RouteTableList(_)));
    assert!(
        matches!(refusal(&format!("{tables}&limit=51")), ApiError::Invalid { name, .. } if name == "limit")
    );
    let vpcs = "Action=DescribeVpcEx&Region=gz&vpcId=gz_vpc_1&orderField=vpcName";
    assert!(matches!(command(vpcs), Command::VpcList(_)));
    let error = refusal("Action=DescribeVpcEx&Region=gz&vpcId=nope");
    assert!(matches!(
        error,
        ApiError::Domain(DomainError::VpcNotFound { .. })
    ));
}

#[test]
fn a_task_is_asked_for_without_a_region() {
    assert_eq!(
        command("Action=DescribeVpcTaskResult&taskId=112245"),
        Command::TaskResult(TaskId(112_245))
    );
    assert_eq!(
        refusal("Action=DescribeVpcTaskResult"),
        ApiError::missing("taskId")
    );
}

#[test]
fn the_first_letter_of_an_action_may_be_small_and_unknown_ones_are_refused() {
    assert_eq!(
        command("Action=describeVpcTaskResult&taskId=1"),
        Command::TaskResult(TaskId(1))
    );
    for name in ["DescribeMoon", "DESCRIBEVPCEX", "%E7%A4%BA"] {
        let error = refusal(&format!("Action={name}&Region=gz"));
        assert_eq!(error.code(), (6100, "InvalidAction.NotFound"), "{name}");
    }
}

#[test]
fn common_parameters_are_read_and_the_token_is_not_shown() {
    let text = "Action=x&Timestamp=1&Nonce=9223372036854775807&SecretId=id&Token=tok&Region=gz\
                &SignatureMethod=HmacSHA256&RequestClient=SDK_PYTHON_2.0.15&Language=zh-CN";
    let parameters = Parameters::from_query(text, &Default::default()).unwrap();
    let common = Common::parse(&parameters).unwrap();
    assert_eq!(common.nonce, i64::MAX as u64);
    assert_eq!(common.signature_method, SignatureMethod::HmacSha256);
    assert_eq!(common.token.as_deref(), Some("tok"));
    assert_eq!(common.client.as_deref(), Some("SDK_PYTHON_2.0.15"));
    assert!(!format!("{common:?}").contains("tok"));
}

#[test]
fn the_actions_are_sorted_and_find_themselves() {
    assert!(ACTIONS.is_sorted_by_key(|action| action.name));
    for action in ACTIONS {
        let found = action::find(action.name).unwrap();
        assert_eq!(found.name, action.name);
        let answer = refusal(&format!("Action={}", action.name));
        assert!(matches!(answer, ApiError::Missing { .. }), "{answer}");
    }
}

const MONITOR: &str = "Action=GetMonitorData&Region=gz&namespace=qce/pcx&metricName=inbandwidth\
    &dimensions.0.name=peeringConnectionId&dimensions.0.value=pcx-6gw5wvmk";

#[test]
fn a_question_about_a_peering_is_understood() {
    let query = MonitorQuery {
        region: Region::Guangzhou,
        peering: "pcx-6gw5wvmk".parse().unwrap(),
        metric: Metric::InBandwidth,
        metric_name: "inbandwidth",
        period: Period::FiveMinutes,
        start: None,
        end: None,
        utc_offset_millis: 8 * 3600 * 1000,
    };
    assert_eq!(command(MONITOR), Command::MonitorData(query.clone()));
    let whole =
        format!("{MONITOR}&period=60&startTime=2016-06-28+14:10:00&endTime=2016-06-28%2014:20:00");
    // 06:10 UTC.
    let start = 1_467_094_200_000;
    assert_eq!(
        command(&whole),
        Command::MonitorData(MonitorQuery {
            period: Period::Minute,
            start: Some(UnixMillis(start)),
            end: Some(UnixMillis(start + 600_000)),
            ..query
        })
    );
}

#[test]
fn metrics_have_short_and_later_names() {
    for (name, expected) in [
        ("outbandwidth", Metric::OutBandwidth),
        ("inpkg", Metric::InPackets),
        ("outpkg", Metric::OutPackets),
        ("pkgdrop", Metric::DropShare),
        ("InBandwidth", Metric::InBandwidth),
        ("OutBandwidth", Metric::OutBandwidth),
        ("InPkg", Metric::InPackets),
        ("OutPkg", Metric::OutPackets),
        ("PkgDrop", Metric::DropShare),
        ("InbandRate", Metric::InUtilisation),
        ("OutbandRate", Metric::OutUtilisation),
    ] {
        let Command::MonitorData(query) = command(&altered(MONITOR, "metricName", Some(name)))
        else {
            panic!("{name}");
        };
        assert_eq!((query.metric, query.metric_name), (expected, name));
    }
    // The namespace is written in capitals by the later edition.
    command(&altered(MONITOR, "namespace", Some("QCE/PCX")));
}

#[test]
fn a_question_that_is_not_right_is_refused_with_the_products_codes() {
    let check = |name: &str, value: Option<&str>, code: i32| {
        let error = refusal(&altered(MONITOR, name, value));
        assert_eq!(error.code().0, code, "{name}={value:?}: {error}");
        let is_named = error.to_string().contains(&format!("[{name}]"));
        assert!(is_named || code == -502, "{name}={value:?}: {error}");
    };
    for name in [
        "namespace",
        "metricName",
        "dimensions.0.name",
        "dimensions.0.value",
    ] {
        check(name, None, -505);
        check(name, Some(""), -505);
    }
    check("namespace", Some("qce/cvm"), -503);
    check("metricName", Some("INBANDWIDTH"), -503);
    check("dimensions.0.name", Some("vpcId"), -509);
    check("dimensions.0.value", Some("nonsense"), -502);
    check("period", Some("10"), -503);
    check("period", Some("060"), -503);
    for time in [
        "2016-06-28",
        "2016-6-28 14:10:00",
        "2016-02-30 14:10:00",
        "2016-06-28 24:00:00",
        "2016-06-28T14:10:00",
        "2016-06-28 14:10:0x",
        "+016-06-28 14:10:00",
        "yesterday",
    ] {
        check("startTime", Some(time), -503);
        check("endTime", Some(time), -503);
    }
    let two = format!("{MONITOR}&dimensions.1.name=vpcId&dimensions.1.value=vpc-1");
    assert_eq!(refusal(&two).code().0, -509);
    let no_index = format!("{MONITOR}&dimensions.x.name=vpcId");
    assert_eq!(refusal(&no_index).code().0, -509);
}

proptest! {
    #[test]
    fn no_value_makes_the_parser_panic(
        action in prop::sample::select(ACTIONS.iter().map(|action| action.name).collect::<Vec<_>>()),
        pairs in proptest::collection::vec((prop::sample::select(vec![
            "vpcId", "peerVpcId", "peerUin", "peeringConnectionName", "peerRegion", "bandwidth",
            "peeringConnectionId", "taskId", "limit", "offset", "state", "cidrBlock", "vpcName",
            "subnetSet.0.cidrBlock", "subnetSet.0.zoneId", "subnetSet.1", "routeTableId",
            "routeSet.0.destinationCidrBlock", "routeSet.0.nextType", "routeSet.0.nextHub",
            "zoneIds.0", "orderField", "type", "namespace", "metricName", "dimensions.0.name",
            "dimensions.0.value", "period", "startTime", "endTime",
        ]), "([0-9./a-z_-]{0,12}|.{0,12})"), 0..12),
    ) {
        let mut parameters =
            Parameters::from_query(&format!("{COMMON}&Region=gz&Action={action}"), &Default::default())
                .unwrap();
        for (name, value) in pairs {
            parameters.push(name, value);
        }
        if let Err(error) = parse(&parameters, &Limits::default()) {
            let codes = if action == "GetMonitorData" { -513..=-502 } else { 4000..=6100 };
            prop_assert!(codes.contains(&error.code().0));
        }
    }
}
