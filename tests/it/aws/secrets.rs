//! Secrets Manager's answers, good and bad, and what they mean for a source.

use std::{io, path::Path};

use pillarbox::{
    config::Config,
    secrets::{
        FetchedSecrets, SecretError, SecretSources, SecretsCaller, SecretsManager,
        SecretsManagerError, arns,
    },
};
use serde_json::json;
use tokio::time::Instant;

use test_support::cloud::{CloudReply, SimulatedAws};

const ARN: &str = "arn:aws:secretsmanager:eu-west-2:111122223333:secret:pay-AbCdEf";
/// Nothing that is ever shown may hold this.
const CANARY: &str = "webhook_live_canary1d5lsa5pdfs2bvim2f9cdu";

fn config() -> Config {
    let document = format!(
        "[sources.pay]\nkind = \"govuk-pay\"\nlive = true\nsecrets = \
         [\"secretsmanager:{ARN}#current\"]\n"
    );
    Config::read(&document, "p").unwrap()
}

/// The number of keys of the source after `reply`, and the errors about its unusable secrets.
async fn read(reply: CloudReply) -> (usize, Vec<(SecretError, String)>) {
    let cloud = SimulatedAws::answering(move |_| reply.clone()).await;
    let began = Instant::now();
    let vault = SecretsManager::new(&cloud.aws())
        .read(&arns(config().sender_references()), SecretsCaller::Sender)
        .await;
    assert!(began.elapsed().as_millis() < 1_500, "a sender waits");
    assert!(!format!("{vault:?}").contains("canary"));
    let file = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let (sources, unusable) = config().usable_sender_secrets(&SecretSources {
        env: &|_| None,
        file: &file,
        vault: &vault,
    });
    assert!(!format!("{sources:?} {unusable:?}").contains("canary"));
    let unusable_texts = unusable
        .into_iter()
        .map(|one| (one.why, one.problem.to_string()))
        .collect();
    (sources[0].keys.len(), unusable_texts)
}

fn holding(text: &str) -> CloudReply {
    CloudReply::Done(json!({"ARN": ARN, "Name": "pay", "SecretString": text}))
}

#[tokio::test]
async fn each_answer_has_one_meaning_and_none_shows_a_secret() {
    let unread = |fault| Some(SecretError::Unread(fault));
    let field = |value: &str| holding(&json!({"current": value, "previous": CANARY}).to_string());
    let not_found = "ResourceNotFoundException";
    for (reply, keys, problem) in [
        (field(CANARY), 1, None),
        // None yet.
        (
            CloudReply::Done(json!({"ARN": ARN, "Name": "pay"})),
            0,
            None,
        ),
        (holding(r#"{"previous":"x"}"#), 0, None),
        (
            CloudReply::Fault(
                400,
                not_found,
                "Secrets Manager can't find the specified secret value for staging label: \
                 AWSCURRENT",
            ),
            0,
            None,
        ),
        // What a person has to mend.
        (field(""), 0, Some(SecretError::Empty)),
        (field(&format!("{CANARY}\n")), 0, Some(SecretError::Padded)),
        (
            field("webhook_test_canary1d5lsa5pdfs2bvim2f9cdu"),
            0,
            Some(SecretError::TestOnLive),
        ),
        (holding(CANARY), 0, Some(SecretError::NoFields)),
        (
            CloudReply::Done(json!({"ARN": ARN, "SecretBinary": "Y2FuYXJ5"})),
            0,
            unread(SecretsManagerError::Binary),
        ),
        (
            CloudReply::Fault(
                400,
                not_found,
                "Secrets Manager can't find the specified secret.",
            ),
            0,
            unread(SecretsManagerError::Missing),
        ),
        (
            CloudReply::Fault(400, "InvalidRequestException", "marked for deletion"),
            0,
            unread(SecretsManagerError::Missing),
        ),
        (
            CloudReply::Fault(400, "AccessDeniedException", CANARY),
            0,
            unread(SecretsManagerError::Denied),
        ),
        (
            CloudReply::Fault(400, "DecryptionFailure", CANARY),
            0,
            unread(SecretsManagerError::Key),
        ),
        (
            CloudReply::Fault(400, "ExpiredTokenException", CANARY),
            0,
            unread(SecretsManagerError::NoCredentials),
        ),
        // What may be over soon.
        (
            CloudReply::Fault(400, "ThrottlingException", CANARY),
            0,
            unread(SecretsManagerError::Unavailable),
        ),
        (
            CloudReply::Fault(500, "InternalServiceError", CANARY),
            0,
            unread(SecretsManagerError::Unavailable),
        ),
        // What is not an answer of Secrets Manager about this secret, however much it looks so.
        (
            CloudReply::Done(json!({})),
            0,
            unread(SecretsManagerError::Unavailable),
        ),
        (
            CloudReply::Done(json!({"ARN": "arn:aws:other", "SecretString": CANARY})),
            0,
            unread(SecretsManagerError::Unavailable),
        ),
        (
            CloudReply::Foreign(200, json!({"ARN": ARN, "Name": "pay"})),
            0,
            unread(SecretsManagerError::Unavailable),
        ),
        (
            CloudReply::Foreign(400, json!({"__type": not_found})),
            0,
            unread(SecretsManagerError::Unavailable),
        ),
        (
            CloudReply::Page(200),
            0,
            unread(SecretsManagerError::Unavailable),
        ),
        (
            CloudReply::Page(503),
            0,
            unread(SecretsManagerError::Unavailable),
        ),
        (
            CloudReply::Half(json!({"SecretString": CANARY})),
            0,
            unread(SecretsManagerError::Unavailable),
        ),
        (
            CloudReply::Drop,
            0,
            unread(SecretsManagerError::Unavailable),
        ),
        (
            CloudReply::Silence,
            0,
            unread(SecretsManagerError::Unavailable),
        ),
    ] {
        let (found, unusable_texts) = read(reply.clone()).await;
        assert_eq!(
            (found, unusable_texts.first().map(|(why, _)| *why)),
            (keys, problem),
            "{reply:?}"
        );
        for (_, text) in unusable_texts {
            assert!(
                text.starts_with(&format!(
                    "p:4: sources.pay.secrets[0] (secretsmanager:{ARN}#current) "
                )),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn each_secret_is_requested_once_and_all_concurrently() {
    let cloud = SimulatedAws::answering(|_| {
        CloudReply::Late(
            std::time::Duration::from_millis(300),
            json!({"SecretString": "{}"}),
        )
    })
    .await;
    let document = format!(
        "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = \
         [\"secretsmanager:{ARN}#current\", \"secretsmanager:{ARN}#previous\"]\n\
         [sources.hmrc]\nkind = \"hmrc\"\nsecrets = [\"secretsmanager:{ARN}2#current\"]\n"
    );
    let config = Config::read(&document, "p").unwrap();
    let began = Instant::now();
    let wanted = arns(config.sender_references());
    let vault = SecretsManager::new(&cloud.aws())
        .read(&wanted, SecretsCaller::Background)
        .await;
    assert!(
        vault.holds(&wanted) && began.elapsed().as_millis() < 590,
        "{:?}",
        began.elapsed()
    );
    assert_eq!(cloud.calls("GetSecretValue").len(), 2);
}

#[test]
fn fetched_secrets_are_empty_before_the_first_reading() {
    assert!(!FetchedSecrets::NOTHING.holds(&arns(config().sender_references())));
}
