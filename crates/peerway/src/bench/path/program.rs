//! WireGuard programs with the common control socket.
//! Source: <https://www.wireguard.com/xplatform/#configuration-protocol>.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::cli::Way;
use crate::lab::Child;

const SOCKETS: &str = "/var/run/wireguard";
const PORT: u16 = 51820;
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running program with its device.
pub(super) struct Program {
    // None only while it is dropped.
    child: Option<Child>,
    socket: PathBuf,
    private_key: [u8; 32],
}

impl Program {
    pub(super) fn new(child: Child, device: &str) -> Program {
        Program {
            child: Some(child),
            socket: socket_of(device),
            private_key: tunnel::generate_private_key(),
        }
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.take();
        // Some leave their socket behind.
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// The devices of the two sides of a run folder's chain. The control socket is a file that all
/// namespaces share, so each has a name of its own.
pub(super) fn devices(folder: &str) -> [String; 2] {
    let tag = folder.rsplit('-').next().unwrap_or(folder);
    [0, 1].map(|side| format!("pw{tag}{side}"))
}

/// Removes the control sockets that the programs of a dead run left.
pub(super) fn remove_sockets(folder: &str) {
    for device in devices(folder) {
        // Most runs left none.
        let _ = std::fs::remove_file(socket_of(&device));
    }
}

fn socket_of(device: &str) -> PathBuf {
    PathBuf::from(format!("{SOCKETS}/{device}.sock"))
}

/// Whether a program is found in `PATH`.
pub(super) fn is_installed(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(name).is_file())
}

/// What it is started with, the device's name apart.
pub(super) fn arguments(way: Way) -> &'static [&'static str] {
    match way {
        Way::WireguardGo => &["-f"],
        Way::BoringtunCli | Way::Gotatun => &["--foreground", "--disable-drop-privileges"],
        Way::Plain | Way::Vxlan | Way::Peerway => &[],
    }
}

/// Tells two programs of each other.
///
/// # Errors
/// When one does not start in time or refuses.
pub(super) fn introduce(programs: &[Program], underlay: [Ipv4Addr; 2]) -> anyhow::Result<()> {
    let [left, right] = programs else {
        bail!("{} programs are no pair", programs.len());
    };
    for (own, other, endpoint) in [(left, right, underlay[1]), (right, left, underlay[0])] {
        let text = format!(
            "set=1\nprivate_key={}\nlisten_port={PORT}\nreplace_peers=true\npublic_key={}\n\
             endpoint={endpoint}:{PORT}\nreplace_allowed_ips=true\nallowed_ip=0.0.0.0/0\n\n",
            hexadecimal(&own.private_key),
            hexadecimal(&tunnel::public_key(&other.private_key).0),
        );
        configure(&own.socket, &text)?;
    }
    Ok(())
}

fn configure(socket: &PathBuf, text: &str) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) if begin.elapsed() > START_LIMIT => {
                bail!("{} does not open: {error}", socket.display());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    stream.set_read_timeout(Some(START_LIMIT))?;
    stream.write_all(text.as_bytes())?;
    let mut answer = [0; 256];
    let length = loop {
        match stream.read(&mut answer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => break read.with_context(|| socket.display().to_string())?,
        }
    };
    let answer = String::from_utf8_lossy(&answer[..length]).trim().to_owned();
    ensure!(
        answer == "errno=0",
        "it refuses its configuration: {answer}"
    );
    Ok(())
}

fn hexadecimal(bytes: &[u8; 32]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
