//! A certificate of the operator's own for the public API, read again when its files change.
//!
//! Connections that are open keep the certificate that they began with; new ones get the new one. A
//! file that cannot be used is logged, and the certificate in force stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use crate::tls::{TlsError, provider};

/// How often the files are looked at.
const PERIOD: Duration = Duration::from_secs(2);

/// The files of a certificate, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those that lead from it to what clients trust.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// When a file was written, and how long it is: a change of either is a change of the file.
type Stamp = [Option<(SystemTime, u64)>; 2];

/// The certificate in force.
#[derive(Debug)]
pub(crate) struct OwnCertificate {
    files: CertificateFiles,
    current: ArcSwap<CertifiedKey>,
    seen: Mutex<Stamp>,
}

impl OwnCertificate {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] when they cannot be read, hold no certificate and key, or not of one pair.
    pub(crate) fn load(files: CertificateFiles) -> Result<Arc<OwnCertificate>, TlsError> {
        let seen = stamp(&files);
        Ok(Arc::new(OwnCertificate {
            current: ArcSwap::from_pointee(read(&files)?),
            files,
            seen: Mutex::new(seen),
        }))
    }

    /// Reads the files again if they have changed; `true` when another certificate is in force.
    ///
    /// # Errors
    /// As [`OwnCertificate::load`]; the same files are not complained about again.
    pub(crate) fn refresh(&self) -> Result<bool, TlsError> {
        let now = stamp(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return Ok(false);
        }
        *seen = now;
        self.current.store(Arc::new(read(&self.files)?));
        Ok(true)
    }

    /// Follows the files until `stop`.
    pub(crate) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut period = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                _ = period.tick() => {}
                () = stop.cancelled() => return,
            }
            match self.refresh() {
                Ok(true) => tracing::info!("the certificate of the API was read again"),
                Ok(false) => {}
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the certificate of the API cannot be read again; the old one stays"
                ),
            }
        }
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn stamp(files: &CertificateFiles) -> Stamp {
    [&files.certificate, &files.key].map(|path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    })
}

fn read(files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
    let text = |path: &Path| {
        fs::read(path).map_err(|source| TlsError::File {
            path: path.to_owned(),
            source,
        })
    };
    let malformed = |path: &Path, expected| TlsError::Malformed {
        path: path.to_owned(),
        expected,
    };
    let (certificate, key) = (text(&files.certificate)?, text(&files.key)?);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<_, _>>()
        .map_err(|_| malformed(&files.certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(malformed(&files.certificate, "certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| malformed(&files.key, "key"))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(TlsError::Use)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn write(files: &CertificateFiles, name: &str) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(&files.certificate, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    fn in_force(own: &OwnCertificate) -> CertificateDer<'static> {
        own.current.load().cert[0].clone()
    }

    #[test]
    fn changed_files_are_read_again_and_broken_ones_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            certificate: folder.path().join("own.pem"),
            key: folder.path().join("own.key"),
        };
        assert!(OwnCertificate::load(files.clone()).is_err());
        let first = write(&files, "one.example");
        let own = OwnCertificate::load(files.clone()).unwrap();
        assert_eq!(in_force(&own), first);
        assert!(!own.refresh().unwrap());
        let second = write(&files, "another-name.example");
        assert!(own.refresh().unwrap());
        assert_eq!(in_force(&own), second);
        fs::write(&files.key, "no key at all").unwrap();
        assert!(own.refresh().is_err());
        // It is said once.
        assert!(!own.refresh().unwrap());
        assert_eq!(in_force(&own), second);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let files = CertificateFiles {
            certificate: folder.path().join("own.pem"),
            key: folder.path().join("own.key"),
        };
        write(&files, "one.example");
        let other = KeyPair::generate().unwrap();
        fs::write(&files.key, other.serialize_pem()).unwrap();
        let error = OwnCertificate::load(files).unwrap_err();
        assert!(matches!(error, TlsError::Use(_)), "{error}");
    }
}
