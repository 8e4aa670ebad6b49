//! The deployment's CA, the server's certificate, and how gateways are known by theirs.
//!
//! The first start makes the CA. The server's certificate is issued anew at every start, so that it
//! carries the names in force and is never near its end; its key stays. Clients trust `ca.pem`;
//! gateways find it in the chain by the fingerprint in their join string. Gateways present
//! self-signed certificates: what counts is the key, whose possession the handshake proves.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use model::UnixMillis;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, ResolvesServerCert};
use rustls::{
    DigitallySignedStruct, DistinguishedName as IssuerName, ServerConfig, SignatureScheme,
};
use time::{Duration, OffsetDateTime};

/// The certificate of the CA, PEM, in the state folder.
pub const CA_FILE: &str = "ca.pem";
const CA_KEY_FILE: &str = "ca.key";
const SERVER_FILE: &str = "server.pem";
const SERVER_KEY_FILE: &str = "server.key";

/// The names that the server's certificate always carries: those of the vendor's own service among
/// them, for clients whose host name cannot be changed.
const STANDING_NAMES: [&str; 9] = [
    "localhost",
    "127.0.0.1",
    "::1",
    "vpc.api.qcloud.com",
    "vpc.tencentcloudapi.com",
    "cam.tencentcloudapi.com",
    "cvm.tencentcloudapi.com",
    "sts.tencentcloudapi.com",
    "tag.tencentcloudapi.com",
];

/// What the public API speaks, the preferred first.
const PUBLIC_PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

const CA_LIFETIME_DAYS: i64 = 20 * 365;
// Some clients refuse certificates of more than 825 days.
const SERVER_LIFETIME_DAYS: i64 = 800;

/// Why certificates cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("the file `{}` cannot be read or written", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no certificate or key.
    #[error("`{}` holds no {expected}; restore it", path.display())]
    Malformed {
        /// Which one.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
    },
    /// The CA's certificate is there and its key is not.
    #[error("`{}` is missing although `{CA_FILE}` is there; restore it", .0.display())]
    KeyMissing(PathBuf),
    /// A name is no DNS name and no address.
    #[error("`{0}` cannot be a name of the server's certificate")]
    Name(String),
    /// A certificate cannot be made.
    #[error("a certificate cannot be made")]
    Make(#[source] rcgen::Error),
    /// A certificate and its key cannot be used for TLS.
    #[error("the server's certificate cannot be used")]
    Use(#[source] rustls::Error),
}

/// The deployment's CA.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// What the server shows in handshakes: its certificate with the CA's behind it, and its key.
pub struct ServerIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Reads the CA of a state folder, or makes one.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load_or_create(state_dir: &Path, now: UnixMillis) -> Result<Authority, TlsError> {
        let (path, key_path) = (state_dir.join(CA_FILE), state_dir.join(CA_KEY_FILE));
        if path.try_exists().map_err(failed(&path))? {
            if !key_path.try_exists().map_err(failed(&key_path))? {
                return Err(TlsError::KeyMissing(key_path));
            }
        } else {
            // The certificate last: without it the next start begins again.
            let (certificate, key) = make_ca(now)?;
            write_private(&key_path, &key.serialize_pem())?;
            write_private(&path, &certificate.pem())?;
        }
        let malformed = |expected| TlsError::Malformed {
            path: path.clone(),
            expected,
        };
        let certificate =
            CertificateDer::from_pem_slice(&read(&path)?).map_err(|_| malformed("certificate"))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, read_key(&key_path)?)
            .map_err(|_| malformed("CA certificate"))?;
        Ok(Authority {
            certificate,
            issuer,
        })
    }

    /// SHA-256 of the CA's certificate, DER: what join strings carry.
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&self.certificate)
    }

    /// Issues the server's certificate for the standing names and more, and writes it beside its
    /// key, which is made when it is not there.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn issue(
        &self,
        state_dir: &Path,
        names: &[String],
        now: UnixMillis,
    ) -> Result<ServerIdentity, TlsError> {
        let (path, key_path) = (state_dir.join(SERVER_FILE), state_dir.join(SERVER_KEY_FILE));
        if !key_path.try_exists().map_err(failed(&key_path))? {
            let key = KeyPair::generate().map_err(TlsError::Make)?;
            write_private(&key_path, &key.serialize_pem())?;
        }
        let key = read_key(&key_path)?;
        let mut all: Vec<String> = STANDING_NAMES.map(str::to_owned).to_vec();
        for name in names {
            let name = name.to_ascii_lowercase();
            if !all.contains(&name) {
                all.push(name);
            }
        }
        for name in &all {
            CertificateParams::new([name.clone()]).map_err(|_| TlsError::Name(name.clone()))?;
        }
        let mut params = CertificateParams::new(all).map_err(TlsError::Make)?;
        params.distinguished_name = common_name("Peerway server");
        (params.not_before, params.not_after) = validity(now, SERVER_LIFETIME_DAYS);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(TlsError::Make)?;
        write_private(&path, &certificate.pem())?;
        Ok(ServerIdentity {
            chain: vec![certificate.der().clone(), self.certificate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}

impl ServerIdentity {
    /// TLS for the public API: no client certificates; HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// [`TlsError::Use`].
    pub fn public_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = self.config(None)?;
        config.alpn_protocols = PUBLIC_PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Arc::new(config))
    }

    /// TLS for gateways: any client certificate whose key the client holds; HTTP/2.
    ///
    /// # Errors
    /// [`TlsError::Use`].
    pub fn sync_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = self.config(Some(Arc::new(AnyKey::new())))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    fn config(
        &self,
        verifier: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Use)?;
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        builder
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(TlsError::Use)
    }
}

