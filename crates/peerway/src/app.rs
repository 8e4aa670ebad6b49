//! From the arguments to the verb, and from the verb's error to the exit code.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{BenchCommand, Cli, Command, GatewayCommand, LogFormat};
use crate::config::{self, File};
use crate::{bench, command, demo};

/// The whole program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.log_format;
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            // Whoever reads the log as JSON gets nothing else from standard error.
            if format == LogFormat::Json && tracing::enabled!(tracing::Level::ERROR) {
                tracing::error!(error = format!("{error:#}"), "failed");
            } else {
                eprintln!("peerway: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if matches!(cli.command, Command::Version) {
        println!("peerway {}", env!("CARGO_PKG_VERSION"));
        return Ok(ExitCode::SUCCESS);
    }
    start_log(&cli)?;
    let file = File::load(cli.config.as_deref())?;
    if let Command::Demo(args) = cli.command {
        return demo::main(args);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(dispatch(cli.command, file))?;
    Ok(ExitCode::SUCCESS)
}

async fn dispatch(verb: Command, file: File) -> anyhow::Result<()> {
    match verb {
        Command::Server(mut flags) => {
            let temporary = config::temporary(&mut flags, &file.server)?;
            command::server::run(config::server(flags, file.server)?, temporary).await
        }
        Command::Gateway(GatewayCommand::Run(flags)) => {
            command::gateway::run(config::gateway(flags, file.gateway)?).await
        }
        Command::Gateway(GatewayCommand::Status(args)) => command::gateway::status(args).await,
        Command::Gateway(GatewayCommand::Attach(args)) => command::gateway::attach(args).await,
        Command::Gateway(GatewayCommand::Detach(args)) => command::gateway::detach(args).await,
        Command::Gateway(GatewayCommand::Clean(args)) => command::gateway::clean(args).await,
        Command::Gateway(GatewayCommand::Token(args)) => command::operator::token(args).await,
        Command::Gateway(GatewayCommand::List(admin)) => command::operator::gateways(admin).await,
        Command::Gateway(GatewayCommand::Remove { id, admin }) => {
            command::operator::gateway_remove(&id, admin).await
        }
        Command::Ca(args) => command::ca::print(args),
        Command::Account(verb) => command::operator::account(verb).await,
        Command::Subaccount(verb) => command::operator::subaccount(verb).await,
        Command::Key(verb) => command::operator::key(verb).await,
        Command::Quota(verb) => command::operator::quota(verb).await,
        Command::Peering(verb) => command::operator::peering(verb).await,
        Command::Bench(BenchCommand::Api(args)) => bench::api::run(args).await,
        Command::Bench(BenchCommand::Path(args)) => bench::path::run(args).await,
        Command::Task(verb) => command::operator::task(verb).await,
        Command::Audit(args) => command::operator::audit(args).await,
        Command::Demo(_) | Command::Version => unreachable!("both are answered before"),
    }
}

fn start_log(cli: &Cli) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&cli.log)
        .map_err(|error| anyhow::anyhow!("--log {}: {error}", cli.log))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match cli.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => {
            log.json().init();
            std::panic::set_hook(Box::new(|panic| {
                let place = panic.location().map(ToString::to_string);
                let message = panic.payload_as_str().unwrap_or("no message");
                tracing::error!(message, place, "panicked");
            }));
        }
    }
    Ok(())
}
