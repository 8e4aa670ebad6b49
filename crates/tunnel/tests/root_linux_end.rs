//! One engine against Linux's own `vxlan` device. The kernel may have no `wireguard` device, so a
//! small pump in this test seals for it; framing, checksums, MAC addresses and ARP are the kernel's.
//! Needs root, `ip`, `/dev/net/tun` and the `vxlan` device type.

mod bed;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bed::{Hosts, LEFT, RIGHT, gateway, in_namespace, ip, slice, tun_device, vpc, wait_for};
use model::overlay::mac_address;
use model::{Side, Vni};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tunnel::session::{Identity, Opened};
use tunnel::{Tunnel, TunnelDesired, TunnelOptions, generate_private_key, public_key};

const TUN_NO_PI: i16 = 0x0001 | 0x1000;

#[test]
fn root_a_linux_vxlan_device_and_an_engine_understand_each_other() {
    let hosts = Hosts::new("lx");
    let keys = [generate_private_key(), generate_private_key()];
    let options = TunnelOptions {
        private_key: keys[0],
        listen: vec![SocketAddr::from(([0, 0, 0, 0], 51820))],
        keepalive: None,
        on_event: Box::new(|_| {}),
    };
    let left = in_namespace(&hosts.names[0], || Tunnel::start(options).unwrap());
    let device = tun_device(&hosts.names[2], LEFT, "10.72.0.0/16");
    let pump = Pump::start(&hosts, keys);
    let desired = TunnelDesired {
        slice: Arc::new(slice(0, 0, public_key(&keys[1]))),
        endpoints: BTreeMap::from([(gateway(1), SocketAddr::from(([192, 0, 2, 2], 51820)))]),
        devices: BTreeMap::from([(vpc(0), device)]),
    };
    left.configure(desired).unwrap();
    ip(&["-n", &hosts.names[2], "link", "set", "peer0", "mtu", "1390"]);
    wait_for("a handshake", Duration::from_secs(10), || {
        left.status()
            .gateways
            .values()
            .all(|pair| pair.last_handshake.is_some())
    });

    let data: [u8; 1200] = std::array::from_fn(|index| index as u8);
    assert_eq!(hosts.exchange(&data), data);
    assert!(hosts.ping(), "ping through the kernel's vxlan device");
    let bits = hosts.bulk(Duration::from_secs(1));
    assert!(bits > 1e6, "{bits} bit/s of TCP");
    let status = left.status();
    let peering = status.peerings.values().next().unwrap();
    assert!(peering.received.packets > 100);
    // The kernel asks for IPv6 neighbours of its own accord.
    let surprising: Vec<_> = peering
        .received_drops
        .keys()
        .filter(|cause| **cause != "inner_ipv6")
        .collect();
    assert!(surprising.is_empty(), "{surprising:?}");
    pump.stop();
}

// WireGuard between a TUN device `wg0-0` and a UDP socket, for a kernel without its own.
struct Pump {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Pump {
    fn start(hosts: &Hosts, keys: [[u8; 32]; 2]) -> Pump {
        let name = &hosts.names[3];
        let tun: File = in_namespace(name, || bed::open_tun(b"wg0-0", TUN_NO_PI)).into();
        let mac = mac_address(Vni::FIRST, Side::Accepter)
            .map(|byte| format!("{byte:02x}"))
            .join(":");
        let vni = Vni::FIRST.to_string();
        let right = format!("{RIGHT}/32");
        for command in [
            "addr add 100.64.0.2/32 dev wg0-0",
            "link set wg0-0 mtu 1440 up",
            "route add 100.64.0.1/32 dev wg0-0",
            &format!(
                "link add vx0 address {mac} type vxlan id {vni} local 100.64.0.2 remote 100.64.0.1 dstport 4789 dev wg0-0 nolearning"
            ),
            &format!("addr add {right} dev vx0"),
            "link set vx0 mtu 1390 up",
            "route add 10.71.0.0/16 dev vx0",
        ] {
            let mut arguments = vec!["-n", name];
            arguments.extend(command.split(' '));
            ip(&arguments);
        }
        let socket = in_namespace(&hosts.names[1], || {
            UdpSocket::bind(("192.0.2.2", 51820)).unwrap()
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || pump(&tun, &socket, keys, &stopped));
        Pump { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

fn pump(mut tun: &File, socket: &UdpSocket, keys: [[u8; 32]; 2], stop: &AtomicBool) {
    let mut session = Identity::new(&keys[1]).session(&public_key(&keys[0]), 7, None);
    let engine = SocketAddr::from(([192, 0, 2, 1], 51820));
    let (mut input, mut output) = (vec![0; 1 << 16], vec![0; 1 << 17]);
    while !stop.load(Ordering::Relaxed) {
        let mut ready = [
            PollFd::new(tun.as_fd(), PollFlags::POLLIN),
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut ready, PollTimeout::from(50u8)).unwrap();
        let [from_tun, from_socket] = ready.map(|fd| fd.any().unwrap_or(false));
        if from_socket {
            let (length, _) = socket.recv_from(&mut input).unwrap();
            match session.open(&input[..length], &mut output) {
                Opened::Packet(length) => tun.write_all(&output[..length]).unwrap(),
                Opened::Reply(length) => {
                    socket.send_to(&output[..length], engine).unwrap();
                }
                Opened::Nothing | Opened::Rejected(_) => {}
            }
        }
        if from_tun {
            let length = tun.read(&mut input).unwrap();
            if session.is_ready()
                && let Some(length) = session.seal(&input[..length], &mut output)
            {
                socket.send_to(&output[..length], engine).unwrap();
            }
        }
        if let Some(length) = session.tick(&mut output) {
            socket.send_to(&output[..length], engine).unwrap();
        }
    }
}
