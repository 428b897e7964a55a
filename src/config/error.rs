//! Everything that is wrong with a configuration.

use std::fmt;

pub use crate::domain::{ConfigError, ConfigLocation, Located};

/// Everything that is wrong, in the order in which it is written; never empty when it is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Puts problems into the order of their lines; those of a whole document come first.
    pub(super) fn new(mut problems: Vec<ConfigError>) -> Self {
        problems.sort_by_key(|problem| problem.line);
        Self(problems)
    }

    /// `value`, unless there are problems.
    pub(super) fn or<T>(problems: Vec<ConfigError>, value: T) -> Result<T, Self> {
        if problems.is_empty() {
            Ok(value)
        } else {
            Err(Self::new(problems))
        }
    }

    /// The problems one by one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(problem: ConfigError) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
