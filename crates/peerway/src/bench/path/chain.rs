//! host – router – bridge – router – host, and the ways between the routers that a peering competes with.

use std::net::Ipv4Addr;

use anyhow::Context;
use kernel::link;
use kernel::netns::Namespace;

use super::program::{self, Program};
use super::site::{INNER_MTU, ip};
use crate::cli::Way;
use crate::lab::{Child, RunFolder};

/// The namespaces of a way other than a peering, and what runs in them. Dropping it removes everything.
pub(super) struct Chain {
    pub(super) hosts: [Namespace; 2],
    pub(super) addresses: [Ipv4Addr; 2],
    pub(super) routers: [Namespace; 2],
    pub(super) network: Namespace,
    pub(super) ports: [String; 2],
    programs: Vec<Program>,
    folder: RunFolder,
}

impl Chain {
    /// Builds it; the inner error says why this machine lacks the way.
    ///
    /// # Errors
    /// When something refuses that should not.
    pub(super) fn build(way: Way) -> anyhow::Result<Result<Chain, String>> {
        if let Some(name) = way.program()
            && !program::is_installed(name)
        {
            return Ok(Err(format!("no program {name} is in PATH")));
        }
        let mut folder = RunFolder::create()?;
        let mut pair = |names: [&str; 2]| -> anyhow::Result<[Namespace; 2]> {
            Ok([
                folder.create_namespace(names[0])?,
                folder.create_namespace(names[1])?,
            ])
        };
        let (hosts, routers) = (pair(["h0", "h1"])?, pair(["r0", "r1"])?);
        let network = folder.create_namespace("net")?;
        let mut chain = Chain {
            hosts,
            addresses: [[10, 81, 0, 9], [10, 82, 0, 9]].map(Ipv4Addr::from),
            routers,
            network,
            ports: ["p-0", "p-1"].map(str::to_owned),
            programs: Vec::new(),
            folder,
        };
        link::create_bridge(&chain.network, "switch")?;
        link::set_up(&chain.network, "switch")?;
        for side in 0..2 {
            chain.set_up(side)?;
        }
        match way {
            Way::Plain => chain.route(|side| format!("via {}", underlay_address(1 - side)))?,
            Way::Vxlan => chain.add_vxlan()?,
            Way::Peerway => anyhow::bail!("a peering is no chain"),
            Way::WireguardGo | Way::BoringtunCli | Way::Gotatun => chain.add_programs(way)?,
        }
        Ok(Ok(chain))
    }

    /// The processes that carry packets.
    pub(super) fn program_ids(&self) -> Vec<u32> {
        self.programs.iter().filter_map(Program::id).collect()
    }

    fn set_up(&self, side: usize) -> anyhow::Result<()> {
        let (router, host, port) = (&self.routers[side], &self.hosts[side], &self.ports[side]);
        let own = self.addresses[side];
        let [a, b, ..] = own.octets();
        let gateway = Ipv4Addr::new(a, b, 0, 1);
        link::create_veth_pair(router, "wan", &self.network, port)?;
        link::set_master(&self.network, port, "switch")?;
        link::set_up(&self.network, port)?;
        link::add_address(router, "wan", underlay_address(side).into(), 24)?;
        link::create_veth_pair(router, "lan", host, "eth0")?;
        for (namespace, name, address) in [(router, "lan", gateway), (host, "eth0", own)] {
            link::set_mtu(namespace, name, INNER_MTU)?;
            link::add_address(namespace, name, address.into(), 24)?;
            link::set_up(namespace, name)?;
        }
        link::set_up(router, "wan")?;
        link::add_default_route(host, gateway)?;
        router
            .run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))
            .context("cannot switch forwarding on")
    }

    // The route to the other side's hosts, by side.
    fn route(&self, how: impl Fn(usize) -> String) -> anyhow::Result<()> {
        for side in 0..2 {
            let [a, b, ..] = self.addresses[1 - side].octets();
            let command = format!("route add {a}.{b}.0.0/24 {}", how(side));
            ip(&self.routers[side], &command)?;
        }
        Ok(())
    }

    fn add_vxlan(&self) -> anyhow::Result<()> {
        for side in 0..2 {
            let router = &self.routers[side];
            let (own, other) = (underlay_address(side), underlay_address(1 - side));
            ip(
                router,
                &format!(
                    "link add x0 mtu {INNER_MTU} type vxlan id 7 local {own} remote {other} dstport 4789 dev wan"
                ),
            )?;
            ip(
                router,
                &format!("addr add {}/24 dev x0", inner_address(side)),
            )?;
            ip(router, "link set x0 up")?;
        }
        self.route(|side| format!("via {}", inner_address(1 - side)))
    }

    fn add_programs(&mut self, way: Way) -> anyhow::Result<()> {
        let name = way.program().context("the way has a program")?;
        let devices = program::devices(self.folder.name());
        for (router, device) in self.routers.iter().zip(&devices) {
            let mut arguments: Vec<String> = program::arguments(way)
                .iter()
                .map(|text| (*text).to_owned())
                .collect();
            arguments.push(device.clone());
            let log = self.folder.path(&format!("{device}.log"));
            let child = Child::spawn(name.as_ref(), &arguments, router, &log)?;
            self.programs.push(Program::new(child, device));
        }
        program::introduce(&self.programs, [0, 1].map(underlay_address))
            .with_context(|| format!("configuring {name}"))?;
        for (router, device) in self.routers.iter().zip(&devices) {
            ip(router, &format!("link set {device} mtu 1420 up"))?;
        }
        self.route(|side| format!("dev {}", devices[side]))
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.programs.clear();
        if let Err(error) = self.folder.remove() {
            eprintln!("peerway: cleaning up: {error:#}");
        }
    }
}

// RFC 5737: documentation space.
fn underlay_address(side: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 11 + side as u8)
}

fn inner_address(side: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, 1 + side as u8)
}
