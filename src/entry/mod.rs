//! How the world reaches us: only here are HTTP servers and terminals known.

pub mod cli;
pub mod console;
pub mod serve;
mod system;
mod words;

pub use cli::serve_to;
pub use system::System;
