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
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("peerway: {error:#}");
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
        Command::Server(flags) => command::server::run(config::server(flags, file.server)?).await,
        Command::Gateway(GatewayCommand::Run(flags)) => {
            command::gateway::run(config::gateway(flags, file.gateway)?).await
        }
        Command::Gateway(GatewayCommand::Status(args)) => command::gateway::status(args).await,
        Command::Gateway(GatewayCommand::Attach(args)) => command::gateway::attach(args).await,
        Command::Gateway(GatewayCommand::Detach(args)) => command::gateway::detach(args).await,
        Command::Gateway(GatewayCommand::Clean(args)) => command::gateway::clean(args).await,
        Command::Gateway(GatewayCommand::Token(args)) => command::operator::token(args).await,
        Command::Account(verb) => command::operator::account(verb).await,
        Command::Key(verb) => command::operator::key(verb).await,
        Command::Peering(verb) => command::operator::peering(verb).await,
        Command::Bench(BenchCommand::Api(args)) => bench::api::run(args).await,
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
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
