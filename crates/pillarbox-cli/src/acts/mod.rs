//! The acts of a person on stored notifications: replay, discard, erase.
//!
//! The commands and the console act through an [`Operator`]. It writes an audit entry before the
//! first change, and completes the entry at the end. An act on many notifications reports its
//! progress after each one, and can be stopped between two.

mod actor;
mod bulk;
mod operator;
mod row_act;
mod selection;

#[cfg(test)]
mod tests;

pub use actor::{aws_actor, local_actor};
pub use bulk::{ActProgress, ActReport};
pub use operator::{ActError, Operator, open_as_person};
pub use row_act::{RowAct, RowResult};
pub use selection::{ActScope, RowSelection};
