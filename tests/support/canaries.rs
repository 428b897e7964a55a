//! Canaries: a unique value for every secret and every personal field, and the search for them in
//! the output of a program.
//!
//! The search finds a value in any letter case, cut at either end, escaped, and in hex, base64 or
//! percent-encoding. It also finds the digest of a secret.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap},
    fmt::Write as _,
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The number of characters of a value that are enough to find it.
const MIN_MATCH: usize = 12;

/// Digits, and letters that are not hex digits, so that no digest contains a canary.
const ALPHABET: &[u8] = b"ghijkmnpqrstuvwxyz23456789";

/// The kind of a value determines where it may appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryKind {
    /// Nowhere, and neither may its digest.
    Secret,
    /// Where a notification is delivered, or printed for a person who requests it.
    Personal,
    /// Where a whole row is printed for a person, and where a message is delivered as sent.
    Signature,
    /// Nowhere: it comes from a request without a valid signature.
    Hostile,
}

pub const ALL_KINDS: [CanaryKind; 4] = [
    CanaryKind::Secret,
    CanaryKind::Personal,
    CanaryKind::Signature,
    CanaryKind::Hostile,
];

/// A value that no text contains by chance.
#[derive(Clone, Debug)]
pub struct CanaryValue {
    pub name: String,
    pub kind: CanaryKind,
    pub value: String,
    forms: Vec<String>,
}

impl CanaryValue {
    /// A canary with a known value.
    pub fn of(kind: CanaryKind, name: &str, value: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            value: value.to_owned(),
            forms: forms(kind, value.as_bytes()),
        }
    }
}

/// The length of the beginning of a form by which the index finds it.
const PREFIX: usize = 4;

/// The forms of canaries by their first bytes, so that one pass over a text finds all of them.
struct FormIndex<'a> {
    /// Whether a form begins with bytes of this hash. Most positions in a text need no other check.
    is_start: Vec<bool>,
    /// The index of each canary in its set, and the form.
    forms: HashMap<[u8; PREFIX], Vec<(usize, &'a [u8])>>,
}

impl<'a> FormIndex<'a> {
    fn of(canaries: impl Iterator<Item = (usize, &'a CanaryValue)>) -> Self {
        let mut index = Self {
            is_start: vec![false; 1 << 16],
            forms: HashMap::new(),
        };
        for (canary, value) in canaries {
            for form in value.forms.iter().map(String::as_bytes) {
                let start = *form.first_chunk().expect("a form is longer than that");
                index.is_start[hash(start)] = true;
                index.forms.entry(start).or_default().push((canary, form));
            }
        }
        index
    }

    /// Adds the canaries in `text` to `found`.
    fn search(&self, text: &[u8], found: &mut BTreeSet<usize>) {
        for (at, start) in text.windows(PREFIX).enumerate() {
            let start = [start[0], start[1], start[2], start[3]];
            if !self.is_start[hash(start)] {
                continue;
            }
            for (canary, form) in self.forms.get(&start).into_iter().flatten() {
                if text[at..].starts_with(form) {
                    found.insert(*canary);
                }
            }
        }
    }
}

fn hash(start: [u8; PREFIX]) -> usize {
    (u32::from_be_bytes(start).wrapping_mul(0x9e37_79b1) >> 16) as usize
}

/// The value of the canary with this name, always the same.
pub fn value(name: &str) -> String {
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
    Sha256::digest(name).iter().take(20).map(letter).collect()
}

/// The forms in which a value can be written. A form in lower case is found in any case.
fn forms(kind: CanaryKind, value: &[u8]) -> Vec<String> {
    let (start, end) = (
        &value[..value.len().min(MIN_MATCH)],
        &value[value.len().saturating_sub(MIN_MATCH)..],
    );
    let mut forms = Vec::new();
    for part in [start, end] {
        forms.push(String::from_utf8_lossy(part).to_lowercase());
        forms.push(hex::encode(part));
    }
    // In base64 the form depends on the position of the value in a group of three bytes.
    for skipped in 0..3 {
        let padded = [&vec![b'.'; skipped][..], value].concat();
        for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&padded);
            forms.extend(encoded.get(4..4 + MIN_MATCH).map(str::to_owned));
        }
    }
    if kind == CanaryKind::Secret {
        forms.push(hex::encode(&Sha256::digest(value)[..MIN_MATCH / 2]));
    }
    forms
}

/// All canaries of a test.
#[derive(Clone, Debug, Default)]
pub struct CanarySet(Vec<CanaryValue>);

