//! `peerway subaccount …`.

use std::io::Read;
use std::path::Path;

use anyhow::Context;
use server::admin::{OwnerFilter, PolicyRequest, PolicyView, SubAccountRequest, SubAccountView};

use super::client;
use crate::cli::{PolicyCommand, SubaccountCommand};
use crate::output::{print_json, print_line, print_table};

/// `peerway subaccount …`.
///
/// # Errors
/// What the server refused, or that it could not be reached.
pub async fn subaccount(command: SubaccountCommand) -> anyhow::Result<()> {
    match command {
        SubaccountCommand::Create {
            owner,
            name,
            uin,
            policy,
            admin,
        } => {
            let policy = policy.as_deref().map(read).transpose()?;
            let has_policy = policy.is_some();
            let ask = SubAccountRequest {
                owner,
                name,
                uin,
                policy,
            };
            let made = client(&admin).sub_account_create(&ask).await?;
            if admin.json {
                return print_json(&made);
            }
            print_line(format_args!("sub-account {} of {}", made.uin, made.owner));
            if !has_policy {
                print_line(format_args!(
                    "next: peerway subaccount policy set {} --file FILE",
                    made.uin
                ));
            }
            print_line(format_args!(
                "next: peerway key create --uin {} --sub {}",
                made.owner, made.uin
            ));
        }
        SubaccountCommand::List { owner, admin } => {
            let filter = OwnerFilter { uin: owner };
            let found = client(&admin).sub_accounts(&filter).await?;
            if admin.json {
                return print_json(&found);
            }
            subaccount_table(&found);
        }
        SubaccountCommand::Delete { uin, admin } => {
            client(&admin).sub_account_delete(uin).await?;
            if admin.json {
                return print_json(&serde_json::json!({ "deleted": uin }));
            }
            print_line(format_args!("deleted sub-account {uin} and its keys"));
        }
        SubaccountCommand::Policy(command) => return policy(command).await,
    }
    Ok(())
}

async fn policy(command: PolicyCommand) -> anyhow::Result<()> {
    let (view, admin): (PolicyView, _) = match command {
        PolicyCommand::Show { uin, admin } => (client(&admin).policy(uin).await?, admin),
        PolicyCommand::Set { uin, file, admin } => {
            let policy = read(&file)?;
            let ask = PolicyRequest { policy };
            (client(&admin).policy_set(uin, &ask).await?, admin)
        }
    };
    if admin.json {
        return print_json(&view);
    }
    print_json(&view.policy)?;
    for warning in &view.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.context("cannot read the policy from standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the policy file {}", file.display()))
}

pub(super) fn subaccount_table(found: &[SubAccountView]) {
    let rows = found.iter().map(|found| {
        vec![
            found.uin.to_string(),
            found.owner.to_string(),
            found.statements.to_string(),
            found.keys.to_string(),
            found.created_at.clone(),
            found.name.clone(),
        ]
    });
    print_table(
        &[
            "SUB-ACCOUNT",
            "OWNER",
            "STATEMENTS",
            "KEYS",
            "CREATED",
            "NAME",
        ],
        rows,
    );
}
