//! Sealing of secret keys at rest: AES-256-GCM under the server's master key.
//!
//! A sealed secret is 12 bytes of random nonce, then the ciphertext with its 16-byte tag. The
//! additional data is the secret id, so that a sealed secret moved to another record does not open.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use model::SealedSecret;
use zeroize::{Zeroize, Zeroizing};

/// A secret that cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealing failed: no random bytes, or too long a text.
    #[error("the secret cannot be sealed")]
    Seal,
    /// Sealed under another master key, for another id, or damaged.
    #[error("the sealed secret does not open under this master key")]
    Open,
}

/// A master key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// Reading or creating it failed.
    #[error("the master key file `{}` cannot be read or created", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not 64 hexadecimal digits.
    #[error("`{}` does not hold a master key (64 hexadecimal digits)", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Others than the owner may read it.
    #[error(
        "`{}` has mode {mode:04o} and can be read by others; run `chmod 600` on it",
        path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// There are no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// A text that is not printed and that leaves no copy in memory when it is dropped.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The bytes. Whoever copies them is responsible for the copy.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Secret(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The key that seals the secret keys of all accounts. All servers of a deployment share it.
pub struct MasterKey(LessSafeKey);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// Makes a master key from its 32 bytes.
    pub fn new(bytes: &[u8; 32]) -> MasterKey {
        let key = UnboundKey::new(&AES_256_GCM, bytes).expect("the key has the algorithm's length");
        MasterKey(LessSafeKey::new(key))
    }

    /// Reads the master key from a file of 64 hexadecimal digits, or creates the file with a new
    /// one, readable for its owner only. Two processes that create it at once end with the same.
    ///
    /// # Errors
    /// [`MasterKeyError`].
    pub fn load_or_create(path: &Path) -> Result<MasterKey, MasterKeyError> {
        let failed = |source| MasterKeyError::File {
            path: path.to_owned(),
            source,
        };
        match fs::metadata(path) {
            Ok(metadata) => {
                let mode = metadata.permissions().mode() & 0o7777;
                if mode & 0o077 != 0 {
                    let path = path.to_owned();
                    return Err(MasterKeyError::Permissions { path, mode });
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(error) => return Err(failed(error)),
        }
        let text = Zeroizing::new(fs::read(path).map_err(failed)?);
        let bytes = parse_hex(&text).ok_or_else(|| MasterKeyError::Malformed {
            path: path.to_owned(),
        })?;
        Ok(MasterKey::new(&bytes))
    }

    /// Seals a secret; `id` is the secret id that it belongs to.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn seal(&self, secret: &[u8], id: &str) -> Result<SealedSecret, SealError> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| SealError::Seal)?;
        let mut text = secret.to_vec();
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(id),
                &mut text,
            )
            .map_err(|_| {
                text.zeroize();
                SealError::Seal
            })?;
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&text);
        sealed.extend_from_slice(tag.as_ref());
        Ok(SealedSecret(sealed))
    }

    /// Opens what [`MasterKey::seal`] made for the same id.
    ///
    /// # Errors
    /// [`SealError::Open`].
    pub fn open(&self, sealed: &SealedSecret, id: &str) -> Result<Secret, SealError> {
        let (nonce, text) = sealed
            .0
            .split_first_chunk::<NONCE_LEN>()
            .ok_or(SealError::Open)?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self
            .0
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(id),
                &mut text,
            )
            .map_err(|_| SealError::Open)?
            .len();
        text.truncate(length);
        Ok(Secret(text))
    }
}

// Written beside its place and linked to it, so that the file is never seen half written and an
// existing one is never replaced.
fn create(path: &Path) -> Result<(), MasterKeyError> {
    let failed = |source| MasterKeyError::File {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *bytes).map_err(|_| MasterKeyError::Random)?;
    let text: Zeroizing<String> =
        Zeroizing::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    let unfinished = path.with_added_extension(format!("{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        })
        .and_then(|()| match fs::hard_link(&unfinished, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let removed = fs::remove_file(&unfinished);
    written.and(removed).map_err(failed)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

fn parse_hex(text: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let text = text.trim_ascii_end();
    if text.len() != 64 {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |character: u8| char::from(character).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_for_its_own_id_only() {
        let key = MasterKey::new(&[7; 32]);
        let sealed = key
            .seal(b"Gu5t9xGARNpq86cd98joQYCN3Cozk1qA", "AKIDone")
            .unwrap();
        let opened = key.open(&sealed, "AKIDone").unwrap();
        assert_eq!(opened.expose(), b"Gu5t9xGARNpq86cd98joQYCN3Cozk1qA");
        assert_eq!(key.open(&sealed, "AKIDtwo").unwrap_err(), SealError::Open);
        let other = MasterKey::new(&[8; 32]);
        assert_eq!(other.open(&sealed, "AKIDone").unwrap_err(), SealError::Open);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let key = MasterKey::new(&[7; 32]);
        let sealed = key.seal(b"secret", "id").unwrap();
        for index in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[index] ^= 1;
            assert_eq!(key.open(&changed, "id").unwrap_err(), SealError::Open);
        }
        for length in 0..sealed.0.len() {
            let cut = SealedSecret(sealed.0[..length].to_vec());
            assert_eq!(key.open(&cut, "id").unwrap_err(), SealError::Open);
        }
    }

    #[test]
    fn the_same_secret_is_sealed_differently_each_time() {
        let key = MasterKey::new(&[7; 32]);
        assert_ne!(key.seal(b"secret", "id"), key.seal(b"secret", "id"));
    }

    #[test]
    fn the_file_is_created_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let sealed = MasterKey::load_or_create(&path)
            .unwrap()
            .seal(b"secret", "id")
            .unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        let again = MasterKey::load_or_create(&path).unwrap();
        assert_eq!(again.open(&sealed, "id").unwrap().expose(), b"secret");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_that_others_can_read_or_that_hold_no_key_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        fs::write(&path, "0".repeat(64)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            MasterKey::load_or_create(&path),
            Err(MasterKeyError::Permissions { mode: 0o640, .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "00", &"g".repeat(64), &"0".repeat(65)] {
            fs::write(&path, text).unwrap();
            assert!(matches!(
                MasterKey::load_or_create(&path),
                Err(MasterKeyError::Malformed { .. })
            ));
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let key = MasterKey::new(&[7; 32]);
        let secret = Secret::from(b"secret".to_vec());
        let sealed = key.seal(secret.expose(), "id").unwrap();
        let printed = format!("{key:?} {secret:?} {sealed:?}");
        assert_eq!(printed, "MasterKey Secret SealedSecret");
    }
}
