//! Two hosts, two routers and a network between them; what the routers do with packets differs.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use kernel::netns::Namespace;
use model::Region;
use tokio::runtime::Handle;

use super::chain::Chain;
use super::relay::{Relay, Weather};
use crate::cli::Way;
use crate::lab::{HostSpec, Lab, LabOptions};
use crate::tenant::NetworkSpec;
use crate::traffic::Ping;

/// The MTU of all hosts, which is that of a peering over an underlay of 1500 bytes.
pub(super) const INNER_MTU: u16 = 1390;

/// A window of 20 ms at 10 Gbit/s fits twice. Source: tcp(7), `tcp_rmem`, `tcp_wmem`.
const TCP_BUFFERS: &str = "4096 131072 67108864";
const GZ_HOST: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 10);
const SH_HOST: Ipv4Addr = Ipv4Addr::new(10, 2, 1, 10);
const FIRST_PACKET: Duration = Duration::from_secs(10);

/// What the underlay's links let pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Underlay {
    /// Frames of the MTU, as a cable does.
    Wire,
    /// Super-packets, as links inside a machine do.
    Gso,
}

/// A way, ready to be measured. Dropping it removes everything.
pub(super) struct Site {
    pub(super) way: Way,
    pub(super) hosts: [Namespace; 2],
    pub(super) addresses: [Ipv4Addr; 2],
    /// Their link to the network is `wan`.
    routers: [Namespace; 2],
    network: Namespace,
    /// The links of the network to the routers, ports of its bridge `switch`.
    ports: [String; 2],
    /// The processes that carry packets.
    pub(super) programs: Vec<u32>,
    /// The chain or the lab that all of this is a part of.
    _whole: Box<dyn std::any::Any + Send + Sync>,
}

impl Site {
    /// Builds a way; the inner error says why this machine lacks it.
    ///
    /// # Errors
    /// When something refuses that should not.
    pub(super) fn build(way: Way, runtime: &Handle) -> anyhow::Result<Result<Site, String>> {
        let site = match way {
            Way::Peerway => runtime.block_on(peering())?,
            _ => match Chain::build(way)? {
                Err(reason) => return Ok(Err(reason)),
                Ok(chain) => Site {
                    way,
                    hosts: chain.hosts.clone(),
                    addresses: chain.addresses,
                    routers: chain.routers.clone(),
                    network: chain.network.clone(),
                    ports: chain.ports.clone(),
                    programs: chain.program_ids(),
                    _whole: Box::new(chain),
                },
            },
        };
        for host in &site.hosts {
            for name in ["tcp_rmem", "tcp_wmem"] {
                host.run(|| std::fs::write(format!("/proc/sys/net/ipv4/{name}"), TCP_BUFFERS))
                    .with_context(|| format!("cannot set {name} in {}", host.name()))?;
            }
        }
        site.await_first_packet()?;
        Ok(Ok(site))
    }

    fn await_first_packet(&self) -> anyhow::Result<()> {
        let begin = std::time::Instant::now();
        let ping = Ping {
            count: 1,
            timeout: Duration::from_millis(50),
            ..Ping::to(self.addresses[1])
        };
        while ping.run(&self.hosts[0])?.rtts.is_empty() {
            ensure!(
                begin.elapsed() < FIRST_PACKET,
                "{}: no packet crosses within {} s",
                self.way.name(),
                FIRST_PACKET.as_secs()
            );
        }
        Ok(())
    }

    /// Sets what the links between the routers let pass.
    ///
    /// # Errors
    /// When `ethtool` fails.
    pub(super) fn set_underlay(&self, underlay: Underlay) -> anyhow::Result<()> {
        let state = match underlay {
            Underlay::Wire => "off",
            Underlay::Gso => "on",
        };
        let features = ["gso", "tso", "tx-udp-segmentation"].map(|name| [name, state]);
        for (router, port) in self.routers.iter().zip(&self.ports) {
            set_features(router, "wan", features.as_flattened())?;
            set_features(&self.network, port, features.as_flattened())?;
        }
        Ok(())
    }

