//! The command line's side of the local socket.

use std::path::{Path, PathBuf};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use tokio::net::UnixStream;

use crate::attachment::{AttachReply, AttachRequest, AttachmentView};
use crate::control::{ErrorReply, PlanView};
use crate::status::GatewayStatus;

/// A status of ten thousand peerings takes a few MiB.
const MAX_REPLY_BYTES: usize = 64 << 20;

/// Why a local verb failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("no gateway listens on {}; is it running, and is this its socket?", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why it could not be opened.
        source: std::io::Error,
    },
    /// The connection broke, or the answer was not HTTP.
    #[error("the gateway did not answer")]
    Exchange(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The gateway refused.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        message: String,
    },
    /// The answer has another form than this software expects.
    #[error("the gateway's answer is not understood; does it run another version?")]
    Answer(#[source] serde_json::Error),
}

/// Talks to the gateway behind a local socket. Every call opens its own connection.
#[derive(Debug, Clone)]
pub struct Client {
    path: PathBuf,
}

impl Client {
    /// A client for the gateway that listens on this path.
    pub fn new(path: impl AsRef<Path>) -> Client {
        Client {
            path: path.as_ref().to_owned(),
        }
    }

    /// The gateway's state.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<GatewayStatus, ClientError> {
        self.get("/status").await
    }

    /// What the next reconcile would do.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn plan(&self) -> Result<PlanView, ClientError> {
        self.get("/plan").await
    }

    /// The attachments, by name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn attachments(&self) -> Result<BTreeMap<String, AttachmentView>, ClientError> {
        self.get("/attachments").await
    }

    /// Brings a host into a subnet; returns when that is done.
    ///
    /// # Errors
    /// [`ClientError`]; nothing is attached then.
    pub async fn attach(&self, request: &AttachRequest) -> Result<AttachReply, ClientError> {
        let reply = self
            .send(Method::POST, "/attachments", Some(request))
            .await?;
        serde_json::from_slice(&reply).map_err(ClientError::Answer)
    }

    /// Takes an attachment away; returns when that is done.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn detach(&self, name: &str) -> Result<(), ClientError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_plain) {
            let message = format!("`{name}` is not the name of an attachment");
            return Err(ClientError::Refused {
                status: 400,
                message,
            });
        }
        self.send::<()>(Method::DELETE, &format!("/attachments/{name}"), None)
            .await?;
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let reply = self.send::<()>(Method::GET, path, None).await?;
        serde_json::from_slice(&reply).map_err(ClientError::Answer)
    }

    async fn send<T: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&T>,
    ) -> Result<Bytes, ClientError> {
        let stream =
            UnixStream::connect(&self.path)
                .await
                .map_err(|source| ClientError::Connect {
                    path: self.path.clone(),
                    source,
                })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ClientError::Exchange(error.into()))?;
        let driver = tokio::spawn(connection);
        let body = body
            .map(serde_json::to_vec)
            .transpose()
            .map_err(ClientError::Answer)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "gateway")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| ClientError::Exchange(error.into()))?;
        let exchange = async {
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| ClientError::Exchange(error.into()))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_REPLY_BYTES)
                .collect()
                .await;
            Ok((status, body.map_err(ClientError::Exchange)?.to_bytes()))
        };
        let outcome = exchange.await;
        driver.abort();
        let (status, body) = outcome?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(refused(status, &body))
        }
    }
}

fn refused(status: StatusCode, body: &[u8]) -> ClientError {
    let message = serde_json::from_slice::<ErrorReply>(body).map_or_else(
        |_| String::from_utf8_lossy(body).into_owned(),
        |reply| reply.error,
    );
    ClientError::Refused {
        status: status.as_u16(),
        message,
    }
}
