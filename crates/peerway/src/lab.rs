//! A whole deployment on one machine, in network namespaces of its own: an underlay switch, a server
//! and gateways as separate processes, test hosts. The demo and the system tests run on it.
//!
//! ```text
//!   <lab>-gz ── wan ─┐                     ┌─ wan ── <lab>-sh
//!   gateway run      ├── switch (<lab>-net) ┤         gateway run
//!                    │    server, 192.0.2.1 │
//!   <lab>-<host> ── eth0 ── attached to a subnet by the gateway's own `attach`
//! ```
//!
//! Everything that a lab makes is recorded in its run folder, whose lock it holds while it lives. A
//! lab whose lock is free is dead, and [`remove_dead`] takes away what it left, and only that.

mod child;
mod dead;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use gateway::control;
use kernel::link;
use kernel::netns::Namespace;
use model::Region;
use server::admin;

pub use child::Child;
pub use dead::{RunFolder, remove_dead};

use crate::client::{Credentials, Dial, V2Client};
use crate::tenant::{Network, Tenant};

/// The underlay's address block is documentation space: RFC 5737, TEST-NET-1.
const SERVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HTTPS_PORT: u16 = 8443;
const SYNC_PORT: u16 = 8444;
/// The tunnels' UDP port in a lab.
pub const TUNNEL_PORT: u16 = 51820;
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How to build a lab.
#[derive(Debug, Clone, Default)]
pub struct LabOptions {
    /// The program to run as server and gateways; this process's own unless given.
    pub program: Option<PathBuf>,
    /// More arguments for the server.
    pub server_args: Vec<String>,
    /// The MTU of the underlay; 1500 unless given.
    pub underlay_mtu: Option<u16>,
}

/// A running deployment. Dropping it stops and removes everything.
pub struct Lab {
    folder: RunFolder,
    program: PathBuf,
    options: LabOptions,
    switch: Namespace,
    server: Option<Child>,
    gateways: BTreeMap<Region, GatewaySite>,
    hosts: BTreeMap<String, Namespace>,
}

struct GatewaySite {
    namespace: Namespace,
    address: Ipv4Addr,
    child: Option<Child>,
}

/// A host to attach to a subnet.
#[derive(Debug, Clone)]
pub struct HostSpec<'a> {
    /// Its name, unique in the lab and short (it is part of a namespace's name).
    pub name: &'a str,
    /// Where.
    pub network: &'a Network,
    /// Its address.
    pub address: Ipv4Addr,
}

