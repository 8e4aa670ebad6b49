//! The operator's side: JSON over HTTP on a Unix socket that only its owner can open.
//!
//! What is said is in `message`, the client is [`Client`], what answers is in `routes`. Nothing here is
//! reachable from the network, and nothing else can make accounts, keys or join strings. Whatever is
//! changed here, or refused to be changed, is in the audit log.

mod client;
mod message;
mod routes;
mod slice_dump;
mod socket;

pub use client::{Client, ClientError};
pub use message::*;
pub(crate) use routes::{Admin, serve};
pub use socket::BindError;
pub(crate) use socket::Socket;

/// How long a join string is good unless the operator says otherwise.
pub const TOKEN_LIFETIME_SECS: u64 = 3600;
