//! `peerway gateway token`.

use anyhow::Context;
use server::admin::TokenRequest;

use super::client;
use crate::cli::TokenArgs;
use crate::output::{print_json, print_line};

/// `peerway gateway token`.
///
/// # Errors
/// What the server refused, or that it could not be reached.
pub async fn token(args: TokenArgs) -> anyhow::Result<()> {
    let region: model::Region = args.region.parse().context("--region")?;
    let request = TokenRequest {
        region: region.short().to_owned(),
        lifetime_secs: Some(args.lifetime_secs),
    };
    let token = client(&args.admin).token_create(&request).await?;
    if args.admin.json {
        return print_json(&token);
    }
    // The string alone goes to standard output, so that a script can take it.
    print_line(&token.join);
    eprintln!(
        "next, on the gateway's host: peerway gateway run --join <the string above> --advertise HOST:PORT"
    );
    Ok(())
}
