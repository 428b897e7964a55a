//! The senders when they are asked: HMRC's boxes and GOV.UK Pay's payments, served on loopback.
//!
//! Each is a [`Server`] over what it knows: [`Ppns`] over boxes, [`PayApi`] over accounts. Requests come in over real sockets and are answered by the
//! sender's own rules. A test scripts what goes wrong on the way ([`Step`]), and reads afterwards what was asked
//! ([`Call`]). Nothing leaves this machine, and nothing is kept once the server is dropped.

mod ask;
mod calls;
pub mod pay_api;
pub mod ppns;
mod rate;
mod reply;
mod script;
mod server;

pub use ask::Ask;
pub use calls::{Call, Calls, Outcome};
pub use pay_api::PayApi;
pub use ppns::Ppns;
pub use reply::Reply;
pub use script::Step;
pub use server::{Server, Service};
