//! `peerway peering …` and `peerway task …`.

use server::admin::{EndView, PeeringFilter, PeeringView, TaskFilter};

use super::{client, optional};
use crate::cli::{PeeringCommand, TaskCommand};
use crate::output::{print_json, print_line, print_table};

/// `peerway peering …`.
///
/// # Errors
/// What the server refused, or that it could not be reached.
pub async fn peering(command: PeeringCommand) -> anyhow::Result<()> {
    match command {
        PeeringCommand::List {
            uin,
            state,
            region,
            admin,
        } => {
            let filter = PeeringFilter { uin, state, region };
            let peerings = client(&admin).peerings_with(&filter).await?;
            if admin.json {
                return print_json(&peerings);
            }
            list(&peerings);
        }
        PeeringCommand::Show { id, admin } => {
            let peering = client(&admin).peering(&id).await?;
            if admin.json {
                return print_json(&peering);
            }
            show(&peering);
        }
        PeeringCommand::Delete { id, admin } => {
            let started = client(&admin).peering_remove(&id).await?;
            if admin.json {
                return print_json(&started);
            }
            print_line(format_args!("{id} is deleted for both accounts"));
            print_line(format_args!(
                "task {} ends when the gateways have confirmed; see: peerway task list --running",
                started.task
            ));
        }
    }
    Ok(())
}

fn list(peerings: &[PeeringView]) {
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
}

fn show(peering: &PeeringView) {
    let cap = match peering.bandwidth_mbps {
        0 => "unlimited".to_owned(),
        mbps => format!("{mbps} Mbps each way"),
    };
    print_line(format_args!(
        "{} ({}), {}, {cap}, VNI {}, made {}",
        peering.id, peering.name, peering.state, peering.vni, peering.created_at
    ));
    if let Some(task) = peering.task {
        print_line(format_args!("task {task} is running on it"));
    }
    let row = |side: &str, end: &EndView| {
        let report = end.report.as_ref();
        let drops = report.map(|report| report.drops.values().sum::<u64>());
        vec![
            side.to_owned(),
            end.uin.to_string(),
            end.region.clone(),
            format!("{} ({})", end.vpc, end.legacy_vpc),
            end.cidr.clone(),
            optional(report.map(|report| report.probe_crossed)),
            optional(report.map(|report| report.sent_bytes)),
            optional(report.map(|report| report.received_bytes)),
            optional(drops),
        ]
    };
    print_line("");
    print_table(
        &[
            "SIDE", "UIN", "REGION", "VPC", "CIDR", "PROBED", "SENT", "RECEIVED", "DROPS",
        ],
        [
            row("requester", &peering.requester),
            row("accepter", &peering.accepter),
        ],
    );
}

/// `peerway task …`.
///
/// # Errors
/// That the server could not be reached.
pub async fn task(command: TaskCommand) -> anyhow::Result<()> {
    let TaskCommand::List { running, admin } = command;
    let tasks = client(&admin).tasks(&TaskFilter { running }).await?;
    if admin.json {
        return print_json(&tasks);
    }
    let rows = tasks.iter().map(|task| {
        // Uin 0 is nobody's: the operator began it.
        let owner = Some(task.uin).filter(|uin| *uin != 0);
        vec![
            task.id.to_string(),
            task.kind.clone(),
            task.state.clone(),
            optional(owner),
            task.peering.clone(),
            task.created_at.clone(),
            task.message.clone().unwrap_or_default(),
        ]
    });
    print_table(
        &[
            "TASK", "KIND", "STATE", "UIN", "PEERING", "CREATED", "MESSAGE",
        ],
        rows,
    );
    Ok(())
}
