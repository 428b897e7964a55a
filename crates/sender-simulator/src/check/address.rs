//! The senders' rules for a callback URL, which they check before they ever send. No I/O.

use url::{Host, Url};

use super::{
    super::is_loopback,
    fact::{Check, Fact, Facts},
    report::Grade,
    run::{Judged, Judgement, NotTried, Run},
};

pub(super) static CHECKS: &[&Check] = &[&HTTPS, &PORT, &DOMAIN_NAME, &LENGTH, &LIVE_DOMAIN];

static HTTPS: Check = Check {
    id: "https",
    title: "The callback URL is https",
    facts: Facts::Each {
        hmrc: Fact {
            why: "HMRC takes no other callback URL, and checks again before every push.",
            source: "hmrc/push-pull-notifications-api, OutboundProxyConnector.scala",
        },
        pay: Fact {
            why: "Pay takes no other callback URL, for test webhooks either.",
            source: "alphagov/pay-webhooks, CallbackUrlService.java",
        },
    },
    fix: "Put a proxy with a public certificate in front of the receiver, and register its https URL.",
};

static PORT: Check = Check {
    id: "port",
    title: "The callback URL uses port 443",
    facts: Facts::Hmrc(Fact {
        why: "HMRC's documentation allows no other port. Its code does not check this today; its firewall may.",
        source: "HMRC Developer Hub, Push Pull Notifications guide",
    }),
    fix: "Serve the callbacks on the default https port, and leave the port out of the URL.",
};

static DOMAIN_NAME: Check = Check {
    id: "domain-name",
    title: "The callback URL names a domain",
    facts: Facts::Pay(Fact {
        why: "Pay refuses a callback URL with an IP address in it.",
        source: "alphagov/pay-webhooks, CallbackUrlService.java",
    }),
    fix: "Give the receiver a name in the DNS, and a certificate for that name.",
};

static LENGTH: Check = Check {
    id: "url-length",
    title: "The callback URL has at most 2,048 characters",
    facts: Facts::Pay(Fact {
        why: "Pay refuses a longer one.",
        source: "alphagov/pay-webhooks, CallbackUrlService.java",
    }),
    fix: "Shorten the path or the query.",
};

static LIVE_DOMAIN: Check = Check {
    id: "live-domain",
    title: "The domain is one that Pay sends live webhooks to",
    facts: Facts::Pay(Fact {
        why: "Live only: before each message Pay looks for the domain in a list, which has gov.uk but neither nhs.uk \
              nor any cloud provider's. A message to another domain is never sent, nor tried again.",
        source: "alphagov/pay-webhooks, config.yaml",
    }),
    fix: "Use a gov.uk name for the live webhook, or ask GOV.UK Pay to add yours. For a test webhook nothing needs doing.",
};

const LONGEST: usize = 2_048;

/// Every domain under one of these may receive live webhooks; Pay's own list.
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

pub(super) fn probe(run: &mut Run<'_>) {
    let url = run.url;
    run.conclude(&HTTPS, https(url));
    run.conclude(&PORT, port(url));
    run.conclude(&DOMAIN_NAME, domain_name(url));
    run.conclude(&LENGTH, length(url));
    run.conclude(&LIVE_DOMAIN, live_domain(url));
}

/// Where a URL leads to this machine, no sender will ever see it, and its rules say nothing.
fn elsewhere(url: &Url) -> Result<(), NotTried> {
    if is_loopback(url) {
        NotTried::because("the receiver is on this machine")
    } else {
        Ok(())
    }
}

fn https(url: &Url) -> Judged {
    if url.scheme() != "https" {
        return NotTried::because("plain http on this machine");
    }
    Ok(Judgement::new(Grade::Passed, "https"))
}

fn port(url: &Url) -> Judged {
    elsewhere(url)?;
    let port = url.port_or_known_default().unwrap_or_default();
    Ok(Judgement::new(
        if port == 443 {
            Grade::Passed
        } else {
            Grade::Warning
        },
        format!("port {port}"),
    ))
}

fn domain_name(url: &Url) -> Judged {
    elsewhere(url)?;
    Ok(match url.host() {
        Some(Host::Domain(_)) => Judgement::new(Grade::Passed, "a domain name"),
        _ => Judgement::new(Grade::Failed, "an IP address"),
    })
}

fn length(url: &Url) -> Judged {
    let length = url.as_str().len();
    let grade = if length <= LONGEST {
        Grade::Passed
    } else {
        Grade::Failed
    };
    Ok(Judgement::new(grade, format!("{length} characters")))
}

fn live_domain(url: &Url) -> Judged {
    elsewhere(url)?;
    let host = url.host_str().unwrap_or_default();
    let is_under = |domain: &str| {
        host.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    Ok(
        match LIVE_DOMAINS.into_iter().find(|domain| is_under(domain)) {
            Some(domain) => Judgement::new(Grade::Passed, format!("under {domain}")),
            None => Judgement::new(Grade::Warning, "under none of Pay's live domains"),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn grades(judge: fn(&Url) -> Judged, expected: &[(&str, Option<Grade>)]) {
        for (url, expected) in expected {
            let grade = judge(&Url::parse(url).unwrap())
                .ok()
                .map(|judgement| judgement.grade);
            assert_eq!(grade, *expected, "{url}");
        }
    }

    #[test]
    fn a_url_is_judged_by_each_rule_and_not_at_all_on_this_machine() {
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
    fn a_url_may_be_as_long_as_pay_keeps_it() {
        let of = |length: usize| {
            format!(
                "https://a.gov.uk/{}",
                "x".repeat(length - "https://a.gov.uk/".len())
            )
        };
        grades(
            length,
            &[
                (&of(2_048), Some(Grade::Passed)),
                (&of(2_049), Some(Grade::Failed)),
            ],
        );
    }
}
