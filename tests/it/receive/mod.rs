//! Receiving, over a real connection to the real server: what each sender gets, and what is stored
//! by then.

mod answers;
mod bodies;
mod dates;
mod duplicates;
mod framing;
mod signatures;
mod slow;
mod storage;
