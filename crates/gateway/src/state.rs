//! The state folder: what a gateway remembers between runs, so that it forwards without a server.
//!
//! The folder has mode 0700 and every file 0600. A file is replaced as a whole: written beside the
//! old one, flushed, renamed over it, and the folder flushed, so that a crash leaves the old or the
//! new content. A lock keeps a second gateway out; the kernel drops it with the process.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::fcntl::{Flock, FlockArg};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The certificate of the deployment's CA, PEM.
pub(crate) const CA: &str = "ca.pem";
/// The TLS client key, PKCS #8 PEM.
pub(crate) const IDENTITY_KEY: &str = "identity.key";
/// The TLS client certificate, PEM.
pub(crate) const IDENTITY_CERTIFICATE: &str = "identity.pem";
/// The owner id of everything that this gateway makes in the kernel.
pub(crate) const INSTANCE: &str = "instance";
/// The tunnel's private key, 32 bytes as base64, the form of `wg genkey`.
pub(crate) const TUNNEL_KEY: &str = "tunnel.key";
/// The server's address, `host:port`.
pub(crate) const SERVER: &str = "server";
/// Id and region that the server gave, JSON. Its presence says that the gateway has joined.
pub(crate) const GATEWAY: &str = "gateway";
/// The last desired slice, JSON.
pub(crate) const SLICE: &str = "slice.json";
/// The attachments, JSON.
pub(crate) const ATTACHMENTS: &str = "attachments.json";
/// Where the names of other gateways led last, JSON.
pub(crate) const ENDPOINTS: &str = "endpoints.json";
const LOCK: &str = "lock";
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another process uses it.
    #[error("another gateway runs on the state folder {}; stop it or use another folder", .0.display())]
    Locked(PathBuf),
    /// The folder does not exist.
    #[error("there is no state folder {}", .0.display())]
    Absent(PathBuf),
    /// A file could not be read, written or made.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A file has a content that no gateway wrote.
    #[error("{} is damaged: {reason}; restore it, or remove it to start without what it holds", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// An opened and locked state folder.
#[derive(Debug)]
pub struct StateFolder {
    path: PathBuf,
    // Held while something is written, so that nothing is after the lock is given up.
    lock: Mutex<Option<Flock<File>>>,
}

