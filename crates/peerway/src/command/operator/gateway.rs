//! `peerway gateway token`, `list` and `remove`.

use anyhow::Context;
use server::admin::TokenRequest;

use super::{client, optional};
use crate::cli::{AdminArgs, TokenArgs};
use crate::output::{print_json, print_line, print_table};

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

/// `peerway gateway list`.
///
/// # Errors
/// What the server refused, or that it could not be reached.
pub async fn gateways(admin: AdminArgs) -> anyhow::Result<()> {
    let gateways = client(&admin).gateways().await?;
    if admin.json {
        return print_json(&gateways);
    }
    let rows = gateways.iter().map(|gateway| {
        let session = gateway.session.as_ref();
        let stream = match session {
            None => "never since the start".to_owned(),
            Some(session) if session.connected => format!("since {}", session.since),
            Some(session) => format!("lost at {}", session.since),
        };
        vec![
            gateway.id.clone(),
            gateway.region.clone(),
            optional(gateway.endpoint.as_ref()),
            stream,
            optional(session.and_then(|session| session.reported_at.as_ref())),
            optional(session.map(|session| session.errors.len())),
        ]
    });
    let header = [
        "GATEWAY",
        "REGION",
        "ENDPOINT",
        "CONNECTED",
        "REPORTED",
        "ERRORS",
    ];
    print_table(&header, rows);
    Ok(())
}

/// `peerway gateway remove`.
///
/// # Errors
/// What the server refused, or that it could not be reached.
pub async fn gateway_remove(id: &str, admin: AdminArgs) -> anyhow::Result<()> {
    client(&admin).gateway_remove(id).await?;
    if admin.json {
        return print_json(&serde_json::json!({ "removed": id }));
    }
    print_line(format_args!("removed {id}"));
    eprintln!("its host keeps what it set up until `peerway gateway clean` is run there");
    Ok(())
}
