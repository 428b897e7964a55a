//! `pillarbox inbox init`: an inbox before the first `serve`.

use clap::Subcommand;

use super::{Failure, Global, demo, output::Output, settings::Settings};
use crate::{app, config::Overrides};

/// What can be done with an inbox as a whole.
#[derive(Subcommand)]
pub(super) enum Inbox {
    /// Make the inbox, or bring the one that is there up to date
    Init,
}

impl Inbox {
    pub(super) fn run(self, global: &Global, output: &mut Output) -> Result<(), Failure> {
        let Self::Init = self;
        let settings = Settings::load(global, Overrides::default())?;
        let path = app::file(&settings.config.inbox)?;
        if settings.is_demo()
            && let Some(folder) = path.parent()
        {
            demo::make_folder(folder)?;
        }
        app::create_inbox(&settings.config.inbox)?;
        output.say(&format!("The inbox {} is ready.", path.display()))?;
        Ok(())
    }
}
