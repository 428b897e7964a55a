//! `verify --stored` against an inbox that was changed behind the product's back, and against
//! honest ones: every change to one attribute is found, and no honest row is called broken.
//!
//! `PILLARBOX_HONEST_ROWS` raises the number of honest rows.

mod maker;
mod tampering;
mod honest;

use std::time::Duration;

use pillarbox::inbox::dynamodb::DynamoInbox;
use test_support::{
    process::{CommandResult, ProgramFolder},
    table,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const OTHER_SECRET: &str = "webhook_test_another0another0another0";

fn verify_stored(folder: &ProgramFolder, table: Option<&DynamoInbox>) -> CommandResult {
    let inbox = table.map(|table| format!("dynamodb:{}", table.table()));
    let mut arguments = vec!["verify", "--stored"];
    arguments.extend(inbox.iter().flat_map(|inbox| ["--inbox", inbox.as_str()]));
    CommandResult::of(folder.command(&arguments).envs(table::variables()))
}
