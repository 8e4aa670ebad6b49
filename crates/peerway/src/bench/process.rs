//! The server that is measured: a process of its own, bound to one core.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde_json::Value;

/// How long a server may take to load its state.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How long it may take to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Calls of an action in a second that an account may make. No load comes near it, and every call is
/// counted all the same.
const RATE_LIMIT: &str = "10000000";

/// Lines of the log that are kept for an error's text.
const KEPT_LINES: usize = 20;

/// A running server. Dropping it stops it.
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
    ready_after: Duration,
}

/// What a process has used so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// Time on a core, in the kernel and outside.
    pub(super) cpu: Duration,
    /// Memory that is resident, KiB.
    pub(super) resident_kib: u64,
}

impl Server {
    /// Starts this program as a server on a state folder, and waits until it listens. The kernel
    /// stops it when the calling thread ends.
    ///
    /// # Errors
    /// The end of its log, when it does not start.
    pub(super) fn start(state_dir: &Path, core: usize, flags: &[&str]) -> anyhow::Result<Server> {
        let begun = Instant::now();
        let program = std::env::current_exe().context("the path of this program")?;
        let mut command = Command::new(program);
        command
            .args(["--log", "info", "--log-format", "json", "server"])
            .args(["--dataplane", "none", "--http", "127.0.0.1:0"])
            .args(["--https", "127.0.0.1:0", "--sync", "127.0.0.1:0"])
            .args(["--rate-limit", RATE_LIMIT])
            .arg("--state-dir")
            .arg(state_dir)
            .arg("--admin-socket")
            .arg(state_dir.join("admin.sock"))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let cores = cores(core)?;
        // SAFETY: the hook only makes system calls between fork and exec; it allocates nothing.
        unsafe {
            command.pre_exec(move || {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                sched_setaffinity(Pid::from_raw(0), &cores)?;
                Ok(())
            });
        }
        let mut child = command.spawn().context("cannot start the server")?;
        let log = child.stderr.take().context("the server has no log")?;
        match listening(log) {
            Ok(address) => Ok(Server {
                child,
                address,
                ready_after: begun.elapsed(),
            }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Where the API listens without TLS.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long the start took.
    pub(super) fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// What it has used so far.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn usage(&self) -> anyhow::Result<Usage> {
        let folder = format!("/proc/{}", self.child.id());
        let read = |name: &str| {
            std::fs::read_to_string(format!("{folder}/{name}")).context("the server has ended")
        };
        let stat = read("stat")?;
        // proc(5): the name in parentheses may contain anything; utime and stime are the fields 14
        // and 15, the 12th and 13th after it.
        let (_, rest) = stat.rsplit_once(") ").context("/proc/PID/stat")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = fields
            .get(11..13)
            .and_then(|times| Some(times[0].parse::<u64>().ok()? + times[1].parse::<u64>().ok()?))
            .context("/proc/PID/stat has no times")?;
        let ticks_per_sec = sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?;
        let resident_kib = read("status")?
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok())
            .context("/proc/PID/status has no VmRSS")?;
        Ok(Usage {
            cpu: Duration::from_secs_f64(ticks as f64 / ticks_per_sec as f64),
            resident_kib,
        })
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// When it does not stop in time, or fails.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        )?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("the server ended with {status}"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        bail!("the server did not stop within {STOP_TIMEOUT:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `stop` there is nothing left to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Binds the calling thread to a core.
///
/// # Errors
/// When there is no such core.
pub(super) fn bind_thread(core: usize) -> anyhow::Result<()> {
    sched_setaffinity(Pid::from_raw(0), &cores(core)?)
        .with_context(|| format!("cannot run on core {core}"))
}

fn cores(core: usize) -> anyhow::Result<CpuSet> {
    let mut cores = CpuSet::new();
    cores
        .set(core)
        .with_context(|| format!("{core} is no core"))?;
    Ok(cores)
}

/// Reads the server's log until it tells that it is ready; goes on reading in the background, so
/// that the server never waits for a reader.
fn listening(log: ChildStderr) -> anyhow::Result<SocketAddr> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            // Nobody listens after the start.
            let _ = sender.send(line);
        }
    });
    let mut address = None;
    let mut kept = VecDeque::new();
    let deadline = Instant::now() + START_TIMEOUT;
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        let fields = &event["fields"];
        let message = fields["message"].as_str().unwrap_or_default();
        if message.starts_with("the API listens (http)") {
            address = fields["address"]
                .as_str()
                .and_then(|text| text.parse().ok());
        }
        if message == "ready" {
            return address.context("the server does not tell where it listens");
        }
        kept.push_back(line);
        if kept.len() > KEPT_LINES {
            kept.pop_front();
        }
    }
    let kept: Vec<String> = kept.into();
    bail!("the server does not start:\n{}", kept.join("\n"))
}
