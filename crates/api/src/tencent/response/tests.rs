//! From outcomes to JSON, whole bodies compared.

use std::sync::Arc;

use model::command::{QuotaKind, RouteSpec};
use model::monitor::{Counts, Metric, MonitorData, MonitorQuery, Period};
use model::outcome::{Page, PeeringView, RouteTableView, SubnetView, VpcDetail, VpcView};
use model::peering::{ChargeType, QosLevel};
use model::{
    AppId, Bandwidth, Name, NextHop, PeeringConnection, PeeringEnd, PeeringState, Route,
    RouteTable, RouteTableKind, Side, Subnet, Task, TaskId, TaskKind, TaskState, Uin, Vni, Vpc,
    Zone,
};
use serde_json::{Value, json};

use super::peering::state_number;
use super::*;

// 2016-01-06 20:56:07 in UTC+8.
const CREATED: UnixMillis = UnixMillis(1_452_084_967_900);

fn vpc(legacy: &str, id: &str, cidr: &str) -> Vpc {
    Vpc {
        tags: model::Tags::default(),
        id: id.parse().unwrap(),
        legacy_id: legacy.parse().unwrap(),
        owner: Uin(909_619_400),
        name: Name::new("a.b").unwrap(),
        cidr: cidr.parse().unwrap(),
        assistant_cidrs: Vec::new(),
        created_at: CREATED,
        epoch: 0,
    }
}

fn own_vpc() -> Vpc {
    vpc("gz_vpc_245", "vpc-8e0ypm3z", "10.0.0.0/16")
}

fn table() -> RouteTable {
    RouteTable {
        tags: model::Tags::default(),
        id: "rtb-85alck92".parse().unwrap(),
        legacy_id: "gz_rtb_359".parse().unwrap(),
        vpc: own_vpc().id,
        name: Name::new("default").unwrap(),
        kind: RouteTableKind::Default,
        routes: vec![Route {
            id: "rti-0a1b2c3d".parse().unwrap(),
            is_enabled: true,
            destination: "10.1.0.0/16".parse().unwrap(),
            next_hop: NextHop::Peering("pcx-6gw5wvmk".parse().unwrap()),
            description: None,
        }],
        created_at: CREATED,
    }
}

fn subnet() -> SubnetView {
    SubnetView {
        subnet: Subnet {
            tags: model::Tags::default(),
            id: "subnet-3lzrkspo".parse().unwrap(),
            legacy_id: "gz_subnet_18748".parse().unwrap(),
            vpc: own_vpc().id,
            name: Name::new("tttt").unwrap(),
            cidr: "10.0.200.0/24".parse().unwrap(),
            zone: Zone(100_002),
            route_table: table().id,
            created_at: CREATED,
        },
        vpc: own_vpc(),
        route_table: table(),
        hosts: 0,
    }
}

fn peering(state: PeeringState) -> PeeringView {
    let accepter = vpc("sh_vpc_20", "vpc-kx49lmyv", "10.1.0.0/16");
    PeeringView {
        viewer: Uin(100_000_000_001),
        peering: Arc::new(PeeringConnection {
            requester_tags: model::Tags::default(),
            accepter_tags: model::Tags::default(),
            id: "pcx-dt8c7fa0".parse().unwrap(),
            name: Name::new("demo").unwrap(),
            requester: PeeringEnd::from(&own_vpc()),
            accepter: PeeringEnd::from(&accepter),
            bandwidth: Bandwidth::from_mbps(20),
            charge_type: ChargeType::default(),
            qos_level: QosLevel::default(),
            vni: Vni::FIRST,
            state,
            task: None,
            created_at: CREATED,
        }),
        requester_app_id: AppId(1_351_000_042),
        accepter_app_id: AppId(1_351_000_043),
    }
}

fn task(state: TaskState) -> Outcome {
    Outcome::TaskResult(Task {
        id: TaskId(112_245),
        owner: Uin(1),
        reply: model::command::Reply::Task,
        kind: TaskKind::Create,
        peering: "pcx-6gw5wvmk".parse().unwrap(),
        state,
        created_at: CREATED,
        deadline: CREATED,
    })
}

