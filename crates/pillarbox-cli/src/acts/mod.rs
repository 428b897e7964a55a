//! What a person does with stored notifications: replay, discard, erase.
//!
//! The commands and the console act through an [`Operator`]. It writes each act to the audit trail
//! before the first change, and again at its end. An act on many notifications reports its progress
//! after each of them, and can be stopped between two.

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
