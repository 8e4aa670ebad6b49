//! A client of the API that signs like the vendor's SDKs and trusts one CA.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api::tencent::signature::PATH;
use api::tencent::{Method, Parameters, SignedRequest, sign};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The host that the vendor's SDKs believe in.
pub const HOST: &str = "vpc.api.qcloud.com";

/// Whose requests are sent.
#[derive(Clone)]
pub struct Caller {
    pub secret_id: String,
    pub secret_key: String,
}

impl Caller {
    pub fn new(secret_id: &str, secret_key: &str) -> Caller {
        Caller {
            secret_id: secret_id.to_owned(),
            secret_key: secret_key.to_owned(),
        }
    }

    /// The parameters of a call, unsigned.
    pub fn parameters(
        &self,
        now_secs: i64,
        region: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let (timestamp, nonce) = (now_secs.to_string(), rand::random::<u32>().to_string());
        let common = [
            ("Action", action),
            ("Region", region),
            ("Timestamp", &timestamp),
            ("Nonce", &nonce),
            ("SecretId", &self.secret_id),
        ];
        let all = common.iter().chain(parameters);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// Adds the signature.
    pub fn sign(
        &self,
        method: Method,
        mut parameters: Vec<(String, String)>,
    ) -> Vec<(String, String)> {
        let all: Parameters = parameters.iter().cloned().collect();
        let request = SignedRequest {
            method,
            host: HOST,
            path: PATH,
            parameters: &all,
        };
        let signature = sign(&request, self.secret_key.as_bytes());
        parameters.push(("Signature".to_owned(), signature));
        parameters
    }
}

/// The form encoding of parameters.
pub fn form(parameters: &[(String, String)]) -> String {
    let all: Parameters = parameters.iter().cloned().collect();
    all.to_form()
}

/// An answer with its envelope.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn read(answer: Response<hyper::body::Incoming>) -> Answer {
        let (head, body) = answer.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

pub struct Client {
    address: SocketAddr,
    tls: Arc<rustls::ClientConfig>,
}

impl Client {
    pub fn new(address: SocketAddr, ca: &Path) -> Client {
        Client {
            address,
            tls: Arc::new(trusting(ca).with_no_client_auth()),
        }
    }

    /// Calls an action with a signed GET.
    pub async fn call(
        &self,
        caller: &Caller,
        now_secs: i64,
        region: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Value {
        let parameters = caller.parameters(now_secs, region, action, parameters);
        self.get(&caller.sign(Method::Get, parameters)).await.json()
    }

    /// Sends parameters by GET as they are.
    pub async fn get(&self, parameters: &[(String, String)]) -> Answer {
        let target = format!("{PATH}?{}", form(parameters));
        self.send(Request::get(target), Bytes::new()).await
    }

    pub async fn send(&self, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
        self.send_whole(request.header("host", HOST), body).await
    }

    /// Sends a request that has its host already.
    pub async fn send_whole(
        &self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Answer {
        let request = request.body(Full::new(body.into())).unwrap();
        let stream = TokioIo::new(self.connect(&[]).await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Answer::read(sender.send_request(request).await.unwrap()).await
    }

    /// Sends one GET over HTTP/2.
    pub async fn get_http2(&self, parameters: &[(String, String)]) -> Answer {
        let stream = TokioIo::new(self.connect(&[b"h2"]).await);
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
                .await
                .unwrap();
        tokio::spawn(connection);
        let target = format!("https://{HOST}{PATH}?{}", form(parameters));
        let request = Request::get(target).body(Full::new(Bytes::new())).unwrap();
        Answer::read(sender.send_request(request).await.unwrap()).await
    }

    /// A TLS connection, with nothing sent on it.
    pub async fn connect(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut tls = rustls::ClientConfig::clone(&self.tls);
        tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(HOST).unwrap();
        TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await
            .unwrap()
    }
}

/// TLS that trusts one CA file.
pub fn trusting(
    ca: &Path,
) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    rustls::ClientConfig::builder_with_details(provider, Arc::new(StandingTime))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
}

/// The clock that servers under test start with, so that their certificates are valid.
#[derive(Debug)]
struct StandingTime;

impl TimeProvider for StandingTime {
    fn current_time(&self) -> Option<UnixTime> {
        let secs = crate::bed::START.secs().unsigned_abs();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(secs)))
    }
}
