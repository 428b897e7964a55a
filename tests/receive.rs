//! Receiving, over a real connection to the real server: what each sender is told, and what is
//! stored by the time it is told.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not take the helpers of a test for one"
)]

mod support;

mod receive {
    mod answers;
    mod bodies;
    mod dates;
    mod duplicates;
    mod framing;
    mod shipped;
    mod signatures;
    mod slow;
    mod storage;
}
