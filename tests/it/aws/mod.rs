//! Secrets Manager, SQS and EventBridge through their real clients, against a stand-in on loopback
//! that fails on purpose.

mod destinations;
mod keys;
mod secrets;
