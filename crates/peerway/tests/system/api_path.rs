//! From the API to the packets: tasks end from what the gateways report, and failures say why.

use std::time::{Duration, Instant};

use model::Region;

use crate::harness::{GZ_HOST, SH_HOST, TwoRegions, await_crossing, ping, run_in};

#[tokio::test(flavor = "multi_thread")]
async fn root_a_create_fails_in_time_and_names_the_pair_when_the_underlay_drops_the_tunnel() {
    let site = TwoRegions::start(&["--task-timeout-secs", "4"]).await;
    let gateway = site.lab.gateway_namespace(Region::Guangzhou);
    for command in [
        "add table inet broken",
        "add chain inet broken in { type filter hook input priority 0 ; }",
        "add rule inet broken in udp dport 51820 drop",
    ] {
        run_in(gateway, &["nft", command]);
    }
    let started = Instant::now();
    let answer = site
        .tenant
        .create_peering(&site.gz, &site.sh, &site.tenant.uin, 20)
        .await
        .unwrap();
    let error = site
        .tenant
        .await_task("gz", &answer)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "took {:?}",
        started.elapsed()
    );
    assert!(
        error.contains("gz") && error.contains("sh") && error.contains("gw-"),
        "{error}"
    );
    let list = site
        .tenant
        .client
        .call("gz", "DescribeVpcPeeringConnections", &[])
        .await
        .unwrap();
    assert_eq!(list["totalCount"], 0, "the peering is gone again: {list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_create_for_a_region_that_never_had_a_gateway_fails_at_once() {
    let site = TwoRegions::start(&[]).await;
    let spec = peerway::tenant::NetworkSpec {
        region: "bj",
        name: "far",
        host: "10.9.1.10".parse().unwrap(),
    };
    let far = site.tenant.create_network(spec).await.unwrap();
    let started = Instant::now();
    let answer = site
        .tenant
        .create_peering(&site.gz, &far, &site.tenant.uin, 20)
        .await
        .unwrap();
    let error = site
        .tenant
        .await_task("gz", &answer)
        .await
        .unwrap_err()
        .to_string();
    assert!(started.elapsed() < Duration::from_secs(2));
    assert!(error.contains("bj"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn root_only_the_subnet_with_a_route_reaches_the_peer() {
    let mut site = TwoRegions::start(&[]).await;
    let parameters = [
        ("vpcId", site.gz.vpc.as_str()),
        ("subnetSet.0.subnetName", "second"),
        ("subnetSet.0.cidrBlock", "10.1.2.0/24"),
        ("subnetSet.0.zoneId", "100001"),
    ];
    site.tenant
        .client
        .call("gz", "CreateSubnet", &parameters)
        .await
        .unwrap();
    let mut second = site.gz.clone();
    second.subnet = "10.1.2.0/24".to_owned();
    let address = "10.1.2.10".parse().unwrap();
    let host = peerway::lab::HostSpec {
        name: "second",
        network: &second,
        address,
    };
    site.lab.add_host(host).await.unwrap();

    // Both subnets share the default table, so both reach the peer; a return route for one only
    // leaves the other without an answer.
    let answer = site
        .tenant
        .create_peering(&site.gz, &site.sh, &site.tenant.uin, 20)
        .await
        .unwrap();
    let (output, _) = site.tenant.await_task("gz", &answer).await.unwrap();
    let peering = output["uniqVpcPeerId"].as_str().unwrap().to_owned();
    site.tenant
        .create_route(&site.gz, &site.sh.cidr, &peering)
        .await
        .unwrap();
    site.tenant
        .create_route(&site.sh, "10.1.1.0/24", &peering)
        .await
        .unwrap();
    await_crossing(site.lab.host("a-gz"), SH_HOST).await;
    assert!(ping(site.lab.host("a-gz"), SH_HOST, 3).is_complete());
    assert!(ping(site.lab.host("second"), SH_HOST, 1).rtts.is_empty());
    // The kernel routes between the subnets all the while.
    assert!(ping(site.lab.host("second"), GZ_HOST, 3).is_complete());
}

#[tokio::test(flavor = "multi_thread")]
async fn root_delete_stops_traffic_and_removes_routes_on_both_sides() {
    let site = TwoRegions::start(&[]).await;
    let peering = site.peer(20).await;
    site.tenant
        .act("gz", "DeleteVpcPeeringConnectionEx", &peering, &[])
        .await
        .unwrap();
    assert!(ping(site.lab.host("a-gz"), SH_HOST, 1).rtts.is_empty());
    for network in [&site.gz, &site.sh] {
        let tables = site
            .tenant
            .client
            .call(
                network.region,
                "DescribeRouteTable",
                &[("vpcId", network.vpc.as_str())],
            )
            .await
            .unwrap();
        assert_eq!(
            tables["data"][0]["routeSet"].as_array().unwrap().len(),
            1,
            "{tables}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_second_gateway_for_a_region_is_refused() {
    let site = TwoRegions::start(&[]).await;
    let token = site
        .lab
        .admin()
        .token_create(&server::admin::TokenRequest {
            region: "gz".into(),
            lifetime_secs: None,
        })
        .await
        .unwrap();
    let namespace = site.lab.gateway_namespace(Region::Guangzhou);
    let state = site.lab.path("gateway-second");
    let socket = site.lab.path("second.sock");
    let output = std::process::Command::new("ip")
        .args(["netns", "exec", namespace.name(), "timeout", "20"])
        .arg(env!("CARGO_BIN_EXE_peerway"))
        .args([
            "gateway",
            "run",
            "--listen",
            "0.0.0.0:51999",
            "--join",
            &token.join,
        ])
        .arg("--state-dir")
        .arg(&state)
        .arg("--control-socket")
        .arg(&socket)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("gz") && text.contains("gw-"), "{text}");
}

/// Whether a single echo request is answered at once.
fn crosses(site: &TwoRegions) -> bool {
    let ping = peerway::traffic::Ping {
        count: 1,
        timeout: Duration::from_millis(100),
        ..peerway::traffic::Ping::to(SH_HOST)
    };
    !ping.run(site.lab.host("a-gz")).unwrap().rtts.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn root_another_table_changes_what_the_hosts_of_a_subnet_reach_within_a_second() {
    let site = TwoRegions::start(&[]).await;
    site.peer(20).await;
    let client = &site.tenant.client;
    let vpc = ("vpcId", site.gz.vpc.as_str());
    let parameters = [vpc, ("routeTableName", "without")];
    let created = client.call("gz", "CreateRouteTable", &parameters).await;
    let created = created.unwrap();
    let without = created["unRouteTableId"].as_str().unwrap();
    let listed = client.call("gz", "DescribeSubnetEx", &[vpc]).await.unwrap();
    let subnet = listed["data"][0]["unSubnetId"].as_str().unwrap();
    for (table, reaches) in [
        (without, false),
        (&*site.gz.route_table, true),
        (without, false),
    ] {
        let parameters = [vpc, ("routeTableId", table), ("subnetId", subnet)];
        let associated = Instant::now();
        client
            .call("gz", "AssociateRouteTable", &parameters)
            .await
            .unwrap();
        while crosses(&site) != reaches {
            assert!(
                associated.elapsed() < Duration::from_secs(1),
                "{table} is not in force"
            );
        }
    }
    // What is attached keeps its subnet and its VPC.
    let parameters = [vpc, ("subnetId", subnet)];
    let refused = client.call("gz", "DeleteSubnet", &parameters).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("InvalidSubnet.CannotDelete"), "{refused}");
}
