//! The errors of commands, and their stable codes.
//!
//! A code never changes its meaning and is never reused. Codes below 100 are for errors in the
//! command line or the configuration, with exit code 2. The others are for commands that failed,
//! with exit code 1. docs/errors.md has a heading for each code.

use std::{fmt, io};

use pillarbox::{aws::AwsError, config::ConfigErrors, inbox::InboxError, reconcile::RunEnd};

use crate::{
    acts::ActError,
    any_inbox::OpenError,
    sqlite::{LockError, RestoreError},
};

/// The stable code of an error. A negative result, such as a wrong signature, has no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
    CommandLine = 1,
    Config = 2,
    ConfigFile = 3,
    UnknownSource = 4,
    Secret = 5,
    InputFile = 6,
    TestData = 7,
    Aws = 8,
    InboxKind = 9,
    Key = 10,
    TableSetup = 11,
    NotReconciled = 12,

    Failed = 100,
    InboxUnavailable = 101,
    NewerRow = 102,
    DamagedRow = 103,
    ConflictTaken = 104,
    InboxInUse = 105,
    Listen = 106,
    Output = 107,
    LocalFile = 108,
    UnknownKey = 109,
    WaitTimeout = 110,
    NotReady = 111,
    ReconcileBusy = 112,
    ReconcileFailed = 113,
    Restore = 114,
    Receiver = 115,
    BytesLeft = 116,
    AuditTrail = 117,
}

impl ErrorCode {
    /// An error with this code and a sentence that says what happened and what to do.
    pub(super) fn error(self, why: impl fmt::Display) -> CommandError {
        CommandError::Coded(self, why.to_string())
    }

    /// The exit code of a command that fails with this error.
    pub(super) fn exit_code(self) -> u8 {
        if (self as u8) < Self::Failed as u8 {
            2
        } else {
            1
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PB{:03}", *self as u8)
    }
}

/// The error of a command.
#[derive(Debug)]
pub(super) enum CommandError {
    /// The command line or the configuration is wrong: [`ErrorCode::CommandLine`].
    Usage(String),
    /// The command failed: [`ErrorCode::Failed`].
    Failed(String),
    /// An error with a more specific code.
    Coded(ErrorCode, String),
    /// The result is negative and was printed: exit code 1.
    Negative,
    /// The reader of the output has closed it.
    Closed,
}

impl CommandError {
    /// The result of a command: negative unless `is_positive`.
    pub(super) fn negative_unless(is_positive: bool) -> Result<(), Self> {
        if is_positive {
            Ok(())
        } else {
            Err(Self::Negative)
        }
    }

    /// The code and the message to print; `None` if everything was printed.
    pub(super) fn printed(&self) -> Option<(ErrorCode, &str)> {
        match self {
            Self::Usage(why) => Some((ErrorCode::CommandLine, why)),
            Self::Failed(why) => Some((ErrorCode::Failed, why)),
            Self::Coded(code, why) => Some((*code, why)),
            Self::Negative | Self::Closed => None,
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self.printed() {
            Some((code, _)) => code.exit_code(),
            None => u8::from(matches!(self, Self::Negative)),
        }
    }

    /// The message, for a command that continues after the error.
    pub(super) fn into_text(self) -> String {
        self.printed().map_or("", |(_, why)| why).to_owned()
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => ErrorCode::Output.error(format!("cannot write the output: {error}")),
        }
    }
}

impl From<InboxError> for CommandError {
    fn from(error: InboxError) -> Self {
        let code = match error {
            InboxError::NewerRow { .. } => ErrorCode::NewerRow,
            InboxError::Damaged { .. } => ErrorCode::DamagedRow,
            InboxError::ConflictTaken { .. } => ErrorCode::ConflictTaken,
            _ => ErrorCode::InboxUnavailable,
        };
        code.error(error)
    }
}

impl From<ActError> for CommandError {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Inbox(error) => error.into(),
            error => ErrorCode::AuditTrail.error(error),
        }
    }
}

impl From<AwsError> for CommandError {
    fn from(error: AwsError) -> Self {
        ErrorCode::Aws.error(error)
    }
}

impl From<OpenError> for CommandError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Inbox(error) => error.into(),
            OpenError::Aws(error) => error.into(),
        }
    }
}

impl From<ConfigErrors> for CommandError {
    fn from(errors: ConfigErrors) -> Self {
        ErrorCode::Config.error(errors)
    }
}

impl From<LockError> for CommandError {
    fn from(error: LockError) -> Self {
        ErrorCode::InboxInUse.error(error)
    }
}

impl From<RestoreError> for CommandError {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Lock(error) => error.into(),
            error => ErrorCode::Restore.error(error),
        }
    }
}

impl From<RunEnd> for CommandError {
    fn from(end: RunEnd) -> Self {
        match end {
            RunEnd::Inbox(error) => error.into(),
            RunEnd::AlreadyRunning(_) => ErrorCode::ReconcileBusy.error(format!(
                "{end}: wait until the run has ended, and run the command again"
            )),
            RunEnd::LockLost => ErrorCode::ReconcileBusy.error(format!(
                "{end}, here, in a `serve` or on Lambda: wait until it has ended, and run the \
                 command again; the lock of a process that died ends within a minute"
            )),
            end => ErrorCode::ReconcileFailed.error(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_code_has_one_heading_in_docs_errors_and_every_heading_a_code() {
        let declared: BTreeSet<String> = include_str!("error.rs")
            .lines()
            .filter_map(|line| {
                line.strip_prefix("    ")?
                    .strip_suffix(',')?
                    .split_once(" = ")
            })
            .filter_map(|(_, number)| Some(format!("PB{:03}", number.parse::<u8>().ok()?)))
            .collect();
        assert!(declared.contains(&ErrorCode::BytesLeft.to_string()));
        let page = include_str!("../../../../docs/errors.md");
        let headings = page.lines().filter_map(|line| line.strip_prefix("### PB"));
        let headings: Vec<String> = headings
            .map(|heading| format!("PB{}", heading.split(':').next().unwrap()))
            .collect();
        assert!(headings.is_sorted(), "{headings:?}");
        assert_eq!(
            headings,
            declared.into_iter().collect::<Vec<_>>(),
            "headings of docs/errors.md, and codes of error.rs"
        );
    }

    #[test]
    fn the_error_decides_the_exit_code() {
        for (error, printed, exit_code) in [
            (CommandError::Usage(String::new()), "PB001", 2),
            (ErrorCode::NotReconciled.error(""), "PB012", 2),
            (CommandError::Failed(String::new()), "PB100", 1),
            (InboxError::Unavailable(String::new()).into(), "PB101", 1),
            (AwsError::NoRegion.into(), "PB008", 2),
            (io::Error::other("full").into(), "PB107", 1),
        ] {
            assert_eq!(error.printed().unwrap().0.to_string(), printed);
            assert_eq!(error.exit_code(), exit_code, "{printed}");
        }
        for (error, exit_code) in [(CommandError::Negative, 1), (CommandError::Closed, 0)] {
            assert_eq!((error.printed(), error.exit_code()), (None, exit_code));
        }
    }
}
