//! What an eavesdropper on the underlay sees: address resolution and group membership of the kernels,
//! TLS of the sync channel, and the four WireGuard message types. Never a byte of a tenant.

use std::io::Write;
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kernel::netns::Namespace;
use socket2::{Domain, Protocol, Socket, Type};

use crate::harness::{SH_HOST, TwoRegions};

/// Records every frame that passes the underlay switch.
fn record(switch: &Namespace, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<Vec<Vec<u8>>> {
    let all = Protocol::from(i32::from((libc::ETH_P_ALL as u16).to_be()));
    let socket = switch
        .run(|| Socket::new(Domain::PACKET, Type::RAW, Some(all)))
        .unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    socket.set_recv_buffer_size(64 << 20).unwrap();
    std::thread::spawn(move || {
        let mut frames = Vec::new();
        let mut buffer = vec![0u8; 1 << 17];
        loop {
            let is_last_round = stop.load(Ordering::Relaxed);
            // SAFETY: pointer and length describe the live buffer.
            let length = unsafe {
                libc::recv(
                    socket.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                )
            };
            match usize::try_from(length) {
                Ok(length) => frames.push(buffer[..length].to_vec()),
                Err(_) if is_last_round => return frames,
                Err(_) => {}
            }
        }
    })
}

/// What a frame is, or `None` when it must not be on the underlay.
fn classify(frame: &[u8]) -> Option<&'static str> {
    let ether_type = u16::from_be_bytes([frame[12], frame[13]]);
    match ether_type {
        0x0806 => return Some("arp"),
        0x86dd => {
            // ICMPv6 (58), behind a hop-by-hop header (0) for listener reports.
            return matches!(frame[20], 0 | 58).then_some("icmpv6");
        }
        0x0800 => {}
        _ => return None,
    }
    let ip = &frame[14..];
    let transport = &ip[usize::from(ip[0] & 0x0f) * 4..];
    let port = |offset: usize| u16::from_be_bytes([transport[offset], transport[offset + 1]]);
    match ip[9] {
        // IGMP: a switch joins the group of snoopers (RFC 4286) some time after it has come up.
        2 => Some("igmp"),
        6 if [port(0), port(2)]
            .iter()
            .any(|port| matches!(port, 8443 | 8444)) =>
        {
            Some("tls")
        }
        17 if port(0) == 51820 && port(2) == 51820 => {
            let message = &transport[8..];
            let is_wireguard = matches!(message[0], 1..=4) && message[1..4] == [0, 0, 0];
            is_wireguard.then_some("wireguard")
        }
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn root_the_underlay_carries_nothing_but_arp_tls_and_wireguard() {
    let site = TwoRegions::start(&[]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let recorder = record(site.lab.switch(), Arc::clone(&stop));
    site.peer(0).await;

    let marker: [u8; 32] = *b"a marker only a tenant knows of!";
    let (from, to) = (site.lab.host("a-gz"), site.lab.host("a-sh"));
    let listener = to
        .run(|| TcpListener::bind(SocketAddrV4::new(SH_HOST, 0)))
        .unwrap();
    let address = listener.local_addr().unwrap();
    let mut sender = from.run(|| TcpStream::connect(address)).unwrap();
    let (mut receiver, _) = listener.accept().unwrap();
    let reader = std::thread::spawn(move || {
        let mut received = Vec::new();
        std::io::Read::read_to_end(&mut receiver, &mut received).unwrap();
        received
    });
    let sent = marker.repeat(4096);
    sender.write_all(&sent).unwrap();
    drop(sender);
    assert_eq!(reader.join().unwrap(), sent);

    stop.store(true, Ordering::Relaxed);
    let frames = recorder.join().unwrap();
    let mut wireguard = 0;
    for frame in &frames {
        let kind = classify(frame);
        assert!(
            kind.is_some(),
            "unexpected frame: {:02x?}",
            &frame[..frame.len().min(64)]
        );
        wireguard += usize::from(kind == Some("wireguard"));
        assert!(
            !frame.windows(marker.len()).any(|window| window == marker),
            "marker in clear"
        );
    }
    assert!(
        wireguard > 10,
        "only {wireguard} WireGuard frames were recorded"
    );
}
