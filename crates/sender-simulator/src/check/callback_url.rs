//! The senders' rules for a callback URL, which they check before sending. No I/O.

use url::{Host, Url};

use super::{
    super::is_loopback,
    definition::{Check, CheckFacts, SenderFact},
    report::Grade,
    run::{CheckRun, NotTriedError, ProbeAssessment, ProbeResult},
};

pub(super) static CHECKS: &[&Check] = &[&HTTPS, &PORT, &DOMAIN_NAME, &LENGTH, &LIVE_DOMAIN];

static HTTPS: Check = Check {
    id: "https",
    title: "The callback URL is https",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "HMRC accepts no other callback URL, and checks again before every push.",
            source: "hmrc/push-pull-notifications-api, OutboundProxyConnector.scala",
        },
        pay: SenderFact {
            why: "Pay accepts no other callback URL, not even for test webhooks.",
            source: "alphagov/pay-webhooks, CallbackUrlService.java",
        },
    },
    fix: "Put a proxy with a public certificate in front of the receiver, and register its https \
          URL.",
};

static PORT: Check = Check {
    id: "port",
    title: "The callback URL uses port 443",
    facts: CheckFacts::Hmrc(SenderFact {
        why: "HMRC's documentation allows no other port. Its code does not check this today, but \
              its firewall may.",
        source: "HMRC Developer Hub, Push Pull Notifications guide",
    }),
    fix: "Serve the callbacks on the default https port, and leave the port out of the URL.",
};

static DOMAIN_NAME: Check = Check {
    id: "domain-name",
    title: "The callback URL names a domain",
    facts: CheckFacts::Pay(SenderFact {
        why: "Pay refuses a callback URL with an IP address.",
        source: "alphagov/pay-webhooks, CallbackUrlService.java",
    }),
    fix: "Give the receiver a DNS name, and a certificate for that name.",
};

static LENGTH: Check = Check {
    id: "url-length",
    title: "The callback URL has at most 2,048 characters",
    facts: CheckFacts::Pay(SenderFact {
        why: "Pay refuses a longer URL.",
        source: "alphagov/pay-webhooks, CallbackUrlService.java",
    }),
    fix: "Shorten the path or the query.",
};

static LIVE_DOMAIN: Check = Check {
    id: "live-domain",
    title: "The domain is one that Pay sends live webhooks to",
    facts: CheckFacts::Pay(SenderFact {
        why: "Live only: before each message Pay checks the domain against a list, which has \
              gov.uk but neither nhs.uk nor the domain of any cloud provider. A message to another \
              domain is never sent.",
        source: "alphagov/pay-webhooks, config.yaml",
    }),
    fix: "Use a gov.uk name for the live webhook, or ask GOV.UK Pay to add your domain. A test \
          webhook needs no change.",
};

const MAX_URL_CHARS: usize = 2_048;

/// Pay's list: every domain under one of these may receive live webhooks.
const LIVE_DOMAINS: [&str; 10] = [
    "gov.uk",
    "cadets.mod.uk",
    "edevelopment.scot",
    "anybus-lancashire.co.uk",
    "naturalresources.wales",
    "govpay-ipn.cam-pgmc.ac.uk",
    "payment-manage-personnel-licences.caa.co.uk",
    "manage-personnel-licences.caa.co.uk",
    "centsa.org.uk",
    "poponmobile.nexus.org.uk",
];

pub(super) fn probe(run: &mut CheckRun<'_>) {
    let url = run.url;
    run.conclude(&HTTPS, https(url));
    run.conclude(&PORT, port(url));
    run.conclude(&DOMAIN_NAME, domain_name(url));
    run.conclude(&LENGTH, length(url));
    run.conclude(&LIVE_DOMAIN, live_domain(url));
}

/// A URL of this machine is never registered with a sender, so the rules do not apply to it.
fn require_public(url: &Url) -> Result<(), NotTriedError> {
    if is_loopback(url) {
        NotTriedError::because("the receiver is on this machine")
    } else {
        Ok(())
    }
}

fn https(url: &Url) -> ProbeResult {
    if url.scheme() != "https" {
        return NotTriedError::because("plain http on this machine");
    }
    Ok(ProbeAssessment::new(Grade::Passed, "https"))
}

fn port(url: &Url) -> ProbeResult {
    require_public(url)?;
    let port = url.port_or_known_default().unwrap_or_default();
    Ok(ProbeAssessment::new(
        if port == 443 {
            Grade::Passed
        } else {
            Grade::Warning
        },
        format!("port {port}"),
    ))
}

fn domain_name(url: &Url) -> ProbeResult {
    require_public(url)?;
    Ok(match url.host() {
        Some(Host::Domain(_)) => ProbeAssessment::new(Grade::Passed, "a domain name"),
        _ => ProbeAssessment::new(Grade::Failed, "an IP address"),
    })
}

fn length(url: &Url) -> ProbeResult {
    let length = url.as_str().len();
    let grade = if length <= MAX_URL_CHARS {
        Grade::Passed
    } else {
        Grade::Failed
    };
    Ok(ProbeAssessment::new(grade, format!("{length} characters")))
}

fn live_domain(url: &Url) -> ProbeResult {
    require_public(url)?;
    let host = url.host_str().unwrap_or_default();
    let is_under = |domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    Ok(
        match LIVE_DOMAINS.into_iter().find(|domain| is_under(domain)) {
            Some(domain) => ProbeAssessment::new(Grade::Passed, format!("under {domain}")),
            None => ProbeAssessment::new(Grade::Warning, "under none of Pay's live domains"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn grades(grade: fn(&Url) -> ProbeResult, expected: &[(&str, Option<Grade>)]) {
        for (url, expected) in expected {
            let grade = grade(&Url::parse(url).unwrap())
                .ok()
                .map(|assessment| assessment.grade);
            assert_eq!(grade, *expected, "{url}");
        }
    }

    #[test]
    fn each_rule_is_checked_except_for_a_url_of_this_machine() {
        let (passed, warning, failed) = (
            Some(Grade::Passed),
            Some(Grade::Warning),
            Some(Grade::Failed),
        );
        grades(
            https,
            &[("https://a.gov.uk/", passed), ("http://localhost/", None)],
        );
        grades(
            port,
            &[
                ("https://a.gov.uk/", passed),
                ("https://a.gov.uk:443/", passed),
                ("https://a.gov.uk:8443/", warning),
                ("http://127.0.0.1:8080/", None),
            ],
        );
        grades(
            domain_name,
            &[
                ("https://a.gov.uk/", passed),
                ("https://192.0.2.1/", failed),
                ("https://[2001:db8::1]/", failed),
                ("http://[::1]/", None),
            ],
        );
        grades(
            live_domain,
            &[
                ("https://gov.uk/pay", passed),
                ("https://pay.leeds.gov.uk/pay", passed),
                ("https://x.CENTSA.org.uk/", passed),
                ("https://notgov.uk/", warning),
                ("https://trust.nhs.uk/", warning),
                ("https://gov.uk.example.com/", warning),
                ("http://localhost/", None),
            ],
        );
    }

    #[test]
    fn a_url_may_have_pay_s_maximum_length() {
        let url_of = |length: usize| {
            format!(
                "https://a.gov.uk/{}",
                "x".repeat(length - "https://a.gov.uk/".len())
            )
        };
        grades(
            length,
            &[
                (&url_of(2_048), Some(Grade::Passed)),
                (&url_of(2_049), Some(Grade::Failed)),
            ],
        );
    }
}
