//! A baseline: a minimal Lambda in Rust behind an HTTP API. It checks and stores nothing.

use lambda_http::{Error, Request, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(|_: Request| async {
        Ok::<_, Error>(r#"{"status":"hello"}"#)
    }))
    .await
}