/// TLS for the public API with certificates from elsewhere.
///
/// # Errors
/// [`TlsError::Use`].
pub(crate) fn config_of(
    certificates: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Use)?;
    let mut config = builder
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = PUBLIC_PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

/// The host's addresses that others may reach it at, for a listener bound to an unspecified one.
pub(crate) fn host_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let addresses = interfaces.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    });
    let mut addresses: Vec<IpAddr> = addresses
        .filter(|address| match address {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
            // Link-local addresses mean nothing without a zone.
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        })
        .collect();
    addresses.dedup();
    addresses
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo (DER): the identity of a gateway. `None` when it
/// is no certificate.
pub fn identity_of(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    Some(sha256(&parsed.subject_public_key_info()))
}

/// Accepts every client certificate that can be parsed; who it belongs to is decided by its key.
/// A client without one is let in too: it cannot join, and is told so.
#[derive(Debug)]
struct AnyKey {
    provider: Arc<CryptoProvider>,
}

impl AnyKey {
    fn new() -> AnyKey {
        AnyKey {
            provider: provider(),
        }
    }
}

impl ClientCertVerifier for AnyKey {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[IssuerName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        ParsedCertificate::try_from(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn make_ca(now: UnixMillis) -> Result<(rcgen::Certificate, KeyPair), TlsError> {
    let key = KeyPair::generate().map_err(TlsError::Make)?;
    let mut params = CertificateParams::default();
    // Its key in the name keeps the CAs of two deployments apart in one trust store.
    let tag = sha256(key.public_key_raw());
    let name = format!("Peerway CA {:02x}{:02x}{:02x}", tag[0], tag[1], tag[2]);
    params.distinguished_name = common_name(&name);
    (params.not_before, params.not_after) = validity(now, CA_LIFETIME_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(TlsError::Make)?;
    Ok((certificate, key))
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

// From a day ago, for clients whose clock is behind.
fn validity(now: UnixMillis, days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::from_unix_timestamp(now.secs()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (now - Duration::days(1), now + Duration::days(days))
}

fn read_key(path: &Path) -> Result<KeyPair, TlsError> {
    let text = String::from_utf8(read(path)?).unwrap_or_default();
    KeyPair::from_pem(&text).map_err(|_| TlsError::Malformed {
        path: path.to_owned(),
        expected: "private key",
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(failed(path))
}

// Beside its place and renamed over it, so that nobody reads half a file.
fn write_private(path: &Path, text: &str) -> Result<(), TlsError> {
    let fresh = path.with_added_extension(format!("{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&fresh, path));
    written.map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> TlsError + use<> {
    let path = path.to_owned();
    move |source| TlsError::File { path, source }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest(&SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::ServerName;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn accepts(identity: &ServerIdentity, name: &str, at: UnixMillis) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(identity.chain[1].clone()).unwrap();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let secs = u64::try_from(at.secs()).unwrap();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(secs));
        verifier
            .unwrap()
            .verify_server_cert(&identity.chain[0], &[], &name, &[], at)
            .is_ok()
    }

    #[test]
    fn the_certificate_is_good_for_the_standing_and_the_given_names() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path(), NOW).unwrap();
        let names = ["API.example.net".to_owned(), "192.0.2.7".to_owned()];
        let identity = authority.issue(folder.path(), &names, NOW).unwrap();
        for name in [
            "vpc.api.qcloud.com",
            "::1",
            "localhost",
            "api.example.net",
            "192.0.2.7",
        ] {
            assert!(accepts(&identity, name, NOW), "{name}");
        }
        assert!(!accepts(&identity, "other.example.net", NOW));
        let years = std::time::Duration::from_secs(3 * 365 * 24 * 3600);
        assert!(!accepts(&identity, "localhost", NOW.after(years)));
    }

    #[test]
    fn the_next_start_has_the_same_ca_and_key_and_a_fresh_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::load_or_create(folder.path(), NOW).unwrap();
        let old = first.issue(folder.path(), &[], NOW).unwrap();
        let later = NOW.after(std::time::Duration::from_secs(3 * 365 * 24 * 3600));
        let second = Authority::load_or_create(folder.path(), later).unwrap();
        let new = second.issue(folder.path(), &[], later).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
        assert_eq!(old.key.secret_der(), new.key.secret_der());
        assert!(accepts(&new, "localhost", later));
    }

    #[test]
    fn everything_is_readable_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path(), NOW).unwrap();
        authority.issue(folder.path(), &[], NOW).unwrap();
        let mut names = Vec::new();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(
                entry.metadata().unwrap().permissions().mode() & 0o777,
                0o600
            );
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["ca.key", "ca.pem", "server.key", "server.pem"]);
    }

    #[test]
    fn a_ca_without_its_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        Authority::load_or_create(folder.path(), NOW).unwrap();
        fs::remove_file(folder.path().join(CA_KEY_FILE)).unwrap();
        let error = Authority::load_or_create(folder.path(), NOW).err().unwrap();
        assert!(matches!(error, TlsError::KeyMissing(_)), "{error}");
    }

    #[test]
    fn names_that_no_certificate_can_carry_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(folder.path(), NOW).unwrap();
        let error = authority
            .issue(folder.path(), &["n\u{e4}me".to_owned()], NOW)
            .err()
            .unwrap();
        assert!(matches!(error, TlsError::Name(_)), "{error}");
    }

    #[test]
    fn an_identity_follows_the_key_and_not_the_certificate() {
        let key = KeyPair::generate().unwrap();
        let certificate = |name: &str| {
            let params = CertificateParams::new([name.to_owned()]).unwrap();
            params.self_signed(&key).unwrap().der().clone()
        };
        let (one, two) = (certificate("one"), certificate("two"));
        assert_ne!(one, two);
        assert_eq!(identity_of(&one), identity_of(&two));
        let expected = sha256(&rcgen::PublicKeyData::subject_public_key_info(&key));
        assert_eq!(identity_of(&one), Some(expected));
        assert_eq!(identity_of(&CertificateDer::from(vec![0; 10])), None);
    }
}
