//! Requests over TCP, each sent when the last one was answered.

use std::io::{Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::site::Site;

const MESSAGE: usize = 64;
const LONGEST: Duration = Duration::from_secs(5);

/// The round-trip times, sorted.
///
/// # Errors
/// When an answer is not there within 5 s.
pub(super) fn round_trips(site: &Site, duration: Duration) -> anyhow::Result<Vec<Duration>> {
    let listener =
        site.hosts[1].run(|| TcpListener::bind(SocketAddrV4::new(site.addresses[1], 0)))?;
    let address = listener.local_addr()?;
    let mut near = site.hosts[0].run(|| TcpStream::connect_timeout(&address, LONGEST))?;
    let (mut far, _) = listener.accept()?;
    for socket in [&near, &far] {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LONGEST))?;
    }
    let echo = std::thread::spawn(move || {
        let mut message = [0; MESSAGE];
        while far.read_exact(&mut message).is_ok() && far.write_all(&message).is_ok() {}
    });
    let (mut times, end) = (Vec::new(), Instant::now() + duration);
    let mut message = [7; MESSAGE];
    while Instant::now() < end {
        let begin = Instant::now();
        near.write_all(&message).context("a request")?;
        near.read_exact(&mut message).context("an answer")?;
        times.push(begin.elapsed());
    }
    drop(near);
    ensure!(echo.join().is_ok(), "the answering end failed");
    ensure!(!times.is_empty(), "no request was answered");
    times.sort();
    Ok(times)
}
