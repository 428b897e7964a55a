//! `pillarbox send`: sends signed test notifications as a sender would.

use std::{borrow::Cow, ffi::OsStr, fs, io, path::PathBuf, time::Duration};

use clap::{
    Arg, Args, Command,
    builder::{PossibleValue, StringValueParser, TypedValueParser},
};
use serde::Serialize;
use tokio::time::Instant;
use url::Url;

use super::{
    CommandError, ErrorCode, GlobalArgs,
    output::{CommandOutput, GREEN, RED, millis, paint},
    row::json,
    simulated_sender,
};
use pillarbox::{config::SourceConfig, telemetry::visible};
use sender_simulator::{
    Clock, DeliveryAttempt, MessageBody, NextAction, Sender, SenderRequest, SystemClock,
    UnknownEventError, decide, exchange, hmrc,
};

/// Sends a signed test notification.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    pillarbox send pay --event captured\n  \
    pillarbox send hmrc --xml --repeat 1\n  \
    pillarbox send hmrc --message declaration.json \\\n      \
    --to https://receiver.example.gov.uk/hmrc --secret env:HMRC_PUSH_SECRET\n\n\
    Events of hmrc: json, xml, transit; unicode (é, € and U+2028, unescaped); astral (an emoji).\n\
    Events of govuk-pay: succeeded, captured, refunded, failed, expired.\n\
    Other kinds of payment: apple-pay, google-pay, telephone, delayed-capture, agreement,\n\
    corporate-surcharge; each sends the payment's first event.\n\n\
    Exits with 1 if the real sender would not count one of them as delivered.")]
pub(super) struct SendArgs {
    /// The source whose sender is simulated
    source: String,
    /// The event
    #[arg(long, value_name = "NAME", value_parser = EventNameParser, hide_possible_values = true)]
    event: Option<String>,
    /// HMRC only: a file whose content is the producer's message
    #[arg(long, value_name = "FILE", conflicts_with = "event")]
    message: Option<PathBuf>,
    /// HMRC only: the message is XML
    #[arg(long, conflicts_with = "event")]
    xml: bool,
    /// The callback URL [default: the source's own, at the configured address]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Sign with this secret, as env:NAME, file:PATH or secretsmanager:ARN#field [default: the
    /// source's first]
    #[arg(long, value_name = "REF")]
    secret: Option<String>,
    /// The number of times to send the same bytes again after each notification
    #[arg(long, value_name = "N", default_value_t = 0)]
    repeat: u32,
    /// The number of notifications, each with a new id
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..),
    )]
    count: u32,
    /// Print one JSON object for each request
    #[arg(long)]
    json: bool,
}

/// The result of one request.
#[derive(Serialize)]
struct SentRequest<'a> {
    key: &'a str,
    status: Option<u16>,
    answer: Option<Cow<'a, str>>,
    error: Option<String>,
    is_repeat: bool,
    is_delivered: bool,
    next: &'a str,
    took_us: u64,
}

/// Accepts any name, because the valid names depend on the source. Completions have the events of
/// both senders.
#[derive(Clone)]
struct EventNameParser;

impl TypedValueParser for EventNameParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue>>> {
        let names = Sender::ALL.into_iter().flat_map(Sender::events);
        Some(Box::new(names.map(PossibleValue::new)))
    }
}

