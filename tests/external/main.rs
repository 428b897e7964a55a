//! Tests that need more than Rust and a C compiler: Python, a browser, MiniStack, release builds.

#![allow(
    clippy::unwrap_used,
    reason = "clippy does not take the helpers of a test for one"
)]

mod artefact;
mod as_sent;
mod browser;
mod consumer;
mod ministack;
mod proxies;
mod replicas;
mod runbook;
mod second_opinion;
mod stack;
mod task_role;
mod translated;