impl CanarySet {
    /// Adds a canary with this name, and returns its value.
    pub fn add(&mut self, kind: CanaryKind, name: &str) -> String {
        let value = value(name);
        self.0.push(CanaryValue::of(kind, name, &value));
        value
    }

    /// Adds a canary with a known value, such as a signature.
    pub fn watch(&mut self, kind: CanaryKind, name: &str, value: &str) {
        self.0.push(CanaryValue::of(kind, name, value));
    }

    /// The names of the canaries of these kinds in `bytes`, in any form.
    pub fn found_in(&self, bytes: &[u8], kinds: &[CanaryKind]) -> Vec<&str> {
        let canaries = self.0.iter().enumerate();
        let index = FormIndex::of(canaries.filter(|(_, canary)| kinds.contains(&canary.kind)));
        let mut found = BTreeSet::new();
        for (text, lower_case) in views(bytes) {
            index.search(text.as_bytes(), &mut found);
            index.search(lower_case.as_bytes(), &mut found);
        }
        let names = found.into_iter().map(|canary| &*self.0[canary].name);
        names.collect()
    }

    /// Fails if `bytes` contain a canary.
    #[track_caller]
    pub fn assert_none(&self, sink: &str, bytes: impl AsRef<[u8]>) {
        self.assert_no(&ALL_KINDS, sink, bytes);
    }

    /// Fails if `bytes` contain a canary of these kinds.
    #[track_caller]
    pub fn assert_no(&self, kinds: &[CanaryKind], sink: &str, bytes: impl AsRef<[u8]>) {
        let leak = self.leak(kinds, sink, bytes);
        assert_eq!(leak, None);
    }

    /// A message about the canaries of these kinds in `bytes`, with the first lines that have them.
    pub fn leak(
        &self,
        kinds: &[CanaryKind],
        sink: &str,
        bytes: impl AsRef<[u8]>,
    ) -> Option<String> {
        let bytes = bytes.as_ref();
        let found = self.found_in(bytes, kinds);
        if found.is_empty() {
            return None;
        }
        let lines = bytes.split(|byte| *byte == b'\n');
        let leaking = lines.filter(|line| !self.found_in(line, kinds).is_empty());
        let shown: Vec<_> = leaking.take(3).map(String::from_utf8_lossy).collect();
        Some(format!("{sink} contains {found:?}: {}", shown.join("\n")))
    }

    /// Fails unless `bytes` contain every personal canary whose name begins with `prefix`.
    #[track_caller]
    pub fn assert_all_personal(&self, prefix: &str, sink: &str, bytes: impl AsRef<[u8]>) {
        let found = self.found_in(bytes.as_ref(), &[CanaryKind::Personal]);
        let is_missing = |canary: &&CanaryValue| {
            canary.kind == CanaryKind::Personal
                && canary.name.starts_with(prefix)
                && !found.contains(&&*canary.name)
        };
        let missing: Vec<_> = self.0.iter().filter(is_missing).collect();
        assert!(missing.is_empty(), "{sink} lacks {missing:?}");
    }
}

/// `bytes` unchanged, as the strings of their JSON, with percent-encoding decoded, and with HTML
/// escapes decoded; each also in lower case.
fn views(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let mut decoded = String::new();
    for line in text.lines() {
        decode_json(line, &mut decoded);
    }
    let plain = percent_decoded(&text);
    let html = text
        .replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&#38;", "&")
        .replace("&amp;", "&")
        .replace('\\', "");
    [text.into_owned(), decoded, plain, html]
        .map(|view| (view.clone(), view.to_lowercase()))
        .into()
}

fn percent_decoded(text: &str) -> String {
    let url = text.replace('+', " ");
    let form = format!("x={}", url.replace(['&', '#'], "."));
    let pairs = url::form_urlencoded::parse(form.as_bytes());
    pairs.map(|(_, value)| Cow::into_owned(value)).collect()
}

/// Adds every name and string of the JSON in `text`, and of the JSON in those strings.
fn decode_json(text: &str, decoded: &mut String) {
    if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text) {
        decode_value(&value, decoded);
    }
}

fn decode_value(value: &Value, decoded: &mut String) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let _ = writeln!(decoded, "{name}");
                decode_value(value, decoded);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| decode_value(value, decoded)),
        Value::String(text) => {
            let _ = writeln!(decoded, "{text}");
            decode_json(text, decoded);
        }
        _ => {}
    }
}
