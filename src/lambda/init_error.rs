//! Reports to the platform why the function cannot start, so that an operator can see it there.

use lambda_runtime_api_client::{BoxError, Client, body::Body, build_request};
use serde_json::json;

use super::init::InitError;

const PATH: &str = "/2018-06-01/runtime/init/error";

/// Reports an error to the platform, which then ends this environment and starts another.
pub(super) async fn report(problem: &InitError) {
    if let Err(error) = send(problem).await {
        tracing::error!(reason = %error, "initialisation error not reported to the platform");
    }
}

async fn send(problem: &InitError) -> Result<(), BoxError> {
    let report =
        json!({"errorType": problem.name(), "errorMessage": problem.to_string(), "stackTrace": []});
    let request = build_request()
        .method(http::Method::POST)
        .uri(PATH)
        .header(
            "lambda-runtime-function-error-type",
            format!("Pillarbox.{}", problem.name()),
        )
        .body(Body::from(report.to_string()))?;
    Client::builder().build()?.call(request).await?;
    Ok(())
}
