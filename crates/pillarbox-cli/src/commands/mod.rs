//! The command line: one file a command.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 failed or
//! found wanting, 2 usage or configuration.

mod check;
mod completions;
mod demo;
mod discard;
mod doctor;
mod healthcheck;
mod inbox;
mod list;
mod output;
mod played;
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
mod span;
mod test_data;
mod verify;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};

use output::Output;
use pillarbox::destinations::Destination;

/// Receives GOV.UK Pay webhooks and HMRC push notifications, stores each before it answers 200, and
/// hands it on.
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

/// What every command takes.
#[derive(Args, Clone, Default)]
struct GlobalArgs {
    /// The configuration file [default: the document in PILLARBOX_CONFIG, else ./pillarbox.toml,
    /// else the demo]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The inbox, as sqlite:PATH or dynamodb:TABLE; beats PILLARBOX_INBOX and the configuration
    #[arg(long, global = true, value_name = "INBOX")]
    inbox: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Receive notifications, store them, and hand them on
    Serve(serve::ServeArgs),
    /// Send a true-shaped, signed notification, as the source's sender would
    Send(send::SendArgs),
    /// Play a sender by its timetable, with whatever can go wrong on the way, and judge the
    /// receiver
    Simulate(Box<simulate::SimulateArgs>),
    /// List notifications, newest first
    List(list::ListArgs),
    /// Show one notification whole
    Show(show::ShowArgs),
    /// Hand notifications on again: dead, delivered, or held but not unreadable
    Replay(replay::ReplayArgs),
    /// End notifications that nobody is to act on
    Discard(discard::DiscardArgs),
    /// Ask a sender for what it never pushed
    Reconcile(reconcile::ReconcileArgs),
    /// Check a signature, and say what is likely wrong with it
    Verify(verify::VerifyArgs),
    /// Check any receiver against what the real senders do
    Check(check::CheckArgs),
    /// Make the inbox, back it up, or restore it
    #[command(subcommand)]
    Inbox(inbox::InboxCommand),
    /// Check that everything will work, and say what to do where it will not
    Doctor(doctor::DoctorArgs),
    /// Ask the running serve whether it can store a notification, for a container
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
}

/// Why a command did not succeed.
#[derive(Debug)]
enum CommandError {
    /// The command line or the configuration is wrong: exit code 2.
    Usage(String),
    /// It failed: exit code 1.
    Failed(String),
    /// It found something wanting, and has said so: exit code 1.
    Wanting,
    /// Whoever read our output has had enough.
    Closed,
}

impl CommandError {
    /// Why, for a command that goes on all the same.
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
            _ => Self::Failed(format!("the output can't be written: {error}")),
        }
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

/// What a program with a destination of its own takes: the arguments of `serve`.
#[derive(Parser)]
struct ServeToArgs {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(flatten)]
    serve: serve::ServeArgs,
}

/// The whole of a program that hands every notification to `destination`: `pillarbox serve`, with
/// its arguments and configuration, and your code at the end of it.
///
/// A configuration that names destinations is refused, since none of them would be used. The other
/// commands, such as `pillarbox list`, work beside it on the same inbox.
pub fn serve_to(destination: impl Destination) -> ExitCode {
    let ServeToArgs { global, serve } = ServeToArgs::parse();
    to_its_end(|output| block_on(serve.run_to(destination, &global, output)))
}

/// Runs a command, says why it failed if it did, and turns that into an exit code.
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

/// Runs `command` to its end on threads of its own.
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
    let global = cli.global;
    match cli
        .command
        .unwrap_or_else(|| Command::Serve(serve::ServeArgs::default()))
    {
        Command::Serve(command) => command.run(&global, output).await,
        Command::Send(command) => command.run(&global, output).await,
        Command::Simulate(command) => command.run(&global, output).await,
        Command::List(command) => command.run(&global, output).await,
        Command::Show(command) => command.run(&global, output).await,
        Command::Replay(command) => command.run(&global, output).await,
        Command::Discard(command) => command.run(&global, output).await,
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
