//! Hosts in assistant blocks are hosts of their VPC like any others.

use std::net::Ipv4Addr;

use peerway::lab::HostSpec;
use peerway::tenant::{Network, text};

use crate::harness::{GZ_HOST, SH_HOST, TwoRegions, await_crossing, ping};

const SH: &str = "ap-shanghai";
const BLOCK: &str = "172.16.0.0/16";
const HOST: Ipv4Addr = Ipv4Addr::new(172, 16, 1, 10);

/// The VPC of sh gets an assistant block with a subnet and a host in it.
async fn extend(site: &mut TwoRegions) {
    let client = &site.tenant.client;
    let block = [("VpcId", &*site.sh.vpc), ("CidrBlocks.0", BLOCK)];
    let added = client.call_v3(SH, "CreateAssistantCidr", &block).await;
    assert_eq!(added.unwrap()["AssistantCidrSet"][0]["CidrBlock"], BLOCK);
    let subnet = [
        ("VpcId", &*site.sh.vpc),
        ("SubnetName", "assistant"),
        ("CidrBlock", "172.16.1.0/24"),
        ("Zone", "ap-shanghai-1"),
    ];
    let made = client.call_v3(SH, "CreateSubnet", &subnet).await.unwrap();
    let network = Network {
        subnet: text(&made["Subnet"], "CidrBlock").unwrap(),
        ..site.sh.clone()
    };
    let host = HostSpec {
        name: "assistant",
        network: &network,
        address: HOST,
    };
    site.lab.add_host(host).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn root_packets_cross_to_and_from_an_assistant_block() {
    let mut site = TwoRegions::start(&[]).await;
    let peering = site.peer(20).await;
    extend(&mut site).await;
    let (gz, sh, assistant) = (
        site.lab.host("a-gz"),
        site.lab.host("a-sh"),
        site.lab.host("assistant"),
    );
    // Inside the VPC it is reached like any subnet, and needs no peering.
    await_crossing(sh, HOST).await;
    assert!(ping(assistant, SH_HOST, 3).is_complete());
    // The other VPC has no route to it yet, and nothing else leads there.
    assert!(ping(gz, HOST, 1).rtts.is_empty());
    let tenant = &site.tenant;
    tenant
        .create_route(&site.gz, BLOCK, &peering)
        .await
        .unwrap();
    await_crossing(gz, HOST).await;
    assert!(ping(gz, HOST, 5).is_complete());
    assert!(ping(assistant, GZ_HOST, 5).is_complete());
    assert!(ping(gz, SH_HOST, 3).is_complete());
    // What is in no subnet of the block does not leave the VPC.
    assert!(ping(sh, Ipv4Addr::new(172, 16, 9, 9), 1).rtts.is_empty());
}
