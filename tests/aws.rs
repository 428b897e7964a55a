//! What AWS keeps and takes, through its real clients, against a stand-in on loopback that misbehaves.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not take the helpers of a test for one"
)]

#[path = "support/cloud.rs"]
mod cloud;
#[path = "support/process.rs"]
mod process;

mod aws {
    mod destinations;
    mod handed_on;
    mod keys;
    mod secrets;
    mod serve;
}
