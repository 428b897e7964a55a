//! The settings of a command: its configuration, with flags and variables applied.

use std::{fs, path::Path};

use super::{
    CommandError, ErrorCode, GlobalArgs,
    output::{CommandOutput, shell_word},
};
use crate::{
    acts,
    any_inbox::{self, AnyInbox, InboxAccess},
    aws,
};
pub(super) use pillarbox::config::variable;
use pillarbox::{
    aws::AwsConfig,
    config::{Config, ConfigErrors, ConfigOverrides, DocumentReference, SourceConfig},
    secrets::{
        FetchedSecrets, Secret, SecretError, SecretRef, SecretSources, SecretsCaller,
        SecretsManager, arns,
    },
    telemetry::visible,
};

/// The demo's folder.
pub(super) const DEMO: &str = ".pillarbox";
/// The default configuration file.
const FILE: &str = "pillarbox.toml";
/// The variable that holds or names the configuration document.
const VARIABLE: &str = "PILLARBOX_CONFIG";

/// The configuration of one run.
pub(super) struct CommandSettings {
    pub(super) config: Config,
    /// Its name in messages.
    pub(super) document_name: String,
    document: Option<String>,
    /// The flags that named the configuration and the inbox.
    flags: PrintedFlags,
}

/// The flags with which a printed command finds the same configuration and the same inbox.
#[derive(Default)]
struct PrintedFlags {
    config: String,
    inbox: String,
}

impl PrintedFlags {
    fn of(global: &GlobalArgs) -> Self {
        let config = global.config.as_deref().and_then(Path::to_str);
        let flag = |name: &str, value: Option<&str>| {
            value.map_or_else(String::new, |value| {
                format!(" --{name} {}", shell_word(value))
            })
        };
        Self {
            config: flag("config", config),
            inbox: flag("inbox", global.inbox.as_deref()),
        }
    }
}

impl CommandSettings {
    /// `command` as a person types it next, with the flags that it needs to find the same
    /// configuration and inbox: `send` needs no inbox.
    pub(super) fn printed(&self, command: &str, output: &CommandOutput) -> String {
        let program = output.program();
        let inbox = match command.starts_with("send ") {
            true => "",
            false => &self.flags.inbox,
        };
        format!("{program} {command}{}{inbox}", self.flags.config)
    }

    /// Reads the configuration; variables and the options of every command override it.
    pub(super) fn load(global: &GlobalArgs) -> Result<Self, CommandError> {
        Self::load_with(global, ConfigOverrides::default())
    }

    /// The same; `flags` override it, too.
    pub(super) fn load_with(
        global: &GlobalArgs,
        flags: ConfigOverrides,
    ) -> Result<Self, CommandError> {
        Self::read(global, flags, Config::read)
    }

    /// The same, for a command that fetches secrets next. It also checks the secrets that are not
    /// in Secrets Manager, so that all errors are in one list.
    pub(super) fn load_checked(
        global: &GlobalArgs,
        flags: ConfigOverrides,
    ) -> Result<Self, CommandError> {
        Self::read(global, flags, |document, document_name| {
            Config::read_to_use(document, document_name, &secret_sources())
        })
    }

    fn read(
        global: &GlobalArgs,
        flags: ConfigOverrides,
        read: impl FnOnce(&str, &str) -> Result<Config, ConfigErrors>,
    ) -> Result<Self, CommandError> {
        let (document, document_name) = find_document(global)?;
        let mut config = match &document {
            Some(document) => read(document, &document_name)?,
            None => Config::demo(Path::new(DEMO)),
        };
        let flags = ConfigOverrides {
            inbox: global.inbox.clone(),
            ..flags
        };
        flags.apply(&mut config, &secret_sources())?;
        Ok(Self {
            config,
            document_name,
            document,
            flags: PrintedFlags::of(global),
        })
    }

    #[cfg(test)]
    pub(super) fn test(config: Config) -> Self {
        let document_name = "a test".to_owned();
        Self {
            config,
            document_name,
            document: None,
            flags: PrintedFlags::default(),
        }
    }

    /// Opens the inbox; a local one must exist.
    pub(super) async fn open_inbox(&self, access: InboxAccess) -> Result<AnyInbox, CommandError> {
        Ok(any_inbox::open_inbox(&self.config, access, &secret_sources()).await?)
    }

    /// Opens the inbox for changes, and names the person who runs this process. A dry run opens it
    /// for reading.
    pub(super) async fn open_as_person(
        &self,
        dry_run: bool,
    ) -> Result<(AnyInbox, String), CommandError> {
        if dry_run {
            // A dry run writes no audit entry, so it needs no name.
            return Ok((self.open_inbox(InboxAccess::Read).await?, String::new()));
        }
        Ok(acts::open_as_person(&self.config, &secret_sources()).await?)
    }

    /// Whether nothing is configured.
    pub(super) fn is_demo(&self) -> bool {
        self.document.is_none()
    }

