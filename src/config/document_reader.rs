//! Walks a parsed TOML document: takes the known keys out of each table, complains about what is
//! left.
//!
//! A complaint never ends the walk, so that one pass finds everything. No complaint repeats a value
//! of the document: a value in the wrong place may be a secret.

use std::{cell::RefCell, sync::Arc};

use toml::{
    Spanned,
    de::{DeArray, DeString, DeTable, DeValue},
};

use super::{
    error::{ConfigError, ConfigLocation, Located},
    suggest,
};
use crate::domain::SourceName;

/// The longest name that a complaint repeats without knowing it to be one: HMRC's secrets have 32
/// characters.
const LONGEST_NAME: usize = 31;

type FieldName<'i> = Spanned<DeString<'i>>;

/// What a walk needs everywhere: the document's name, its lines, and where complaints go.
pub(super) struct DocumentReader {
    document: Arc<str>,
    starts: Vec<usize>,
    problems: RefCell<Vec<ConfigError>>,
}

impl DocumentReader {
    /// Prepares to walk `text`, which people know as `document`.
    pub(super) fn new(document: &str, text: &str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            document: Arc::from(document),
            starts,
            problems: RefCell::default(),
        }
    }

    /// Parses `text`; a syntax error is a complaint too, but there is nothing left to walk then.
    pub(super) fn root<'i>(&self, text: &'i str) -> Option<TableReader<'_, 'i>> {
        match DeTable::parse(text) {
            Ok(table) => Some(TableReader::new(
                self,
                ConfigLocation::new(self.document.clone(), None, ""),
                table.into_inner(),
            )),
            Err(error) => {
                let line = error.span().map(|span| self.line(span.start));
                // The error's own display would repeat the line, secrets and all.
                let what = format!("is not TOML here: {}", error.message());
                self.complain(
                    ConfigLocation::new(self.document.clone(), line, "the document").problem(what),
                );
                None
            }
        }
    }

    /// Adds a problem to what this walk has found.
    pub(super) fn complain(&self, problem: ConfigError) {
        self.problems.borrow_mut().push(problem);
    }

    /// Everything found.
    pub(super) fn into_problems(self) -> Vec<ConfigError> {
        self.problems.into_inner()
    }

    fn place(&self, under: &ConfigLocation, name: &FieldName<'_>) -> ConfigLocation {
        under.child(&shown(name.get_ref()), self.line(name.span().start))
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }
}

/// One table, emptied key by key.
pub(super) struct TableReader<'w, 'i> {
    walk: &'w DocumentReader,
    place: ConfigLocation,
    left: DeTable<'i>,
    known: Vec<&'static str>,
}

impl<'w, 'i> TableReader<'w, 'i> {
    fn new(walk: &'w DocumentReader, place: ConfigLocation, left: DeTable<'i>) -> Self {
        Self {
            walk,
            place,
            left,
            known: Vec::new(),
        }
    }

    /// Takes what stands under `key`, which is a known key from now on.
    pub(super) fn take(&mut self, key: &'static str) -> Option<TomlItem<'w, 'i>> {
        self.known.push(key);
        let (name, value) = self.left.remove_entry(key)?;
        Some(TomlItem::new(self.walk, &self.place, &name, value))
    }

    /// Takes what must stand under `key`; `how` says what to write there.
    pub(super) fn need(&mut self, key: &'static str, how: &str) -> Option<TomlItem<'w, 'i>> {
        let item = self.take(key);
        if item.is_none() {
            self.complain(format_args!("needs {key}: {how}"));
        }
        item
    }

    /// Takes the table under `key`.
    pub(super) fn table(&mut self, key: &'static str) -> Option<TableReader<'w, 'i>> {
        self.take(key)?.table()
    }

    /// Takes every entry of a table whose keys are names of the reader's own choosing, as written.
    pub(super) fn entries(self) -> Vec<(String, TomlItem<'w, 'i>)> {
        let mut entries: Vec<_> = self.left.into_iter().collect();
        entries.sort_by_key(|(name, _)| name.span().start);
        let item = |(name, value): (FieldName<'i>, _)| {
            let item = TomlItem::new(self.walk, &self.place, &name, value);
            (name.into_inner().into_owned(), item)
        };
        entries.into_iter().map(item).collect()
    }

