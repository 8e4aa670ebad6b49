//! The operator's verbs: they talk to the server on this host through its socket.

mod account;
mod audit;
mod gateway;
mod key;
mod peering;
mod subaccount;

pub use account::{account, quota};
pub use audit::audit;
pub use gateway::{gateway_remove, gateways, token};
pub use key::key;
pub use peering::{peering, task};
pub use subaccount::subaccount;

use server::admin::Client;

use crate::cli::AdminArgs;

fn client(admin: &AdminArgs) -> Client {
    Client::new(&admin.admin_socket)
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
