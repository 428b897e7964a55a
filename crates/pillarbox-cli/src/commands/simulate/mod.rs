//! `pillarbox simulate`: simulates senders over time against any receiver.

mod flags;
mod holdings;
mod kept;
mod summary;
mod teller;

use std::{path::PathBuf, sync::Mutex, time::Duration};

use clap::Args;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    CommandError, GlobalArgs, output::Output, played, settings::CommandSettings, span, test_data,
};
use crate::any_inbox::InboxAccess;
use flags::ChaosFlags;
use kept::SimulatedBox;
use pillarbox::domain::SourceName;
use sender_simulator::{
    Clock, ReceiverConnection, Sender, SystemClock, Timestamp, is_loopback, run,
    run::{RunEnding, RunPlan, RunSummary, capture, default_start},
};
use teller::SimulationReporter;

/// Plays one or both senders against a receiver, and says what each believes of every notification.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    pillarbox simulate pay --count 1000 --scenario busy --inbox sqlite:pillarbox.db\n  \
    pillarbox simulate pay hmrc --scenario outage --time-scale 3600\n  \
    pillarbox simulate hmrc --to https://receiver.example.gov.uk/try --secret env:TRY_SECRET \
     --yes-store-test-data\n\n\
    Scenarios: calm, busy, hostile, outage, go-live. Flags beat the scenario.\n\n\
    Exits with 1 if a notification was given up, lost by a redirect, or left undecided, if a \
     forged one was taken, and\n\
    with --inbox if one is acknowledged and absent, stored twice, or handed on under two keys.")]
pub(super) struct SimulateArgs {
    /// The sources whose senders are played
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
    /// How many notifications happen, for each source [default: 100; none with --replay]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(0..=10_000_000),
    )]
    count: Option<u64>,
    /// What chance is drawn from: the same seed plays the same run all day [default: a new one,
    /// which is printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// When the story begins, to repeat another day's run [default: midnight UTC, two days before
    /// today]
    #[arg(long, value_name = "DATE")]
    start: Option<String>,
    /// How much faster than ours the sender's clock runs: 3600 makes a second of an hour
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
    )]
    time_scale: u32,
    /// End the run after so long, come what may
    #[arg(long, value_name = "SPAN", default_value = "10m", value_parser = span::argument)]
    limit: Duration,
    /// How many requests a sender has under way at once [default: 20 as Pay, 50 as HMRC]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    threads: Option<u16>,
    #[command(flatten)]
    chaos: ChaosFlags,
    /// Post again what --record kept of an earlier run, and nothing else unless --count is given
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
    /// Keep every request and answer there as files; they hold signatures
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Serve HMRC's pull API on this port of this machine until Ctrl-C, with everything the run has
    /// in its box
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "8082")]
    serve_pull: Option<u16>,
    /// One JSON object a line: every message, and a summary for each source
    #[arg(long)]
    json: bool,
    /// Only the summary
    #[arg(long)]
    quiet: bool,
    /// Yes, test data may be stored by a receiver on another machine
    #[arg(long)]
    yes_store_test_data: bool,
}

/// One source's part in the run.
struct SimulatedSource {
    source: SourceName,
    plan: RunPlan,
}

