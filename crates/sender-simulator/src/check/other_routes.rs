//! Other spellings of the callback URL, and other methods on it.

use url::Url;

use super::{
    super::{SenderRequest, redirect},
    definition::{Check, CheckFacts, SenderFact},
    grading::worst,
    report::Grade,
    run::{CheckRun, ProbeResult},
    samples,
};

pub(super) static CHECKS: &[&Check] = &[&OTHER_SPELLINGS, &BARE_GET];

static OTHER_SPELLINGS: Check = Check {
    id: "other-spellings",
    title: "Other spellings of the path are not redirected",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "If the registered URL has an extra slash, pushes are redirected: HMRC turns them \
                  into GETs without a body, and if those are answered 200, the pushes are lost.",
            source: "playframework/play-ws with async-http-client, Redirect30xInterceptor.java, \
                     defaults",
        },
        pay: SenderFact {
            why: "If the registered URL has an extra slash, messages are redirected: Pay turns \
                  them into GETs without a body, and if those are answered 2xx, the messages are \
                  lost.",
            source: "apache/httpcomponents-client 5, observed by running it as \
                     alphagov/pay-webhooks builds it",
        },
    },
    fix: "Answer 404 to every other spelling. Turn off redirects for slashes and letter case on \
          the callback paths.",
};

static BARE_GET: Check = Check {
    id: "bare-get",
    title: "A GET or HEAD without a challenge gets no 2xx",
    facts: CheckFacts::Each {
        hmrc: SenderFact {
            why: "A redirected push ends as such a request. A 200 marks the notification \
                  ACKNOWLEDGED, and it is lost.",
            source: "playframework/play-ws with async-http-client, Redirect30xInterceptor.java, \
                     defaults",
        },
        pay: SenderFact {
            why: "A redirected message ends as such a request. A 2xx marks the message SUCCESSFUL, \
                  and it is lost.",
            source: "apache/httpcomponents-client 5, observed by running it as \
                     alphagov/pay-webhooks builds it",
        },
    },
    fix: "On the callback path, answer 405 or 400 to everything but a signed POST and HMRC's \
          challenge.",
};

pub(super) async fn probe(run: &mut CheckRun<'_>) {
    run.probe(&OTHER_SPELLINGS, other_spellings).await;
    run.probe(&BARE_GET, bare_get).await;
}

async fn other_spellings(run: &mut CheckRun<'_>) -> ProbeResult {
    let mut replies = Vec::new();
    for (name, url) in spellings(run.url) {
        let request = run.signed(&samples::ordinary(run));
        replies.push((name, run.post_to(&request, &url).await?));
    }
    Ok(worst(&replies, redirected))
}

async fn bare_get(run: &mut CheckRun<'_>) -> ProbeResult {
    let post = run.signed(&samples::ordinary(run));
    let get = redirect::without_body(run.sender, post);
    let head = SenderRequest {
        method: "HEAD",
        ..get.clone()
    };
    let replies = [
        ("GET", run.send(&get, run.url).await?),
        ("HEAD", run.send(&head, run.url).await?),
    ];
    Ok(worst(&replies, accepted_get))
}

/// Common mistakes in a registered URL that are possible with this path.
fn spellings(url: &Url) -> Vec<(&'static str, Url)> {
    let path = url.path();
    let flipped = |c: char| {
        if c.is_ascii_lowercase() {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        }
    };
    let spellings = [
        (
            "trailing slash",
            path.strip_suffix('/')
                .map_or_else(|| format!("{path}/"), str::to_owned),
        ),
        ("other letter case", path.chars().map(flipped).collect()),
        ("doubled slash", format!("/{path}")),
    ];
    let other = |(name, path): (&'static str, String)| {
        let mut other = url.clone();
        other.set_path(&path);
        (other != *url).then_some((name, other))
    };
    spellings.into_iter().filter_map(other).collect()
}

/// A redirect loses the notification; a 2xx accepts it under an unintended URL.
fn redirected(status: Option<u16>) -> Grade {
    match status {
        Some(400..500) => Grade::Passed,
        Some(200..300 | 500..) => Grade::Warning,
        _ => Grade::Failed,
    }
}

/// A 2xx loses a redirected notification; another redirect may lead to a 2xx.
fn accepted_get(status: Option<u16>) -> Grade {
    match status {
        Some(400..500) => Grade::Passed,
        Some(300..400 | 500..) => Grade::Warning,
        _ => Grade::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_differ_from_the_path() {
        for (url, expected) in [
            (
                "http://localhost/pay?x=1",
                vec!["/pay/?x=1", "/PAY?x=1", "//pay?x=1"],
            ),
            ("http://localhost/Pay/", vec!["/Pay", "/pAY/", "//Pay/"]),
            ("http://localhost/1", vec!["/1/", "//1"]),
            ("http://localhost/", vec!["//"]),
        ] {
            let spelled = spellings(&Url::parse(url).unwrap());
            let spelled: Vec<&str> = spelled
                .iter()
                .map(|(_, url)| url.as_str().strip_prefix("http://localhost").unwrap())
                .collect();
            assert_eq!(spelled, expected, "{url}");
        }
    }

    #[test]
    fn a_redirect_is_the_worst_answer_to_a_post_and_a_2xx_to_a_get() {
        for (status, post, get) in [
            (Some(404), Grade::Passed, Grade::Passed),
            (Some(200), Grade::Warning, Grade::Failed),
            (Some(301), Grade::Failed, Grade::Warning),
            (Some(308), Grade::Failed, Grade::Warning),
            (Some(500), Grade::Warning, Grade::Warning),
            (None, Grade::Failed, Grade::Failed),
        ] {
            assert_eq!(
                (redirected(status), accepted_get(status)),
                (post, get),
                "{status:?}"
            );
        }
    }
}
