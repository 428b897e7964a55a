//! Pillarbox receives callbacks from HMRC and GOV.UK Pay, proves who sent them, stores each one
//! exactly as it arrived, answers within the sender's time limit, and delivers it afterwards.
//!
//! # Delivering to your own code
//!
//! Implement [`Destination`]. Your code gets every notification as an [`Event`] under its [`Key`],
//! and returns whether it was delivered.
//!
//! ```
//! use pillarbox::{DeliveryError, Destination, Event, Key};
//! # async fn insert(key: &str, json: &[u8]) -> std::io::Result<()> { Ok(()) }
//!
//! struct Ledger;
//!
//! impl Destination for Ledger {
//!     async fn deliver(&self, key: &Key, event: &Event) -> Result<(), DeliveryError> {
//!         if event.event_type() == "card_payment_expired" {
//!             return Ok(()); // the ledger does not need it
//!         }
//!         insert(key.as_str(), event.json())
//!             .await
//!             .map_err(|error| DeliveryError::Unavailable(error.to_string()))
//!     }
//! }
//! # fn is_destination(_: impl Destination) {}
//! # is_destination(Ledger);
//! ```
//!
//! A key is `{source}:{id}`, such as `pay:6otj8gn4i5k7rh7f8s0gq1mbu9`, and never changes. The event
//! is a CloudEvent, one JSON object whose bytes are the same on every attempt:
//!
//! ```json
//! {"specversion":"1.0","id":"pay:6otj8gn4i5k7rh7f8s0gq1mbu9","source":"/pay",
//!  "type":"uk.gov.payments.card_payment_captured","subject":"hu20sqlact5260q2nanm0q8u93",
//!  "time":"2026-03-02T10:15:31.480Z","datacontenttype":"application/json","data":{"amount":5000}}
//! ```
//!
//! [`Event::event_type`], [`Event::source`], [`Event::subject`] and [`Event::time`] (a
//! [`Timestamp`]) are the members to decide by; `docs/consumers.md` has every member and every
//! type.
//!
//! Then give your destination to one of two programs, each a `main` of one line:
//!
//! * On a server, `pillarbox_cli::serve_to(Ledger)` is `pillarbox serve`
//!   (`examples/own_destination.rs`).
//! * On AWS Lambda, [`lambda::main_to`]`(Ledger)` is `bootstrap`
//!   (`examples/own_destination_lambda.rs`). Name the binary `bootstrap`.
//!
//! Both take the configuration of the shipped programs, without destinations. Neither package is on
//! crates.io, so depend on a checkout:
//!
//! ```toml
//! [dependencies]
//! pillarbox = { path = "../pillarbox" }
//! pillarbox-cli = { path = "../pillarbox/crates/pillarbox-cli" }  # for a server only
//! ```
//!
//! Both bring their own runtime: `deliver` runs on Tokio, and `main` is not `async`. Leave `panic`
//! at `"unwind"` in your profiles, so that a panic of your code fails one attempt and not the
//! process.
//!
//! To test your destination with an event, add `pillarbox` to your `dev-dependencies` with the
//! feature `test-support`: `destinations::example::event(&hmrc("m1", "{}"))` is one, with `hmrc`
//! and `pay` in `senders::example`. To try the whole program, start it without a configuration and
//! post to it with `pillarbox send`.
//!
//! # The modules
//!
//! An embedder needs the names below and no module but [`lambda`]. The modules serve the other
//! packages of this workspace and change with them. They stand in reading order; each uses only
//! some of those above it: see ARCHITECTURE.md.

pub mod text;
pub mod domain;
pub mod aws;
mod http_client;
pub mod senders;
pub mod secrets;
pub mod inbox;
pub mod destinations;
pub mod config;
pub mod telemetry;
pub mod receive;
pub mod delivery;
pub mod reconcile;
pub mod lambda;

pub use destinations::{DeliveryError, Destination, Event};
pub use domain::{Key, Timestamp};
