//! Which inbox notifications are kept in: `[inbox]`, or `--inbox sqlite:PATH`.

use std::path::PathBuf;

use super::walk::Table;

/// Where notifications are kept while nothing else is said.
const DEFAULT_PATH: &str = "pillarbox.db";
/// Every kind of inbox the words of a configuration know.
const KINDS: [&str; 2] = ["sqlite", "dynamodb"];

/// The inbox to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InboxConfig {
    /// One local file.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
}

impl Default for InboxConfig {
    fn default() -> Self {
        Self::Sqlite { path: PathBuf::from(DEFAULT_PATH) }
    }
}

/// Why text names no inbox; says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InboxProblem {
    /// Not in the form KIND:NAME of a kind there is.
    #[error("must be sqlite:PATH")]
    Unknown,
    /// A kind this version doesn't have.
    #[error("is a dynamodb inbox, which this version can't use yet: write sqlite:PATH")]
    NotYet,
    /// No file, or one that SQLite would keep in memory.
    #[error("names no file that lasts: write the path of one, such as pillarbox.db")]
    NoFile,
}

impl InboxConfig {
    /// Reads `sqlite:PATH`, as `--inbox` takes it.
    pub fn parse(text: &str) -> Result<Self, InboxProblem> {
        match text.split_once(':') {
            Some(("sqlite", path)) => Self::sqlite(path),
            Some(("dynamodb", _)) => Err(InboxProblem::NotYet),
            _ => Err(InboxProblem::Unknown),
        }
    }

    /// To SQLite, `""` and `:memory:` are databases that vanish, and `file:` begins a URI that can ask for one.
    fn sqlite(path: &str) -> Result<Self, InboxProblem> {
        let vanishes = path.trim().is_empty() || path == ":memory:" || path.starts_with("file:");
        if vanishes { Err(InboxProblem::NoFile) } else { Ok(Self::Sqlite { path: PathBuf::from(path) }) }
    }
}

/// Reads `[inbox]`.
pub(super) fn read(root: &mut Table<'_, '_>) -> Option<InboxConfig> {
    let Some(item) = root.take("inbox") else { return Some(InboxConfig::default()) };
    let mut table = item.table()?;
    let kind = table.need("kind", "write kind = \"sqlite\"");
    let inbox = match kind.as_ref().and_then(|kind| kind.word(&KINDS)) {
        Some("sqlite") => sqlite(&mut table),
        other => {
            // Which of the other keys belong here can't be said, so each of them may.
            let _ = ["path", "table", "shards"].map(|key| table.take(key));
            if let (Some("dynamodb"), Some(kind)) = (other, kind) {
                kind.complain("is \"dynamodb\", which this version can't use yet: write \"sqlite\"");
            }
            None
        }
    };
    table.finish();
    inbox
}

fn sqlite(table: &mut Table<'_, '_>) -> Option<InboxConfig> {
    let Some(path) = table.take("path") else { return Some(InboxConfig::default()) };
    let text = path.text("must be a path in quotes")?;
    path.made(InboxConfig::sqlite(&text)).map(|inbox| inbox.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inbox_is_named_by_its_kind_and_a_file_that_lasts() {
        for (text, outcome) in [
            ("sqlite:pillarbox.db", Ok(InboxConfig::default())),
            ("sqlite:/var/lib/a:b.db", Ok(InboxConfig::Sqlite { path: "/var/lib/a:b.db".into() })),
            ("sqlite:", Err(InboxProblem::NoFile)),
            ("sqlite::memory:", Err(InboxProblem::NoFile)),
            ("sqlite:file:x?mode=memory", Err(InboxProblem::NoFile)),
            ("dynamodb:pillarbox", Err(InboxProblem::NotYet)),
            ("pillarbox.db", Err(InboxProblem::Unknown)),
            ("postgres:x", Err(InboxProblem::Unknown)),
        ] {
            assert_eq!(InboxConfig::parse(text), outcome, "{text}");
        }
    }
}
