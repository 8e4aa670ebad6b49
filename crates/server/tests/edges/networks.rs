//! VPCs, subnets, route tables and quotas as clients see them.

use model::Region;
use serde_json::{Value, json};
use server::Dataplane;

use crate::bed::{Bed, eventually, first, second};
use crate::double::Claims;

const EMPTY: &str = r#"{"code":0,"message":"","codeDesc":"Success"}"#;

impl Bed {
    async fn done(&self, action: &str, parameters: &[(&str, &str)]) {
        let answer = self.call("gz", action, parameters).await;
        let empty: Value = serde_json::from_str(EMPTY).unwrap();
        assert_eq!(answer, empty, "{action}");
    }

    /// Calls and expects the refusal with this `codeDesc`.
    async fn not_done(&self, action: &str, parameters: &[(&str, &str)], code_desc: &str) {
        let now = self.clock_secs();
        let client = self.client();
        let answer = client.call(&first(), now, "gz", action, parameters).await;
        assert_eq!(
            (&answer["code"], &answer["codeDesc"]),
            (&json!(4000), &json!(code_desc)),
            "{action}: {answer}"
        );
    }

    async fn subnet(&self, vpc: &str, cidr: &str, name: &str) -> Value {
        let parameters = [
            ("vpcId", vpc),
            ("subnetSet.0.subnetName", name),
            ("subnetSet.0.cidrBlock", cidr),
            ("subnetSet.0.zoneId", "100002"),
        ];
        self.call("gz", "CreateSubnet", &parameters).await["subnetSet"][0].clone()
    }

