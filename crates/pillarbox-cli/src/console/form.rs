//! The fields of a posted form. Only the guard makes one, after every check, so that no handler can
//! change anything without those checks.

use url::form_urlencoded;

/// The name of the hidden field that every form has.
pub(super) const CSRF_FIELD: &str = "csrf";

/// The fields of a form that the guard has admitted.
#[derive(Clone, Debug)]
pub(super) struct ConsoleForm(Vec<(String, String)>);

impl ConsoleForm {
    pub(super) fn read(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    /// The first value of this field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().find(|(given, _)| given == name);
        named.map(|(_, value)| value.as_str())
    }

    /// All values of this field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(given, _)| given == name);
        named.map(|(_, value)| value.as_str())
    }
}
