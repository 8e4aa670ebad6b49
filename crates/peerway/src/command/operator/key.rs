//! `peerway key …`.

use server::admin::{KeyChange, KeyDetail, KeyName, KeyRequest, KeyRotation, KeyView, OwnerFilter};

use super::{client, optional};
use crate::cli::{KeyAccess, KeyArgs, KeyCommand};
use crate::output::{print_json, print_line, print_table};

/// `peerway key …`.
///
/// # Errors
/// What the server refused, or that it could not be reached.
pub async fn key(command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::Create {
            uin,
            sub,
            read_only,
            admin,
        } => {
            let ask = KeyRequest {
                uin,
                sub_account: sub,
                read_only,
                ..KeyRequest::default()
            };
            let made = client(&admin).key_create(&ask).await?;
            show_new(&made, admin.json)
        }
        KeyCommand::Rotate { key, grace_secs } => {
            let ask = KeyRotation {
                secret_id: key.secret_id.clone(),
                grace_secs,
            };
            let made = client(&key.admin).key_rotate(&ask).await?;
            show_new(&made, key.admin.json)?;
            if !key.admin.json {
                match grace_secs {
                    0 => print_line(format_args!("{} is disabled.", key.secret_id)),
                    secs => print_line(format_args!("{} signs for {secs} s more.", key.secret_id)),
                }
            }
            Ok(())
        }
        KeyCommand::List { uin, admin } => {
            let keys = client(&admin).keys(&OwnerFilter { uin }).await?;
            if admin.json {
                return print_json(&keys);
            }
            key_table(&keys);
            Ok(())
        }
        KeyCommand::Disable(key) => change(key, Some(false), None).await,
        KeyCommand::Enable(key) => change(key, Some(true), None).await,
        KeyCommand::SetAccess { key, access } => {
            change(key, None, Some(access == KeyAccess::ReadOnly)).await
        }
        KeyCommand::Delete(key) => {
            let secret_id = key.secret_id;
            let name = KeyName {
                secret_id: secret_id.clone(),
            };
            client(&key.admin).key_delete(&name).await?;
            if key.admin.json {
                return print_json(&serde_json::json!({ "deleted": secret_id }));
            }
            print_line(format_args!("deleted {secret_id}"));
            Ok(())
        }
    }
}

async fn change(
    key: KeyArgs,
    enabled: Option<bool>,
    read_only: Option<bool>,
) -> anyhow::Result<()> {
    let ask = KeyChange {
        secret_id: key.secret_id,
        enabled,
        read_only,
    };
    let changed = client(&key.admin).key_change(&ask).await?;
    if key.admin.json {
        return print_json(&changed);
    }
    key_table(&[changed]);
    Ok(())
}

fn show_new(key: &KeyView, json: bool) -> anyhow::Result<()> {
    if json {
        return print_json(key);
    }
    print_line(format_args!("SecretId  {}", key.secret_id));
    print_line(format_args!("SecretKey {}", key.secret_key));
    print_line("The SecretKey is not shown again.");
    Ok(())
}

pub(super) fn key_table(keys: &[KeyDetail]) {
    let rows = keys.iter().map(|key| {
        let access = if key.read_only { "read-only" } else { "full" };
        vec![
            key.secret_id.clone(),
            key.uin.to_string(),
            optional(key.sub_account),
            access.to_owned(),
            key.status.clone(),
            optional(key.ends_at.as_ref()),
            key.created_at.clone(),
        ]
    });
    print_table(
        &[
            "SECRETID",
            "UIN",
            "SUB-ACCOUNT",
            "ACCESS",
            "STATUS",
            "ENDS",
            "CREATED",
        ],
        rows,
    );
}
