//! The values of variables and files at the start. Later fetches reuse them, so that a half-written
//! file does not withdraw a key.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use crate::secrets::{FetchedSecrets, Secret, SecretRef, SecretSources};

/// The values of references that are not in Secrets Manager.
pub(super) struct StaticSecrets {
    variables: HashMap<String, Secret>,
    files: HashMap<PathBuf, io::Result<Secret>>,
}

impl StaticSecrets {
    /// Reads the values of `references`.
    pub(super) fn read<'a>(
        references: impl Iterator<Item = &'a SecretRef>,
        secret_sources: &SecretSources<'_>,
    ) -> Self {
        let mut values = Self {
            variables: HashMap::new(),
            files: HashMap::new(),
        };
        for reference in references {
            match reference {
                SecretRef::Env(name) => {
                    values.variables.extend(
                        (secret_sources.env)(name).map(|value| (name.clone(), Secret::new(value))),
                    );
                }
                SecretRef::File(path) => {
                    values
                        .files
                        .insert(path.clone(), (secret_sources.file)(path).map(Secret::new));
                }
                SecretRef::Manager(_) => {}
            }
        }
        values
    }

    /// Calls `work` with secret sources that hold only these values and those of `vault`.
    pub(super) fn with<T>(
        &self,
        vault: &FetchedSecrets,
        work: impl FnOnce(&SecretSources<'_>) -> T,
    ) -> T {
        let env = |name: &str| {
            self.variables
                .get(name)
                .map(|value| value.expose().to_owned())
        };
        let file = |path: &Path| match self.files.get(path) {
            Some(Ok(value)) => Ok(value.expose().to_owned()),
            Some(Err(error)) => Err(error.kind().into()),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        work(&SecretSources {
            env: &env,
            file: &file,
            vault,
        })
    }
}
