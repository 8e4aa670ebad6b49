//! The gateway's TLS identity, and how it knows the server.
//!
//! The gateway is known by its public key: a self-signed certificate carries it. The server is known
//! by its CA: at first by the fingerprint in the join string, afterwards by the certificate itself.

use std::fmt;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::state::{self, StateError, StateFolder};

/// The name in the gateway's certificate. Nobody checks it.
const CERTIFICATE_NAME: &str = "peerway-gateway";
/// HTTP/2 as TLS names it (RFC 9113, section 3.2).
const ALPN: &[u8] = b"h2";

/// The gateway's TLS key with its certificate. Printing it shows nothing.
#[derive(Clone)]
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// Reads the identity from the state folder, making it the first time.
    pub(crate) fn load_or_make(folder: &StateFolder) -> Result<Identity, StateError> {
        let key_text = folder.read_or_make(state::IDENTITY_KEY, || {
            rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
                .expect("drawing a P-256 key needs nothing but randomness")
                .serialize_pem()
        })?;
        let damaged = |error: &dyn fmt::Display| {
            folder.damaged(
                state::IDENTITY_KEY,
                format!("it is no PKCS #8 key ({error})"),
            )
        };
        let pair = rcgen::KeyPair::from_pem(&key_text).map_err(|error| damaged(&error))?;
        let key =
            PrivateKeyDer::from_pem_slice(key_text.as_bytes()).map_err(|error| damaged(&error))?;
        let certificate_text = folder.read_or_make(state::IDENTITY_CERTIFICATE, || {
            rcgen::CertificateParams::new(vec![CERTIFICATE_NAME.to_owned()])
                .and_then(|parameters| parameters.self_signed(&pair))
                .expect("a certificate with one constant name can be made")
                .pem()
        })?;
        let certificate =
            CertificateDer::from_pem_slice(certificate_text.as_bytes()).map_err(|error| {
                folder.damaged(
                    state::IDENTITY_CERTIFICATE,
                    format!("it is no PEM certificate ({error})"),
                )
            })?;
        Ok(Identity {
            certificate,
            key: Arc::new(key),
        })
    }

    /// The TLS configuration to talk to the server that the verifier accepts.
    pub(crate) fn client_config(
        &self,
        verifier: Arc<ServerVerifier>,
    ) -> Result<ClientConfig, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(verifier.provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}

/// What is known of the server's CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PinnedCa {
    /// The SHA-256 of its certificate (DER), from a join string.
    Fingerprint([u8; 32]),
    /// Its certificate, from an earlier connection.
    Certificate(CertificateDer<'static>),
}

impl PinnedCa {
    /// Reads the certificate that an earlier connection left.
    pub(crate) fn load(folder: &StateFolder) -> Result<Option<PinnedCa>, StateError> {
        let Some(text) = folder.read(state::CA)? else {
            return Ok(None);
        };
        CertificateDer::from_pem_slice(text.as_bytes())
            .map(|certificate| Some(PinnedCa::Certificate(certificate)))
            .map_err(|error| {
                folder.damaged(state::CA, format!("it is no PEM certificate ({error})"))
            })
    }

    /// The SHA-256 of the CA's certificate (DER).
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        match self {
            PinnedCa::Fingerprint(fingerprint) => *fingerprint,
            PinnedCa::Certificate(certificate) => sha256(certificate),
        }
    }
}

/// A certificate as PEM (RFC 7468).
pub(crate) fn to_pem(certificate: &CertificateDer<'_>) -> String {
    let encoded = STANDARD.encode(certificate);
    let lines = encoded
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line) + "\n");
    let body: String = lines.collect();
    format!("-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest
        .as_ref()
        .try_into()
        .expect("a SHA-256 digest has 32 bytes")
}

/// Accepts exactly the servers whose certificate the pinned CA issued.
///
/// The name in the certificate is not compared with the address: the CA belongs to this deployment
/// alone and issues certificates to its servers alone, so any of them is the right one, by whatever
/// address, tunnel or load balancer it was reached. An address in a join string is often a bare IP.
#[derive(Debug)]
pub(crate) struct ServerVerifier {
    pin: PinnedCa,
    provider: Arc<CryptoProvider>,
    accepted: OnceLock<CertificateDer<'static>>,
}

impl ServerVerifier {
    pub(crate) fn new(pin: PinnedCa) -> ServerVerifier {
        ServerVerifier {
            pin,
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            accepted: OnceLock::new(),
        }
    }

    /// The CA's certificate, once a server was accepted.
    pub(crate) fn accepted_ca(&self) -> Option<&CertificateDer<'static>> {
        self.accepted.get()
    }

    fn find_ca<'a>(&'a self, chain: &'a [CertificateDer<'a>]) -> Option<&'a CertificateDer<'a>> {
        match &self.pin {
            PinnedCa::Certificate(certificate) => Some(certificate),
            PinnedCa::Fingerprint(pinned) => chain
                .iter()
                .find(|certificate| sha256(certificate) == *pinned),
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let ca = self.find_ca(intermediates).ok_or(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        self.accepted.get_or_init(|| ca.clone().into_owned());
        Ok(ServerCertVerified::assertion())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestCa;

    fn verify(
        pin: PinnedCa,
        chain: &[CertificateDer<'_>],
    ) -> Result<ServerVerifier, rustls::Error> {
        let verifier = ServerVerifier::new(pin);
        let name = ServerName::try_from("anything.example").unwrap();
        verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now())?;
        Ok(verifier)
    }

    #[test]
    fn a_chain_to_the_pinned_ca_is_accepted_and_the_ca_remembered() {
        let ca = TestCa::new();
        let (leaf, _) = ca.issue();
        let chain = [leaf.clone(), ca.certificate()];
        let verifier = verify(PinnedCa::Fingerprint(sha256(&ca.certificate())), &chain).unwrap();
        assert_eq!(verifier.accepted_ca(), Some(&ca.certificate()));
        verify(PinnedCa::Certificate(ca.certificate()), &[leaf]).unwrap();
    }

    #[test]
    fn another_ca_and_a_ca_that_did_not_issue_the_leaf_are_refused() {
        let (ca, other) = (TestCa::new(), TestCa::new());
        let (leaf, _) = ca.issue();
        let pin = PinnedCa::Fingerprint(sha256(&other.certificate()));
        verify(pin.clone(), &[leaf.clone(), ca.certificate()]).unwrap_err();
        // The pinned CA is public, so anyone can put it beside a leaf of their own.
        verify(pin, &[leaf.clone(), other.certificate()]).unwrap_err();
        verify(PinnedCa::Certificate(other.certificate()), &[leaf]).unwrap_err();
    }

    #[test]
    fn a_fingerprint_of_the_leaf_pins_nothing() {
        let ca = TestCa::new();
        let (leaf, _) = ca.issue();
        let pin = PinnedCa::Fingerprint(sha256(&leaf));
        verify(pin, &[leaf, ca.certificate()]).unwrap_err();
    }

    #[test]
    fn the_identity_stays_the_same_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let load = || Identity::load_or_make(&StateFolder::open(folder.path()).unwrap()).unwrap();
        assert_eq!(load().certificate, load().certificate);
    }

    #[test]
    fn certificates_survive_their_text_form() {
        let certificate = TestCa::new().certificate();
        let parsed = CertificateDer::from_pem_slice(to_pem(&certificate).as_bytes()).unwrap();
        assert_eq!(parsed, certificate);
    }
}
