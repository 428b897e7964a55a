//! The log of `serve` and of the console, on standard error.

use std::{
    io::{self, IsTerminal},
    sync::Arc,
};

use tracing::Level;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    prelude::*,
};

use super::{CommandError, ErrorCode, output::CommandOutput, settings::variable};
use crate::metrics::{CountedFailures, ServeMetrics};
use pillarbox::{
    domain::SystemClock,
    telemetry::{LogFormat, LogLayer, log_panics},
};

/// Logs to standard error, one line a request: readable on a terminal, JSON elsewhere. The messages
/// of `output` use the same printer, so a full disk or a blocked reader delays neither the start
/// nor the end.
pub(super) fn log_to_stderr(
    metrics: &Arc<ServeMetrics>,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    let level = match variable("PILLARBOX_LOG").as_deref() {
        None | Some("") => Level::INFO,
        Some(word) => word.parse().map_err(|_| {
            ErrorCode::Config.error("PILLARBOX_LOG must be one of error, warn, info, debug, trace")
        })?,
    };
    let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    let format = if io::stderr().is_terminal() {
        LogFormat::Readable { colour }
    } else {
        LogFormat::Json
    };
    let (lines, printer) = LogLayer::new(io::stderr(), format, Arc::new(SystemClock))?;
    // Libraries may log payloads at finer levels, so those are never enabled for them.
    let which = Targets::new()
        .with_target("pillarbox", level)
        .with_default(Level::WARN);
    tracing_subscriber::registry()
        .with(lines.with_filter(which))
        .with(CountedFailures(Arc::clone(metrics)).with_filter(LevelFilter::ERROR))
        .init();
    log_panics();
    output.print_messages_with(printer, colour);
    Ok(())
}
