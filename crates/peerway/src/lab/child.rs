//! Child processes inside a namespace that do not outlive their parent.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use kernel::netns::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a child has to end by itself before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A child process. Dropping it stops it.
pub struct Child {
    process: std::process::Child,
}

impl Child {
    /// Starts a program in a namespace, its output appended to a log file. The kernel kills it when
    /// the calling thread ends, so call from a thread that lives as long as the child may.
    ///
    /// # Errors
    /// When the log cannot be opened or the program cannot be started.
    pub fn spawn(
        program: &Path,
        arguments: &[String],
        namespace: &Namespace,
        log: &Path,
    ) -> anyhow::Result<Child> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open {}", log.display()))?;
        let enter = namespace.enter_hook()?;
        let parent = std::process::id();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        // A process group of its own: a terminal's SIGINT reaches the parent alone, which then
        // stops its children in order.
        command.process_group(0);
        // SAFETY: the hook only makes system calls between fork and exec; it allocates nothing.
        unsafe {
            command.pre_exec(move || {
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
                if nix::unistd::getppid().as_raw() as u32 != parent {
                    return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
                }
                enter()
            });
        }
        let process = command
            .spawn()
            .with_context(|| format!("cannot start {} {}", program.display(), arguments[0]))?;
        Ok(Child { process })
    }

    /// Sends a signal and waits for the end; kills when that takes too long.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn stop(mut self, signal: Signal) -> anyhow::Result<()> {
        self.end(signal)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.process.try_wait()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(self.process.id().cast_signed()), signal)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.process.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.process.kill()?;
                self.process.wait()?;
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.end(Signal::SIGTERM);
    }
}

/// The capabilities that making namespaces and links needs and this process lacks.
pub fn missing_capabilities() -> anyhow::Result<Vec<&'static str>> {
    const NEEDED: [(&str, u32); 2] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)];
    let status = std::fs::read_to_string("/proc/self/status")?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
        .context("/proc/self/status has no CapEff line")?;
    Ok(NEEDED
        .iter()
        .filter(|(_, bit)| effective & (1 << bit) == 0)
        .map(|(name, _)| *name)
        .collect())
}
