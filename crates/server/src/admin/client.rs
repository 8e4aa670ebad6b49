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
    AccountDetail, AccountRequest, AccountView, AuditFilter, AuditView, ErrorView, GatewayView,
    KeyChange, KeyDetail, KeyName, KeyRequest, KeyRotation, KeyView, OwnerFilter, PeeringFilter,
    PeeringView, PolicyRequest, PolicyView, QuotasChange, QuotasView, StartedView,
    SubAccountRequest, SubAccountView, TaskFilter, TaskView, TokenRequest, TokenView,
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

    /// An account with what belongs to it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn account(&self, uin: u64) -> Result<AccountDetail, ClientError> {
        self.get(&format!("/accounts/{uin}")).await
    }

    /// How much an account may have.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn quotas(&self, uin: u64) -> Result<QuotasView, ClientError> {
        self.get(&format!("/quotas/{uin}")).await
    }

    /// Changes how much an account may have.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn quotas_set(
        &self,
        uin: u64,
        change: &QuotasChange,
    ) -> Result<QuotasView, ClientError> {
        let path = format!("/quotas/{uin}");
        self.call(Method::POST, &path, Some(change)).await
    }

    /// Makes a sub-account.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sub_account_create(
        &self,
        ask: &SubAccountRequest,
    ) -> Result<SubAccountView, ClientError> {
        self.call(Method::POST, "/sub-accounts", Some(ask)).await
    }

    /// Sub-accounts, by number.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sub_accounts(
        &self,
        filter: &OwnerFilter,
    ) -> Result<Vec<SubAccountView>, ClientError> {
        self.find("/sub-accounts", filter).await
    }

    /// Deletes a sub-account with its keys.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sub_account_delete(&self, uin: u64) -> Result<(), ClientError> {
        let path = format!("/sub-accounts/{uin}");
        let _: serde_json::Value = self.call(Method::DELETE, &path, None::<&()>).await?;
        Ok(())
    }

    /// The policy of a sub-account.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn policy(&self, uin: u64) -> Result<PolicyView, ClientError> {
        self.get(&format!("/sub-accounts/{uin}/policy")).await
    }

    /// Sets the policy of a sub-account.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn policy_set(
        &self,
        uin: u64,
        ask: &PolicyRequest,
    ) -> Result<PolicyView, ClientError> {
        let path = format!("/sub-accounts/{uin}/policy");
        self.call(Method::POST, &path, Some(ask)).await
    }

    /// Makes an access key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn key_create(&self, ask: &KeyRequest) -> Result<KeyView, ClientError> {
        self.call(Method::POST, "/keys", Some(ask)).await
    }

    /// Access keys, by account, without their secret halves.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn keys(&self, filter: &OwnerFilter) -> Result<Vec<KeyDetail>, ClientError> {
        self.find("/keys", filter).await
    }

    /// Enables, disables or restricts an access key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn key_change(&self, ask: &KeyChange) -> Result<KeyDetail, ClientError> {
        self.call(Method::POST, "/keys/change", Some(ask)).await
    }

    /// Replaces an access key by a new one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn key_rotate(&self, ask: &KeyRotation) -> Result<KeyView, ClientError> {
        self.call(Method::POST, "/keys/rotate", Some(ask)).await
    }

    /// Deletes an access key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn key_delete(&self, ask: &KeyName) -> Result<(), ClientError> {
        let _: serde_json::Value = self.call(Method::POST, "/keys/delete", Some(ask)).await?;
        Ok(())
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
        let path = format!("/gateways/{}", escaped(id));
        let _: serde_json::Value = self.call(Method::DELETE, &path, None::<&()>).await?;
        Ok(())
    }

    /// Every peering, by id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn peerings(&self) -> Result<Vec<PeeringView>, ClientError> {
        self.peerings_with(&PeeringFilter::default()).await
    }

    /// Some peerings, by id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn peerings_with(
        &self,
        filter: &PeeringFilter,
    ) -> Result<Vec<PeeringView>, ClientError> {
        self.find("/peerings", filter).await
    }

    /// A peering.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn peering(&self, id: &str) -> Result<PeeringView, ClientError> {
        self.get(&format!("/peerings/{}", escaped(id))).await
    }

    /// Deletes a peering for both of its accounts.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn peering_remove(&self, id: &str) -> Result<StartedView, ClientError> {
        let path = format!("/peerings/{}", escaped(id));
        self.call(Method::DELETE, &path, None::<&()>).await
    }

    /// Tasks that are remembered, oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<TaskView>, ClientError> {
        self.find("/tasks", filter).await
    }

    /// Entries of the audit log.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit(&self, filter: &AuditFilter) -> Result<AuditView, ClientError> {
        self.find("/audit", filter).await
    }

    /// What a gateway is to carry at the server's revision.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn slice(&self, gateway: &str) -> Result<serde_json::Value, ClientError> {
        self.get(&format!("/slices/{}", escaped(gateway))).await
    }

    async fn find<T: DeserializeOwned>(
        &self,
        path: &str,
        filter: &impl Serialize,
    ) -> Result<T, ClientError> {
        let query = serde_urlencoded::to_string(filter)
            .map_err(|error| ClientError::Refused(error.to_string()))?;
        self.get(&format!("{path}?{query}")).await
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

/// A text as one part of a path.
fn escaped(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
