//! The demo's folder, with random secrets that `serve` and `send` share.

use std::{fs, io, io::Write, path::Path};

use super::{CommandError, ErrorCode, settings::DEMO};
use crate::sqlite::sync_folder;
use pillarbox::{config::Config, domain::Clock, secrets::SecretRef, senders::SenderKind};

/// Creates the folder and the missing secrets, readable only by their owner. Returns whether a
/// secret was missing.
pub(super) fn prepare(config: &Config, clock: &impl Clock) -> Result<bool, CommandError> {
    make_folder(Path::new(DEMO))?;
    let mut is_new = false;
    for source in &config.sources {
        for secret in &source.secrets {
            if let SecretRef::File(path) = &secret.value {
                is_new |= make_secret(path, source.kind, clock)?;
            }
        }
    }
    Ok(is_new)
}

/// Creates the demo's folder, accessible only to its owner, if it does not exist. The folder's name
/// is flushed, since a power cut could otherwise lose everything in it.
pub(super) fn make_folder(folder: &Path) -> Result<(), CommandError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.create(folder).and_then(|()| sync_folder(folder));
    made.map_err(|error| {
        ErrorCode::LocalFile.error(format!("cannot create {}: {error}", folder.display()))
    })
}

/// Writes a secret atomically: to a draft file, which gets the name `path` if that is free. Returns
/// whether it was free.
fn make_secret(path: &Path, kind: SenderKind, clock: &impl Clock) -> Result<bool, CommandError> {
    if path.exists() {
        return Ok(false);
    }
    let draft = path.with_extension(format!("{:016x}.new", clock.random()));
    let mut options = fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(random_secret(kind, clock).as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::hard_link(&draft, path))
        .and_then(|()| sync_folder(path));
    let _ = fs::remove_file(&draft);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(ErrorCode::LocalFile.error(format!("cannot write {}: {error}", path.display())))
        }
        made => Ok(made.is_ok()),
    }
}

/// A random secret in the format of the sender's secrets.
fn random_secret(kind: SenderKind, clock: &impl Clock) -> String {
    let shape = &kind.config.secret;
    let prefix = shape.test_prefix.unwrap_or_default();
    let (length, alphabet) = shape.generated;
    let random = (0..length).map(|_| char::from(alphabet[(clock.random() % 32) as usize]));
    prefix.chars().chain(random).collect()
}
