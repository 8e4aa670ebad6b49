//! `peerway gateway …`: the agent itself, and the verbs that talk to it on this host.

use anyhow::Context;
use gateway::config::GatewayConfig;
use gateway::control::{AttachRequest, AttachTarget, Client};

use super::stop_signal;
use crate::cli::{AttachArgs, CleanArgs, DetachArgs, GatewaySocketArgs};
use crate::output::{print_json, print_table};

/// Runs the gateway until a signal.
///
/// # Errors
/// When it cannot start, or stops by itself.
pub async fn run(config: GatewayConfig) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let gateway = gateway::build(config)
        .await
        .context("the gateway cannot start")?;
    gateway.run(stop).await.context("the gateway stopped")?;
    Ok(())
}

/// `peerway gateway status`.
///
/// # Errors
/// That the gateway could not be reached.
pub async fn status(args: GatewaySocketArgs) -> anyhow::Result<()> {
    let status = Client::new(&args.socket).status().await?;
    if args.json {
        return print_json(&status);
    }
    print!("{}", gateway::status_text(&status));
    Ok(())
}

/// `peerway gateway attach`.
///
/// # Errors
/// What the gateway refused, or that it could not be reached.
pub async fn attach(args: AttachArgs) -> anyhow::Result<()> {
    let interface = args.interface;
    let target = match (
        args.target.nic,
        args.target.netns,
        args.target.pid,
        args.target.bridge,
    ) {
        (Some(interface), ..) => AttachTarget::Nic { interface },
        (_, Some(name), ..) => AttachTarget::Namespace { name, interface },
        (_, _, Some(pid), _) => AttachTarget::Process { pid, interface },
        (_, _, _, Some(bridge)) => AttachTarget::Bridge { bridge },
        (None, None, None, None) => {
            anyhow::bail!("give one of --nic, --netns, --pid and --bridge")
        }
    };
    let request = AttachRequest {
        name: args.name,
        vpc: args.vpc,
        subnet: args.subnet,
        target,
        configure: args.configure,
        address: args.address,
    };
    let reply = Client::new(&args.gateway.socket).attach(&request).await?;
    if args.gateway.json {
        return print_json(&reply);
    }
    println!(
        "attached {} to {} of {}",
        request.name, reply.subnet, reply.vpc
    );
    if !reply.host_commands.is_empty() {
        println!("on the host, run:");
        for line in &reply.host_commands {
            println!("  {line}");
        }
    }
    Ok(())
}

/// `peerway gateway detach`.
///
/// # Errors
/// What the gateway refused, or that it could not be reached.
pub async fn detach(args: DetachArgs) -> anyhow::Result<()> {
    Client::new(&args.gateway.socket).detach(&args.name).await?;
    if !args.gateway.json {
        println!("detached {}", args.name);
    }
    Ok(())
}

/// `peerway gateway clean`.
///
/// # Errors
/// When a gateway runs on the state folder, or something could not be removed.
pub async fn clean(args: CleanArgs) -> anyhow::Result<()> {
    let steps = gateway::clean(&args.state_dir).await?;
    if steps.is_empty() {
        println!("nothing to remove");
    } else {
        print_table(&["REMOVED"], steps.into_iter().map(|step| vec![step]));
    }
    Ok(())
}
