//! The command line: one file a command.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 success,
//! 1 failure or a negative result, 2 usage or configuration.

mod audit;
mod bulk;
mod check;
mod completions;
mod console;
mod demo;
mod discard;
mod doctor;
mod error;
mod export;
mod filter;
mod find;
mod healthcheck;
mod import;
mod inbox;
mod json_act;
mod key;
mod list;
mod listen;
mod local_request;
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
mod signals;
mod simulate;
mod simulated_sender;
mod span;
mod stats;
mod status;
mod stderr_log;
mod tail;
mod test_data;
mod verify;
mod wait;
mod work_line;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};

use error::{CommandError, ErrorCode};
use output::CommandOutput;
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
struct CommandLine {
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
    /// The document that PILLARBOX_CONFIG names in Secrets Manager, after it is fetched.
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
    /// Report whether anything needs a person
    Status(status::StatusArgs),
    /// Find a payment, a reference, a notification or a box
    Find(find::FindArgs),
    /// List notifications, newest first
    List(list::ListArgs),
    /// Print notifications as they arrive, and again when their state changes
    Tail(tail::TailArgs),
    /// Wait until notifications match, for tests
    Wait(wait::WaitArgs),
    /// Count notifications by source, event and state
    Stats(stats::StatsArgs),
    /// Print notifications with their bytes and a verdict on each
    Export(export::ExportArgs),
    /// Store notifications that export has printed
    Import(import::ImportArgs),
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
    /// Open the operator's pages over an inbox, with your own credentials
    Console(console::ConsoleArgs),
    /// Check the configuration, the inbox and the destinations
    Doctor(doctor::DoctorArgs),
    /// Ask the running serve whether it can store a notification, for a container
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    run_to_exit(|cli, output| block_on(run(cli, output)))
}

/// Receives notifications, and delivers each to this program's own destination.
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
    run_to_exit(|ServeToArgs { global, serve }, output| {
        block_on(async {
            let global = settings::with_document(global).await?;
            serve.run_to(destination, &global, output).await
        })
    })
}

/// Parses the command line, runs the command, prints its error, and returns the exit code.
fn run_to_exit<A: Parser>(
    command: impl FnOnce(A, &mut CommandOutput) -> Result<(), CommandError>,
) -> ExitCode {
    let mut output = CommandOutput::new();
    let arguments = match A::try_parse() {
        Ok(arguments) => Ok(arguments),
        Err(error) => match error.render().to_string().strip_prefix("error: ") {
            Some(why) => Err(CommandError::Usage(why.trim_end().to_owned())),
            None => error.exit(), // help or the version
        },
    };
    match arguments.and_then(|arguments| command(arguments, &mut output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = output.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// How long blocking work, such as a slow DNS lookup, may delay the exit.
const BLOCKING_WORK_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs `command` on a new runtime.
fn block_on(command: impl Future<Output = Result<(), CommandError>>) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime
        .map_err(|error| CommandError::Failed(format!("cannot start the runtime: {error}")))?;
    let ended = runtime.block_on(command);
    runtime.shutdown_timeout(BLOCKING_WORK_TIMEOUT);
    ended
}

async fn run(cli: CommandLine, output: &mut CommandOutput) -> Result<(), CommandError> {
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
        Command::Status(command) => command.run(&global, output).await,
        Command::Find(command) => command.run(&global, output).await,
        Command::List(command) => command.run(&global, output).await,
        Command::Tail(command) => command.run(&global, output).await,
        Command::Wait(command) => command.run(&global, output).await,
        Command::Stats(command) => command.run(&global, output).await,
        Command::Export(command) => command.run(&global, output).await,
        Command::Import(command) => command.run(&global, output).await,
        Command::Show(command) => command.run(&global, output).await,
        Command::Replay(command) => command.run(&global, output).await,
        Command::Discard(command) => command.run(&global, output).await,
        Command::Audit(command) => command.run(&global, output).await,
        Command::Reconcile(command) => command.run(&global, output).await,
        Command::Verify(command) => command.run(&global, output).await,
        Command::Check(command) => command.run(output).await,
        Command::Inbox(command) => command.run(&global, output).await,
        Command::Console(command) => command.run(&global, output).await,
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
        super::CommandLine::command().debug_assert();
        super::ServeToArgs::command().debug_assert();
    }
}
