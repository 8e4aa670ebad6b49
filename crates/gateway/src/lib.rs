//! The agent on a gateway host: takes the desired slice from the server, leads kernel and forwarding
//! engine to it, and reports what runs.
//!
//! It decides nothing about peerings and moves no packets itself: the server does the one, `tunnel`
//! the other, and `kernel` alone speaks netlink. What it needs to go on without a server is in its
//! state folder.
//!
//! Start with [`build()`] for how a gateway is put together, then `agent` for the loop, `sync` for
//! the server's side, and [`control`] for the local verbs. [`explain`] says why nothing passes.

mod agent;
mod attachment;
mod build;
mod client;
pub mod config;
mod connect;
pub mod control;
pub mod desired;
mod endpoints;
pub mod error;
pub mod explain;
pub mod forwarder;
mod gateway;
mod growth;
mod identity;
mod mtu;
mod report;
mod shared;
mod slice_record;
mod state;
pub mod status;
mod sync;
mod telemetry;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;

pub use build::build;
pub use config::GatewayConfig;
pub use error::{CleanError, RunError, StartError};
pub use gateway::{Gateway, clean};
pub use growth::DropCounts;
pub use text::status_text;

/// The version of this software, as gateways tell it to the server.
pub const SOFTWARE_VERSION: &str = env!("CARGO_PKG_VERSION");
