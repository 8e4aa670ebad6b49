//! The whole system on one machine: server and gateways as processes, hosts in namespaces, real
//! packets. Needs root. Every test makes its own lab and leaves nothing.
//!
//! The tests are named `root_…`, so that a run without root can leave them out by name; they fail
//! when they are run without it.

mod api_path;
mod assistant;
mod confidentiality;
mod harness;
mod isolation;
mod monitor;
mod ownership;
mod rates;
mod resilience;