fn check(outcome: &Outcome, payload: &Value) {
    let mut expected = json!({"code": 0, "message": "", "codeDesc": "Success"});
    let fields = payload.as_object().unwrap().clone();
    expected.as_object_mut().unwrap().extend(fields);
    let rendered: Value = serde_json::from_slice(&render(outcome)).unwrap();
    assert_eq!(
        rendered,
        expected,
        "\n{}",
        String::from_utf8_lossy(&render(outcome))
    );
}

#[test]
fn success_is_exactly_this_text() {
    assert_eq!(
        render(&Outcome::Done),
        br#"{"code":0,"message":"","codeDesc":"Success"}"#
    );
    assert_eq!(
        render(&Outcome::TaskStarted(TaskId(112_245))),
        br#"{"code":0,"message":"","codeDesc":"Success","taskId":112245}"#
    );
    assert_eq!(
        render(&Outcome::PeeringCreated("pcx-6gw5wvmk".parse().unwrap())),
        br#"{"code":0,"message":"","codeDesc":"Success","peeringConnectionId":"pcx-6gw5wvmk"}"#
    );
}

#[test]
fn a_refusal_has_an_integer_code_and_no_payload() {
    let rendered = render_error(&ApiError::missing("vpcId"));
    assert_eq!(
        rendered,
        br#"{"code":4000,"message":"parameter [vpcId] is missing","codeDesc":"InvalidParameter"}"#
    );
}

#[test]
fn a_task_tells_its_state_and_the_peering_when_it_succeeded() {
    let at = CREATED;
    check(
        &task(TaskState::Running),
        &json!({"data": {"status": 2, "output": {"errorCode": 0, "errorMsg": ""}}}),
    );
    check(
        &task(TaskState::Succeeded { at }),
        &json!({"data": {"status": 0, "output":
            {"errorCode": 0, "errorMsg": "", "uniqVpcPeerId": "pcx-6gw5wvmk"}}}),
    );
    let message = "region sh has no gateway".to_owned();
    check(
        &task(TaskState::Failed { at, message }),
        &json!({"data": {"status": 1, "output":
            {"errorCode": 5100, "errorMsg": "region sh has no gateway"}}}),
    );
}

#[test]
fn a_peering_has_the_types_that_clients_decode() {
    let page = |items: Vec<PeeringView>| {
        Outcome::Peerings(Page {
            total: items.len() as u64,
            items,
        })
    };
    check(
        &page(vec![peering(PeeringState::Active { since: CREATED })]),
        &json!({"totalCount": 1, "data": [{
            "vpcId": "gz_vpc_245", "unVpcId": "vpc-8e0ypm3z", "uniqVpcId": "vpc-8e0ypm3z",
            "peerVpcId": "sh_vpc_20", "unPeerVpcId": "vpc-kx49lmyv", "uniqPeerVpcId": "vpc-kx49lmyv",
            "appId": "1351000042", "peerAppId": "1351000043",
            "peeringConnectionId": "pcx-dt8c7fa0", "peeringConnectionName": "demo",
            "state": 1, "createTime": "2016-01-06 20:56:07", "uin": 909_619_400, "peerUin": 909_619_400,
            "region": "gz", "peerRegion": "sh", "bandwidth": 20, "type": 1,
        }]}),
    );
    check(&page(vec![]), &json!({"totalCount": 0, "data": []}));
}

