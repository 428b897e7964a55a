//! Connections to the receiver, and its TLS versions.

use super::{
    super::{
        ExchangeError, ReceiverConnection, Sender,
        connection::{TlsVersions, handshake},
    },
    definition::{Check, CheckFacts, SenderFact},
    report::Grade,
    run::{CheckRun, NotTriedError, ProbeAssessment},
};

pub(super) static CHECKS: &[&Check] = &[&REACHABLE, &CERTIFICATE, &TLS_1_2, &TLS_1_3];

static REACHABLE: Check = Check {
    id: "reachable",
    title: "A connection can be opened",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC stops connecting after 6 seconds, and retries about every 5 minutes for 6 \
                  hours.",
            source: "hmrc/bootstrap-play, backend.conf",
        },
        pay: SenderFact {
            why: "Pay stops connecting after 3 seconds, and makes 6 attempts in 3 days.",
            source: "alphagov/pay-webhooks, config.yaml",
        },
    },
    fix: "Check that the receiver runs, that the URL is correct, that its name is in the public \
          DNS, and that no firewall or address list blocks the senders: neither publishes its \
          addresses.",
};

static CERTIFICATE: Check = Check {
    id: "certificate",
    title: "TLS proves the host name with a full, public certificate chain",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC checks the chain against Java's public authorities, and the name. Without \
                  both it never sends.",
            source: "hmrc/http-verbs with async-http-client, defaults",
        },
        pay: SenderFact {
            why: "Pay checks the chain against Java's public authorities, and the name. Without \
                  both it never sends.",
            source: "alphagov/pay-webhooks, WebhooksModule.java",
        },
    },
    fix: "Serve a certificate for this name from a public authority, with its intermediate \
          certificates.",
};

static TLS_1_2: Check = Check {
    id: "tls-1-2",
    title: "TLS 1.2 is offered",
    facts: CheckFacts::Hmrc(SenderFact {
        why: "HMRC's client offers only TLS 1.2. A receiver that requires 1.3 receives nothing.",
        source: "hmrc/http-verbs with async-http-client, observed by running it",
    }),
    fix: "Allow TLS 1.2 and 1.3 in the proxy or load balancer.",
};

static TLS_1_3: Check = Check {
    id: "tls-1-3",
    title: "TLS 1.3 may be offered",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "A note only: HMRC does not use it today.",
            source: "hmrc/http-verbs with async-http-client, observed by running it",
        },
        pay: SenderFact {
            why: "A note only: Pay uses TLS 1.3 if it is offered, and otherwise 1.2.",
            source: "alphagov/pay-webhooks, WebhooksModule.java",
        },
    },
    fix: "No change is needed.",
};

/// Runs the probes. An error is the reason why no other check can be tried.
pub(super) async fn probe(run: &mut CheckRun<'_>) -> Result<(), ExchangeError> {
    if run.url.scheme() == "https" {
        secured(run).await
    } else {
        plain(run).await
    }
}

async fn plain(run: &mut CheckRun<'_>) -> Result<(), ExchangeError> {
    let reached = ReceiverConnection::open(run.url, run.client_profile())
        .await
        .map(drop);
    run.conclude(&REACHABLE, Ok(reachable(&reached)));
    for check in [&CERTIFICATE, &TLS_1_2, &TLS_1_3] {
        run.conclude(check, NotTriedError::because("plain http on this machine"));
    }
    reached
}

async fn secured(run: &mut CheckRun<'_>) -> Result<(), ExchangeError> {
    let any = handshake(run.url, run.client_profile(), TlsVersions::All).await;
    run.conclude(&REACHABLE, Ok(reachable(&any)));
    if matches!(&any, Err(error) if !is_tls(error)) {
        return any;
    }
    run.conclude(&CERTIFICATE, Ok(certificate(&any)));
    let old = handshake(run.url, run.client_profile(), TlsVersions::Only12).await;
    run.conclude(&TLS_1_2, Ok(tls_1_2(&old)));
    let new = handshake(run.url, run.client_profile(), TlsVersions::Only13).await;
    let note = if is_offered(&new) {
        "offered"
    } else {
        "not offered"
    };
    run.conclude(&TLS_1_3, Ok(ProbeAssessment::new(Grade::Passed, note)));
    any?;
    if run.sender == Sender::Hmrc {
        old
    } else {
        Ok(())
    }
}

fn reachable(connected: &Result<(), ExchangeError>) -> ProbeAssessment {
    match connected {
        Err(error) if !is_tls(error) => ProbeAssessment::new(Grade::Failed, error.to_string()),
        _ => ProbeAssessment::new(Grade::Passed, "connected"),
    }
}

fn certificate(handshake_result: &Result<(), ExchangeError>) -> ProbeAssessment {
    match handshake_result {
        Ok(()) => ProbeAssessment::new(Grade::Passed, "the chain and the name are valid"),
        Err(error) => ProbeAssessment::new(Grade::Failed, error.to_string()),
    }
}

fn tls_1_2(handshake_result: &Result<(), ExchangeError>) -> ProbeAssessment {
    match handshake_result {
        Err(error) if !is_offered(handshake_result) => {
            ProbeAssessment::new(Grade::Failed, error.to_string())
        }
        _ => ProbeAssessment::new(Grade::Passed, "offered"),
    }
}

fn is_tls(error: &ExchangeError) -> bool {
    matches!(error, ExchangeError::Tls { .. })
}

/// Whether the version was agreed. A certificate is refused only after that.
fn is_offered(handshake_result: &Result<(), ExchangeError>) -> bool {
    match handshake_result {
        Ok(()) => true,
        Err(ExchangeError::Tls { error, .. }) => {
            let cause = error
                .get_ref()
                .and_then(|error| error.downcast_ref::<rustls::Error>());
            matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
        }
        Err(_) => false,
    }
}
