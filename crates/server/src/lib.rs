//! The control plane: use cases over one store, the public API, the gateways' sync service and the
//! reconcilers between them.
//!
//! [`core`] decides and commits; [`catalog`] is the state that it decides on. The edges know one
//! thing each: [`http`] the public API, [`sync`] the gateways, [`admin`] the operator, [`telemetry`]
//! who watches, [`audit`] what was done. [`reconcile`] moves what takes time: tasks, expiry, removal;
//! [`history`] keeps what was measured. Start with [`build`],
//! which puts them together, then [`core`].

pub mod admin;
pub mod audit;
pub mod catalog;
mod certificate;
pub mod clock;
pub mod config;
pub mod core;
pub mod error;
pub mod history;
pub mod http;
mod listener;
mod rate;
pub mod reconcile;
pub mod sealing;
pub mod seed;
mod server;
pub mod sync;
pub mod telemetry;
pub mod tls;

pub use crate::core::Dataplane;
pub use crate::rate::Rate;
pub use crate::server::{RunError, Server, StartError, build, build_with_clock};