    /// Puts a relay in the place of the network's bridge.
    ///
    /// # Errors
    /// When `ip` or `ethtool` fail, or a socket cannot be opened.
    pub(super) fn go_far(&self, weather: Weather) -> anyhow::Result<Relay> {
        for (router, port) in self.routers.iter().zip(&self.ports) {
            // The relay sees bytes only: checksums have to be complete.
            set_features(router, "wan", &["tx", "off"])?;
            ip(&self.network, &format!("link set {port} nomaster"))?;
        }
        Relay::start(&self.network, &self.ports, weather)
    }

    /// Puts the bridge back; returns what the relay lost without being told to.
    ///
    /// # Errors
    /// When `ip` or `ethtool` fail.
    pub(super) fn come_near(&self, relay: Relay) -> anyhow::Result<u64> {
        let lost = relay.stop();
        for (router, port) in self.routers.iter().zip(&self.ports) {
            ip(&self.network, &format!("link set {port} master switch"))?;
            set_features(router, "wan", &["tx", "on"])?;
        }
        Ok(lost)
    }

    /// The time that the carrying programs have had on cores; `None` where the kernel carries.
    pub(super) fn program_time(&self) -> anyhow::Result<Option<Duration>> {
        let times: anyhow::Result<Vec<Duration>> =
            self.programs.iter().map(|id| process_time(*id)).collect();
        Ok(Some(times?.iter().sum()).filter(|_| !self.programs.is_empty()))
    }
}

/// Server, gateways and hosts of a lab, with one uncapped peering.
async fn peering() -> anyhow::Result<Site> {
    let mut lab = Lab::start(LabOptions::default()).await?;
    let regions = [Region::Guangzhou, Region::Shanghai];
    for region in regions {
        lab.add_gateway(region).await?;
    }
    let tenant = lab.add_account("bench", None).await?;
    let mut networks = Vec::new();
    for (region, host) in [("gz", GZ_HOST), ("sh", SH_HOST)] {
        let spec = NetworkSpec {
            region,
            name: "bench",
            host,
        };
        let network = tenant.create_network(spec).await?;
        lab.add_host(HostSpec {
            name: region_host(region),
            network: &network,
            address: host,
        })
        .await?;
        networks.push(network);
    }
    tenant.peer_own(&networks[0], &networks[1], 0).await?;
    Ok(Site {
        way: Way::Peerway,
        hosts: ["gz", "sh"].map(|region| lab.host(region_host(region)).clone()),
        addresses: [GZ_HOST, SH_HOST],
        routers: regions.map(|region| lab.gateway_namespace(region).clone()),
        network: lab.switch().clone(),
        ports: regions.map(|region| format!("p-{}", region.short())),
        programs: regions
            .iter()
            .filter_map(|region| lab.gateway_process(*region))
            .collect(),
        _whole: Box::new(lab),
    })
}

fn region_host(region: &str) -> &'static str {
    if region == "gz" { "gz-host" } else { "sh-host" }
}

/// Source: proc(5), `schedstat`: nanoseconds on a core come first.
fn process_time(id: u32) -> anyhow::Result<Duration> {
    let folder = format!("/proc/{id}/task");
    let tasks = std::fs::read_dir(&folder).context("a program that carries packets has ended")?;
    let mut nanos = 0;
    for task in tasks {
        // A thread may end between being listed and being read.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        let first = text
            .split(' ')
            .next()
            .and_then(|field| field.parse::<u64>().ok());
        nanos += first.with_context(|| format!("{folder}: no schedstat"))?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Runs `ip` in a namespace.
///
/// # Errors
/// What it prints when it fails.
pub(super) fn ip(namespace: &Namespace, arguments: &str) -> anyhow::Result<()> {
    let arguments = format!("-n {} {arguments}", namespace.name());
    run(Path::new("ip"), &arguments)
}

fn set_features(namespace: &Namespace, link: &str, features: &[&str]) -> anyhow::Result<()> {
    let arguments = format!(
        "netns exec {} ethtool -K {link} {}",
        namespace.name(),
        features.join(" ")
    );
    run(Path::new("ip"), &arguments)
}

fn run(program: &Path, arguments: &str) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(arguments.split_whitespace())
        .output()
        .with_context(|| {
            format!(
                "cannot run {}; the bench needs iproute2 and ethtool",
                program.display()
            )
        })?;
    ensure!(
        output.status.success(),
        "{} {arguments}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
