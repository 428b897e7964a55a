//! The Lambda function: what the sender gets from each front and what is stored by then, what each
//! role does with each event, and that no event can break it.

mod answers;
mod any;
mod batches;
mod bodies;
mod hostile;
mod lines;
mod log_share;
mod pull;
mod reconcile;
mod roles;
mod signatures;
mod time;