impl Lab {
    /// Makes the underlay and starts a server on it.
    ///
    /// # Errors
    /// When the kernel refuses something or the server does not become ready.
    pub async fn start(options: LabOptions) -> anyhow::Result<Lab> {
        let program = match &options.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().context("cannot find this program's own file")?,
        };
        let mut folder = RunFolder::create()?;
        let switch = folder.create_namespace("net")?;
        link::create_bridge(&switch, "switch")?;
        link::add_address(&switch, "switch", SERVER_ADDRESS.into(), 24)?;
        if let Some(mtu) = options.underlay_mtu {
            link::set_mtu(&switch, "switch", mtu)?;
        }
        link::set_up(&switch, "switch")?;
        link::set_up(&switch, "lo")?;
        let mut lab = Lab {
            folder,
            program,
            options,
            switch,
            server: None,
            gateways: BTreeMap::new(),
            hosts: BTreeMap::new(),
        };
        lab.start_server().await?;
        Ok(lab)
    }

    /// Starts the server, the first time or again.
    ///
    /// # Errors
    /// When it does not become ready in time; the error holds the end of its log.
    pub async fn start_server(&mut self) -> anyhow::Result<()> {
        let text = |path: PathBuf| path.display().to_string();
        let mut arguments: Vec<String> = [
            "server",
            "--state-dir",
            &text(self.folder.path("server")),
            "--https",
            &format!("{SERVER_ADDRESS}:{HTTPS_PORT}"),
            "--sync",
            &format!("{SERVER_ADDRESS}:{SYNC_PORT}"),
            "--admin-socket",
            &text(self.admin_socket()),
            // A lab's tenants poll their tasks every few milliseconds.
            "--rate-limit",
            "1000",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.extend(self.options.server_args.iter().cloned());
        let child = Child::spawn(
            &self.program,
            &arguments,
            &self.switch,
            &self.folder.path("server.log"),
        )?;
        self.server = Some(child);
        let admin = self.admin();
        wait_for("the server", START_TIMEOUT, || async {
            admin.accounts().await.is_ok()
        })
        .await
        .map_err(|error| self.with_log(error, "server.log"))
    }

    /// Joins a gateway for a region and starts it.
    ///
    /// # Errors
    /// When it does not join in time; the error holds the end of its log.
    pub async fn add_gateway(&mut self, region: Region) -> anyhow::Result<()> {
        let number = 11 + u8::try_from(self.gateways.len()).context("too many gateways")?;
        let address = Ipv4Addr::new(192, 0, 2, number);
        let namespace = self.folder.create_namespace(region.short())?;
        let port = format!("p-{}", region.short());
        link::create_veth_pair(&namespace, "wan", &self.switch, &port)?;
        link::set_master(&self.switch, &port, "switch")?;
        link::add_address(&namespace, "wan", address.into(), 24)?;
        for (place, name) in [(&self.switch, port.as_str()), (&namespace, "wan")] {
            if let Some(mtu) = self.options.underlay_mtu {
                link::set_mtu(place, name, mtu)?;
            }
            link::set_up(place, name)?;
        }
        link::set_up(&namespace, "lo")?;
        self.gateways.insert(
            region,
            GatewaySite {
                namespace,
                address,
                child: None,
            },
        );
        let token = self
            .admin()
            .token_create(&admin::TokenRequest {
                region: region.short().to_owned(),
                lifetime_secs: Some(600),
            })
            .await?;
        self.start_gateway(region, Some(&token.join)).await
    }

    /// Starts the gateway of a region, the first time (with a join string) or again.
    ///
    /// # Errors
    /// When it does not become ready in time; the error holds the end of its log.
    pub async fn start_gateway(
        &mut self,
        region: Region,
        join: Option<&str>,
    ) -> anyhow::Result<()> {
        let log = format!("{}.log", region.short());
        let state_dir = self.gateway_state_dir(region);
        let socket = self.gateway_socket(region);
        let site = self
            .gateways
            .get_mut(&region)
            .context("the region has no gateway")?;
        let endpoint = format!("{}:{TUNNEL_PORT}", site.address);
        let mut arguments: Vec<String> = [
            "gateway",
            "run",
            "--state-dir",
            &state_dir.display().to_string(),
            "--listen",
            &endpoint,
            "--advertise",
            &endpoint,
            "--control-socket",
            &socket.display().to_string(),
        ]
        .map(str::to_owned)
        .to_vec();
        if let Some(join) = join {
            arguments.extend(["--join".to_owned(), join.to_owned()]);
        }
        let child = Child::spawn(
            &self.program,
            &arguments,
            &site.namespace,
            &self.folder.path(&log),
        )?;
        site.child = Some(child);
        let control = self.gateway(region);
        let what = format!("the gateway of {region}");
        wait_for(&what, START_TIMEOUT, || async {
            control
                .status()
                .await
                .is_ok_and(|status| status.gateway.is_some())
        })
        .await
        .map_err(|error| self.with_log(error, &log))?;
        if let Ok(instance) = std::fs::read_to_string(state_dir.join("instance")) {
            self.folder.record_instance(instance.trim())?;
        }
        Ok(())
    }

    /// Makes a host in a namespace of its own and attaches it through the region's gateway.
    ///
    /// # Errors
    /// What the gateway refused.
    pub async fn add_host(&mut self, host: HostSpec<'_>) -> anyhow::Result<()> {
        let namespace = self.folder.create_namespace(host.name)?;
        link::set_up(&namespace, "lo")?;
        let request = control::AttachRequest {
            name: host.name.to_owned(),
            vpc: host.network.vpc.clone(),
            subnet: host.network.subnet.clone(),
            target: control::AttachTarget::Namespace {
                name: namespace.name().to_owned(),
                interface: "eth0".to_owned(),
            },
            configure: true,
            address: Some(host.address),
        };
        let region: Region = host.network.region.parse()?;
        self.gateway(region)
            .attach(&request)
            .await
            .with_context(|| format!("attaching host {}", host.name))?;
        self.hosts.insert(host.name.to_owned(), namespace);
        Ok(())
    }

    /// Stops the server with a signal and waits for its end.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn stop_server(&mut self, signal: nix::sys::signal::Signal) -> anyhow::Result<()> {
        self.server
            .take()
            .map_or(Ok(()), |child| child.stop(signal))
    }

    /// Stops the gateway of a region with a signal and waits for its end.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn stop_gateway(
        &mut self,
        region: Region,
        signal: nix::sys::signal::Signal,
    ) -> anyhow::Result<()> {
        let child = self
            .gateways
            .get_mut(&region)
            .and_then(|site| site.child.take());
        child.map_or(Ok(()), |child| child.stop(signal))
    }

    /// The namespace of a host.
    ///
    /// # Panics
    /// When the lab has no host of that name.
    pub fn host(&self, name: &str) -> &Namespace {
        self.hosts
            .get(name)
            .unwrap_or_else(|| panic!("the lab has no host {name}"))
    }

    /// The underlay namespace of a region's gateway.
    ///
    /// # Panics
    /// When the region has no gateway.
    pub fn gateway_namespace(&self, region: Region) -> &Namespace {
        &self
            .gateways
            .get(&region)
            .unwrap_or_else(|| panic!("{region} has no gateway"))
            .namespace
    }

    /// The process of a region's gateway, while it runs.
    pub fn gateway_process(&self, region: Region) -> Option<u32> {
        let site = self.gateways.get(&region)?;
        site.child.as_ref().map(Child::id)
    }

    /// The namespace of the underlay switch, where the server runs.
    pub fn switch(&self) -> &Namespace {
        &self.switch
    }

    /// The name that everything of this lab starts with.
    pub fn name(&self) -> &str {
        self.folder.name()
    }

    /// A file of the run folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// The CA certificate that clients trust.
    pub fn ca(&self) -> PathBuf {
        self.folder.path("server").join("ca.pem")
    }

    /// The state folder of a region's gateway.
    pub fn gateway_state_dir(&self, region: Region) -> PathBuf {
        self.folder.path(&format!("gateway-{}", region.short()))
    }

    /// The local socket of a region's gateway.
    pub fn gateway_socket(&self, region: Region) -> PathBuf {
        self.folder.path(&format!("{}.sock", region.short()))
    }

    /// The server's operator socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.folder.path("admin.sock")
    }

    /// A client of the operator's verbs.
    pub fn admin(&self) -> admin::Client {
        admin::Client::new(&self.admin_socket())
    }

    /// A client of a gateway's local verbs.
    pub fn gateway(&self, region: Region) -> control::Client {
        control::Client::new(self.gateway_socket(region))
    }

    /// The address of the API inside the lab.
    pub fn https_address(&self) -> SocketAddr {
        SocketAddr::V4(SocketAddrV4::new(SERVER_ADDRESS, HTTPS_PORT))
    }

    /// Connects to the API from wherever it is called.
    ///
    /// # Errors
    /// When the namespace cannot be opened again.
    pub fn dial(&self) -> anyhow::Result<Dial> {
        let switch = Namespace::open(self.switch.name())?;
        let address = self.https_address();
        Ok(Arc::new(move || {
            switch.run(|| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5)))
        }))
    }

    /// Makes an account with a key and a client that signs with it.
    ///
    /// # Errors
    /// What the server refused.
    pub async fn add_account(&self, name: &str, uin: Option<u64>) -> anyhow::Result<Tenant> {
        let request = admin::AccountRequest {
            name: name.to_owned(),
            uin,
            app_id: None,
        };
        let account = self.admin().account_create(&request).await?;
        let request = admin::KeyRequest {
            uin: account.uin,
            ..admin::KeyRequest::default()
        };
        let key = self.admin().key_create(&request).await?;
        let credentials = Credentials {
            secret_id: key.secret_id,
            secret_key: key.secret_key,
        };
        let host = self.https_address().to_string();
        let client = V2Client::new(self.dial()?, &host, &self.ca(), credentials.clone())?;
        Ok(Tenant {
            uin: account.uin.to_string(),
            credentials,
            client,
        })
    }

    fn with_log(&self, error: anyhow::Error, name: &str) -> anyhow::Error {
        let tail = log_tail(&self.folder.path(name));
        error.context(format!("the end of {name}:\n{tail}"))
    }
}

