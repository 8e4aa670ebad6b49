//! The load generators: they start what they measure, load it and report what they found.
//!
//! [`api`] measures the public API, [`path`] what crosses a peering. Nothing here is used by a server
//! or a gateway, and only [`path`] runs other programs.

pub mod api;
mod load;
pub mod path;
mod process;
mod report;
mod script;
mod script_v3;
mod seed;
