//! `pillarbox healthcheck`: checks that the running `serve` can store a notification, for a
//! container.

use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use super::{
    CommandError, ErrorCode, GlobalArgs, local_request, output::CommandOutput,
    settings::CommandSettings,
};
use pillarbox::{config::ConfigOverrides, telemetry::visible};

/// Longer than `serve` takes to respond in any state.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The largest number of bytes read of a response.
const MAX_ANSWER_BYTES: u64 = 4 * 1024;

/// Checks that the running serve can store a notification.
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 it can, 1 it cannot or does not answer within 4 s.\n\n\
     Example:\n  HEALTHCHECK CMD [\"pillarbox\", \"healthcheck\"]"
)]
pub(super) struct HealthcheckArgs {
    /// The address that serve listens on [default: 127.0.0.1:8080]; overrides PILLARBOX_LISTEN and
    /// the configuration
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

impl HealthcheckArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let flags = ConfigOverrides {
            listen: self.listen,
            ..ConfigOverrides::default()
        };
        let settings = CommandSettings::load_with(global, flags)?;
        let address = local_request::reachable(settings.config.listen);
        let failed = |reason: String| ErrorCode::NotReady.error(format!("{address}: {reason}"));
        let request = local_request::get(address, "/-/readyz", MAX_ANSWER_BYTES);
        let answer = timeout(TIMEOUT, request).await;
        let answer = answer
            .map_err(|_| failed(format!("no answer within {} s", TIMEOUT.as_secs())))?
            .map_err(|error| {
                failed(format!(
                    "no answer ({error}): is `pillarbox serve` running?"
                ))
            })?;
        match status_and_body(&answer) {
            Some((200, word)) if self.json => {
                let ready = serde_json::json!({"address": address, "ready": true, "answer": word});
                Ok(output.data(&ready.to_string())?)
            }
            Some((200, word)) => Ok(output.data(word)?),
            Some((503, word)) => Err(failed(format!("not ready: {}", visible(word)))),
            _ => Err(failed(
                "the response is not from `pillarbox serve`".to_owned(),
            )),
        }
    }
}

fn status_and_body(answer: &str) -> Option<(u16, &str)> {
    let status = answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_complete_response_has_a_status_and_a_body() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\na: b\r\n\r\nok", Some((200, "ok"))),
            ("HTTP/1.1 503 X\r\n\r\ninbox", Some((503, "inbox"))),
            ("HTTP/1.1 200 OK\r\na: b\r\n", None),
            ("SSH-2.0-x\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(status_and_body(answer), expected, "{answer}");
        }
    }
}
