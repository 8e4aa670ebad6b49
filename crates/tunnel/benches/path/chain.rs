//! host – router – router – host, and the ways between the routers that a peering competes with.

use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tunnel::{generate_private_key, public_key};

use crate::bed::{in_namespace, ip};
use crate::field::sites::{Hosts, WIRE, ethtool};

/// How the routers reach each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Directly.
    Plain,
    /// Through the kernel's VXLAN device.
    Vxlan,
    /// Through a WireGuard program.
    Program(&'static Program),
}

/// A WireGuard program with the common control socket.
#[derive(PartialEq, Eq)]
pub struct Program {
    pub name: &'static str,
    arguments: &'static [&'static str],
}

pub const PROGRAMS: [Program; 3] = [
    Program {
        name: "wireguard-go",
        arguments: &["-f"],
    },
    Program {
        name: "boringtun-cli",
        arguments: &["--foreground", "--disable-drop-privileges"],
    },
    Program {
        name: "gotatun",
        arguments: &["--foreground", "--disable-drop-privileges"],
    },
];

const MTU: &str = "1390";
const START_LIMIT: Duration = Duration::from_secs(10);

/// The namespaces and what runs in them, removed at the end.
pub struct Chain {
    // First, so that they end before their namespaces go.
    programs: Vec<Running>,
    pub hosts: Hosts,
    routers: [String; 2],
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Chain {
    /// As [`Chain::new`] with a program; says why it cannot be measured.
    pub fn with_program(number: usize, program: &'static Program) -> Result<Chain, String> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let found =
            std::env::split_paths(&folders).any(|folder| folder.join(program.name).is_file());
        if !found {
            return Err("it is not installed".to_owned());
        }
        let mut chain = Chain::new(&format!("p{number}"), Way::Program(program));
        chain.start(program, number)?;
        Ok(chain)
    }

    pub fn new(tag: &str, way: Way) -> Chain {
        let name = |part: &str| format!("pwt{tag}{part}{}", std::process::id());
        let chain = Chain {
            programs: Vec::new(),
            hosts: Hosts {
                names: [name("a"), name("b")],
                addresses: [[10, 81, 0, 9], [10, 82, 0, 9]].map(Ipv4Addr::from),
            },
            routers: [name("r"), name("s")],
        };
        for name in chain.hosts.names.iter().chain(&chain.routers) {
            ip(&["netns", "add", name]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        let [left, right] = &chain.routers;
        run(
            left,
            &[
                "link", "add", "u0", "type", "veth", "peer", "name", "u0", "netns", right,
            ],
        );
        for side in 0..2 {
            chain.set_up(side, way);
        }
        chain
    }

    fn set_up(&self, side: usize, way: Way) {
        let (router, host) = (self.routers[side].as_str(), self.hosts.names[side].as_str());
        let (own, other) = (side + 1, 2 - side);
        let [a, b, ..] = self.hosts.addresses[side].octets();
        let gateway = format!("{a}.{b}.0.1");
        run(
            router,
            &["addr", "add", &format!("192.0.2.{own}/24"), "dev", "u0"],
        );
        run(router, &["link", "set", "u0", "up"]);
        ethtool(router, "u0", &WIRE);
        run(
            router,
            &[
                "link", "add", "h0", "mtu", MTU, "type", "veth", "peer", "name", "eth0", "mtu",
                MTU, "netns", host,
            ],
        );
        run(
            router,
            &["addr", "add", &format!("{gateway}/24"), "dev", "h0"],
        );
        run(router, &["link", "set", "h0", "up"]);
        ethtool(router, "h0", &WIRE);
        run(
            host,
            &[
                "addr",
                "add",
                &format!("{}/24", self.hosts.addresses[side]),
                "dev",
                "eth0",
            ],
        );
        run(host, &["link", "set", "eth0", "up"]);
        run(host, &["route", "add", "default", "via", &gateway]);
        ethtool(host, "eth0", &["gro", "off"]);
        in_namespace(router, || {
            fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("forwarding");
        });
        let to = format!("10.{}.0.0/24", 80 + other);
        match way {
            Way::Plain => run(
                router,
                &["route", "add", &to, "via", &format!("192.0.2.{other}")],
            ),
            Way::Vxlan => {
                let (local, remote) = (format!("192.0.2.{own}"), format!("192.0.2.{other}"));
                run(
                    router,
                    &[
                        "link", "add", "x0", "mtu", "1450", "type", "vxlan", "id", "7", "local",
                        &local, "remote", &remote, "dstport", "4789", "dev", "u0",
                    ],
                );
                run(
                    router,
                    &["addr", "add", &format!("198.51.100.{own}/24"), "dev", "x0"],
                );
                run(router, &["link", "set", "x0", "up"]);
                run(
                    router,
                    &["route", "add", &to, "via", &format!("198.51.100.{other}")],
                );
            }
            Way::Program(_) => {}
        }
    }

    // The control socket is a file that all namespaces share, so each device has a name of its own.
    fn start(&mut self, program: &Program, number: usize) -> Result<(), String> {
        let keys = [generate_private_key(), generate_private_key()];
        let devices =
            [0, 1].map(|side| format!("pwt{number}{side}w{}", std::process::id() % 10_000));
        for (router, device) in self.routers.iter().zip(&devices) {
            let child = Command::new("ip")
                .args(["netns", "exec", router, program.name])
                .args(program.arguments)
                .arg(device)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            self.programs
                .push(Running(child.map_err(|error| error.to_string())?));
        }
        for side in 0..2 {
            let (router, device) = (&self.routers[side], &devices[side]);
            let other = 1 - side;
            let text = format!(
                "set=1\nprivate_key={}\nlisten_port=51820\nreplace_peers=true\npublic_key={}\n\
                 endpoint=192.0.2.{}:51820\nreplace_allowed_ips=true\nallowed_ip=0.0.0.0/0\n\n",
                hexadecimal(&keys[side]),
                hexadecimal(&public_key(&keys[other]).0),
                other + 1,
            );
            configure(device, &text)?;
            run(router, &["link", "set", device, "mtu", "1420", "up"]);
            run(
                router,
                &[
                    "route",
                    "add",
                    &format!("10.{}.0.0/24", 82 - side),
                    "dev",
                    device,
                ],
            );
        }
        Ok(())
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.programs.clear();
        for name in &self.routers {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn run(namespace: &str, arguments: &[&str]) {
    let mut all = vec!["-n", namespace];
    all.extend_from_slice(arguments);
    ip(&all);
}

fn configure(device: &str, text: &str) -> Result<(), String> {
    let socket = PathBuf::from(format!("/var/run/wireguard/{device}.sock"));
    let begin = Instant::now();
    let mut stream = loop {
        match UnixStream::connect(&socket) {
            Ok(stream) => break stream,
            Err(error) if begin.elapsed() > START_LIMIT => {
                return Err(format!("{} does not open: {error}", socket.display()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let failed = |error: std::io::Error| format!("{}: {error}", socket.display());
    stream.write_all(text.as_bytes()).map_err(failed)?;
    stream.set_read_timeout(Some(START_LIMIT)).map_err(failed)?;
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    if answer.trim() == "errno=0" {
        Ok(())
    } else {
        Err(format!("it refuses its configuration: {}", answer.trim()))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
