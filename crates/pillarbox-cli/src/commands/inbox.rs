//! `pillarbox inbox`: creates, backs up and restores an inbox.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::{
    CommandError, ErrorCode, GlobalArgs, demo,
    output::CommandOutput,
    settings::{CommandSettings, secret_sources},
    work_line::WorkLine,
};
use crate::{
    any_inbox::table_inbox,
    sqlite::{SqliteInbox, partial_path, restore},
};
use pillarbox::{config::InboxConfig, telemetry::visible};

/// The operations on a whole inbox.
#[derive(Subcommand)]
pub(super) enum InboxCommand {
    /// Create the local file or a development table, or update the existing one
    Init,
    /// Copy the local file, consistent and checked, while serve runs
    Backup(BackupArgs),
    /// Replace the local file with a backup; the old file is kept
    Restore(RestoreArgs),
}

/// Copies the local file.
#[derive(Args)]
pub(super) struct BackupArgs {
    /// The new file, which must not exist
    #[arg(value_name = "FILE")]
    target: PathBuf,
}

/// Restores the local file.
#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FILE")]
    backup: PathBuf,
    /// Restore a backup even if the bytes of some notifications do not match their digests
    #[arg(long)]
    keep_damaged: bool,
}

impl InboxCommand {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        let settings = CommandSettings::load(global)?;
        match (self, &settings.config.inbox) {
            (Self::Init, InboxConfig::Sqlite { path }) => init_file(&settings, path, output),
            (Self::Init, InboxConfig::DynamoDb { table, shards }) => {
                init_table(&settings, table, *shards, output).await
            }
            (Self::Backup(backup), InboxConfig::Sqlite { path }) => backup.run(path, output).await,
            (Self::Restore(restore), InboxConfig::Sqlite { path }) => restore.run(path, output),
            (Self::Backup(_) | Self::Restore(_), InboxConfig::DynamoDb { table, .. }) => {
                Err(ErrorCode::InboxKind.error(format!(
                    "inbox backup and restore are for a local file, and {} names the table \
                     {table}: AWS backs that up (point-in-time recovery; docs/deploy.md)",
                    settings.document_name
                )))
            }
        }
    }
}

impl BackupArgs {
    async fn run(self, path: &Path, output: &mut CommandOutput) -> Result<(), CommandError> {
        let inbox = SqliteInbox::open_read_only(path)?;
        let partial = partial_path(&self.target);
        let rows = WorkLine::while_copying(path, partial, inbox.backup(&self.target)).await?;
        Ok(output.info(&format!(
            "{} has all {rows} notifications of {}.",
            self.target.display(),
            path.display()
        ))?)
    }
}

impl RestoreArgs {
    fn run(self, path: &Path, output: &mut CommandOutput) -> Result<(), CommandError> {
        let restored = restore(&self.backup, path, self.keep_damaged)?;
        let path = path.display();
        output.info(&format!(
            "{path} has all {} notifications of {}.",
            restored.rows,
            self.backup.display()
        ))?;
        for key in &restored.damaged {
            output.info(&format!("{} is damaged.", visible(key)))?;
        }
        if let Some(aside) = &restored.aside {
            output.info(&format!("The old inbox is now {}.", aside.display()))?;
        }
        Ok(())
    }
}

fn init_file(
    settings: &CommandSettings,
    path: &Path,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    if settings.is_demo()
        && let Some(folder) = path.parent()
    {
        demo::make_folder(folder)?;
    }
    SqliteInbox::create(path)?;
    Ok(output.info(&format!("The inbox {} is ready.", path.display()))?)
}

async fn init_table(
    settings: &CommandSettings,
    table: &str,
    shards: u32,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    let aws = crate::aws::from_environment(&secret_sources()).await?;
    let inbox = table_inbox(&aws, table, shards, &settings.config);
    let existed = inbox.init().await?;
    let faults = inbox.errors().await?;
    for fault in &faults {
        output.error(&ErrorCode::TableSetup.error(format!("table {table} {}", fault.0)))?;
    }
    if !faults.is_empty() {
        return Err(CommandError::Negative);
    }
    let ready = if existed {
        "already exists, and is set up correctly"
    } else {
        "is ready"
    };
    output.info(&format!("The table {table} {ready}."))?;
    let hint = "For development only: it is neither protected from deletion nor backed up. The \
     template's table is.";
    if existed {
        Ok(())
    } else {
        Ok(output.info(hint)?)
    }
}