#[test]
fn kept_rows_are_those_that_would_be_rendered() {
    let rows = Rows::default();
    let check = |items: Vec<PeeringView>| {
        let outcome = Outcome::Peerings(Page { total: 77, items });
        // The first time they are rendered, the second time they are there.
        for _ in 0..2 {
            assert_eq!(rows.render(&outcome), render(&outcome));
        }
    };
    let active = peering(PeeringState::Active { since: CREATED });
    let other = PeeringView {
        peering: Arc::new(PeeringConnection {
            id: "pcx-other000".parse().unwrap(),
            ..PeeringConnection::clone(&active.peering)
        }),
        ..active.clone()
    };
    check(vec![]);
    check(vec![active.clone()]);
    check(vec![other, active.clone()]);
    // The same id with other contents.
    let since = CREATED;
    check(vec![peering(PeeringState::Rejected { since })]);
    check(vec![PeeringView {
        requester_app_id: AppId(1),
        ..active.clone()
    }]);
    check(vec![PeeringView {
        accepter_app_id: AppId(2),
        ..active
    }]);
    let done = Outcome::Done;
    assert_eq!(rows.render(&done), render(&done));
}

#[test]
fn states_have_their_documented_numbers() {
    let since = CREATED;
    for (state, number) in [
        (PeeringState::Pending { expires_at: since }, 0),
        (PeeringState::Active { since }, 1),
        (PeeringState::Expired { since }, 2),
        (PeeringState::Rejected { since }, 3),
        (
            PeeringState::Deleted {
                by: Side::Requester,
                since,
            },
            4,
        ),
        (
            PeeringState::Failed {
                since,
                reason: String::new(),
            },
            5,
        ),
        (PeeringState::Isolated { since }, 6),
    ] {
        assert_eq!(state_number(&state), number);
    }
}

fn created_subnet() -> Value {
    json!({
        "subnetId": "gz_subnet_18748", "unSubnetId": "subnet-3lzrkspo", "routeTableId": "gz_rtb_359",
        "unRouteTableId": "rtb-85alck92", "subnetName": "tttt", "cidrBlock": "10.0.200.0/24",
        "zoneId": 100_002, "zone": "ap-guangzhou-2",
    })
}

#[test]
fn a_new_vpc_has_both_ids_and_its_default_table() {
    let outcome = |subnets| Outcome::VpcCreated {
        vpc: own_vpc(),
        subnets,
        route_table: table(),
    };
    let bare = json!({
        "vpcId": "gz_vpc_245", "unVpcId": "vpc-8e0ypm3z", "uniqVpcId": "vpc-8e0ypm3z",
        "vpcCreateTime": "2016-01-06 20:56:07",
        "routeTableSet": [{"routeTableId": "gz_rtb_359", "unRouteTableId": "rtb-85alck92",
            "routeTableType": 1, "routeTableName": "default"}],
    });
    check(&outcome(vec![]), &bare);
    let mut with_subnet = bare;
    with_subnet["subnetSet"] = json!([created_subnet()]);
    check(&outcome(vec![subnet()]), &with_subnet);
    check(
        &Outcome::SubnetsCreated(vec![subnet()]),
        &json!({"subnetSet": [created_subnet()]}),
    );
}

#[test]
fn a_listed_vpc_counts_what_belongs_to_it() {
    let items = vec![VpcView {
        assistant_cidrs: Vec::new(),
        vpc: own_vpc(),
        subnets: 2,
        route_tables: 1,
        peerings: 5,
        hosts: 0,
    }];
    check(
        &Outcome::Vpcs(Page { total: 7, items }),
        &json!({"totalCount": 7, "data": [{
            "vpcId": "gz_vpc_245", "unVpcId": "vpc-8e0ypm3z", "uniqVpcId": "vpc-8e0ypm3z",
            "vpcName": "a.b", "cidrBlock": "10.0.0.0/16", "subnetNum": 2, "routeTableNum": 1,
            "vpnGwNum": 0, "vpcPeerNum": 5, "vpcDeviceNum": 0, "classicLinkNum": 0, "vpgNum": 0,
            "natNum": 0, "sflowNum": 0, "isDefault": false, "isMulticast": false,
            "createTime": "2016-01-06 20:56:07",
        }]}),
    );
}

