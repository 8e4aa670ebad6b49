//! The operator's verbs, which talk to the server on this host through its socket.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use server::admin::RateView;

/// Which server to talk to.
#[derive(Debug, Clone, Args)]
pub struct AdminArgs {
    /// The server's socket.
    #[arg(
        long,
        env = "PEERWAY_ADMIN_SOCKET",
        default_value = crate::config::ADMIN_SOCKET,
        value_name = "PATH"
    )]
    pub admin_socket: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `gateway token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The region that the gateway will carry, `gz` or `ap-guangzhou`.
    #[arg(long)]
    pub region: String,
    /// How long the string can be used, in seconds.
    #[arg(long, default_value_t = 3600, value_name = "SECS")]
    pub lifetime_secs: u64,
    /// Which server.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// Verbs of `account`.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Make an account.
    Create {
        /// A name for the operator.
        #[arg(long)]
        name: String,
        /// The account number; a free one is chosen unless given.
        #[arg(long)]
        uin: Option<u64>,
        /// The application number; a free one is chosen unless given.
        #[arg(long)]
        app_id: Option<u64>,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List the accounts.
    List(AdminArgs),
    /// Show an account with its quotas, sub-accounts and keys.
    Show {
        /// The account number.
        uin: u64,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Verbs of `subaccount`.
#[derive(Debug, Subcommand)]
pub enum SubaccountCommand {
    /// Make a sub-account. Without a policy it may do nothing.
    Create {
        /// The account that it acts for.
        #[arg(long, value_name = "UIN")]
        owner: u64,
        /// A name for the operator.
        #[arg(long)]
        name: String,
        /// Its number; a free one is chosen unless given.
        #[arg(long)]
        uin: Option<u64>,
        /// The file with its policy (the vendor's JSON, version 2.0); `-` reads standard input.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List sub-accounts.
    List {
        /// Only those of this account.
        #[arg(long, value_name = "UIN")]
        owner: Option<u64>,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Delete a sub-account with its keys. What it made stays with its account.
    Delete {
        /// Its number.
        uin: u64,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Set or show what a sub-account may do.
    #[command(subcommand)]
    Policy(PolicyCommand),
}

/// Verbs of `subaccount policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Replace the policy; it counts from the next request on.
    Set {
        /// The sub-account's number.
        uin: u64,
        /// The file with the policy (the vendor's JSON, version 2.0); `-` reads standard input.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show the policy.
    Show {
        /// The sub-account's number.
        uin: u64,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Verbs of `key`. What they change counts from the next request on.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make an access key. The secret is shown once.
    Create {
        /// The account that the key acts for.
        #[arg(long)]
        uin: u64,
        /// The sub-account that signs with it; its policy decides what the key may do.
        #[arg(long, value_name = "UIN")]
        sub: Option<u64>,
        /// Only for actions that change nothing.
        #[arg(long)]
        read_only: bool,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// List access keys, without their secrets.
    List {
        /// Only those that act for this account.
        #[arg(long)]
        uin: Option<u64>,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Refuse a key until it is enabled again.
    Disable(KeyArgs),
    /// Let a disabled, rotated or ended key sign again.
    Enable(KeyArgs),
    /// Delete a key.
    Delete(KeyArgs),
    /// Choose whether a key may change things.
    SetAccess {
        /// The key.
        #[command(flatten)]
        key: KeyArgs,
        /// What it may be used for.
        access: KeyAccess,
    },
    /// Replace a key by a new one of the same owner with the same rights. The secret is shown once.
    Rotate {
        /// The key.
        #[command(flatten)]
        key: KeyArgs,
        /// How long the old key goes on signing, in seconds, at most 30 days; 0 disables it at once.
        #[arg(long, default_value_t = 0, value_name = "SECS")]
        grace_secs: u64,
    },
}

/// Which key.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// Its SecretId.
    pub secret_id: String,
    /// Which server.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyAccess {
    /// Everything that its owner may do.
    Full,
    /// What changes nothing.
    ReadOnly,
}

/// Verbs of `quota`.
#[derive(Debug, Subcommand)]
pub enum QuotaCommand {
    /// Show how much an account may have.
    Show {
        /// The account number.
        #[arg(long)]
        uin: u64,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Change how much an account may have; what is not given stays.
    Set {
        /// The account number.
        #[arg(long)]
        uin: u64,
        /// The new numbers.
        #[command(flatten)]
        quotas: QuotaArgs,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Flags of `quota set`: at least one.
#[derive(Debug, Clone, Copy, Args)]
#[group(required = true, multiple = true)]
pub struct QuotaArgs {
    /// VPCs in each region.
    #[arg(long, value_name = "COUNT")]
    pub vpcs_per_region: Option<u32>,
    /// Subnets in each VPC.
    #[arg(long, value_name = "COUNT")]
    pub subnets_per_vpc: Option<u32>,
    /// Route tables in each VPC, the default one included.
    #[arg(long, value_name = "COUNT")]
    pub route_tables_per_vpc: Option<u32>,
    /// Routes in each route table, the Local route not counted.
    #[arg(long, value_name = "COUNT")]
    pub routes_per_table: Option<u32>,
    /// Peerings of each VPC that are active, or pending on its own request.
    #[arg(long, value_name = "COUNT")]
    pub peerings_per_vpc: Option<u32>,
    /// Pending requests of others to each VPC.
    #[arg(long, value_name = "COUNT")]
    pub inbox_per_vpc: Option<u32>,
    /// Assistant CIDR blocks of each VPC.
    #[arg(long, value_name = "COUNT")]
    pub assistant_cidrs_per_vpc: Option<u32>,
    /// Calls of each action of the API in a second; 0 for any number, `default` for as many as the
    /// server's --rate-limit says.
    #[arg(long, value_name = "COUNT", value_parser = rate)]
    pub requests_per_second: Option<RateView>,
}

fn rate(text: &str) -> Result<RateView, String> {
    if text == "default" {
        return Ok(RateView::Default);
    }
    let rate = text.parse().map(RateView::PerSecond);
    rate.map_err(|_| "it is neither a whole number nor `default`".to_owned())
}

/// Verbs of `peering`.
#[derive(Debug, Subcommand)]
pub enum PeeringCommand {
    /// List the peerings of all accounts.
    List {
        /// Only those with an end of this account.
        #[arg(long)]
        uin: Option<u64>,
        /// Only those in this state: pending, active, expired, rejected, failed, isolated, deleted.
        #[arg(long)]
        state: Option<String>,
        /// Only those with an end in this region, `gz` or `ap-guangzhou`.
        #[arg(long)]
        region: Option<String>,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Show a peering, with what its gateways report.
    Show {
        /// Its id, `pcx-…`.
        id: String,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Delete a peering for both of its accounts. Traffic stops at once.
    Delete {
        /// Its id, `pcx-…`.
        id: String,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Verbs of `task`.
#[derive(Debug, Subcommand)]
pub enum TaskCommand {
    /// List the tasks that are remembered, oldest first.
    List {
        /// Only those that have not ended.
        #[arg(long)]
        running: bool,
        /// Which server.
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Flags of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only what this account or sub-account did.
    #[arg(long)]
    pub uin: Option<u64>,
    /// Only this action, such as `CreateVpc` or `key.*`; a `*` at the end stands for any text.
    #[arg(long)]
    pub action: Option<String>,
    /// Only from this time on: `2026-01-31T08:00:00Z`, or how long ago: `90s`, `15m`, `2h`, `7d`.
    #[arg(long, value_name = "TIME", value_parser = super::moment)]
    pub since: Option<super::Moment>,
    /// Only before this time, in the same forms.
    #[arg(long, value_name = "TIME", value_parser = super::moment)]
    pub until: Option<super::Moment>,
    /// The most entries, the newest ones.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    pub limit: usize,
    /// Go on printing what comes; with --json one object a line.
    #[arg(long)]
    pub follow: bool,
    /// Which server.
    #[command(flatten)]
    pub admin: AdminArgs,
}