    /// The configured source of this name.
    pub(super) fn source(&self, name: &str) -> Result<&SourceConfig, CommandError> {
        let sources = &self.config.sources;
        let found = sources.iter().find(|source| source.name.as_str() == name);
        found.ok_or_else(|| {
            let known: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            ErrorCode::UnknownSource.error(format!(
                "there is no source `{name}` in {}; it has: {}",
                self.document_name,
                known.join(", ")
            ))
        })
    }
}

/// The configuration document and its name in messages; no document means the demo.
fn find_document(global: &GlobalArgs) -> Result<(Option<String>, String), CommandError> {
    if let Some(path) = &global.config {
        return read_document(path);
    }
    if let Some(document) = &global.document {
        return Ok((Some(document.text.clone()), document.name.clone()));
    }
    if let Some(reference) = document_reference()? {
        let document = reference.read(&secret_sources())?;
        return Ok((Some(document.text), document.name));
    }
    if Path::new(FILE).exists() {
        return read_document(Path::new(FILE));
    }
    Ok((
        None,
        "the demo (there is no pillarbox.toml here)".to_owned(),
    ))
}

/// The value of `PILLARBOX_CONFIG`; `None` if it is not set.
fn document_reference() -> Result<Option<DocumentReference>, CommandError> {
    let Some(value) = variable(VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let reference = DocumentReference::parse(VARIABLE, &value)?;
    if !matches!(reference, DocumentReference::Inline { .. }) {
        return Ok(Some(reference));
    }
    match document_mistake(&value) {
        Some(why) => Err(ErrorCode::Config.error(format!("{VARIABLE} {why}"))),
        None => Ok(Some(reference)),
    }
}

/// Why a value is not a document, and what to write instead. A program that reads a file of
/// variables may keep the quotation marks that a shell would remove.
fn document_mistake(value: &str) -> Option<String> {
    let text = unquoted(value.trim());
    if text.is_empty() {
        return Some("is blank: unset it, or write the configuration document there".to_owned());
    }
    if text.starts_with('[') && text.len() < value.trim().len() {
        return Some("has quotation marks around the document: write it without them".to_owned());
    }
    if !is_path(text) {
        return None;
    }
    // A reference whose scheme is in another case or stood between quotation marks.
    let reference = ["secretsmanager:", "file:"].into_iter().find_map(|scheme| {
        let (given, rest) = text.split_at_checked(scheme.len())?;
        let rest = rest.trim();
        given
            .eq_ignore_ascii_case(scheme)
            .then(|| format!("{scheme}{rest}"))
    });
    let (instead, or) = match reference {
        Some(reference) => (reference, ""),
        None if text.starts_with("arn:") => (format!("secretsmanager:{text}"), ""),
        None => (format!("file:{text}"), ", or name the file with --config"),
    };
    Some(format!(
        "takes the configuration document itself, or where it is: write {}{or}",
        visible(&instead)
    ))
}

/// The text between a pair of quotation marks; all of it without them.
fn unquoted(text: &str) -> &str {
    let within = |mark| text.strip_prefix(mark)?.strip_suffix(mark);
    within('"').or_else(|| within('\'')).map_or(text, str::trim)
}

/// Fetches the document if `PILLARBOX_CONFIG` names one in Secrets Manager. `--config` overrides
/// it.
pub(super) async fn with_document(global: GlobalArgs) -> Result<GlobalArgs, CommandError> {
    if global.config.is_some() {
        return Ok(global);
    }
    let Some((reference, arn)) = document_reference()?.and_then(|reference| {
        let arn = reference.arn()?.to_owned();
        Some((reference, arn))
    }) else {
        return Ok(global);
    };
    let fetched = SecretsManager::new(&aws().await?)
        .read(&[arn].into(), SecretsCaller::Background)
        .await;
    let document = reference.read(&secret_sources_with(&fetched))?;
    Ok(GlobalArgs {
        document: Some(document),
        ..global
    })
}

/// Whether a text that should be a document is a path: one line that is not a key, a table or a
/// comment.
fn is_path(document: &str) -> bool {
    let text = document.trim();
    !text.contains(['\n', '=']) && !text.starts_with(['[', '#'])
        || (!text.contains('\n') && Path::new(text).is_file())
}

fn read_document(path: &Path) -> Result<(Option<String>, String), CommandError> {
    let document_name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(document) => Ok((Some(document), document_name)),
        Err(error) => Err(ErrorCode::ConfigFile.error(format!(
            "cannot read {document_name} ({error}): check the path"
        ))),
    }
}

/// The environment and the file system of this process.
pub(super) fn secret_sources() -> SecretSources<'static> {
    secret_sources_with(FetchedSecrets::NOTHING)
}

/// The same, with the values that Secrets Manager returned.
pub(super) fn secret_sources_with(vault: &FetchedSecrets) -> SecretSources<'_> {
    SecretSources {
        env: &variable,
        file: &|path: &Path| fs::read_to_string(path),
        vault,
    }
}

