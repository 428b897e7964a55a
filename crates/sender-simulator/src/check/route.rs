//! Other spellings of the callback URL, and other methods on it.

use url::Url;

use super::{
    super::Request,
    fact::{Check, Fact, Facts},
    reply::{Reply, summary},
    report::Grade,
    run::{Judged, Judgement, Run},
    sample,
};

pub(super) static CHECKS: &[&Check] = &[&OTHER_SPELLINGS, &BARE_GET];

static OTHER_SPELLINGS: Check = Check {
    id: "other-spellings",
    title: "Other spellings of the path are not redirected",
    facts: Facts::Each {
        hmrc: Fact {
            why: "Whoever registers the URL with a slash too many gets pushes redirected: HMRC turns them into GETs \
                  without a body, and if those are answered 200, they are lost.",
            source: "playframework/play-ws with async-http-client, Redirect30xInterceptor.java, defaults",
        },
        pay: Fact {
            why: "Whoever registers the URL with a slash too many gets messages redirected: Pay turns them into GETs \
                  without a body, and if those are answered 2xx, they are lost.",
            source: "apache/httpcomponents-client 5, seen by running it as alphagov/pay-webhooks builds it",
        },
    },
    fix: "Answer 404 to every spelling but one; turn off redirects for slashes and letter case on the callback paths.",
};

static BARE_GET: Check = Check {
    id: "bare-get",
    title: "A GET or HEAD without anything gets no 2xx",
    facts: Facts::Each {
        hmrc: Fact {
            why: "It is what a redirected push ends as. A 200 to it marks the notification ACKNOWLEDGED, and it is lost.",
            source: "playframework/play-ws with async-http-client, Redirect30xInterceptor.java, defaults",
        },
        pay: Fact {
            why: "It is what a redirected message ends as. A 2xx to it marks the message SUCCESSFUL, and it is lost.",
            source: "apache/httpcomponents-client 5, seen by running it as alphagov/pay-webhooks builds it",
        },
    },
    fix: "Answer 405, or 400, to everything on the callback path but a signed POST and HMRC's challenge.",
};

pub(super) async fn probe(run: &mut Run<'_>) {
    run.probe(&OTHER_SPELLINGS, other_spellings).await;
    run.probe(&BARE_GET, bare_get).await;
}

async fn other_spellings(run: &mut Run<'_>) -> Judged {
    let mut replies = Vec::new();
    for (name, url) in spellings(run.url) {
        let request = run.signed(&sample::ordinary(run));
        replies.push((name, run.post_to(&request, &url).await?));
    }
    Ok(judge(&replies, redirected))
}

async fn bare_get(run: &mut Run<'_>) -> Judged {
    let get = redirected_push(run);
    let head = Request {
        method: "HEAD",
        ..get.clone()
    };
    let replies = [
        ("GET", run.ask(&get, run.url).await?),
        ("HEAD", run.ask(&head, run.url).await?),
    ];
    Ok(judge(&replies, taken_for_success))
}

/// What both senders make of a POST that was redirected. HMRC leaves the signature where it is.
fn redirected_push(run: &Run<'_>) -> Request {
    let post = run.signed(&sample::ordinary(run));
    let goes = |name: &str| ["content-type", "content-length", "pay-signature"].contains(&name);
    let headers = post
        .headers
        .into_iter()
        .filter(|(name, _)| !goes(&name.to_ascii_lowercase()))
        .collect();
    Request {
        method: "GET",
        headers,
        body: Vec::new(),
        id: post.id,
    }
}

/// The mistakes that are made when a URL is registered, as far as this path allows them.
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

fn judge(replies: &[(&'static str, Reply)], grade: fn(Option<u16>) -> Grade) -> Judgement {
    let worst = replies
        .iter()
        .map(|(_, reply)| grade(reply.status()))
        .max()
        .unwrap_or(Grade::Passed);
    Judgement::new(
        worst,
        summary(replies.iter().map(|(name, reply)| (*name, reply))),
    )
}

/// A redirect loses what is sent; a 2xx keeps it, under a URL that nobody meant.
fn redirected(status: Option<u16>) -> Grade {
    match status {
        Some(400..500) => Grade::Passed,
        Some(200..300 | 500..) => Grade::Warning,
        _ => Grade::Failed,
    }
}

/// A 2xx loses what was redirected here; another redirect may lead to one.
fn taken_for_success(status: Option<u16>) -> Grade {
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
    fn a_path_has_spellings_that_are_not_itself() {
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
                (redirected(status), taken_for_success(status)),
                (post, get),
                "{status:?}"
            );
        }
    }
}
