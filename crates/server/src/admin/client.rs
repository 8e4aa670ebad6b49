//! The client of the operator's socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{
    AccountRequest, AccountView, ErrorView, GatewayView, KeyRequest, KeyView, PeeringView,
    TaskView, TokenRequest, TokenView,
};

/// How long an answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Why an operator's call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers on the socket.
    #[error(
        "cannot reach the server on `{}`; is it running? Start it with `peerway server`, or name \
         its socket with `--admin-socket`", socket.display()
    )]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket belongs to somebody else.
    #[error(
        "not allowed to open `{}`; run this as the user that runs the server", .0.display()
    )]
    Forbidden(PathBuf),
    /// The server refused.
    #[error("{0}")]
    Refused(String),
    /// The connection broke.
    #[error("the server on `{}` broke off; its log tells why", socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: hyper::Error,
    },
    /// The answer took too long.
    #[error("the server on `{}` does not answer; its log may tell why", .0.display())]
    Silent(PathBuf),
    /// The answer is none of this protocol.
    #[error(
        "what listens on `{}` is no server of this version: {reason}", socket.display()
    )]
    Foreign {
        /// The socket.
        socket: PathBuf,
        /// What is wrong with the answer.
        reason: String,
    },
}

/// A client of one server's operator socket. Every call opens a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of a socket; nothing is opened yet.
    pub fn new(socket: &Path) -> Client {
        Client {
            socket: socket.to_owned(),
        }
    }

    /// Makes an account.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn account_create(&self, ask: &AccountRequest) -> Result<AccountView, ClientError> {
        self.call(Method::POST, "/accounts", Some(ask)).await
    }

    /// Every account, by number.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn accounts(&self) -> Result<Vec<AccountView>, ClientError> {
        self.get("/accounts").await
    }

    /// Makes an access key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn key_create(&self, ask: &KeyRequest) -> Result<KeyView, ClientError> {
        self.call(Method::POST, "/keys", Some(ask)).await
    }

    /// Makes a join string.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn token_create(&self, ask: &TokenRequest) -> Result<TokenView, ClientError> {
        self.call(Method::POST, "/gateway-tokens", Some(ask)).await
    }

    /// Every gateway, by id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn gateways(&self) -> Result<Vec<GatewayView>, ClientError> {
        self.get("/gateways").await
    }

    /// Removes a gateway that will not come back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn gateway_remove(&self, id: &str) -> Result<(), ClientError> {
        let path = format!("/gateways/{id}");
        let _: serde_json::Value = self.call(Method::DELETE, &path, None::<&()>).await?;
        Ok(())
    }

    /// Every peering, by id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn peerings(&self) -> Result<Vec<PeeringView>, ClientError> {
        self.get("/peerings").await
    }

    /// Every task that is remembered, oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tasks(&self) -> Result<Vec<TaskView>, ClientError> {
        self.get("/tasks").await
    }

    /// What a gateway is to carry at the server's revision.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn slice(&self, gateway: &str) -> Result<serde_json::Value, ClientError> {
        self.get(&format!("/slices/{gateway}")).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, None::<&()>).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        ask: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let body = match ask {
            Some(ask) => serde_json::to_vec(ask).expect("messages have text keys"),
            None => Vec::new(),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| ClientError::Refused(format!("`{path}` cannot be asked for")))?;
        let exchange = tokio::time::timeout(TIME_LIMIT, self.exchange(request));
        let (status, body) = exchange
            .await
            .map_err(|_| ClientError::Silent(self.socket.clone()))??;
        let foreign = |reason: String| ClientError::Foreign {
            socket: self.socket.clone(),
            reason,
        };
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(|error| foreign(error.to_string()));
        }
        match serde_json::from_slice::<ErrorView>(&body) {
            Ok(refusal) => Err(ClientError::Refused(refusal.error)),
            Err(_) => Err(foreign(format!("it answered {status}"))),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let broken = |source| ClientError::Broken {
            socket: self.socket.clone(),
            source,
        };
        let stream =
            UnixStream::connect(&self.socket)
                .await
                .map_err(|source| match source.kind() {
                    io::ErrorKind::PermissionDenied => ClientError::Forbidden(self.socket.clone()),
                    _ => ClientError::Unreachable {
                        socket: self.socket.clone(),
                        source,
                    },
                })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        // Driven beside the request; what goes wrong with it, the request is told as well.
        let (answer, _) = tokio::join!(
            async move {
                let answer = sender.send_request(request).await?;
                let status = answer.status();
                Ok((status, answer.into_body().collect().await?.to_bytes()))
            },
            connection
        );
        answer.map_err(broken)
    }
}
