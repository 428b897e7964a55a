//! Which inbox notifications are kept in: `[inbox]`, or `--inbox sqlite:PATH` and `--inbox
//! dynamodb:TABLE`.

use std::path::{Path, PathBuf};

use super::document_reader::TableReader;

/// Where notifications are kept while nothing else is said.
const DEFAULT_PATH: &str = "pillarbox.db";
/// Every kind of inbox the words of a configuration know.
const KINDS: [&str; 2] = ["sqlite", "dynamodb"];

/// How many shards the table's index has while nothing else is said: each carries about 1,000
/// writes a second.
const DEFAULT_SHARDS: u32 = 16;
/// More than any account may write in a second.
const MOST_SHARDS: u32 = 1024;

/// The inbox to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboxConfig {
    /// One local file.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// A table on AWS.
    DynamoDb {
        /// Its name.
        table: String,
        /// How many shards its index is spread over.
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

/// Why text names no inbox; says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InboxConfigError {
    /// Not in the form KIND:NAME of a kind there is.
    #[error("must be sqlite:PATH or dynamodb:TABLE")]
    Unknown,
    /// No name a table can have.
    #[error("names no table: write 3 to 255 of A-Z, a-z, 0-9, _, - and .")]
    NoTable,
    /// No file, or one that SQLite would keep in memory.
    #[error("names no file that lasts: write the path of one, such as pillarbox.db")]
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

    /// To SQLite, `""` and `:memory:` are databases that vanish, and `file:` begins a URI that can
    /// ask for one.
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

    /// The file of a local inbox.
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
    let kind = table.need("kind", "write kind = \"sqlite\" or kind = \"dynamodb\"");
    let inbox = match kind.as_ref().and_then(|kind| kind.word(&KINDS)) {
        Some("sqlite") => sqlite(&mut table),
        Some(_) => dynamodb(&mut table),
        None => {
            // Which of the other keys belong here can't be said, so each of them may.
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
    path.made(InboxConfig::sqlite(&text))
        .map(|inbox| inbox.value)
}

fn dynamodb(table: &mut TableReader<'_, '_>) -> Option<InboxConfig> {
    let name = table.need("table", "write table = \"NAME\"");
    let shards = table
        .take("shards")
        .map_or(Some(DEFAULT_SHARDS), |shards| shards.count(MOST_SHARDS));
    let name = name?;
    let text = name.text("must be the table's name in quotes")?;
    let inbox = name.made(InboxConfig::dynamodb(&text, shards?))?;
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
