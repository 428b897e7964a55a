//! Whether the receiver can be connected to, and by which TLS.

use super::{
    super::{
        Connection, ExchangeError, Sender,
        connection::{Versions, handshake},
    },
    fact::{Check, Fact, Facts},
    report::Grade,
    run::{Judgement, NotTried, Run},
};

pub(super) static CHECKS: &[&Check] = &[&REACHABLE, &CERTIFICATE, &TLS_1_2, &TLS_1_3];

static REACHABLE: Check = Check {
    id: "reachable",
    title: "A connection can be made",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC gives up connecting after 6 seconds, and tries again about every 5 minutes for 6 hours only.",
            source: "hmrc/bootstrap-play, backend.conf",
        },
        pay: Fact {
            why: "Pay gives up connecting after 3 seconds, and has 6 attempts in 3 days.",
            source: "alphagov/pay-webhooks, config.yaml",
        },
    },
    fix: "Check that the receiver runs, the URL is right, its name is in the public DNS, and no firewall or list of \
          addresses keeps the senders out: neither publishes its addresses.",
};

static CERTIFICATE: Check = Check {
    id: "certificate",
    title: "TLS proves the host's name by a full, public certificate chain",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC checks the chain against Java's public authorities, and the name; without both it never sends.",
            source: "hmrc/http-verbs with async-http-client, defaults",
        },
        pay: Fact {
            why: "Pay checks the chain against Java's public authorities, and the name; without both it never sends.",
            source: "alphagov/pay-webhooks, WebhooksModule.java",
        },
    },
    fix: "Serve the certificate for this very name together with its intermediate ones, from a public authority.",
};

static TLS_1_2: Check = Check {
    id: "tls-1-2",
    title: "TLS 1.2 is offered",
    facts: Facts::Hmrc(Fact {
        why: "HMRC's client offers TLS 1.2 and nothing newer; a receiver that insists on 1.3 gets nothing.",
        source: "hmrc/http-verbs with async-http-client, seen by running it",
    }),
    fix: "Allow TLS 1.2 beside 1.3 in the proxy or load balancer.",
};

static TLS_1_3: Check = Check {
    id: "tls-1-3",
    title: "TLS 1.3 may be offered",
    facts: Facts::Each {
        hmrc: Fact {
            why: "A note only: HMRC does not use it today.",
            source: "hmrc/http-verbs with async-http-client, seen by running it",
        },
        pay: Fact {
            why: "A note only: Pay uses TLS 1.3 where it is offered, and 1.2 elsewhere.",
            source: "alphagov/pay-webhooks, WebhooksModule.java",
        },
    },
    fix: "Nothing needs doing.",
};

/// Looks; an error says why nothing more can be tried.
pub(super) async fn probe(run: &mut Run<'_>) -> Result<(), ExchangeError> {
    if run.url.scheme() == "https" {
        secured(run).await
    } else {
        plain(run).await
    }
}

async fn plain(run: &mut Run<'_>) -> Result<(), ExchangeError> {
    let reached = Connection::open(run.url, run.manner()).await.map(drop);
    run.conclude(&REACHABLE, Ok(reachable(&reached)));
    for check in [&CERTIFICATE, &TLS_1_2, &TLS_1_3] {
        run.conclude(check, NotTried::because("plain http on this machine"));
    }
    reached
}

async fn secured(run: &mut Run<'_>) -> Result<(), ExchangeError> {
    let any = handshake(run.url, run.manner(), Versions::All).await;
    run.conclude(&REACHABLE, Ok(reachable(&any)));
    if matches!(&any, Err(error) if !is_tls(error)) {
        return any;
    }
    run.conclude(&CERTIFICATE, Ok(certificate(&any)));
    let old = handshake(run.url, run.manner(), Versions::Only12).await;
    run.conclude(&TLS_1_2, Ok(tls_1_2(&old)));
    let new = handshake(run.url, run.manner(), Versions::Only13).await;
    let note = if is_offered(&new) {
        "offered"
    } else {
        "not offered"
    };
    run.conclude(&TLS_1_3, Ok(Judgement::new(Grade::Passed, note)));
    any?;
    if run.sender == Sender::Hmrc {
        old
    } else {
        Ok(())
    }
}

fn reachable(reached: &Result<(), ExchangeError>) -> Judgement {
    match reached {
        Err(error) if !is_tls(error) => Judgement::new(Grade::Failed, error.to_string()),
        _ => Judgement::new(Grade::Passed, "connected"),
    }
}

fn certificate(shaken: &Result<(), ExchangeError>) -> Judgement {
    match shaken {
        Ok(()) => Judgement::new(Grade::Passed, "the chain and the name are right"),
        Err(error) => Judgement::new(Grade::Failed, error.to_string()),
    }
}

fn tls_1_2(shaken: &Result<(), ExchangeError>) -> Judgement {
    match shaken {
        Err(error) if !is_offered(shaken) => Judgement::new(Grade::Failed, error.to_string()),
        _ => Judgement::new(Grade::Passed, "offered"),
    }
}

fn is_tls(error: &ExchangeError) -> bool {
    matches!(error, ExchangeError::Tls { .. })
}

/// Whether the version was agreed on: a certificate that is not believed comes after that.
fn is_offered(shaken: &Result<(), ExchangeError>) -> bool {
    match shaken {
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