#[test]
fn a_listed_subnet_counts_its_addresses() {
    let mut expected = created_subnet();
    let more = json!({
        "vpcId": "gz_vpc_245", "unVpcId": "vpc-8e0ypm3z", "uniqVpcId": "vpc-8e0ypm3z",
        "vpcName": "a.b", "vpcCidrBlock": "10.0.0.0/16", "subnetCreateTime": "2016-01-06 20:56:07",
        "routeTableName": "default", "vpcDevices": 0, "networkAclId": 0, "totalIPNum": 253,
        "availableIPNum": 253, "broadcast": false, "isDefault": false,
    });
    let more = more.as_object().unwrap().clone();
    expected.as_object_mut().unwrap().extend(more);
    let items = vec![subnet()];
    check(
        &Outcome::Subnets(Page { total: 1, items }),
        &json!({"totalCount": 1, "data": [expected]}),
    );
}

#[test]
fn a_listed_route_table_starts_with_the_local_route_under_both_names() {
    let routes = json!([
        {"destinationCidrBlock": "Local", "nextType": 2, "nextHub": "Local"},
        {"destinationCidrBlock": "10.1.0.0/16", "nextType": 4, "nextHub": "pcx-6gw5wvmk",
            "unNextHub": "pcx-6gw5wvmk"},
    ]);
    let items = vec![RouteTableView {
        route_table: table(),
        vpc: own_vpc(),
        subnets: vec![subnet().subnet.id; 3],
    }];
    check(
        &Outcome::RouteTables(Page { total: 1, items }),
        &json!({"totalCount": 1, "data": [{
            "vpcId": "gz_vpc_245", "unVpcId": "vpc-8e0ypm3z", "uniqVpcId": "vpc-8e0ypm3z",
            "vpcName": "a.b", "vpcCidrBlock": "10.0.0.0/16", "routeTableId": "gz_rtb_359",
            "unRouteTableId": "rtb-85alck92", "routeTableName": "default", "routeTableType": 1,
            "routeTableCreateTime": "2016-01-06 20:56:07", "subnetNum": 3,
            "routeSet": routes, "routeTableSet": routes,
        }]}),
    );
}

#[test]
fn what_was_measured_has_the_documented_shape() {
    let query = MonitorQuery {
        region: model::Region::Guangzhou,
        peering: "pcx-6gw5wvmk".parse().unwrap(),
        metric: Metric::OutBandwidth,
        metric_name: "outbandwidth",
        period: Period::FiveMinutes,
        start: Some(CREATED),
        end: Some(CREATED),
        utc_offset_millis: 8 * 3_600_000,
    };
    let window = query.window(CREATED).unwrap();
    let sent = Counts {
        sent_bytes: 300 * 1_000_000 / 8 / 4,
        ..Counts::default()
    };
    let data = MonitorData {
        query,
        window,
        bandwidth: Bandwidth::from_mbps(20),
        periods: vec![sent, Counts::default()],
    };
    let expected = json!({
        "metricName": "outbandwidth",
        "startTime": "2016-01-06 20:56:07",
        "endTime": "2016-01-06 20:56:07",
        "period": 300,
        "dataPoints": [0.25, 0.0],
    });
    check(&Outcome::MonitorData(data), &expected);
}

#[test]
fn times_are_local_to_the_vendor_and_never_panic() {
    for (millis, text) in [
        (0, "1970-01-01 08:00:00"),
        (-1, "1970-01-01 08:00:00"),
        (951_782_399_999, "2000-02-29 07:59:59"),
        (i64::MIN, "1970-01-01 08:00:00"),
        (i64::MAX, "9999-12-31 23:59:59"),
    ] {
        assert_eq!(local_time(UnixMillis(millis)), text);
    }
}

#[test]
fn one_subnet_is_answered_without_a_list_around_it() {
    let mut expected = created_subnet();
    let more = json!({
        "subnetCreateTime": "2016-01-06 20:56:07", "totalIPNum": 253, "availableIPNum": 251,
    });
    let more = more.as_object().unwrap().clone();
    expected.as_object_mut().unwrap().extend(more);
    let hosts = 2;
    check(
        &Outcome::Subnet(Box::new(SubnetView { hosts, ..subnet() })),
        &expected,
    );
}

