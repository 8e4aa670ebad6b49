//! What is said on the operator's socket, by resource.

mod account;
mod audit;
mod gateway;
mod key;
mod peering;

pub use account::*;
pub use audit::*;
pub use gateway::*;
pub use key::*;
pub use peering::*;

use serde::{Deserialize, Serialize};

/// Why something is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ErrorView {
    pub(crate) error: String,
}
