//! One connection to the server: TCP, TLS with the pinned CA, HTTP/2.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use api::sync::MAX_MESSAGE_BYTES;
use api::sync::proto::gateway_sync_client::GatewaySyncClient;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::identity::{Identity, PinnedCa, ServerVerifier};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A server that says nothing for interval and limit together is gone.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
const KEEPALIVE_LIMIT: Duration = Duration::from_secs(10);
/// The name that TLS asks for; the verifier does not compare it.
const SERVER_NAME: &str = "peerway-server";

/// Why there is no connection to the server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing answers there.
    #[error("cannot reach the server at {address}")]
    Reach {
        /// The server's address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// What answers is not the server that issued the join string.
    #[error(
        "{address} is not the server of this gateway: its certificate is not from the CA {fingerprint}; \
         check the address, or make a new join string"
    )]
    WrongServer {
        /// The address.
        address: String,
        /// The fingerprint of the expected CA, hexadecimal.
        fingerprint: String,
        /// What TLS says.
        source: io::Error,
    },
    /// TLS cannot be set up on this side.
    #[error("the gateway's TLS identity cannot be used")]
    Identity(#[from] rustls::Error),
    /// TLS or HTTP/2 could not be agreed upon.
    #[error("no usable connection to the server at {address}")]
    Negotiate {
        /// The server's address.
        address: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A connection to the right server.
pub(crate) struct Connected {
    pub(crate) client: GatewaySyncClient<Channel>,
    /// The certificate of the CA that vouches for the server.
    pub(crate) ca: CertificateDer<'static>,
}

/// Connects to the server.
///
/// # Errors
/// [`ConnectError`].
pub(crate) async fn connect(
    address: &str,
    pin: &PinnedCa,
    identity: &Identity,
) -> Result<Connected, ConnectError> {
    let verifier = Arc::new(ServerVerifier::new(pin.clone()));
    let config = Arc::new(identity.client_config(verifier.clone())?);
    let reach = |source| ConnectError::Reach {
        address: address.to_owned(),
        source,
    };
    let tcp = limited(TcpStream::connect(address)).await.map_err(reach)?;
    tcp.set_nodelay(true).map_err(reach)?;
    let name = ServerName::try_from(SERVER_NAME).expect("the constant is a DNS name");
    let tls = limited(TlsConnector::from(config).connect(name, tcp)).await;
    let tls = tls.map_err(|source| tls_error(address, pin, source))?;
    let ca = verifier
        .accepted_ca()
        .cloned()
        .expect("a finished handshake has verified the server");
    let negotiate = |source| ConnectError::Negotiate {
        address: address.to_owned(),
        source,
    };
    let channel = channel(tls).await.map_err(negotiate)?;
    let client = GatewaySyncClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Ok(Connected { client, ca })
}

async fn limited<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let outcome = tokio::time::timeout(CONNECT_LIMIT, work).await;
    outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn tls_error(address: &str, pin: &PinnedCa, source: io::Error) -> ConnectError {
    let address = address.to_owned();
    let cause = source
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InvalidCertificate(_)) = cause {
        let fingerprint = pin
            .fingerprint()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        return ConnectError::WrongServer {
            address,
            fingerprint,
            source,
        };
    }
    ConnectError::Negotiate {
        address,
        source: source.into(),
    }
}

/// HTTP/2 over one established stream. When the stream ends, the channel does not make a new one:
/// every connection goes through the pinning above.
async fn channel(
    tls: tokio_rustls::client::TlsStream<TcpStream>,
) -> Result<Channel, Box<dyn std::error::Error + Send + Sync>> {
    let mut stream = Some(TokioIo::new(tls));
    let connector = tower::service_fn(move |_: Uri| {
        let stream = stream.take();
        async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)) }
    });
    // The scheme is what tonic takes for "the connector does TLS itself".
    let endpoint = Endpoint::from_static("http://peerway-server")
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_LIMIT)
        .keep_alive_while_idle(true)
        .connect_timeout(CONNECT_LIMIT);
    Ok(endpoint.connect_with_connector(connector).await?)
}
