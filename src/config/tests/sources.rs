//! Names, secrets and pull tables of sources.

use super::{FINE, TEST_SECRET, check, kinds};
use crate::config::*;

#[test]
fn the_error_of_an_invalid_source_says_what_to_write() {
    check(
        "[sources.Pay]\nkind = \"govuk-pay\"\nsecrets = []",
        &[
            "1: sources.Pay is not a valid source name: begin with a-z, then up to 31 of a-z, 0-9 \
             and -",
        ],
    );
    check(
        "[sources.pay]",
        &[
            &format!(
                "1: sources.pay needs kind: write {}",
                kinds(|kind| format!("kind = \"{kind}\""))
            ),
            "1: sources.pay needs secrets: write secrets = [\"env:NAME\"], or secrets = [] while \
             there is none yet",
        ],
    );
    check(
        "[sources.pay]\nkind = \"unlisted\"\nsecrets = \"env:PAY\"\nlive = \"yes\"\ncolour = 1\n",
        &[
            &format!(
                "2: sources.pay.kind must be {}",
                kinds(|kind| format!("\"{kind}\""))
            ),
            "3: sources.pay.secrets must be a list: write [\"env:NAME\"]",
            "4: sources.pay.live must be true or false",
            "5: sources.pay.colour is not a known key: known here are kind, live, webhook, \
             secrets, destination, pull",
        ],
    );
    check(
        "[sources.hmrc]\nkind = \"hmrc\"\nsecret = [\"env:A\"]\nsecrets = [\"env:A\",\n \
         7,\n \"secretsmanager:arn\"]\nlive = true\n",
        &[
            "3: sources.hmrc.secret is not a known key: did you mean secrets?",
            "5: sources.hmrc.secrets[1] is not a secret reference: write env:NAME, file:PATH or \
             secretsmanager:ARN#field, never the secret itself",
            "6: sources.hmrc.secrets[2] is not the ARN of a secret: write \
             secretsmanager:ARN#field, with the whole ARN (arn:aws:…) and the name of a field",
            "7: sources.hmrc.live is for govuk-pay only: remove it, since HMRC's secrets don't say \
             whether they are live",
        ],
    );
    check(
        "sources = 1",
        &["1: sources must be a table: write [sources]"],
    );
    check(
        "[sources]\npay = 1",
        &["2: sources.pay must be a table: write [sources.pay]"],
    );
}

#[test]
fn a_long_name_that_may_be_a_secret_is_not_repeated() {
    check(
        &format!("{TEST_SECRET} = true{FINE}"),
        &[
            "1: (a name of 39 characters) is not a known key: known here are listen, console, \
             retention_days, \
           acceptance_days, inbox, destination, destinations, sources, routes, outbound_proxy",
        ],
    );
}

#[test]
fn a_secret_belongs_to_one_source_but_hmrc_issues_one_for_all_boxes() {
    let source = |name: &str, kind: &str, secrets: &str| {
        format!("[sources.{name}]\nkind = \"{kind}\"\nsecrets = [{secrets}]\n")
    };
    check(
        &source("pay", "govuk-pay", "\"env:A\", \"env:B\", \"env:A\""),
        &["3: sources.pay.secrets[2] (env:A) is listed twice: remove one of the two"],
    );
    check(
        &(source("pay", "govuk-pay", "\"env:A\"") + &source("pay-2", "govuk-pay", "\"env:A\"")),
        &[
            "6: sources.pay-2.secrets[0] (env:A) is also a secret of sources.pay: \
             each source needs its own",
        ],
    );
    check(
        &(source("hmrc", "hmrc", "\"env:A\"") + &source("pay", "govuk-pay", "\"env:A\"")),
        &[
            "6: sources.pay.secrets[0] (env:A) is also a secret of sources.hmrc: \
             each source needs its own",
        ],
    );
    let boxes = source("vat", "hmrc", "\"env:A\"") + &source("customs", "hmrc", "\"env:A\"");
    assert!(Config::read(&boxes, "p").is_ok());
}

