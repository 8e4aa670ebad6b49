//! One engine against software that nobody here wrote: `wireguard-go` and the kernel's own `vxlan`
//! device, set up by the very commands that `docs/wire.md` prints. Needs root, `ip`, `unshare`, `wg`,
//! `wireguard-go`, `/dev/net/tun` and the `vxlan` device type.

mod bed;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bed::flood::{Flood, initiations};
use bed::linux::LinuxEnd;
use bed::steady::Steady;
use bed::{Hosts, LEFT, gateway, in_namespace, ip, slice, tun_device, vpc, wait_for};
use tunnel::{PairStatus, Tunnel, TunnelDesired, TunnelOptions, generate_private_key, public_key};

const PORT: u16 = 51820;
const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const INITIATION: u8 = 1;
const COOKIE: u8 = 3;

/// Who is told where the other one is, and so calls first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    Engine,
    Linux,
}

/// The engine is the left end, in the page's words the gateway; Linux is the right one.
struct Site {
    // First, so that both stop before their namespaces go.
    engine: Tunnel,
    linux: LinuxEnd,
    hosts: Hosts,
    keys: [[u8; 32]; 2],
    desired: TunnelDesired,
}

impl Site {
    /// Everything but the commands of the page, and the engine knows nothing yet.
    fn new(tag: &str) -> Site {
        let mut hosts = Hosts::new(tag);
        let keys = [generate_private_key(), generate_private_key()];
        let options = TunnelOptions {
            private_key: keys[0],
            listen: vec![SocketAddr::from(([0, 0, 0, 0], PORT))],
            keepalive: None,
            workers: 0,
            on_event: Box::new(|_| {}),
        };
        let engine = in_namespace(&hosts.names[0], || Tunnel::start(options).unwrap());
        let device = tun_device(&hosts.names[2], LEFT, "10.72.0.0/16");
        ip(&["-n", &hosts.names[2], "link", "set", "peer0", "mtu", "1390"]);
        let linux = LinuxEnd::new(&mut hosts, &keys[1], &public_key(&keys[0]));
        let desired = TunnelDesired {
            slice: Arc::new(slice(0, 0, public_key(&keys[1]))),
            endpoints: BTreeMap::new(),
            devices: BTreeMap::from([(vpc(0), device)]),
        };
        Site {
            engine,
            linux,
            hosts,
            keys,
            desired,
        }
    }

    /// Both ends set up; one of them calls the other.
    fn joined(tag: &str, caller: Caller) -> Site {
        let mut site = Site::new(tag);
        site.linux.set_up();
        if caller == Caller::Engine {
            site.tell_the_engine_where();
        }
        site.engine.configure(site.desired.clone()).unwrap();
        if caller == Caller::Linux {
            assert!(site.hosts.ping_from(1), "what is sent first calls");
        }
        site.await_session();
        site
    }

    fn tell_the_engine_where(&mut self) {
        let right = SocketAddr::from(([192, 0, 2, 2], PORT));
        self.desired.endpoints = BTreeMap::from([(gateway(1), right)]);
    }

    fn pair(&self) -> PairStatus {
        let status = self.engine.status();
        status.gateways.into_values().next().expect("one pair")
    }

    fn await_session(&self) {
        wait_for("a session", SECONDS(20), || {
            self.pair().last_handshake.is_some()
        });
    }

    fn assert_all_passes(&self) {
        let data: [u8; 1200] = std::array::from_fn(|index| index as u8);
        assert_eq!(self.hosts.exchange(&data), data);
        for end in [0, 1] {
            assert!(self.hosts.ping_from(end), "ping from end {end}");
            let bits = self.hosts.bulk_from(end, SECONDS(1));
            println!("one TCP stream from end {end}: {:.0} Mbit/s", bits / 1e6);
            assert!(bits > 20e6, "{bits} bit/s of TCP from end {end}");
        }
        let status = self.engine.status();
        let peering = status.peerings.values().next().unwrap();
        assert!(peering.received.packets > 100);
        let drops = &peering.received_drops;
        assert!(drops.is_empty(), "{drops:?}");
    }

