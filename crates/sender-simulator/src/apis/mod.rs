//! The senders' APIs on loopback: HMRC's boxes and GOV.UK Pay's payments.
//!
//! Each is an [`ApiServer`] over the sender's state: [`PpnsApi`] over boxes, `PayApi` over
//! accounts. Requests arrive over real sockets and are answered by the sender's rules. A server
//! never leaves this machine, and its state is gone when it is dropped.
//!
//! Released commands serve HMRC's boxes only. Pay's API, scripted failures and the log of calls are
//! for tests and benchmarks, so they are behind the feature `test-apis`.

mod rate_limiter;
mod request;
mod response;
mod server;

#[cfg(any(test, feature = "test-apis"))]
mod call_log;
#[cfg(any(test, feature = "test-apis"))]
pub mod pay_api;
pub mod ppns;
#[cfg(any(test, feature = "test-apis"))]
mod script;

pub use ppns::PpnsApi;
pub use request::ApiRequest;
pub use response::ApiResponse;
pub use server::{ApiServer, SenderApi};

#[cfg(any(test, feature = "test-apis"))]
pub use call_log::{ApiCall, CallLog, CallOutcome};
#[cfg(any(test, feature = "test-apis"))]
pub use pay_api::PayApi;
#[cfg(any(test, feature = "test-apis"))]
pub use script::ScriptedStep;
