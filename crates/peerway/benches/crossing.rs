//! Measures what crosses: one TCP stream through an uncapped peering beside plain kernel routing in
//! the same topology, interleaved in one run; and the two times to the first packet.
//!
//! Needs root. Run with `cargo bench -p peerway --bench crossing`.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use kernel::netns::Namespace;
use model::Region;
use peerway::lab::{HostSpec, Lab, LabOptions, check_privileges, wait_for};
use peerway::tenant::{Network, NetworkSpec, Tenant, text};
use peerway::traffic::{Bulk, Ping};

const GZ_HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 10);
const SH_HOST: Ipv4Addr = Ipv4Addr::new(10, 2, 1, 10);
const ROUNDS: usize = 5;
const FIRST_PACKETS: usize = 50;

fn main() {
    // `cargo test --benches` must not measure.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    check_privileges().expect("benchmarks make namespaces");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run()).unwrap();
}

fn shell(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status().unwrap();
    assert!(status.success(), "{command}");
}

/// host – router – router – host with plain kernel routing, every link a veth pair.
struct Plain {
    tag: String,
}

impl Plain {
    fn build() -> Plain {
        let plain = Plain {
            tag: format!("pwbench-{}", std::process::id()),
        };
        let tag = &plain.tag;
        for (name, _) in plain.names() {
            shell(&format!("ip netns add {name}; ip -n {name} link set lo up"));
        }
        for (index, mtu) in [(0, 1390), (1, 1500), (2, 1390)] {
            let (left, right) = (format!("{tag}-{index}"), format!("{tag}-{}", index + 1));
            shell(&format!(
                "ip -n {left} link add right mtu {mtu} type veth peer name left mtu {mtu} netns {right}
                 ip -n {left} addr add 10.7.{index}.1/24 dev right; ip -n {left} link set right up
                 ip -n {right} addr add 10.7.{index}.2/24 dev left; ip -n {right} link set left up"
            ));
        }
        shell(&format!(
            "ip -n {tag}-0 route add default via 10.7.0.2
             ip -n {tag}-3 route add default via 10.7.2.1
             ip -n {tag}-1 route add 10.7.2.0/24 via 10.7.1.2
             ip -n {tag}-2 route add 10.7.0.0/24 via 10.7.1.1
             for router in 1 2; do
                 ip netns exec {tag}-$router sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward'
             done"
        ));
        wire(&format!("{tag}-1"), "right");
        wire(&format!("{tag}-2"), "left");
        plain
    }

    fn names(&self) -> impl Iterator<Item = (String, usize)> + '_ {
        (0..4).map(|index| (format!("{}-{index}", self.tag), index))
    }

    fn host(&self, index: usize) -> Namespace {
        Namespace::open(&format!("{}-{index}", self.tag)).unwrap()
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        for (name, _) in self.names() {
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}

/// Makes a link carry only frames of its MTU, as a cable does.
fn wire(namespace: &str, link: &str) {
    shell(&format!(
        "ip netns exec {namespace} ethtool -K {link} tso off gso off tx-udp-segmentation off"
    ));
}

fn tcp_mbps(from: &Namespace, to: &Namespace, address: Ipv4Addr) -> f64 {
    Bulk {
        from,
        to,
        address,
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs(4),
        streams: 1,
        congestion_control: Some("cubic"),
    }
    .run()
    .unwrap()
    .ip_mbps()
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * part).ceil() as usize]
}

fn report(what: &str, unit: &str, mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, median, high) = (values[0], quantile(&values, 0.5), values[values.len() - 1]);
    println!(
        "{what}: median {median:.1} {unit}, p99 {:.1}, {low:.1} to {high:.1}, n = {}",
        quantile(&values, 0.99),
        values.len()
    );
    median
}

async fn run() -> anyhow::Result<()> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_peerway"));
    let mut lab = Lab::start(LabOptions {
        program: Some(program),
        ..Default::default()
    })
    .await?;
    lab.add_gateway(Region::Guangzhou).await?;
    lab.add_gateway(Region::Shanghai).await?;
    let tenant = lab.add_account("bench", None).await?;
    let spec = |region, host| NetworkSpec {
        region,
        name: "bench",
        host,
    };
    let gz = tenant.create_network(spec("gz", GZ_HOST)).await?;
    let sh = tenant.create_network(spec("sh", SH_HOST)).await?;
    for (name, network, address) in [("gz-host", &gz, GZ_HOST), ("sh-host", &sh, SH_HOST)] {
        lab.add_host(HostSpec {
            name,
            network,
            address,
        })
        .await?;
    }
    throughput(&lab, &tenant, &gz, &sh).await?;
    route_to_first_packet(&lab, &tenant, &gz, &sh).await?;
    create_to_first_packet(&lab, &tenant, &gz, &sh).await
}

