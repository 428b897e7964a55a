//! `pillarbox check`: tests any receiver against the behaviour of the real senders.

use std::io;

use clap::Args;
use url::Url;

use super::{
    CommandError,
    output::{BOLD, CommandOutput, GREEN, RED, YELLOW, paint},
    settings::fetch_named_secret,
    test_data,
};
use pillarbox::text::{visible, visible_json};
use sender_simulator::{
    Sender, SystemClock,
    check::{CheckFinding, CheckOptions, CheckReport, Grade, check},
};

/// Tests any receiver, this one or another, against the behaviour of the real senders.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    pillarbox check http://127.0.0.1:8080/pay --kind govuk-pay \\\n      \
    --secret file:.pillarbox/pay.secret\n  \
    pillarbox check https://try.example.gov.uk/hmrc --kind hmrc \\\n      \
    --secret env:HMRC_PUSH_SECRET \\\n      \
    --yes-store-test-data --markdown > conformance.md\n\n\
    About 20 notifications of HMRC, or 30 of Pay, are stored if all goes well; the report lists \
     their ids.\n\
    Exits with 1 if anything failed; not for warnings. It ends within 2 minutes.")]
pub(super) struct CheckArgs {
    /// The callback URL; plain http on this machine only
    url: String,
    /// The sender of its notifications: hmrc or govuk-pay
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Sender,
    /// The secret that signs them, as env:NAME, file:PATH or secretsmanager:ARN#field
    #[arg(long, value_name = "REF")]
    secret: String,
    /// Allow test data to be stored by a receiver on another machine
    #[arg(long)]
    yes_store_test_data: bool,
    /// Print the report as one JSON object, when it is complete
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print the report as a Markdown document, when it is complete
    #[arg(long)]
    markdown: bool,
}

fn kind(name: &str) -> Result<Sender, String> {
    Sender::parse(name).ok_or_else(|| {
        format!(
            "choose one of {}",
            Sender::ALL.map(Sender::as_str).join(", ")
        )
    })
}

impl CheckArgs {
    pub(super) async fn run(self, output: &mut CommandOutput) -> Result<(), CommandError> {
        let url = Url::parse(&self.url).map_err(|_| {
            CommandError::Usage("this is not a URL: write https://HOST/PATH".to_owned())
        })?;
        test_data::check_agreement(&url, self.yes_store_test_data)?;
        let secret = fetch_named_secret("--secret", &self.secret).await?;
        let is_document = self.json || self.markdown;
        let mut printed = Ok(());
        let on_finding = |finding: &CheckFinding| {
            if printed.is_ok() && !is_document {
                printed = print_finding(finding, output);
            }
        };
        let (secret, options) = (secret.expose(), CheckOptions::default());
        let report = check(&url, self.kind, secret, &options, &SystemClock, on_finding).await;
        let report = report.map_err(|error| CommandError::Usage(error.to_string()))?;
        printed?;
        if self.json {
            output.data(&visible_json(&report.json()))?;
        } else if self.markdown {
            output.data(report.markdown().trim_end())?;
        } else {
            print_summary(&report, output)?;
        }
        CommandError::negative_unless(report.is_sound())
    }
}

/// Prints a finding in one line; for a failure or a warning also why it matters and how to fix it.
fn print_finding(finding: &CheckFinding, output: &mut CommandOutput) -> io::Result<()> {
    let CheckFinding {
        id,
        title,
        result,
        seen,
        why,
        sender,
        source,
        fix,
    } = finding;
    let mark = match result {
        Grade::Passed => paint("PASS", GREEN),
        Grade::Failed => paint("FAIL", RED),
        Grade::Warning => paint("WARN", YELLOW),
        Grade::NotTried => "SKIP".to_owned(),
    };
    let what = if *result == Grade::NotTried {
        "Not tried"
    } else {
        "Seen"
    };
    output.data(&format!("{mark}  {id}: {title}. {what}: {}", visible(seen)))?;
    if matches!(result, Grade::Failed | Grade::Warning) {
        output.data(&format!("      Why: {why}"))?;
        output.data(&format!("      Who: {sender} ({source})"))?;
        output.data(&format!("      Fix: {fix}"))?;
    }
    Ok(())
}

/// Prints the test data that may be stored, and the summary.
fn print_summary(report: &CheckReport, output: &mut CommandOutput) -> io::Result<()> {
    let stored: Vec<&str> = report
        .sent
        .iter()
        .filter(|sent| sent.may_be_stored())
        .map(|sent| sent.id.as_str())
        .collect();
    if !stored.is_empty() {
        output.data(&format!(
            "\nTest data that may be stored there now, {} notifications:",
            stored.len()
        ))?;
        stored
            .iter()
            .try_for_each(|id| output.data(&format!("  {id}")))?;
    }
    output.data(&format!("\n{}", paint(&report.summary(), BOLD)))
}
