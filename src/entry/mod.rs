//! How the world reaches us: only here are Lambda, HTTP servers and terminals known.

#[cfg(feature = "local")]
mod attempt;
#[cfg(feature = "local")]
pub mod cli;
#[cfg(feature = "local")]
pub mod console;
#[cfg(feature = "local")]
pub mod serve;
pub mod lambda;
mod shout;
mod system;
#[cfg(feature = "local")]
mod words;

#[cfg(feature = "local")]
pub use cli::serve_to;
pub use system::SystemClock;