impl SimulateArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let settings = played::settings(global, output)?;
        let began = SystemClock.now();
        let parts = self.parts(&settings, global, began).await?;
        for part in &parts {
            self.announce(part, output)?;
        }
        let compares = global.inbox.is_some();
        let began = pillarbox::domain::Timestamp::from_millis(began.as_millis());
        if compares {
            // What can't be read is said before anything is sent.
            settings.open_inbox(InboxAccess::Read).await?;
        }
        let kept = self.keep(&parts).await?;
        let ended = self.play(&parts, kept.as_ref(), output).await?;
        let mut is_well = true;
        for (part, mut summary) in parts.iter().zip(ended) {
            if compares {
                summary.add_faults(
                    holdings::compare(&settings, &part.source, &summary.sent, began, output)
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
        if let Some(kept) = kept {
            kept.serve(&settings, output).await?;
        }
        if is_well {
            Ok(())
        } else {
            Err(CommandError::Wanting)
        }
    }

    /// HMRC's box, if it is to be served.
    async fn keep(&self, parts: &[SimulatedSource]) -> Result<Option<SimulatedBox>, CommandError> {
        let Some(port) = self.serve_pull else {
            return Ok(None);
        };
        let hmrc = parts.iter().find(|part| part.plan.sender == Sender::Hmrc);
        let hmrc = hmrc.ok_or_else(|| {
            CommandError::Usage("--serve-pull is HMRC's: name a source of that kind".to_owned())
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
            let sender = played::sender(source.kind)?;
            let url = played::url(self.to.get(nth).map(String::as_str), settings, source)?;
            test_data::agreed(&url, self.yes_store_test_data)?;
            self.leaves_a_trace(&url)?;
            let secret = played::secret(self.secret.get(nth).map(String::as_str), source).await?;
            reachable(&url, sender).await?;
            let mut plan = RunPlan::new(sender, url, secret.expose().to_owned(), seed, now);
            self.fill(&mut plan, now).await?;
            plan.keep_sent = global.inbox.is_some();
            parts.push(SimulatedSource {
                source: source.name.clone(),
                plan,
            });
        }
        Ok(parts)
    }

    /// Whoever stores test data elsewhere has to be able to find all of it again.
    fn leaves_a_trace(&self, url: &Url) -> Result<(), CommandError> {
        if is_loopback(url) || !self.quiet || self.record.is_some() {
            return Ok(());
        }
        let why = "--quiet would leave test data on another machine and no list of it: add \
         --record DIR, or leave --quiet out";
        Err(CommandError::Usage(why.to_owned()))
    }

    /// The rest of a plan, which is the same for every source.
    async fn fill(&self, plan: &mut RunPlan, now: Timestamp) -> Result<(), CommandError> {
        let start = match &self.start {
            None => default_start(now),
            Some(text) => Timestamp::parse(text).ok_or_else(|| {
                CommandError::Usage(
                    "--start is no date: write it as 2026-03-02T00:00:00Z".to_owned(),
                )
            })?,
        };
        plan.start = start;
        plan.count = self.count();
        plan.time_scale = self.time_scale;
        plan.limit = self.limit;
        plan.threads = self.threads.map_or(plan.threads, usize::from);
        self.chaos.apply(plan)?;
        if let Some(reference) = self.chaos.rotate_to() {
            plan.rotate_to = Some(
                played::named("--rotate-to", reference)
                    .await?
                    .expose()
                    .to_owned(),
            );
        }
        if let Some(folder) = &self.replay {
            plan.replay = capture::read_captures(folder, plan.sender)
                .map_err(|error| CommandError::Usage(error.to_string()))?;
        }
        Ok(())
    }

    /// The notifications that happen; a replay of an earlier run has none of its own.
    fn count(&self) -> u64 {
        let default = if self.replay.is_some() { 0 } else { 100 };
        self.count.unwrap_or(default)
    }

    fn announce(&self, part: &SimulatedSource, output: &mut Output) -> Result<(), CommandError> {
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
        Ok(output.say(&line)?)
    }

    /// Plays all parts at once, until they end or somebody presses Ctrl-C.
    async fn play(
        &self,
        parts: &[SimulatedSource],
        kept: Option<&SimulatedBox>,
        output: &mut Output,
    ) -> Result<Vec<RunSummary>, CommandError> {
        let total = parts
            .iter()
            .map(|part| part.plan.count + part.plan.replay.len() as u64)
            .sum();
        let stop = CancellationToken::new();
        let teller =
            SimulationReporter::new(self.style()?, total, stop.clone(), Mutex::new(output));
        let watch = |seen: run::RunEvent<'_>| {
            if let (Some(kept), run::RunEvent::Settled(settled)) = (kept, &seen) {
                kept.settled(settled);
            }
            teller.hear(seen);
        };
        let runs = join_all(
            parts
                .iter()
                .map(|part| run::run(&part.plan, &watch, stop.cancelled())),
        );
        tokio::pin!(runs);
        let ended = tokio::select! {
            ended = &mut runs => ended,
            never = teller.show_bar() => match never {},
            _ = tokio::signal::ctrl_c() => { stop.cancel(); runs.await }
        };
        teller.end()?;
        ended
            .into_iter()
            .map(|one| one.map_err(|error| CommandError::Usage(error.to_string())))
            .collect()
    }

    fn style(&self) -> Result<teller::ReportStyle, CommandError> {
        let record = self.record.as_ref().map(|folder| {
            let wrong =
                |error| CommandError::Usage(format!("--record {}: {error}", folder.display()));
            capture::ExchangeRecorder::create(folder).map_err(wrong)
        });
        Ok(teller::ReportStyle {
            json: self.json,
            quiet: self.quiet,
            record: record.transpose()?,
        })
    }
}

/// Whether anybody is there, before a timetable of days begins.
async fn reachable(url: &Url, sender: Sender) -> Result<(), CommandError> {
    let opened = ReceiverConnection::open(url, sender.client_profile()).await;
    opened
        .map(|_| ())
        .map_err(|error| CommandError::Failed(error.to_string()))
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
    fn a_replay_posts_nothing_new_unless_a_count_is_given() {
        for (args, count) in [
            (&["simulate", "pay"][..], 100),
            (&["simulate", "pay", "--count", "7"], 7),
            (&["simulate", "pay", "--replay", "kept"], 0),
            (&["simulate", "pay", "--replay", "kept", "--count", "7"], 7),
        ] {
            assert_eq!(
                TestCommand::parse_from(args).args.count(),
                count,
                "{args:?}"
            );
        }
    }
}