#[test]
fn a_new_route_table_repeats_its_routes_as_they_were_given() {
    let routes = vec![RouteSpec {
        destination: "121.0.0.0/16".parse().unwrap(),
        given_destination: "121.0.23.51/16".to_owned(),
        next_hop: "pcx-6gw5wvmk".to_owned(),
        description: Some("out".to_owned()),
        is_enabled: true,
        is_within_peer: false,
    }];
    check(
        &Outcome::RouteTableCreated {
            route_table: table(),
            routes,
        },
        &json!({
            "routeTableId": "gz_rtb_359", "unRouteTableId": "rtb-85alck92",
            "routeTableSet": [{"destinationCidrBlock": "121.0.23.51/16", "nextType": 4,
                "nextHub": "pcx-6gw5wvmk", "description": "out"}],
        }),
    );
}

#[test]
fn the_older_list_of_vpcs_tells_all_or_one_with_what_it_holds() {
    let view = VpcView {
        assistant_cidrs: Vec::new(),
        vpc: own_vpc(),
        subnets: 1,
        route_tables: 1,
        peerings: 0,
        hosts: 3,
    };
    let vpc = json!({
        "vpcId": "gz_vpc_245", "unVpcId": "vpc-8e0ypm3z", "uniqVpcId": "vpc-8e0ypm3z",
        "vpcName": "a.b", "cidrBlock": "10.0.0.0/16", "subnetNum": 1, "routeTableNum": 1,
        "vpnGwNum": 0, "vpcPeerNum": 0, "vpcDeviceNum": 3, "classicLinkNum": 0, "vpgNum": 0,
        "natNum": 0, "sflowNum": 0, "isDefault": false, "isMulticast": false,
        "createTime": "2016-01-06 20:56:07", "vpcCreateTime": "2016-01-06 20:56:07",
    });
    check(
        &Outcome::AllVpcs(vec![view.clone()]),
        &json!({"totalCount": 1, "vpcSet": [vpc]}),
    );
    let mut subnet_body = created_subnet();
    let more = json!({
        "subnetCreateTime": "2016-01-06 20:56:07", "totalIPNum": 253, "availableIPNum": 253,
    });
    let more = more.as_object().unwrap().clone();
    subnet_body.as_object_mut().unwrap().extend(more);
    let mut expected = vpc;
    let sets = json!({
        "subnetSet": [subnet_body],
        "routeTableSet": [{"routeTableId": "gz_rtb_359", "unRouteTableId": "rtb-85alck92",
            "routeTableType": 1, "routeTableName": "default"}],
    });
    let sets = sets.as_object().unwrap().clone();
    expected.as_object_mut().unwrap().extend(sets);
    let detail = VpcDetail {
        vpc: view,
        subnets: vec![subnet()],
        route_tables: vec![RouteTableView {
            route_table: table(),
            vpc: own_vpc(),
            subnets: vec![subnet().subnet.id; 1],
        }],
    };
    check(&Outcome::Vpc(Box::new(detail)), &expected);
}

#[test]
fn quotas_are_keyed_by_the_numbers_that_were_asked_for() {
    let quotas = vec![
        (QuotaKind::Peerings, 10),
        (QuotaKind::Vpcs, 5),
        (QuotaKind::Nothing(15), 0),
    ];
    check(
        &Outcome::Quotas(quotas),
        &json!({"data": {"limit": {"0": 5, "15": 0, "20": 10}}}),
    );
}

#[test]
fn the_head_of_an_answer_can_be_read_back() {
    let started = AnswerHead::read(&render(&Outcome::TaskStarted(TaskId(112_245))));
    let expected = AnswerHead {
        code: 0,
        code_desc: "Success".to_owned(),
        message: String::new(),
        task_id: Some(112_245),
    };
    assert_eq!(started, Some(expected));
    let refused = AnswerHead::read(&render_error(&ApiError::Replay)).unwrap();
    assert_eq!((refused.code, refused.task_id), (4500, None));
    assert_eq!(refused.code_desc, "InvalidRequest.ReplayAttack");
    assert_eq!(refused.message, ApiError::Replay.to_string());
    assert_eq!(AnswerHead::read(b"{}"), None);
}
