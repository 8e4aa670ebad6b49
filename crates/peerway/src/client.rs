//! A small client of the legacy API, and of API 3.0 where that says more: signs with version 1 and
//! speaks HTTPS to a server whose CA it is given. The demo, the tests and the load generator call with it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use api::tencent::parameters::Parameters;
use api::tencent::signature::{self, Method, SignedRequest};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

/// Opens a TCP connection to the server; a closure, so that it can do so in another namespace.
pub type Dial = Arc<dyn Fn() -> io::Result<std::net::TcpStream> + Send + Sync>;

/// What signs the requests.
#[derive(Clone)]
pub struct Credentials {
    /// The public half of the access key.
    pub secret_id: String,
    /// The secret half.
    pub secret_key: String,
}

/// An error that the API answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action}: {code} {code_desc}: {message}")]
pub struct ApiFailure {
    /// What was called.
    pub action: String,
    /// The number, not 0.
    pub code: i64,
    /// The symbolic code.
    pub code_desc: String,
    /// The text.
    pub message: String,
}

/// A client for one account.
pub struct V2Client {
    dial: Dial,
    tls: TlsConnector,
    host: String,
    credentials: Credentials,
    connection: Mutex<Option<SendRequest<Empty<Bytes>>>>,
}

impl V2Client {
    /// Prepares a client; nothing is sent yet. `host` is what the client believes it calls: it is
    /// sent as `Host`, signed, and checked against the server's certificate.
    ///
    /// # Errors
    /// When the CA file cannot be read.
    pub fn new(
        dial: Dial,
        host: &str,
        ca: &Path,
        credentials: Credentials,
    ) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let pem = CertificateDer::from_pem_file(ca)
            .with_context(|| format!("cannot read the CA certificate {}", ca.display()))?;
        roots.add(pem).context("the CA certificate is not usable")?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(V2Client {
            dial,
            tls: TlsConnector::from(Arc::new(config)),
            host: host.to_owned(),
            credentials,
            connection: Mutex::new(None),
        })
    }

    /// Calls an action with GET and returns the whole envelope.
    ///
    /// # Errors
    /// [`ApiFailure`] (inside the chain) when the API answered an error; otherwise what failed on
    /// the way.
    pub async fn call(
        &self,
        region: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<Value> {
        let query = self.query(region, action, parameters);
        let answer = self
            .answer(&format!("{}?{query}", signature::PATH), action)
            .await?;
        match answer["code"].as_i64() {
            Some(0) => Ok(answer),
            Some(code) => Err(ApiFailure {
                action: action.to_owned(),
                code,
                code_desc: answer["codeDesc"].as_str().unwrap_or_default().to_owned(),
                message: answer["message"].as_str().unwrap_or_default().to_owned(),
            }
            .into()),
            None => bail!("{action} answered without an integer code: {answer}"),
        }
    }

    /// Calls an action of API 3.0, where regions have their long names, and returns the members of
    /// its answer.
    ///
    /// # Errors
    /// What the API refused, or what failed on the way.
    pub async fn call_v3(
        &self,
        region: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<Value> {
        const PATH: &str = "/";

        let version = [("Version", "2017-03-12")];
        let parameters = [&version, parameters].concat();
        let query = self.signed(PATH, region, action, &parameters);
        let answer = self.answer(&format!("{PATH}?{query}"), action).await?;
        let members = &answer["Response"];
        match members["Error"]["Code"].as_str() {
            None if members.is_object() => Ok(members.clone()),
            None => bail!("{action} answered without a response: {answer}"),
            Some(code) => bail!("{action}: {code}: {}", members["Error"]["Message"]),
        }
    }

    async fn answer(&self, target: &str, action: &str) -> anyhow::Result<Value> {
        // The first try may meet a connection that the server has closed meanwhile.
        let body = match self.exchange(target).await {
            Ok(body) => body,
            Err(_) => self
                .exchange(target)
                .await
                .with_context(|| format!("calling {action}"))?,
        };
        serde_json::from_slice(&body).with_context(|| format!("{action} answered no JSON"))
    }

    /// The signed query string of a call, for people to copy.
    pub fn query(&self, region: &str, action: &str, parameters: &[(&str, &str)]) -> String {
        self.signed(signature::PATH, region, action, parameters)
    }

    fn signed(
        &self,
        path: &str,
        region: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let timestamp = now.to_string();
        let nonce = (rand::random::<u64>() >> 1).max(1).to_string();
        let common = [
            ("Action", action),
            ("Region", region),
            ("Timestamp", &timestamp),
            ("Nonce", &nonce),
            ("SecretId", &self.credentials.secret_id),
            ("SignatureMethod", "HmacSHA256"),
        ];
        let mut all = Parameters::default();
        for (name, value) in common.iter().chain(parameters) {
            all.push(*name, *value);
        }
        let request = SignedRequest {
            method: Method::Get,
            host: &self.host,
            path,
            parameters: &all,
        };
        let signature = signature::sign(&request, self.credentials.secret_key.as_bytes());
        all.push("Signature", signature);
        all.to_form()
    }

    async fn exchange(&self, target: &str) -> anyhow::Result<Bytes> {
        let mut slot = self.connection.lock().await;
        let mut sender = match slot.take() {
            Some(sender) if !sender.is_closed() => sender,
            Some(_) | None => self.connect().await?,
        };
        let request = hyper::Request::get(target)
            .header("host", &self.host)
            .body(Empty::<Bytes>::new())?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        if !response.status().is_success() {
            bail!("the server answered HTTP status {}", response.status());
        }
        let body = response.into_body().collect().await?.to_bytes();
        *slot = Some(sender);
        Ok(body)
    }

    async fn connect(&self) -> anyhow::Result<SendRequest<Empty<Bytes>>> {
        let dial = Arc::clone(&self.dial);
        let socket = tokio::task::spawn_blocking(move || dial())
            .await?
            .context("cannot connect")?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let socket = tokio::net::TcpStream::from_std(socket)?;
        let name = self
            .host
            .rsplit_once(':')
            .map_or(self.host.as_str(), |(name, _)| name);
        let name = ServerName::try_from(name.to_owned())?;
        let stream = self
            .tls
            .connect(name, socket)
            .await
            .context("TLS handshake failed")?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}
