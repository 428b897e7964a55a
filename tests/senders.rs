//! The senders when they are asked, over real sockets: every rule that a client of theirs has to live with.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not take the helpers of a test for one"
)]

#[path = "support/loopback.rs"]
mod loopback;

mod senders {
    mod clock;
    mod heard;
    mod hmrc;
    mod hmrc_acknowledge;
    mod hmrc_faults;
    mod hmrc_list;
    mod hmrc_token;
    mod pay;
    mod pay_lives;
    mod pay_payment;
    mod pay_search;
}
