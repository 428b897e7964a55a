//! `pillarbox simulate`: simulates senders over time against any receiver.

mod fault_flags;
mod inbox_comparison;
mod reporter;
mod simulated_box;
mod summary;

use std::{path::PathBuf, sync::Mutex, time::Duration};

use clap::Args;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    CommandError, ErrorCode, GlobalArgs,
    output::CommandOutput,
    settings::{CommandSettings, fetch_named_secret},
    simulated_sender, span, test_data,
};
use crate::any_inbox::InboxAccess;
use fault_flags::FaultFlags;
use pillarbox::domain::SourceName;
use reporter::SimulationReporter;
use sender_simulator::{
    Clock, ReceiverConnection, Sender, SystemClock, Timestamp, is_loopback, run,
    run::{RunEnding, RunPlan, RunSummary, capture, default_start},
};
use simulated_box::SimulatedBox;

/// Simulates one or both senders against a receiver, and reports the outcome of every notification.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    pillarbox simulate pay --count 1000 --scenario busy \\\n      \
    --inbox sqlite:pillarbox.db\n  \
    pillarbox simulate pay hmrc --scenario outage --time-scale 3600\n  \
    pillarbox simulate hmrc --to https://receiver.example.gov.uk/try \\\n      \
    --secret env:TRY_SECRET --yes-store-test-data\n\n\
    Scenarios: calm, busy, hostile, outage, go-live. Flags override the scenario.\n\n\
    Exits with 1 if a notification was given up, lost by a redirect, or left undecided, if a \
     forged one was accepted, and\n\
    with --inbox if one is acknowledged and absent, stored twice, or delivered under two keys.")]
pub(super) struct SimulateArgs {
    /// The sources whose senders are simulated
    #[arg(value_name = "SOURCE", required = true, num_args = 1..=2)]
    sources: Vec<String>,
    /// The callback URL, one for each source in their order [default: the source's own, at the
    /// configured address]
    #[arg(long, value_name = "URL")]
    to: Vec<String>,
    /// Sign with this secret, one for each source in their order, as env:NAME, file:PATH or
    /// secretsmanager:ARN#field [default: the source's first]
    #[arg(long, value_name = "REF")]
    secret: Vec<String>,
    /// The number of notifications for each source [default: 100; none with --replay]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(0..=10_000_000),
    )]
    count: Option<u64>,
    /// The seed of all random numbers: the same seed gives the same run all day [default: a new
    /// one, which is printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The earliest date of an event, to repeat a run of another day [default: midnight UTC, two
    /// days before today]
    #[arg(long, value_name = "DATE")]
    start: Option<String>,
    /// The factor by which the sender's clock is faster: with 3600, an hour takes a second
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
    )]
    time_scale: u32,
    /// The longest time that the run may take
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = span::argument)]
    limit: Duration,
    /// The number of requests that a sender sends at once [default: 20 as Pay, 50 as HMRC]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    threads: Option<u16>,
    #[command(flatten)]
    faults: FaultFlags,
    /// Send the requests again that --record wrote in an earlier run; nothing else without --count
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
    /// Write every request and response to files in this folder; they contain signatures
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Serve HMRC's pull API on this port of this machine until Ctrl-C, with all notifications of
    /// the run
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "8082")]
    serve_pull: Option<u16>,
    /// Print one JSON object per line: every message, and a summary for each source
    #[arg(long)]
    json: bool,
    /// Print only the summary
    #[arg(long)]
    quiet: bool,
    /// Allow test data to be stored by a receiver on another machine
    #[arg(long)]
    yes_store_test_data: bool,
}

/// The run of one source.
struct SimulatedSource {
    source: SourceName,
    plan: RunPlan,
}