    fn capture_handshakes(&self) -> bed::Capture {
        self.hosts
            .capture(|frame| message_type(frame).is_some_and(|kind| kind != 4))
    }
}

/// The type of the WireGuard message in an Ethernet frame of the underlay.
fn message_type(frame: &[u8]) -> Option<u8> {
    let is_udp = frame.get(12..14)? == [8, 0] && *frame.get(23)? == 17;
    frame.get(42).copied().filter(|_| is_udp)
}

/// How many messages of a type the ends `192.0.2.1` and `192.0.2.2` have sent.
fn sent(frames: &[Vec<u8>], kind: u8) -> [usize; 2] {
    [1, 2].map(|host| {
        let is_from = |frame: &&Vec<u8>| frame[29] == host;
        let of_type = frames.iter().filter(|f| message_type(f) == Some(kind));
        of_type.filter(is_from).count()
    })
}

#[test]
fn root_a_linux_end_that_is_called_passes_all_traffic() {
    let mut site = Site::new("lc");
    site.linux.set_up();
    let capture = site.capture_handshakes();
    site.tell_the_engine_where();
    site.engine.configure(site.desired.clone()).unwrap();
    site.await_session();
    let calls = sent(&capture.finish(), INITIATION);
    assert!(calls[0] > 0 && calls[1] == 0, "only we called: {calls:?}");
    site.assert_all_passes();
}

#[test]
fn root_a_linux_end_that_calls_passes_all_traffic() {
    let mut site = Site::new("ll");
    site.linux.set_up();
    site.engine.configure(site.desired.clone()).unwrap();
    let capture = site.capture_handshakes();
    assert!(site.hosts.ping_from(1), "what is sent first calls");
    site.await_session();
    let calls = sent(&capture.finish(), INITIATION);
    assert!(
        calls[0] == 0 && calls[1] > 0,
        "only Linux called: {calls:?}"
    );
    site.assert_all_passes();
}

#[test]
fn root_a_session_that_we_renew_amid_traffic_costs_no_packet() {
    let mut site = Site::joined("lr", Caller::Engine);
    let first = site.linux.last_handshake();
    let steady = Steady::start(&site.hosts);
    // wg counts in seconds.
    wait_for("another second", SECONDS(3), || now_secs() > first + 1);
    // Being told anew where the other one is, the engine calls.
    let nowhere = TunnelDesired {
        endpoints: BTreeMap::new(),
        ..site.desired.clone()
    };
    for desired in [nowhere, site.desired.clone()] {
        site.engine.configure(desired).unwrap();
    }
    wait_for("a new session", SECONDS(10), || {
        site.linux.last_handshake() > first
    });
    let renewed = now_secs();
    wait_for("another second", SECONDS(3), || now_secs() > renewed + 1);
    steady.stop().assert_nothing_was_lost(500);
}

#[test]
fn root_a_linux_end_that_starts_again_is_heard_at_once() {
    let mut site = Site::joined("lz", Caller::Linux);
    let capture = site.capture_handshakes();
    // With the device ends the program, and goes the vxlan device on top.
    site.linux.run("ip link del wg0");
    site.linux.set_up();
    assert!(site.hosts.ping_from(1), "ping after the restart");
    assert_eq!(sent(&capture.finish(), INITIATION), [0, 1], "a new session");
    site.assert_all_passes();
}

fn now_secs() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    since.as_secs()
}

#[test]
fn root_a_linux_end_that_moves_is_followed() {
    let mut site = Site::joined("lm", Caller::Linux);
    let endpoint = |site: &Site| site.pair().endpoint.map(|endpoint| endpoint.to_string());
    assert_eq!(endpoint(&site).as_deref(), Some("192.0.2.2:51820"));
    site.linux.run("wg set wg0 listen-port 51999");
    assert!(site.hosts.ping_from(1), "ping from the new port");
    assert_eq!(endpoint(&site).as_deref(), Some("192.0.2.2:51999"));
    assert!(site.hosts.ping_from(0), "ping to the new port");
    site.linux.run(
        "ip address del 192.0.2.2/24 dev u0
         ip address add 192.0.2.77/24 dev u0
         # wireguard-go goes on sending from the old address until its socket is another one.
         wg set wg0 listen-port 52000",
    );
    assert!(site.hosts.ping_from(1), "ping from the new address");
    assert_eq!(endpoint(&site).as_deref(), Some("192.0.2.77:52000"));
    site.assert_all_passes();
}