async fn throughput(lab: &Lab, tenant: &Tenant, gz: &Network, sh: &Network) -> anyhow::Result<()> {
    let peering = tenant.peer_own(gz, sh, 0).await?;
    let (from, to) = (lab.host("gz-host"), lab.host("sh-host"));
    first_packet(from).await?;
    for region in [Region::Guangzhou, Region::Shanghai] {
        wire(lab.gateway_namespace(region).name(), "wan");
        wire(lab.switch().name(), &format!("p-{region}"));
    }
    let plain = Plain::build();
    let (plain_from, plain_to) = (plain.host(0), plain.host(3));
    let (mut routed, mut peered) = (Vec::new(), Vec::new());
    tokio::task::block_in_place(|| {
        for _ in 0..ROUNDS {
            routed.push(tcp_mbps(&plain_from, &plain_to, Ipv4Addr::new(10, 7, 2, 2)));
            peered.push(tcp_mbps(from, to, SH_HOST));
        }
    });
    println!("one TCP stream (cubic), underlay of 1500-byte frames, interleaved:");
    let routed = report("  plain kernel routing", "Mbps", routed);
    let peered = report("  encrypted, uncapped peering", "Mbps", peered);
    println!("  ratio {:.3}", peered / routed);
    tenant
        .act("gz", "DeleteVpcPeeringConnectionEx", &peering, &[])
        .await?;
    Ok(())
}

/// Sends an echo request every 2 ms until one is answered.
async fn first_packet(from: &Namespace) -> anyhow::Result<()> {
    let ping = Ping {
        count: 1,
        timeout: Duration::from_millis(2),
        ..Ping::to(SH_HOST)
    };
    tokio::task::block_in_place(|| {
        let started = Instant::now();
        while ping.run(from)?.rtts.is_empty() {
            anyhow::ensure!(
                started.elapsed() < Duration::from_secs(10),
                "nothing crosses"
            );
        }
        Ok(())
    })
}

async fn route_to_first_packet(
    lab: &Lab,
    tenant: &Tenant,
    gz: &Network,
    sh: &Network,
) -> anyhow::Result<()> {
    let peering = tenant.peer_own(gz, sh, 0).await?;
    let from = lab.host("gz-host");
    first_packet(from).await?;
    let mut times = Vec::new();
    for _ in 0..FIRST_PACKETS {
        let parameters = [
            ("vpcId", gz.vpc.as_str()),
            ("routeTableId", gz.route_table.as_str()),
            ("routeSet.0.destinationCidrBlock", sh.cidr.as_str()),
            ("routeSet.0.nextType", "4"),
            ("routeSet.0.nextHub", peering.as_str()),
        ];
        tenant.client.call("gz", "DeleteRoute", &parameters).await?;
        let ping = Ping {
            count: 1,
            timeout: Duration::from_millis(20),
            ..Ping::to(SH_HOST)
        };
        wait_for("the route's end", Duration::from_secs(5), || async {
            tokio::task::block_in_place(|| ping.run(from))
                .is_ok_and(|result| result.rtts.is_empty())
        })
        .await?;
        let started = Instant::now();
        tenant.create_route(gz, &sh.cidr, &peering).await?;
        first_packet(from).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    report("CreateRoute to the first packet's answer", "ms", times);
    tenant
        .act("gz", "DeleteVpcPeeringConnectionEx", &peering, &[])
        .await?;
    Ok(())
}

async fn create_to_first_packet(
    lab: &Lab,
    tenant: &Tenant,
    gz: &Network,
    sh: &Network,
) -> anyhow::Result<()> {
    let mut times = Vec::new();
    for _ in 0..FIRST_PACKETS {
        let started = Instant::now();
        let answer = tenant.create_peering(gz, sh, &tenant.uin, 0).await?;
        let task = answer["taskId"].to_string();
        let peering = loop {
            let result = tenant
                .client
                .call("gz", "DescribeVpcTaskResult", &[("taskId", &task)])
                .await?;
            match result["data"]["status"].as_i64() {
                Some(0) => break text(&result["data"]["output"], "uniqVpcPeerId")?,
                Some(2) => {}
                other => anyhow::bail!("task {task} ended with status {other:?}"),
            }
        };
        tenant.create_route(gz, &sh.cidr, &peering).await?;
        tenant.create_route(sh, &gz.cidr, &peering).await?;
        first_packet(lab.host("gz-host")).await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        tenant
            .act("gz", "DeleteVpcPeeringConnectionEx", &peering, &[])
            .await?;
    }
    report(
        "Create, poll, two CreateRoute, to the first packet's answer",
        "ms",
        times,
    );
    Ok(())
}
