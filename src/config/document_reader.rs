//! Reads a parsed TOML document: takes the known keys out of each table and reports those that are
//! left.
//!
//! An error does not stop the reader, so one pass finds every error. No error repeats a value of
//! the document, because a value in the wrong place may be a secret.

use std::{cell::RefCell, sync::Arc};

use toml::{
    Spanned,
    de::{DeArray, DeString, DeTable, DeValue},
};

use super::{
    error::{ConfigError, ConfigLocation, LocatedValue},
    suggest,
};
use crate::domain::SourceName;

/// The longest unknown name that an error repeats. HMRC's secrets have 32 characters, so a longer
/// name may be a secret.
const LONGEST_NAME: usize = 31;

type FieldName<'i> = Spanned<DeString<'i>>;

/// The document's name, the offsets of its lines, and the errors found so far.
pub(super) struct DocumentReader {
    document: Arc<str>,
    starts: Vec<usize>,
    problems: RefCell<Vec<ConfigError>>,
    tolerable: RefCell<Vec<ConfigError>>,
}

impl DocumentReader {
    /// A reader of `text`; `document` is its name in error messages.
    pub(super) fn new(document: &str, text: &str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            document: Arc::from(document),
            starts,
            problems: RefCell::default(),
            tolerable: RefCell::default(),
        }
    }

    /// Runs `read`, whose errors are about a part that receiving does not need.
    pub(super) fn tolerate<T>(&self, read: impl FnOnce() -> T) -> T {
        let earlier = self.problems.borrow().len();
        let value = read();
        let found = self.problems.borrow_mut().split_off(earlier);
        self.tolerable.borrow_mut().extend(found);
        value
    }

    /// Parses `text` and returns its root table; reports a syntax error and returns `None`.
    pub(super) fn root<'i>(&self, text: &'i str) -> Option<TableReader<'_, 'i>> {
        match DeTable::parse(text) {
            Ok(table) => Some(TableReader::new(
                self,
                ConfigLocation::new(self.document.clone(), None, ""),
                table.into_inner(),
            )),
            Err(error) => {
                let line = error.span().map(|span| self.line(span.start));
                // The error's `Display` would repeat the line, which may hold secrets.
                let what = format!("is not valid TOML: {}", error.message());
                self.report_error(
                    ConfigLocation::new(self.document.clone(), line, "the document").problem(what),
                );
                None
            }
        }
    }

    /// Reports an error.
    pub(super) fn report_error(&self, problem: ConfigError) {
        self.problems.borrow_mut().push(problem);
    }

    /// The errors found: those that prevent receiving, and the others.
    pub(super) fn into_problems(self) -> (Vec<ConfigError>, Vec<ConfigError>) {
        (self.problems.into_inner(), self.tolerable.into_inner())
    }

    fn location(&self, under: &ConfigLocation, name: &FieldName<'_>) -> ConfigLocation {
        under.child(&display_name(name.get_ref()), self.line(name.span().start))
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }
}

/// One table. Each key is removed when it is read.
pub(super) struct TableReader<'w, 'i> {
    reader: &'w DocumentReader,
    location: ConfigLocation,
    left: DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'w, 'i> TableReader<'w, 'i> {
    fn new(reader: &'w DocumentReader, location: ConfigLocation, left: DeTable<'i>) -> Self {
        Self {
            reader,
            location,
            left,
            known: Vec::new(),
        }
    }

    /// The reader of the whole document.
    pub(super) fn reader(&self) -> &'w DocumentReader {
        self.reader
    }

    /// Takes the value of `key`, and adds `key` to the known keys.
    pub(super) fn take(&mut self, key: &'static str) -> Option<TomlItem<'w, 'i>> {
        self.known.push(key);
        let (name, value) = self.left.remove_entry(key)?;
        Some(TomlItem::new(self.reader, &self.location, &name, value))
    }

    /// Takes the value of `key`, or reports that it is missing; `how` says what to write.
    pub(super) fn require(&mut self, key: &'static str, how: &str) -> Option<TomlItem<'w, 'i>> {
        let item = self.take(key);
        if item.is_none() {
            self.report(format_args!("needs {key}: {how}"));
        }
        item
    }

    /// Reports `key` if it is there, because it is not allowed; `why` has the reason.
    pub(super) fn refuse(&mut self, key: &str, why: &str) {
        if let Some((name, value)) = self.left.remove_entry(key) {
            TomlItem::new(self.reader, &self.location, &name, value).report(why);
        }
    }

    /// Takes the table under `key`.
    pub(super) fn table(&mut self, key: &'static str) -> Option<TableReader<'w, 'i>> {
        self.take(key)?.table()
    }

    /// Takes every entry of a table whose keys are names that the user chooses.
    pub(super) fn entries(self) -> Vec<(String, TomlItem<'w, 'i>)> {
        let mut entries: Vec<_> = self.left.into_iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let item = |(name, value): (FieldName<'i>, _)| {
            let item = TomlItem::new(self.reader, &self.location, &name, value);
            (name.into_inner().into_owned(), item)
        };
        entries.into_iter().map(item).collect()
    }

