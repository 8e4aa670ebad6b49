//! `peerway account …` and `peerway quota …`.

use server::admin::{AccountDetail, AccountRequest, QuotasChange, QuotasView};

use super::client;
use super::key::key_table;
use super::subaccount::subaccount_table;
use crate::cli::{AccountCommand, AdminArgs, QuotaCommand};
use crate::output::{print_json, print_line, print_table};

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
            let ask = AccountRequest { name, uin, app_id };
            let account = client(&admin).account_create(&ask).await?;
            if admin.json {
                return print_json(&account);
            }
            print_line(format_args!(
                "account {} (appId {})",
                account.uin, account.app_id
            ));
            print_line(format_args!(
                "next: peerway key create --uin {}",
                account.uin
            ));
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
                    account.created_at.clone(),
                    account.name.clone(),
                ]
            });
            print_table(&["UIN", "APPID", "CREATED", "NAME"], rows);
        }
        AccountCommand::Show { uin, admin } => {
            let account = client(&admin).account(uin).await?;
            if admin.json {
                return print_json(&account);
            }
            show(&account);
        }
    }
    Ok(())
}

fn show(detail: &AccountDetail) {
    let account = &detail.account;
    print_line(format_args!(
        "account {} (appId {}), {}, made {}",
        account.uin, account.app_id, account.name, account.created_at
    ));
    print_line(format_args!(
        "{} VPCs, {} peerings",
        detail.vpcs, detail.peerings
    ));
    print_line("");
    quota_table(&detail.quotas);
    if !detail.sub_accounts.is_empty() {
        print_line("");
        subaccount_table(&detail.sub_accounts);
    }
    if !detail.keys.is_empty() {
        print_line("");
        key_table(&detail.keys);
    }
}

/// `peerway quota …`.
///
/// # Errors
/// What the server refused, or that it could not be reached.
pub async fn quota(command: QuotaCommand) -> anyhow::Result<()> {
    let (quotas, admin): (QuotasView, AdminArgs) = match command {
        QuotaCommand::Show { uin, admin } => (client(&admin).quotas(uin).await?, admin),
        QuotaCommand::Set { uin, quotas, admin } => {
            let change = QuotasChange {
                vpcs_per_region: quotas.vpcs_per_region,
                subnets_per_vpc: quotas.subnets_per_vpc,
                route_tables_per_vpc: quotas.route_tables_per_vpc,
                routes_per_table: quotas.routes_per_table,
                peerings_per_vpc: quotas.peerings_per_vpc,
                inbox_per_vpc: quotas.inbox_per_vpc,
                assistant_cidrs_per_vpc: quotas.assistant_cidrs_per_vpc,
                requests_per_second: quotas.requests_per_second,
            };
            (client(&admin).quotas_set(uin, &change).await?, admin)
        }
    };
    if admin.json {
        return print_json(&quotas);
    }
    quota_table(&quotas);
    Ok(())
}

fn quota_table(quotas: &QuotasView) {
    let rows = quotas.named().into_iter();
    let rows = rows.map(|(name, value)| vec![name.replace('_', "-"), value]);
    print_table(&["QUOTA", "LIMIT"], rows);
}
