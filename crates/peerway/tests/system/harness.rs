//! What the system tests share: a lab with one account and a VPC in each of two regions.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use kernel::netns::Namespace;
use model::Region;
use peerway::lab::{HostSpec, Lab, LabOptions};
use peerway::tenant::{Network, NetworkSpec, Tenant};
use peerway::traffic::{Bulk, BulkResult, Ping, PingResult};

pub const GZ_HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 10);
pub const SH_HOST: Ipv4Addr = Ipv4Addr::new(10, 2, 1, 10);

/// Two regions, one account, a VPC and a host in each region, not peered yet.
pub struct TwoRegions {
    pub lab: Lab,
    pub tenant: Tenant,
    pub gz: Network,
    pub sh: Network,
}

impl TwoRegions {
    pub async fn start(server_args: &[&str]) -> TwoRegions {
        let mut lab = two_gateways(server_args).await;
        let tenant = lab.add_account("tenant", None).await.unwrap();
        let (gz, sh) = add_networks(&mut lab, &tenant, "a").await;
        TwoRegions {
            lab,
            tenant,
            gz,
            sh,
        }
    }

    /// Peers the two VPCs with routes on both sides and waits for the first packet.
    pub async fn peer(&self, mbps: u32) -> String {
        let peering = self
            .tenant
            .peer_own(&self.gz, &self.sh, mbps)
            .await
            .unwrap();
        await_crossing(self.lab.host("a-gz"), SH_HOST).await;
        peering
    }
}

pub async fn two_gateways(server_args: &[&str]) -> Lab {
    peerway::lab::check_privileges().expect("run as root, or leave the tests named root_ out");
    let options = LabOptions {
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_peerway"))),
        server_args: server_args.iter().map(|text| (*text).to_owned()).collect(),
        ..LabOptions::default()
    };
    let mut lab = Lab::start(options).await.unwrap();
    lab.add_gateway(Region::Guangzhou).await.unwrap();
    lab.add_gateway(Region::Shanghai).await.unwrap();
    lab
}

/// A VPC in each region with the usual addresses; hosts `<prefix>-gz` and `<prefix>-sh`.
pub async fn add_networks(lab: &mut Lab, tenant: &Tenant, prefix: &str) -> (Network, Network) {
    let spec = |region, host| NetworkSpec {
        region,
        name: "test",
        host,
    };
    let gz = tenant.create_network(spec("gz", GZ_HOST)).await.unwrap();
    let sh = tenant.create_network(spec("sh", SH_HOST)).await.unwrap();
    for (network, address) in [(&gz, GZ_HOST), (&sh, SH_HOST)] {
        let name = format!("{prefix}-{}", network.region);
        lab.add_host(HostSpec {
            name: &name,
            network,
            address,
        })
        .await
        .unwrap();
    }
    (gz, sh)
}

pub fn ping(from: &Namespace, to: Ipv4Addr, count: u32) -> PingResult {
    Ping {
        count,
        ..Ping::to(to)
    }
    .run(from)
    .unwrap()
}

/// Waits until an echo request is answered; panics after 5 s.
pub async fn await_crossing(from: &Namespace, to: Ipv4Addr) {
    let ping = Ping {
        count: 1,
        timeout: Duration::from_millis(200),
        ..Ping::to(to)
    };
    peerway::lab::wait_for("the first crossing", Duration::from_secs(5), || async {
        !ping.run(from).unwrap().rtts.is_empty()
    })
    .await
    .unwrap();
}

pub fn bulk(from: &Namespace, to: &Namespace, address: Ipv4Addr, streams: u32) -> BulkResult {
    Bulk {
        from,
        to,
        address,
        warm_up: Duration::from_millis(1500),
        duration: Duration::from_secs(4),
        streams,
        congestion_control: None,
    }
    .run()
    .unwrap()
}

/// Runs a program in a namespace and returns its output; panics when it fails.
pub fn run_in(namespace: &Namespace, command: &[&str]) -> String {
    let output = std::process::Command::new("ip")
        .args(["netns", "exec", namespace.name()])
        .args(command)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
