//! References to secrets, read where they stand.

use super::{problem::Placed, walk::Item};
use crate::secret::{SecretProblem, SecretRef};

/// How the values begin that people paste where a reference belongs.
const VALUE_PREFIXES: [&str; 5] = ["webhook_test_", "webhook_live_", "whsec_", "api_test_", "api_live_"];

/// Reads a reference. What is none is not repeated, since it may be the secret.
pub(super) fn read(item: Item<'_, '_>) -> Option<Placed<SecretRef>> {
    let text = item.text(&SecretProblem::NoReference.to_string())?;
    if text.starts_with("secretsmanager:") {
        item.complain("names Secrets Manager, which this version can't use yet: write env:NAME or file:PATH");
        return None;
    }
    item.made(parse(&text))
}

fn parse(text: &str) -> Result<SecretRef, SecretProblem> {
    let reference = SecretRef::parse(text)?;
    let is_name = match &reference {
        SecretRef::Env(name) => is_variable_name(name),
        SecretRef::File(path) => !path.to_str().is_some_and(begins_as_a_value),
    };
    if is_name { Ok(reference) } else { Err(SecretProblem::NoReference) }
}

/// Whether `name` is a variable's, rather than a secret put behind `env:` by mistake.
fn is_variable_name(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    // HMRC's secrets are 32 letters and digits; hardly a variable of that length has no separator.
    plain && (name.len() < 32 || name.contains('_')) && !begins_as_a_value(name)
}

fn begins_as_a_value(text: &str) -> bool {
    VALUE_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_behind_a_reference_prefix_is_no_reference() {
        for pasted in [
            "env:webhook_test_7mrp1d5lsa5pdfs2bvim2f9cdu",
            "env:ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            "env:MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=",
            "file:whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            assert_eq!(parse(pasted), Err(SecretProblem::NoReference), "{pasted}");
        }
        for good in ["env:PAY_SIGNING_SECRET", "env:pay.secret-2", "file:/run/secrets/pay", "file:C:\\pay secret"] {
            assert_eq!(parse(good).unwrap().to_string(), good);
        }
    }
}
