//! The operator's verbs: they talk to the server on this host through its socket.

use anyhow::Context;
use server::admin::{AccountRequest, Client, KeyRequest, TokenRequest};

use crate::cli::{AccountCommand, AdminArgs, KeyCommand, PeeringCommand, TokenArgs};
use crate::output::{print_json, print_table};

fn client(admin: &AdminArgs) -> Client {
    Client::new(&admin.admin_socket)
}

/// `peerway account …`.
///
/// # Errors
/// What the server refused, or that it could not be reached.
pub async fn account(command: AccountCommand) -> anyhow::Result<()> {
    match command {
        AccountCommand::Create {
            name,
            uin,
            app_id,
            admin,
        } => {
            let account = client(&admin)
                .account_create(&AccountRequest { name, uin, app_id })
                .await?;
            if admin.json {
                return print_json(&account);
            }
            println!("account {} (appId {})", account.uin, account.app_id);
            println!("next: peerway key create --uin {}", account.uin);
        }
        AccountCommand::List(admin) => {
            let accounts = client(&admin).accounts().await?;
            if admin.json {
                return print_json(&accounts);
            }
            let rows = accounts.iter().map(|account| {
                vec![
                    account.uin.to_string(),
                    account.app_id.to_string(),
                    account.name.clone(),
                ]
            });
            print_table(&["UIN", "APPID", "NAME"], rows);
        }
    }
    Ok(())
}

/// `peerway key …`.
///
/// # Errors
/// What the server refused, or that it could not be reached.
pub async fn key(command: KeyCommand) -> anyhow::Result<()> {
    let KeyCommand::Create { uin, admin } = command;
    let request = KeyRequest {
        uin,
        secret_id: None,
        secret_key: None,
    };
    let key = client(&admin).key_create(&request).await?;
    if admin.json {
        return print_json(&key);
    }
    println!("SecretId  {}", key.secret_id);
    println!("SecretKey {}", key.secret_key);
    println!("The SecretKey is not shown again.");
    Ok(())
}

/// `peerway peering …`.
///
/// # Errors
/// That the server could not be reached.
pub async fn peering(command: PeeringCommand) -> anyhow::Result<()> {
    let PeeringCommand::List(admin) = command;
    let peerings = client(&admin).peerings().await?;
    if admin.json {
        return print_json(&peerings);
    }
    let rows = peerings.iter().map(|peering| {
        vec![
            peering.id.clone(),
            peering.state.clone(),
            format!("{} ({})", peering.requester.vpc, peering.requester.uin),
            format!("{} ({})", peering.accepter.vpc, peering.accepter.uin),
            peering.bandwidth_mbps.to_string(),
            peering.vni.to_string(),
            peering.name.clone(),
        ]
    });
    print_table(
        &[
            "ID",
            "STATE",
            "REQUESTER",
            "ACCEPTER",
            "MBPS",
            "VNI",
            "NAME",
        ],
        rows,
    );
    Ok(())
}

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
    println!("{}", token.join);
    eprintln!(
        "next, on the gateway's host: peerway gateway run --join <the string above> --advertise HOST:PORT"
    );
    Ok(())
}