    /// Complains about every key that nobody took.
    pub(super) fn finish(self) {
        for name in self.left.keys() {
            let place = self.walk.place(&self.place, name);
            let advice = match suggest::nearest(name.get_ref(), self.known.iter().copied()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("known here are {}", self.known.join(", ")),
            };
            self.walk
                .complain(place.problem(format_args!("is not a known key: {advice}")));
        }
    }

    /// Adds a problem that was found elsewhere, with its place.
    pub(super) fn report(&self, problem: ConfigError) {
        self.walk.complain(problem);
    }

    /// Complains about this table as a whole.
    pub(super) fn complain(&self, what: impl std::fmt::Display) {
        self.walk.complain(self.place.problem(what));
    }
}

/// One value and where it stands.
pub(super) struct TomlItem<'w, 'i> {
    walk: &'w DocumentReader,
    place: ConfigLocation,
    value: DeValue<'i>,
}

impl<'w, 'i> TomlItem<'w, 'i> {
    fn new(
        walk: &'w DocumentReader,
        under: &ConfigLocation,
        name: &FieldName<'i>,
        value: Spanned<DeValue<'i>>,
    ) -> Self {
        Self {
            walk,
            place: walk.place(under, name),
            value: value.into_inner(),
        }
    }

    /// Complains about this value.
    pub(super) fn complain(&self, what: impl std::fmt::Display) {
        self.walk.complain(self.place.problem(what));
    }

    /// This value with what was made of it, or a complaint that says why nothing could be.
    pub(super) fn made<T>(self, made: Result<T, impl std::fmt::Display>) -> Option<Located<T>> {
        made.map_err(|what| self.complain(what))
            .ok()
            .map(|value| Located {
                value,
                place: self.place,
            })
    }

    /// The text, which `must` describes.
    pub(super) fn text(&self, must: &str) -> Option<String> {
        let text = self.value.as_str().map(str::to_owned);
        self.expect(text, must)
    }

    /// One of `words`.
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

    /// A whole number of 1 or more and at most `most`.
    pub(super) fn count(&self, most: u32) -> Option<u32> {
        let digits = self.value.as_integer();
        let count =
            digits.and_then(|digits| u32::from_str_radix(digits.as_str(), digits.radix()).ok());
        let count = count.filter(|count| (1..=most).contains(count));
        self.expect(count, &format!("must be a whole number from 1 to {most}"))
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Option<bool> {
        self.expect(self.value.as_bool(), "must be true or false")
    }

    /// The entries of a list, which `must` describes.
    pub(super) fn list(&self, must: &str) -> Option<Vec<TomlItem<'w, 'i>>> {
        let list = self
            .value
            .as_array()
            .map(|list| entries(self.walk, &self.place, list.clone()));
        self.expect(list, must)
    }

    /// The table.
    pub(super) fn table(self) -> Option<TableReader<'w, 'i>> {
        match self.value {
            DeValue::Table(table) => Some(TableReader::new(self.walk, self.place, table)),
            _ => self.expect(
                None,
                &format!("must be a table: write [{}]", self.place.path()),
            ),
        }
    }

    fn expect<T>(&self, value: Option<T>, must: &str) -> Option<T> {
        if value.is_none() {
            self.complain(must);
        }
        value
    }
}

/// All of what was read, if all could be; unlike `collect`, it reads on behind the first that
/// couldn't.
pub(super) fn all<T>(read: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let read: Vec<_> = read.collect();
    read.into_iter().collect()
}

fn entries<'w, 'i>(
    walk: &'w DocumentReader,
    place: &ConfigLocation,
    list: DeArray<'i>,
) -> Vec<TomlItem<'w, 'i>> {
    let entry = |(index, value): (usize, Spanned<DeValue<'i>>)| {
        let place = place.entry(index, walk.line(value.span().start));
        TomlItem {
            walk,
            place,
            value: value.into_inner(),
        }
    };
    list.into_iter().enumerate().map(entry).collect()
}

/// A name as a complaint repeats it.
fn shown(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match name.chars().count() {
        _ if SourceName::new(name).is_some() => name.to_owned(),
        0 => "\"\"".to_owned(),
        1..=LONGEST_NAME if name.chars().all(bare) => name.to_owned(),
        1..=LONGEST_NAME => format!("{name:?}"),
        length => format!("(a name of {length} characters)"),
    }
}
