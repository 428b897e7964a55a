//! The command line: one file a command.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 success,
//! 1 failure or a negative finding, 2 usage or configuration.

mod audit;
mod bulk;
mod check;
mod completions;
mod demo;
mod discard;
mod doctor;
mod export;
mod filter;
mod healthcheck;
mod inbox;
mod list;
mod output;
mod sender_access;
mod reconcile;
mod replay;
mod row;
mod scan;
mod send;
mod serve;
mod settings;
mod show;
mod simulate;
mod simulated_sender;
mod span;
mod stats;
mod tail;
mod test_data;
mod verify;
mod wait;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::acts::ActError;
use output::Output;
use pillarbox::{config::ConfigDocument, destinations::Destination};

/// Receives GOV.UK Pay webhooks and HMRC push notifications, stores each before it answers 200, and
/// delivers it.
#[derive(Parser)]
#[command(
    name = "pillarbox",
    version,
    after_help = "Without a command, `pillarbox` is `pillarbox serve`.\n\
                  Without any configuration, serve runs a demo that keeps everything in \
                   ./.pillarbox."
)]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The options of every command.
#[derive(Args, Clone, Default)]
struct GlobalArgs {
    /// The configuration file [default: the document in PILLARBOX_CONFIG or named there, or
    /// ./pillarbox.toml, or the demo]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The inbox, as sqlite:PATH or dynamodb:TABLE; overrides PILLARBOX_INBOX and the configuration
    #[arg(long, global = true, value_name = "INBOX")]
    inbox: Option<String>,
    /// The document that PILLARBOX_CONFIG names in Secrets Manager, once it is fetched.
    #[arg(skip)]
    document: Option<ConfigDocument>,
}

#[derive(Subcommand)]
enum Command {
    /// Receive notifications, store them, and deliver them
    Serve(serve::ServeArgs),
    /// Send a signed test notification, as the source's sender would
    Send(send::SendArgs),
    /// Simulate a sender with its retry schedule and injected faults, and report what the receiver
    /// does wrong
    Simulate(Box<simulate::SimulateArgs>),
    /// List notifications, newest first
    List(list::ListArgs),
    /// Print notifications as they arrive, and again when their state changes
    Tail(tail::TailArgs),
    /// Wait until notifications match, for tests
    Wait(wait::WaitArgs),
    /// Count notifications by source, event and state
    Stats(stats::StatsArgs),
    /// Print notifications with their bytes and what they prove
    Export(export::ExportArgs),
    /// Show all details of one notification
    Show(show::ShowArgs),
    /// Deliver notifications again: dead, delivered, or held but not unreadable
    Replay(replay::ReplayArgs),
    /// Discard notifications that need no action
    Discard(discard::DiscardArgs),
    /// List who changed what, newest first
    Audit(audit::AuditArgs),
    /// Fetch from a sender what it did not push
    Reconcile(reconcile::ReconcileArgs),
    /// Verify a signature, and explain the likely cause if it is wrong
    Verify(verify::VerifyArgs),
    /// Test any receiver against the behaviour of the real senders
    Check(check::CheckArgs),
    /// Make the inbox, back it up, or restore it
    #[command(subcommand)]
    Inbox(inbox::InboxCommand),
    /// Check the configuration, the inbox and the destinations
    Doctor(doctor::DoctorArgs),
    /// Ask the running serve whether it can store a notification, for a container
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// The error of a command.
#[derive(Debug)]
enum CommandError {
    /// The command line or the configuration is wrong: exit code 2.
    Usage(String),
    /// It failed: exit code 1.
    Failed(String),
    /// The result is negative and was printed: exit code 1.
    Wanting,
    /// The reader of the output has closed it.
    Closed,
}

impl CommandError {
    /// The message, for a command that continues after the error.
    fn into_text(self) -> String {
        match self {
            Self::Usage(why) | Self::Failed(why) => why,
            Self::Wanting | Self::Closed => String::new(),
        }
    }
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(format!("cannot write the output: {error}")),
        }
    }
}

impl From<ActError> for CommandError {
    fn from(error: ActError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<pillarbox::inbox::InboxError> for CommandError {
    fn from(error: pillarbox::inbox::InboxError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse(); // a wrong command line ends here, with 2
    to_its_end(|output| block_on(run(cli, output)))
}

/// The arguments of a program with a custom destination: those of `serve`.
#[derive(Parser)]
struct ServeToArgs {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

/// Runs a program that delivers every notification to `destination`: `pillarbox serve`, with its
/// arguments and configuration, and a custom destination.
///
/// A configuration that names destinations is refused, because none of them would be used. The
/// other commands, such as `pillarbox list`, work on the same inbox at the same time.
pub fn serve_to(destination: impl Destination) -> ExitCode {
    let ServeToArgs { global, serve } = ServeToArgs::parse();
    to_its_end(|output| {
        block_on(async {
            let global = settings::with_document(global).await?;
            serve.run_to(destination, &global, output).await
        })
    })
}

/// Runs a command, prints its error, and returns the exit code.
fn to_its_end(command: impl FnOnce(&mut Output) -> Result<(), CommandError>) -> ExitCode {
    let mut output = Output::new();
    let (why, code) = match command(&mut output) {
        Ok(()) | Err(CommandError::Closed) => return ExitCode::SUCCESS,
        Err(CommandError::Wanting) => return ExitCode::from(1),
        Err(CommandError::Failed(why)) => (why, 1),
        Err(CommandError::Usage(why)) => (why, 2),
    };
    let _ = output.error(&why);
    ExitCode::from(code)
}

/// How long work that blocks its thread, such as a slow name server, may hold up the end.
const BLOCKING_WORK_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs `command` to its end on a new runtime.
fn block_on(command: impl Future<Output = Result<(), CommandError>>) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|error| CommandError::Failed(format!("no threads to run on: {error}")))?;
    let ended = runtime.block_on(command);
    runtime.shutdown_timeout(BLOCKING_WORK_TIMEOUT);
    ended
}

async fn run(cli: Cli, output: &mut Output) -> Result<(), CommandError> {
    let command = cli
        .command
        .unwrap_or_else(|| Command::Serve(serve::ServeArgs::default()));
    let global = match command {
        Command::Check(_) | Command::Completions(_) => cli.global,
        _ => settings::with_document(cli.global).await?,
    };
    match command {
        Command::Serve(command) => command.run(&global, output).await,
        Command::Send(command) => command.run(&global, output).await,
        Command::Simulate(command) => command.run(&global, output).await,
        Command::List(command) => command.run(&global, output).await,
        Command::Tail(command) => command.run(&global, output).await,
        Command::Wait(command) => command.run(&global, output).await,
        Command::Stats(command) => command.run(&global, output).await,
        Command::Export(command) => command.run(&global, output).await,
        Command::Show(command) => command.run(&global, output).await,
        Command::Replay(command) => command.run(&global, output).await,
        Command::Discard(command) => command.run(&global, output).await,
        Command::Audit(command) => command.run(&global, output).await,
        Command::Reconcile(command) => command.run(&global, output).await,
        Command::Verify(command) => command.run(&global, output).await,
        Command::Check(command) => command.run(output).await,
        Command::Inbox(command) => command.run(&global, output).await,
        Command::Doctor(command) => command.run(&global, output).await,
        Command::Healthcheck(command) => command.run(&global, output).await,
        Command::Completions(command) => command.run(output),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
        super::ServeToArgs::command().debug_assert();
    }
}