#[test]
fn root_a_linux_end_gets_through_to_an_engine_under_load_by_a_cookie() {
    let mut site = Site::new("lk");
    site.linux.set_up();
    site.engine.configure(site.desired.clone()).unwrap();
    let capture = site.capture_handshakes();
    let to = SocketAddr::from(([192, 0, 2, 1], PORT));
    let bogus = initiations(&public_key(&site.keys[0]));
    let flood = Flood::start(&site.hosts.names[1], to, 2_000, bogus);
    wait_for("cookies", SECONDS(5), || flood.answers() > 500);
    // The first call is answered by a cookie, the one five seconds later carries it.
    wait_for("a session", SECONDS(15), || {
        site.hosts.ping_from(1) && site.pair().last_handshake.is_some()
    });
    let flooded = flood.stop();
    let frames = capture.finish();
    let with_cookie = frames.iter().filter(|frame| {
        message_type(frame) == Some(INITIATION) && frame[42 + 132..42 + 148] != [0; 16]
    });
    assert_eq!(with_cookie.count(), 1, "one call with a cookie");
    assert!(sent(&frames, COOKIE)[0] > 500);
    assert!(flooded.datagrams > 2_000);
    site.assert_all_passes();
}

#[test]
fn root_an_engine_gets_through_to_a_linux_end_under_load_by_a_cookie() {
    let mut site = Site::new("lq");
    site.linux.set_up();
    let capture = site.capture_handshakes();
    let to = SocketAddr::from(([192, 0, 2, 2], PORT));
    // More than wireguard-go can look at: only then it asks for cookies.
    let bogus = initiations(&public_key(&site.keys[1]));
    let flood = Flood::start(&site.hosts.names[0], to, 50_000, bogus);
    wait_for("cookies", SECONDS(10), || flood.answers() > 100);
    site.tell_the_engine_where();
    site.engine.configure(site.desired.clone()).unwrap();
    site.await_session();
    flood.stop();
    let frames = capture.finish();
    assert!(sent(&frames, COOKIE)[1] > 0, "Linux asked for cookies");
    let with_cookie = frames.iter().filter(|frame| {
        message_type(frame) == Some(INITIATION) && frame[42 + 132..42 + 148] != [0; 16]
    });
    assert!(with_cookie.count() > 0, "we called with a cookie");
    site.assert_all_passes();
}

/// WireGuard renews a session after 120 s, on the side that had called.
#[test]
#[ignore = "runs for over two minutes: a part of ./test --long"]
fn root_long_traffic_does_not_notice_that_sessions_are_renewed() {
    std::thread::scope(|scope| {
        for caller in [Caller::Engine, Caller::Linux] {
            scope.spawn(move || check_renewal(caller));
        }
    });
}

fn check_renewal(caller: Caller) {
    let tag = ["lx", "ly"][caller as usize];
    let mut site = Site::joined(tag, caller);
    let begin = Instant::now();
    let first = site.linux.last_handshake();
    let capture = site.capture_handshakes();
    let steady = Steady::start(&site.hosts);
    wait_for("a renewal", SECONDS(150), || {
        std::thread::sleep(SECONDS(1));
        site.linux.last_handshake() > first
    });
    assert!(begin.elapsed() > SECONDS(115), "{:?}", begin.elapsed());
    let renewed = Instant::now();
    wait_for("five seconds more", SECONDS(6), || {
        std::thread::sleep(SECONDS(1));
        renewed.elapsed() >= SECONDS(5)
    });
    let outcome = steady.stop();
    let calls = sent(&capture.finish(), INITIATION);
    println!(
        "renewed after {:?}: {calls:?}, {outcome:?}",
        renewed - begin
    );
    assert_eq!(calls[1 - caller as usize], 0, "the one that called renews");
    assert!(calls[caller as usize] >= 1);
    outcome.assert_nothing_was_lost(10_000);
    site.assert_all_passes();
}
