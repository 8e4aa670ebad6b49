//! The operator's socket: made for its owner only, removed with the server.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// The bound socket; its file is removed when it is dropped.
pub(crate) struct Socket {
    pub(super) listener: UnixListener,
    pub(super) file: SocketFile,
}

/// Why the socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody listens on it.
    #[error("another server listens on `{}`; stop it or choose another socket", .0.display())]
    InUse(PathBuf),
    /// There is something else in its place.
    #[error("`{}` is there and is no socket; remove it or choose another path", .0.display())]
    NoSocket(PathBuf),
    /// It cannot be made or replaced.
    #[error("the operator's socket `{}` cannot be made", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Socket {
    /// Makes the socket for its owner only, and its folder when it is not there. What a dead server
    /// left is replaced.
    ///
    /// # Errors
    /// [`BindError`].
    pub(crate) async fn bind(path: &Path) -> Result<Socket, BindError> {
        let failed = |source| BindError::Io {
            path: path.to_owned(),
            source,
        };
        if let Some(folder) = path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o755);
            builder.create(folder).map_err(failed)?;
        }
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(BindError::NoSocket(path.to_owned()));
            }
            Ok(_) => match UnixStream::connect(path).await {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Ok(_) => return Err(BindError::InUse(path.to_owned())),
                Err(error) => return Err(failed(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        // Bound beside its place and renamed when its mode is set: nobody can open it before.
        let unfinished = path.with_added_extension(std::process::id().to_string());
        let bound = UnixListener::bind(&unfinished).map_err(failed)?;
        let placed = fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600))
            .and_then(|()| fs::rename(&unfinished, path));
        if let Err(error) = placed {
            // The first error is the one to tell.
            let _ = fs::remove_file(&unfinished);
            return Err(failed(error));
        }
        Ok(Socket {
            listener: bound,
            file: SocketFile(path.to_owned()),
        })
    }
}

/// Removes the socket's file when it is dropped.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the operator's socket is not removed");
        }
    }
}
