//! `pillarbox inbox init`: an inbox before the first notification.

use std::path::Path;

use clap::Subcommand;

use super::{
    CommandError, GlobalArgs, demo,
    output::Output,
    settings::{CommandSettings, outside},
};
use crate::sqlite::SqliteInbox;
use pillarbox::{
    app,
    config::{InboxConfig, Overrides},
};

/// What can be done with an inbox as a whole.
#[derive(Subcommand)]
pub(super) enum InboxCommand {
    /// Make the local file or a development table, or bring the one that is there up to date
    Init,
}

impl InboxCommand {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut Output,
    ) -> Result<(), CommandError> {
        let Self::Init = self;
        let settings = CommandSettings::load(global, Overrides::default())?;
        match &settings.config.inbox {
            InboxConfig::Sqlite { path } => file(&settings, path, output),
            InboxConfig::DynamoDb { table, shards } => {
                init_table(&settings, table, *shards, output).await
            }
        }
    }
}

fn file(settings: &CommandSettings, path: &Path, output: &mut Output) -> Result<(), CommandError> {
    if settings.is_demo()
        && let Some(folder) = path.parent()
    {
        demo::make_folder(folder)?;
    }
    SqliteInbox::create(path)?;
    Ok(output.say(&format!("The inbox {} is ready.", path.display()))?)
}

async fn init_table(
    settings: &CommandSettings,
    table: &str,
    shards: u32,
    output: &mut Output,
) -> Result<(), CommandError> {
    let aws = crate::aws::from_environment(&outside())
        .await
        .map_err(|error| CommandError::Failed(error.to_string()))?;
    let inbox = app::table_inbox(&aws, table, shards, &settings.config);
    let was_there = inbox.init().await?;
    let faults = inbox.faults().await?;
    for fault in &faults {
        output.error(&format!("table {table} {}", fault.0))?;
    }
    if !faults.is_empty() {
        return Err(CommandError::Wanting);
    }
    let ready = if was_there {
        "was there, and is as it must be"
    } else {
        "is ready"
    };
    output.say(&format!("The table {table} {ready}."))?;
    let hint = "For development only: it is neither protected from deletion nor backed up. The \
     template's table is.";
    if was_there {
        Ok(())
    } else {
        Ok(output.say(hint)?)
    }
}
