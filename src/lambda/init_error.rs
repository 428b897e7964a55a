//! Why the function can't begin -> the platform, which shows it to whoever looks.

use lambda_runtime_api_client::{BoxError, Client, body::Body, build_request};
use serde_json::json;

use super::init::InitError;

const PATH: &str = "/2018-06-01/runtime/init/error";

/// Tells the platform. It ends the environment afterwards, and tries another one.
pub(super) async fn report(problem: &InitError) {
    if let Err(error) = tell(problem).await {
        tracing::error!(reason = %error, "initialisation error not reported to the platform");
    }
}

async fn tell(problem: &InitError) -> Result<(), BoxError> {
    let told =
        json!({"errorType": problem.name(), "errorMessage": problem.to_string(), "stackTrace": []});
    let request = build_request()
        .method(http::Method::POST)
        .uri(PATH)
        .header(
            "lambda-runtime-function-error-type",
            format!("Pillarbox.{}", problem.name()),
        )
        .body(Body::from(told.to_string()))?;
    Client::builder().build()?.call(request).await?;
    Ok(())
}
