//! Which personal fields, or bytes, a person requested.

use std::collections::HashSet;

use super::{content::json_text, has_message};
use crate::{
    console::form::ConsoleForm,
    payload::{self, PersonalField},
};
use pillarbox::inbox::Row;

/// What a person requested.
#[derive(Default)]
pub(super) struct RequestedFields {
    pub(super) outer: HashSet<usize>,
    pub(super) inner: HashSet<usize>,
    pub(super) bytes: Option<bool>,
}

impl RequestedFields {
    pub(super) fn of(form: &ConsoleForm) -> Self {
        let mut requested = Self::default();
        for given in form.all("show") {
            let (fields, number) = match given.strip_prefix('m') {
                Some(number) => (&mut requested.inner, number),
                None => (&mut requested.outer, given),
            };
            fields.extend(number.parse::<usize>().ok());
        }
        requested.bytes = match form.get("bytes") {
            Some("exact") => Some(false),
            Some("hex") => Some(true),
            _ => None,
        };
        requested
    }

    /// The names of the shown fields that the notification has.
    pub(super) fn names(&self, row: &Row) -> Vec<String> {
        let mut names = Vec::new();
        if let (Some(_), Some(_)) = (self.bytes, &row.body) {
            names.push("every byte".to_owned());
        }
        let Some(text) = json_text(row) else {
            return names;
        };
        let outer = payload::fields(text, has_message(row));
        names.extend(chosen(&outer, &self.outer).map(|field| field.audit_name.clone()));
        if let Some(message) = self.message(text, &outer) {
            let inner = payload::fields(&message, false);
            let inner = chosen(&inner, &self.inner);
            names.extend(inner.map(|field| format!("message.{}", field.audit_name)));
        }
        names.sort();
        names.dedup();
        names
    }

    /// The inner message, if it is shown.
    pub(super) fn message(&self, text: &str, outer: &[PersonalField]) -> Option<String> {
        let number = outer.iter().position(|field| field.is_message)?;
        let is_shown = self.outer.contains(&number);
        is_shown.then(|| serde_json::from_str(&text[outer[number].range.clone()]).ok())?
    }
}

fn chosen<'a>(
    fields: &'a [PersonalField],
    numbers: &'a HashSet<usize>,
) -> impl Iterator<Item = &'a PersonalField> {
    let numbered = fields.iter().enumerate();
    numbered.filter_map(|(number, field)| numbers.contains(&number).then_some(field))
}
