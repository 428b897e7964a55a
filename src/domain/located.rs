//! The location of a configured value, so that an error can name it.

use std::{fmt, sync::Arc};

/// A location in the configuration: a line of a document, a flag or a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigLocation {
    document: Arc<str>,
    line: Option<usize>,
    path: String,
}

impl ConfigLocation {
    /// A key of a document, by its dotted path.
    pub(crate) fn new(document: Arc<str>, line: Option<usize>, path: impl Into<String>) -> Self {
        Self {
            document,
            line,
            path: path.into(),
        }
    }

    /// A flag or a variable.
    pub(crate) fn named(name: &str) -> Self {
        Self::new(Arc::from(""), None, name)
    }

    /// The location of `key` under this one.
    pub(crate) fn child(&self, key: &str, line: usize) -> Self {
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Self::new(Arc::clone(&self.document), Some(line), path)
    }

    /// The location of the list entry at `index` under this one.
    pub(crate) fn entry(&self, index: usize, line: usize) -> Self {
        Self::new(
            Arc::clone(&self.document),
            Some(line),
            format!("{}[{index}]", self.path),
        )
    }

    /// The dotted path, such as `sources.pay.secrets[0]`; empty for the document itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// An error at this location. `what` continues the sentence that the path begins.
    pub fn problem(&self, what: impl fmt::Display) -> ConfigError {
        let space = if self.path.is_empty() { "" } else { " " };
        let text = format!("{}{space}{what}", self.path);
        ConfigError {
            document: Arc::clone(&self.document),
            line: self.line,
            text,
        }
    }
}

/// A value with its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedValue<T> {
    /// The value.
    pub value: T,
    /// Where it was configured.
    pub location: ConfigLocation,
}

impl<T: fmt::Display> LocatedValue<T> {
    /// An error that shows this value. A secret is never a `LocatedValue`, only its reference.
    pub fn problem(&self, what: impl fmt::Display) -> ConfigError {
        self.location
            .problem(format_args!("({}) {what}", self.value))
    }
}

/// One configuration error, as one line: `pillarbox.toml:12: sources.pay.kind must be …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    document: Arc<str>,
    /// The line of the document, if it has lines.
    pub(crate) line: Option<usize>,
    text: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.document, self.line) {
            ("", _) => f.write_str(&self.text),
            (document, None) => write!(f, "{document}: {}", self.text),
            (document, Some(line)) => write!(f, "{document}:{line}: {}", self.text),
        }
    }
}
