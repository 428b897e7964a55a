//! `pillarbox verify`: verifies one signature, or every stored row, offline.

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
    settings::{CommandSettings, fetch_secret_if_set},
};
use crate::diagnose::{Diagnosis, NamedSecret, diagnose};
use pillarbox::{
    config::SourceConfig,
    domain::{Clock, SystemClock},
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
    /// Verify every stored row: its fields against its bytes, and its signature
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
                verify_one(global, &source, &body, &signature, self.json, output).await
            }
            _ => stored::run(global, self.json, output).await,
        }
    }
}

/// Verifies one body and header, and explains the likely cause of a failure.
async fn verify_one(
    global: &GlobalArgs,
    source: &str,
    body: &PathBuf,
    signature: &str,
    as_json: bool,
    output: &mut CommandOutput,
) -> Result<(), CommandError> {
    let settings = CommandSettings::load(global)?;
    let source = settings.source(source)?;
    let body = fs::read(body).map_err(|error| {
        ErrorCode::InputFile.error(format!(
            "cannot read {} ({error}): check --body",
            body.display()
        ))
    })?;
    let own = named_secrets(source).await?;
    // Other sources' secrets only help to explain, so one that cannot be read is skipped.
    let mut others = Vec::new();
    let sources = settings.config.sources.iter();
    for other in sources.filter(|other| other.name != source.name) {
        others.extend(named_secrets(other).await.unwrap_or_default());
    }
    let diagnosis = diagnose(
        source.kind,
        &own.iter().collect::<Vec<_>>(),
        &others.iter().collect::<Vec<_>>(),
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
    CommandError::negative_unless(is_genuine)
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

/// The secrets of a source. One that Secrets Manager does not have yet is skipped.
async fn named_secrets(source: &SourceConfig) -> Result<Vec<NamedSecret>, CommandError> {
    let mut named = Vec::new();
    for reference in source.secrets.iter().map(|secret| &secret.value) {
        named.extend(
            fetch_secret_if_set(reference)
                .await?
                .map(|secret| NamedSecret {
                    kind: source.kind,
                    label: format!("{reference} of source {}", source.name),
                    secret,
                }),
        );
    }
    Ok(named)
}
