//! Two tenants that cannot be told apart by anything but their VPC: same CIDR blocks, same hosts,
//! same ports, same sequence numbers, both at full speed at once. Every byte is compared.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;

use kernel::netns::Namespace;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::harness::{GZ_HOST, SH_HOST, TwoRegions, add_networks, await_crossing, ping};

const PORT: u16 = 7001;
const SEQUENCE_AT_GZ: u32 = 0x1000_0000;
const SEQUENCE_AT_SH: u32 = 0x2000_0000;
const STREAM_BYTES: usize = 24 << 20;

fn set(socket: &Socket, name: i32, bytes: &[u8]) {
    // SAFETY: pointer and length describe the live slice.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            name,
            bytes.as_ptr().cast(),
            bytes.len() as libc::socklen_t,
        )
    };
    assert_eq!(
        outcome,
        0,
        "option {name}: {}",
        std::io::Error::last_os_error()
    );
}

const REPAIR: i32 = 19;

/// One end of an established connection with chosen sequence numbers, made without a handshake by
/// the kernel's connection repair (used for checkpoints; `TCP_REPAIR`, linux/tcp.h). Nothing is sent
/// before [`release`].
fn established(host: &Namespace, from: Ipv4Addr, to: Ipv4Addr, own: u32, peer: u32) -> Socket {
    const REPAIR_QUEUE: i32 = 20;
    const QUEUE_SEQ: i32 = 21;
    const REPAIR_OPTIONS: i32 = 22;
    const RECEIVE: i32 = 1;
    const SEND: i32 = 2;
    host.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        set(&socket, REPAIR, &1i32.to_ne_bytes());
        socket.set_reuse_address(true).unwrap();
        socket
            .bind(&SockAddr::from(SocketAddrV4::new(from, PORT)))
            .unwrap();
        for (queue, sequence) in [(SEND, own), (RECEIVE, peer)] {
            set(&socket, REPAIR_QUEUE, &queue.to_ne_bytes());
            set(&socket, QUEUE_SEQ, &sequence.to_ne_bytes());
        }
        socket
            .connect(&SockAddr::from(SocketAddrV4::new(to, PORT)))
            .unwrap();
        let mut options = Vec::new();
        for (code, value) in [(2u32, 1300u32), (3, 7 | 7 << 16)] {
            options.extend(code.to_ne_bytes());
            options.extend(value.to_ne_bytes());
        }
        set(&socket, REPAIR_OPTIONS, &options);
        socket
    })
}

/// Lets both ends go. The first to go says so to the other one, so both have to be there.
fn release(ends: [Socket; 2]) -> [TcpStream; 2] {
    ends.map(|socket| {
        set(&socket, REPAIR, &0i32.to_ne_bytes());
        socket.into()
    })
}

/// The byte stream of one tenant and direction: any two streams differ nearly everywhere.
fn stream(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(STREAM_BYTES);
    while bytes.len() < STREAM_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

fn exchange(socket: TcpStream, send_seed: u64, receive_seed: u64) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut sender = socket.try_clone().unwrap();
        let sending = std::thread::spawn(move || sender.write_all(&stream(send_seed)).unwrap());
        let mut received = vec![0; STREAM_BYTES];
        let mut socket = socket;
        socket
            .set_read_timeout(Some(std::time::Duration::from_secs(30)))
            .unwrap();
        socket.read_exact(&mut received).unwrap();
        assert!(
            received == stream(receive_seed),
            "stream {receive_seed} was altered"
        );
        sending.join().unwrap();
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn root_tenants_with_equal_addresses_ports_and_sequence_numbers_never_mix() {
    let mut site = TwoRegions::start(&[]).await;
    let other = site.lab.add_account("other", None).await.unwrap();
    let (gz, sh) = add_networks(&mut site.lab, &other, "b").await;
    site.peer(0).await;
    other.peer_own(&gz, &sh, 0).await.unwrap();
    await_crossing(site.lab.host("b-gz"), SH_HOST).await;

    let mut threads = Vec::new();
    for (tenant, seed) in [("a", 1), ("b", 3)] {
        let at = |region: &str| site.lab.host(&format!("{tenant}-{region}"));
        let near = established(at("gz"), GZ_HOST, SH_HOST, SEQUENCE_AT_GZ, SEQUENCE_AT_SH);
        let far = established(at("sh"), SH_HOST, GZ_HOST, SEQUENCE_AT_SH, SEQUENCE_AT_GZ);
        let [near, far] = release([near, far]);
        threads.push(exchange(near, seed, seed + 1));
        threads.push(exchange(far, seed + 1, seed));
    }
    for thread in threads {
        thread.join().expect("every byte arrives at its own tenant");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_network_that_is_not_peered_sees_nothing() {
    let mut site = TwoRegions::start(&[]).await;
    let other = site.lab.add_account("other", None).await.unwrap();
    add_networks(&mut site.lab, &other, "b").await;
    site.peer(20).await;
    let recorder = peerway::traffic::PacketRecorder::start(site.lab.host("b-sh")).unwrap();
    assert!(ping(site.lab.host("a-gz"), SH_HOST, 5).is_complete());
    assert!(ping(site.lab.host("b-gz"), SH_HOST, 1).rtts.is_empty());
    let seen = recorder.finish();
    assert!(seen.is_empty(), "{seen:02x?}");
}
