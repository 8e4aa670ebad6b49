//! Network namespaces: made, opened, entered and removed. Named ones are bind mounts under
//! /run/netns, where the usual tools find them.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

use crate::error::KernelError;

/// Where named namespaces are.
pub const FOLDER: &str = "/run/netns";
const OWN: &str = "/proc/thread-self/ns/net";

/// An open network namespace. It lives at least as long as this value.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: String,
    file: Arc<OwnedFd>,
}

impl Namespace {
    /// Makes a named namespace. The caller removes it with [`Namespace::delete`].
    ///
    /// # Errors
    /// When the name is taken or no plain file name, or the kernel refuses (needs CAP_SYS_ADMIN).
    pub fn create(name: &str) -> Result<Namespace, KernelError> {
        let path = path_of(name)?;
        prepare_folder()?;
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o444)
            .open(&path)
            .map_err(|error| KernelError::io(format!("make {}", path.display()), error))?;
        let made = on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .map_err(|errno| KernelError::io("make a network namespace", errno))?;
            mount(
                Some(OWN),
                &path,
                None::<&str>,
                MsFlags::MS_BIND,
                None::<&str>,
            )
            .map_err(|errno| {
                KernelError::io(format!("mount the namespace at {}", path.display()), errno)
            })
        });
        if let Err(error) = made {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Namespace::open(name)
    }

    /// Opens a named namespace.
    ///
    /// # Errors
    /// [`KernelError::NoNamespace`] when there is none of that name.
    pub fn open(name: &str) -> Result<Namespace, KernelError> {
        open(&path_of(name)?, name)
    }

    /// Opens the namespace of a process.
    ///
    /// # Errors
    /// [`KernelError::NoNamespace`] when there is no such process.
    pub fn open_pid(pid: u32) -> Result<Namespace, KernelError> {
        open(
            Path::new(&format!("/proc/{pid}/ns/net")),
            &format!("of process {pid}"),
        )
    }

    /// Opens the namespace that the calling thread is in.
    ///
    /// # Errors
    /// When /proc is not there.
    pub fn open_current() -> Result<Namespace, KernelError> {
        open(Path::new(OWN), "of this thread")
    }

    /// Removes a named namespace. It is gone for the kernel when nothing uses it any more. One that
    /// is already gone is no error.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn delete(name: &str) -> Result<(), KernelError> {
        let path = path_of(name)?;
        match umount2(&path, MntFlags::MNT_DETACH) {
            // EINVAL: left unmounted by a crash between making the file and mounting it.
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(errno) => {
                return Err(KernelError::io(
                    format!("unmount {}", path.display()),
                    errno,
                ));
            }
        }
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(KernelError::io(format!("remove {}", path.display()), error)),
        }
    }

    /// The names of all named namespaces, in order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list() -> Result<Vec<String>, KernelError> {
        let entries = match fs::read_dir(FOLDER) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(KernelError::io(format!("read {FOLDER}"), error)),
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Its name; for one opened without a name, a description.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The open file, for `IFLA_NET_NS_FD`.
    pub fn as_raw_fd(&self) -> i32 {
        self.file.as_raw_fd()
    }

    /// Moves the calling thread into the namespace, for good.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn enter_current_thread(&self) -> Result<(), KernelError> {
        setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(|errno| {
            KernelError::io(format!("enter the network namespace {}", self.name), errno)
        })
    }

    /// Runs a function on a new thread inside the namespace and returns what it returns. Sockets
    /// made there stay in the namespace, wherever they are used.
    ///
    /// # Panics
    /// When the namespace cannot be entered, which an open one always can with CAP_SYS_ADMIN, and
    /// when the function panics.
    pub fn run<T: Send>(&self, function: impl FnOnce() -> T + Send) -> T {
        on_thread(|| {
            self.enter_current_thread()
                .expect("an open namespace can be entered");
            function()
        })
    }

    /// What a child process does between fork and exec to start inside the namespace.
    ///
    /// # Errors
    /// When the namespace's file cannot be duplicated.
    pub fn enter_hook(
        &self,
    ) -> Result<impl Fn() -> io::Result<()> + Send + Sync + 'static, KernelError> {
        let file = self
            .file
            .try_clone()
            .map_err(|error| KernelError::io("duplicate the namespace's file", error))?;
        Ok(move || setns(file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(io::Error::from))
    }

    /// Whether both are the same namespace.
    pub fn is_same(&self, other: &Namespace) -> bool {
        let identity =
            |fd: &OwnedFd| nix::sys::stat::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
        matches!((identity(&self.file), identity(&other.file)), (Ok(a), Ok(b)) if a == b)
    }
}

fn path_of(name: &str) -> Result<PathBuf, KernelError> {
    let is_plain = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']);
    is_plain
        .then(|| Path::new(FOLDER).join(name))
        .ok_or_else(|| KernelError::NoNamespace(name.to_owned()))
}

fn open(path: &Path, name: &str) -> Result<Namespace, KernelError> {
    let file = File::open(path).map_err(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            KernelError::NoNamespace(name.to_owned())
        } else {
            KernelError::io(format!("open {}", path.display()), error)
        }
    })?;
    Ok(Namespace {
        name: name.to_owned(),
        file: Arc::new(file.into()),
    })
}

// The folder is a shared mount point of its own, so that namespaces made here are seen in other
// mount namespaces and the other way round.
fn prepare_folder() -> Result<(), KernelError> {
    fs::create_dir_all(FOLDER).map_err(|error| KernelError::io(format!("make {FOLDER}"), error))?;
    let share = || {
        let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
        mount(Some(""), FOLDER, Some("none"), flags, None::<&str>)
    };
    let shared = match share() {
        Err(Errno::EINVAL) => {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(FOLDER), FOLDER, Some("none"), flags, None::<&str>).and_then(|()| share())
        }
        other => other,
    };
    shared.map_err(|errno| KernelError::io(format!("make {FOLDER} a shared mount"), errno))
}

fn on_thread<T: Send>(function: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".to_owned());
        let handle = thread
            .spawn_scoped(scope, function)
            .expect("a thread can be started");
        handle
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        for name in ["", ".", "..", "a/b", "../etc", "a\0b"] {
            assert!(
                matches!(Namespace::open(name), Err(KernelError::NoNamespace(_))),
                "{name:?}"
            );
            assert!(Namespace::delete(name).is_err(), "{name:?}");
        }
    }
}