    async fn active_peering(&self) -> String {
        let parameters = [
            ("vpcId", "gz_vpc_226"),
            ("peerVpcId", "sh_vpc_7"),
            ("peerUin", "2407912486"),
            ("peeringConnectionName", "test"),
            ("peerRegion", "sh"),
            ("bandwidth", "20"),
        ];
        let answer = self
            .call("gz", "CreateVpcPeeringConnectionEx", &parameters)
            .await;
        let task = answer["taskId"].as_u64().unwrap();
        self.end_of(task).await.unwrap();
        let listed = self.call("gz", "DescribeVpcPeeringConnections", &[]).await;
        let id = &listed["data"][0]["peeringConnectionId"];
        id.as_str().unwrap().to_owned()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vpc_is_renamed_shown_and_deleted() {
    let bed = Bed::start(Dataplane::None).await;
    bed.done(
        "ModifyVpcAttribute",
        &[("vpcId", "gz_vpc_226"), ("vpcName", "renamed")],
    )
    .await;
    let subnet = bed.subnet("gz_vpc_226", "10.226.1.0/24", "web").await;
    let shown = bed
        .call("ap-guangzhou", "DescribeVpcs", &[("vpcId", "gz_vpc_226")])
        .await;
    assert_eq!(shown["vpcName"], "renamed");
    assert_eq!(shown["subnetSet"][0]["subnetId"], subnet["subnetId"]);
    assert_eq!(shown["routeTableSet"][0]["routeTableType"], 1);
    let all = bed.call("gz", "DescribeVpcs", &[]).await;
    let mut names: Vec<&str> = all["vpcSet"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vpc| text(&vpc["vpcName"]))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["data", "renamed"]);

    let peering = bed.active_peering().await;
    let vpc = [("vpcId", "gz_vpc_226")];
    bed.not_done("DeleteVpc", &vpc, "InvalidVpc.CannotDelete")
        .await;
    let parameters = [("peeringConnectionId", &*peering)];
    let answer = bed
        .call("gz", "DeleteVpcPeeringConnectionEx", &parameters)
        .await;
    bed.end_of(answer["taskId"].as_u64().unwrap())
        .await
        .unwrap();
    bed.done("DeleteVpc", &vpc).await;
    bed.not_done("DeleteVpc", &vpc, "InvalidVpc.NotFound").await;
    let parameters = [("vpcId", "gz_vpc_226")];
    bed.not_done("DescribeVpcs", &parameters, "InvalidVpc.NotFound")
        .await;
    // A seed makes it again only when it has to: the account has others.
    let listed = bed.call("gz", "DescribeVpcEx", &[]).await;
    assert_eq!(listed["totalCount"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_somebody_elses_is_not_there() {
    let bed = Bed::start(Dataplane::None).await;
    let parameters = [("vpcId", "sh_vpc_8"), ("vpcName", "mine")];
    for action in ["ModifyVpcAttribute", "DeleteVpc", "DescribeVpcs"] {
        bed.not_done(action, &parameters, "InvalidVpc.NotFound")
            .await;
    }
    let theirs = bed
        .call_as(&second(), "sh", "DescribeVpcEx", &[("vpcId", "sh_vpc_8")])
        .await;
    assert_eq!(theirs["data"][0]["vpcName"], "theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_is_renamed_shown_and_deleted() {
    let bed = Bed::start(Dataplane::None).await;
    let one = bed.subnet("gz_vpc_226", "10.226.1.0/24", "one").await;
    bed.subnet("gz_vpc_226", "10.226.2.0/24", "two").await;
    let id = text(&one["unSubnetId"]);
    let rename = |name| {
        [
            ("vpcId", "gz_vpc_226"),
            ("subnetId", id),
            ("subnetName", name),
        ]
    };
    bed.done("ModifySubnetAttribute", &rename("web")).await;
    for (name, code_desc) in [("two", "InvalidSubnetName"), ("", "InvalidSubnetName")] {
        bed.not_done("ModifySubnetAttribute", &rename(name), code_desc)
            .await;
    }
    let parameters = [("unvpcid", "gz_vpc_226"), ("subnetId", id)];
    let shown = bed.call("gz", "DescribeSubnet", &parameters).await;
    assert_eq!(shown["subnetName"], "web");
    assert_eq!(
        (&shown["totalIPNum"], &shown["zoneId"]),
        (&json!(253), &json!(100_002))
    );
    let parameters = [("vpcId", "gz_vpc_89"), ("subnetId", id)];
    bed.not_done("DeleteSubnet", &parameters, "InvalidSubnet.NotFound")
        .await;
    let parameters = [("vpcId", "gz_vpc_226"), ("subnetId", id)];
    bed.done("DeleteSubnet", &parameters).await;
    bed.not_done("DescribeSubnet", &parameters, "InvalidSubnet.NotFound")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_table_lives_from_its_creation_to_its_deletion() {
    let bed = Bed::start(Dataplane::None).await;
    let peering = bed.active_peering().await;
    let subnet = bed.subnet("gz_vpc_226", "10.226.1.0/24", "web").await;
    let default = text(&subnet["unRouteTableId"]);
    let created = bed
        .call(
            "gz",
            "CreateRouteTable",
            &[
                ("vpcId", "gz_vpc_226"),
                ("routeTableName", "t1"),
                ("routeSet.0.destinationCidrBlock", "10.7.3.4/16"),
                ("routeSet.0.nextType", "4"),
                ("routeSet.0.nextHub", &peering),
                ("routeSet.0.description", "far"),
            ],
        )
        .await;
    let id = text(&created["unRouteTableId"]);
    let echo = json!([{"destinationCidrBlock": "10.7.3.4/16", "nextType": 4, "nextHub": peering,
        "description": "far"}]);
    assert_eq!(created["routeTableSet"], echo);

    let table = [("vpcId", "gz_vpc_226"), ("routeTableId", id)];
    let of_subnet = |table| {
        [
            ("vpcId", "gz_vpc_226"),
            ("routeTableId", table),
            ("subnetId", text(&subnet["subnetId"])),
        ]
    };
    bed.done("AssociateRouteTable", &of_subnet(id)).await;
    let listed = bed.call("gz", "DescribeRouteTable", &table).await;
    let row = &listed["data"][0];
    assert_eq!(
        (&row["subnetNum"], &row["routeTableType"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(row["routeSet"][1]["destinationCidrBlock"], "10.7.0.0/16");
    assert_eq!(row["routeSet"][1]["description"], "far");
    bed.not_done(
        "DeleteRouteTable",
        &table,
        "InvalidRouteTableId.CannotDelete",
    )
    .await;

    let [vpc, route_table] = table;
    let replace = [
        vpc,
        route_table,
        ("routeTableName", "t2"),
        ("routeSet.0.destinationCidrBlock", "10.7.9.0/24"),
        ("routeSet.0.nextType", "4"),
        ("routeSet.0.nextHub", &peering),
    ];
    bed.done("ModifyRouteTableAttribute", &replace).await;
    let listed = bed.call("gz", "DescribeRouteTable", &table).await;
    let row = &listed["data"][0];
    assert_eq!(row["routeTableName"], "t2");
    let routes = row["routeTableSet"].as_array().unwrap();
    assert_eq!(routes.len(), 2, "Local and the new one: {row}");
    assert_eq!(routes[1]["destinationCidrBlock"], "10.7.9.0/24");

    bed.done("AssociateRouteTable", &of_subnet(default)).await;
    bed.done("DeleteRouteTable", &table).await;
    bed.not_done("DeleteRouteTable", &table, "InvalidRouteTableId.NotFound")
        .await;
    let parameters = [("vpcId", "gz_vpc_226"), ("routeTableId", default)];
    bed.not_done(
        "DeleteRouteTable",
        &parameters,
        "InvalidRouteTableId.CannotDelete",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_told_by_number() {
    let bed = Bed::start(Dataplane::None).await;
    let parameters = [("type.0", "20"), ("type.1", "0"), ("type.2", "55")];
    let answer = bed.call("gz", "DescribeVpcLimit", &parameters).await;
    assert_eq!(
        answer["data"],
        json!({"limit": {"0": 5, "20": 10, "55": 0}})
    );
    bed.not_done("DescribeVpcLimit", &[("type.0", "x")], "InvalidParameter")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_those_that_the_gateway_reports() {
    let bed = Bed::start(Dataplane::Gateways).await;
    let subnet = bed.subnet("gz_vpc_226", "10.226.1.0/24", "web").await;
    let id = text(&subnet["unSubnetId"]);
    let gateway = bed.gateway(Region::Guangzhou).await;
    let claim = |hosts| {
        gateway.claims.send_replace(Claims {
            hosts: [(id.parse().unwrap(), hosts)].into(),
            ..Claims::GOOD
        })
    };
    claim(2);
    let available = async || {
        let listed = bed.call("gz", "DescribeSubnetEx", &[]).await;
        let row = &listed["data"][0];
        (row["vpcDevices"].as_u64(), row["availableIPNum"].as_u64())
    };
    eventually("the hosts are known", async || {
        available().await == (Some(2), Some(251))
    })
    .await;
    let parameters = [("vpcId", "gz_vpc_226"), ("subnetId", id)];
    bed.not_done("DeleteSubnet", &parameters, "InvalidSubnet.CannotDelete")
        .await;
    let vpc = [("vpcId", "gz_vpc_226")];
    bed.not_done("DeleteVpc", &vpc, "InvalidVpc.CannotDelete")
        .await;
    claim(0);
    eventually("they are gone", async || {
        available().await == (Some(0), Some(253))
    })
    .await;
    bed.done("DeleteSubnet", &parameters).await;
}
