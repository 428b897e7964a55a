//! Where the configuration document is: in the variable itself, or in a file or a secret that the
//! variable names.
//!
//! Lambda allows 4 KB for all variables of a function, which is enough for only a few sources. A
//! document that is elsewhere may have any length, and is read once, when the process starts.

use std::path::PathBuf;

use super::{ConfigErrors, error::ConfigLocation};
use crate::secrets::{SecretError, SecretSources, is_secret_arn};

/// A configuration document, and its name in messages.
#[derive(Clone, Debug)]
pub struct ConfigDocument {
    /// The TOML document.
    pub text: String,
    /// Its variable, path or ARN, for messages.
    pub name: String,
}

/// The value of a variable that holds or names a configuration document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentReference {
    /// The document itself, in the variable of this name.
    Inline {
        /// The name of the variable.
        variable: String,
        /// The document.
        text: String,
    },
    /// `file:PATH`.
    File(PathBuf),
    /// `secretsmanager:ARN`: the text of a secret.
    SecretsManager(String),
}

impl DocumentReference {
    /// Reads the value of `variable`.
    ///
    /// # Errors
    /// If it has the prefix of a file or a secret, and does not name one.
    pub fn parse(variable: &str, value: &str) -> Result<Self, ConfigErrors> {
        let wrong = |what| ConfigErrors::from(ConfigLocation::named(variable).problem(what));
        match value.trim().split_once(':') {
            Some(("file", path)) => match path.trim() {
                "" => Err(wrong("names no file: write file:PATH")),
                path => Ok(Self::File(PathBuf::from(path))),
            },
            Some(("secretsmanager", arn)) if is_secret_arn(arn) => {
                Ok(Self::SecretsManager(arn.to_owned()))
            }
            Some(("secretsmanager", _)) => Err(wrong(
                "is not the ARN of a secret: write secretsmanager:ARN, with the whole ARN \
                 (arn:aws:…) and no field",
            )),
            _ => Ok(Self::Inline {
                variable: variable.to_owned(),
                text: value.to_owned(),
            }),
        }
    }

    /// The ARN of the secret that must be fetched first, if it names one.
    pub fn arn(&self) -> Option<&str> {
        match self {
            Self::SecretsManager(arn) => Some(arn),
            Self::Inline { .. } | Self::File(_) => None,
        }
    }

    /// Reads the document.
    ///
    /// # Errors
    /// If it cannot be read. The error does not repeat it.
    pub fn read(self, secret_sources: &SecretSources<'_>) -> Result<ConfigDocument, ConfigErrors> {
        let (name, read) = match self {
            Self::Inline { variable, text } => (variable, Ok(text)),
            Self::File(path) => {
                let read = (secret_sources.file)(&path);
                let read = read.map_err(|error| SecretError::File(error.kind()).to_string());
                (path.display().to_string(), read)
            }
            Self::SecretsManager(arn) => {
                let read = secret_sources
                    .vault
                    .text(&arn)
                    .map_err(|error| match error {
                        SecretError::NoneYet => {
                            "has no value yet: put the configuration document there, as text"
                                .to_owned()
                        }
                        other => other.to_string(),
                    });
                let read = read.map(|text| text.expose().to_owned());
                (format!("secretsmanager:{arn}"), read)
            }
        };
        match read {
            Ok(text) => Ok(ConfigDocument { text, name }),
            Err(what) => Err(ConfigLocation::named(&name).problem(what).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::*;
    use crate::secrets::{FetchedSecrets, Secret, SecretsManagerError};

    const ARN: &str = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pillarbox-AbCdEf";

    /// The document that `value` of the variable holds or names.
    fn read(value: &str, vault: &FetchedSecrets) -> Result<(String, String), String> {
        let secret_sources = SecretSources {
            env: &|_| None,
            file: &|path: &Path| match path.to_str() {
                Some("/etc/pillarbox.toml") => Ok("# in a file".to_owned()),
                _ => Err(io::ErrorKind::NotFound.into()),
            },
            vault,
        };
        DocumentReference::parse("PILLARBOX_CONFIG", value)
            .and_then(|reference| reference.read(&secret_sources))
            .map(|document| (document.name, document.text))
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_document_is_in_the_variable_a_file_or_a_secret() {
        let secret = format!("secretsmanager:{ARN}");
        let mut vault = FetchedSecrets::default();
        for (value, name, text) in [
            ("# here: itself", "PILLARBOX_CONFIG", "# here: itself"),
            ("a.b = \"file:x\"", "PILLARBOX_CONFIG", "a.b = \"file:x\""),
            (
                "file:/etc/pillarbox.toml\n",
                "/etc/pillarbox.toml",
                "# in a file",
            ),
            (
                "file: /etc/pillarbox.toml",
                "/etc/pillarbox.toml",
                "# in a file",
            ),
        ] {
            let expected = (name.to_owned(), text.to_owned());
            assert_eq!(read(value, &vault), Ok(expected), "{value}");
        }
        vault.put(ARN.to_owned(), Ok(Some(Secret::new("# secret".to_owned()))));
        assert_eq!(
            read(&secret, &vault),
            Ok((secret.clone(), "# secret".to_owned()))
        );
        for (held, words) in [
            (
                Ok(None),
                "has no value yet: put the configuration document there, as text",
            ),
            (
                Err(SecretsManagerError::Denied),
                "cannot be read without permission: grant",
            ),
        ] {
            vault.put(ARN.to_owned(), held);
            let error = read(&secret, &vault).unwrap_err();
            assert!(
                error.starts_with(&secret) && error.contains(words),
                "{error}"
            );
        }
        for (value, words) in [
            ("file:", "PILLARBOX_CONFIG names no file: write file:PATH"),
            (
                "file:gone.toml",
                "gone.toml cannot be read (entity not found)",
            ),
            (
                "secretsmanager:pillarbox",
                "PILLARBOX_CONFIG is not the ARN of a secret",
            ),
            (&format!("{secret}#field"), "and no field"),
        ] {
            let error = read(value, &vault).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
