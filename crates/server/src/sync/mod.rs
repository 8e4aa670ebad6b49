//! The gateways' side: joining, and one stream per gateway on which its slice goes down and what it
//! runs comes up.
//!
//! [`sessions`] holds what the streams have told; nothing else keeps it. `stream` drives one stream,
//! `service` is the gRPC surface and the listener.

mod service;
pub mod sessions;
mod stream;

pub(crate) use service::serve;
pub use sessions::{Session, Sessions};
