//! `pillarbox verify`: verifies a signature, or every stored row, offline.

mod stored;

pub(super) use crate::evidence::StoredProof;
pub(super) use stored::proof_context;

use std::{fs, path::PathBuf};

use clap::Args;
use serde::Serialize;

use super::{
    CommandError, ErrorCode, GlobalArgs,
    output::CommandOutput,
    row::json,
    settings::{CommandSettings, fetch_if_there},
};
use crate::diagnose::{Diagnosis, NamedSecret, diagnose};
use pillarbox::{
    config::{ConfigOverrides, SourceConfig},
    domain::{Clock, SystemClock},
    secrets::Secret,
};

/// Verifies a body and its signature header, or every stored row.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    pillarbox verify --source pay --body body.json --signature 3f9a…\n  \
    pillarbox verify --stored")]
pub(super) struct VerifyArgs {
    /// The source whose secrets are tried
    #[arg(
        long,
        value_name = "NAME",
        required_unless_present = "stored",
        requires_all = ["body", "signature"],
    )]
    source: Option<String>,
    /// A file with the exact bytes received
    #[arg(long, value_name = "FILE", requires = "source")]
    body: Option<PathBuf>,
    /// The signature header's value
    #[arg(long, value_name = "HEX", requires = "source")]
    signature: Option<String>,
    /// Every stored row: what it says, derived again from its bytes, and its signature
    #[arg(long, conflicts_with = "source")]
    stored: bool,
    /// Print a JSON object; with --stored, one for each finding and one with the counts
    #[arg(long)]
    json: bool,
}

/// The diagnosis of one body and header. The names are stable.
#[derive(Serialize)]
struct JsonDiagnosis {
    source: String,
    verdict: &'static str,
    key_label: Option<String>,
    causes: Vec<String>,
}

impl VerifyArgs {
    pub(super) async fn run(
        self,
        global: &GlobalArgs,
        output: &mut CommandOutput,
    ) -> Result<(), CommandError> {
        match (self.source, self.body, self.signature) {
            (Some(source), Some(body), Some(signature)) => {
                one(global, &source, &body, &signature, self.json, output).await
            }
            _ => stored::run(global, self.json, output).await,
        }
    }
}

/// Verifies one body and header, and explains the likely cause of a failure.
async fn one(
    global: &GlobalArgs,
    source: &str,
    body: &PathBuf,
    signature: &str,
    as_json: bool,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    let settings = CommandSettings::load(global, ConfigOverrides::default())?;
    let source = settings.source(source)?;
    let body = fs::read(body).map_err(|error| {
        ErrorCode::InputFile.error(format!(
            "cannot read {} ({error}): check --body",
            body.display()
        ))
    })?;
    let own = secrets(source).await?;
    // Other sources' secrets only help to explain, so one that cannot be read is skipped.
    let mut others = Vec::new();
    for other in settings
        .config
        .sources
        .iter()
        .filter(|other| other.name != source.name)
    {
        others.extend(secrets(other).await.unwrap_or_default());
    }
    let (own, others) = (named(&own), named(&others));
    let diagnosis = diagnose(
        source.kind,
        &own,
        &others,
        signature.as_bytes(),
        &body,
        SystemClock.now(),
    );
    let is_genuine = matches!(diagnosis, Diagnosis::Genuine { .. });
    if as_json {
        let name = source.name.to_string();
        output.data(&json(&JsonDiagnosis::of(name, diagnosis))?)?;
    } else {
        for sentence in diagnosis.sentences() {
            output.data(&sentence)?;
        }
    }
    if is_genuine {
        Ok(())
    } else {
        Err(CommandError::Wanting)
    }
}

impl JsonDiagnosis {
    fn of(source: String, diagnosis: Diagnosis) -> Self {
        let (verdict, key_label, causes) = match diagnosis {
            Diagnosis::Genuine { key_label, .. } => ("genuine", Some(key_label), Vec::new()),
            Diagnosis::Explained { key_label, causes } => ("refused", Some(key_label), causes),
            Diagnosis::Unexplained(causes) => ("refused", None, causes),
        };
        Self {
            source,
            verdict,
            key_label,
            causes: causes.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A secret and its label.
struct LabelledSecret {
    kind: pillarbox::senders::SenderKind,
    label: String,
    secret: Secret,
}

async fn secrets(source: &SourceConfig) -> Result<Vec<LabelledSecret>, CommandError> {
    let mut labelled = Vec::new();
    for reference in source.secrets.iter().map(|secret| &secret.value) {
        let label = format!("{reference} of source {}", source.name);
        let secret = fetch_if_there(reference).await?;
        labelled.extend(secret.map(|secret| LabelledSecret {
            kind: source.kind,
            label,
            secret,
        }));
    }
    Ok(labelled)
}

fn named(secrets: &[LabelledSecret]) -> Vec<NamedSecret<'_>> {
    secrets
        .iter()
        .map(|one| NamedSecret {
            kind: one.kind,
            label: &one.label,
            secret: &one.secret,
        })
        .collect()
}