/// AWS with the credentials of this machine's user.
pub(super) async fn aws() -> Result<AwsConfig, CommandError> {
    Ok(aws::from_environment(&secret_sources()).await?)
}

/// Fetches the values of those `references` that name a secret in Secrets Manager.
pub(super) async fn fetch_vault<'a>(
    references: impl IntoIterator<Item = &'a SecretRef>,
) -> Result<FetchedSecrets, CommandError> {
    let arns = arns(references);
    if arns.is_empty() {
        return Ok(FetchedSecrets::default());
    }
    Ok(SecretsManager::new(&aws().await?)
        .read(&arns, SecretsCaller::Background)
        .await)
}

/// Fetches the secret that the value of `flag` refers to, and checks its format.
pub(super) async fn fetch_named_secret(
    flag: &str,
    reference: &str,
) -> Result<Secret, CommandError> {
    let reference = SecretRef::parse(reference)
        .map_err(|error| ErrorCode::Secret.error(format!("{flag} {error}")))?;
    fetch_secret(&reference).await
}

/// Fetches a secret, and checks its format.
pub(super) async fn fetch_secret(reference: &SecretRef) -> Result<Secret, CommandError> {
    fetch_secret_if_set(reference)
        .await?
        .ok_or_else(|| secret_error(reference, SecretError::NoneYet))
}

/// The same; `None` while the entry in Secrets Manager has no value.
pub(super) async fn fetch_secret_if_set(
    reference: &SecretRef,
) -> Result<Option<Secret>, CommandError> {
    let vault = fetch_vault([reference]).await?;
    let secret = reference
        .fetch(&secret_sources_with(&vault))
        .and_then(|secret| secret.check_strength().map(|()| secret));
    match secret {
        Err(SecretError::NoneYet) => Ok(None),
        secret => secret
            .map(Some)
            .map_err(|error| secret_error(reference, error)),
    }
}

fn secret_error(reference: &SecretRef, error: SecretError) -> CommandError {
    ErrorCode::Secret.error(format!("the secret {reference} {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::output::tests::run_in_shell;

    #[test]
    fn a_printed_command_finds_the_configuration_and_the_inbox_of_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let (output, _) = CommandOutput::captured();
        let mut settings = CommandSettings::test(Config::demo(folder.path()));
        settings.flags = PrintedFlags::of(&GlobalArgs {
            config: Some("a folder/pillarbox.toml".into()),
            inbox: Some("sqlite:it's.db".to_owned()),
            document: None,
        });
        let printed = ["list", "send hmrc"].map(|command| settings.printed(command, &output));
        let ran = run_in_shell(&printed.join("\n"), folder.path());
        let config = "--config\na folder/pillarbox.toml";
        assert_eq!(ran[0], format!("list\n{config}\n--inbox\nsqlite:it's.db"));
        assert_eq!(ran[1], format!("send\nhmrc\n{config}"));
    }

    #[test]
    fn a_value_that_is_no_document_is_answered_with_what_to_write() {
        let arn = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pillarbox-AbCdEf";
        let (arn, of_arn) = (arn.to_owned(), format!("write secretsmanager:{arn}"));
        for (value, words) in [
            ("/etc/p.toml", "write file:/etc/p.toml, or name the file"),
            (
                "\"/etc/p.toml\"",
                "write file:/etc/p.toml, or name the file",
            ),
            ("'/etc/p.toml' ", "write file:/etc/p.toml, or name the file"),
            ("\"file:/etc/p.toml\"", "write file:/etc/p.toml"),
            ("FILE:/etc/p.toml", "write file:/etc/p.toml"),
            (&arn, &of_arn),
            (&format!("'secretsmanager:{arn}'"), &of_arn),
            (" ", "is blank"),
            ("\"\"", "is blank"),
            ("'[sources.pay]\nkind = \"govuk-pay\"'", "quotation marks"),
        ] {
            let why = document_mistake(value).unwrap_or_default();
            assert!(why.contains(words), "{value}: {why}");
        }
        for document in ["[sources.pay]", "\"listen\" = \"127.0.0.1:0\"", "# nothing"] {
            assert_eq!(document_mistake(document), None, "{document}");
        }
    }

    #[test]
    fn a_path_in_place_of_a_document_is_recognised() {
        for path in [
            "/etc/pillarbox/pillarbox.toml",
            "pillarbox.toml",
            "./a folder/pillarbox.toml\n",
            "~/pillarbox.toml",
            "C:\\pillarbox.toml",
        ] {
            assert!(is_path(path), "{path}");
        }
        for document in [
            "[sources.pay]",
            "[sources.pay]\nkind = \"govuk-pay\"",
            "inbox = \"sqlite:/var/lib/pillarbox.db\"",
            "# nothing yet",
            "kind\nlive",
        ] {
            assert!(!is_path(document), "{document}");
        }
    }
}