impl StateFolder {
    /// Opens the folder, making it when it is not there, and locks it.
    ///
    /// # Errors
    /// [`StateError::Locked`] while another process has it, [`StateError::Io`].
    pub fn open(path: &Path) -> Result<StateFolder, StateError> {
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)
            .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(FOLDER_MODE)))
            .map_err(failed("make", path))?;
        StateFolder::lock(path)
    }

    /// Opens and locks a folder that is there already.
    ///
    /// # Errors
    /// [`StateError::Absent`], and as for [`StateFolder::open`].
    pub fn open_existing(path: &Path) -> Result<StateFolder, StateError> {
        if !path.is_dir() {
            return Err(StateError::Absent(path.to_owned()));
        }
        StateFolder::lock(path)
    }

    fn lock(path: &Path) -> Result<StateFolder, StateError> {
        let lock_path = path.join(LOCK);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(FILE_MODE)
            .open(&lock_path)
            .map_err(failed("open", &lock_path))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
            if errno == nix::errno::Errno::EWOULDBLOCK {
                StateError::Locked(path.to_owned())
            } else {
                StateError::Io {
                    action: "lock",
                    path: lock_path,
                    source: errno.into(),
                }
            }
        })?;
        Ok(StateFolder {
            path: path.to_owned(),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Gives the lock up. Nothing can be written any more; whoever still holds the folder may read.
    pub(crate) fn release(&self) {
        self.guard().take();
    }

    // The lock is whole at every point, also after a panic elsewhere.
    fn guard(&self) -> MutexGuard<'_, Option<Flock<File>>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text of a file, or `None` when it is not there.
    pub(crate) fn read(&self, name: &str) -> Result<Option<String>, StateError> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::Io {
                action: "read",
                path,
                source,
            }),
        }
    }

    /// Replaces a file as a whole.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), StateError> {
        let path = self.path.join(name);
        let fresh = self.path.join(format!("{name}.new"));
        let lock = self.guard();
        let write = || {
            if lock.is_none() {
                return Err(io::Error::other("the gateway has stopped"));
            }
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(FILE_MODE)
                .open(&fresh)?;
            file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(failed("write", &path))
    }

    /// Removes a file; one that is not there is no error.
    pub(crate) fn remove(&self, name: &str) -> Result<(), StateError> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StateError::Io {
                action: "remove",
                path,
                source: error,
            }),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The value of a JSON file, or `None` when it is not there.
    pub(crate) fn read_json<T: DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<T>, StateError> {
        let Some(text) = self.read(name)? else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| self.damaged(name, error.to_string()))
    }

    /// Replaces a JSON file as a whole.
    pub(crate) fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let mut text = serde_json::to_vec_pretty(value).expect("records have text keys");
        text.push(b'\n');
        self.write(name, &text)
    }

    /// The text of a file without white space around it; made by `make` when the file is not there.
    pub(crate) fn read_or_make(
        &self,
        name: &str,
        make: impl FnOnce() -> String,
    ) -> Result<String, StateError> {
        if let Some(text) = self.read(name)? {
            return Ok(text.trim().to_owned());
        }
        let text = make();
        self.write(name, format!("{text}\n").as_bytes())?;
        Ok(text)
    }

    /// The error for a file whose content makes no sense.
    pub(crate) fn damaged(&self, name: &str, reason: String) -> StateError {
        StateError::Damaged {
            path: self.path.join(name),
            reason,
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    move |source| StateError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_second_gateway_is_kept_out_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateFolder::open(folder.path()).unwrap();
        let refused = StateFolder::open(folder.path()).unwrap_err();
        assert!(matches!(refused, StateError::Locked(_)), "{refused}");
        drop(first);
        StateFolder::open(folder.path()).unwrap();
    }

    #[test]
    fn folder_and_files_are_for_the_owner_only() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let state = StateFolder::open(&path).unwrap();
        state.write("secret", b"x").unwrap();
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("secret")), 0o600);
        assert_eq!(mode(&path.join("lock")), 0o600);
    }

    #[test]
    fn a_torn_write_leaves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(folder.path()).unwrap();
        state.write("file", b"old").unwrap();
        // What a crash before the rename leaves.
        fs::write(folder.path().join("file.new"), b"ha").unwrap();
        fs::set_permissions(
            folder.path().join("file.new"),
            fs::Permissions::from_mode(0o644),
        )
        .unwrap();
        assert_eq!(state.read("file").unwrap().as_deref(), Some("old"));
        state.write("file", b"new").unwrap();
        assert_eq!(state.read("file").unwrap().as_deref(), Some("new"));
        assert_eq!(mode(&folder.path().join("file")), 0o600);
        assert!(!folder.path().join("file.new").exists());
    }

    #[test]
    fn a_failed_write_leaves_the_old_content_and_says_which_file() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(folder.path()).unwrap();
        state.write("file", b"old").unwrap();
        fs::create_dir(folder.path().join("file.new")).unwrap();
        let error = state.write("file", b"new").unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
        assert_eq!(state.read("file").unwrap().as_deref(), Some("old"));
    }

    #[test]
    fn nothing_is_written_after_the_lock_was_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateFolder::open(folder.path()).unwrap();
        first.write("file", b"old").unwrap();
        first.release();
        let second = StateFolder::open(folder.path()).unwrap();
        first.write("file", b"late").unwrap_err();
        assert_eq!(second.read("file").unwrap().as_deref(), Some("old"));
    }

    #[test]
    fn an_absent_folder_is_not_made_by_those_who_only_look() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("none");
        assert!(matches!(
            StateFolder::open_existing(&path),
            Err(StateError::Absent(_))
        ));
        assert!(!path.exists());
    }
}
