//! Forty accounts in one process: more than the variables of a function can describe.

use std::collections::BTreeMap;

use pillarbox::domain::{Clock, SystemClock};
use sender_simulator::{
    Sender,
    apis::{
        PayApi,
        pay_api::{PaymentLifecycle, SimulatedPayment},
    },
    exchange,
};
use serde_json::json;

use test_support::{
    cloud::{AwsCall, CloudReply, SimulatedAws, variables},
    endpoint::ConsumerEndpoint,
    fronts::{LambdaFront, batch},
    function::post,
    message::Source,
    process::{CommandResult, ProgramFolder, RunningServe, WHSEC, until},
    runtime_api::{BootstrapProcess, RuntimeReport, deployed},
    table,
};

const ACCOUNTS: usize = 40;
const PREFIX: &str = "arn:aws:secretsmanager:eu-west-2:123456789012:secret:";
const DOCUMENT: &str = "pillarbox-AbCdEf";

/// Every fifth account is one of HMRC's applications.
fn accounts() -> Vec<Source> {
    let account = |n| match n % 5 {
        0 => Source::new(
            &format!("hmrc-{n}"),
            Sender::Hmrc,
            &[&format!("{}{}", "ABCDEFGHIJKLMNOPQRSTUVWXYZ2345", 10 + n)],
        ),
        _ => Source::new(
            &format!("pay-{n}"),
            Sender::GovukPay,
            &[&format!("webhook_test_7mrp1d5lsa5pdfs2bvim2f9cd{}", 10 + n)],
        ),
    };
    (0..ACCOUNTS).map(account).collect()
}

/// Each account with its own secret; of every three neighbours, each has another destination.
fn document(secret: impl Fn(&Source) -> String, endpoints: &[ConsumerEndpoint; 3]) -> String {
    let mut document = String::new();
    for (n, account) in accounts().iter().enumerate() {
        document += &format!(
            "[sources.{}]\nkind = \"{}\"\nsecrets = [\"{}\"]\ndestination = \"ledger-{}\"\n",
            account.name,
            account.sender.as_str(),
            secret(account),
            n % 3
        );
    }
    for (n, endpoint) in endpoints.iter().enumerate() {
        document += &format!(
            "[destinations.ledger-{n}]\nkind = \"https\"\nurl = \"{}\"\n\
             secrets = [\"env:LEDGER_WHSEC\"]\n",
            endpoint.url()
        );
    }
    document
}

fn endpoints() -> [ConsumerEndpoint; 3] {
    [
        ConsumerEndpoint::opened(),
        ConsumerEndpoint::opened(),
        ConsumerEndpoint::opened(),
    ]
}

