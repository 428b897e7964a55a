//! What a fuzzer runs: each target reads untrusted bytes with the product's own code, and holds the
//! result against something that does not depend on that code.
//!
//! `crates/proof/fuzz` runs them under libFuzzer, with the targets of the command line's own
//! package besides; the tests here run every seed, and every input that once failed.

mod answers;
mod envelopes;
mod events;
mod input;
mod requests;
mod rows;
mod settings;
#[cfg(test)]
mod tests;

pub use events::seed_events;
pub use input::{FuzzInput, SeedWriter};
pub use requests::{request, seed_requests, structured_seeds};
pub use rows::check_row;

/// One target.
#[derive(Clone, Copy)]
pub struct FuzzTarget {
    /// Its name on the command line.
    pub name: &'static str,
    /// Runs one input. Panics if the product breaks what it promises.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// The targets that need the library alone.
pub const LIBRARY_TARGETS: [FuzzTarget; 18] = [
    FuzzTarget {
        name: "http_api",
        run: events::http_api,
        seeds: requests::structured_seeds,
    },
    FuzzTarget {
        name: "function_url",
        run: events::function_url,
        seeds: requests::structured_seeds,
    },
    FuzzTarget {
        name: "rest_api",
        run: events::rest_api,
        seeds: requests::structured_seeds,
    },
    FuzzTarget {
        name: "any_event",
        run: events::any_event,
        seeds: events::seed_events,
    },
    FuzzTarget {
        name: "stream_batch",
        run: events::stream_batch,
        seeds: events::seed_batches,
    },
    FuzzTarget {
        name: "verification",
        run: requests::verification,
        seeds: requests::structured_seeds,
    },
    FuzzTarget {
        name: "signed_body",
        run: requests::signed_body,
        seeds: requests::body_seeds,
    },
    FuzzTarget {
        name: "challenge",
        run: requests::challenge,
        seeds: requests::query_seeds,
    },
    FuzzTarget {
        name: "hmrc_envelope",
        run: envelopes::hmrc,
        seeds: envelopes::hmrc_seeds,
    },
    FuzzTarget {
        name: "pay_envelope",
        run: envelopes::pay,
        seeds: envelopes::pay_seeds,
    },
    FuzzTarget {
        name: "dynamodb_item",
        run: rows::dynamodb_item,
        seeds: rows::item_seeds,
    },
    FuzzTarget {
        name: "history",
        run: rows::history,
        seeds: rows::history_seeds,
    },
    FuzzTarget {
        name: "stored_body",
        run: rows::stored_body,
        seeds: rows::body_seeds,
    },
    FuzzTarget {
        name: "configuration",
        run: settings::configuration,
        seeds: settings::documents,
    },
    FuzzTarget {
        name: "destination_url",
        run: settings::destination_url,
        seeds: settings::urls,
    },
    FuzzTarget {
        name: "hmrc_list",
        run: answers::hmrc_list,
        seeds: answers::list_seeds,
    },
    FuzzTarget {
        name: "pay_search",
        run: answers::pay_search,
        seeds: answers::search_seeds,
    },
    FuzzTarget {
        name: "date",
        run: answers::date,
        seeds: answers::date_seeds,
    },
];