impl SimulateArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = simulated_sender::settings(global, output)?;
        let began = SystemClock.now();
        let parts = self.parts(&settings, global, began).await?;
        for part in &parts {
            self.announce(part, output)?;
        }
        let compares = global.inbox.is_some();
        let began = pillarbox::domain::Timestamp::from_millis(began.as_millis());
        if compares {
            // Fails before anything is sent if the inbox cannot be read.
            settings.open_inbox(InboxAccess::Read).await?;
        }
        let served_box = self.open_box(&parts).await?;
        let ended = self.run_parts(&parts, served_box.as_ref(), output).await?;
        let mut is_well = true;
        for (part, mut summary) in parts.iter().zip(ended) {
            if compares {
                summary.add_faults(
                    inbox_comparison::compare(
                        &settings,
                        &part.source,
                        &summary.sent,
                        began,
                        output,
                    )
                    .await?,
                );
            }
            is_well &= summary.ending == RunEnding::Complete && summary.faults.is_empty();
            if self.json {
                output.data(&summary::json(&part.plan, &summary)?)?;
            } else {
                summary::print(&part.plan, &summary, compares, output)?;
            }
        }
        if let Some(served_box) = served_box {
            served_box.serve(&settings, output).await?;
        }
        CommandError::negative_unless(is_well)
    }

    /// HMRC's box, if the command serves it.
    async fn open_box(
        &self,
        parts: &[SimulatedSource],
    ) -> Result<Option<SimulatedBox>, CommandError> {
        let Some(port) = self.serve_pull else {
            return Ok(None);
        };
        let hmrc = parts.iter().find(|part| part.plan.sender == Sender::Hmrc);
        let hmrc = hmrc.ok_or_else(|| {
            CommandError::Usage("--serve-pull needs a source of kind hmrc".to_owned())
        })?;
        SimulatedBox::open(hmrc, port).await.map(Some)
    }

    async fn parts(
        &self,
        settings: &CommandSettings,
        global: &GlobalArgs,
        now: Timestamp,
    ) -> Result<Vec<SimulatedSource>, CommandError> {
        for (flag, given) in [("--to", &self.to), ("--secret", &self.secret)] {
            if !given.is_empty() && given.len() != self.sources.len() {
                return Err(CommandError::Usage(format!(
                    "{flag} is given {} times: give it once for each source",
                    given.len()
                )));
            }
        }
        let seed = self.seed.unwrap_or_else(|| SystemClock.random());
        let mut parts = Vec::new();
        for (nth, name) in self.sources.iter().enumerate() {
            let source = settings.source(name)?;
            let sender = simulated_sender::sender(source.kind)?;
            let url =
                simulated_sender::url(self.to.get(nth).map(String::as_str), settings, source)?;
            test_data::check_agreement(&url, self.yes_store_test_data)?;
            self.require_list_of_sent(&url)?;
            let secret =
                simulated_sender::secret(self.secret.get(nth).map(String::as_str), source).await?;
            check_reachable(&url, sender).await?;
            let mut plan = RunPlan::new(sender, url, secret.expose().to_owned(), seed, now);
            self.fill_plan(&mut plan, now).await?;
            plan.keep_sent = global.inbox.is_some();
            parts.push(SimulatedSource {
                source: source.name.clone(),
                plan,
            });
        }
        Ok(parts)
    }

    /// Requires a list of the test data that another machine stores, so that it can be removed.
    fn require_list_of_sent(&self, url: &Url) -> Result<(), CommandError> {
        if is_loopback(url) || !self.quiet || self.record.is_some() {
            return Ok(());
        }
        let why = "--quiet would leave test data on another machine and no list of it: add \
         --record DIR, or leave --quiet out";
        Err(CommandError::Usage(why.to_owned()))
    }

    /// Sets the fields of a plan that are the same for every source.
    async fn fill_plan(&self, plan: &mut RunPlan, now: Timestamp) -> Result<(), CommandError> {
        let start = match &self.start {
            None => default_start(now),
            Some(text) => Timestamp::parse(text).ok_or_else(|| {
                CommandError::Usage(
                    "--start is not a date: write it as 2026-03-02T00:00:00Z".to_owned(),
                )
            })?,
        };
        plan.start = start;
        plan.count = self.count();
        plan.time_scale = self.time_scale;
        plan.limit = self.limit;
        plan.threads = self.threads.map_or(plan.threads, usize::from);
        self.faults.apply(plan)?;
        if let Some(reference) = self.faults.rotate_to() {
            plan.rotate_to = Some(
                fetch_named_secret("--rotate-to", reference)
                    .await?
                    .expose()
                    .to_owned(),
            );
        }
        if let Some(folder) = &self.replay {
            plan.replay = capture::read_captures(folder, plan.sender)
                .map_err(|error| ErrorCode::InputFile.error(error))?;
        }
        Ok(())
    }

    /// The number of new notifications; none by default with a replay.
    fn count(&self) -> u64 {
        let default = if self.replay.is_some() { 0 } else { 100 };
        self.count.unwrap_or(default)
    }

    fn announce(
        &self,
        part: &SimulatedSource,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let RunPlan {
            sender,
            url,
            seed,
            start,
            ..
        } = &part.plan;
        let line = format!(
            "{}: {} to {url}, --seed {seed} --start {start}",
            sender.as_str(),
            summary::size(&part.plan)
        );
        Ok(output.info(&line)?)
    }

    /// Runs all parts concurrently, until they end or Ctrl-C.
    async fn run_parts(
        &self,
        parts: &[SimulatedSource],
        served_box: Option<&SimulatedBox>,
        output: &mut CommandOutput,
    ) -> Result<Vec<RunSummary>, CommandError> {
        let total = parts
            .iter()
            .map(|part| part.plan.count + part.plan.replay.len() as u64)
            .sum();
        let stop = CancellationToken::new();
        let reporter =
            SimulationReporter::new(self.style()?, total, stop.clone(), Mutex::new(output));
        let on_event = |event: run::RunEvent<'_>| {
            if let (Some(served_box), run::RunEvent::Settled(settled)) = (served_box, &event) {
                served_box.settled(settled);
            }
            reporter.on_event(event);
        };
        let runs = join_all(
            parts
                .iter()
                .map(|part| run::run(&part.plan, &on_event, stop.cancelled())),
        );
        tokio::pin!(runs);
        let ended = tokio::select! {
            ended = &mut runs => ended,
            never = reporter.show_bar() => match never {},
            _ = tokio::signal::ctrl_c() => { stop.cancel(); runs.await }
        };
        reporter.finish()?;
        ended
            .into_iter()
            .map(|one| one.map_err(|error| CommandError::Usage(error.to_string())))
            .collect()
    }

    fn style(&self) -> Result<reporter::ReportStyle, CommandError> {
        let record = self.record.as_ref().map(|folder| {
            let wrong = |error| {
                ErrorCode::InputFile.error(format!("--record {}: {error}", folder.display()))
            };
            capture::ExchangeRecorder::create(folder).map_err(wrong)
        });
        Ok(reporter::ReportStyle {
            json: self.json,
            quiet: self.quiet,
            record: record.transpose()?,
        })
    }
}

/// Fails if the receiver is unreachable, before a run of several days starts.
async fn check_reachable(url: &Url, sender: Sender) -> Result<(), CommandError> {
    let opened = ReceiverConnection::open(url, sender.client_profile()).await;
    opened
        .map(|_| ())
        .map_err(|error| ErrorCode::Receiver.error(error))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct TestCommand {
        #[command(flatten)]
        args: SimulateArgs,
    }

    #[test]
    fn a_replay_sends_no_new_notification_unless_a_count_is_given() {
        for (args, count) in [
            (&["simulate", "pay"][..], 100),
            (&["simulate", "pay", "--count", "7"], 7),
            (&["simulate", "pay", "--replay", "folder"], 0),
            (
                &["simulate", "pay", "--replay", "folder", "--count", "7"],
                7,
            ),
        ] {
            assert_eq!(
                TestCommand::parse_from(args).args.count(),
                count,
                "{args:?}"
            );
        }
    }
}
