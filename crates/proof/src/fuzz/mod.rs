//! The fuzz targets. Each parses untrusted bytes with the product's code, and checks the result
//! independently of that code.
//!
//! `crates/proof/fuzz` runs them under libFuzzer, together with the targets of the package
//! `pillarbox-cli`. The tests here run every seed, and every input that failed in the past.

mod answers;
mod envelopes;
mod events;
mod input;
mod requests;
mod rows;
mod settings;
#[cfg(test)]
mod tests;

use crate::attack::fronts::LambdaFront;

pub use events::seed_events;
pub use input::{FuzzInput, SeedWriter};
pub use requests::{request, seed_requests, structured_seeds};
pub use rows::check_row;

/// A fuzz target.
#[derive(Clone, Copy)]
pub struct FuzzTarget {
    /// The name on the command line.
    pub name: &'static str,
    /// Runs one input. Panics if the product breaks a promise.
    pub run: fn(&[u8]),
    /// The initial inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl FuzzTarget {
    /// A target with this name.
    pub const fn new(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Self {
        Self { name, run, seeds }
    }
}

/// The targets that need only the library.
pub const LIBRARY_TARGETS: [FuzzTarget; 18] = [
    FuzzTarget::new(
        "http_api",
        |bytes| events::http(LambdaFront::HttpApi, bytes),
        requests::structured_seeds,
    ),
    FuzzTarget::new(
        "function_url",
        |bytes| events::http(LambdaFront::FunctionUrl, bytes),
        requests::structured_seeds,
    ),
    FuzzTarget::new(
        "rest_api",
        |bytes| events::http(LambdaFront::Rest, bytes),
        requests::structured_seeds,
    ),
    FuzzTarget::new("any_event", events::any_event, events::seed_events),
    FuzzTarget::new("stream_batch", events::stream_batch, events::seed_batches),
    FuzzTarget::new(
        "verification",
        requests::verification,
        requests::structured_seeds,
    ),
    FuzzTarget::new("signed_body", requests::signed_body, requests::body_seeds),
    FuzzTarget::new("challenge", requests::challenge, requests::query_seeds),
    FuzzTarget::new("hmrc_envelope", envelopes::hmrc, envelopes::hmrc_seeds),
    FuzzTarget::new("pay_envelope", envelopes::pay, envelopes::pay_seeds),
    FuzzTarget::new("dynamodb_item", rows::dynamodb_item, rows::item_seeds),
    FuzzTarget::new("history", rows::history, rows::history_seeds),
    FuzzTarget::new("stored_body", rows::stored_body, rows::body_seeds),
    FuzzTarget::new(
        "configuration",
        settings::configuration,
        settings::documents,
    ),
    FuzzTarget::new("destination_url", settings::destination_url, settings::urls),
    FuzzTarget::new("hmrc_list", answers::hmrc_list, answers::list_seeds),
    FuzzTarget::new("pay_search", answers::pay_search, answers::search_seeds),
    FuzzTarget::new("date", answers::date, answers::date_seeds),
];
