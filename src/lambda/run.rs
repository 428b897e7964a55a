//! The process: variables in, invocations for as long as the platform wants, exit code out.

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
    Invocation, InvocationError, InvocationReply, LambdaFunction, Role, deadline, init, init_error,
};
use crate::{
    config::variable,
    destinations::Destination,
    domain::{Clock, SystemClock},
    inbox::Inbox,
    telemetry::{LogFormat, LogLayer, log_panics},
};

/// What is said where there is no Lambda around.
const NOT_ON_LAMBDA: &str = "bootstrap is what AWS Lambda runs: AWS_LAMBDA_RUNTIME_API is not set. \
    On a machine of your own, `pillarbox serve` does the same work, and `cargo lambda watch` \
     plays Lambda.";

/// Runs the function until the platform ends it.
pub fn main() -> ExitCode {
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
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => {
            tracing::error!(reason = %error, "the function cannot run");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    let built = match Role::named(variable("PILLARBOX_ROLE"), variable("_HANDLER")) {
        Ok(role) => init::build(role, variable).await,
        Err(problem) => Err(problem.into()),
    };
    let ended = match built {
        Ok(function) => serve(function).await.map_err(|error| error.to_string()),
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

/// Takes one invocation after the other. What it is given is JSON as it came; nothing decodes it
/// before it is known what it is.
async fn serve<I: Inbox, D: Destination>(
    function: LambdaFunction<I, D>,
) -> Result<(), lambda_runtime::Error> {
    let function = &function;
    let work = async |LambdaEvent { payload,
        context }: LambdaEvent<Box<RawValue>>| -> Result<InvocationReply, InvocationError> {
        let deadline = deadline::stopped_at(context.deadline, SystemClock.now());
        function.handle(&payload, &Invocation { id: context.request_id, deadline }).await
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

/// One line an invocation on standard output, as JSON. `PILLARBOX_LOG` may ask for more than that,
/// never for less: what counts rides on that line.
fn log_to_stdout() {
    let asked = variable("PILLARBOX_LOG")
        .and_then(|word| word.parse().ok())
        .unwrap_or(Level::INFO);
    let which = Targets::new()
        .with_target("pillarbox", asked.max(Level::INFO))
        // It says each failure once more than we do.
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF)
        // Libraries may say what they carry at their finer levels, so they are never asked for
        // those.
        .with_default(Level::WARN);
    let lines = LogLayer::direct(io::stdout(), LogFormat::Json, Arc::new(SystemClock));
    tracing_subscriber::registry()
        .with(lines.with_filter(which))
        .init();
}
