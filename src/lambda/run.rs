//! The process: reads its variables, handles invocations until the platform ends it.

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use lambda_runtime::{Diagnostic, LambdaEvent, Runtime, service_fn};
use serde_json::value::RawValue;
use tracing::Level;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    prelude::*,
};

use super::{
    Invocation, InvocationError, InvocationReply, LambdaFunction, Role, deadline,
    init::{self, DestinationContext, InitError},
    init_error,
};
use crate::{
    config::variable,
    destinations::Destination,
    domain::{Clock, SystemClock},
    inbox::Inbox,
    telemetry::{LogFormat, LogLayer, log_panics},
};

/// The message outside Lambda.
const NOT_ON_LAMBDA: &str = "This program runs on AWS Lambda: AWS_LAMBDA_RUNTIME_API is not set. \
    `pillarbox serve` does the same work on a machine of your own, and `cargo lambda watch` \
    simulates Lambda.";

/// Runs `bootstrap`: a function that delivers to the destinations of its configuration. Returns
/// when the platform ends it.
pub fn main() -> ExitCode {
    start(init::configured_destinations)
}

/// Runs a Lambda function that delivers every notification to `destination`: `bootstrap`, with its
/// variables, configuration and roles, and your code in place of the configured destinations.
///
/// Name your binary `bootstrap` and deploy it in place of the shipped one. In the roles `process`,
/// `sweep` and `all` it delivers to `destination`; in the roles `receive` and `reconcile` it does
/// what the shipped one does, and `destination` is dropped.
///
/// A configuration that names destinations other than `log`, the default, is refused, since none
/// of them would be used: a function that only delivers does not start. A function in the role
/// `all` still receives; it logs the error, and its notifications stay open until the
/// configuration is corrected.
///
/// Standard output belongs to the log, one JSON object a line.
///
/// ```no_run
/// use pillarbox::{DeliveryError, Destination, Event, Key, lambda::main_to};
///
/// struct Ledger;
///
/// impl Destination for Ledger {
///     async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
///         let _ = (key, event.json()); // store the event under its key
///         Ok(())
///     }
/// }
///
/// fn main() -> std::process::ExitCode {
///     main_to(Ledger)
/// }
/// ```
pub fn main_to(destination: impl Destination) -> ExitCode {
    start(|context| init::own_destination(destination, context))
}

/// Runs the function with the destination that `build` makes.
fn start<D: Destination>(
    build: impl FnOnce(&DestinationContext<'_>) -> Result<D, InitError>,
) -> ExitCode {
    if variable("AWS_LAMBDA_RUNTIME_API").is_none() {
        let _ = writeln!(io::stderr(), "{NOT_ON_LAMBDA}");
        return ExitCode::from(2);
    }
    log_to_stdout();
    log_panics();
    // One thread: a function works on one invocation at a time, and has little of a core.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run(build)),
        Err(error) => {
            tracing::error!(reason = %error, "the function cannot run");
            ExitCode::FAILURE
        }
    }
}

/// The futures are boxed because they are compiled in the program that supplies the destination,
/// and as one type they would exceed the compiler's default limit on nested types.
async fn run<D: Destination>(
    build: impl FnOnce(&DestinationContext<'_>) -> Result<D, InitError>,
) -> ExitCode {
    let built = match Role::named(variable("PILLARBOX_ROLE"), variable("_HANDLER")) {
        Ok(role) => Box::pin(init::build(role, variable, build)).await,
        Err(problem) => Err(problem.into()),
    };
    let ended = match built {
        Ok(function) => Box::pin(serve(function))
            .await
            .map_err(|error| error.to_string()),
        Err(problem) => {
            init_error::report(&problem).await;
            Err(problem.to_string())
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            tracing::error!(reason, "the function ended");
            ExitCode::FAILURE
        }
    }
}

/// Handles one invocation after another. The payload stays raw JSON until its kind is known.
async fn serve<I: Inbox, D: Destination>(
    function: LambdaFunction<I, D>,
) -> Result<(), lambda_runtime::Error> {
    let function = &function;
    let work = async |LambdaEvent { payload,
        context }: LambdaEvent<Box<RawValue>>| -> Result<InvocationReply, InvocationError> {
        let deadline = deadline::stopped_at(context.deadline, SystemClock.now());
        let invocation = Invocation {
            id: context.request_id,
            deadline,
            trace_header: context.xray_trace_id,
        };
        function.handle(&payload, &invocation).await
    };
    Runtime::new(service_fn(work)).run().await
}

impl From<InvocationError> for Diagnostic {
    fn from(failure: InvocationError) -> Self {
        Self {
            error_type: failure.name().to_owned(),
            error_message: failure.to_string(),
        }
    }
}

/// Logs one JSON line per invocation to standard output. `PILLARBOX_LOG` can add lines and never
/// remove that one, because it carries the metrics.
fn log_to_stdout() {
    let level = variable("PILLARBOX_LOG")
        .and_then(|word| word.parse().ok())
        .unwrap_or(Level::INFO);
    let filter = Targets::new()
        .with_target("pillarbox", level.max(Level::INFO))
        // It repeats each failure that this program logs.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
        // At finer levels libraries may log data, so those levels are off.
        .with_default(Level::WARN);
    let lines = LogLayer::direct(io::stdout(), LogFormat::Json, Arc::new(SystemClock))
        .with_metrics(init::function_metrics(variable));
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .init();
}
