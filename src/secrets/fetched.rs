//! The values fetched from AWS Secrets Manager. [`SecretsManager`](super::SecretsManager) fetches
//! them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Secret, SecretError};

/// The values fetched from Secrets Manager, by ARN.
#[derive(Clone, Debug, Default)]
pub struct FetchedSecrets(BTreeMap<String, Result<Option<Secret>, SecretsManagerError>>);

/// Why a secret could not be read from Secrets Manager, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsManagerError {
    /// Secrets Manager was not queried.
    #[error("is in Secrets Manager, which was not queried")]
    NotQueried,
    /// The role lacks permission to read it.
    #[error(
        "cannot be read without permission: grant secretsmanager:GetSecretValue on it, and \
         kms:Decrypt on its key"
    )]
    Denied,
    /// The secret does not exist.
    #[error("is not in Secrets Manager: check the ARN, its region and its account")]
    Missing,
    /// Its encryption key cannot be used.
    #[error("cannot be decrypted: check that its key is enabled, and grant kms:Decrypt on it")]
    Key,
    /// It holds binary data.
    #[error("holds binary data: store JSON text, such as {{\"current\":\"…\"}}")]
    Binary,
    /// No AWS credentials were found.
    #[error(
        "cannot be read without AWS credentials: sign in, or set AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY"
    )]
    NoCredentials,
    /// Secrets Manager did not respond, or failed.
    #[error(
        "could not be read, because Secrets Manager did not respond or failed: check the network, \
         then try again"
    )]
    Unavailable,
}

impl FetchedSecrets {
    /// No values.
    pub const NOTHING: &'static Self = &Self(BTreeMap::new());

    /// Adds the result for `arn`: the text, `None` if it has no value yet, or the error.
    pub fn put(&mut self, arn: String, read: Result<Option<Secret>, SecretsManagerError>) {
        self.0.insert(arn, read);
    }

    /// Replaces the values by those of `later`. A value that could not be read again stays.
    pub fn renew(&mut self, later: Self) {
        for (arn, read) in later.0 {
            if read.is_ok() || !self.0.contains_key(&arn) {
                self.0.insert(arn, read);
            }
        }
    }

    /// The values of `arns` alone.
    pub fn subset(&self, arns: &BTreeSet<String>) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(arn, _)| arns.contains(*arn))
                .map(|(arn, read)| (arn.clone(), read.clone()))
                .collect(),
        )
    }

    /// Whether all of `arns` were read.
    pub fn holds(&self, arns: &BTreeSet<String>) -> bool {
        arns.iter()
            .all(|arn| self.0.get(arn).is_some_and(Result::is_ok))
    }

    /// Whether a value could not be read.
    pub fn is_partial(&self) -> bool {
        self.0.values().any(Result::is_err)
    }

    /// The whole text of the secret `arn`.
    ///
    /// A secret without a value is [`SecretError::NoneYet`].
    pub(crate) fn text(&self, arn: &str) -> Result<&Secret, SecretError> {
        let read = self
            .0
            .get(arn)
            .unwrap_or(&Err(SecretsManagerError::NotQueried));
        let text = read.as_ref().map_err(|error| SecretError::Unread(*error))?;
        text.as_ref().ok_or(SecretError::NoneYet)
    }

    /// The text of one field of the JSON object in the secret `arn`.
    ///
    /// A secret without a value, or without that field, is [`SecretError::NoneYet`].
    pub(super) fn field(&self, arn: &str, field: &str) -> Result<Secret, SecretError> {
        let text = self.text(arn)?;
        // The parser's error would repeat the text.
        let fields: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(text.expose()).map_err(|_| SecretError::NoFields)?;
        match fields.get(field) {
            None | Some(serde_json::Value::Null) => Err(SecretError::NoneYet),
            Some(serde_json::Value::String(value)) => Ok(Secret::new(value.clone())),
            Some(_) => Err(SecretError::NoFields),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(text: &str) -> FetchedSecrets {
        let mut vault = FetchedSecrets::default();
        vault.put("arn".to_owned(), Ok(Some(Secret::new(text.to_owned()))));
        vault
    }

    #[test]
    fn a_field_is_text_in_a_json_object_or_has_no_value_yet() {
        for (text, outcome) in [
            (r#"{"current":"a b\n"}"#, Ok("a b\n")),
            (r#"{"current":"","previous":"x"}"#, Ok("")),
            (r#"{"previous":"x"}"#, Err(SecretError::NoneYet)),
            (r#"{"current":null}"#, Err(SecretError::NoneYet)),
            (r#"{"current":7}"#, Err(SecretError::NoFields)),
            (r#"["current"]"#, Err(SecretError::NoFields)),
            (
                "webhook_live_7mrp1d5lsa5pdfs2bvim2f9cdu",
                Err(SecretError::NoFields),
            ),
            ("", Err(SecretError::NoFields)),
        ] {
            let field = holding(text).field("arn", "current");
            assert_eq!(
                field
                    .as_ref()
                    .map(Secret::expose)
                    .map_err(|problem| *problem),
                outcome,
                "{text}"
            );
        }
    }

    #[test]
    fn an_unread_secret_is_distinguished_from_one_without_a_value() {
        let mut vault = FetchedSecrets::default();
        vault.put("none".to_owned(), Ok(None));
        vault.put("denied".to_owned(), Err(SecretsManagerError::Denied));
        for (arn, problem) in [
            ("none", SecretError::NoneYet),
            ("denied", SecretError::Unread(SecretsManagerError::Denied)),
            (
                "other",
                SecretError::Unread(SecretsManagerError::NotQueried),
            ),
        ] {
            assert_eq!(vault.field(arn, "current").unwrap_err(), problem);
        }
    }

    #[test]
    fn a_later_read_replaces_a_value_unless_it_failed() {
        let mut vault = holding(r#"{"current":"first"}"#);
        let mut failed = FetchedSecrets::default();
        failed.put("arn".to_owned(), Err(SecretsManagerError::Unavailable));
        failed.put("new".to_owned(), Err(SecretsManagerError::Unavailable));
        vault.renew(failed);
        assert_eq!(vault.field("arn", "current").unwrap().expose(), "first");
        assert!(vault.is_partial());

        let mut emptied = FetchedSecrets::default();
        emptied.put("arn".to_owned(), Ok(None));
        vault.renew(emptied);
        assert_eq!(
            vault.field("arn", "current").unwrap_err(),
            SecretError::NoneYet
        );
    }

    #[test]
    fn debug_shows_no_value() {
        assert!(
            !format!("{:?}", holding("webhook_live_7mrp1d5lsa5pdfs2bvim2f9cdu"))
                .contains("webhook")
        );
    }
}