/// Each destination has the events of its accounts, each once, and of no other.
fn check_delivered(endpoints: &[ConsumerEndpoint; 3]) {
    for (n, endpoint) in endpoints.iter().enumerate() {
        let accounts = accounts().into_iter().enumerate();
        let mut expected: Vec<String> = accounts
            .filter(|(account, _)| account % 3 == n)
            .map(|(_, account)| format!("{}:m1", account.name))
            .collect();
        let received = endpoint.received();
        let mut keys: Vec<String> = received
            .iter()
            .map(|event| event.key().to_owned())
            .filter(|key| key.ends_with(":m1"))
            .collect();
        keys.sort();
        expected.sort();
        assert_eq!(keys, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_receives_delivers_and_reconciles_forty_accounts_separately() {
    let endpoints = endpoints();
    let api = PayApi::start(0, std::sync::Arc::new(SimulatorClock))
        .await
        .unwrap();
    let folder = ProgramFolder::empty();
    let mut text = document(|account| format!("env:{}", variable(account)), &endpoints);
    let mut variables: BTreeMap<String, String> = BTreeMap::new();
    for account in accounts() {
        variables.insert(variable(&account), account.secrets[0].clone());
        if account.sender == Sender::GovukPay {
            let key = format!(
                "api_test_{}_of_this_account",
                variable(&account).to_lowercase()
            );
            text += &format!(
                "[sources.{}.pull]\nbase_url = \"{}\"\napi_key = \"env:KEY_{}\"\n",
                account.name,
                api.base_url(),
                variable(&account)
            );
            api.with(|accounts| {
                accounts.open(&key);
                accounts.add(&key, [old_payment()]);
            });
            variables.insert(format!("KEY_{}", variable(&account)), key);
        }
    }
    assert!(text.len() > 4096, "more than a function's variables hold");
    folder.write("accounts.toml", text);
    let mut command = folder.serve_command();
    command
        .envs(&variables)
        .env("PILLARBOX_CONFIG", "file:accounts.toml")
        .env("PILLARBOX_LOG", "info");
    let mut serve = RunningServe::spawn(&mut command);
    serve.await_ready();
    let accounts = accounts();
    for (n, account) in accounts.iter().enumerate() {
        let url = serve.url(&account.name);
        let other = &accounts[(n + 5) % ACCOUNTS]; // of the same sender
        for (signer, status) in [(other, 401), (account, 200)] {
            let body = account.message("m1", SystemClock.now());
            let body = sender_simulator::MessageBody {
                id: "m1".to_owned(),
                signed: body.clone(),
                wire: body,
            };
            let request = account.sender.request(&body, &signer.secrets[0], &url);
            let answer = exchange(&request, &url, account.sender.client_profile()).await;
            assert_eq!(answer.unwrap().status, status, "{}", account.name);
        }
    }
    let pays = accounts
        .iter()
        .filter(|account| account.sender == Sender::GovukPay);
    let expected = ACCOUNTS + pays.clone().count();
    let list = |filters: &[&str]| {
        let mut command = folder.command(&[&["list", "--json"], filters].concat());
        command
            .envs(&variables)
            .env("PILLARBOX_CONFIG", "file:accounts.toml");
        CommandResult::of(&mut command).stdout.lines().count()
    };
    until("everything is delivered", || {
        list(&["--state", "delivered"]) == expected
    });
    check_delivered(&endpoints);
    for account in pays {
        let observed = list(&["--source", &account.name, "--type", "observed"]);
        assert_eq!(observed, 1, "{} is queried with its own key", account.name);
    }
}

/// A payment that failed two days ago, and of which nothing was posted.
fn old_payment() -> SimulatedPayment {
    use sender_simulator::Clock;
    let begun = SimulatorClock
        .now()
        .minus(std::time::Duration::from_secs(2 * 24 * 60 * 60));
    SimulatedPayment::new(PaymentLifecycle::Failed, begun, &SimulatorClock)
}

use sender_simulator::SystemClock as SimulatorClock;

fn variable(account: &Source) -> String {
    account.name.replace('-', "_").to_uppercase()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_has_forty_accounts_in_a_document_of_secrets_manager() {
    let endpoints = endpoints();
    let reference =
        |account: &Source| format!("secretsmanager:{PREFIX}{}-AbCdEf#current", account.name);
    let inbox = table::fresh("accounts").await;
    let text = document(reference, &endpoints);
    let values: BTreeMap<String, String> = accounts()
        .into_iter()
        .map(|account| {
            let value = json!({"current": account.secrets[0]}).to_string();
            (format!("{PREFIX}{}-AbCdEf", account.name), value)
        })
        .chain([(format!("{PREFIX}{DOCUMENT}"), text)])
        .collect();
    let cloud = SimulatedAws::answering(move |call: &AwsCall| {
        let arn = call.body["SecretId"].as_str().unwrap();
        CloudReply::Done(json!({"SecretString": values[arn]}))
    })
    .await;
    let mut variables = deployed("bootstrap", inbox.table());
    variables.retain(|(name, _)| *name != "PILLARBOX_CONFIG");
    variables.extend([
        (
            "PILLARBOX_CONFIG",
            format!("secretsmanager:{PREFIX}{DOCUMENT}"),
        ),
        ("PILLARBOX_INBOX", format!("dynamodb:{}", inbox.table())),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", cloud.url()),
        ("LEDGER_WHSEC", WHSEC.to_owned()),
    ]);
    let length: usize = variables
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    assert!(length < 4096, "{length} bytes of variables");
    let mut bootstrap = BootstrapProcess::start(&variables).await;
    let mut invoked = 0;
    let now = SystemClock.now();
    let accounts = accounts();
    for (n, account) in accounts.iter().enumerate() {
        let other = &accounts[(n + 5) % ACCOUNTS];
        let body = account.message("m1", now);
        let forged = Source {
            secrets: other.secrets.clone(),
            ..account.clone()
        };
        for (signer, status) in [(&forged, 401), (account, 200)] {
            let event = LambdaFront::ALL[0].invocation(&post(signer, &body), now);
            // A busy machine may be too slow for the inbox, and a sender tries again.
            let mut answer = bootstrap.answer(&event).await.status;
            while answer == 503 && bootstrap.is_alive() {
                answer = bootstrap.answer(&event).await.status;
                invoked += 1;
            }
            invoked += 1;
            assert_eq!(answer, status, "{}", account.name);
        }
    }
    let keys: Vec<String> = accounts
        .iter()
        .map(|one| format!("{}:m1", one.name))
        .collect();
    let changes: Vec<_> = keys.iter().map(|key| (key.as_str(), "recorded")).collect();
    let done = json!({"batchItemFailures": []});
    let reply = RuntimeReport::Reply(invoked + 1, done);
    assert_eq!(bootstrap.invoke(&batch(&changes)).await, reply);
    check_delivered(&endpoints);
    let reads = cloud.calls("GetSecretValue");
    assert!(reads.len() > ACCOUNTS, "{}", reads.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reads_its_document_from_secrets_manager_or_says_why_it_cannot() {
    let text = "[sources.pay-leeds]\nkind = \"govuk-pay\"\nsecrets = []\n";
    let cloud =
        SimulatedAws::answering(move |call: &AwsCall| match call.body["SecretId"].as_str() {
            Some(arn) if arn.ends_with(DOCUMENT) => CloudReply::Done(json!({"SecretString": text})),
            _ => CloudReply::Fault(400, "ResourceNotFoundException", "canary"),
        })
        .await;
    let folder = ProgramFolder::empty();
    for (value, code, words) in [
        (
            format!("secretsmanager:{PREFIX}{DOCUMENT}"),
            0,
            "look  source pay-leeds (govuk-pay): has no secret yet",
        ),
        (
            format!("secretsmanager:{PREFIX}gone-AbCdEf"),
            2,
            "is not in Secrets Manager: check the ARN",
        ),
        (
            "secretsmanager:gone".to_owned(),
            2,
            "is not the ARN of a secret",
        ),
        ("file:gone.toml".to_owned(), 2, "gone.toml cannot be read"),
    ] {
        let mut command = folder.command(&["doctor"]);
        let reached = variables(&cloud.url());
        command.envs(reached.iter().map(|(name, value)| (*name, value)));
        command
            .env("PILLARBOX_CONFIG", &value)
            .env("PILLARBOX_INBOX", "sqlite:pillarbox.db")
            .env("PILLARBOX_LISTEN", "127.0.0.1:0")
            .env("PILLARBOX_CONSOLE", "127.0.0.1:0");
        let ran = tokio::task::spawn_blocking(move || CommandResult::of(&mut command))
            .await
            .unwrap();
        assert_eq!(ran.code == 2, code == 2, "{value}: {ran:?}");
        assert!((ran.stdout + &ran.stderr).contains(words), "{value}");
        assert!(!ran.stderr.contains("canary"), "{value}");
    }
}
