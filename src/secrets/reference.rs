//! References to secrets, as the configuration has them.

use std::{fmt, path::PathBuf};

use super::{Secret, SecretError, SecretSources, has_value_prefix};

/// The location of a secret: `env:NAME`, `file:PATH` or `secretsmanager:ARN#field`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretRef {
    /// An environment variable.
    Env(String),
    /// A file whose whole content is the secret.
    File(PathBuf),
    /// A field of the JSON object in a secret of AWS Secrets Manager.
    Manager(SecretsManagerRef),
}

/// One field of a secret in AWS Secrets Manager.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretsManagerRef {
    arn: String,
    field: String,
}

impl SecretRef {
    /// Reads a reference. The error does not repeat an invalid one, because it may be the secret.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        match text.split_once(':') {
            Some(("env", name)) if is_name(name) => Ok(Self::Env(name.to_owned())),
            Some(("file", path)) if !path.is_empty() && !has_value_prefix(path) => {
                Ok(Self::File(PathBuf::from(path)))
            }
            Some(("secretsmanager", rest)) => SecretsManagerRef::parse(rest)
                .map(Self::Manager)
                .ok_or(SecretError::NoArn),
            _ => Err(SecretError::NoReference),
        }
    }

    /// Fetches the value, without checking its form.
    pub fn fetch(&self, secret_sources: &SecretSources<'_>) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) => (secret_sources.env)(name)
                .map(Secret::new)
                .ok_or(SecretError::Unset),
            Self::File(path) => (secret_sources.file)(path)
                .map(Secret::new)
                .map_err(|error| SecretError::File(error.kind())),
            Self::Manager(manager) => secret_sources.vault.field(&manager.arn, &manager.field),
        }
    }

    /// The ARN of a secret in Secrets Manager; `None` for other references.
    pub fn arn(&self) -> Option<&str> {
        match self {
            Self::Manager(manager) => Some(&manager.arn),
            Self::Env(_) | Self::File(_) => None,
        }
    }

    /// The label of this secret in rows: the reference, with an ARN shortened to its end, because
    /// every row stores it.
    pub fn label(&self) -> String {
        match self {
            Self::Manager(manager) => manager.label(),
            Self::Env(_) | Self::File(_) => self.to_string(),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Manager(manager) => write!(f, "secretsmanager:{}#{}", manager.arn, manager.field),
        }
    }
}

impl SecretsManagerRef {
    /// The maximum number of characters of a name in a label.
    const LONGEST_LABEL: usize = 48;

    fn parse(text: &str) -> Option<Self> {
        let (arn, field) = text.rsplit_once('#')?;
        let is_whole = is_secret_arn(arn) && is_name(field);
        is_whole.then(|| Self {
            arn: arn.to_owned(),
            field: field.to_owned(),
        })
    }

    fn label(&self) -> String {
        let name = name_of(&self.arn).unwrap_or_default();
        let end = &name[name.len().saturating_sub(Self::LONGEST_LABEL)..];
        let cut = if end.len() < name.len() { "…" } else { "" };
        format!("{cut}{end}#{}", self.field)
    }
}

/// Whether `text` is the whole ARN of a secret.
pub(crate) fn is_secret_arn(text: &str) -> bool {
    name_of(text).is_some_and(is_secret_name)
}

/// The name in `arn:aws…:secretsmanager:REGION:ACCOUNT:secret:NAME`; `None` for other texts.
fn name_of(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(7, ':').collect();
    let [
        "arn",
        partition,
        "secretsmanager",
        region,
        account,
        "secret",
        name,
    ] = parts[..]
    else {
        return None;
    };
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let is_ours = partition.starts_with("aws")
        && plain(partition)
        && !region.is_empty()
        && plain(region)
        && is_account;
    is_ours.then_some(name)
}

/// Whether this is a valid name in Secrets Manager, and not a secret pasted by mistake.
fn is_secret_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b);
    (1..=519).contains(&name.len()) && name.bytes().all(plain) && !has_value_prefix(name)
}

