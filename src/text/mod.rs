//! Text that leaves the process: escaped so that it is safe to display, and written in whole lines.

mod escape;
mod line_writer;
#[cfg(test)]
pub(crate) mod test_support;

pub(crate) use escape::push_json;
pub use escape::{visible, visible_json, visible_lines, visible_styled};
pub use line_writer::LineWriter;