impl Drop for Lab {
    // Children first, so that nothing makes kernel objects while the folder removes them.
    fn drop(&mut self) {
        for site in self.gateways.values_mut() {
            site.child.take();
        }
        self.server.take();
        if let Err(error) = self.folder.remove() {
            eprintln!("peerway: cleaning up: {error:#}");
        }
    }
}

fn log_tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Waits until a condition holds, asking every 20 ms.
///
/// # Errors
/// When it does not hold in time.
pub async fn wait_for<F, T>(what: &str, timeout: Duration, mut condition: F) -> anyhow::Result<()>
where
    F: FnMut() -> T,
    T: Future<Output = bool>,
{
    let deadline = Instant::now() + timeout;
    while !condition().await {
        if Instant::now() > deadline {
            bail!("{what}: not ready within {} s", timeout.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Whether this process may build a lab; otherwise why not and what to do.
///
/// # Errors
/// A message for the user.
pub fn check_privileges() -> anyhow::Result<()> {
    let missing = child::missing_capabilities()?;
    if !missing.is_empty() {
        bail!(
            "this needs {} to make network namespaces; run it as root (sudo)",
            missing.join(" and ")
        );
    }
    let tun = Path::new("/dev/net/tun");
    match std::fs::OpenOptions::new().read(true).write(true).open(tun) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "/dev/net/tun does not exist; load the `tun` module (modprobe tun) or, in a container, \
             pass the device in (--device /dev/net/tun)"
        ),
        Err(error) => bail!("/dev/net/tun cannot be opened ({error}); run this as root (sudo)"),
    }
}

/// Makes the API reachable from the host: listens on a port of 127.0.0.1 and passes every connection
/// on into the lab, as long as the runtime lives.
///
/// # Errors
/// When the port cannot be bound.
pub async fn forward_to_host(lab: &Lab) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let dial = lab.dial()?;
    tokio::spawn(async move {
        while let Ok((mut outside, _)) = listener.accept().await {
            let dial = Arc::clone(&dial);
            tokio::spawn(async move {
                let connect = tokio::task::spawn_blocking(move || {
                    let inside = dial()?;
                    inside.set_nonblocking(true)?;
                    Ok::<_, io::Error>(inside)
                });
                if let Ok(Ok(inside)) = connect.await
                    && let Ok(mut inside) = tokio::net::TcpStream::from_std(inside)
                {
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                }
            });
        }
    });
    Ok(address)
}
