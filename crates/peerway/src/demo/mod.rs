//! `peerway demo`: two regions on this machine, a peering through the public API, and packets that
//! cross it at its cap. Each expectation that fails makes the exit code non-zero and is named.

mod narrator;
mod story;

use std::process::ExitCode;

use anyhow::Context;

use crate::cli::DemoArgs;
use crate::command::stop_signal;
use crate::lab::{Lab, LabOptions, check_privileges, remove_dead};
use narrator::Narrator;

/// Runs the demo on the calling thread, which must be the one that lives longest: the kernel ends
/// the child processes with it.
///
/// # Errors
/// When the machine cannot run it, or something other than an expectation failed.
pub fn main(args: DemoArgs) -> anyhow::Result<ExitCode> {
    check_privileges()?;
    for name in remove_dead().context("removing what dead runs left")? {
        println!("removed {name}, which a dead run had left");
    }
    if args.clean {
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run(args));
    // A measurement that was interrupted is a blocking task; it ends by itself within seconds, and
    // its sockets die with their namespaces.
    runtime.shutdown_background();
    outcome
}

async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let stop = stop_signal()?;
    tokio::pin!(stop);
    let mut narrator = Narrator::new();
    let outcome = tokio::select! {
        outcome = play(args, &mut narrator) => outcome,
        () = &mut stop => {
            println!("interrupted; everything is removed");
            return Ok(ExitCode::from(130));
        }
    };
    let lab = outcome?;
    if args.keep {
        story::explain_use(&lab).await?;
        println!("\nPress Ctrl-C to stop and remove everything.");
        stop.await;
    }
    narrator.step("stopping the processes and removing the namespaces");
    let name = lab.lab.name().to_owned();
    drop(lab);
    let left: Vec<String> = kernel::netns::Namespace::list()?
        .into_iter()
        .filter(|namespace| namespace.starts_with(&name))
        .collect();
    narrator.expect("nothing is left", left.is_empty(), &left.join(", "));
    Ok(narrator.conclude())
}

async fn play(args: DemoArgs, narrator: &mut Narrator) -> anyhow::Result<story::Stage> {
    narrator.step("starting the server, and the gateways of gz and sh, as processes of their own");
    let mut lab = Lab::start(LabOptions::default()).await?;
    lab.add_gateway(model::Region::Guangzhou).await?;
    lab.add_gateway(model::Region::Shanghai).await?;
    let mut stage = story::Stage::set(lab, narrator).await?;
    stage.first_crossing(narrator).await?;
    stage.caps(narrator).await?;
    stage.isolation(narrator).await?;
    stage.consent(narrator).await?;
    if !args.keep {
        stage.ending(narrator).await?;
    }
    Ok(stage)
}