/// Whether `name` is the name of a variable or a field, and not a secret pasted by mistake.
fn is_name(name: &str) -> bool {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    // HMRC's secrets are 32 letters and digits; a name of that length almost always has a
    // separator.
    plain && !name.is_empty() && (name.len() < 32 || name.contains('_')) && !has_value_prefix(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pillarbox/pay-AbCdEf";

    #[test]
    fn the_error_of_an_invalid_reference_does_not_repeat_it() {
        for (text, problem) in [
            ("hunter2hunter2hunter2", SecretError::NoReference),
            ("secretsmanager:hunter2hunter2#hunter2", SecretError::NoArn),
        ] {
            let error = SecretRef::parse(text).unwrap_err();
            assert_eq!(error, problem);
            assert!(!error.to_string().contains("hunter2"));
        }
        assert_eq!(SecretRef::parse("env:"), Err(SecretError::NoReference));
    }

    #[test]
    fn a_secret_after_a_reference_prefix_is_refused() {
        for pasted in [
            "env:webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu",
            "env:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            "env:MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=",
            "file:whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            assert_eq!(
                SecretRef::parse(pasted),
                Err(SecretError::NoReference),
                "{pasted}"
            );
        }
        let field = format!("secretsmanager:{ARN}#current");
        for good in [
            "env:PAY_SIGNING_SECRET",
            "env:pay.secret-2",
            "file:/run/secrets/pay",
            "file:C:\\pay secret",
            &field,
        ] {
            assert_eq!(SecretRef::parse(good).unwrap().to_string(), good);
        }
    }

    #[test]
    fn a_secret_of_secrets_manager_is_a_whole_arn_and_a_field() {
        for good in [
            "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay#current",
            "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:\
             a/b_c+d=e.f@g-AbCdEf#previous",
            "arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:pay#api_key",
        ] {
            let read = SecretRef::parse(&format!("secretsmanager:{good}")).unwrap();
            assert_eq!(read.arn(), good.split('#').next());
        }
        for bad in [
            "",
            "#current",
            "pay#current",
            "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay",
            "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay#",
            "arn:aws:secretsmanager:eu-west-2:111122223333:secret:#current",
            "arn:aws:secretsmanager:eu-west-2:111122223333:secret:p y#current",
            "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay#a b",
            "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay#a#b#",
            "arn:aws:secretsmanager:eu-west-2:1111:secret:pay#current",
            "arn:aws:secretsmanager::111122223333:secret:pay#current",
            "arn:aws:ssm:eu-west-2:111122223333:parameter:pay#current",
            "arn:azure:secretsmanager:eu-west-2:111122223333:secret:pay#current",
            "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay#\
             webhook_live_7mrp1d5lsa5pdfs2bvim2f9cdu",
            "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay#\
             ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            "arn:aws:secretsmanager:eu-west-2:111122223333:secret:\
             webhook_live_7mrp1d5lsa5pdfs2bvim2f9cdu#current",
        ] {
            assert_eq!(
                SecretRef::parse(&format!("secretsmanager:{bad}")),
                Err(SecretError::NoArn),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_label_is_short_and_distinguishes_secrets() {
        let long = format!(
            "arn:aws:secretsmanager:eu-west-2:111122223333:secret:{}-AbCdEf#current",
            "team/".repeat(90)
        );
        for (reference, label) in [
            (
                "env:PAY_SIGNING_SECRET",
                "env:PAY_SIGNING_SECRET".to_owned(),
            ),
            (
                &format!("secretsmanager:{ARN}#current"),
                "pillarbox/pay-AbCdEf#current".to_owned(),
            ),
            (
                &format!("secretsmanager:{long}"),
                format!("…/{}-AbCdEf#current", "team/".repeat(8)),
            ),
        ] {
            assert_eq!(SecretRef::parse(reference).unwrap().label(), label);
        }
    }
}
