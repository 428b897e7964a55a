//! The inbox that stores notifications: `[inbox]`, `--inbox sqlite:PATH` or `--inbox
//! dynamodb:TABLE`.

use std::path::{Path, PathBuf};

use super::document_reader::TableReader;

/// The file of the inbox if none is configured.
const DEFAULT_PATH: &str = "pillarbox.db";
const KINDS: [&str; 2] = ["sqlite", "dynamodb"];

/// The shards of the table's index if none are configured. Each takes about 1,000 writes a second.
const DEFAULT_SHARDS: u32 = 16;
/// More shards than the write quota of an AWS account can use.
const MOST_SHARDS: u32 = 1024;

/// The configured inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboxConfig {
    /// A local SQLite file.
    Sqlite {
        /// The path of the file.
        path: PathBuf,
    },
    /// A DynamoDB table.
    DynamoDb {
        /// The name of the table.
        table: String,
        /// The number of shards of its index.
        shards: u32,
    },
}

impl Default for InboxConfig {
    fn default() -> Self {
        Self::Sqlite {
            path: PathBuf::from(DEFAULT_PATH),
        }
    }
}

/// Why a text does not name an inbox, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InboxConfigError {
    /// The text is not KIND:NAME with a known kind.
    #[error("must be sqlite:PATH or dynamodb:TABLE")]
    Unknown,
    /// The table's name is invalid.
    #[error("is not a valid table name: write 3 to 255 of A-Z, a-z, 0-9, _, - and .")]
    NoTable,
    /// The path is missing, or names a database in memory.
    #[error("does not name a file on disk: write its path, such as pillarbox.db")]
    NoFile,
}

impl InboxConfig {
    /// Reads `sqlite:PATH` or `dynamodb:TABLE`, as `--inbox` takes it.
    pub fn parse(text: &str) -> Result<Self, InboxConfigError> {
        match text.split_once(':') {
            Some(("sqlite", path)) => Self::sqlite(path),
            Some(("dynamodb", table)) => Self::dynamodb(table, DEFAULT_SHARDS),
            _ => Err(InboxConfigError::Unknown),
        }
    }

    /// For SQLite, `""` and `:memory:` are temporary databases, and a URI that begins with `file:`
    /// can name one.
    fn sqlite(path: &str) -> Result<Self, InboxConfigError> {
        let vanishes = path.trim().is_empty() || path == ":memory:" || path.starts_with("file:");
        if vanishes {
            Err(InboxConfigError::NoFile)
        } else {
            Ok(Self::Sqlite {
                path: PathBuf::from(path),
            })
        }
    }

    /// Whether it is on AWS.
    pub fn is_on_aws(&self) -> bool {
        matches!(self, Self::DynamoDb { .. })
    }

    /// The file of a SQLite inbox.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite { path } => Some(path),
            Self::DynamoDb { .. } => None,
        }
    }

    fn dynamodb(table: &str, shards: u32) -> Result<Self, InboxConfigError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let is_name = (3..=255).contains(&table.len()) && table.bytes().all(fits);
        if is_name {
            Ok(Self::DynamoDb {
                table: table.to_owned(),
                shards,
            })
        } else {
            Err(InboxConfigError::NoTable)
        }
    }
}

/// Reads `[inbox]`.
pub(super) fn read(root: &mut TableReader<'_, '_>) -> Option<InboxConfig> {
    let Some(item) = root.take("inbox") else {
        return Some(InboxConfig::default());
    };
    let mut table = item.table()?;
    let kind = table.require("kind", "write kind = \"sqlite\" or kind = \"dynamodb\"");
    let inbox = match kind.as_ref().and_then(|kind| kind.word(&KINDS)) {
        Some("sqlite") => sqlite(&mut table),
        Some(_) => dynamodb(&mut table),
        None => {
            // Without a kind, the valid keys are unknown, so none of these is reported.
            let _ = ["path", "table", "shards"].map(|key| table.take(key));
            None
        }
    };
    table.finish();
    inbox
}

fn sqlite(table: &mut TableReader<'_, '_>) -> Option<InboxConfig> {
    let Some(path) = table.take("path") else {
        return Some(InboxConfig::default());
    };
    let text = path.text("must be a path in quotes")?;
    path.located(InboxConfig::sqlite(&text))
        .map(|inbox| inbox.value)
}

fn dynamodb(table: &mut TableReader<'_, '_>) -> Option<InboxConfig> {
    let name = table.require("table", "write table = \"NAME\"");
    let shards = table
        .take("shards")
        .map_or(Some(DEFAULT_SHARDS), |shards| shards.count(MOST_SHARDS));
    let name = name?;
    let text = name.text("must be the table's name in quotes")?;
    let inbox = name.located(InboxConfig::dynamodb(&text, shards?))?;
    Some(inbox.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_is_named_by_its_kind_and_a_file_that_lasts_or_a_table() {
        for (text, outcome) in [
            ("sqlite:pillarbox.db", Ok(InboxConfig::default())),
            (
                "sqlite:/var/lib/a:b.db",
                Ok(InboxConfig::Sqlite {
                    path: "/var/lib/a:b.db".into(),
                }),
            ),
            ("sqlite:", Err(InboxConfigError::NoFile)),
            ("sqlite::memory:", Err(InboxConfigError::NoFile)),
            ("sqlite:file:x?mode=memory", Err(InboxConfigError::NoFile)),
            (
                "dynamodb:pillarbox",
                Ok(InboxConfig::DynamoDb {
                    table: "pillarbox".into(),
                    shards: 16,
                }),
            ),
            ("dynamodb:", Err(InboxConfigError::NoTable)),
            ("dynamodb:a table", Err(InboxConfigError::NoTable)),
            ("pillarbox.db", Err(InboxConfigError::Unknown)),
            ("postgres:x", Err(InboxConfigError::Unknown)),
        ] {
            assert_eq!(InboxConfig::parse(text), outcome, "{text}");
        }
    }
}
