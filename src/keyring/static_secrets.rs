//! What variables and files held at the start, kept for every later reading: a file that is being written
//! just then must not take a key away that worked.

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
    /// Reads what `references` name.
    pub(super) fn of<'a>(
        references: impl Iterator<Item = &'a SecretRef>,
        outside: &SecretSources<'_>,
    ) -> Self {
        let mut kept = Self {
            variables: HashMap::new(),
            files: HashMap::new(),
        };
        for reference in references {
            match reference {
                SecretRef::Env(name) => {
                    kept.variables.extend(
                        (outside.env)(name).map(|value| (name.clone(), Secret::new(value))),
                    );
                }
                SecretRef::File(path) => {
                    kept.files
                        .insert(path.clone(), (outside.file)(path).map(Secret::new));
                }
                SecretRef::Manager(_) => {}
            }
        }
        kept
    }

    /// Does `work` where this is all there is outside, and `vault`.
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