impl SendArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = simulated_sender::settings(global, output)?;
        let source = settings.source(&self.source)?;
        let sender = simulated_sender::sender(source.kind)?;
        let url = simulated_sender::url(self.to.as_deref(), &settings, source)?;
        let secret = simulated_sender::secret(self.secret.as_deref(), source).await?;
        output.info(&format!("Posting to {url} as {}", sender.as_str()))?;
        let mut all_delivered = true;
        for _ in 0..self.count {
            let request = sender.request(&self.body(sender)?, secret.expose(), &url);
            for copy in 0..=self.repeat {
                let is_repeat = copy > 0;
                all_delivered &= self.post(source, &request, &url, is_repeat, output).await?;
            }
        }
        CommandError::negative_unless(all_delivered)
    }

    fn body(&self, sender: Sender) -> Result<MessageBody, CommandError> {
        if sender == Sender::GovukPay && (self.xml || self.message.is_some()) {
            let why = "--xml and --message are HMRC's: choose one of Pay's events with --event";
            return Err(CommandError::Usage(why.to_owned()));
        }
        let Some(path) = &self.message else {
            let event = if self.xml {
                Some("xml")
            } else {
                self.event.as_deref()
            };
            return sender
                .body(event, &SystemClock)
                .map_err(|error: UnknownEventError| CommandError::Usage(error.to_string()));
        };
        let text = fs::read_to_string(path).map_err(|error| {
            ErrorCode::InputFile.error(format!("cannot read {} as text: {error}", path.display()))
        })?;
        let message = if self.xml {
            hmrc::HmrcMessage::xml(text)
        } else {
            hmrc::HmrcMessage::json(text)
        };
        Ok(hmrc::body(&message, hmrc::SAMPLE_BOX, &SystemClock))
    }

    /// Posts once, and prints the response and what the real sender would do next.
    async fn post(
        &self,
        source: &SourceConfig,
        request: &SenderRequest,
        url: &Url,
        is_repeat: bool,
        output: &mut CommandOutput,
    ) -> Result<bool, CommandError> {
        let sender = simulated_sender::sender(source.kind)?;
        let began = Instant::now();
        let answered = exchange(request, url, sender.client_profile()).await;
        let took = began.elapsed();
        let outcome = match &answered {
            Ok(answer) => answer.outcome(sender, SystemClock.now()),
            // A URL that the sender would not call is an error in the command line.
            Err(error) => error
                .outcome()
                .ok_or_else(|| CommandError::Usage(error.to_string()))?,
        };
        let decision = decide(sender, outcome, DeliveryAttempt::FIRST);
        let sent = SentRequest {
            // As `list` and `show` name it, if this source receives it.
            key: &format!("{}:{}", source.name, request.id),
            status: answered.as_ref().ok().map(|answer| answer.status),
            answer: answered
                .as_ref()
                .ok()
                .map(|answer| String::from_utf8_lossy(&answer.body)),
            error: answered.as_ref().err().map(ToString::to_string),
            is_repeat,
            is_delivered: decision.next == NextAction::Acknowledged,
            next: &decision.sentence,
            took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        };
        if self.json {
            output.data(&json(&sent)?)?;
        } else {
            print(&sent, took, output)?;
        }
        Ok(sent.is_delivered)
    }
}

fn print(sent: &SentRequest<'_>, took: Duration, output: &mut CommandOutput) -> io::Result<()> {
    let response = match (sent.status, &sent.answer, &sent.error) {
        (Some(status), Some(answer), _) => format!("{status} {}", visible(answer.trim())),
        (_, _, error) => error.clone().unwrap_or_default(),
    };
    let response = paint(&response, if sent.is_delivered { GREEN } else { RED });
    let again = if sent.is_repeat { ", again" } else { "" };
    output.data(&format!(
        "{}{again}: {response} in {} ms",
        sent.key,
        millis(took)
    ))?;
    output.data(&format!("  {}", sent.next))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct SendCommand {
        #[command(flatten)]
        args: SendArgs,
    }

    #[test]
    fn help_and_completions_have_every_event() {
        let help = SendCommand::command().render_help().to_string();
        let mut script = Vec::new();
        let bash = clap_complete::Shell::Bash;
        clap_complete::generate(bash, &mut SendCommand::command(), "send", &mut script);
        let script = String::from_utf8(script).unwrap();
        for event in Sender::ALL.into_iter().flat_map(Sender::events) {
            let is_word = |text: &str| {
                text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                    .any(|word| word == *event)
            };
            assert!(is_word(&help), "{event} is not in the help:\n{help}");
            assert!(is_word(&script), "{event} is not in the completions");
        }
    }
}