    /// Reports every key that was not taken.
    pub(super) fn finish(self) {
        for name in self.left.keys() {
            let location = self.reader.location(&self.location, name);
            let advice = match suggest::nearest(name.get_ref(), self.known.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("known here are {}", self.known.join(", ")),
            };
            self.reader
                .report_error(location.problem(format_args!("is not a known key: {advice}")));
        }
    }

    /// Reports an error that has its own location.
    pub(super) fn report_error(&self, problem: ConfigError) {
        self.reader.report_error(problem);
    }

    /// Reports an error of this table as a whole.
    pub(super) fn report(&self, what: impl std::fmt::Display) {
        self.reader.report_error(self.location.problem(what));
    }
}

/// One value and its location.
pub(super) struct TomlItem<'w, 'i> {
    reader: &'w DocumentReader,
    location: ConfigLocation,
    value: DeValue<'i>,
}

impl<'w, 'i> TomlItem<'w, 'i> {
    fn new(
        reader: &'w DocumentReader,
        under: &ConfigLocation,
        name: &FieldName<'i>,
        value: Spanned<DeValue<'i>>,
    ) -> Self {
        Self {
            reader,
            location: reader.location(under, name),
            value: value.into_inner(),
        }
    }

    /// Reports an error of this value.
    pub(super) fn report(&self, what: impl std::fmt::Display) {
        self.reader.report_error(self.location.problem(what));
    }

    /// The parsed value with this item's location; reports an error of `parsed`.
    pub(super) fn located<T>(
        self,
        parsed: Result<T, impl std::fmt::Display>,
    ) -> Option<LocatedValue<T>> {
        parsed
            .map_err(|what| self.report(what))
            .ok()
            .map(|value| LocatedValue {
                value,
                location: self.location,
            })
    }

    /// The value as text; `must` describes the valid values in the error.
    pub(super) fn text(&self, must: &str) -> Option<String> {
        let text = self.value.as_str().map(str::to_owned);
        self.expect(text, must)
    }

    /// The value as one of `words`.
    pub(super) fn word(&self, words: &[&'static str]) -> Option<&'static str> {
        let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let must = format!(
            "must be {}",
            suggest::choice(quoted.iter().map(String::as_str))
        );
        let written = self.text(&must)?;
        let word = words.iter().find(|word| **word == written).copied();
        match suggest::nearest(&written, words.iter().copied()) {
            Some(meant) if word.is_none() => {
                self.expect(None, &format!("{must}: did you mean \"{meant}\"?"))
            }
            _ => self.expect(word, &must),
        }
    }

    /// The value as a whole number from 1 to `most`.
    pub(super) fn count(&self, most: u32) -> Option<u32> {
        let digits = self.value.as_integer();
        let count =
            digits.and_then(|digits| u32::from_str_radix(digits.as_str(), digits.radix()).ok());
        let count = count.filter(|count| (1..=most).contains(count));
        self.expect(count, &format!("must be a whole number from 1 to {most}"))
    }

    /// The value as a boolean.
    pub(super) fn flag(&self) -> Option<bool> {
        self.expect(self.value.as_bool(), "must be true or false")
    }

    /// The entries of a list; `must` describes the valid values in the error.
    pub(super) fn list(&self, must: &str) -> Option<Vec<TomlItem<'w, 'i>>> {
        let list = self
            .value
            .as_array()
            .map(|list| entries(self.reader, &self.location, list.clone()));
        self.expect(list, must)
    }

    /// The value as a table.
    pub(super) fn table(self) -> Option<TableReader<'w, 'i>> {
        match self.value {
            DeValue::Table(table) => Some(TableReader::new(self.reader, self.location, table)),
            _ => self.expect(
                None,
                &format!("must be a table: write [{}]", self.location.path()),
            ),
        }
    }

    fn expect<T>(&self, value: Option<T>, must: &str) -> Option<T> {
        if value.is_none() {
            self.report(must);
        }
        value
    }
}

/// All values, or `None` if one could not be read. Unlike `collect`, it reads every value, so that
/// every error is reported.
pub(super) fn all_or_none<T>(read: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

fn entries<'w, 'i>(
    reader: &'w DocumentReader,
    location: &ConfigLocation,
    list: DeArray<'i>,
) -> Vec<TomlItem<'w, 'i>> {
    let entry = |(index, value): (usize, Spanned<DeValue<'i>>)| {
        let location = location.entry(index, reader.line(value.span().start));
        TomlItem {
            reader,
            location,
            value: value.into_inner(),
        }
    };
    list.into_iter().enumerate().map(entry).collect()
}

/// A name as errors show it.
fn display_name(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match name.chars().count() {
        _ if SourceName::new(name).is_some() => name.to_owned(),
        0 => "\"\"".to_owned(),
        1..=LONGEST_NAME if name.chars().all(bare) => name.to_owned(),
        1..=LONGEST_NAME => format!("{name:?}"),
        length => format!("(a name of {length} characters)"),
    }
}