#[test]
fn the_error_of_an_invalid_pull_says_what_to_write() {
    check(
        "[sources.hmrc]\nkind = \"hmrc\"\nsecrets = []\n[sources.hmrc.pull]\nenviroment \
         = \"sandbox\"\nboxes = []\n\
         client_id = \"abcdefgh\"\n",
        &[
            "4: sources.hmrc.pull needs environment: write environment = \"sandbox\" or \
             environment = \"production\"",
            "4: sources.hmrc.pull needs client_secret: write client_secret = \"env:NAME\"",
            "5: sources.hmrc.pull.enviroment is not a known key: did you mean environment?",
            "6: sources.hmrc.pull.boxes must be a list of one or more box ids: write \
             [\"50dca3fc-c37c-4f03-b719-63571333624c\"]",
            "7: sources.hmrc.pull.client_id is not a secret reference: write env:NAME, file:PATH \
             or secretsmanager:ARN#field, never the secret itself",
        ],
    );
    check(
        "[sources.hmrc]\nkind = \"hmrc\"\nsecrets = []\npull.base_url \
         = \"http://127.0.0.1:1\"\npull.boxes = [\"b\"]\n\
         pull.client_id = \"env:ID\"\npull.client_secret = \"env:SECRET\"\n",
        &[
            "5: sources.hmrc.pull.boxes[0] must be a box id, a UUID such as \
             50dca3fc-c37c-4f03-b719-63571333624c",
        ],
    );
    check(
        "[sources.pay]\nkind = \"govuk-pay\"\nsecrets = []\n[sources.pay.pull]\nbase_url \
         = \"http://10.0.0.1\"\n",
        &[
            "4: sources.pay.pull needs api_key: write api_key = \"env:NAME\"",
            "5: sources.pay.pull.base_url is plain http to another machine: write https, which \
             http may replace on loopback only",
        ],
    );
}

#[test]
fn a_source_without_a_webhook_needs_a_pull_and_no_secret() {
    let document =
        |more: &str| format!("[sources.m]\nkind = \"govuk-pay\"\nwebhook = false\n{more}");
    let pull = "pull = { api_key = \"env:K\", every = \"30m\", after = \"3h\" }";
    let config = Config::read(&document(pull), "p").unwrap();
    let source = &config.sources[0];
    let pull = source.pull.as_ref().unwrap();
    assert!(!source.webhook && config.source_secrets().is_empty());
    assert_eq!(
        (
            pull.every.map(|every| every.as_secs()),
            pull.after.as_secs()
        ),
        (Some(30 * 60), 3 * 60 * 60)
    );
    for (more, problem) in [
        ("", "so it needs [sources.m.pull]"),
        (
            "pull = { api_key = \"env:K\", every = \"soon\" }",
            "a span of a minute to a day",
        ),
        (
            "pull = { api_key = \"env:K\", every = \"30s\" }",
            "a span of a minute to a day",
        ),
        (
            "pull = { api_key = \"env:K\", after = \"15d\" }",
            "a span of at most 14 days",
        ),
        (
            "pull = { api_key = \"env:K\" }\nsecrets = [\"env:S\"]",
            "verifies what a webhook posts",
        ),
        (
            "pull = { api_key = \"env:K\" }\nevents = []",
            "lists what a webhook subscribes to",
        ),
    ] {
        let errors = Config::read(&document(more), "p").unwrap_err().to_string();
        assert!(errors.contains(problem), "{more}: {errors}");
    }
}

#[test]
fn an_event_that_pay_does_not_send_is_refused_with_the_nearest() {
    let document = |events: &str| {
        format!("[sources.p]\nkind = \"govuk-pay\"\nsecrets = []\nevents = {events}\n")
    };
    let config = Config::read(&document("[\"card_payment_captured\"]"), "p").unwrap();
    assert_eq!(config.sources[0].events, ["card_payment_captured"]);
    for (events, problem) in [
        (
            "[\"card_payment_capture\"]",
            "did you mean \"card_payment_captured\"?",
        ),
        (
            "[\"card_payment_settled\"]",
            "must be \"card_payment_succeeded\"",
        ),
        ("[]", "must be a list of the events that are ticked"),
    ] {
        let errors = Config::read(&document(events), "p")
            .unwrap_err()
            .to_string();
        assert!(errors.contains(problem), "{events}: {errors}");
    }
}
