//! `pillarbox completions`: prints a completion script for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{CommandError, CommandLine, output::CommandOutput};

/// Prints a completion script.
#[derive(Args)]
#[command(after_help = "Example:\n  pillarbox completions bash > \
     ~/.local/share/bash-completion/completions/pillarbox")]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(self, output: &mut CommandOutput) -> Result<(), CommandError> {
        let mut script = Vec::new();
        clap_complete::generate(
            self.shell,
            &mut CommandLine::command(),
            "pillarbox",
            &mut script,
        );
        Ok(output.bytes(&script)?)
    }
}
