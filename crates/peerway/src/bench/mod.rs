//! The load generators: they start what they measure, load it and report what they found.
//!
//! [`api`] measures the public API. Nothing here is used by a server or a gateway.

pub mod api;
mod load;
mod process;
mod report;
mod script;
mod script_v3;
mod seed;
