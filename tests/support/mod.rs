//! What test files share: a server under test, requests that can be wrong in any way, and a client
//! that judges every answer it hears.

#![allow(dead_code, reason = "every test file uses a part of its own")]

pub(crate) mod client;
pub(crate) mod cloud;
pub(crate) mod dynamodb;
pub(crate) mod fault_proxy;
pub(crate) mod fronts;
pub(crate) mod function;
pub(crate) mod loopback;
pub(crate) mod message;
pub(crate) mod pump;
pub(crate) mod request;
pub(crate) mod runtime_api;
pub(crate) mod server;
pub(crate) mod shipped;
pub(crate) mod silent;
pub(crate) mod table;
